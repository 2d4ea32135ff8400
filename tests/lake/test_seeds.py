"""A book that cannot be carried on begins anew with what `book` shows, and is right from there."""

from itertools import groupby

import numpy as np
import pyarrow as pa
import pytest

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, to_ns
from mrtrade.data.ingest import ingest_files
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.providers.lake.seeds import restarts
from mrtrade.data.streams import MAX_GAP_NS
from mrtrade.data.tape import load_tape
from mrtrade.instruments import instrument
from tests.lake.make import BUCKET, key_of, put_day, rows_of

DAY, NEXT = "2026-04-02", "2026-04-03"
T0 = to_ns(DAY)
STEP_NS = 100_000_000
LEVELS = 30
TICKS = 10  # a unit of price


class Market:
    """A book of 30 levels a side that wanders; message n has sequence number 10 n."""

    def __init__(self, seed=1):
        self.rng = np.random.default_rng(seed)
        self.mid = 10_000
        self.book = {}
        self.deltas, self.books, self.truth = [], [], {}
        for tick in range(1, LEVELS + 1):
            self.book[True, self.mid - tick] = 1.0
            self.book[False, self.mid + tick] = 1.0

    def run(self, first, last, received, *, shown=True):
        for number in range(first, last):
            at = received + (number - first) * STEP_NS
            changed = self._step()
            for side, tick in changed:
                size = self.book.get((side, tick), 0.0)
                self.deltas.append((at - 3, at, 10 * number, side, tick / TICKS, size))
            if shown:
                self.books.append((at - 3, at + 40, 10 * number, *self._top()))
            self.truth[at] = self._touch()

    def _step(self):
        self.mid += int(self.rng.integers(-1, 2))
        wanted = {}
        for tick in range(1, LEVELS + 1):
            for side, sign in ((True, -1), (False, 1)):
                price = self.mid + sign * tick
                wanted[side, price] = self.book.get((side, price), 1.0)
        key = (bool(self.rng.integers(2)), 0)
        key = (key[0], self.mid + (-1 if key[0] else 1) * int(self.rng.integers(1, 20)))
        wanted[key] = float(self.rng.integers(1, 9))
        changed = [one for one in {**self.book, **wanted} if self.book.get(one) != wanted.get(one)]
        self.book = wanted
        return changed

    def _top(self):
        for side, sign in ((True, -1), (False, 1)):
            ticks = sorted((t for s, t in self.book if s is side), key=lambda t: sign * t)
            for tick in ticks[:20]:
                yield tick / TICKS
                yield self.book[side, tick]

    def _touch(self):
        bids, asks = ([t for s, t in self.book if s is side] for side in (True, False))
        return max(bids), min(asks)

    def put(self, stub, day=DAY):
        low, high = to_ns(day), to_ns(day) + NS_PER_DAY
        for table, rows in (("book_delta_v2", self.deltas), ("book", self.books)):
            rows = [row for row in rows if low <= row[1] < high]
            names = rows_of(table, day, 1).schema.names
            columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
            put_day(stub, table, day, pa.table(columns))


def plan(provider, day=DAY):
    (one,) = provider.plan("book_delta_v2", "binance", "BTC/USDT", to_ns(day), to_ns(day) + 1)
    return one


def rows_in(file):
    import pyarrow.parquet as pq

    return pq.read_table(file.path, partitioning=None).to_pylist()


@pytest.fixture
def market(stub):
    """A day that begins at 8:00, and is not recorded from 8:01 to 8:20."""
    market = Market()
    start = T0 + 8 * 3_600 * NS_PER_SECOND
    market.run(1_000, 1_600, start)
    market.run(1_600, 2_000, start + 60 * NS_PER_SECOND, shown=False)
    lost = len(market.deltas)
    at = next(n for n, row in enumerate(market.deltas) if row[2] >= 16_000)
    del market.deltas[at:lost]
    market.run(2_000, 2_700, start + 1_200 * NS_PER_SECOND)
    market.put(stub)
    return market


