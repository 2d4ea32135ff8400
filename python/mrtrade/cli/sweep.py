"""``mrtrade sweep``."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mrtrade.cli.cluster import BackendOption, SchedulerOption, make_workers

GridOption = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        metavar="KEY=V1,V2,...",
        help="Vary a parameter of the strategy, or any key of the file; repeatable.",
    ),
]
GridFileOption = Annotated[
    Path | None, typer.Option(help="YAML file with a list of values by key, as --grid has them.")
]
CostsOption = Annotated[
    str | None,
    typer.Option(metavar="X1,X2,...", help="Multiples of all costs; 1 is always among them."),
]


def sweep(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file, as config/backtesting.yaml.")
    ] = None,
    grid: GridOption = None,
    grid_file: GridFileOption = None,
    costs: CostsOption = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="So many combinations, drawn at random."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    data: Annotated[
        Path | None, typer.Option(help="Folder of a dataset, in place of the recording.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Folder, or address, of the store.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Such as BINANCE_FUTURES.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Such as BTC/USDT-PERP.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="A name, module:Class or file.py[:Class].")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the file; repeatable."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Replays at once.")] = 1,
    backend: BackendOption = "loky",
    scheduler: SchedulerOption = None,
    ledger: Annotated[Path, typer.Option(help="File in which all trials are counted.")] = Path(
        "trials.jsonl"
    ),
    study: Annotated[
        str, typer.Option(help="The question that the trials answer: they count together.")
    ] = "default",
    top: Annotated[int, typer.Option(min=1, help="Configurations on the screen.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Write all of it as JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the rows, a .csv file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write the rows, a .parquet file.")] = None,
) -> None:
    """Backtest every combination of some values, and say how lucky the best one may be.

    Those that differ only in fees and multiples of the costs share a replay. Each configuration is
    a trial, counted in the ledger: the more were tried, the less the best of them says. The rows
    are the same, bit for bit, for any --jobs and --backend.
    """
    from mrtrade.backtest.sweep import sweep as run_sweep
    from mrtrade.cli.backtest import _setting
    from mrtrade.cli.console import CountProgress, make_console
    from mrtrade.cli.sweep_text import as_json, show
    from mrtrade.config import load_config
    from mrtrade.ml.trials import TrialLedger
    from mrtrade.validation.best_of import deflate_best

    given = {"store": store, "exchange": exchange, "symbol": symbol, "strategy.name": strategy}
    overrides = {key: value for key, value in given.items() if value is not None}
    overrides |= dict(_setting(text) for text in settings or ())
    base = load_config(config if config is not None else {}, overrides)
    axes = _axes(grid or [], grid_file, costs)
    workers = make_workers(jobs, backend, scheduler)
    _refuse_places(json, csv, parquet)
    trials, console = TrialLedger(ledger), make_console()
    begun = time.monotonic()
    with CountProgress(console, "sweep", math.prod(map(len, axes.values()))) as progress:
        found = run_sweep(
            base,
            axes,
            dataset=data,
            sample=sample,
            seed=seed,
            workers=workers,
            ledger=trials,
            study=study,
            done=progress,
        )
    seconds = time.monotonic() - begun
    count = trials.count(study)
    luck = deflate_best(found, count)
    for table in filter(None, (csv, parquet)):
        found.save(table)
    if json is not None:
        json.write_text(as_json(found, luck, study), encoding="utf-8")
    on = f"{base.exchange} {base.symbol}" if data is None else str(data)
    console.print(f"[bold]sweep[/]  {base.strategy.name} on {on}", soft_wrap=True)
    console.print(
        f"{len(found.frame):,} configurations by {found.replays:,} replays in {seconds:.1f} s; "
        f"{found.new_trials:,} new trials, {count:,} of {study!r} in {ledger}",
        markup=False,
    )
    show(console, found, luck, top)
    for name, place in (("json", json), ("csv", csv), ("parquet", parquet)):
        if place is not None:
            console.print(f"{name}  {place}", soft_wrap=True)


def _axes(grid: list[str], file: Path | None, costs: str | None) -> dict[str, list[Any]]:
    from mrtrade.backtest.grid import make_axes, parse_axis, read_axes
    from mrtrade.backtest.sweep import COST_SCALE
    from mrtrade.errors import ConfigError

    given = [] if file is None else read_axes(file)
    given += [parse_axis(text) for text in grid]
    if costs is not None:
        given.append(parse_axis(f"{COST_SCALE}={costs}"))
    axes = make_axes((_key(name), values) for name, values in given)
    if not axes:
        raise ConfigError(
            "nothing to vary", remedy="name values, such as --grid entry_z=1.5,2 or --costs 0.5,2"
        )
    if COST_SCALE in axes and 1 not in axes[COST_SCALE]:
        axes[COST_SCALE].append(1.0)
    return axes


def _key(name: str) -> str:
    """Return the key of a backtest that a name is short for."""
    from mrtrade.backtest.sweep import COST_SCALE
    from mrtrade.config import BacktestConfig

    known = "." in name or name in BacktestConfig.model_fields or name == COST_SCALE
    return name if known else f"strategy.params.{name}"


def _refuse_places(json: Path | None, csv: Path | None, parquet: Path | None) -> None:
    """Complain of where results are to go before the work for them."""
    from mrtrade.cli.console import refuse_unwritable
    from mrtrade.errors import ConfigError

    for place, suffix in ((json, ".json"), (csv, ".csv"), (parquet, ".parquet")):
        if place is None:
            continue
        if place.suffix != suffix:
            raise ConfigError("not named by its kind", file=place, expected=f"a name in {suffix}")
        refuse_unwritable(place)
