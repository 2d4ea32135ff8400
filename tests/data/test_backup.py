"""A backup restored is what was backed up; what fails leaves nothing; and no secret shows."""

import hashlib
import json
import os
import threading
from contextlib import closing

import pytest

from mrtrade.data.stores import open_store
from mrtrade.data.timescale import load_settings
from mrtrade.data.timescale.backup import backup, restore
from mrtrade.errors import StoreError

from .lake import deltas, trades
from .places import DatabasePlace, at
from .test_faults_db import HERE, content, write

SERVERS = ("native", "plain")


@pytest.fixture
def programs(place, monkeypatch):
    """pg_dump and pg_restore of the server's version are the first on the PATH."""
    monkeypatch.setenv("PATH", f"{place.server.bin}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def filled(place):
    """A database with an odd day, several series and tables."""
    store = place.open()
    write(store)
    two = trades((0, "buy", 1, 100, "ü"), (1, "sell", 2, 99, None))
    store.write("trades", "it's 🚀", "ETH/USDT", two)
    for day in range(3):
        rows = [(day * 86_400 * 10**9 + i, i, True, 100 + i, 1) for i in range(100)]
        store.write("book_seed", "BINANCE", "BTC/USDT", deltas(*rows))
    return place


@at(*SERVERS)
def test_what_is_restored_is_what_was_backed_up(filled, programs, database, tmp_path):
    before = content(filled)
    made = backup(load_settings(filled.url), tmp_path / "backup")
    assert (made.partitions, made.rows) == (5, 60_000 + 2 + 300)
    assert (made.timescale is None) == (filled.kind == "plain")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup"]
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    other = DatabasePlace(filled.server, database(filled.server), set_up=False)
    assert restore(load_settings(other.url), tmp_path / "backup") == made
    assert content(other) == before
    assert content(filled) == before
    with closing(open_store(other.url)) as store:  # and goes on as a store
        store.write(*HERE, deltas((10**9, 9, True, 100, 1)))
        assert len(store.read(*HERE)) == 60_001
    assert other.sql("SELECT trade_count FROM trade_flow_1m") == [(2,)]


@at("native")
def test_a_backup_is_of_one_moment_while_writers_go_on(filled, programs, database, tmp_path):
    stop, failed = threading.Event(), []

    def writer():
        try:
            with closing(open_store(filled.url)) as store:
                for number in range(1_000):
                    store.write("trades", "BUSY", "BTC/USDT", trades((number, "buy", 1, 9, "1")))
                    if stop.is_set():
                        return
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        made = backup(load_settings(filled.url), tmp_path / "backup")
    finally:
        stop.set()
        thread.join()
    assert failed == []
    other = DatabasePlace(filled.server, database(filled.server), set_up=False)
    assert restore(load_settings(other.url), tmp_path / "backup").rows == made.rows
    assert sum(row[0] for row in other.sql("SELECT rows FROM partitions")) == made.rows


@at(*SERVERS)
def test_a_backup_that_was_damaged_is_not_restored(filled, programs, database, tmp_path):
    made = tmp_path / "backup"
    backup(load_settings(filled.url), made)
    other = DatabasePlace(filled.server, database(filled.server), set_up=False)
    target = load_settings(other.url)
    with pytest.raises(StoreError, match="is there already"):
        backup(load_settings(filled.url), made)
    with pytest.raises(StoreError, match="the database is not empty"):
        restore(load_settings(filled.url), made)
    whole = (made / "dump").read_bytes()
    (made / "dump").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match="its bytes are not those that were written"):
        restore(target, made)
    # Half of a dump whose manifest fits: pg_restore fails, and nothing of it is left.
    (made / "dump").write_bytes(whole[: len(whole) // 2])
    manifest = json.loads((made / "backup.json").read_text())
    manifest["sha256"] = hashlib.sha256(whole[: len(whole) // 2]).hexdigest()
    (made / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="pg_restore failed"):
        restore(target, made)
    assert other.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    # A dump that is not the one of the manifest.
    (made / "dump").write_bytes(whole)
    manifest["sha256"] = hashlib.sha256(whole).hexdigest()
    manifest["ledger"] = "0" * 64
    (made / "backup.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="is not the one that was backed up"):
        restore(target, made)
    (made / "backup.json").unlink()
    with pytest.raises(StoreError, match="not a backup"):
        restore(target, made)


@at("plain")
def test_what_is_missing_is_named(place, tmp_path, monkeypatch):
    settings = load_settings(place.url)
    monkeypatch.setenv("PATH", str(tmp_path))
    for said in ("there is none on the PATH", "that on the PATH is 9"):
        with pytest.raises(
            StoreError, match=f"pg_dump of PostgreSQL 17 or later is needed, {said}"
        ):
            backup(settings, tmp_path / "backup")
        old = tmp_path / "pg_dump"
        old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6'\n")
        old.chmod(0o755)
    assert [path.name for path in tmp_path.iterdir()] == ["pg_dump"]


@at("plain")
def test_timescale_is_not_restored_into_a_server_without_it(place, programs, database, tmp_path):
    made = tmp_path / "backup"
    backup(load_settings(place.url), made)
    manifest = json.loads((made / "backup.json").read_text())
    (made / "backup.json").write_text(json.dumps(manifest | {"timescale": "2.19.3"}))
    other = DatabasePlace(place.server, database(place.server), set_up=False)
    with pytest.raises(StoreError, match=r"does not offer the TimescaleDB.*expected TimescaleDB 2"):
        restore(load_settings(other.url), made)
    assert other.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
