"""Days from the bucket into a store: whole, once, and with every hole told."""

import errno
import shutil
import threading
from collections import namedtuple
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.data.download import Download, download, prepare, run
from mrtrade.data.download.plan import STORED_PER_FETCHED
from mrtrade.data.download.quality import measure
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.providers.lake import CryptoLakeProvider
from mrtrade.data.store import Chunk
from mrtrade.errors import BusyError, ConfigError, SourceError, StoreError
from tests.lake.make import BUCKET, ROOT, key_of, put_day, rows_of, to_bytes
from tests.servers.plugin import on

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
SPAN = ("2024-01-01", "2024-01-04")
HOUR_NS = NS_PER_DAY // 24


@pytest.fixture
def store(tmp_path):
    return ParquetStore(tmp_path / "store")


@pytest.fixture
def get(store, provider):
    """Download trades of BTC/USDT, or what is asked for."""

    def get(symbol="BTC/USDT", span=SPAN, **options):
        options = {"tables": ["trades"], "store": store, "provider": provider, **options}
        return download(symbol, *span, **options)

    return get


def put_days(stub, *tables, days=DAYS, **where):
    return {(table, day): put_day(stub, table, day, **where) for table in tables for day in days}


def content(store):
    """Series -> its rows and where they came from."""
    return {
        series: (store.read(*series), [entry.sources for entry in store.entries(*series)])
        for series in store.series()
    }


def replaced(rows, name, values):
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


def with_bad_price(rows, at):
    prices = rows["price"].to_pylist()
    for one in at:
        prices[one] = -1.0
    return replaced(rows, "price", prices)


def statuses(report):
    return {key: day.status for key, day in report.days.items()}


def test_the_default_tables_arrive_and_a_rerun_does_nothing(stub, store, get):
    put = put_days(stub, "book_delta_v2", "trades", "book")
    report = get(tables=None)
    assert report.is_complete
    assert report.plan.absent == ("candles",)
    assert set(statuses(report).values()) == {"written"}
    for table in ("book_delta_v2", "trades", "book"):
        assert store.days(table, "BINANCE", "BTC/USDT") == list(DAYS)
        rows = pa.concat_tables([put[table, day] for day in DAYS])
        stored = store.read(table, "BINANCE", "BTC/USDT")
        assert stored["received_time"].to_pylist() == rows["receipt_timestamp"].to_pylist()
    before = content(store)
    stub.requests.clear()
    again = get(tables=None)
    assert set(statuses(again).values()) == {"held"}
    assert [day.quality for day in again.days.values()] == [
        day.quality for day in report.days.values()
    ]
    assert stub.count("GET", ".parquet") == 0
    assert content(store) == before


def test_a_perpetual_has_its_tables_and_its_venue(stub, store, get):
    where = {"exchange": "BINANCE_FUTURES", "symbol": "BTC-USDT-PERP"}
    tables = ("book_delta_v2", "trades", "book", "candles", "funding", "open_interest")
    put_days(stub, *tables, **where)
    put_day(stub, "liquidations", DAYS[1], **where)
    for spelled in ("BTC/USDT-PERP", "BTC-USDT-PERP", "BTC/USDT:USDT"):
        report = get(spelled, tables=None)
        assert report.plan.tables == (*tables, "liquidations")
        assert (report.plan.exchange, report.plan.symbol) == ("BINANCE_FUTURES", "BTC/USDT-PERP")
        # Nothing was liquidated on two days: no gap.
        assert report.is_complete
        assert report.gaps("liquidations") == []
    assert "written" not in statuses(report).values()
    assert len(store.days("funding", "BINANCE_FUTURES", "BTC/USDT-PERP")) == 3


