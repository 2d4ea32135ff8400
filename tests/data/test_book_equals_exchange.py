"""The rebuilt book against the exchange's own best bid and ask, which it streams separately."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrcore.book import L2Book, to_lots, to_ticks
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.tape import load_tape
from mrtrade.instruments import instrument

pytestmark = pytest.mark.shared

# exchange, symbol, first day, messages whose number the exchange also gave a best bid and ask for
RECORDINGS = [
    ("BINANCE", "BTC-USDT", "2024-08-08", 1_072),
    ("BINANCE", "ETH-USDT", "2024-08-08", 1_056),
    ("BINANCE", "NEXO-USDT", "2024-07-23", 12_198),
    ("BINANCE_FUTURES", "BTC-USDT-PERP", "2024-07-18", 625),
    ("BINANCE_FUTURES", "ETH-USDT-PERP", "2024-07-18", 834),
    ("BINANCE_FUTURES", "BTC-USDT-PERP", "2024-08-08", 629),
    ("BINANCE_FUTURES", "ETH-USDT-PERP", "2024-08-08", 551),
    ("BINANCE_DELIVERY", "BTC-USD-PERP", "2024-08-08", 1_885),
    ("BINANCE_DELIVERY", "ETH-USD-PERP", "2024-08-08", 2_278),
]


class Recording:
    """Rows of a recording, as the files have them: of its first day and the next."""

    def __init__(self, shared_data, exchange, symbol, first_day):
        self.instrument = instrument(exchange, symbol)
        self.days = [first_day, str(np.datetime64(first_day) + np.timedelta64(1, "D"))]
        self._folder = shared_data / "lake"
        self._place = f"exchange={exchange}/symbol={symbol}"
        self.seed = self._table("book_seed")
        self.rows = self._table("book_delta_v2")
        self.columns = self._in_steps(self.rows)
        self.sequence = self.rows["sequence_number"].to_numpy()
        new = np.flatnonzero(np.diff(self.sequence)) + 1
        self.messages = list(pairwise([0, *new.tolist(), len(self.sequence)]))
        top = self._table("level_1")
        names = ("bid_0_price", "bid_0_size", "ask_0_price", "ask_0_size")
        values = np.column_stack([top[name].to_numpy() for name in names])
        self.top = dict(zip(top["sequence_number"].to_pylist(), values.tolist(), strict=True))

    def _table(self, name):
        paths = [self._folder / name / self._place / f"dt={day}/1.parquet" for day in self.days]
        return pa.concat_tables([pq.read_table(path) for path in paths if path.exists()])

    def _in_steps(self, rows):
        return (
            np.where(rows["side_is_bid"].to_numpy(), 1, -1).astype(np.int8),
            to_ticks(rows["price"].to_numpy(), self.instrument.tick_size),
            to_lots(rows["size"].to_numpy(), self.instrument.lot_size),
        )

    def seeded_book(self):
        book = L2Book(self.instrument.tick_size, self.instrument.lot_size)
        number = self.seed["sequence_number"][0].as_py()
        book.snapshot(*self._in_steps(self.seed), message=number)
        return book, number


@pytest.mark.parametrize(("exchange", "symbol", "day", "comparable"), RECORDINGS)
def test_best_bid_and_ask_equal_the_exchanges(shared_data, exchange, symbol, day, comparable):
    recording = Recording(shared_data, exchange, symbol, day)
    book, number = recording.seeded_book()
    compared = 0
    for a, b in recording.messages:
        if recording.sequence[a] <= number:
            continue
        book.apply(*(column[a:b] for column in recording.columns))
        expected = recording.top.get(recording.sequence[a])
        if expected is not None:
            found = (book.best_bid, book.best_bid_size, book.best_ask, book.best_ask_size)
            # steps times counts: equal but for the last bit
            assert found == pytest.approx(expected, rel=1e-14, abs=0), recording.sequence[a]
            compared += 1
    assert compared == comparable
    assert book.crossed == 0


@pytest.mark.parametrize("buffered", [True, False])
def test_a_late_snapshot_needs_the_deltas_received_before_it(shared_data, buffered):
    """Trap: without them the BTC book stays crossed; so the tests above can fail."""
    recording = Recording(shared_data, "BINANCE", "BTC-USDT", "2024-08-08")
    book, number = recording.seeded_book()
    arrived = recording.seed["receipt_timestamp"][0].as_py()
    received = recording.rows["receipt_timestamp"].to_numpy()
    levels = {1: {}, -1: {}}  # a plain book, which resolves nothing
    for side, tick, lots in zip(*recording._in_steps(recording.seed), strict=True):
        levels[int(side)][int(tick)] = int(lots)
    crossed = 0
    for a, b in recording.messages:
        if recording.sequence[a] <= number or not (buffered or received[a] >= arrived):
            continue
        message = [column[a:b] for column in recording.columns]
        book.apply(*message)
        for side, tick, lots in zip(*(column.tolist() for column in message), strict=True):
            if lots:
                levels[side][tick] = lots
            else:
                levels[side].pop(tick, None)
        crossed += max(levels[1]) >= min(levels[-1])
    assert len(recording.messages) == 6_495
    assert crossed == (0 if buffered else 5_617)
    assert (book.crossed == 0) == buffered


@pytest.mark.parametrize(("exchange", "symbol", "day"), [r[:3] for r in RECORDINGS])
def test_tape_leaves_the_same_book(shared_data, tmp_path, exchange, symbol, day):
    recording = Recording(shared_data, exchange, symbol, day)
    book, number = recording.seeded_book()
    newer = recording.sequence > number
    book.apply(*(column[newer] for column in recording.columns), recording.sequence[newer])
    store = ParquetStore(tmp_path)
    lake = shared_data / "lake"
    for table in ("book_delta_v2", "book_seed"):
        for one in recording.days:
            folder = lake / table / f"exchange={exchange}" / f"symbol={symbol}" / f"dt={one}"
            if folder.exists():
                ingest(folder, store)
    received = recording.rows["receipt_timestamp"].to_numpy()
    for start in (None, int(received[len(received) // 2])):
        tape = load_tape(store, recording.instrument, start=start)
        replayed = L2Book(recording.instrument.tick_size, recording.instrument.lot_size)
        replayed.apply(*tape.deltas[1:], tape.deltas.time)
        for ours, theirs in zip(replayed.levels(10**6), book.levels(10**6), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert replayed.crossed == 0
        assert tape.seeded
        assert (np.diff(tape.deltas.time) >= 0).all()
        if start is not None:
            assert tape.stats["deltas"] < len(received)
