"""Where the server is and how patient we are: YAML, environment, `.env`, or an address."""

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from dotenv import dotenv_values
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, field_validator

from mrtrade.config import Section, load_section
from mrtrade.errors import ConfigError

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]

PREFIX = "TIMESCALE_"
_FROM_ENVIRONMENT = ("host", "port", "database", "user", "password")
_IN_ADDRESS = {
    "host": "host",
    "port": "port",
    "dbname": "database",
    "user": "user",
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "connect_timeout": "connect_timeout_s",
}


class TimescaleSettings(Section):
    """How to reach a server; every key is described in ``config/timescaledb.yaml``.

    Parameters
    ----------
    password : SecretStr, optional
        Without one, libpq looks where it always does: PGPASSWORD, ``~/.pgpass``.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=5432, gt=0, lt=65_536)
    database: str = "mrtrade"
    user: str = "mrtrade"
    password: SecretStr | None = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: Path | None = None
    sslcert: Path | None = None
    sslkey: Path | None = None
    connect_timeout_s: Seconds = 10.0
    statement_timeout_s: Seconds = 300.0
    lock_timeout_s: Seconds = 30.0
    retries: int = Field(default=4, ge=0, le=20)
    pool_size: int = Field(default=8, ge=3, le=100)

    @field_validator("password", mode="before")
    @classmethod
    def _any_password(cls, value: Any) -> Any:
        """Take whatever it is, so that no message of a fault can show it."""
        return value if value is None or isinstance(value, SecretStr) else SecretStr(str(value))

    @property
    def url(self) -> str:
        """Address of the database, without a password."""
        user, database = quote(self.user, safe=""), quote(self.database, safe="")
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        tls: dict[str, str] = {
            name: str(getattr(self, name))
            for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")
            if name in self.model_fields_set and getattr(self, name) is not None
        }
        query = f"?{urlencode(tls)}" if tls else ""
        return f"postgresql://{user}@{host}:{self.port}/{database}{query}"

    def arguments(self) -> dict[str, Any]:
        """Return what libpq connects with; holds the password."""
        tls = {name: getattr(self, name) for name in ("sslrootcert", "sslcert", "sslkey")}
        secret = {} if self.password is None else {"password": self.password.get_secret_value()}
        return {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.user,
            "sslmode": self.sslmode,
            **{name: str(path) for name, path in tls.items() if path is not None},
            "connect_timeout": max(2, round(self.connect_timeout_s)),  # libpq's shortest
            "application_name": "mrtrade",
            # A server that vanished is noticed in a minute, not in the two hours of TCP.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,
            **secret,
        }


def load_environment() -> dict[str, str]:
    """Return the environment of the process, over the file ``.env`` of the working directory."""
    kept = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    return {**kept, **os.environ}


def load_settings(
    url: str = "timescale", environment: Mapping[str, str] | None = None
) -> TimescaleSettings:
    """Return the settings behind an address of a store.

    Parameters
    ----------
    url : str
        ``timescale``, ``timescale:FILE.yaml`` or ``postgresql://user@host:port/database``, which
        may end with ``?sslmode=verify-full`` and other settings of libpq.
    environment : mapping, optional
        Default: `load_environment`.

    Raises
    ------
    ConfigError
        If a setting is wrong or unknown, or a password stands where others can read it.
    """
    environment = load_environment() if environment is None else environment
    # An empty variable, as .env.example has them, is one that was not filled in.
    given = {
        name: environment[PREFIX + name.upper()]
        for name in _FROM_ENVIRONMENT
        if environment.get(PREFIX + name.upper())
    }
    scheme, _, file = url.partition(":")
    if scheme == "timescale":
        source = Path(file) if file else Path(str(files("mrtrade") / "config_files"), _FILE)
        _refuse_password(load_section(TimescaleSettings, source, described=_DESCRIBED), source)
        return load_section(TimescaleSettings, source, given, described=_DESCRIBED)
    password = {name: given[name] for name in ("password",) if name in given}
    return load_section(TimescaleSettings, {**_address(url), **password}, described=_DESCRIBED)


_FILE = "timescaledb.yaml"
_DESCRIBED = f"config/{_FILE}"


def _refuse_password(settings: TimescaleSettings, where: str | Path) -> None:
    if settings.password is not None:
        raise ConfigError(
            "a password does not belong into a configuration",
            file=where,
            key="password",
            remedy=f"set {PREFIX}PASSWORD in the environment or in .env, and change the password",
        )


def _address(url: str) -> dict[str, Any]:
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:  # its message may hold the password
        raise ConfigError(
            "not an address of a database",
            expected="timescale, timescale:FILE.yaml or postgresql://user@host:port/database",
            remedy="write it so, with %-codes for what is neither a letter nor a digit",
        ) from None
    if "password" in parts:
        raise ConfigError(
            "a password in an address is shown in lists of processes and in histories",
            expected="postgresql://user@host:port/database",
            remedy=f"set {PREFIX}PASSWORD in the environment or in .env, and change the password",
        )
    unknown = [name for name in parts if name not in _IN_ADDRESS]
    if unknown:
        raise ConfigError(
            "unknown in an address of a store",
            key=unknown[0],
            expected=f"one of {', '.join(_IN_ADDRESS)}",
            remedy="remove it",
        )
    return {_IN_ADDRESS[name]: value for name, value in parts.items() if value is not None}
