"""``mrtrade fills``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from mrtrade.execution.grade import Grade
    from mrtrade.execution.orders import OrderLog
    from mrtrade.execution.study import Fits

app = typer.Typer(
    help="How far simulated fills can be trusted: queue models against order-level truth.",
    no_args_is_help=True,
)

MODELS = "optimistic,risk_averse,strict,log,log2,power(3),power2(3),power3(3),power(fit),table(fit)"

Orders = Annotated[
    Path | None,
    typer.Option(
        help="Parquet or CSV of order-level data: time, kind, order_id, side, tick, lots."
        " Default: a synthetic market."
    ),
]
LotSize = Annotated[
    float | None, typer.Option(help="Base units a lot; needed with --orders (log models).")
]
Market = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Of the synthetic market, such as cancel_rate=0.5; repeatable.",
    ),
]
Minutes = Annotated[float, typer.Option(min=0.1, help="Length of the synthetic market.")]
Probes = Annotated[int, typer.Option(min=1, help="Imagined orders, at random times.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the market, the probes, the bootstrap.")]
Distances = Annotated[str, typer.Option(help="Of the probes, ticks behind the touch.")]
Weight = Annotated[str, typer.Option(help="Of a cancellation in the likelihood: size or orders.")]
Knots = Annotated[int, typer.Option(min=3, help="Points of the fitted table.")]


@app.command(short_help="Hold each model's fills against the true ones.")
def grade(
    orders: Orders = None,
    lot_size: LotSize = None,
    market: Market = None,
    minutes: Minutes = 30.0,
    models: Annotated[
        str, typer.Option(help="power(n), table(FILE) and (fit), fitted on the first third, too.")
    ] = MODELS,
    probes: Probes = 10_000,
    horizons: Annotated[
        str, typer.Option(help="Seconds; the middle one is shown in detail.")
    ] = "1,5,30",
    distances: Distances = "0,1,2,4",
    weight: Weight = "size",
    knots: Knots = 11,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for tables, JSON and picture.")] = Path("fills"),
) -> None:
    """Hold each model's fills against the true ones: rates, times, by distance and queue."""
    from mrtrade.cli.console import make_console
    from mrtrade.execution.output import save_study
    from mrtrade.execution.predict import parse_model
    from mrtrade.execution.study import Plan, run_study

    console = make_console()
    chosen = [parse_model(one) for one in _split(models)]
    spans = _numbers("horizons", horizons, 0.001)
    places = _places(distances)
    _check_weight(weight)
    with console.status("orders, truth, and a replay for each model"):
        log, lot, source = _orders(orders, lot_size, market, minutes, seed)
        plan = Plan(lot, probes, seed, spans, places, weight, knots)
        study = run_study(log, chosen, plan)
    shown = spans[len(spans) // 2]
    for table in (
        _rates(study.grade),
        _times(study.grade),
        *(_groups(study.grade, by, shown) for by in ("distance", "queue")),
    ):
        console.print(table)
    console.print(
        f"{len(study.probes):,} probes in {_span(log)}; +- one standard error; "
        "wrong: called filled or not filled, and was not so"
    )
    _list(save_study(study, plan, out, source, shown))


@app.command(short_help="Fit the models to where cancellations happen.")
def fit(
    orders: Orders = None,
    lot_size: LotSize = None,
    market: Market = None,
    minutes: Minutes = 30.0,
    probes: Probes = 10_000,
    horizon: Annotated[float, typer.Option(min=0.001, help="A probe waits so long, s.")] = 30.0,
    distances: Distances = "0,1,2,4",
    weight: Weight = "size",
    knots: Knots = 11,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="YAML for a backtest's queue.table.")] = Path(
        "queue.yaml"
    ),
) -> None:
    """Fit the models: did what was cancelled stand before or behind? Maximum likelihood."""
    from mrtrade.cli.console import make_console
    from mrtrade.execution.output import save_fits
    from mrtrade.execution.study import Plan, fit_models

    console = make_console()
    places = _places(distances)
    _check_weight(weight)
    with console.status("orders, cancellations, fits"):
        log, lot, source = _orders(orders, lot_size, market, minutes, seed)
        plan = Plan(lot, probes, seed, (horizon,), places, weight, knots)
        fits = fit_models(log, plan)
    console.print(_exponents(fits))
    console.print(_table(fits))
    console.print(f"{len(fits.seen):,} cancellations in {_span(log)}, weighted by {weight}")
    _list(save_fits(fits, plan, out, source))


def _split(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _check_weight(text: str) -> None:
    if text not in ("size", "orders"):
        raise typer.BadParameter(f"{text!r} is neither size nor orders", param_hint="--weight")


def _numbers(name: str, text: str, least: float) -> tuple[float, ...]:
    from itertools import pairwise
    from math import isfinite

    try:
        numbers = tuple(float(one) for one in _split(text))
    except ValueError:
        numbers = ()
    rising = all(a < b for a, b in pairwise(numbers))
    if not (numbers and rising and isfinite(numbers[-1]) and numbers[0] >= least):
        raise typer.BadParameter(
            f"{text!r} is no rising list of numbers from {least:g} on", param_hint=f"--{name}"
        )
    return numbers


def _places(text: str) -> tuple[int, ...]:
    numbers = _numbers("distances", text, 0.0)
    if any(one != int(one) for one in numbers):
        raise typer.BadParameter(f"{text!r} are not ticks", param_hint="--distances")
    return tuple(int(one) for one in numbers)


def _orders(
    file: Path | None,
    lot_size: float | None,
    options: list[str] | None,
    minutes: float,
    seed: int,
) -> tuple[OrderLog, float, dict[str, Any]]:
    """Orders, the size of a lot, and where they came from."""
    import yaml

    from mrcore.market import SyntheticMarket
    from mrtrade.errors import ConfigError
    from mrtrade.execution.orders import OrderLog, read_orders

    if file is not None:
        if options:
            raise typer.BadParameter("either a market or orders", param_hint="--market")
        if lot_size is None or not lot_size > 0.0:
            raise typer.BadParameter("needed with --orders, > 0", param_hint="--lot-size")
        return read_orders(file), lot_size, {"orders": str(file), "lot_size": lot_size}
    if lot_size is not None:
        raise typer.BadParameter("a market has it by --market lot_size=", param_hint="--lot-size")
    given: dict[str, Any] = {}
    for text in options or ():
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--market")
        given[key] = yaml.safe_load(value)
    try:
        run = SyntheticMarket(seed, **given).run(60.0 * minutes)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"no such synthetic market: {error}", key="market") from error
    source = {"market": given, "minutes": minutes, "seed": seed}
    return OrderLog(run.orders), run.lot_size, source


