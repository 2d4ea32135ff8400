"""What goes in comes out: bit for bit, in order, by the nanosecond, or an error says why not."""

import threading

import numpy as np
import pyarrow as pa
import pytest

from mrtrade.data.digest import Digest
from mrtrade.data.schemas import SQL_NAMES, TABLES
from mrtrade.data.timescale import ledger
from mrtrade.data.timescale.connection import connect
from mrtrade.data.timescale.layout import layout
from mrtrade.data.timescale.reading import windows
from mrtrade.errors import StoreError

from ...servers.plugin import on
from .make import DAY, START, rows, same, sql, write

EVERYWHERE = on("native", "plain", "wasm")
HERE = ("trades", "BINANCE", "BTC/USDT")


@EVERYWHERE
def test_every_table_comes_back_bit_for_bit(store):
    for table in TABLES:
        content = rows(table)
        entry = write(store, table, content)
        assert same(store.read(table, "binance", "BTC-USDT"), content), table
        assert store.verify(table, "BINANCE", "BTC/USDT") == []
        assert entry == store.entries(table, "BINANCE", "BTC/USDT")[0]
        assert (entry.rows, entry.first_received) == (40, START)
        wanted = [content.column_names[-1], content.column_names[0]]
        some = store.read(table, "BINANCE", "BTC/USDT", columns=wanted)
        assert same(some, content.select(wanted)), table


@EVERYWHERE
def test_columns_in_sql_are_those_of_the_layout(store, settings):
    for table, name in SQL_NAMES.items():
        found = sql(
            settings,
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s",
            name,
        )
        expected = {part.name for part in layout(table).parts()} | {"symbol_id", "row_no"}
        assert {column for (column,) in found} == expected


@on("plain", "wasm")
def test_any_span_is_cut_by_the_nanosecond_and_in_order(store, monkeypatch):
    monkeypatch.setattr(ledger, "MARK_ROWS", 7)
    times = START + np.sort(np.random.default_rng(1).integers(0, 40_000, 200))
    times[50:80] = times[50]  # more rows of one moment than lie between two marks
    content = rows("trades", 200)
    content = content.set_column(1, content.schema.field(1), pa.array(times))
    write(store, "trades", content)
    for low, high in [(0, 40_000), (1, 2), (times[50] - START, times[50] - START + 1)] + [
        tuple(sorted(pair)) for pair in np.random.default_rng(2).integers(0, 40_000, (12, 2))
    ]:
        a, b = np.searchsorted(times, [START + low, START + high])
        start, end = int(START + low), int(START + high)
        assert same(store.read(*HERE, start, end), content.slice(a, b - a))
        first = a
        for chunk in store.batches(*HERE, start, end):
            assert chunk.first_row == first
            first += len(chunk.rows)


