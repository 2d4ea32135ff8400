"""Databases that fail in the middle: what was stored stays, nothing is doubled, nothing half there.

On servers with processes of their own: WASM has a single backend, and nothing to kill.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import psycopg
import pyarrow as pa
import pytest

from mrtrade.data.store import Source
from mrtrade.data.stores import open_store
from mrtrade.data.timescale import TimescaleSettings, TimescaleStore, load_settings
from mrtrade.data.timescale.roles import make_roles
from mrtrade.errors import BusyError, ConfigError, StoreError

from ..servers.debian import plain
from .lake import DAY, T0, deltas
from .places import DatabasePlace, at
from .test_stores import HERE, SOME, awkward, bits, verified

SERVERS = ("native", "plain")
ROWS = awkward("book_delta_v2", 60_000)


def content(place):
    """All rows and the ledger, as the database has them."""
    with closing(open_store(place.url)) as store:
        rows = {series: [bits(c) for c in store.read(*series).columns] for series in store.series()}
        counted = place.sql("SELECT count(*) FROM order_book_deltas")
        [listed] = place.sql(
            "SELECT coalesce(sum(rows), 0)::bigint FROM partitions "
            "WHERE table_name = 'book_delta_v2'"
        )
        assert counted == [listed]
        assert verified(store) == []
    return rows, place.sql("SELECT sha256, sources::text FROM partitions ORDER BY 1")


def write(store, rows=ROWS, *, keep=False, meanwhile: Callable[[], None] = lambda: None):
    """Write a day; `meanwhile` happens when half of the rows went to the server."""

    def pieces() -> Iterator[pa.Table]:
        yield rows.slice(0, len(rows) // 2)
        meanwhile()
        yield rows.slice(len(rows) // 2)

    source = Source(f"of {len(rows)} rows", 1, "1" * 64, (DAY,))
    return store.write_day(*HERE, DAY, [(source, pieces())], keep=keep)


def backend_in_copy(place) -> int:
    """Wait until a COPY has worked off what it was sent; return its process on the server."""
    for _ in range(3_000):
        found = place.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND query LIKE 'COPY %' AND wait_event = 'ClientRead'"
        )
        if found:
            return found[0][0]
        time.sleep(0.01)
    raise AssertionError("no COPY is under way")


def kill_server(place):
    backend_in_copy(place)
    place.server.kill()
    place.server.start()


def kill_backend(place):
    os.kill(backend_in_copy(place), signal.SIGKILL)


def terminate_backend(place):
    place.sql("SELECT pg_terminate_backend(%s)", backend_in_copy(place))


def is_up(place):
    """Wait until the server has recovered."""
    for _ in range(1_000):
        with suppress(psycopg.OperationalError):
            place.sql("SELECT 1")
            return
        time.sleep(0.01)
    raise AssertionError("the server did not come back")


@at(*SERVERS)
@pytest.mark.parametrize("fault", [kill_server, kill_backend, terminate_backend])
def test_a_server_that_dies_in_mid_copy(place, fault):
    store = place.open()
    store.write(*HERE, SOME)
    before = content(place)
    with pytest.raises(StoreError, match=f":{place.server.port}/"):
        write(store, meanwhile=lambda: fault(place))
    is_up(place)
    assert content(place) == before
    entry = write(store)  # the same store connects anew
    assert entry.rows == len(ROWS)
    assert len(store.read(*HERE)) == len(ROWS)
    assert verified(store) == []


@at("native")
def test_a_server_that_dies_while_rows_are_merged(place):
    store = place.open()
    write(store, ROWS.slice(0, 30_000))
    before = content(place)

    def dies():
        place.server.kill()
        place.server.start()

    late = deltas((5, 9, True, 100, 1), (10**12, 9, True, 100, 2), raw=False)
    with suppress(StoreError):  # what reads the stored rows may try again, and succeed
        write(store, late, keep=True, meanwhile=dies)
        assert len(store.read(*HERE)) == 30_002
        assert verified(store) == []
        return
    assert content(place) == before


@at("native")
def test_a_read_goes_on_where_the_server_came_back(place):
    store = place.open()
    rows = awkward("book_delta_v2", 200_000)
    write(store, rows)
    seen = []
    for chunk in store.batches(*HERE):
        if not seen:
            place.server.kill()
            place.server.start()
        seen.append(chunk.rows)
    assert len(seen) > 1
    assert [bits(c) for c in pa.concat_tables(seen).columns] == [bits(c) for c in rows.columns]


CLIENT = """
import os, signal, sys
from mrtrade.data.store import Source
from mrtrade.data.stores import open_store
from tests.data.lake import DAY
from tests.data.test_faults_db import HERE, write
from tests.data.places import *

