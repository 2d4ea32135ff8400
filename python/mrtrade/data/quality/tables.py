"""The tables other than that of the deltas: rules for their rows, and between them."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND
from mrtrade.data.checks import Checks
from mrtrade.data.quality.findings import Finding, Severity
from mrtrade.data.quality.rules import (
    APART_NS,
    MAX_GAP_NS,
    MAX_SWEEP,
    Series,
    graded,
    share_text,
    span_text,
)
from mrtrade.data.quality.times import Times
from mrtrade.data.quality.touches import Extremes
from mrtrade.data.store import Chunk
from mrtrade.instruments import Instrument, to_lake

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_IDS_GROW_BY_ONE = ("BINANCE", "BINANCE_FUTURES", "BINANCE_DELIVERY")
_HOUR = 3_600 * NS_PER_SECOND
_JITTER_NS = 60 * NS_PER_SECOND  # times of one settlement differ by milliseconds


class Rows:
    """Rows of any table: what the check at the door says of them now, and their times.

    Parameters
    ----------
    series : Series
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        self.times = Times(series)
        self.rows = 0
        self._checks = Checks("quarantine")
        self._check: Callable[[pa.Table], pa.Table] | None = None
        self._bad: dict[str, int] = {}

    def feed(self, chunk: Chunk) -> pa.Table:
        """Take the next rows; returns the good ones."""
        if self._check is None:
            where = (self.series.exchange, to_lake(self.series.symbol))
            schema = chunk.rows.schema
            self._check = self._checks.checker(self.series.table, chunk.where, *where, schema)
        good = self._check(chunk.rows)
        self.rows += len(chunk.rows)
        for part in self._checks.quarantined:
            for reason in part["reason"].to_pylist():
                self._bad[reason] = self._bad.get(reason, 0) + 1
        self._checks.quarantined.clear()
        self.times.feed(ints(good, "received_time"), ints(good, "origin_time"))
        return good

    def findings(self) -> Iterator[Finding]:
        """Yield what there is to say."""
        span = (self.times.first, self.times.last)
        for reason, count in self._bad.items():
            text = f"{count:,} rows: {reason}"
            yield self.series.finding("bad_rows", "error", *span, count, text)
        yield from self.times.findings()


class Trades(Rows):
    """Trades: ids, steps, and where they lie in the book.

    Parameters
    ----------
    series : Series
    instrument : Instrument or None
        None where its steps are not known.
    extremes : Extremes or None
        Of the rebuilt book.
    """

    def __init__(
        self, series: Series, instrument: Instrument | None, extremes: Extremes | None
    ) -> None:
        super().__init__(series)
        self._instrument, self._extremes = instrument, extremes
        self._last_id: int | None = None
        self._last_received = 0
        self._holes = self._missing = self._repeated = self._numbered = 0
        self._ids: list[pa.ChunkedArray] = []  # of the day at hand
        self._day = 0
        self._judged = self._outside = 0
        self._worst = 0.0
        self._off = 0

    def feed(self, chunk: Chunk) -> pa.Table:
        """Take the next trades."""
        good = super().feed(chunk)
        if not len(good):
            return good
        self._feed_ids(good)
        price, quantity = floats(good, "price"), floats(good, "quantity")
        if self._instrument is not None:
            tick, lot = self._instrument.tick_size, self._instrument.lot_size
            self._off += off_grid(price, tick) + off_grid(quantity, lot)
            if self._extremes is not None:
                self._judge(good, price, self._extremes)
        return good

    def _judge(self, good: pa.Table, price: Floats, extremes: Extremes) -> None:
        received, origin = ints(good, "received_time"), ints(good, "origin_time")
        delay = np.where(origin > 0, received - origin, 0)
        # Told long after they happened: what a connection gives of the past when it begins.
        prompt = delay - delay.min() <= NS_PER_SECOND
        low, high, known = extremes.around(received)
        known &= prompt
        assert self._instrument is not None
        price, tick = price[known], self._instrument.tick_size
        beyond = np.maximum(low[known] * tick - price, price - high[known] * tick) / price
        self._judged += len(beyond)
        self._outside += int(np.count_nonzero(beyond > MAX_SWEEP))
        self._worst = max(self._worst, float(beyond.max(initial=0.0)))

    def _feed_ids(self, good: pa.Table) -> None:
        given = good["trade_id"].drop_null()
        if not len(given):
            return
        day = int(good["received_time"][0].as_py()) // NS_PER_DAY
        if day != self._day:
            self._count_repeated()
            self._day = day
        with suppress(pa.ArrowInvalid):  # UUIDs stay text
            given = given.cast(pa.int64())
            if len(given) == len(good):
                self._feed_numbers(given.to_numpy(), ints(good, "received_time"))
        self._ids.append(given)

    def _feed_numbers(self, numbers: Ints, received: Ints) -> None:
        self._numbered += len(numbers)
        steps = np.diff(numbers, prepend=numbers[0] - 1 if self._last_id is None else self._last_id)
        # Between two recordings nothing is missing that one of them should have.
        steps[np.diff(received, prepend=self._last_received or received[0]) > APART_NS] = 1
        self._last_id, self._last_received = int(numbers[-1]), int(received[-1])
        holes = steps > 1
        self._holes += int(np.count_nonzero(holes))
        self._missing += int((steps[holes] - 1).sum())

    def _count_repeated(self) -> None:
        if self._ids:
            ids = pa.chunked_array([chunk for part in self._ids for chunk in part.chunks])
            self._repeated += len(ids) - pc.count_distinct(ids).as_py()
        self._ids = []

    def findings(self) -> Iterator[Finding]:
        """Yield what there is to say."""
        yield from super().findings()
        self._count_repeated()
        one, span = self.series.finding, (self.times.first, self.times.last)
        if self._repeated:
            severity = graded(self._repeated / self.rows, 0, 0.01)
            text = f"{self._repeated:,} of {self.rows:,} trades have the id of an earlier one"
            yield one("duplicates", severity, *span, self._repeated, text)
        if self._holes and self.series.exchange in _IDS_GROW_BY_ONE:
            share = self._missing / (self._missing + self._numbered)
            text = f"{self._missing:,} trade ids are missing in {self._holes:,} places"
            yield one("trade_ids", graded(share, 0, 0.01), *span, self._missing, text)
        if self._off:
            text = f"{self._off:,} prices or quantities are off the steps of the instrument"
            yield one("off_grid", "error", *span, self._off, text)
        if self._judged:
            share = self._outside / self._judged
            text = (
                f"{self._outside:,} of {self._judged:,} trades ({share_text(share)}) lie more than "
                f"{1e4 * MAX_SWEEP:g} bps beyond the best prices within a second; the farthest "
                f"{1e4 * self._worst:.1f} bps"
            )
            severity = graded(share, 0.001, 0.01)
            yield one("trades_outside", severity, *span, self._outside, text)


