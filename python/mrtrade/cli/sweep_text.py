"""What came of a sweep: on the screen, and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from mrtrade.backtest.metrics import DAYS_A_YEAR, MIN_DAYS, annualisation
from mrtrade.backtest.sweep import COST_SCALE, Sweep
from mrtrade.backtest.text import decimals
from mrtrade.clock import NS_PER_DAY
from mrtrade.validation.best_of import best_first

if TYPE_CHECKING:
    from rich.console import Console

    from mrtrade.validation.sharpe import Deflated

MOST_COSTS, UNDER_COSTS = 6, 3
"""Multiples of the costs on the screen, and configurations under each of them."""


def show(console: Console, found: Sweep, luck: Deflated | None, top: int) -> None:
    """Print the best, what they are under other costs, and what luck alone would show."""
    frame, best = found.at_cost(), best_first(found)
    refused = frame["refused"].dropna()
    if len(refused):
        console.print(f"{len(refused):,} refused, such as: {refused.iloc[0]}", markup=False)
    asked = len(frame) - len(refused)
    if luck is None:
        console.print(f"at the costs as they are none of {asked:,} traded: nothing to compare")
        return
    won = int((best["net"] > 0.0).sum())
    console.print(
        f"at the costs as they are {len(best):,} of {asked:,} traded, {won:,} made money\n"
    )
    console.print(_table(found, best.head(top)))
    console.print()
    if len(found.axes.get(COST_SCALE, ())) > 1:
        console.print(_costs(found, best, min(top, UNDER_COSTS)))
        console.print()
    console.print(_luck(found, luck))


def _table(found: Sweep, rows: pd.DataFrame) -> Table:
    varied = _varied(found)
    table = _empty()
    table.add_column(", ".join(key.rpartition(".")[2] for key in varied), overflow="fold")
    money = {"gross": rows["gross"], "costs": -rows["costs"], "funding": -rows["funding"]}
    if not rows["funding"].any():
        del money["funding"]
    columns = {
        **{name: _money(values) for name, values in money.items()},
        "net": _money(rows["net"]),
        "SR": [_or_dash(_year(found) * ratio, "+.2f") for ratio in rows["sharpe_after"]],
        "trades": [f"{count:,}" for count in rows["trades"]],
        "maker": [_or_dash(share, ".0%") for share in rows["maker_share"]],
    }
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True, vertical="bottom")
    cells = zip(*columns.values(), strict=True)
    for place, (row, others) in enumerate(zip(rows.to_dict("records"), cells, strict=True), 1):
        told = ", ".join(_shown(row[key]) for key in varied)
        table.add_row(str(place), Text(told), *others)
    return table


def _costs(found: Sweep, best: pd.DataFrame, top: int) -> Table:
    """Net profit of the same configurations by multiple of the costs, and how many made any."""
    frame, table = found.frame, _empty()
    names = pd.Series([repr(one) for one in frame[_varied(found)].to_numpy().tolist()], frame.index)
    nets = frame.assign(name=names).pivot(index="name", columns=COST_SCALE, values="net")
    nets = nets.reindex(names[best.index]).iloc[:, :MOST_COSTS]
    table.add_column("net at costs")
    for scale in nets:
        table.add_column(f"x {scale:g}", justify="right", no_wrap=True)
    shown = [_money(values) for _, values in nets.head(top).items()]
    for place, cells in enumerate(zip(*shown, strict=True), 1):
        table.add_row(str(place), "", *cells)
    table.add_section()
    won = (nets > 0.0).sum()
    table.add_row("", f"of {len(nets):,} made money", *(f"{count:,}" for count in won))
    return table


def _empty() -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("#", justify="right", no_wrap=True, vertical="bottom")
    return table


def _varied(found: Sweep) -> list[str]:
    """Keys that tell configurations from each other, but for the multiple of their costs."""
    return [key for key, values in found.axes.items() if len(values) > 1 and key != COST_SCALE]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _money(amounts: pd.Series[Any]) -> list[str]:
    places = decimals(amounts.abs().max())
    return [f"{one:+,.{places}f}" if math.isfinite(one) else "-" for one in amounts]


def _or_dash(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _year(found: Sweep) -> float:
    """Return what makes a Sharpe ratio of daily returns annual; 1 where the span is too short."""
    return annualisation(DAYS_A_YEAR) if found.period_ns == NS_PER_DAY else 1.0


def _luck(found: Sweep, luck: Deflated) -> str:
    """Say what the ratios are, and what the best of so many worthless trials would show."""
    year = _year(found)
    kind = (
        f"SR: annual Sharpe ratio of {luck.observations} daily returns after costs."
        if found.period_ns == NS_PER_DAY
        else f"SR: Sharpe ratio of {luck.observations} hourly returns after costs. Shorter than "
        f"{MIN_DAYS} days, so not annualised."
    )
    found_by = f"{kind} # goes by net profit; those that never traded are left out."
    trials = f"{luck.trials:,.0f} trial" + ("s" if luck.trials > 1 else "")
    if luck.reason:
        return f"{found_by}\nLuck cannot be told: {luck.reason}."
    return (
        f"{found_by}\nLuck: the best of {trials} without any merit would show an SR of about "
        f"{year * luck.benchmark:.2f}; number 1 shows {year * luck.ratio:+.2f}. Deflated Sharpe "
        f"ratio {luck.probability:.1%}, the probability that it is more than that luck; gate 1 "
        "asks for 95 %, out of sample."
    )


def as_json(found: Sweep, luck: Deflated | None, study: str) -> str:
    """Return all of it; what is not a number is null."""
    content = {
        "study": study,
        "axes": found.axes,
        "period_ns": found.period_ns,
        "replays": found.replays,
        "new_trials": found.new_trials,
        "deflated": None if luck is None else asdict(luck),
        "rows": found.frame.astype(object).to_dict("records"),
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return None if value != value else str(value)
