"""How ``mrtrade download`` says things: the plan, a line a day, the summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, from_ns, to_ns, utc_day
from mrtrade.data.download.report import MAX_SHARE
from mrtrade.data.providers.lake import EVENT_TABLES
from mrtrade.instruments import from_lake

if TYPE_CHECKING:
    from mrtrade.data.download import DayReport, DownloadPlan, DownloadReport, Gap
    from mrtrade.data.providers.lake import CryptoLakeProvider

#: Bytes a month of Crypto Lake's individual plan, as its users were told it.
MONTHLY_QUOTA = 300e9

#: Longest lists of gaps, of failed days and of runs of missing days.
MAX_LINES = 12


def size(count: float) -> str:
    """Write bytes with three digits: ``1.23 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000.0
    return f"{count:.3g} TB"


def length(ns: int) -> str:
    """Write a length of time: ``28 ms``, ``1.24 s``, ``2 min 05 s``, ``16 h 08 min``."""
    seconds = ns / NS_PER_SECOND
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if not hours:
        return f"{m} min {s:02d} s"
    return f"{days} d {h} h" if days else f"{h} h {m:02d} min"


def plan_lines(plan: DownloadPlan, target: str) -> Iterator[Table | Text]:
    """Tell what a download would do."""
    count = (plan.end_ns - plan.start_ns) // NS_PER_DAY
    yield Text(
        f"{plan.exchange} {plan.symbol}, {utc_day(plan.start_ns)} to "
        f"{utc_day(plan.end_ns - 1)} ({count} day{'s' * (count > 1)}), into {target}"
    )
    table = Table("table", box=box.SIMPLE, show_footer=True)
    table.columns[0].footer = "all"
    columns: list[tuple[str, list[str]]] = [
        (name, [])
        for name in ("to fetch", "size", "in cache", "in the store", "missing", "to come")
    ]
    for name in (*plan.tables, None):
        days = [day for day in plan.days if name in (None, day.lake.table)]
        todo = [day for day in days if day.state == "fetch"]
        cells = [
            str(len(todo)),
            size(sum(day.to_fetch for day in todo)),
            size(sum(day.size - day.to_fetch for day in todo)),
            *(str(sum(d.state == one for d in days)) for one in ("held", "missing", "pending")),
        ]
        for (_, column), cell in zip(columns, cells, strict=True):
            column.append(cell)
    for head, column in columns:
        table.add_column(head, column[-1], justify="right")
    for at, name in enumerate(plan.tables):
        table.add_row(name, *(column[at] for _, column in columns))
    yield table
    if plan.absent:
        yield Text(f"not there in these days: {', '.join(plan.absent)}")
    for name in plan.tables:
        missing = [day.lake.day for day in plan.of(name, "missing")]
        if missing and name not in EVENT_TABLES:  # of those a quiet day has no file
            yield Text(f"missing {name}: {', '.join(_first(runs(missing)))}", "yellow")
    for need in plan.needs:
        if need.size:
            where = " and ".join(map(str, need.folders))
            yield Text(f"disk: about {size(need.size)} of {size(need.free)} free, in {where}")
    if plan.to_fetch:
        yield Text(
            f"quota: {size(plan.to_fetch)} are {percent(plan.to_fetch / MONTHLY_QUOTA)} of what an "
            f"individual plan has a month ({size(MONTHLY_QUOTA)})"
        )


def day_line(day: DayReport) -> Text:
    """Tell what became of a day, and what it is worth."""
    line = Text(f"{day.table:<13}  {day.day}  ")
    if day.status == "failed":
        return line.append("FAILED", "bold red").append(f"  {day.reason}")
    quality = day.quality
    if quality is None:
        line.append("no rows", "yellow")
    else:
        gap = quality.largest_gap[1] - quality.largest_gap[0]
        line.append(f"{quality.rows:>12,} rows  ")
        line.append(f"{_clock(quality.first_ns)} - {_clock(quality.last_ns)}  ")
        line.append(f"gap {length(gap)}", "yellow" if quality.gaps else "")
        if quality.snapshots:
            line.append(f", {quality.snapshots} snapshot{'s' * (quality.snapshots > 1)}")
    if day.status != "written":
        line.append(f", {day.status}")
    if day.quarantined:
        line.append(f", {day.quarantined:,} set aside", "yellow")
    for note in day.notes:
        line.append(f", {note}", "yellow")
    return line


