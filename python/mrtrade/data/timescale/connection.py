"""Connections: opened with patience, kept in a pool, their faults told as errors of ours."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool, PoolTimeout

from mrtrade.data.timescale.settings import PREFIX, TimescaleSettings
from mrtrade.errors import BusyError, StoreError

Connection = psycopg.Connection[tuple[Any, ...]]
Result = TypeVar("Result")

_FIRST_PAUSE_S = 0.2

# What libpq, or a server that is about to be there, says. Whatever else a connection fails with is
# a refusal: trying a wrong password again locks accounts.
_PASSING = (
    "connection refused",
    "timeout expired",
    "timed out",
    "connection timeout",
    "server closed the connection",
    "connection reset",
    "no such file or directory",  # the socket of a server that restarts
    "starting up",
    "shutting down",
    "in recovery mode",
    "not yet accepting connections",
    "too many clients",
    "remaining connection slots",
)

_LOST = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.IdleSessionTimeout,
    errors.ConnectionException,
)


class Connections:
    """A pool of connections to one database.

    All are in autocommit: a transaction is where the code says so.
    """

    def __init__(self, settings: TimescaleSettings) -> None:
        self.settings = settings
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            kwargs={**_arguments(settings)},
            min_size=0,
            max_size=settings.pool_size,
            open=True,
            configure=lambda connection: configure(connection, settings),
            check=ConnectionPool.check_connection,
            timeout=settings.connect_timeout_s,
            max_idle=60.0,
            name="mrtrade",
        )

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection for the length of a block."""
        with told(self.settings), self._pool.connection() as connection:
            yield connection

    def retrying(self, work: Callable[[Connection], Result]) -> Result:
        """Do something that changes nothing; again on another connection where one was lost."""

        def once() -> Result:
            with self._pool.connection() as connection:
                return work(connection)

        with told(self.settings):
            return _retry(once, self.settings.retries)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


def connect(settings: TimescaleSettings) -> Connection:
    """Open one connection; a server that is starting up is waited for."""

    def once() -> Connection:
        return psycopg.connect(**_arguments(settings))

    with told(settings):
        connection = _retry(once, settings.retries)
        configure(connection, settings)
    return connection


def configure(connection: Connection, settings: TimescaleSettings) -> None:
    """Set what statements of ours rest on."""
    values = {
        "statement_timeout": f"{round(settings.statement_timeout_s * 1e3)}ms",
        "lock_timeout": f"{round(settings.lock_timeout_s * 1e3)}ms",
        "client_min_messages": "warning",
        "timezone": "UTC",
        "jit": "off",  # its planning takes longer than any of our statements
        "max_parallel_workers_per_gather": "0",  # long reads are split over two connections
    }
    chosen = ", ".join("set_config(%s, %s, false)" for _ in values)
    parameters = [text for pair in values.items() for text in pair]
    connection.execute(f"SELECT {chosen}", parameters)


@contextmanager
def told(settings: TimescaleSettings) -> Iterator[None]:
    """Turn what the driver raises into one error of ours, that names the database."""
    try:
        yield
    except (psycopg.Error, PoolTimeout) as error:
        raise told_error(error, settings) from error


def _arguments(settings: TimescaleSettings) -> dict[str, Any]:
    # A prepared statement lives in a backend: poolers and single-backend servers mix them up.
    return {**settings.arguments(), "autocommit": True, "prepare_threshold": None}


def _retry(work: Callable[[], Result], retries: int) -> Result:
    pause = _FIRST_PAUSE_S
    for left in range(retries, -1, -1):
        try:
            return work()
        except psycopg.Error as error:
            if not left or not _is_passing(error):
                raise
        time.sleep(pause)
        pause *= 2
    raise AssertionError  # the last round returns or raises


def _is_passing(error: psycopg.Error) -> bool:
    if isinstance(error, _LOST):
        return True
    text = str(error).lower()
    return isinstance(error, psycopg.OperationalError) and (
        error.sqlstate is None and any(words in text for words in _PASSING)
    )


def told_error(error: Exception, settings: TimescaleSettings) -> StoreError:
    """Return what the driver raised as an error of ours."""
    what = " ".join(str(error).split())
    remedy = "see the log of the server"
    if isinstance(error, errors.UndefinedTable):
        what = "the database is not set up, or by an older version of mrtrade"
        remedy = f"run, as its owner: mrtrade db init --store {settings.url}"
    elif isinstance(error, errors.LockNotAvailable):
        what = "another process is writing the same, or holds a lock on it"
        remedy = "run it again when that one has ended, or raise lock_timeout_s"
    elif isinstance(error, errors.DeadlockDetected):
        remedy = "run it again: two processes waited for each other"
    elif isinstance(error, errors.QueryCanceled):
        remedy = "raise statement_timeout_s, or ask for less at a time"
    elif isinstance(error, errors.DiskFull):
        remedy = "make room on the server's disk; what was being written is undone"
    elif isinstance(error, errors.InsufficientPrivilege | errors.ReadOnlySqlTransaction):
        remedy = "log in as a role that may do this: mrtrade db roles"
    elif isinstance(error, PoolTimeout):
        what = f"no connection within {settings.connect_timeout_s:g} s"
        remedy = "see whether the server runs, or raise pool_size or connect_timeout_s"
    elif "password" in what.lower() and isinstance(error, psycopg.OperationalError):
        remedy = f"set {PREFIX}USER and {PREFIX}PASSWORD in the environment or in .env"
    elif isinstance(error, psycopg.OperationalError) and what.endswith("does not exist"):
        remedy = "correct the address, or have it made: createdb"
    elif isinstance(error, psycopg.OperationalError):
        remedy = "see whether the server runs and the address is right, then run it again"
    passes = isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected)
    return (BusyError if passes else StoreError)(what, file=settings.url, remedy=remedy)
