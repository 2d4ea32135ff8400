"""``mrtrade ingest``."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mrtrade.data.ingest import IngestReport

#: Longest table of partitions: the whole output has at most 40 lines.
MAX_ROWS = 24


def ingest(
    path: Annotated[Path, typer.Argument(help="Folder in Crypto Lake's layout.")],
    store: Annotated[str, typer.Option(help="Folder, or address, of the store.")] = "store",
) -> None:
    """Check recorded files and bring them into the store: all of them, or none and one error."""
    from mrtrade.cli.console import make_console

    console = make_console()
    report, seconds = bring_in(path, store, console)
    if report.written:
        console.print(partitions(report))
    console.print(f"{report}, in {seconds:.1f} s", soft_wrap=True)


def bring_in(
    path: Path, store: str | PathLike[str], console: Console
) -> tuple[IngestReport, float]:
    """Ingest a folder with progress; returns the report and the seconds it took."""
    from contextlib import closing
    from time import perf_counter

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from mrtrade.data.ingest import ingest as run
    from mrtrade.data.store import open_store

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
        )
    return report, perf_counter() - began


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
