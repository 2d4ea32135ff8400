"""What `mrtrade.data.store` promises, on each kind of store: one suite for all."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from mrtrade.clock import NS_PER_DAY
from mrtrade.data.ingest import ingest
from mrtrade.data.schemas import SIDES, TABLES
from mrtrade.data.store import Source
from mrtrade.errors import StoreError

from .lake import DAY, SECOND, T0, deltas, put, trades
from .places import DATABASES, PLACES, at
from .recordings import recorded, series_of

HERE = ("book_delta_v2", "BINANCE", "BTC/USDT")
NEXT = "2024-08-09"
SOME = deltas((0, 1, True, 100, 1), (1, 1, False, 101, 2), (2, 2, True, 100, 0))

NAN = np.uint64(0x7FF8_0000_DEAD_BEEF).view(np.float64)  # with a payload
FLOATS = [5e-324, 0.1, 1 / 3, np.nextafter(1.0, 2.0), 63_000.01, 1.7e308]
TEXTS = [
    "",
    "7",
    "it's",
    '"; DROP TABLE trades; --',
    "\\.",
    "a\tb\nc\r",
    "\\N",
    "🚀 λ",
    "x" * 9_999,
]


def same(found, wanted):
    """Hold tables against each other, bit for bit."""
    assert found.schema.names == wanted.schema.names
    assert found.schema.types == wanted.schema.types
    assert len(found) == len(wanted)
    for name in wanted.column_names:
        assert bits(found[name]) == bits(wanted[name]), name


def bits(column):
    if pa.types.is_string(column.type):
        return column.to_pylist()  # None is not ""
    assert not column.null_count
    return np.ascontiguousarray(column.to_numpy()).tobytes()


def awkward(table, count=3_001):
    """Rows of a table, of whatever its columns may hold."""
    rng = np.random.default_rng(7)

    def values(column):
        if column.name == "received_time":  # to the nanosecond, many at one time
            return T0 + np.sort(rng.integers(0, count // 3, count)) * 1_001
        if column.name == "origin_time":
            return rng.choice([0, -1, T0 - 1_521 * 10**6 + 1, T0 + 999], count)
        if column.name in ("side",):
            return rng.choice(SIDES, count)
        if column.type == pa.string():
            texts = [*TEXTS, None] if column.gaps else TEXTS
            return [texts[i] for i in rng.integers(0, len(texts), count)]
        if column.type == pa.bool_():
            return rng.random(count) < 0.5
        if column.type == pa.int64():
            low = -1 if column.lowest is None else int(column.lowest)
            return rng.choice([low, low + 1, 2**53 + 1, 2**63 - 1], count)
        numbers = [*FLOATS, *([] if column.above else [0.0]), *([NAN] if column.gaps else [])]
        return rng.choice(np.array(numbers), count)

    columns = TABLES[table].columns
    return pa.table([pa.array(values(c), c.type) for c in columns], schema=TABLES[table].schema)


def whole(store):
    """All that a store holds, and its manifest without what depends on the kind of store."""
    return {
        series: (
            [(e.day, e.rows, e.first_received, e.last_received, e.sources) for e in entries],
            [bits(column) for column in store.read(*series).columns],
        )
        for series in store.series()
        if (entries := store.entries(*series))
    }


def verified(store):
    return [fault for series in store.series() for fault in store.verify(*series)]


@at(*PLACES)
def test_rows_of_every_table_come_back_bit_for_bit_in_their_order(place):
    store = place.open()
    wanted = {table: awkward(table) for table in TABLES}
    for table, rows in wanted.items():
        pieces = iter([rows.slice(0, 1), rows.slice(1, 2_000), rows.slice(2_001)])
        source = Source(f"awkward {table}", 1, "0" * 64, (DAY,))
        entry = store.write_day(table, "BINANCE", "BTC/USDT", DAY, [(source, pieces)], keep=False)
        times = rows["received_time"].to_pylist()
        assert (entry.rows, entry.first_received, entry.last_received) == (
            len(rows),
            times[0],
            times[-1],
        )
        assert entry.sources == (source,)
    again = place.open()
    assert again.series() == sorted((table, "BINANCE", "BTC/USDT") for table in TABLES)
    for table, rows in wanted.items():
        same(again.read(table, "BINANCE", "BTC/USDT"), rows)
    assert verified(again) == []


@at(*PLACES)
@pytest.mark.shared
def test_every_recording_comes_back_bit_for_bit(place, shared_data):
    """`liquidations_agg` is left out: hourly sums, for which there is no table."""
    store = place.open()
    report = ingest(shared_data / "lake", store)
    assert report.rows == 4_520_491
    assert ingest(shared_data / "lake", store).written == []
    for (table, exchange, symbol), rows in series_of(shared_data / "lake"):
        store.write(table, exchange, symbol, rows)
        assert store.write(table, exchange, symbol, rows) == []
    found = Counter()
    for series, rows in recorded(shared_data / "lake"):
        same(store.read(*series), rows)
        found[series[0]] += len(rows)
    assert found.total() == 4_520_491 + 1_200_543


@at(*PLACES)
def test_spans_end_before_their_end_to_the_nanosecond(place):
    store = place.open()
    count = 100
    times = [i * NS_PER_DAY // 40 for i in range(count)]
    rows = deltas(*[(t, i, True, 100, 1) for i, t in enumerate(times)])
    entries = store.write(*HERE, rows)
    assert [entry.day for entry in entries] == [DAY, NEXT, "2024-08-10"]
    assert store.days(*HERE) == [DAY, NEXT, "2024-08-10"]
    for a, b in [(0, 100), (3, 3), (3, 4), (13, 57), (39, 41), (40, 80), (80, 100)]:
        start, end = T0 + times[a], T0 + times[b] if b < count else None
        wanted = list(range(a, b))
        found = store.read(*HERE, start, end, ["size", "sequence_number"])
        assert found.column_names == ["size", "sequence_number"]
        assert found["sequence_number"].to_pylist() == wanted
        chunks = list(store.batches(*HERE, start, end))
        assert [n for c in chunks for n in c.rows["sequence_number"].to_pylist()] == wanted
        shifted = store.read(*HERE, start - 1, None if end is None else end + 1)
        assert shifted["sequence_number"].to_pylist() == list(range(a, min(b + 1, count)))
    for a, b, days in [(0, 100, 3), (0, 40, 1), (39, 41, 2), (41, 80, 1), (80, 100, 1)]:
        found = store.entries(*HERE, T0 + times[a], T0 + times[b - 1] + 1)
        assert len(found) == days


@at(*PLACES)
def test_what_is_not_there_is_said(place):
    store = place.open()
    with pytest.raises(StoreError, match="no trades of BINANCE BTC/USDT in the store"):
        store.read("trades", "BINANCE", "BTC/USDT")
    with pytest.raises(StoreError, match="unknown table"):
        store.read("trade", "BINANCE", "BTC/USDT")
    assert (store.series(), store.days(*HERE), store.entries(*HERE)) == ([], [], [])
    store.write(*HERE, SOME)
    with pytest.raises(StoreError, match="no trades of BINANCE BTC/USDT in the store"):
        store.read("trades", "BINANCE", "BTC/USDT")
    assert len(store.read(*HERE, T0 + SECOND)) == 0


@at(*PLACES)
def test_the_same_twice_is_stored_once(place, tmp_path):
    lake, store = tmp_path / "lake", place.open()
    put(lake, "book_delta_v2", SOME)
    put(lake, "trades", trades((0, "buy", 1, 100, "7")))
    ingest(lake, store)
    before, entries = whole(store), store.entries(*HERE)
    report = ingest(lake, place.open())
    assert (report.unchanged, report.written) == (2, [])
    assert whole(store) == before
    assert store.entries(*HERE) == entries
    assert store.write(*HERE, SOME)[0].rows == 3  # the same rows from another source
    assert store.write(*HERE, SOME) == []
    assert len(store.read(*HERE)) == 3


@at(*PLACES)
def test_late_data_is_merged_in(place, tmp_path):
    lake, store = tmp_path / "lake", place.open()
    put(lake, "book_delta_v2", deltas((10, 1, True, 100, 1), (20, 2, True, 100, 2)))
    ingest(lake, store)
    # between, at the same time as and after what is there; one row that is there already
    late = deltas(
        (15, 8, True, 99, 1), (20, 2, True, 100, 2), (20, 9, False, 101, 1), (30, 3, True, 98, 1)
    )
    put(lake, "book_delta_v2", late, name="2.parquet")
    # and a day before all of it
    put(lake, "book_delta_v2", deltas((-5, 0, True, 97, 1)), day="2024-08-07")
    alone = tmp_path / "alone"  # what came first need not be at hand
    for path in (*lake.rglob("2.parquet"), *lake.rglob("dt=2024-08-07/1.parquet")):
        target = alone / path.relative_to(lake)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    ingest(alone, store)
    assert store.read(*HERE)["sequence_number"].to_pylist() == [0, 1, 8, 2, 9, 3]
    assert [len(entry.sources) for entry in store.entries(*HERE)] == [1, 2]
    report = ingest(lake, store)  # both together are known by now
    assert report.written == []
    assert verified(store) == []


@at(*PLACES)
def test_a_corrected_day_replaces_itself_and_nothing_else(place, tmp_path):
    lake, store = tmp_path / "lake", place.open()
    for exchange in ("BINANCE", "COINBASE"):
        for day, shift in ((DAY, 0), (NEXT, NS_PER_DAY)):
            rows = deltas(*[(shift + i, i, True, 100, 1) for i in range(5)])
            put(lake, "book_delta_v2", rows, exchange=exchange, day=day)
    ingest(lake, store)
    before = whole(store)
    put(lake, "book_delta_v2", deltas((0, 7, True, 100, 1), (1, 8, False, 101, 3)))
    report = ingest(lake, store)
    assert [(entry.exchange, entry.day, entry.rows) for entry in report.written] == [
        ("BINANCE", DAY, 2)
    ]
    assert store.read(*HERE)["sequence_number"].to_pylist() == [7, 8, 0, 1, 2, 3, 4]
    after = whole(store)
    coinbase = ("book_delta_v2", "COINBASE", "BTC/USDT")
    assert after[coinbase] == before[coinbase]
    assert after[HERE][0][1] == before[HERE][0][1]
    assert verified(store) == []
    put(lake, "book_delta_v2", deltas((NS_PER_DAY + 9, 9, True, 100, 1)))  # its rows leave the day
    assert ingest(lake, store).removed == [f"book_delta_v2 BINANCE BTC/USDT {DAY}"]
    assert store.days(*HERE) == [NEXT]
    store.remove_day(*HERE, NEXT)
    assert store.series() == [coinbase]


@at(*PLACES)
def test_an_interrupted_ingest_is_resumed(place, tmp_path):
    lake, store = tmp_path / "lake", place.open()
    for day in range(4):
        name = str(np.datetime64(DAY) + np.timedelta64(day, "D"))
        rows = deltas(*[(day * NS_PER_DAY + i, i, True, 100, 1 + day) for i in range(1_000)])
        put(lake, "book_delta_v2", rows, day=name)

    def dies(what, done, total):
        if (what, done) == ("writing", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(lake, store, dies)
    store = place.open()
    assert [entry.rows for entry in store.entries(*HERE)] == [1_000, 1_000]
    assert verified(store) == []
    report = ingest(lake, store)
    assert [entry.rows for entry in report.written] == [1_000, 1_000]
    assert len(store.read(*HERE)) == 4_000


@at(*PLACES)
def test_a_source_that_breaks_off_leaves_what_was(place):
    store = place.open()
    store.write(*HERE, SOME)
    before = whole(store)
    rows = awkward("book_delta_v2", 300_000)

    def breaks_off():
        yield rows.slice(0, 200_000)
        raise OSError("the disk is gone")

    for keep in (False, True):
        source = Source("breaks off", 1, "1" * 64, (DAY,))
        with pytest.raises(OSError, match="the disk is gone"):
            store.write_day(*HERE, DAY, [(source, breaks_off())], keep=keep)
        assert whole(store) == before
        assert verified(store) == []
    store.write(*HERE, deltas((9, 9, True, 100, 1)))
    assert len(store.read(*HERE)) == 4


@at(*PLACES)
def test_a_flipped_bit_is_found(place):
    store = place.open()
    for day in range(3):
        rows = [(day * NS_PER_DAY + i, i, True, 100 + i / 10, 1) for i in range(1_000)]
        store.write(*HERE, deltas(*rows))
    entry = store.entries(*HERE)[1]
    assert store.verify(*HERE) == []
    place.flip_a_bit(entry)
    [fault] = place.open().verify(*HERE)
    assert entry.day in fault
    assert place.open().verify(*HERE, T0, T0 + NS_PER_DAY) == []
    rows = [(NS_PER_DAY + i, i, True, 100 + i / 10, 1) for i in range(1_000)]
    store.remove_day(*HERE, entry.day)  # the remedy: once more from the source
    store.write(*HERE, deltas(*rows))
    assert place.open().verify(*HERE) == []


WRITER = """
import sys, time
from mrtrade.data.ingest import ingest
from mrtrade.data.stores import open_store
from mrtrade.errors import BusyError
from tests.data.lake import deltas
from tests.data.test_stores import HERE, ROUNDS
url, lake, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(url)
print("ready", flush=True)
sys.stdin.readline()

