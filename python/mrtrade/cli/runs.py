"""``mrtrade runs`` and ``mrtrade rerun``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunsOption = Annotated[
    Path, typer.Option("--runs", "--folder", help="Folder of the runs, as backtest has it.")
]


def runs(
    folder: RunsOption = Path("runs"),
    limit: Annotated[int, typer.Option(min=1, help="Show the newest of them.")] = 30,
) -> None:
    """List the saved runs, newest first."""
    from rich import box
    from rich.table import Table

    from mrtrade.backtest import list_runs
    from mrtrade.backtest.text import number
    from mrtrade.cli.console import make_console

    found = list_runs(folder)
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("run", no_wrap=True)  # `rerun` wants it whole, on a narrow screen too
    for name in ("finished", "exchange", "symbol", "strategy"):
        table.add_column(name, overflow="fold", min_width=10)
    table.add_column("net PnL", justify="right", no_wrap=True)
    table.add_column("if strict", justify="right", no_wrap=True)  # the hardest of the presets
    for one in found[:limit]:
        table.add_row(
            one["run_id"],
            str(one["finished"])[:19].replace("T", " "),
            one["exchange"],
            one["symbol"],
            one["strategy"],
            f"{number(one['net_pnl'])} {one['currency']}",
            number(strict) if (strict := one["net_by_preset"].get("strict")) is not None else "",
        )
    console = make_console()
    if found:
        console.print(table)
    console.print(f"{min(limit, len(found))} of {len(found)} runs in {folder}", soft_wrap=True)


def rerun(
    run: Annotated[str, typer.Argument(help="A run's folder, or its id.")],
    folder: RunsOption = Path("runs"),
) -> None:
    """Compute a saved run again and compare all files bit by bit; exit code 1: one differs."""
    from mrtrade.backtest import rerun as again
    from mrtrade.cli.console import make_console

    place = Path(run) if Path(run).is_dir() else folder / run
    result = again(place)
    make_console().print(
        f"bit-equal: {place} ({len(result.fills):,} fills, {result.timing['wall_s']:.1f} s)",
        soft_wrap=True,
    )
