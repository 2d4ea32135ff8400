"""The report of two legs: one page for the pair, and the reports of its legs beside it."""

from __future__ import annotations

from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from mrtrade.backtest import tables
from mrtrade.backtest.report import made, page, section, table, tile
from mrtrade.backtest.text import number
from mrtrade.clock import to_ns

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Group

    from mrtrade.backtest.pair_result import PairResult

KEY_STATS = (
    "Net PnL [settlement]",
    "Return on capital [%]",
    "Max drawdown [%]",
    "Sharpe, 365 days",
    "Round trips",
    "Win rate [%]",
    "Mean hold time [s]",
    "Turnover [settlement]",
    "Maker share [%]",
    "Funding paid [settlement]",
    "Largest unhedged exposure [units]",
    "Largest unhedged exposure [settlement]",
    "Time unhedged [%]",
    "Unhedged at the end [units]",
)

TRIPS = {
    "entry_time": "Entry (UTC)",
    "exit_time": "Exit (UTC)",
    "side": "First leg",
    "gross": "Gross",
    "fees": "Fees",
    "funding": "Funding",
    "pnl": "Net PnL",
    "hold_s": "Held",
    "legs": "Trips of legs",
}

EXPOSURE_NOTE = (
    "Unhedged: what one leg held and the other did not, because an order had not been filled or "
    "a lot is no finer. A pair is exposed to the market by that much. Borrowing a spot sold short "
    "costs nothing here, and margin calls between the venues are not modelled."
)


def title(result: PairResult) -> str:
    """Strategy and both markets in one line."""
    markets = [f"{leg.instrument.symbol} {leg.instrument.exchange}" for leg in result.legs.values()]
    return f"{result.manifest['config']['strategy']['name']} · {' against '.join(markets)}"


def leg_header(result: PairResult) -> tuple[str, ...]:
    """Headings of `leg_cells`."""
    return (f"{result.instrument.currency}", *result.legs, "pair")


def leg_cells(result: PairResult) -> list[tuple[str, ...]]:
    """Rows of the cost waterfall of each leg and of both, and how they were filled."""
    parts = [leg.costs.steps() for leg in result.legs.values()]
    rows = [
        (one[0][0], *(number(amount + 0.0) for _, amount in one))
        for one in zip(*parts, result.costs.steps(), strict=True)
    ]
    for name in ("Fills", "Orders", "Turnover [settlement]", "Maker share [%]"):
        values = [leg.stats[name] for leg in result.legs.values()] + [result.stats[name]]
        cells = ("" if value is None else number(value) for value in values)
        rows.append((name.replace(" [settlement]", ""), *cells))
    return rows


def console(result: PairResult) -> Group:
    """Lay out key stats and, below them, the legs."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    stats = Table(title=Text(title(result)), box=box.SIMPLE_HEAD)
    stats.add_column("Result", no_wrap=True)
    stats.add_column("", justify="right")
    for name in KEY_STATS:
        stats.add_row(*(Text(cell) for cell in tables.stat(result, name)))
    legs = Table(
        box=box.SIMPLE_HEAD, caption=Text(f"run {result.manifest['run_id']}"), show_edge=False
    )
    for i, name in enumerate(leg_header(result)):
        legs.add_column(name, justify="right" if i else "left", no_wrap=True)
    for cells in leg_cells(result):
        legs.add_row(*(Text(cell) for cell in cells))
    return Group(stats, legs)


def html(result: PairResult) -> str:
    """Render the report as one HTML page; the same result gives the same bytes."""
    data = result.manifest["data"]
    sub = f"{data['start']} to {data['end']} · run {result.manifest['run_id']}"
    halted = [note for name, note in result.notes.items() if name.startswith("Account")]
    links = " · ".join(
        f"<a href='{escape(name)}/report.html'>{escape(name)}</a>" for name in result.legs
    )
    tiles = "".join(tile(result, name) for name in KEY_STATS[:6] + KEY_STATS[9:13])
    body = [
        f"<h1>{escape(title(result))}</h1><p class=sub>{escape(sub)}</p>",
        *(f"<p class=neg>An account was {escape(one)}.</p>" for one in halted),
        f"<div class=tiles>{tiles}</div>",
        _plot(result),
        "<div class=pair>",
        section("Result", table(("Measure", "Value"), _stats(result))),
        section(
            "Legs",
            table(leg_header(result), leg_cells(result))
            + f"<p class=note>{escape(EXPOSURE_NOTE)} Reports of the legs: {links}.</p>",
        ),
        "</div>",
        _trips(result),
        section("How this run was made", made(result)),
    ]
    return page(title(result), body)


def _stats(result: PairResult) -> list[tuple[str, str]]:
    return [tables.stat(result, str(name)) for name in result.stats.index]


def _trips(result: PairResult) -> str:
    if len(result.trades) == 0:
        return section("Round trips", "<p class=note>No position was opened.</p>")
    shown = result.trades.head(50)
    heading = f"Round trips of the pair ({len(result.trades)})"
    if len(shown) < len(result.trades):
        heading += f", the first {len(shown)}"
    return section(heading, table(*tables.frame_rows(shown, TRIPS)))


def _plot(result: PairResult) -> str:
    if find_spec("matplotlib") is None:
        return section("", "<p class=note>Plots need matplotlib: mrtrade[report].</p>")
    from mrtrade.backtest.plots import drawn

    svg = drawn("pair", (10.4, 9.6), lambda figure: _course(figure, result))
    return f"<section aria-label='Profit, basis, positions, exposure'>{svg}</section>"


def _course(figure: Figure, result: PairResult) -> None:
    from mrtrade.backtest.plots import BLUE, GREEN, GREY, RED, date_axis, thin

    frame = result.equity
    time = to_ns(frame.index).view("M8[ns]")
    top, basis, held, open_ = figure.subplots(4, 1, sharex=True, height_ratios=[3, 2, 1.5, 1.5])

    def line(axes: Any, values: Any, colour: str, **options: Any) -> None:
        rows = thin(values)
        axes.plot(time[rows], values[rows], color=colour, **options)

    unit = result.instrument.currency
    profit = frame["equity"].to_numpy(np.float64) - result.manifest["config"]["capital"]
    line(top, profit, BLUE, label="net")
    line(top, -frame["fees"].to_numpy(np.float64), RED, label="fees", linewidth=0.8)
    line(top, -frame["funding"].to_numpy(np.float64), GREEN, label="funding", linewidth=0.8)
    top.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, ncols=3)
    top.set_title("Profit and loss of the pair")
    top.set_ylabel(unit)
    mid, other = (frame[name].to_numpy(np.float64) for name in ("mid", "other_mid"))
    line(basis, 1e4 * (mid / other - 1.0), GREY)
    basis.set_title("Basis")
    basis.set_ylabel("bps")
    line(held, frame["position"].to_numpy(np.float64), BLUE, drawstyle="steps-post")
    line(held, frame["other_position"].to_numpy(np.float64), GREY, drawstyle="steps-post")
    held.set_title(f"Position: {' (blue), '.join(result.legs)} (grey)")
    held.set_ylabel("base units")
    line(open_, frame["unhedged"].to_numpy(np.float64), RED, drawstyle="steps-post")
    open_.set_title("Unhedged exposure")
    open_.set_ylabel("base units")
    date_axis(open_, time)
