"""``mrtrade runs`` and ``mrtrade rerun``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def runs(
    folder: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    limit: Annotated[int, typer.Option(min=1, help="Show the newest of them.")] = 30,
) -> None:
    """List the saved runs, newest first."""
    from rich.table import Table

    from mrtrade.backtest import list_runs
    from mrtrade.backtest.text import number
    from mrtrade.cli.console import make_console

    found = list_runs(folder)
    table = Table()
    table.add_column("run", no_wrap=True)  # `rerun` wants it whole, on a narrow screen too
    for name in ("finished", "exchange", "symbol", "strategy"):
        table.add_column(name)
    table.add_column("net PnL", justify="right")
    table.add_column("optimistic .. strict", justify="right")
    for one in found[:limit]:
        table.add_row(
            one["run_id"],
            str(one["finished"])[:19].replace("T", " "),
            one["exchange"],
            one["symbol"],
            one["strategy"],
            f"{number(one['net_pnl'])} {one['currency']}",
            _span(one["net_by_preset"]),
        )
    console = make_console()
    if found:
        console.print(table)
    console.print(f"{min(limit, len(found))} of {len(found)} runs in {folder}", soft_wrap=True)


def _span(nets: dict[str, float]) -> str:
    """Net profit under the kindest and the hardest answer to what fills a resting order."""
    from mrtrade.backtest.text import number

    if not {"optimistic", "strict"} <= nets.keys():
        return ""
    return f"{number(nets['optimistic'])} .. {number(nets['strict'])}"


def rerun(
    run: Annotated[str, typer.Argument(help="A run's folder, or its id.")],
    folder: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
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
