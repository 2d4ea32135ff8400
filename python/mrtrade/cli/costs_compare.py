"""``mrtrade costs compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrtrade.cli.costs_options import JsonOption, plain_table, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from mrtrade.backtest.cost_comparison import CostComparison


def compare(
    run: Annotated[str, typer.Argument(help="A run's folder, or its id.")],
    runs: Annotated[Path, typer.Option(help="Folder of the runs, as backtest has it.")] = Path(
        "runs"
    ),
    calibration: Annotated[
        Path | None, typer.Option(help="Of the market, instead of what the run names.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw each fill and the parts, PNG.")] = None,
    json: JsonOption = None,
) -> None:
    """Show what the fills of a saved run cost, beside what the cost model expects of them.

    Both count from the mid at the decision, in basis points, > 0 paid; of a maker's fill also what
    the mid did against it afterwards. The run's store is read again for the state of the market.
    """
    from mrtrade.backtest.cost_comparison import compare_saved
    from mrtrade.backtest.text import number
    from mrtrade.cli.console import make_console, refuse_unwritable

    for place in filter(None, (picture, json)):
        refuse_unwritable(place)
    console = make_console()
    folder = Path(run) if Path(run).is_dir() else runs / run
    with console.status("reading the run, and its bars"):
        found = compare_saved(folder, calibration=calibration)
    console.print(f"[bold]{len(found.fills):,} fills[/], basis points of their notional\n")
    console.print(_by_role(found))
    console.print()
    console.print(_by_part(found))
    console.print(
        f"\nnet profit  {number(found.net_simulated)} {found.currency} by the simulated fills, "
        f"{number(found.net_model)} charged by the model"
    )
    if found.not_estimated:
        console.print(
            f"{found.not_estimated:,} fills, for which the model lacks something, are charged what "
            "they cost by simulation"
        )
    if picture is not None:
        picture.write_bytes(found.draw())
        console.print(f"picture  {picture}", soft_wrap=True)
    write_json(console, json, found.to_dict())


def _by_role(found: CostComparison) -> Table:
    table = plain_table(
        "role", "size", "orders", "fills", "simulated", "model", "bias", "rmse", left=(0, 1)
    )
    for row in found.table.to_dict("records"):
        if row["fills"]:
            counts = (f"{row[name]:,}" for name in ("orders", "both"))
            means = (row[name] for name in ("simulated_mean", "model_mean", "bias", "rmse"))
            cells = (row["role"], row["size"], *counts, *map(_bps, means))
            table.add_row(*cells, end_section=row["size"] == "all")
    return table


def _by_part(found: CostComparison) -> Table:
    table = plain_table("role", "part", "simulated", "model", left=(0, 1))
    for row in found.parts().to_dict("records"):
        table.add_row(row["role"], row["part"], _bps(row["simulated"]), _bps(row["model"]))
    return table


def _bps(value: float) -> str:
    return f"{value:.3f}" if value == value else ""
