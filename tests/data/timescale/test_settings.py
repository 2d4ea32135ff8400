"""Where settings come from, and that a password is never shown."""

import pytest

from mrtrade.data.stores import open_store
from mrtrade.data.timescale import TimescaleSettings, load_settings
from mrtrade.errors import ConfigError

SECRET = "hunter2"


def test_the_environment_wins_over_the_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("host: db.example\nport: 6000\nlock_timeout_s: 3\n")
    environment = {"TIMESCALE_PORT": "7000", "TIMESCALE_USER": "", "TIMESCALE_PASSWORD": SECRET}
    found = load_settings(f"timescale:{file}", environment)
    assert (found.host, found.port, found.user, found.lock_timeout_s) == (
        *("db.example", 7000, "mrtrade"),
        3,
    )
    assert found.arguments()["password"] == SECRET
    assert found.url == "postgresql://mrtrade@db.example:7000/mrtrade"


def test_the_file_that_ships_says_the_defaults():
    assert load_settings("timescale", {}) == TimescaleSettings()


def test_a_file_dot_env_is_read_and_the_environment_wins_over_it(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text(f"TIMESCALE_PASSWORD={SECRET}\nTIMESCALE_PORT=6001\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIMESCALE_PORT", "6002")
    monkeypatch.delenv("TIMESCALE_PASSWORD", raising=False)
    found = load_settings()
    assert found.port == 6002
    assert found.arguments()["password"] == SECRET


def test_an_address_holds_all_but_the_password():
    url = "postgresql://me%40home@[::1]:6000/my%20data?sslmode=verify-full&sslrootcert=%2Fca.pem"
    found = load_settings(url, {"TIMESCALE_PASSWORD": SECRET, "TIMESCALE_HOST": "elsewhere"})
    assert (found.user, found.host, found.database) == ("me@home", "::1", "my data")
    assert found.arguments()["sslrootcert"] == "/ca.pem"
    assert load_settings(found.url, {}).model_dump(exclude={"password"}) == found.model_dump(
        exclude={"password"}
    )
    assert SECRET not in f"{found!r} {found} {found.url} {found.model_dump_json()}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"postgresql://me:{SECRET}@host/db", "TIMESCALE_PASSWORD"),
        (f"postgresql://host/db?password={SECRET}", "TIMESCALE_PASSWORD"),
        (f"postgresql://me:{SECRET}@host:port/db/%zz", "not an address|TIMESCALE_PASSWORD"),
        ("postgresql://host/db?options=-csearch_path", "unknown in an address"),
        ("postgresql://host/db?sslmode=maybe", "sslmode"),
    ],
)
def test_what_does_not_belong_into_an_address_is_refused_unshown(url, says):
    with pytest.raises(ConfigError, match=says) as found:
        open_store(url)
    assert SECRET not in f"{found.value} {found.value.__cause__}"


@pytest.mark.parametrize("line", [f"password: {SECRET}", f"password: [{SECRET}]"])
def test_a_password_in_a_file_is_refused_unshown(tmp_path, line):
    file = tmp_path / "mine.yaml"
    file.write_text(line)
    with pytest.raises(ConfigError, match="TIMESCALE_PASSWORD") as found:
        load_settings(f"timescale:{file}", {})
    assert SECRET not in str(found.value)


def test_an_unknown_key_names_the_nearest(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("hots: x\npool_size: 1\n")
    with pytest.raises(ConfigError, match=r"(?s)nearest is host.*config/timescaledb.yaml") as found:
        load_settings(f"timescale:{file}", {})
    assert "pool_size" in str(found.value)