def dies():
    print("half", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)

write(open_store(sys.argv[1]), keep=sys.argv[2] == "True", meanwhile=dies)
"""


@at(*SERVERS)
@pytest.mark.parametrize("keep", [False, True])
def test_a_client_that_is_killed(place, keep, pytestconfig):
    store = place.open()
    store.write(*HERE, SOME)
    before = content(place)
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, place.url, str(keep)],
        cwd=pytestconfig.rootpath,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdout.readline() == b"half\n"
        with closing(TimescaleStore(settings=settings(place, lock_timeout_s=0.2))) as other:
            with pytest.raises(BusyError):  # the series is taken
                other.write(*HERE, SOME.slice(1))
        client.communicate(b"\n")
        assert client.returncode == -signal.SIGKILL
    store.write(*HERE, deltas((9, 9, True, 100, 1)))  # and has let it go
    store.remove_day(*HERE, DAY)
    store.write(*HERE, SOME)
    assert content(place) == before


def settings(place, **values) -> TimescaleSettings:
    return load_settings(place.url).model_copy(update=values)


@contextmanager
def limited(*prefix: str) -> Iterator[DatabasePlace]:
    """A server of its own, under a limit."""
    with plain(*prefix) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        server.make_database("small")
        place = DatabasePlace(server, "small")
        yield place
        place.close()


@pytest.mark.server("plain")
def test_a_file_that_may_not_grow():
    with limited("prlimit", f"--fsize={20 << 20}") as place:
        store = place.open()
        store.write(*HERE, SOME)
        before = content(place)
        with pytest.raises(StoreError, match="could not extend file"):
            write(store, awkward("book_delta_v2", 400_000))
        assert content(place) == before
        write(store, ROWS.slice(0, 1_000))
        assert len(store.read(*HERE)) == 1_000


@at(*SERVERS)
def test_a_disk_that_is_full(place, monkeypatch):
    with place.server.small_disk(32) as tablespace:
        name = f"{place.database}-small"
        place.server.make_database(name, tablespace)
        try:
            small = DatabasePlace(place.server, name)
            store = small.open()
            store.write(*HERE, SOME)
            before = content(small)
            with pytest.raises(StoreError, match=r"No space left on device.*make room"):
                write(store, awkward("book_delta_v2", 400_000))
            assert content(small) == before
            small.sql("VACUUM order_book_deltas")  # as the server does by itself in its time
            write(store, ROWS.slice(0, 1_000))
            assert len(store.read(*HERE)) == 1_000
            small.close()
        finally:
            place.server.drop_database(name)


@at(*SERVERS)
def test_who_is_refused_is_told_once(place, monkeypatch):
    before = content(place)
    port = place.server.port
    for url, said in {
        place.server.url(place.database): "password authentication failed.*TIMESCALE_PASSWORD",
        place.server.url(
            place.database, "nobody"
        ): 'password authentication failed for user "nobody"',
        place.server.url("nowhere"): 'database "nowhere" does not exist',
        f"postgresql://postgres@127.0.0.1:{port}/{place.database}?sslmode=require": "SSL",
    }.items():
        wrong = "wrong-9f2c" if "authentication" in said else place.server.password
        monkeypatch.setenv("TIMESCALE_PASSWORD", wrong)
        tries = place.server.log.read_text().count("FATAL")
        with pytest.raises(StoreError, match=said) as caught:
            open_store(url)
        assert wrong not in str(caught.value)
        if "SSL" not in said:  # a refusal is final: to try again would lock an account
            assert place.server.log.read_text().count("FATAL") == tries + 1
    monkeypatch.setenv("TIMESCALE_PASSWORD", place.server.password)
    assert content(place) == before


def test_a_server_that_is_not_there_is_said_and_tried_again(monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setenv("TIMESCALE_PASSWORD", "secret-9f2c")
    with pytest.raises(StoreError, match=r"refused") as caught:
        open_store("postgresql://someone@127.0.0.1:1/nowhere")
    assert "secret-9f2c" not in str(caught.value)
    assert pauses == [0.2, 0.4, 0.8, 1.6]


@at(*SERVERS)
def test_who_may_only_read_writes_nothing(place, monkeypatch):
    store = place.open()
    write(store, ROWS.slice(0, 1_000))
    monkeypatch.setenv("TIMESCALE_READ_PASSWORD", "only-reads-4c1d")
    make_roles(load_settings(place.url))
    before = content(place)
    monkeypatch.setenv("TIMESCALE_PASSWORD", "only-reads-4c1d")
    with closing(open_store(place.server.url(place.database, "mrtrade_read"))) as reader:
        assert [bits(c) for c in reader.read(*HERE).columns] == [
            bits(c) for c in ROWS.slice(0, 1_000).columns
        ]
        assert reader.verify(*HERE) == []
        for act in (
            lambda: reader.write(*HERE, SOME),
            lambda: reader.remove_day(*HERE, DAY),
            lambda: write(reader, keep=True),
            lambda: write(reader, keep=False),
        ):
            with pytest.raises(StoreError, match=r"read-only|permission denied"):
                act()
    monkeypatch.setenv("TIMESCALE_PASSWORD", place.server.password)
    assert content(place) == before


ODD = [
    "it's",
    'a"b',
    "x'; DROP TABLE trades; --",
    'x"; DROP TABLE trades; --',
    "%s %(a)s {} \\",
    "🚀",
    "λ" * 60,
]


@at(*SERVERS, "wasm")
def test_odd_names_of_exchanges_are_names(place):
    store = place.open()
    for number, name in enumerate(ODD):
        rows = deltas((number, number, True, 100 + number, 1))
        store.write("book_delta_v2", name, "BTC/USDT", rows)
    again = place.open()
    assert {exchange for _, exchange, _ in again.series()} == {name.upper() for name in ODD}
    for number, name in enumerate(ODD):
        found = again.read("book_delta_v2", name, "BTC/USDT")
        assert found["sequence_number"].to_pylist() == [number]
        assert len(again.entries("book_delta_v2", name, "BTC/USDT")) == 1
    again.remove_day("book_delta_v2", ODD[2], "BTC/USDT", DAY)
    assert len(again.series()) == len(ODD) - 1
    assert verified(again) == []
    place.sql("SELECT FROM trades")


@at(*SERVERS)
def test_odd_symbols_are_refused_before_the_database_hears_of_them(place):
    store = place.open()
    store.write(*HERE, SOME)
    before = content(place)
    place.sql(f'ALTER DATABASE "{place.database}" SET log_statement = "all"')
    store = place.open()
    store.read(*HERE)
    assert "BTC-USDT" in place.server.log.read_text()
    for name in ODD:
        symbol = f"{name}-7e55/USDT"
        for act in (store.read, store.entries, store.days, store.verify):
            with pytest.raises(ConfigError):
                act("book_delta_v2", "BINANCE", symbol)
        with pytest.raises(ConfigError):
            store.write("book_delta_v2", "BINANCE", symbol, SOME)
        with pytest.raises(ConfigError):
            store.write_day("book_delta_v2", "BINANCE", symbol, DAY, [], keep=False)
    assert "7e55" not in place.server.log.read_text().lower()
    assert content(place) == before


@at(*SERVERS, "wasm")
def test_text_that_no_database_keeps_is_refused_whole(place):
    """PostgreSQL has no text with a character of code 0."""
    store = place.open()
    good = awkward("trades", 100)
    here = ("trades", "BINANCE", "BTC/USDT")
    source = Source("good", 1, "2" * 64, (DAY,))
    store.write_day(*here, DAY, [(source, iter([good]))], keep=False)
    ids = [f"a\0{number}" for number in range(100)]
    at_column = good.schema.get_field_index("trade_id")
    bad = good.set_column(at_column, good.schema.field(at_column), pa.array(ids))
    for keep in (False, True):
        with pytest.raises(StoreError, match="0x00"):
            store.write_day(*here, DAY, [(source, iter([bad]))], keep=keep)
    assert [bits(c) for c in store.read(*here).columns] == [bits(c) for c in good.columns]
    assert verified(store) == []


@at(*SERVERS)
def test_a_statement_that_takes_too_long_is_ended(place):
    store = place.open()
    write(store)
    before = content(place)
    hasty = TimescaleStore(settings=settings(place, statement_timeout_s=0.3))
    locked, done = threading.Event(), threading.Event()

    def hold():
        with place.server.connect(place.database) as other, other.transaction():
            other.execute("LOCK TABLE order_book_deltas IN ACCESS EXCLUSIVE MODE")
            locked.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(30)
    try:
        with pytest.raises(StoreError, match=r"statement timeout.*raise statement_timeout_s"):
            hasty.read(*HERE)
        with pytest.raises(StoreError, match=r"statement timeout.*raise statement_timeout_s"):
            write(hasty)
    finally:
        done.set()
        holder.join()
    assert len(hasty.read(*HERE, T0, T0 + 10**6)) > 0  # its connections are as good as before
    hasty.close()
    assert content(place) == before