def test_a_book_begins_after_each_pause(provider, market):
    file = provider.seed(plan(provider))
    seeds = [list(rows) for _, rows in groupby(rows_in(file), lambda row: row["sequence_number"])]
    assert file.table == "book_seed"
    assert [rows[0]["sequence_number"] for rows in seeds] == [10_000, 20_000]
    assert [len(rows) for rows in seeds] == [40, 40]
    assert [row["price"] for row in seeds[0][:2]] == [market.books[0][3], market.books[0][5]]


def test_best_prices_are_right_from_there_on(provider, market, tmp_path):
    day = plan(provider)
    store = ParquetStore(tmp_path / "store")
    ingest_files([*provider.fetch(day), provider.seed(day)], store)
    tape = load_tape(store, instrument("BINANCE", "BTC/USDT", tick_size=1 / TICKS, lot_size=1))
    assert tape.seeded
    book = {}
    compared = 0
    for time, rows in groupby(zip(*(c.tolist() for c in tape.deltas), strict=True),
                              lambda row: row[0]):  # fmt: skip
        for _, side, tick, lots in rows:
            if side == 0:
                book.clear()
            elif lots:
                book[side, tick] = lots
            else:
                book.pop((side, tick), None)
        truth = market.truth.get(time + 3)
        if truth and book:
            bids, asks = ([t for s, t in book if s == side] for side in (1, -1))
            assert (max(bids), min(asks)) == truth
            compared += 1
    assert compared == len({row[1] for row in market.deltas}) > 1_000


def test_a_day_that_goes_on_from_yesterday_needs_none(stub, provider, market):
    morning = Market()
    morning.run(0, 200, T0 - 10 * NS_PER_SECOND)
    for day in ("2026-04-01", DAY):
        morning.put(stub, day)
    day = plan(provider)
    assert provider.seed(day, known_until=T0 - STEP_NS) is None
    assert stub.count("GET", "table=book/") == 0
    file = provider.seed(day, known_until=T0 - MAX_GAP_NS - NS_PER_SECOND)
    assert file.path.is_file()
    assert provider.seed(day, known_until=T0 - STEP_NS) is None
    assert not file.path.exists()


def test_no_book_no_seed(stub, provider, market):
    (stub.root / BUCKET / key_of("book", DAY)).unlink()
    assert provider.seed(plan(provider)) is None
    market.books = [row for row in market.books if row[2] > 20_000 + 6_100]  # over a minute late
    market.put(stub)
    assert provider.seed(plan(provider)) is None


def test_a_row_of_book_that_is_none_is_passed_over(stub, provider, market):
    crossed, empty, *rest = market.books
    crossed = (*crossed[:3], 2_000.0, *crossed[4:])
    empty = (*empty[:3], *[float("nan")] * 40, *empty[43:])
    older = (*rest[0][:1], crossed[1] - 20, 9_990, *rest[0][3:])  # of before the first delta
    market.books = [older, crossed, empty, *rest]
    market.put(stub)
    rows = rows_in(provider.seed(plan(provider)))
    assert rows[0]["sequence_number"] == 10_020


def test_a_snapshot_within_the_stream_is_left_to_it(stub, provider, market):
    first = market.deltas[0][1]
    market.deltas = [(0 if row[1] == first else row[0], *row[1:]) for row in market.deltas]
    market.put(stub)
    files = provider.fetch(plan(provider))
    assert [one.sequence_number for one in restarts(files, None)] == [20_000]
    market.deltas = [(0, *row[1:]) for row in market.deltas]  # a feed without exchange times
    market.put(stub)
    files = provider.fetch(plan(provider))
    assert [one.sequence_number for one in restarts(files, None)] == [10_000, 20_000]


def test_without_sequence_numbers_time_decides(stub, provider, market):
    market.deltas = [(*row[:2], -1, *row[3:]) for row in market.deltas]
    market.books = [(*row[:2], -1, *row[3:]) for row in market.books]
    market.put(stub)
    rows = rows_in(provider.seed(plan(provider)))
    assert rows[0]["received_time"] == market.books[0][1]
