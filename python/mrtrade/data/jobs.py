"""What a loader is asked for: which tables it takes, over which span, and how its frames are made.

A job gives its frame in pieces, each made from a bounded part of the store; the pieces one after
the other are the same whatever their length.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from mrtrade.clock import NS_PER_DAY, Scalar, duration_ns, from_ns, to_ns, utc_day
from mrtrade.data.book_snapshots import BookSampler
from mrtrade.data.candles import Bars, CandleBars, TradeBars, grid
from mrtrade.data.combined import Combined
from mrtrade.data.frames import frame_of
from mrtrade.data.store import Entry, Store
from mrtrade.data.streams import MAX_GAP_NS, Ints
from mrtrade.data.tape import find_instrument
from mrtrade.errors import ConfigError, StoreError
from mrtrade.instruments import Instrument

BOOK = ("book_delta_v2", "book_seed")

Pieces = Iterator[pd.DataFrame]


class Span(NamedTuple):
    """``low <= time < high``, ns."""

    low: int
    high: int


@dataclass(frozen=True)
class Place:
    """An instrument in a store.

    Parameters
    ----------
    store : Store
    where : tuple of str
        Exchange and symbol.
    """

    store: Store
    where: tuple[str, str]

    def held(self, tables: tuple[str, ...], needed: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return those of some tables that hold it; one of `needed`, or else of all, must."""
        held = tuple(table for table in tables if self.store.days(table, *self.where))
        needed = needed or tables
        if any(table in held for table in needed):
            return held
        series = self.store.series()
        there = sorted({f"{e} {s}" for t, e, s in series if t in needed})
        here = sorted({t for t, e, s in series if (e, s) == self.where})
        raise StoreError(
            f"no {' or '.join(needed)} of {' '.join(self.where)}"
            + (f", only {', '.join(here)}" if here else ""),
            file=self.store.url,
            expected=f"one of {', '.join(there)}" if there else "a store that holds some",
            remedy="choose one that is there, or ingest it: mrtrade ingest PATH",
        )

    def span(self, tables: tuple[str, ...], start: Scalar | None, end: Scalar | None) -> Span:
        """Return a span in nanoseconds; one that is not given goes beyond what is stored."""
        days = [day for table in tables for day in self.store.days(table, *self.where)]
        low = to_ns(min(days)) - NS_PER_DAY if start is None else to_ns(start)
        high = to_ns(max(days)) + 2 * NS_PER_DAY if end is None else to_ns(end)
        if start is not None and end is not None and low >= high:
            raise ConfigError(
                "start is not before end",
                key="start",
                value=str(from_ns(low)),
                expected=f"a time before {from_ns(high)}",
                remedy="swap them, or choose another span",
            )
        return Span(low, high)

    def recorded(self, tables: tuple[str, ...], span: Span) -> Span | None:
        """Return the first and last receipt of a span; `low` where rows came shortly before."""
        around = (span.low - MAX_GAP_NS, span.high + 1)
        entries = [
            one for table in tables for one in self.store.entries(table, *self.where, *around)
        ]
        if not entries:
            return None
        first = min(one.first_received for one in entries)
        last = max(one.last_received for one in entries)
        return Span(max(span.low, first), min(span.high, last))

    def instrument(self, steps: dict[str, float | None]) -> Instrument:
        """Look the instrument up; steps that are not None replace the known ones."""
        given: dict[str, Any] = {name: step for name, step in steps.items() if step is not None}
        # Fees do not matter here, so that none have to be known.
        return find_instrument(self.store, *self.where, maker_fee=0.0, taker_fee=0.0, **given)

    def nothing(self, what: str, tables: tuple[str, ...], span: Span) -> StoreError:
        """Return the error for a span without something, which says what there is."""
        entries = [one for table in tables for one in self.store.entries(table, *self.where)]
        first = from_ns(min(one.first_received for one in entries))
        last = from_ns(max(one.last_received for one in entries))
        return StoreError(
            f"no {what} of {' '.join(self.where)} from {from_ns(span.low)} to {from_ns(span.high)}",
            file=self.store.url,
            expected=f"a span within {first} to {last}, in which {', '.join(tables)} were received",
            remedy="choose another start and end, or ingest those days",
        )


@dataclass(frozen=True)
class Job:
    """A frame to be made.

    Parameters
    ----------
    place : Place
    tables : tuple of str
        What is read.
    span : Span
    params : list
        All else that determines the frame; JSON types.
    make : callable
        Returns the pieces.
    """

    place: Place
    tables: tuple[str, ...]
    span: Span
    params: list[Any]
    make: Callable[[], Pieces]

    def pieces(self) -> Pieces:
        """Yield the frame in pieces; at the end it is an error if the store has changed."""
        before = self._entries()
        yield from self.make()
        refuse_change(before, self._entries())

    def content(self) -> list[Any]:
        """Return what determines the frame, JSON types."""
        return [self.params, list(self.span), [asdict(one) for one in self._entries()]]

    def _entries(self) -> list[Entry]:
        """Return the manifest of all that may be read, with what is carried to the start."""
        store, where = self.place.store, self.place.where
        since = self.span.low - NS_PER_DAY
        earliest = since
        for table in self.tables:
            days = [day for day in store.days(table, *where) if day < utc_day(since)]
            earliest = min([earliest, *map(to_ns, days[-1:])])
        until = self.span.high + NS_PER_DAY
        return [
            one for table in self.tables for one in store.entries(table, *where, earliest, until)
        ]


