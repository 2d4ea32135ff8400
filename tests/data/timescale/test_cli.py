"""``mrtrade db`` as a person sees it."""

import os
import subprocess
import sys

from ...servers.plugin import on
from .make import rows, write


def run(settings, *arguments, columns=100):
    environment = {
        **os.environ,
        "TIMESCALE_PASSWORD": settings.password.get_secret_value(),
        "COLUMNS": str(columns),
    }
    command = [sys.executable, "-m", "mrtrade", "db", *arguments, "--store", settings.url]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@on("native", "plain")
def test_status_shows_server_rights_schema_and_rows(store, settings, server):
    write(store, "trades", rows("trades"))
    done = run(settings, "status")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    kind = {"native": "TimescaleDB 2.19.3 (apache) on PostgreSQL", "plain": "PostgreSQL"}
    assert f"store {settings.url}" in lines
    assert any(line.startswith(f"server {kind[server.kind]}") for line in lines)
    assert "you postgres, reads and writes, not encrypted" in lines
    [row] = [line for line in lines if line.startswith("trades ")]
    assert row.startswith("trades 1 1 40 2024-08-08 2024-08-08 ")
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


@on("plain")
def test_a_database_is_brought_up_and_twice_is_nothing(settings):
    before = run(settings, "status")
    assert before.returncode == 1
    assert "run mrtrade db init" in " ".join(before.stdout.split())
    assert "applied 001_tables.sql" in run(settings, "init").stdout
    again = run(settings, "migrate")
    assert again.returncode == 0
    assert "applied" not in again.stdout
    assert run(settings, "refresh").stdout == "0 days brought up to date\n"
    assert "mrtrade_owner no password now" in " ".join(run(settings, "roles").stdout.split())
    assert run(settings, "retain", "trades", "--days", "1").stdout.startswith("0 partitions")
