"""``mrtrade ingest``."""

from __future__ import annotations

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
    store: Annotated[Path, typer.Option(help="Folder of the store.")] = Path("store"),
) -> None:
    """Check recorded files and bring them into the store: all of them, or none and one error."""
    from mrtrade.cli.console import make_console

    console = make_console()
    report, seconds = bring_in(path, store, console)
    if report.written:
        console.print(partitions(report))
    console.print(f"{report}, in {seconds:.1f} s", soft_wrap=True)


def bring_in(path: Path, store: Path, console: Console) -> tuple[IngestReport, float]:
    """Ingest a folder with progress; returns the report and the seconds it took."""
    from time import perf_counter

    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from mrtrade.data.ingest import ingest as run
    from mrtrade.data.parquet import ParquetStore

    began = perf_counter()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("looking", total=1)
        report = run(
            path,
            ParquetStore(store),
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
