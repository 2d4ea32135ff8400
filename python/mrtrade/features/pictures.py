"""Pictures of features as PNG. Needs matplotlib (``pip install 'mrtrade[report]'``)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrtrade.features.extras import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mrtrade.features.correlations import FeatureCorrelations

INK, BLANK = "#1b2330", "#e6e9ef"
STYLE = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
}
DPI = 110

#: Most cells a row that still have room for a number.
NUMBERED = 12


def heat_maps(found: FeatureCorrelations, top: int = 40) -> bytes:
    """Draw rank ICs: features by horizons, and by months at the horizon of the largest.

    Features are those of the largest rank t statistics, in that order; grey: no value.
    """
    matplotlib = need("matplotlib", "report")
    need("matplotlib.figure", "report")
    table = found.table.assign(strength=found.table["rank_ic_t"].abs().fillna(-1.0))
    best = table.groupby("feature", sort=False)["strength"].max()
    names = list(best.sort_values(ascending=False, kind="stable").index[:top])
    shown = table["returns"].iloc[int(table["strength"].argmax())]
    decay = found.decay.loc[names]
    spans = table.drop_duplicates("returns").set_index("returns")["horizon"]
    months = found.by_month.xs(shown, level="returns").loc[names]
    width = 2.6 + 0.62 * max(3, decay.shape[1]) + 0.34 * max(4, months.shape[1])
    style: Any = STYLE  # its keys have a type of their own, a literal
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc would change the bytes
        matplotlib.rcParams.update(style)
        size = (width, 1.3 + 0.185 * max(4, len(names)))
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        ratios = [0.62 * max(3, decay.shape[1]), 0.34 * max(4, months.shape[1])]
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=ratios)
        heads = [f"{spans[label]}" for label in decay.columns]
        _map(left, decay.to_numpy(np.float64), heads, "rank IC by horizon, bars")
        left.set_yticks(range(len(names)), names)
        title = f"by month, {spans[shown]} bar{'s' * bool(spans[shown] != 1)} ahead"
        image = _map(right, months.to_numpy(np.float64), list(months.columns), title)
        figure.colorbar(image, ax=right, fraction=0.05, pad=0.02).outline.set_visible(False)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def _map(axes: Axes, values: npt.NDArray[np.float64], heads: list[str], title: str) -> Any:
    known = np.abs(values[np.isfinite(values)])
    limit = max(float(np.quantile(known, 0.98)) if len(known) else 0.0, 1e-6)
    axes.set_facecolor(BLANK)
    image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    crowded = len(heads) > NUMBERED
    axes.set_xticks(
        range(len(heads)),
        heads,
        rotation=90 if crowded or max(map(len, heads), default=0) > 5 else 0,
    )
    if not crowded:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "white" if abs(value) > 0.6 * limit else INK
                text = f"{value:+.3f}".replace("0.", ".")
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=6)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title)
    return image
