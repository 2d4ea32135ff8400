"""``mrtrade validate --noise``: the noise control of a strategy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from mrtrade.parallel import Workers
    from mrtrade.validation.noise import NoiseReport, NoiseSettings

#: Luckiest data sets on the screen.
LUCKIEST = 5

#: So many criteria are named, of more only the number is told.
FEW = 3

#: Sizes of planted effects, costs of a round trip.
SIZES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)


def run_noise(
    runs: int,
    strategy: str | None,
    *,
    interval: str,
    days: int,
    source: Path | None,
    planted: int,
    workers: Workers,
    seed: int,
    json: Path | None,
    picture: Path | None,
) -> int:
    """Run the noise control and print it; returns the exit code."""
    from mrtrade.cli.console import CountProgress, make_console, refuse_unwritable
    from mrtrade.validation.noise import MOST_FALSE_GO, NoiseSettings, noise_control

    for place in (json, picture):
        if place is not None:
            refuse_unwritable(place)
    settings = NoiseSettings(
        runs=runs,
        **_plans(strategy),
        sizes=SIZES if planted else (),
        per_size=planted,
        interval=interval,
        days=days,
        source=None if source is None else source.absolute(),
        seed=seed,
    )
    console = make_console()
    total = runs + planted * len(settings.sizes)
    with CountProgress(console, "noise control", total) as count:
        report = noise_control(settings, workers, count)
    show(console, report)
    if json is not None:
        report.to_json(json)
        console.print(f"json  {json}", soft_wrap=True)
    if picture is not None:
        picture.write_bytes(report.picture())
        console.print(f"picture  {picture}", soft_wrap=True)
    return 0 if report.rate <= MOST_FALSE_GO else 1


def _plans(strategy: str | None) -> dict[str, Any]:
    """Return the plans of one strategy: a built-in's own, or its defaults."""
    from mrtrade.strategies import find_strategy
    from mrtrade.validation.noise import STRATEGIES

    if strategy is None:
        return {}
    found = find_strategy(strategy)
    for label, plan in STRATEGIES.items():
        if find_strategy(plan["name"]) is found:
            return {"strategies": {label: plan}}
    place, colon, kind = strategy.partition(":")
    name = f"{Path(place).absolute()}{colon}{kind}" if place.endswith(".py") else strategy
    params = {"preset": "minutes"} if "minutes" in found.presets else {}
    return {"strategies": {found.__name__: {"name": name, "params": params}}}


def show(console: Console, report: NoiseReport) -> None:
    """Print rates, what came closest, and what stopped it."""
    from rich.padding import Padding

    control = report.control()
    console.print(
        f"[bold]noise control[/]  {', '.join(report.settings.strategies)}; "
        f"{control.runs} data sets without a signal, {_data(report.settings)}"
    )
    rate = control.false_go / control.runs
    console.print(
        f"false GO  {control.false_go} of {control.runs}: {rate:.1%}, "
        f"95 % interval {control.low:.1%} to {control.high:.1%}"
    )
    for kind, (false, runs) in control.kinds.items():
        console.print(f"  {kind:14} {false} of {runs}", markup=False)
    if control.detection is not None:
        console.print("planted effects, by gross profit of a round trip in costs of one")
        for row in control.detection.itertuples(index=False):
            console.print(
                f"  {row.size:4g}  GO {row.rate:6.1%} of {row.runs}, "
                f"95 % interval {row.low:.1%} to {row.high:.1%}",
                markup=False,
            )
    console.print("\nthe luckiest without a signal, and what stopped them")
    luckiest = report.luckiest(LUCKIEST)
    if luckiest.empty:
        console.print("  none traded")
    for close in luckiest.to_dict("records"):
        console.print(
            f"  {close['kind']} {close['seed']}, {close['strategy']}: {close['decision']}, net "
            f"Sharpe {close['net_sharpe']:+.2f}, {close['trades']:.0f} trades",
            markup=False,
        )
        for which, said in (("failed", "failed"), ("unjudged", "not judged")):
            if names := close[which]:
                told = "; ".join(names) if len(names) <= FEW else f"{len(names)} criteria"
                console.print(Padding(f"{said}: {told}", (0, 0, 0, 4)))
    total = int((report.rows["size"] == 0.0).sum())
    console.print(f"\nof {total} verdicts without a signal, not passed")
    for name, count in report.stoppers().items():
        console.print(f"  {count:5,}  {name}", markup=False)


def _data(settings: NoiseSettings) -> str:
    if settings.source is not None:
        return f"{settings.source.name} with its signs flipped"
    return f"{settings.days} days each, bars of {settings.interval}"
