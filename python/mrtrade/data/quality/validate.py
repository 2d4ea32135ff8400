"""Looking at what a store holds, or at what files would bring into one."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mrtrade.clock import Scalar, from_ns, to_ns
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.quality.candles import candles_against_trades
from mrtrade.data.quality.deltas import Deltas
from mrtrade.data.quality.findings import Finding
from mrtrade.data.quality.report import Report, SeriesReport
from mrtrade.data.quality.rules import Series, graded, share_text
from mrtrade.data.quality.tables import Floats, floats, off_grid, rows_of
from mrtrade.data.quality.touches import Extremes
from mrtrade.data.schemas import TABLES
from mrtrade.data.snapshots import chunks_of
from mrtrade.data.store import Store
from mrtrade.errors import ConfigError, DataError, StoreError
from mrtrade.instruments import Instrument, infer_grid, instrument, user_symbol, venue

Progress = Callable[[str, int, int], None]
"""Called with what is looked at, series done and series in all."""

_DELTAS = "book_delta_v2"

#: Most series that an error names.
_MAX_NAMED = 5


def validate_store(
    store: Store,
    *,
    exchange: str | None = None,
    symbol: str | None = None,
    table: str | None = None,
    start: Scalar | None = None,
    end: Scalar | None = None,
    verify: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Hold what a store holds against every rule.

    Parameters
    ----------
    store : Store
    exchange, symbol, table : str, optional
        Look at nothing else.
    start, end : time, optional
        ``start <= received_time < end``.
    verify : bool
        Whether to read the stored bytes again and hold them against their manifest.
    progress : callable, optional

    Returns
    -------
    Report

    Raises
    ------
    ConfigError
        If there is no table of that name, or start is not before end.
    StoreError
        If the store holds nothing of what was asked for.
    """
    low, high = asked_span(table, start, end)
    asked = [one for one in held(store, exchange, symbol) if store.entries(*one, low, high)]
    wanted = [one for one in asked if one[0] != "quarantine" and table in (None, one[0])]
    report = Report(store.url)
    by_instrument: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, market, traded in wanted:
        by_instrument[market, traded].append(name)
    done = 0
    for where, names in sorted(by_instrument.items()):
        for one in _instrument(store, where, names, low, high, progress or _silent, done, wanted):
            if verify:
                one.findings += _bytes(store, one, low, high)
            report.series.append(one)
            done += 1
    for name, market, traded in asked:
        if name == "quarantine":
            _add_quarantined(report, store, (market, traded), table, low, high)
    if not report.series:
        raise _nothing(store, exchange, symbol, table)
    return report


def validate_files(
    path: str | PathLike[str],
    *,
    progress: Progress | None = None,
    format: str | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
) -> Report:
    """Hold files of any door against every rule, by way of a store that is thrown away.

    Parameters
    ----------
    path : path
        A file or a folder; see `mrtrade.data.ingest.ingest`.
    progress : callable, optional
    format, exchange, symbol : str, optional
        What the files do not say of themselves.

    Returns
    -------
    Report
        With what the doors noticed, and the rows that were refused.
    """
    hints = {"format": format, "exchange": exchange, "symbol": symbol}
    with TemporaryDirectory(prefix="mrtrade-validate-") as folder:
        store = ParquetStore(folder)
        brought = ingest(path, store, progress, on_bad="quarantine", **hints)
        report = validate_store(store, verify=False, progress=progress)
    report = replace(report, source=str(Path(path)), skipped=brought.skipped)
    for found in (finding for part in brought.findings.values() for finding in part):
        of = report.of(found.table, found.exchange, user_symbol(found.symbol))
        of.findings.append(found)
    return report


def _silent(what: str, done: int, total: int) -> None:
    pass


def held(store: Store, exchange: str | None, symbol: str | None) -> list[tuple[str, str, str]]:
    """Return (table, exchange, symbol) of what a store holds, all of it or of one instrument."""
    if symbol is not None:
        symbol = user_symbol(symbol)
    if exchange is not None:
        exchange = venue(exchange, symbol) if symbol else exchange.upper()
    return [
        one
        for one in store.series()
        if exchange in (None, one[1]) and symbol in (None, one[2]) and one[0] in TABLES
    ]


def asked_span(
    table: str | None, start: Scalar | None, end: Scalar | None
) -> tuple[int | None, int | None]:
    """Return a span in nanoseconds, after a look at it and at the name of a table."""
    if table is not None and table not in TABLES:
        raise ConfigError(
            "unknown table", key="table", value=table, expected=f"one of {', '.join(TABLES)}"
        )
    low = None if start is None else to_ns(start)
    high = None if end is None else to_ns(end)
    if low is not None and high is not None and low >= high:
        raise ConfigError(
            "start is not before end",
            key="start",
            value=str(from_ns(low)),
            expected=f"a time before {from_ns(high)}",
            remedy="swap them, or choose another span",
        )
    return low, high


def _nothing(
    store: Store, exchange: str | None, symbol: str | None, table: str | None
) -> StoreError:
    """Return the error for a choice of nothing, which says what there is that comes nearest."""
    named = [one for one in held(store, exchange, symbol) if table in (None, one[0])]
    entries = [entry for one in named for entry in store.entries(*one)]
    there = sorted({" ".join(one) for one in store.series()})
    if entries:
        first = from_ns(min(one.first_received for one in entries))
        last = from_ns(max(one.last_received for one in entries))
        expected = f"a span within {first} to {last}"
    elif there:
        asked = " ".join(filter(None, (table, exchange and exchange.upper(), symbol)))
        near = get_close_matches(asked, there, n=_MAX_NAMED, cutoff=0)
        more = f" and {len(there) - len(near)} more" if len(there) > len(near) else ""
        expected = f"one of {', '.join(near)}{more}"
    else:
        expected = "a store that holds something"
    return StoreError(
        "nothing to validate",
        file=store.url,
        value=" ".join(filter(None, (table, exchange, symbol))) or None,
        expected=expected,
        remedy="ask for something else, or ingest it: mrtrade ingest PATH",
    )


