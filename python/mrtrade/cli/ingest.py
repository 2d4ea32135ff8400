"""``mrtrade ingest``."""

from __future__ import annotations

from enum import StrEnum
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mrtrade.data.ingest import IngestReport

#: Longest table of partitions: the whole output has at most 40 lines.
MAX_ROWS = 24

#: Most findings shown, errors first.
MAX_FINDINGS = 8


class OnBad(StrEnum):
    """What is done with bad rows."""

    error = "error"
    quarantine = "quarantine"


def ingest(
    path: Annotated[Path, typer.Argument(help="File, or folder of files, of any known format.")],
    store: Annotated[str, typer.Option(help="Folder, or address, of the store.")] = "store",
    on_bad: Annotated[
        OnBad, typer.Option(help="Stop at the first bad row, or set bad rows aside.")
    ] = OnBad.error,
    format: Annotated[
        str | None,
        typer.Option(
            help="Read only files of this format: lake, tardis, binance-public, hftbacktest, "
            "hftbacktest-npz, cryptofeed, binance-data-processor."
        ),
    ] = None,
    exchange: Annotated[
        str | None, typer.Option(help="Exchange, of files that do not say it: BINANCE_FUTURES.")
    ] = None,
    symbol: Annotated[
        str | None, typer.Option(help="Symbol, of files that do not say it: BTC/USDT-PERP.")
    ] = None,
    aggressor: Annotated[
        str | None,
        typer.Option(help="Rule for who took, of trades that do not say it: tick."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show every finding, not only the worst.")
    ] = False,
) -> None:
    """Check recorded files and bring them into the store: all of them, or none and one error."""
    from mrtrade.cli.console import make_console

    console = make_console()
    report, seconds = bring_in(
        path,
        store,
        console,
        on_bad=on_bad.value,
        format=format,
        exchange=exchange,
        symbol=symbol,
        aggressor=aggressor,
    )
    for line in found(report, None if every else MAX_FINDINGS):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if report.written:
        console.print(partitions(report))
    console.print(f"{report}, in {seconds:.1f} s", soft_wrap=True)


def bring_in(
    path: Path,
    store: str | PathLike[str],
    console: Console,
    *,
    on_bad: Literal["error", "quarantine"] = "error",
    **hints: str | None,
) -> tuple[IngestReport, float]:
    """Ingest a file or folder with progress; returns the report and the seconds it took."""
    from contextlib import closing
    from time import perf_counter

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from mrtrade.data.ingest import ingest as run
    from mrtrade.data.stores import open_store

    began = perf_counter()
    with (
        closing(open_store(store)) as opened,
        Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as bar,
    ):
        task = bar.add_task("looking", total=1)
        report = run(
            path,
            opened,
            lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            ),
            on_bad=on_bad,
            **hints,
        )
    return report, perf_counter() - began


def found(report: IngestReport, most: int | None) -> list[str]:
    """Return a line for each thing found in a new file, the worst first, at most so many."""
    worst = {"error": 0, "warning": 1, "info": 2}
    all_found = [(one, name) for name, several in report.findings.items() for one in several]
    all_found.sort(key=lambda pair: worst[pair[0].severity])
    lines = [
        f"{one.severity}: {name}: {one.table} {one.exchange} {one.symbol}: {one.text}"
        for one, name in all_found[:most]
    ]
    if len(all_found) > len(lines):
        lines.append(f"... and {len(all_found) - len(lines)} more findings: --all shows them")
    return lines


def partitions(report: IngestReport) -> Table:
    """Lay out the partitions that were written."""
    from rich.table import Table

    table = Table("table", "exchange", "symbol", "day", title="written")
    table.add_column("rows", justify="right")
    for entry in report.written[:MAX_ROWS]:
        table.add_row(entry.table, entry.exchange, entry.symbol, entry.day, f"{entry.rows:,}")
    rest = report.written[MAX_ROWS:]
    if rest:
        table.add_row(f"{len(rest)} more", "", "", "", f"{sum(entry.rows for entry in rest):,}")
    return table