def test_a_missing_and_a_corrupt_day_are_told_and_stop_nothing(stub, store, get):
    put_day(stub, "trades", DAYS[0])
    stub.put(BUCKET, key_of("trades", DAYS[1]), b"PAR1 but not the rest")
    days = [*DAYS, "2024-01-04"]
    put_day(stub, "trades", days[3])
    report = get(span=("2024-01-01", "2024-01-05"))
    assert list(statuses(report).values()) == ["written", "failed", "missing", "written"]
    assert not report.is_complete
    (failed,) = report.failed
    assert "2024-01-02: what Crypto Lake holds of this day cannot be read" in failed.reason
    (gap,) = report.gaps("trades")
    assert (gap.missing, gap.failed) == (1, 1)
    assert gap.start_ns == to_ns(days[0]) + 999 * NS_PER_DAY // 1000
    assert gap.end_ns == to_ns(days[3])
    assert report.gap_share("trades") == pytest.approx(2.001 / 4)
    assert store.days("trades", "BINANCE", "BTC/USDT") == [days[0], days[3]]

    put_days(stub, "trades", days=days[1:3])
    report = get(span=("2024-01-01", "2024-01-05"))
    assert list(statuses(report).values()) == ["held", "written", "written", "held"]
    assert report.is_complete


def test_a_day_that_was_replaced_is_replaced_in_the_store(stub, store, get):
    put_days(stub, "trades")
    get()
    corrected = put_day(stub, "trades", DAYS[1], rows_of("trades", DAYS[1], 1_234, seed=9))
    report = get()
    assert list(statuses(report).values()) == ["held", "corrected", "held"]
    rows = store.read("trades", "BINANCE", "BTC/USDT", DAYS[1], DAYS[2])
    assert rows["price"].to_pylist() == corrected["price"].to_pylist()


@pytest.mark.parametrize("keep_cache", [True, False])
def test_a_replaced_day_that_shares_partitions_with_others(stub, store, get, keep_cache):
    # The first minute of each file is of the day before; each has a row that is refused.
    def put(table, day, seed):
        rows = rows_of(table, day, 1_000, seed=seed)
        times = [ns - 60 * 10**9 for ns in rows["receipt_timestamp"].to_pylist()]
        times[-1] = times[0] + NS_PER_DAY  # the moment at which the next file begins
        put_day(stub, table, day, with_bad_price(replaced(rows, "receipt_timestamp", times), [500]))

    tables = ["book_delta_v2", "trades"]
    for table in tables:
        for seed, day in enumerate(DAYS):
            put(table, day, seed)
    get(tables=tables, keep_cache=keep_cache)
    assert len(store.read("quarantine", "BINANCE", "BTC/USDT")) == 6
    put("trades", DAYS[1], 77)
    report = get(tables=tables, keep_cache=keep_cache)
    assert not report.failed
    assert report.days["trades", DAYS[1]].status == "corrected"

    fresh = ParquetStore(store.root.parent / "fresh")
    download("BTC/USDT", *SPAN, tables=tables, store=fresh, provider=get_provider(stub, "fresh"))
    for series in fresh.series():
        columns = [name for name in fresh.read(*series).column_names if name != "source"]
        rows, expected = (one.read(*series).select(columns).to_pylist() for one in (store, fresh))
        if series[0] == "quarantine":  # at equal times, those of the corrected file come last
            rows, expected = (sorted(one, key=str) for one in (rows, expected))
        assert rows == expected


def get_provider(stub, name):
    return CryptoLakeProvider(stub.root.parent / name / "cache", endpoint=stub.url)


def test_the_cache_may_go(stub, store, provider, get):
    put_days(stub, "trades")
    report = get(keep_cache=False)
    assert report.is_complete
    assert not list(provider.folder.rglob("*.parquet"))
    stub.requests.clear()
    assert set(statuses(get()).values()) == {"held"}
    assert stub.count("GET", ".parquet") == 0


def test_without_receipts_days_are_compared_and_not_written_again(stub, store, provider, get):
    put_days(stub, "trades")
    first = get()
    shutil.rmtree(provider.folder)
    before = content(store)
    report = get()
    assert set(statuses(report).values()) == {"held"}
    assert [one.quality for one in report.days.values()] == [
        one.quality for one in first.days.values()
    ]
    assert content(store) == before
    # A receipt cut short is none.
    for path in (provider.folder / ".receipts").rglob("*.json"):
        path.write_text(path.read_text()[:50])
    assert set(statuses(get()).values()) == {"held"}


def test_a_second_store_is_filled_from_the_cache(stub, store, get, tmp_path):
    put_days(stub, "trades")
    get()
    stub.requests.clear()
    other = ParquetStore(tmp_path / "other")
    report = get(store=other)
    assert report.plan.to_fetch == 0
    assert set(statuses(report).values()) == {"written"}
    assert stub.count("GET", ".parquet") == 0
    assert content(other) == content(store)


