"""Pictures of a study and of a fit, as PNG. Needs matplotlib (``pip install mrtrade[report]``)."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mrtrade.execution.fit import Z95, log_probabilities
from mrtrade.execution.predict import FITTED, POWERS, Floats
from mrtrade.execution.study import Fits, Plan, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY = "#1b2330", "#8a94a6"
COLOURS = {
    "optimistic": "#d64545",
    "risk_averse": "#2f7ed8",
    "strict": "#7fb2ea",
    "log": "#c08a00",
    "log2": "#e3b94d",
    "power": "#7b4fb8",
    "power2": "#a585d1",
    "power3": "#cdbbe6",
    "table": "#1f9d55",
}
FITTED_COLOURS = {"power": "#e0218a", "power2": "#e879b8", "power3": "#f3b5d8"}
STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ef",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
}
DPI = 100


def draw_study(study: Study, horizon_s: float) -> bytes:
    """Draw how well the models predict fills; the lower row is at one horizon.

    Returns
    -------
    bytes
        A PNG; the same study gives the same bytes.
    """
    return png(lambda figure: _study(figure, study, horizon_s), (11.6, 7.2))


def draw_fits(fits: Fits, plan: Plan) -> bytes:
    """Draw the share of cancelled quantity that stood behind, by place in the queue.

    Returns
    -------
    bytes
        A PNG.
    """
    return png(lambda figure: _fits(figure, fits, plan), (7.0, 4.6))


def png(draw: Callable[[Figure], None], size: tuple[float, float]) -> bytes:
    """Return a PNG of what is drawn on a figure of this size, inches: always the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure
    from PIL import Image  # which matplotlib brings

    style: Any = STYLE  # its keys have a type of their own, a literal
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc would change the bytes
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=DPI)
    out = io.BytesIO()  # a palette: half the bytes, and no difference to the eye
    Image.open(drawn).convert("RGB").quantize(256).save(out, format="png", optimize=True)
    return out.getvalue()


def _colours(study: Study) -> dict[str, str]:
    fitted = COLOURS | FITTED_COLOURS
    return {
        model.label: (fitted if f"({FITTED}" in model.label else COLOURS)[model.name]
        for model in study.models
    }


def _study(figure: Figure, study: Study, horizon: float) -> None:
    curves, errors, wrong, distance, queue, cells = figure.subplots(2, 3).flat
    _curves(curves, study)
    _errors(errors, study)
    _wrong(wrong, study, horizon)
    _groups(distance, study, horizon, "distance", "ticks behind the touch")
    _groups(queue, study, horizon, "queue", "lots displayed, nearest probes")
    _cells(cells, study, horizon)


def _curves(axes: Axes, study: Study) -> None:
    waits = study.grade.waits
    longest = max(study.grade.summary["horizon_s"])
    shortest = 10.0 ** np.floor(np.log10(min(study.grade.summary["horizon_s"]) / 20.0))
    at = np.geomspace(shortest, longest, 400)
    for label, colour in _colours(study).items():
        axes.plot(at, _filled(waits[label], at), color=colour, linewidth=1.2, label=label)
    axes.plot(at, _filled(waits["truth"], at), color=INK, linewidth=2.2, linestyle=":", zorder=5)
    axes.plot([], [], color=INK, linewidth=2.2, linestyle=":", label="truth")
    axes.set_xscale("log")
    axes.set_xlabel("seconds after arrival")
    axes.set_ylabel("% filled")
    axes.set_title("Filled by a time")
    axes.legend(fontsize=7, loc="upper left")


def _filled(waits: Floats, at: Floats) -> Floats:
    return 100.0 * np.searchsorted(np.sort(waits), at, side="right") / len(waits)


def _errors(axes: Axes, study: Study) -> None:
    summary = study.grade.summary
    models = study.grade.models
    horizons = sorted(set(summary["horizon_s"]))
    for k, (horizon, marker) in enumerate(zip(horizons, _markers(len(horizons)), strict=True)):
        rows = summary[summary["horizon_s"] == horizon].set_index("model").loc[models]
        y = np.arange(len(models)) + 0.22 * (k - (len(horizons) - 1) / 2.0)
        axes.errorbar(
            100.0 * rows["difference"],
            y,
            xerr=100.0 * Z95 * rows["se"],
            fmt=marker,
            color=INK,
            markersize=4,
            linewidth=1.0,
            label=f"within {horizon:g} s",
        )
    axes.axvline(0.0, color=GREY, linewidth=0.9)
    axes.set_yticks(range(len(models)), models)
    axes.invert_yaxis()
    axes.set_xlabel("predicted - true fill rate, points (95%)")
    axes.set_title("Error of the fill rate")
    axes.legend(fontsize=7)


def _markers(n: int) -> Sequence[str]:
    return ("o", "s", "^", "D", "v", "P", "X")[:n] if n <= 7 else ["o"] * n


