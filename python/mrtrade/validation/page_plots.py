"""Pictures of the validation page as SVG, in the style of a backtest's report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mrtrade.backtest.plots import BLUE, GREEN, GREY, RED, drawn, thin
from mrtrade.clock import from_ns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mrtrade.validation.cost_sensitivity import CostSensitivity
    from mrtrade.validation.overfitting import Overfitting
    from mrtrade.validation.plateau import Plateau
    from mrtrade.validation.regime import Regimes
    from mrtrade.validation.report import NoiseControl, ValidationReport

WIDTH, HALF = 10.4, 5.1


def draw(report: ValidationReport) -> dict[str, str]:
    """Draw what a report holds: SVG text by the name of the field that it is made from."""
    found: dict[str, str] = {}
    if report.equity is not None and len(report.equity):
        found["equity"] = _picture("equity", WIDTH, 4.0, _equity, report)
    if report.overfitting is not None and len(report.overfitting.logits):
        found["overfitting"] = _picture("overfitting", HALF, 2.9, _logits, report.overfitting)
    if report.costs is not None:
        found["costs"] = _picture("costs", HALF, 2.9, _costs, report.costs)
    if report.regimes is not None:
        found["regimes"] = _picture("regimes", HALF, 2.9, _regimes, report.regimes)
    if report.plateau is not None:
        found["plateau"] = _picture("plateau", HALF, 2.9, _plateau, report.plateau)
    if report.noise is not None and report.noise.detection is not None:
        found["noise"] = _picture("noise", HALF, 2.9, _detection, report.noise)
    return found


def _picture(
    name: str, width: float, height: float, put: Callable[[Axes, Any], None], content: Any
) -> str:
    def on(figure: Figure) -> None:
        put(figure.subplots(), content)

    return drawn(f"validation-{name}", (width, height), on)


def _equity(axes: Axes, report: ValidationReport) -> None:
    for series, colour, label in (
        (report.gross, GREY, "before costs"),
        (report.equity, BLUE, "after costs"),
    ):
        if series is None or not len(series):
            continue
        value = np.asarray(100.0 * series.to_numpy(np.float64), dtype=np.float64)
        rows = thin(value)
        axes.plot(series.index[rows], value[rows], color=colour, label=label)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.08 * (high - low))
    for fold in report.folds:
        start, end = (mdate(one) for one in (fold.test_start_ns, fold.test_end_ns))
        if fold.number % 2 == 0:
            axes.axvspan(start, end, color=GREY, alpha=0.12, linewidth=0)
        axes.annotate(
            str(fold.number),
            (start + 0.5 * (end - start), 0.985),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="top",
            fontsize=8,
            color=GREY,
        )
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.set_title("Earned out of sample, % of capital; numbers: folds")
    axes.legend(frameon=False, loc="lower left", ncols=2)


def mdate(time_ns: int) -> float:
    """Return matplotlib's number of a time."""
    from matplotlib.dates import date2num

    number: float = date2num(from_ns(time_ns).to_pydatetime(warn=False))  # type: ignore[no-untyped-call]
    return number


def _logits(axes: Axes, found: Overfitting) -> None:
    edges, counts = found.histogram(24)
    middle = 0.5 * (edges[1:] + edges[:-1])
    colours = np.where(middle < 0.0, RED, BLUE)
    axes.bar(middle, 100.0 * counts / counts.sum(), np.diff(edges) * 0.92, color=colours)
    axes.axvline(0.0, color=GREY, linewidth=1.2)
    axes.set_title("Where the best in sample ended out of sample")
    axes.set_xlabel("logit of its rank: red, at or below the median")
    axes.set_ylabel("% of splits")