def summary_lines(report: DownloadReport) -> Iterator[Table | Text]:
    """Tell what is there now, where it has gaps, and what to do about it."""
    table = Table("table", box=box.SIMPLE)
    for head in ("days", "rows", "gaps", "missing", "failed", "set aside"):
        table.add_column(head, justify="right")
    for name in report.plan.tables:
        days = report.of(name)
        there = [day.quality for day in days if day.quality]
        share = report.gap_share(name)
        table.add_row(
            name,
            f"{len(there)} of {len(days)}",
            f"{sum(quality.rows for quality in there):,}",
            Text(percent(share), "yellow" if share >= MAX_SHARE else ""),
            str(len(report.of(name, "missing"))),
            Text(str(len(failed := report.of(name, "failed"))), "red" if failed else ""),
            f"{sum(day.quarantined for day in days):,}",
        )
    yield table
    if not report.stopped:  # else most of it is only not there yet
        gaps = [gap_line(gap) for name in report.plan.tables for gap in report.gaps(name)]
        yield from _listed("gaps", gaps)
    yield from _listed("failed", [f"{day.table} {day.day}" for day in report.failed])
    yield verdict(report)


def gap_line(gap: Gap) -> str:
    """Tell of one gap."""
    days = (("missing", gap.missing), ("failed", gap.failed))
    why = ", ".join(f"{count} day{'s' * (count > 1)} {what}" for what, count in days if count)
    told = f" ({why})" if why else ""
    return (
        f"{gap.table:<13}  {_stamp(gap.start_ns)} to {_stamp(gap.end_ns)}  "
        f"{length(gap.end_ns - gap.start_ns)}{told}"
    )


def verdict(report: DownloadReport) -> Text:
    """Tell in one line how it went, and in another what to do."""
    left = sum(day.status == "left" for day in report.days.values())
    told = f"{report}, in {timedelta(seconds=round(report.seconds))}"
    if report.stopped:
        return (
            Text("stopped", "bold red")
            .append(f": {report.stopped}\n{told}\n", "default")
            .append(
                f"every day in the store is whole; the same command goes on with the {left} left"
            )
        )
    if report.is_complete:
        return Text("complete", "bold green").append(f": {told}", "default")
    line = Text("with gaps", "bold yellow").append(f": {told}", "default")
    if report.failed:
        line.append("\nthe same command tries the failed days again", "default")
    return line


def offered(
    provider: CryptoLakeProvider,
    tables: Sequence[str] | None,
    exchange: str | None,
    symbol: str | None,
) -> Iterator[Table | Text]:
    """Tell which series there are: a line a symbol, its tables with their days."""
    frame = pd.concat([provider.available(t, exchange, symbol) for t in tables or (None,)])
    table = Table("exchange", "symbol", "first", "last", box=box.SIMPLE)
    table.add_column("tables (days)", overflow="fold")
    for (market, name), rows in frame.groupby(["exchange", "symbol"]):
        held = ", ".join(f"{row.table} ({row.days})" for row in rows.itertuples())
        table.add_row(
            str(market), from_lake(str(name)), rows["first"].min(), rows["last"].max(), held
        )
    yield table if len(frame) else Text("nothing: check the spelling of exchange and symbol")


def percent(share: float) -> str:
    """Write a share so that little is not nothing."""
    return "0" if not share else "< 0.01 %" if share < 1e-4 else f"{100 * share:.2f} %"


def runs(days: Sequence[str]) -> list[str]:
    """Write days, in order, as runs: ``2024-12-05 to 2025-01-06 (33)``."""
    numbers = [to_ns(day) // NS_PER_DAY for day in days]
    cuts = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(numbers)) if b > a + 1), len(days)]
    return [
        days[a] if b == a + 1 else f"{days[a]} to {days[b - 1]} ({b - a})"
        for a, b in pairwise(cuts)
    ]


def _first(items: Sequence[str]) -> list[str]:
    rest = len(items) - MAX_LINES
    return [*items[:MAX_LINES], *([f"{rest} more"] if rest > 0 else [])]


def _listed(head: str, items: Sequence[str]) -> Iterator[Text]:
    for at, item in enumerate(_first(items)):
        yield Text(f"{head if at == 0 else '':<7} {item}")


def _clock(ns: int) -> str:
    return f"{from_ns(ns):%H:%M:%S}.{ns // 1_000_000 % 1000:03d}"


def _stamp(ns: int) -> str:
    return f"{from_ns(ns):%Y-%m-%d %H:%M:%S}"