def until_done(write):
    while True:
        try:
            return write()
        except BusyError:
            time.sleep(0.01)

for turn in range(ROUNDS):
    rows = deltas(*[(2 * (turn + ROUNDS * i) + number, i, True, 100, number) for i in range(50)])
    until_done(lambda: store.write(*HERE, rows))
until_done(lambda: ingest(lake, store))
store.close()
"""
ROUNDS = 8


@at("parquet", "s3", "native", "plain")  # WASM: all connections are one session, and hold its locks
def test_writers_at_the_same_time_lose_and_double_nothing(place, tmp_path, pytestconfig):
    """Two processes add to the same day in turns, and bring in the same file."""
    put(tmp_path / "lake", "trades", trades(*[(i, "buy", 1, 100, str(i)) for i in range(2_000)]))
    place.open()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, place.url, str(tmp_path / "lake"), str(number)],
            cwd=pytestconfig.rootpath,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in (0, 1)
    ]
    for writer in writers:
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.communicate()[1] == b""
        assert writer.returncode == 0
    store = place.open()
    assert len(store.read("trades", "BINANCE", "BTC/USDT")) == 2_000
    found = store.read(*HERE)
    assert found["received_time"].to_pylist() == list(range(T0, T0 + 100 * ROUNDS))
    assert found["size"].to_pylist() == [0.0, 1.0] * (50 * ROUNDS)
    assert len(store.entries(*HERE)[0].sources) == 2 * ROUNDS
    assert verified(store) == []


@at(*DATABASES)
def test_a_backfill_survives_all_jobs_and_is_in_the_aggregates(place):
    """Policies must not eat old data, and materialised aggregates must not pass it over."""
    store = place.open()
    now = [(i * SECOND, "buy", 1, 100, str(i)) for i in range(60)]
    store.write("trades", "BINANCE", "BTC/USDT", trades(*now))
    run_all_jobs(place)
    years = 6 * 365 * NS_PER_DAY
    old = [
        (i * SECOND - years, "buy" if i % 3 else "sell", 2, 50 + i, str(i)) for i in range(3_600)
    ]
    store.write("trades", "BINANCE", "BTC/USDT", trades(*old))
    run_all_jobs(place)
    assert len(store.read("trades", "BINANCE", "BTC/USDT")) == 3_660
    assert verified(store) == []
    minutes = place.sql(
        "SELECT trade_count, volume, buy_volume, open, high, low, close FROM trade_flow_1m "
        "ORDER BY bucket"
    )
    assert len(minutes) == 61
    assert minutes[0] == (60, 120.0, 80.0, 50.0, 109.0, 50.0, 109.0)
    assert sum(row[0] for row in minutes) == 3_660
    hours = place.sql("SELECT trade_count, volume FROM trade_flow_1h ORDER BY bucket")
    assert hours == [(3_600, 7_200.0), (60, 60.0)]


def run_all_jobs(place):
    if place.kind == "wasm":
        jobs = place.sql("SELECT job_id FROM timescaledb_information.jobs ORDER BY job_id")
        assert jobs
        for (job,) in jobs:
            place.sql("CALL run_job(%s)", job)