def test_several_shards_are_one_day(stub, store, get):
    rows = rows_of("trades", DAYS[0], 3_000)
    for at, name in enumerate(("1.snappy.parquet", "2.snappy.parquet", "10.snappy.parquet")):
        put_day(stub, "trades", DAYS[0], rows[1000 * at : 1000 * (at + 1)], name=name)
    report = get(span=(DAYS[0], DAYS[1]))
    assert report.is_complete
    stored = store.read("trades", "BINANCE", "BTC/USDT")
    assert stored["price"].to_pylist() == rows["price"].to_pylist()
    assert set(statuses(get(span=(DAYS[0], DAYS[1]))).values()) == {"held"}


def test_the_quality_of_a_day(stub, store, get):
    morning = rows_of("book_delta_v2", DAYS[0], 1_000, hours=8.0)
    evening = rows_of("book_delta_v2", DAYS[0], 1_000, seed=1, start=20.0, hours=4.0)
    rows = pa.concat_tables([morning, evening])
    # Two whole books within the stream, of five and of three rows, and a price that is none.
    columns = {name: rows[name].to_pylist() for name in rows.column_names}
    for at, count in ((100, 5), (700, 3)):
        columns["timestamp"][at : at + count] = [0] * count
        columns["receipt_timestamp"][at : at + count] = [columns["receipt_timestamp"][at]] * count
    columns["price"][1_500] = float("nan")
    put_day(stub, "book_delta_v2", DAYS[0], pa.table(columns, schema=rows.schema))
    put_day(stub, "book_delta_v2", DAYS[1])
    report = get(span=(DAYS[0], DAYS[2]), tables=["book_delta_v2"])
    day = report.days["book_delta_v2", DAYS[0]]
    assert (day.quality.rows, day.quarantined, day.quality.snapshots) == (1_999, 1, 2)
    times = columns["receipt_timestamp"]
    assert (day.quality.first_ns, day.quality.last_ns) == (times[0], times[-1])
    assert day.quality.largest_gap == (times[999], times[1_000])
    assert day.quality.gaps == (day.quality.largest_gap,)
    (gap,) = report.gaps("book_delta_v2")
    assert (gap.start_ns, gap.end_ns, gap.missing) == (*day.quality.largest_gap, 0)
    assert report.gap_share("book_delta_v2") == pytest.approx(12 / 48, abs=1e-3)
    (refused,) = store.read("quarantine", "BINANCE", "BTC/USDT")["reason"].to_pylist()
    assert "price" in refused


@pytest.mark.parametrize("length", [1, 3, 7, 100])
def test_quality_does_not_depend_on_the_batches(length):
    second = 10**9
    seconds = [0, 1, 1, 1, 4, 700, 702, 1_500, 1_501]
    timed = [1, 1, 0, 0, 1, 1, 1, 1, 0]
    quality = measure(Batches(seconds, timed, length), *SERIES, DAYS[0])
    t0 = to_ns(DAYS[0])
    gaps = [(t0 + a * second, t0 + b * second) for a, b in ((4, 700), (702, 1_500))]
    assert quality.gaps == tuple(gaps)
    assert quality.largest_gap == gaps[1]
    assert (quality.rows, quality.snapshots) == (9, 2)
    assert (quality.first_ns, quality.last_ns) == (t0, t0 + 1_501 * second)
    # A feed without any time of the exchange has no snapshots that could be told.
    assert measure(Batches(seconds, [0] * 9, length), *SERIES, DAYS[0]).snapshots == 0
    assert measure(Batches([], [], length), *SERIES, DAYS[0]) is None


SERIES = ("book_delta_v2", "BINANCE", "BTC/USDT")


class Batches:
    """A store that gives rows out by so many at a time."""

    def __init__(self, seconds, timed, length):
        times = [to_ns(DAYS[0]) + second * 10**9 for second in seconds]
        origin = [time * one for time, one in zip(times, timed, strict=True)]
        self._rows = pa.table({"received_time": times, "origin_time": origin})
        self._length = length

    def days(self, *series):
        return [DAYS[0]]

    def batches(self, *_):
        for first in range(0, len(self._rows), self._length):
            yield Chunk("here", first, self._rows.slice(first, self._length))