class Tops(Rows):
    """Recorded books and best quotes."""

    def __init__(self, series: Series, instrument: Instrument | None) -> None:
        super().__init__(series)
        self._instrument = instrument
        self._crossed = self._crossed_at = self._falls = self._repeated = self._off = 0
        self._last: pa.Table | None = None

    def feed(self, chunk: Chunk) -> pa.Table:
        """Take the next rows."""
        good = super().feed(chunk)
        if not len(good):
            return good
        received = ints(good, "received_time")
        bid, ask = floats(good, "bid_0_price"), floats(good, "ask_0_price")
        crossed = np.flatnonzero(bid >= ask)
        if crossed.size:
            self._crossed_at = self._crossed_at or int(received[crossed[0]])
            self._crossed += int(crossed.size)
        joined = good if self._last is None else pa.concat_tables([self._last, good])
        self._falls += _falls(joined)
        self._repeated += _equal_to_before(joined)
        self._last = good.slice(len(good) - 1)
        if self._instrument is not None:
            self._off += off_grid(bid, self._instrument.tick_size)
            self._off += off_grid(ask, self._instrument.tick_size)
        return good

    def findings(self) -> Iterator[Finding]:
        """Yield what there is to say."""
        yield from super().findings()
        one, span = self.series.finding, (self.times.first, self.times.last)
        if self._crossed:
            share = self._crossed / self.rows
            text = f"bid >= ask in {self._crossed:,} of {self.rows:,} rows ({share_text(share)})"
            severity = graded(share, 0, 0.001)
            yield one("crossed_rows", severity, self._crossed_at, span[1], self._crossed, text)
        if self._falls:
            text = f"sequence_number falls {self._falls:,} times"
            yield one("sequence_falls", "warning", *span, self._falls, text)
        if self._repeated:
            text = f"{self._repeated:,} of {self.rows:,} rows repeat the row before them"
            severity = graded(self._repeated / self.rows, 0, 0.01)
            yield one("duplicates", severity, *span, self._repeated, text)
        if self._off:
            text = f"{self._off:,} best prices are off the tick size of the instrument"
            yield one("off_grid", "error", *span, self._off, text)


