"""No password shows: in no output, error, log, list of processes, file or repr."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mrtrade.data.timescale import load_settings
from mrtrade.errors import ConfigError, StoreError

from .lake import deltas
from .places import DatabasePlace, at
from .test_stores import HERE

ROOT = Path(__file__).resolve().parents[2]
ROLES = {
    f"TIMESCALE_{kind}_PASSWORD": f"s3cret-{kind}-71af" for kind in ("OWNER", "INGEST", "READ")
}


def spying(program, seen):
    """A program that notes how it was called, and then is the real one."""
    return (
        "#!/bin/sh\n"
        f"for what in cmdline environ; do tr '\\0' '\\n' < /proc/$$/$what; done >> {seen}\n"
        f'exec {program} "$@"\n'
    )


@at("native", "plain")
def test_no_password_shows(place, database, tmp_path, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    place.sql(f'ALTER DATABASE "{place.database}" SET log_statement = "all"')
    programs, seen = tmp_path / "programs", tmp_path / "seen"
    programs.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (programs / name).write_text(spying(place.server.bin / name, seen))
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    for name, value in ROLES.items():
        monkeypatch.setenv(name, value)
    other = DatabasePlace(place.server, database(place.server), set_up=False)
    shown = []

    def mrtrade(*arguments, fails=False, **environment):
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "ignore", "-m", "mrtrade", *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        assert bool(done.returncode) == fails, done.stderr
        shown.extend([done.stdout, done.stderr])

    store = place.open()
    store.write(*HERE, deltas((0, 1, True, 100, 1)))
    mrtrade("db", "roles", "--store", place.url)
    mrtrade("db", "status", "--store", place.url)
    mrtrade("db", "backup", str(tmp_path / "backup"), "--store", place.url)
    mrtrade("db", "restore", str(tmp_path / "backup"), "--store", other.url)
    mrtrade("db", "status", "--store", place.server.url("nowhere"), fails=True)
    wrong = "wr0ng-5b21"
    mrtrade("db", "status", "--store", place.url, fails=True, TIMESCALE_PASSWORD=wrong)
    mrtrade(
        "db",
        "backup",
        str(tmp_path / "b"),
        "--store",
        place.url,
        fails=True,
        TIMESCALE_PASSWORD=wrong,
    )
    in_address = place.url.replace("postgres@", f"postgres:{place.server.password}@")
    mrtrade("db", "status", "--store", in_address, fails=True)
    settings = load_settings(place.url)
    shown += [repr(settings), str(settings), settings.model_dump_json(), repr(store), store.url]
    called = seen.read_text()
    assert "pg_dump" in called
    assert "PGPASSFILE=/dev/fd/" in called
    shown += [called, caplog.text, place.server.log.read_text(errors="replace")]
    shown += [path.read_bytes().decode("latin1") for path in (tmp_path / "backup").iterdir()]
    for secret in (place.server.password, wrong, *ROLES.values()):
        for text in shown:
            assert secret not in text, re.sub(re.escape(secret), "<SECRET>", text)[:2_000]


def test_a_password_in_a_file_or_an_address_is_refused_and_not_repeated(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("host: here\npassword: s3cret-71af\n")
    for url in (
        f"timescale:{file}",
        "postgresql://me:s3cret-71af@here/db",
        "postgresql://me:s3cret-71af@[/",
    ):
        with pytest.raises((ConfigError, StoreError)) as caught:
            load_settings(url)
        assert "s3cret-71af" not in str(caught.value)


def test_no_file_of_the_tree_holds_a_password():
    names = subprocess.run(
        ["git", "ls-files", "*.yaml", "*.yml", ".env*", "*.toml", "*.sql", "*.sh", ".ci/*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(names) > 5
    for name in names:
        for line in (ROOT / name).read_text().splitlines():
            found = re.search(r"(?i)^[^#]*?(?:password|secret)[\w]*[\"']?\s*[:=]\s*(\S+)", line)
            assert found is None or found[1].startswith("${"), f"{name}: {line}"