def test_the_book_begins_anew_with_what_book_shows(stub, store, get):
    days = [*DAYS, "2024-01-04"]
    put_days(stub, "book", days=days)
    put_days(stub, "book_delta_v2", days=[days[0], days[1], days[3]])
    tables = ["book_delta_v2", "book"]
    report = get(span=(days[0], "2024-01-05"), tables=tables)
    notes = [day.notes for (table, _), day in report.days.items() if table == "book_delta_v2"]
    assert notes == [("seeded from book",), (), (), ("seeded from book",)]
    assert store.days("book_seed", "BINANCE", "BTC/USDT") == [days[0], days[3]]
    assert len(store.read("book_seed", "BINANCE", "BTC/USDT")) == 2 * 40

    stub.put(BUCKET, key_of("book", days[0]), b"PAR1 but not the rest")
    put_day(stub, "book_delta_v2", days[0], rows_of("book_delta_v2", days[0], 500))
    report = get(span=(days[0], "2024-01-05"), tables=tables)
    day = report.days["book_delta_v2", days[0]]
    assert day.status == "corrected"
    assert day.notes[0].startswith("no seed: ")
    assert [(one.table, one.day) for one in report.failed] == [("book", days[0])]


def test_a_gap_over_midnight_is_one_gap(stub, get):
    put_day(stub, "trades", DAYS[0], rows_of("trades", DAYS[0], 2_000, hours=23.9))
    put_day(stub, "trades", DAYS[1], rows_of("trades", DAYS[1], 2_000, start=0.1, hours=23.9))
    report = get(span=(DAYS[0], DAYS[2]))
    (gap,) = report.gaps("trades")
    assert (gap.end_ns - gap.start_ns) / HOUR_NS == pytest.approx(0.2, abs=0.02)
    assert report.is_complete  # 0.4 % of the two days


def test_more_than_a_hundredth_of_the_rows_set_aside_is_not_complete(stub, get):
    rows = rows_of("trades", DAYS[0], 1_000)
    put_day(stub, "trades", DAYS[0], with_bad_price(rows, range(1, 1_000, 50)))
    report = get(span=(DAYS[0], DAYS[1]))
    assert report.bad_share("trades") == 0.02
    assert report.gaps("trades") == []
    assert not report.is_complete


def test_a_failed_day_of_rare_events_is_not_complete(stub, get):
    put_days(stub, "trades")
    stub.put(BUCKET, key_of("liquidations", DAYS[1]), b"PAR1 but not the rest")
    report = get(tables=["trades", "liquidations"])
    assert report.gap_share("liquidations") == 0.0
    assert not report.is_complete


def test_days_that_are_yet_to_come_are_no_gap(stub, get):
    today = datetime.now(UTC).date()
    days = [str(today - timedelta(days=back)) for back in (4, 3, 2, 1)]
    put_days(stub, "trades", days=days[:2])
    report = get(span=(days[0], None))
    assert list(statuses(report).values()) == ["written", "written", "pending", "pending"]
    assert report.is_complete
    assert get(span=(days[0], None), tables=None).plan.tables == ("trades",)
    report = get(span=(days[0], "2100-01-01"))  # no later than the last day that is over
    assert len(report.days) == 4
    assert not get(span=(days[0], None), tables=["trades", "candles"]).is_complete


@pytest.mark.parametrize("after", [0, 3_000])
def test_cut_connections_and_throttling_only_take_time(stub, store, pauses, get, after):
    put_days(stub, "trades")
    stub.fail("cut", times=4, match=".parquet", after=after)
    stub.fail("status", times=4, match="list-type", status=503, code="SlowDown")
    assert get().is_complete
    assert len(pauses) == 8


def test_a_day_that_cannot_be_fetched_is_told_and_had_by_the_next_run(stub, store, pauses, get):
    put_days(stub, "trades")
    stub.fail("status", times=1_000, match=f"dt={DAYS[1]}/1", status=500, code="InternalError")
    report = get()
    assert list(statuses(report).values()) == ["written", "failed", "written"]
    assert "8 tries (InternalError)" in report.failed[0].reason
    assert not report.stopped
    stub.faults.clear()
    assert list(statuses(get()).values()) == ["held", "written", "held"]