def test_marks_split_a_partition_into_windows_of_whole_microseconds():
    marker = ledger.Marker()
    times = np.repeat(START + np.arange(0, 300_000, 1_500), 1_000)
    for piece in np.array_split(times, [10, 11, 70_000, 150_000]):
        marker.add(piece)
    assert marker.rows[0] == 0
    assert all(times[row] // 1_000 != times[row - 1] // 1_000 for row in marker.rows[1:])
    assert np.all(np.diff(marker.rows) >= ledger.MARK_ROWS)
    assert np.all(np.diff(marker.rows) < ledger.MARK_ROWS + 2_000)
    assert marker.times == [times[row] // 1_000 for row in marker.rows]


def test_a_fingerprint_does_not_depend_on_the_pieces_but_on_every_value():
    content = rows("trades")

    def of(*pieces):
        digest = Digest(content.schema)
        for piece in pieces:
            digest.add(piece)
        return digest.sha256()

    assert of(content) == of(content.slice(0, 13), content.slice(13, 1), content.slice(14))
    for at, field in enumerate(content.schema):
        other = content.set_column(at, field, content.column(at).take(pa.array([1, *range(1, 40)])))
        assert of(other) != of(content), field.name


@on("plain")
def test_rows_that_are_gone_or_changed_behind_its_back_are_noticed(store, settings):
    content = rows("trades")
    write(store, "trades", content)
    sql(settings, "UPDATE trades SET price = 2 WHERE row_no = 3")
    assert store.verify(*HERE) == [
        f"trades BINANCE BTC-USDT {DAY}: its values are not those that were written"
    ]
    sql(settings, "DELETE FROM trades WHERE row_no = 39")
    with pytest.raises(StoreError, match=r"39 rows.*expected rows 0 to 39"):
        store.read(*HERE)
    sql(settings, "DELETE FROM trades WHERE row_no = 20")
    with pytest.raises(StoreError, match="behind the store's back"):
        store.read(*HERE, START + 3_000)
    assert len(store.verify(*HERE)) == 1


@on("plain")
def test_a_day_replaced_while_it_is_read_is_an_error_not_a_mixture(store, monkeypatch):
    monkeypatch.setattr(ledger, "MARK_ROWS", 5)
    write(store, "trades", rows("trades"))
    reading = store.batches(*HERE)
    next(reading)
    write(store, "trades", rows("trades", 39))
    with pytest.raises(StoreError, match="replaced while it was read"):
        list(reading)


@on("native", "plain")
def test_a_writer_waits_for_another_of_the_same_series_only(store):
    content = rows("trades")
    held, done = threading.Event(), threading.Event()

    def hold():
        with store.writing([HERE]):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        with pytest.raises(StoreError, match=r"another process is writing.*lock_timeout_s"):
            write(store, "trades", content)
        with pytest.raises(StoreError, match="another process is writing"), store.writing():
            pass
        write(store, "trades", content, symbol="ETH/USDT")
    finally:
        done.set()
        holder.join()
    write(store, "trades", content)  # what was refused works now: no lock is left


@EVERYWHERE
def test_blocks_of_writing_nest_and_leave_nothing_locked(store, settings):
    with store.writing(), store.writing([HERE]), store.writing([HERE]):
        write(store, "trades", rows("trades"))
    with connect(settings) as connection:
        left = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
    assert left == (0,)


@EVERYWHERE
def test_kept_rows_are_merged_and_a_fault_leaves_what_was(store):
    old, new = rows("trades", 20, 1_000), rows("trades", 30, 700)
    write(store, "trades", old)
    entry = write(store, "trades", new, keep=True, name="b")
    assert [one.name for one in entry.sources] == ["a", "b"]
    merged = store.read(*HERE)
    assert len(merged) == entry.rows
    assert np.all(np.diff(merged["received_time"].to_numpy()) >= 0)

    def broken():
        yield old
        raise RuntimeError("the disk of the source")

    for keep in (False, True):
        with pytest.raises(RuntimeError):
            store.write_day(*HERE, DAY, [(entry.sources[0], broken())], keep=keep)
        assert same(store.read(*HERE), merged)
    late = rows("trades", 2, 86_400 * 10**9)
    with pytest.raises(StoreError, match="not of that day"):
        write(store, "trades", late)
    with pytest.raises(StoreError, match="no rows"):
        write(store, "trades", old.slice(0, 0))
    assert same(store.read(*HERE), merged)
    assert store.verify(*HERE) == []


@EVERYWHERE
def test_removed_days_are_gone(store):
    write(store, "trades", rows("trades"))
    store.remove_day(*HERE, DAY)
    assert store.series() == []
    with pytest.raises(StoreError, match=r"no trades of BINANCE BTC/USDT in the store"):
        store.read(*HERE)
    with pytest.raises(StoreError, match="no trades"):
        store.remove_day(*HERE, DAY)


def test_windows_of_a_span_are_cut_at_its_edges():
    marks = np.array([0, 10, 20]), np.array([5, 50, 500])
    entry = type("E", (), {"rows": 30, "last_received": 900_000})()
    partition = ledger.Partition(entry, 1, *marks)
    found = [
        (w.start_us, w.end_us, w.first_row, w.rows) for w in windows(partition, 7_001, 501_000)
    ]
    assert found == [(7, 50, None, None), (50, 500, 10, 10), (500, 501, None, None)]
