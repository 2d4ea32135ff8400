"""The servers are what they say they are."""

import subprocess

import psutil
import psycopg
import pytest

from .address import ServerError, made_once, need
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


@on("wasm")
def test_the_wasm_build_has_the_community_edition(server, database):
    with server.connect(database(server)) as connection:
        run = connection.execute
        run("CREATE EXTENSION timescaledb")
        run("CREATE TABLE rows (time timestamptz NOT NULL, value float8)")
        run("SELECT create_hypertable('rows', by_range('time'))")
        run("ALTER TABLE rows SET (timescaledb.enable_columnstore)")
        run(
            "CREATE MATERIALIZED VIEW minutes WITH (timescaledb.continuous) AS SELECT "
            "time_bucket('1 minute', time) AS minute, count(*) FROM rows GROUP BY 1 WITH NO DATA"
        )
        with connection.cursor().copy("COPY rows FROM STDIN") as copy:
            for second in range(90):
                copy.write_row((f"2024-01-01 00:{second // 60:02}:{second % 60:02}+00", second))
        run("CALL refresh_continuous_aggregate('minutes', NULL, NULL)")
        assert run("SELECT count FROM minutes ORDER BY minute").fetchall() == [(60,), (30,)]
        run("SELECT compress_chunk(show_chunks('rows'))")
        assert run("SELECT sum(value) FROM rows").fetchone() == (4005,)
    assert "community" in server.label


@on("wasm")
def test_connections_to_wasm_take_turns_and_leave_nothing(server, database):
    one, other = database(server), database(server)
    with server.connect(one) as first, server.connect(one) as second:
        first.execute("CREATE TABLE rows (x int)")
        first.execute("SET work_mem = '1MB'")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            with first.cursor().copy("COPY rows FROM STDIN") as copy:
                copy.write("1\nno number\n")
        with first.transaction():
            first.execute("INSERT INTO rows VALUES (1)")
        assert second.execute("SELECT x FROM rows").fetchall() == [(1,)]
        first.execute("BEGIN")
        first.execute("INSERT INTO rows VALUES (2)")
        first.close()  # in a transaction
        assert second.execute("SELECT x FROM rows").fetchall() == [(1,)]
    with server.connect(one) as third:
        assert third.execute("SHOW work_mem").fetchone() == ("4MB",)
    with server.connect(other) as elsewhere:
        assert elsewhere.execute("SELECT to_regclass('rows')").fetchone() == (None,)


@on("s3")
def test_s3_keeps_objects(server, database):
    client, bucket = server.client(), database(server)
    client.put_object(Bucket=bucket, Key="a/b", Body=b"content")
    assert client.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"content"
    assert bucket in [one["Name"] for one in client.list_buckets()["Buckets"]]


def test_a_command_that_is_missing_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerError, match=r"no node, npm found \(Debian: apt install nodejs npm\)"):
        need("node", "npm")


def test_a_folder_is_never_half_made(tmp_path):
    def fails(folder):
        folder.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_once(tmp_path / "folder", fails)
    assert [path.name for path in tmp_path.iterdir()] == [".folder.lock"]
    assert made_once(tmp_path / "folder", lambda folder: folder.mkdir()).is_dir()
    assert made_once(tmp_path / "folder", fails).is_dir()