class Candles(Rows):
    """Candles: their span, and their prices."""

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self._parts: list[tuple[Ints, ...]] = []
        self._inconsistent = self._inconsistent_at = 0

    def feed(self, chunk: Chunk) -> pa.Table:
        """Take the next candles."""
        good = super().feed(chunk)
        low, high, first, last = (floats(good, name) for name in ("low", "high", "open", "close"))
        wrong = np.flatnonzero((low > np.minimum(first, last)) | (high < np.maximum(first, last)))
        if wrong.size:
            self._inconsistent_at = self._inconsistent_at or int(ints(good, "start")[wrong[0]])
            self._inconsistent += int(wrong.size)
        self._parts.append((ints(good, "start"), ints(good, "stop")))
        return good

    def findings(self) -> Iterator[Finding]:
        """Yield what there is to say."""
        yield from super().findings()
        one, span = self.series.finding, (self.times.first, self.times.last)
        if self._inconsistent:
            text = f"{self._inconsistent:,} candles whose open or close lies outside low to high"
            at = self._inconsistent_at
            yield one("candle_prices", "error", at, span[1], self._inconsistent, text)
        start, stop = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        usual = int(np.median(stop - start))
        odd = int(np.count_nonzero(stop - start != usual))
        if odd:
            text = f"{odd:,} candles are not as long as the others ({span_text(usual)})"
            yield one("candle_span", "warning", *span, odd, text)
        between = start[1:] - stop[:-1]
        overlaps = int(np.count_nonzero(between < 0))
        if overlaps:
            text = f"{overlaps:,} candles begin before the one ahead of them ended"
            yield one("candle_span", "error", *span, overlaps, text)
        holes = between > 0
        if holes.any():
            longest = int(between.max())
            missing = int((between[holes] // max(usual, 1)).sum())
            severity: Severity = "error" if longest > MAX_GAP_NS else "warning"
            at = int(np.argmax(between))
            text = (
                f"{missing:,} candles are missing in {int(holes.sum()):,} places, up to "
                f"{span_text(longest)}"
            )
            yield one("candle_span", severity, int(stop[at]), int(start[at + 1]), missing, text)


class Funding(Rows):
    """Funding: when it is settled."""

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self._due: set[int] = set()

    def feed(self, chunk: Chunk) -> pa.Table:
        """Take the next rows."""
        good = super().feed(chunk)
        due = ints(good, "next_funding_time")
        self._due.update(np.unique(due[due > 0]).tolist())
        return good

    def findings(self) -> Iterator[Finding]:
        """Yield what there is to say."""
        yield from super().findings()
        one, span = self.series.finding, (self.times.first, self.times.last)
        due = np.array(sorted(self._due), np.int64)
        if not due.size:
            text = "no row says when its rate is settled"
            yield one("funding_interval", "warning", *span, self.rows, text)
            return
        due = due[np.diff(due, prepend=due[0] - _HOUR) > _JITTER_NS]
        steps = np.diff(due)
        hours = np.rint(steps / _HOUR)
        odd = int(np.count_nonzero((np.abs(steps - hours * _HOUR) > _JITTER_NS) | (hours < 1)))
        usual = float(np.median(hours)) if hours.size else 0.0
        missing = int(np.count_nonzero(hours > usual))
        if odd or missing:
            text = (
                f"{missing:,} pauses between settlements are longer than the usual {usual:g} h, "
                f"{odd:,} are no whole hours"
            )
            yield one("funding_interval", "warning", *span, odd + missing, text)


def rows_of(series: Series, instrument: Instrument | None, extremes: Extremes | None) -> Rows:
    """Return what looks at a table other than that of the deltas."""
    if series.table == "trades":
        return Trades(series, instrument, extremes)
    if series.table in ("level_1", "book", "book_snapshots"):
        return Tops(series, instrument)
    if series.table == "candles":
        return Candles(series)
    return Funding(series) if series.table == "funding" else Rows(series)


def off_grid(values: Floats, step: float) -> int:
    """Return how many values are not multiples of a step, to a thousandth of it; NaN is none."""
    steps = values[np.isfinite(values)] / step
    return int(np.count_nonzero(np.abs(steps - np.rint(steps)) > 1e-3))


def ints(rows: pa.Table, name: str) -> Ints:
    """Return a column of times or numbers."""
    return np.asarray(rows[name].to_numpy(), np.int64)


def floats(rows: pa.Table, name: str) -> Floats:
    """Return a column of prices or sizes."""
    return np.asarray(rows[name].to_numpy(), np.float64)


def _falls(rows: pa.Table) -> int:
    """Return how often the sequence number falls, other than between two recordings."""
    numbers, received = ints(rows, "sequence_number"), ints(rows, "received_time")
    known = numbers >= 0
    numbers, received = numbers[known], received[known]
    within = np.diff(received) <= APART_NS
    return int(np.count_nonzero((numbers[1:] < numbers[:-1]) & within))


def _equal_to_before(rows: pa.Table) -> int:
    """Return how many rows equal the one before them in all columns."""
    equal: npt.NDArray[Any] = np.ones(max(len(rows) - 1, 0), np.bool_)
    for column in rows.columns:
        values = column.to_numpy()
        same = values[1:] == values[:-1]
        if pc.any(pc.is_nan(column)).as_py() if pa.types.is_floating(column.type) else False:
            same |= np.isnan(values[1:]) & np.isnan(values[:-1])
        equal &= same
        if not equal.any():
            return 0
    return int(np.count_nonzero(equal))