def _wrong(axes: Axes, study: Study, horizon: float) -> None:
    summary = study.grade.summary
    rows = summary[summary["horizon_s"] == horizon]
    y = np.arange(len(rows))
    much, little = 100.0 * rows["only_model"], 100.0 * rows["only_truth"]
    axes.barh(y, much, color=COLOURS["optimistic"], height=0.6, label="filled in the model only")
    axes.barh(y, little, left=much, color=COLOURS["risk_averse"], height=0.6, label="in truth only")
    axes.set_yticks(y, rows["model"])
    axes.invert_yaxis()
    axes.set_xlabel("% of the probes")
    axes.set_title(f"Wrong calls within {horizon:g} s")
    axes.legend(fontsize=7)


def _groups(axes: Axes, study: Study, horizon: float, by: str, label: str) -> None:
    groups = study.grade.groups
    rows = groups[(groups["by"] == by) & (groups["horizon_s"] == horizon)]
    names = list(dict.fromkeys(rows["group"]))
    x = np.arange(len(names))
    colours = _colours(study)
    for k, (model, colour) in enumerate(colours.items()):
        mine = rows[rows["model"] == model]
        axes.errorbar(
            x + 0.6 * ((k + 0.5) / len(colours) - 0.5),
            100.0 * mine["difference"],
            yerr=100.0 * Z95 * mine["se"],
            fmt="o",
            color=colour,
            markersize=3.5,
            linewidth=1.0,
        )
    axes.axhline(0.0, color=GREY, linewidth=0.9)
    true = rows[rows["model"] == rows["model"].iloc[0]]["true"]
    lines = [name.replace("-", "-\n") for name in names]
    ticks = [f"{line}\n({100.0 * rate:.0f}%)" for line, rate in zip(lines, true, strict=True)]
    axes.set_xticks(x, ticks)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(f"{label} (true fill rate)")
    axes.set_ylabel("predicted - true, points")
    axes.set_title(f"By {by}, within {horizon:g} s")


def _cells(axes: Axes, study: Study, horizon: float) -> None:
    cells = study.grade.cells[study.grade.cells["horizon_s"] == horizon]
    axes.plot([0.0, 100.0], [0.0, 100.0], color=GREY, linewidth=0.9)
    for model, colour in _colours(study).items():
        rows = cells[cells["model"] == model]
        axes.plot(
            100.0 * rows["predicted"], 100.0 * rows["true"], "o", color=colour, markersize=3.5
        )
    axes.set_xlabel("predicted, %; cells of distance and queue")
    axes.set_ylabel("true, %")
    axes.set_title(f"Calibration, within {horizon:g} s")


def _fits(figure: Figure, fits: Fits, plan: Plan) -> None:
    axes = figure.subplots()
    seen = fits.seen
    depth = seen.front + seen.back
    x = seen.front / depth
    w = seen.lots if plan.weight == "size" else np.ones(len(seen))
    group = np.minimum((x * 20.0).astype(np.int64), 19)
    total = np.bincount(group, w, 20)
    full = total > 0.0
    at = np.bincount(group, w * x, 20)[full] / total[full]
    share = np.bincount(group, w * seen.behind, 20)[full] / total[full]
    spread = np.bincount(group, (w * (seen.behind - share[np.cumsum(full)[group] - 1])) ** 2, 20)
    axes.errorbar(
        at,
        share,
        yerr=Z95 * np.sqrt(spread[full]) / total[full],
        fmt="o",
        color=INK,
        markersize=3.5,
        linewidth=1.0,
        label="observed (95%)",
        zorder=5,
    )
    knots = np.linspace(0.0, 1.0, len(fits.table.table))
    axes.plot(knots, fits.table.table, color=COLOURS["table"], linewidth=2.0, label="table")
    middle = float(np.median(depth))
    grid = np.linspace(0.001, 0.999, 400)
    for name in ("log", "log2", *POWERS):
        power = fits.powers[name].power if name in POWERS else 3.0
        scale = middle * (plan.lot_size if name not in POWERS else 1.0)
        behind, _ = log_probabilities(name, grid * scale, (1.0 - grid) * scale, power)
        label = f"{name}, n = {power:.2f}" if name in POWERS else f"{name}, median depth"
        colour = (COLOURS | FITTED_COLOURS)[name]
        axes.plot(grid, np.exp(behind), color=colour, linewidth=1.0, label=label)
    behind, _ = log_probabilities("power", grid, 1.0 - grid, 3.0)
    axes.plot(grid, np.exp(behind), color=GREY, linewidth=1.0, linestyle="--", label="power, n = 3")
    axes.set_xlabel("place in the queue, F / (F + B)   (0: first, 1: last)")
    what = "quantity" if plan.weight == "size" else "orders"
    axes.set_ylabel(f"share of cancelled {what} that stood behind")
    axes.set_title(f"Where cancellations happen: {len(seen):,} of them")
    axes.legend(fontsize=7.5)
