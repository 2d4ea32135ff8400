"""The servers are what they say they are."""

import subprocess

import psutil
import psycopg
import pytest

from .plugin import on

POSTGRES = ("native", "plain")


@on(*POSTGRES)
def test_a_server_is_real(server, database):
    name = database(server)
    with server.connect(name) as connection:
        preloaded = connection.execute("SHOW shared_preload_libraries").fetchone()[0]
        assert preloaded == {"native": "timescaledb", "plain": ""}[server.kind]
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
        [pid] = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert psutil.Process(pid).ppid() == server.pid
    assert ("TimescaleDB" in server.label) == (server.kind == "native")


@on(*POSTGRES)
def test_the_password_is_asked_for(server):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        server.connect(password="wrong")


@on(*POSTGRES)
def test_a_killed_server_starts_again(server, database):
    name = database(server)
    with server.connect(name) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        children = psutil.Process(server.pid).children()
        server.kill()
        assert not any(psutil.pid_exists(process.pid) for process in children)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    server.start()
    with server.connect(name) as connection:
        assert connection.execute("SELECT one FROM kept").fetchall() == [(1,)]


@on("native")
def test_client_programs_are_of_its_version(server):
    for program in ("pg_dump", "pg_restore", "psql"):
        out = subprocess.run([server.bin / program, "--version"], capture_output=True, text=True)
        assert "17." in out.stdout
        assert "17." in server.label
