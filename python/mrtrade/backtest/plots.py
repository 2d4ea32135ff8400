"""The report's plots as SVG text.

Matplotlib's objects are used without pyplot: no global figure, no window system, no state left
behind. Text stays text (the page's fonts apply) and neutral colours become CSS variables, so that
one SVG reads well on a light and on a dark page. The same result gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrtrade.backtest import tables
from mrtrade.backtest.text import decimals
from mrtrade.clock import to_ns
from mrtrade.instruments import currencies

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mrtrade.backtest.result import Result

MAX_POINTS = 2000
MAX_MARKS = 400
MARKOUT_S = (1, 2, 5, 10, 30, 60, 120, 300)
"""Horizons of the mark-out curve, seconds."""

# Stand-ins that no other part of a plot uses; `_svg` turns them into CSS variables.
INK, GRID = "#010101", "#020202"
BLUE, GREEN, RED, GREY = "#2f7ed8", "#1f9d55", "#d64545", "#8a94a6"

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mrtrade",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "lines.linewidth": 1.1,
    "timezone": "UTC",
}

Floats = npt.NDArray[np.float64]


def thin(values: Floats, points: int = MAX_POINTS) -> npt.NDArray[np.int64]:
    """Rows to draw: of each stretch the lowest and the highest value, so no extreme is lost."""
    n = len(values)
    if n <= points:
        return np.arange(n)
    edges = np.linspace(0, n, points // 2).astype(np.int64)
    keep = {0, n - 1}
    for a, b in pairwise(edges):
        part = values[a:b]
        if not np.isnan(part).all():
            keep.update((int(a + np.nanargmin(part)), int(a + np.nanargmax(part))))
    return np.array(sorted(keep), dtype=np.int64)


def markout(result: Result) -> tuple[list[int], dict[str, list[float]]]:
    """Mean move of the mid after a fill, in its favour, by horizon.

    Returns
    -------
    horizons, curves
        Seconds; for ``maker`` and ``taker`` fills the notional-weighted mean of
        side * (mid(t + h) - price) / price in bps: what a fill has earned after h seconds. Only
        fills with a mark at that distance count; horizons below the bar are left out.

    Notes
    -----
    Marks are local-clock mids: the fill's exchange time is moved by the feed latency first.
    """
    fills, equity = result.fills, result.equity
    mid = equity["mid"].to_numpy(np.float64)
    time = to_ns(equity.index)
    at = to_ns(fills["time"]) + int(result.manifest["config"]["latency"]["feed_ms"] * 1e6)
    price = fills["price"].to_numpy(np.float64)
    side = fills["side"].to_numpy(np.float64)
    weight = fills["quantity"].to_numpy(np.float64) * result.instrument.contract.notional(price)
    bar = int(np.median(np.diff(time))) if len(time) > 1 else 0
    span = int(time[-1] - time[0]) if len(time) else 0
    horizons = [h for h in MARKOUT_S if bar <= h * 10**9 <= span // 4]
    maker = fills["is_maker"].to_numpy(bool)
    curves: dict[str, list[float]] = {}
    for name, chosen in (("maker", maker), ("taker", ~maker)):
        curve = []
        for h in horizons:
            later = at + h * 10**9
            row = np.searchsorted(time, later, side="right") - 1
            ok = chosen & (later <= time[-1]) & (row >= 0)
            ok &= np.isfinite(mid[row])
            move = 1e4 * side[ok] * (mid[row[ok]] - price[ok]) / price[ok]
            total = weight[ok].sum()
            curve.append(float((move * weight[ok]).sum() / total) if total > 0.0 else np.nan)
        if np.isfinite(curve).any():
            curves[name] = curve
    return horizons, curves


def draw(result: Result) -> list[tuple[str, str]]:
    """All plots of the report: (caption, SVG text)."""
    parts: tuple[tuple[str, str, float, Callable[..., None]], ...] = (
        ("Equity, drawdown, price with fills, position", "course", 9.6, _course),
        ("Cost waterfall and mark-out", "money", 3.4, _money),
        ("Net profit and fill rate by preset", "answers", 2.2, _answers),
    )
    return [
        (caption, drawn(name, (10.4, height), partial(put, result=result)))
        for caption, name, height, put in parts
    ]


def drawn(name: str, size: tuple[float, float], put: Callable[[Figure], None]) -> str:
    """Draw one figure: SVG text.

    Parameters
    ----------
    name : str
        Keeps its ids apart from those of other figures on a page.
    size : (float, float)
        Inches.
    put : callable
        Draws into the figure.
    """
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = STYLE  # its stub lists every key as a literal
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc would change the bytes
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=size, layout="constrained")
        put(figure)
        return _svg(figure, name)


def _course(figure: Figure, result: Result) -> None:
    terms = result.instrument
    unit = terms.currency
    equity = result.equity
    time = to_ns(equity.index).view("M8[ns]")
    value = equity["equity"].to_numpy(np.float64)
    top, low, price, held = figure.subplots(4, 1, sharex=True, height_ratios=[3, 1.2, 3, 1.2])

    profit = value - result.manifest["config"]["capital"]
    rows = thin(profit)
    top.plot(time[rows], profit[rows], color=BLUE)
    top.axhline(0.0, color=GREY, linewidth=0.8)
    top.set_title("Profit and loss, net of costs")
    top.set_ylabel(unit)

    fall = value - np.maximum.accumulate(value) if len(value) else value
    rows = thin(fall)
    low.fill_between(time[rows], fall[rows], 0.0, color=RED, alpha=0.35, linewidth=0)
    low.set_title("Drawdown")
    low.set_ylabel(unit)

    mid = equity["mid"].to_numpy(np.float64)
    rows = thin(mid)
    price.plot(time[rows], mid[rows], color=GREY, linewidth=0.9)
    shown = _fills(price, result)
    price.set_title(f"Mid and fills{shown}")
    price.set_ylabel(currencies(terms.symbol)[1])

    position = equity["position"].to_numpy(np.float64)
    rows = thin(position)
    held.fill_between(
        time[rows], position[rows], 0.0, step="post", color=BLUE, alpha=0.4, linewidth=0
    )
    held.set_title("Position")
    held.set_ylabel(terms.size_unit)
    date_axis(held, time)
    for axes in (top, price):
        axes.ticklabel_format(axis="y", useOffset=False)


def date_axis(axes: Axes, time: npt.NDArray[np.datetime64]) -> None:
    """Write dates below axes, if there are any, from the first to the last."""
    dates: Any = import_module("matplotlib.dates")  # has no types
    if len(time) == 0:
        return
    locator = dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    if len(time) > 1:
        axes.set_xlim(time[0], time[-1])


def _fills(axes: Axes, result: Result) -> str:
    """Mark buys and sells at their prices; returns what to say where not all are shown."""
    drawn = 0
    for side, marker, colour, label in ((1, "^", GREEN, "buy"), (-1, "v", RED, "sell")):
        fills = result.fills[result.fills["side"] == side]
        price = fills["price"].to_numpy(np.float64)
        rows = thin(price, MAX_MARKS)
        drawn += len(rows)
        when = to_ns(fills["time"]).view("M8[ns]")
        axes.plot(
            when[rows], price[rows], marker, color=colour, markersize=4, label=label, alpha=0.8
        )
    if drawn:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, ncols=2)
    return "" if drawn == len(result.fills) else f" ({drawn} of {len(result.fills)} fills drawn)"


def _money(figure: Figure, result: Result) -> None:
    unit = result.instrument.currency
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    steps = result.costs.steps()
    places = decimals(max(abs(amount) for _, amount in steps))
    level, ends = 0.0, [0.0]
    for i, (name, signed) in enumerate(steps):
        amount = signed + 0.0  # no -0.00
        whole = name in ("Gross", "Net")
        start = 0.0 if whole else level
        colour = BLUE if whole else (GREEN if amount > 0.0 else RED)
        left.bar(i, amount, bottom=start, color=colour, width=0.62)
        end = start + amount
        left.annotate(
            f"{amount:,.{places}f}",
            (i, max(start, end) if amount >= 0.0 else min(start, end)),
            xytext=(0, 3 if amount >= 0.0 else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if amount >= 0.0 else "top",
            fontsize=8,
        )
        if i + 1 < len(steps):
            left.plot([i + 0.31, i + 0.69], [end, end], color=GREY, linewidth=0.8)
        level = end
        ends.append(end)
    left.axhline(0.0, color=GREY, linewidth=0.8)
    left.set_xticks(range(len(steps)), [name for name, _ in steps])
    left.grid(visible=False, axis="x")
    room = 0.12 * (max(ends) - min(ends) or 1.0)  # for the numbers at the bars
    left.set_ylim(min(ends) - room, max(ends) + room)
    left.ticklabel_format(axis="y", useOffset=False, style="plain")
    left.set_title("From gross to net")
    left.set_ylabel(unit)

    horizons, curves = markout(result)
    for name, colour in (("maker", BLUE), ("taker", RED)):
        if name in curves:
            right.plot(horizons, curves[name], "o-", color=colour, markersize=3.5, label=name)
    right.set_title("Mark-out of the fills, before fees")
    if not curves:
        right.text(0.5, 0.5, "no fills with marks", ha="center", transform=right.transAxes)
        right.set_xticks([])
        right.set_yticks([])
        return
    right.axhline(0.0, color=GREY, linewidth=0.8)
    right.set_xscale("log")
    right.set_xticks(horizons, [f"{h:g}" for h in horizons])
    right.minorticks_off()
    right.set_xlabel("seconds after the fill")
    right.set_ylabel("bps")
    right.legend(frameon=False, ncols=2)


def _answers(figure: Figure, result: Result) -> None:
    """Net profit and fill rate under each preset; the run's own in a full colour."""
    table = result.presets
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1], sharey=True)
    own = table["preset"] == tables.own_preset(result)
    row = np.arange(len(table))
    places = decimals(float(table["net"].abs().max()))
    panels: list[tuple[Axes, str, str]] = [
        (left, "net", f"Net profit by what fills a resting order, {result.instrument.currency}"),
        (right, "rested_filled_pct", "Resting orders filled, %"),
    ]
    for axes, name, heading in panels:
        value = table[name].fillna(0.0).to_numpy(np.float64) + 0.0
        bars = axes.barh(row, value, color=np.where(own, BLUE, GREY), height=0.62)
        text = [f"{x:,.{places}f}" if axes is left else f"{x:.1f}" for x in value]
        axes.bar_label(bars, text, padding=3, fontsize=8)
        axes.axvline(0.0, color=GREY, linewidth=0.8)
        axes.margins(x=0.2)  # for the numbers at the bars
        axes.grid(visible=False, axis="y")
        axes.set_title(heading)
    left.ticklabel_format(axis="x", useOffset=False, style="plain")
    left.set_yticks(row, table["preset"])
    left.invert_yaxis()


def _svg(figure: Figure, name: str) -> str:
    import matplotlib

    # Ids are hashed from this salt: one for each figure keeps them apart on the page.
    matplotlib.rcParams["svg.hashsalt"] = f"mrtrade-{name}"
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # The page sets the size; the view box keeps the proportions.
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(
        r'\bid="(figure|axes|patch|line2d|text|xtick|ytick|matplotlib\.axis|'
        r'legend|FillBetweenPolyCollection)_\d+"',
        "",
        text,
    )
    return text.replace(INK, "var(--ink)").replace(GRID, "var(--grid)")
