"""``mrtrade backtest``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mrtrade.backtest import PairResult, Result
    from mrtrade.config import BacktestConfig


def backtest(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file, as config/backtesting.yaml.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Folder, or address, of the store with the data.")
    ] = None,
    exchange: Annotated[str | None, typer.Option(help="Such as BINANCE_FUTURES.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Such as BTC/USDT-PERP.")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(help="A name, as `mrtrade strategies list`, module:Class or file.py[:Class]."),
    ] = None,
    start: Annotated[str | None, typer.Option(help="From this time, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Up to this time, UTC.")] = None,
    bar: Annotated[str | None, typer.Option(help="Bar and decision interval, such as 1s.")] = None,
    mode: Annotated[str | None, typer.Option(help="passive or aggressive.")] = None,
    capital: Annotated[
        float | None, typer.Option(help="Starting equity, in the currency of the profit.")
    ] = None,
    max_position: Annotated[
        float | None, typer.Option(help="Largest position, base units or contracts.")
    ] = None,
    fills: Annotated[
        str | None,
        typer.Option(
            help="What fills a resting order: optimistic, queue, risk_averse or strict.",
        ),
    ] = None,
    compare: Annotated[
        bool | None,
        typer.Option(help="Show the run under all four, by three more replays, or its own alone."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other key of the file, such as strategy.params.entry_z=2.5; repeatable.",
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder to save the run in.")] = Path("runs"),
) -> None:
    """Run a backtest: from a YAML file, from options, or from both (options win)."""
    from mrtrade.config import load_config

    given = {
        "store": store,
        "exchange": exchange,
        "symbol": symbol,
        "strategy.name": strategy,
        "start": start,
        "end": end,
        "bar": bar,
        "execution.mode": mode,
        "capital": capital,
        "max_position": max_position,
        "queue.preset": fills,
        "queue.compare": compare,
    }
    overrides = {key: value for key, value in given.items() if value is not None}
    overrides |= dict(_setting(text) for text in settings or ())
    run_and_save(load_config(config if config is not None else {}, overrides), runs)


def _setting(text: str) -> tuple[str, Any]:
    """Split ``key=value``; the value is read as YAML."""
    import yaml

    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--set")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise typer.BadParameter(f"the value of {text!r} is not YAML", param_hint="--set") from None


def run_and_save(config: BacktestConfig, runs: Path) -> Result | PairResult:
    """Run a backtest with progress, of two legs if there is a hedge; save it, show its table."""
    from mrtrade.backtest import run, run_pair, save_run
    from mrtrade.cli.console import RunProgress, make_console, refuse_unwritable

    refuse_unwritable(runs, folder=True)
    console = make_console()
    with RunProgress(console, "backtest", config.capital) as progress:
        result = (run if config.hedge is None else run_pair)(config, progress)
    console.print(result)  # before the report: its plots take longer than the run
    folder = save_run(result, runs)
    timing = result.timing
    console.print(
        f"{timing['events']:,} events in {timing['wall_s']:.1f} s "
        f"({timing['events_per_s'] / 1e6:.2f} M/s, {timing['cpu_s']:.1f} s CPU)"
    )
    console.print(f"run     {folder}", soft_wrap=True)
    console.print(f"report  {folder / 'report.html'}", soft_wrap=True)
    return result