def test_a_source_that_is_gone_stops_it(stub, store, pauses, get, monkeypatch):
    put_days(stub, "trades")
    fetch = CryptoLakeProvider.fetch

    def cut_off(provider, day, progress=None):
        if day.day != DAYS[0]:
            stub.fail("status", times=1_000, status=500, code="InternalError")
            stub.fail("status", times=1_000, method="HEAD", status=500, code="InternalError")
        return fetch(provider, day, progress)

    monkeypatch.setattr(CryptoLakeProvider, "fetch", cut_off)
    report = get(jobs=1)
    assert list(statuses(report).values()) == ["written", "failed", "left"]
    assert "cannot list" in report.stopped
    assert not report.is_complete


def test_a_wrong_key_is_one_error_without_the_key(stub, get):
    put_days(stub, "trades")
    stub.keys = {"AKIAOTHER"}
    with pytest.raises(SourceError, match="does not accept the access key") as error:
        get()
    assert "AKIATESTING" not in str(error.value)


@on("s3")
def test_from_another_server(server, database, store, tmp_path, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = database(server)
    put = {}
    for day in DAYS[::2]:
        put[day] = rows_of("trades", day)
        server.client().put_object(
            Bucket=bucket, Key=key_of("trades", day), Body=to_bytes(put[day])
        )
    provider = CryptoLakeProvider(tmp_path / "cache", bucket=f"{bucket}/{ROOT}")
    for expected in ("written", "held"):
        report = download("BTC/USDT", *SPAN, tables=["trades"], store=store, provider=provider)
        assert list(statuses(report).values()) == [expected, "missing", expected]
    rows = pa.concat_tables(put.values())
    stored = store.read("trades", "BINANCE", "BTC/USDT")
    assert stored["price"].to_pylist() == rows["price"].to_pylist()


def test_what_is_not_recorded_says_what_is(stub, get):
    put_days(stub, "trades", "book")
    with pytest.raises(SourceError, match="did you mean BTC-USDT"):
        get("BTC/USDR")
    with pytest.raises(SourceError, match="nothing of BINANCE BTC-USDT from 2025-01-01 to"):
        get(span=("2025-01-01", "2025-01-03"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tables": ["trade"]}, "not a table"),
        ({"tables": []}, "not a table"),
        ({"span": ("2024-01-02", "2024-01-02")}, "no day to download"),
        ({"jobs": 0}, "jobs"),
        ({"symbol": "BTC"}, "not a symbol"),
    ],
)
def test_what_makes_no_sense_is_refused(get, options, said):
    with pytest.raises(ConfigError, match=said):
        get(**options)


def test_no_room_is_told_before_anything_is_fetched(stub, store, get, monkeypatch):
    put_days(stub, "trades")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9 - 1, 1))
    with pytest.raises(StoreError, match=r"not enough room on the disk.*--drop-cache"):
        get()
    assert stub.count("GET", ".parquet") == 0
    assert not store.root.exists()


@pytest.mark.parametrize("where", ["cache", "store"])
def test_a_disk_that_fills_up_stops_it(stub, store, get, monkeypatch, where):
    put_days(stub, "trades")
    full = OSError(errno.ENOSPC, "No space left on device")
    count = iter(range(10))
    if where == "cache":
        error = SourceError("cannot keep it")
        error.__cause__ = full
        fetch = CryptoLakeProvider.fetch

        def fails(provider, day, progress=None):
            if next(count):
                raise error
            return fetch(provider, day, progress)

        monkeypatch.setattr(CryptoLakeProvider, "fetch", fails)
    else:
        ingest = run.ingest_files

        def fails(files, store, **options):
            if next(count):
                raise full
            return ingest(files, store, **options)

        monkeypatch.setattr(run, "ingest_files", fails)
    report = get(jobs=1)
    assert list(statuses(report).values()) == ["written", "failed", "left"]
    assert report.stopped.startswith("the disk is full")
    assert store.days("trades", "BINANCE", "BTC/USDT") == [DAYS[0]]
    monkeypatch.undo()


def test_a_store_that_is_gone_stops_it(stub, store, get, monkeypatch):
    put_days(stub, "trades")
    entries, write_day = store.entries, store.write_day
    gone = []

    def fails(*arguments, **options):
        if store.days("trades", "BINANCE", "BTC/USDT"):
            gone.append(True)
            raise StoreError("the server is gone")
        return write_day(*arguments, **options)

    def answers(*arguments):
        if gone:
            raise StoreError("the server is gone")
        return entries(*arguments)

    monkeypatch.setattr(store, "write_day", fails)
    monkeypatch.setattr(store, "entries", answers)
    report = get(jobs=1)
    assert list(statuses(report).values()) == ["written", "failed", "left"]
    assert report.stopped == "the server is gone"