def _costs(axes: Axes, found: CostSensitivity) -> None:
    table = found.table
    x, y = (table[name].to_numpy(np.float64) for name in ("multiple", "sharpe"))
    error = 1.96 * table["sharpe_se"].to_numpy(np.float64)
    axes.fill_between(x, y - error, y + error, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(x, y, "o-", color=BLUE, markersize=4)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.axhline(1.0, color=GREEN, linewidth=1.0, linestyle="--")
    axes.axvline(2.0, color=GREEN, linewidth=1.0, linestyle="--")
    if np.isfinite(found.break_even) and found.break_even <= 1.3 * x.max():
        axes.axvline(found.break_even, color=RED, linewidth=1.2)
        left = found.break_even > 0.6 * x.max()
        axes.annotate(
            f"breaks even at {found.break_even:.2f}x",
            (found.break_even, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(-4.0 if left else 4.0, 0.0),
            textcoords="offset points",
            fontsize=8,
            color=RED,
            ha="right" if left else "left",
        )
    axes.set_xticks(x, [f"{one:g}x" for one in x])
    axes.set_title("Annual Sharpe ratio by multiple of the costs")
    axes.set_xlabel("band: 95 %; dashed: above 1 is needed at 2x")


def _regimes(axes: Axes, found: Regimes) -> None:
    table = found.table
    ratio = table["sharpe"].to_numpy(np.float64)
    known = np.isfinite(ratio)
    place = np.arange(len(table))
    error = np.where(known, 1.96 * table["sharpe_se"].to_numpy(np.float64), 0.0)
    value = np.where(known, ratio, 0.0)
    axes.bar(
        place,
        value,
        0.55,
        yerr=error,
        color=np.where(value > 0.5, BLUE, RED),
        error_kw={"ecolor": GREY, "capsize": 4},
    )
    for i in place[~known]:
        axes.annotate("not judged", (i, 0.0), ha="center", va="top", fontsize=8)
    axes.axhline(0.0, color=GREY, linewidth=0.8)
    axes.axhline(0.5, color=GREEN, linewidth=1.0, linestyle="--")
    names = [f"{row['regime']} ({row['share']:.0%})" for row in table.to_dict("records")]
    axes.set_xticks(place, names)
    axes.grid(visible=False, axis="x")
    axes.set_title("Annual Sharpe ratio by volatility")
    axes.set_xlabel("share of the time; lines: 95 %; dashed: 0.5 is needed")


def _plateau(axes: Axes, found: Plateau) -> None:
    names = sorted(found.parameters, key=lambda name: -found.table[name].nunique())[:2]
    best = found.at(found.best)
    rows = found.table
    for name in found.parameters:
        if name not in names:
            rows = rows[rows[name] == best[name]]
    if len(names) == 1 or rows[names[1]].nunique() == 1:
        _line(axes, rows, names[0], best[names[0]])
    else:
        _map(axes, rows, names[0], names[1], best)
    fixed = [f"{name} {best[name]}" for name in found.parameters if name not in names]
    more = f" ({', '.join(fixed)})" if fixed else ""
    axes.set_title(f"Sharpe ratio around the best set{more}")


def _line(axes: Axes, rows: pd.DataFrame, name: str, best: Any) -> None:
    rows = rows.sort_values(name)
    place = np.arange(len(rows))
    axes.plot(place, rows["value"], "o-", color=BLUE, markersize=4, label="value")
    axes.plot(place, rows["smoothed"], "--", color=GREY, label="with its neighbours")
    at = int(np.flatnonzero(rows[name].to_numpy() == best)[0])
    axes.plot(at, rows["value"].iloc[at], "o", color=RED, markersize=8, fillstyle="none")
    axes.set_xticks(place, [f"{one}" for one in rows[name]])
    axes.set_xlabel(name)
    axes.legend(frameon=False)


def _map(axes: Axes, rows: pd.DataFrame, across: str, up: str, best: dict[str, Any]) -> None:
    table = rows.pivot(index=up, columns=across, values="value")
    value = table.to_numpy(np.float64)
    top = max(1e-9, float(np.nanmax(np.abs(value))))
    axes.imshow(value, origin="lower", cmap="RdBu", vmin=-1.2 * top, vmax=1.2 * top, aspect="auto")
    if value.size <= 80:
        for (i, j), one in np.ndenumerate(value):
            if np.isfinite(one):
                dark = abs(one) > 0.75 * top
                colour = "#ffffff" if dark else "#1b2430"
                axes.text(j, i, f"{one:.1f}", ha="center", va="center", fontsize=8, color=colour)
    axes.grid(visible=False)
    axes.set_xticks(range(table.shape[1]), [f"{one}" for one in table.columns])
    axes.set_yticks(range(table.shape[0]), [f"{one}" for one in table.index])
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    i, j = list(table.index).index(best[up]), list(table.columns).index(best[across])
    frame = axes.plot(
        [j - 0.5, j + 0.5, j + 0.5, j - 0.5, j - 0.5],
        [i - 0.5, i - 0.5, i + 0.5, i + 0.5, i - 0.5],
        color=GREEN,
        linewidth=2.2,
    )
    frame[0].set_clip_on(False)


def _detection(axes: Axes, found: NoiseControl) -> None:
    table = found.detection
    assert table is not None
    x, y = (table[name].to_numpy(np.float64) for name in ("size", "rate"))
    low, high = (table[name].to_numpy(np.float64) for name in ("low", "high"))
    axes.fill_between(x, 100.0 * low, 100.0 * high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(x, 100.0 * y, "o-", color=BLUE, markersize=4)
    axes.set_ylim(-3.0, 103.0)
    axes.set_title("How often a planted effect is found, %")
    axes.set_xlabel(f"{found.size_name}; band: 95 %")