def _span(log: OrderLog) -> str:
    return f"{(log.time[-1] - log.time[0]) / 60e9:.1f} minutes of {len(log.time):,} order events"


def _list(files: list[Path]) -> None:
    from mrtrade.cli.console import make_console

    console = make_console()
    for file in files:
        console.print(f"written {file}", soft_wrap=True)
    if files[-1].suffix != ".png":
        console.print("no picture: it needs matplotlib, pip install 'mrtrade\\[report]'")


def _points(value: float, se: float) -> str:
    """Return a difference of rates and its standard error, percentage points."""
    return f"{100.0 * value:+.2f} +- {100.0 * se:.2f}"


def _rates(graded: Grade) -> Table:
    from rich.table import Table

    summary = graded.summary
    spans = sorted(set(summary["horizon_s"]))
    table = Table("model", title="fill rate: predicted - true, points, and wrong calls")
    for span in spans:
        table.add_column(f"in {span:g} s", justify="right")
        table.add_column("wrong", justify="right")
    first = summary[summary["model"] == graded.models[0]].set_index("horizon_s")
    truth = [cell for span in spans for cell in (f"{100.0 * first['true'][span]:.2f}%", "")]
    table.add_row("truth", *truth, end_section=True)
    for model in graded.models:
        rows = summary[summary["model"] == model].set_index("horizon_s")
        cells: list[str] = []
        for span in spans:
            row = rows.loc[span]
            cells += [_points(row["difference"], row["se"]), f"{100.0 * row['wrong']:.2f}%"]
        table.add_row(model, *cells)
    return table


def _times(graded: Grade) -> Table:
    from rich.table import Table

    horizon = graded.summary["horizon_s"].max()
    title = f"time to fill, seconds; the mean of min(time, {horizon:g})"
    table = Table("model", title=title)
    for name in ("median", "mean", "mean - true", "curves apart"):
        table.add_column(name, justify="right")
    for row in graded.times.to_dict("records"):
        median = f"{row['median_s']:.3f} +- {row['median_se']:.3f}"
        truth = row["model"] == "truth"
        table.add_row(
            str(row["model"]),
            median if row["median_s"] <= horizon else f"> {horizon:g}",
            f"{row['mean_s']:.3f} +- {row['mean_se']:.3f}",
            "" if truth else f"{row['bias_s']:+.3f} +- {row['bias_se']:.3f}",
            "" if truth else f"{100.0 * row['gap']:.2f} points",
            end_section=truth,
        )
    return table


def _groups(graded: Grade, by: str, horizon: float) -> Table:
    from rich.table import Table

    what = {
        "distance": "ticks behind the touch",
        "queue": "lots displayed on arrival (nearest probes)",
    }[by]
    rows = graded.groups
    rows = rows[(rows["by"] == by) & (rows["horizon_s"] == horizon)]
    table = Table("model", title=f"within {horizon:g} s, by {what}: predicted - true, points")
    names = list(dict.fromkeys(rows["group"]))
    for name in names:
        table.add_column(name, justify="right")
    first = rows[rows["model"] == graded.models[0]]
    table.add_row("truth", *(f"{100.0 * rate:.2f}%" for rate in first["true"]), end_section=True)
    for model in graded.models:
        mine = rows[rows["model"] == model]
        table.add_row(
            model, *(_points(d, se) for d, se in zip(mine["difference"], mine["se"], strict=True))
        )
    return table


def _exponents(fits: Fits) -> Table:
    from rich.table import Table

    table = Table("model", title="the exponent n; log-likelihood a cancellation, nats")
    for name in ("n", "se", "95%", "log-likelihood"):
        table.add_column(name, justify="right")
    for name, one in fits.powers.items():
        table.add_row(
            name,
            f"{one.power:.4f}",
            f"{one.se:.4f}",
            f"{one.low:.3f} to {one.high:.3f}",
            f"{one.log_likelihood:.5f}",
        )
    for name, value in [*fits.fixed.items(), ("table", fits.table.log_likelihood)]:
        table.add_row(name, "", "", "", f"{value:.5f}")
    return table


def _table(fits: Fits) -> Table:
    from rich.table import Table

    table = Table(title="the table: share of what was cancelled that stood behind")
    for name in ("F / (F + B)", "p", "se"):
        table.add_column(name, justify="right")
    last = len(fits.table.table) - 1
    for i, (p, se) in enumerate(zip(fits.table.table, fits.table.se, strict=True)):
        table.add_row(f"{i / last:.3g}", f"{p:.4f}", f"{se:.4f}")
    return table