def test_it_waits_for_another_writer(stub, store, get, monkeypatch):
    put_days(stub, "trades")
    waited = []
    lock, busy = store.writing, iter([True, True, False, False, False])

    @contextmanager
    def sometimes(series=()):
        if next(busy, False):
            raise BusyError("another process is writing to the store")
        with lock(series):
            yield

    monkeypatch.setattr(store, "writing", sometimes)
    monkeypatch.setattr(run, "sleep", waited.append)
    assert get().is_complete
    assert len(waited) == 2
    busy = iter([True] * 99)
    monkeypatch.setattr(run, "LONGEST_WAIT_S", 0.0)
    put_day(stub, "trades", DAYS[1], rows_of("trades", DAYS[1], 99))
    assert "another process" in get().failed[0].reason


def test_an_interruption_leaves_whole_days_and_says_which(stub, store, provider, get):
    put_days(stub, "trades")

    def interrupt(state):
        if state.finished:
            raise KeyboardInterrupt

    options = {"exchange": "binance", "tables": ["trades"], "jobs": 1, "keep_cache": True}
    task = prepare("BTC/USDT", *SPAN, **options, store=store, provider=provider,
                   progress=interrupt)  # fmt: skip
    assert isinstance(task, Download)
    with pytest.raises(KeyboardInterrupt):
        task.run()
    assert list(statuses(task.report).values()) == ["written", "left", "left"]
    assert task.report.stopped == "interrupted"
    assert store.days("trades", "BINANCE", "BTC/USDT") == [DAYS[0]]
    assert list(statuses(get()).values()) == ["held", "written", "written"]


def test_an_interruption_does_not_wait_for_a_slow_server(stub, store, provider):
    put_day(stub, "trades", DAYS[0])
    put_day(stub, "trades", DAYS[1], rows_of("trades", DAYS[1], 200_000))
    stub.fail("slow", times=1, match=f"dt={DAYS[1]}/1", after=0.05)

    def interrupt(state):
        if state.finished:
            raise KeyboardInterrupt

    options = {"exchange": "binance", "tables": ["trades"], "jobs": 2, "keep_cache": True}
    task = prepare("BTC/USDT", DAYS[0], DAYS[2], **options, store=store, provider=provider,
                   progress=interrupt)  # fmt: skip
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        task.run()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=60)
    (part,) = provider.folder.rglob("*.part")
    assert 0 < part.stat().st_size < task.plan.days[1].size
    assert [path.parent.name for path in provider.folder.rglob("*.parquet")] == [f"dt={DAYS[0]}"]


def test_progress_adds_up(stub, get):
    put_days(stub, "trades", "book")
    stub.fail("short", times=1, match=".parquet", after=1_000)
    states = []
    report = get(tables=["trades", "book"], progress=states.append, jobs=3)
    size = sum(day.size for day in report.days.values())
    last = states[-1]
    assert (last.fetched, last.settled, last.size) == (size, size, size)
    assert (last.done, last.days, last.doing) == (6, 6, "")
    finished = [state.finished for state in states if state.finished]
    assert {(day.table, day.day): day for day in finished} == report.days
    assert len(finished) == 6


def test_no_more_days_lie_in_the_cache_than_it_says(stub, store, provider, get):
    days = [f"2024-01-{day:02d}" for day in range(1, 11)]
    put_days(stub, "trades", days=days)
    most = []

    def look(state):
        most.append(len({path.parent for path in provider.folder.rglob("*.parquet")}))

    report = get(span=("2024-01-01", "2024-01-11"), keep_cache=False, jobs=1, progress=look)
    assert report.is_complete
    assert 1 <= max(most) <= report.plan.in_flight == 2
    sizes = sorted(len(to_bytes(rows_of("trades", day))) for day in days)
    (need,) = report.plan.needs
    stored = STORED_PER_FETCHED * (sum(sizes) + sizes[-1])
    assert need.size == pytest.approx(sum(sizes[-2:]) + stored, abs=20)
