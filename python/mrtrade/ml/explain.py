"""What a forecast is made of: contributions of features, as numbers and as pictures.

Contributions are SHAP values of trees (Lundberg & Lee 2017; Lundberg et al. 2020), as LightGBM's
``pred_contrib`` gives them: of each row they add up, with a base, to what the model says of it.
They tell what the model does, not what moves prices.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.errors import ConfigError
from mrtrade.features.extras import need
from mrtrade.features.pictures import DPI, STYLE
from mrtrade.ml.forecaster import Forecaster
from mrtrade.ml.frames import Matrix, matrix
from mrtrade.ml.thinning import evenly

Floats = npt.NDArray[np.float64]

DOT, FAINT = "#3b6fb6", "#9aa3b2"


@dataclass(frozen=True)
class Explanation:
    """Contributions of features to forecasts.

    Attributes
    ----------
    features : tuple of str
    values : numpy.ndarray of float32, shape (n, features)
        What the features were.
    contributions : numpy.ndarray of float64, shape (n, features)
        In `unit`.
    base : numpy.ndarray of float64, shape (n,)
        What is said without any feature; base + sum of contributions = what the model says.
    unit : str
        ``bps``; of classes ``log-odds``, of the highest class against the lowest.
    """

    features: tuple[str, ...]
    values: Matrix
    contributions: Floats
    base: Floats
    unit: str

    def table(self) -> pd.DataFrame:
        """Return ``feature, mean_size, share, direction``, largest first.

        ``mean_size`` is the mean size of contributions, ``share`` its share of their sum, and
        ``direction`` the rank correlation of a feature with its contribution (NaN: constant).
        """
        size = np.abs(self.contributions).mean(axis=0)
        total = size.sum()
        rows = [
            [name, size[one], size[one] / total if total > 0.0 else 0.0, self._direction(one)]
            for one, name in enumerate(self.features)
        ]
        frame = pd.DataFrame(rows, columns=["feature", "mean_size", "share", "direction"])
        return frame.sort_values("mean_size", ascending=False, kind="stable", ignore_index=True)

    def _direction(self, column: int) -> float:
        known = np.isfinite(self.values[:, column])
        x, y = self.values[known, column], self.contributions[known, column]
        if len(x) < 2 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
            return float("nan")
        return float(need("scipy.stats", "ml").spearmanr(x, y).statistic)


def explain(forecaster: Forecaster, X: pd.DataFrame, limit: int = 2_000) -> Explanation:
    """Say what forecasts of some rows are made of.

    Parameters
    ----------
    forecaster : Forecaster
    X : pandas.DataFrame, shape (n, ...)
    limit : int
        Rows at most, evenly spaced among those given.

    Returns
    -------
    Explanation
    """
    values = matrix(X.iloc[evenly(np.arange(len(X)), limit)], forecaster.features)
    if not len(values):
        raise ConfigError("there is no row to explain", value=0, expected="at least one")
    parts = np.asarray(forecaster.booster.predict(values, pred_contrib=True, num_threads=1))
    unit = "bps"
    if forecaster.class_returns:
        classes = parts.reshape(len(values), len(forecaster.class_returns), -1)
        parts, unit = classes[:, -1] - classes[:, 0], "log-odds"
    return Explanation(forecaster.features, values, parts[:, :-1], parts[:, -1], unit)


def summary_picture(found: Explanation, top: int = 20) -> bytes:
    """Draw each feature's contributions, a dot a row, coloured by the feature's rank; PNG."""
    order = [found.features.index(name) for name in found.table()["feature"][:top]]
    with _styled() as matplotlib:
        figure = matplotlib.Figure(figsize=(7.2, 1.0 + 0.27 * len(order)), layout="constrained")
        axes = figure.subplots()
        dots: Any = None
        for line, column in enumerate(order):
            pushes = found.contributions[:, column]
            dots = axes.scatter(
                pushes,
                line + _spread(pushes),
                c=_ranks(found.values[:, column]),
                cmap="coolwarm",
                vmin=0.0,
                vmax=1.0,
                s=5,
                linewidths=0,
                plotnonfinite=True,
            )
        axes.set_yticks(range(len(order)), [found.features[one] for one in order])
        axes.invert_yaxis()
        axes.axvline(0.0, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_xlabel(f"contribution to the forecast, {found.unit}")
        axes.set_title("what the forecasts are made of")
        bar = figure.colorbar(dots, ax=axes, ticks=[0, 1], pad=0.02)
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("the feature's value", labelpad=-12)
        bar.outline.set_visible(False)
        return _png(figure, axes)


def dependence_picture(found: Explanation, feature: str) -> bytes:
    """Draw a feature's contribution against its value; PNG."""
    if feature not in found.features:
        raise ConfigError("the model does not read this feature", key=feature)
    column = found.features.index(feature)
    x = found.values[:, column]
    known = np.isfinite(x)
    with _styled() as matplotlib:
        figure = matplotlib.Figure(figsize=(4.6, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.scatter(x[known], found.contributions[known, column], s=6, c=DOT, linewidths=0)
        axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
        axes.set_xlabel(feature)
        axes.set_ylabel(f"contribution, {found.unit}")
        axes.set_title(feature if known.all() else f"{feature} ({(~known).mean():.1%} missing)")
        return _png(figure, axes)


def _ranks(values: Matrix) -> Floats:
    ranks = need("scipy.stats", "ml").rankdata(values, nan_policy="omit")
    return np.asarray((ranks - 1.0) / max(1, np.isfinite(values).sum() - 1), dtype=np.float64)


def _spread(pushes: Floats) -> Floats:
    """Move dots up and down, the further the more there are of the same push."""
    bins = np.floor(60 * (pushes - pushes.min()) / (np.ptp(pushes) or 1.0)).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    first = np.searchsorted(bins[order], bins[order])
    place = np.empty(len(bins))
    place[order] = np.arange(len(bins)) - first
    side = np.where(place % 2 == 0, place, -place)
    return np.asarray(0.38 * side / max(1.0, place.max()), dtype=np.float64)


@contextmanager
def _styled() -> Iterator[Any]:
    """Give matplotlib's figures, in the house's style until the end of the block."""
    matplotlib = need("matplotlib", "report")
    figure = need("matplotlib.figure", "report")
    style: Any = STYLE
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's matplotlibrc would change the bytes
        matplotlib.rcParams.update(style)
        yield figure


def _png(figure: Any, axes: Any) -> bytes:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()