def ohlcv(
    place: Place,
    start: Scalar | None,
    end: Scalar | None,
    interval: str | int,
    chunk: str | int,
) -> Job:
    """Return the job of `DataLoader.load_ohlcv`."""
    length, piece = duration_ns(interval), duration_ns(chunk)
    tables = place.held(("candles", "trades"))
    span = place.span(tables, start, end)

    def make() -> Pieces:
        bars: Bars = CandleBars(place.store, place.where, length, *span)
        if bars.stops[0] > bars.stops[1]:
            bars = TradeBars(place.store, place.where, length, *span)
        if bars.stops[0] > bars.stops[1]:
            raise place.nothing(f"whole bar of {interval}", tables, span)
        for stops in _grid_pieces(*bars.stops, length, piece):
            frame = frame_of(stops, bars.at(stops))
            frame.attrs["source"] = bars.source
            yield frame

    return Job(place, tables, span, ["ohlcv", length], make)


def snapshots(
    place: Place,
    start: Scalar | None,
    end: Scalar | None,
    interval: str | int,
    depth: int,
    steps: dict[str, float | None],
    chunk: str | int,
) -> Job:
    """Return the job of `DataLoader.load_order_book_snapshots`."""
    length, piece = duration_ns(interval), duration_ns(chunk)
    _refuse_depth(depth)
    tables = place.held(BOOK, BOOK[:1])
    span = place.span(tables, start, end)
    terms = place.instrument(steps)

    def make() -> Pieces:
        first, last = grid(*span, length)
        known = place.recorded(tables, span)
        if known is not None:  # a book needs no whole interval
            first = max(first, -(-known.low // length) * length)
            last = min(last, known.high // length * length)
        if known is None or first > last:
            raise place.nothing(f"book every {interval}", tables, span)
        book = BookSampler(place.store, terms, span.low, span.high + 1, depth)
        for times in _grid_pieces(first, last, length, piece):
            yield frame_of(times, book.at(times))

    params = ["snapshots", length, depth, terms.tick_size, terms.lot_size]
    return Job(place, tables, span, params, make)


def combined(
    place: Place,
    start: Scalar | None,
    end: Scalar | None,
    interval: str | int,
    depth: int,
    bars: Literal["trades", "candles"],
    steps: dict[str, float | None],
    chunk: str | int,
) -> Job:
    """Return the job of `DataLoader.load_combined`."""
    length, piece = duration_ns(interval), duration_ns(chunk)
    _refuse_depth(depth)
    if bars not in ("trades", "candles"):
        raise ConfigError(
            "not what bars are made from", key="bars", value=bars, expected="trades or candles"
        )
    recorded = place.held((*BOOK, bars))
    span = place.span(recorded, start, end)
    joined = ("trades", "funding", "open_interest", "liquidations")
    others = (table for table in joined if place.store.days(table, *place.where))
    tables = tuple(dict.fromkeys([*recorded, *others]))
    terms = place.instrument(steps) if BOOK[0] in recorded else None

    def make() -> Pieces:
        known = place.recorded(recorded, span)
        first, last = (1, 0) if known is None else grid(*known, length)
        if first > last:
            raise place.nothing(f"whole bar of {interval}", recorded, span)
        store, where, candles, book = place.store, place.where, None, None
        if bars == "candles":
            candles = CandleBars(store, where, length, *span)
        if terms is not None:
            book = BookSampler(store, terms, span.low, span.high + 1, depth)
        everything = Combined(store, where, length, candles, book, depth)
        for times in _grid_pieces(first, last, length, piece):
            frame = frame_of(times, everything.at(times))
            frame.attrs["bars"] = bars
            yield frame

    grids = [] if terms is None else [terms.tick_size, terms.lot_size]
    return Job(place, tables, span, ["combined", length, depth, bars, grids], make)


def refuse_change(before: list[Entry], after: list[Entry]) -> None:
    """Raise if a store was written to between two looks at its manifest."""
    if after != before:
        raise StoreError("the store was written to while it was read", remedy="run it again")


def _refuse_depth(depth: int) -> None:
    if depth < 1:
        raise ConfigError("not a depth", key="depth", value=depth, expected="1 level or more")


def _grid_pieces(first: int, last: int, interval_ns: int, chunk_ns: int) -> Iterator[Ints]:
    """Yield the multiples of an interval from `first` to `last`, as many at a time as a chunk."""
    step = max(1, chunk_ns // interval_ns) * interval_ns
    for at in range(first, last + 1, step):
        yield np.arange(at, min(at + step, last + interval_ns), interval_ns, dtype=np.int64)
