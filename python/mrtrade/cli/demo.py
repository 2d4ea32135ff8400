"""``mrtrade demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from mrtrade.backtest import Result

EXCHANGE, SYMBOL = "SYNTHETIC", "BTC/USDT"

#: Those that one spot market is enough for.
SHOWN = ("statistical", "microstructure")

#: A fair value that strays some 5 bps and comes back fast enough to be told from a random walk
#: within the strategies' default windows.
FAIR_SD_TICKS, HALF_LIFE_S = 300.0, 10.0


def demo(
    folder: Annotated[Path, typer.Option(help="Everything is written in here.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(min=10, help="Length of the market.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Of the market.")] = 7,
) -> None:
    """Make a synthetic market, ingest it, backtest both strategies and write their reports."""
    from mrcore.market import SyntheticMarket
    from mrtrade.backtest import run, save_run
    from mrtrade.cli.console import RunProgress, make_console, refuse_unwritable
    from mrtrade.cli.ingest import bring_in
    from mrtrade.config import load_config
    from mrtrade.data.synthetic import write_lake

    refuse_unwritable(folder, folder=True)
    console = make_console()
    market = SyntheticMarket(seed, fair_sd_ticks=FAIR_SD_TICKS, half_life_s=HALF_LIFE_S)
    write_lake(folder / "lake", market.run(60.0 * minutes), EXCHANGE, SYMBOL)
    console.print(f"market  {minutes:g} minutes, seed {seed}, in {folder / 'lake'}", soft_wrap=True)
    report, seconds = bring_in(folder / "lake", folder / "store", console)
    console.print(f"ingest  {report}, in {seconds:.1f} s", soft_wrap=True)
    results: dict[str, tuple[Result, Path]] = {}
    for name in SHOWN:
        config = load_config(
            {
                "store": folder / "store",
                "exchange": EXCHANGE,
                "symbol": SYMBOL,
                "strategy": {"name": name},
            }
        )
        if console.is_terminal:
            with RunProgress(console, name, config.capital) as progress:
                result = run(config, progress)
        else:  # twice a line for each 10 % would be too much of it
            result = run(config)
        results[name] = result, save_run(result, folder / "runs")
    console.print(compare([result for result, _ in results.values()]))
    for name, (_, path) in results.items():
        console.print(f"report  {name}: {path / 'report.html'}", soft_wrap=True)


def compare(results: list[Result]) -> Table:
    """Lay key stats and costs of several results side by side."""
    from rich.table import Table
    from rich.text import Text

    from mrtrade.backtest.tables import costs, key_stats

    unit = results[0].instrument.currency
    table = Table("", title="a synthetic market; no promise of any other")
    for result in results:
        table.add_column(result.manifest["config"]["strategy"]["name"], justify="right")
    for cells in zip(*(key_stats(result) for result in results), strict=True):
        table.add_row(Text(cells[0][0]), *(Text(text) for _, text in cells))
    table.add_section()
    for rows in zip(*(costs(result) for result in results), strict=True):
        table.add_row(Text(f"{rows[0][0]}, {unit}"), *(f"{row[1]:,.2f}" for row in rows))
    return table