def _instrument(
    store: Store,
    where: tuple[str, str],
    names: list[str],
    low: int | None,
    high: int | None,
    tell: Progress,
    done: int,
    wanted: list[tuple[str, str, str]],
) -> Iterator[SeriesReport]:
    """Yield what is found in the tables of one instrument: the book's first, others lean on it."""
    extremes: Extremes | None = None
    known = _known(where)
    for name in sorted(names, key=lambda one: one != _DELTAS):
        tell(" ".join((name, *where)), done, len(wanted))
        series = Series(name, *where)
        if name == _DELTAS:
            deltas, findings = _deltas(store, series, known, low, high)
            extremes = deltas.extremes
            rows = deltas.counts["rows"]
            times, counts = deltas.times, deltas.counts
        else:
            # Ticks of a book whose steps are not known are not those of another table.
            looked = rows_of(series, known, extremes if known else None)
            for chunk in chunks_of(store, name, where, low, high, tuple(TABLES[name].schema.names)):
                looked.feed(chunk)
            findings = list(looked.findings())
            times, counts, rows = looked.times, {}, looked.rows
            if name == "candles" and store.days("trades", *where):
                findings += candles_against_trades(store, *where, low, high)
        yield SeriesReport(name, *where, rows, times.summary(), counts, findings, times.seconds)
        done += 1


def _known(where: tuple[str, str]) -> Instrument | None:
    try:
        # What it costs to trade says nothing of its data.
        return instrument(*where, maker_fee=0.0, taker_fee=0.0)
    except ConfigError:
        return None


def _deltas(
    store: Store, series: Series, known: Instrument | None, low: int | None, high: int | None
) -> tuple[Deltas, list[Finding]]:
    if known is not None:
        # Rows around a snapshot that are off the grid make no book of it.
        with suppress(DataError):
            deltas = Deltas(store, known, low, high)
            return deltas, list(deltas.findings())
    found, off = _inferred(store, series, known, low, high)
    deltas = Deltas(store, found, low, high)
    span = (deltas.times.first, deltas.times.last)
    steps = f"the book is made by tick {found.tick_size:g} and lot {found.lot_size:g}, which fit"
    if known is None:
        text = f"the instrument is not known; {steps}"
    else:
        text = f"{off['price']:,} prices off the tick, {off['size']:,} sizes off the lot size"
        text += f"; {steps}"
    grid = series.finding("off_grid", "error" if known else "info", *span, sum(off.values()), text)
    return deltas, [grid, *deltas.findings()]


def _inferred(
    store: Store, series: Series, known: Instrument | None, low: int | None, high: int | None
) -> tuple[Instrument, dict[str, int]]:
    """Return an instrument whose steps divide all that is stored, and what those known do not."""
    where = (series.exchange, series.symbol)
    values: dict[str, list[Floats]] = {"price": [], "size": []}
    off = dict.fromkeys(values, 0)
    for table in (_DELTAS, "book_seed"):
        for chunk in chunks_of(store, table, where, low, high, tuple(values)):
            for name, parts in values.items():
                column = floats(chunk.rows, name)
                parts.append(np.unique(column))
                if known is not None:
                    step = known.tick_size if name == "price" else known.lot_size
                    off[name] += off_grid(column, step)
    steps = {name: infer_grid(np.concatenate(parts)) for name, parts in values.items()}
    made = Instrument(
        exchange=series.exchange,
        symbol=series.symbol,
        tick_size=steps["price"] or 1e-8,
        lot_size=steps["size"] or 1e-8,
        maker_fee=0.0,
        taker_fee=0.0,
    )
    return made, off


def _bytes(store: Store, one: SeriesReport, low: int | None, high: int | None) -> Iterator[Finding]:
    series = Series(one.table, one.exchange, one.symbol)
    span = (one.summary["first_ns"], one.summary["last_ns"])
    for fault in store.verify(one.table, one.exchange, one.symbol, low, high):
        yield series.finding("stored_bytes", "error", *span, 1, fault)


def _add_quarantined(
    report: Report,
    store: Store,
    where: tuple[str, str],
    table: str | None,
    low: int | None,
    high: int | None,
) -> None:
    """Count the refused rows of an instrument, and tell the series that they are of."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    spans: dict[str, tuple[int, int]] = {}
    names = ("received_time", "table", "reason")
    for chunk in chunks_of(store, "quarantine", where, low, high, names):
        for time, name, reason in zip(*(chunk.rows[n].to_pylist() for n in names), strict=True):
            counted[name][reason] += 1
            first, last = spans.get(name, (time, time))
            spans[name] = (min(first, time), max(last, time))
    for name, reasons in counted.items():
        if table not in (None, name):
            continue
        report.quarantined[name, *where] = dict(reasons)
        of = report.of(name, *where)
        count = sum(reasons.values())
        share = count / (count + of.rows)
        text = f"{count:,} rows were refused ({share_text(share)})"
        severity = graded(share, 0, 0.01)
        series = Series(name, *where)
        of.findings.append(series.finding("quarantined", severity, *spans[name], count, text))
