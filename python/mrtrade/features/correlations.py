"""How far features go with the returns after them: information coefficients, and how sure they are.

Returns over `h` bars, one a bar, overlap: neighbours share h - 1 bars, and with a feature that
moves slowly the usual t statistic finds, on noise, "significance" in half of all tests and more.
So the t statistics here are those of the mean of x_t y_t, standardised feature by standardised
return: its scores u_t = x_t y_t - b are summed with all their autocovariances up to lag h - 1,
unweighted (Hansen & Hodrick 1980). That lag is enough: where returns cannot be predicted, products
further apart have none, whatever the volatility does. Newey and West's (1987) declining weights
leave out a third of the variance at that lag; but theirs cannot come out negative, so the larger of
the two is taken. The scores of a regression, x_t (y_t - b x_t), are not: a flag that was up once
fits the returns after it, its residuals sum to 0 there, and 9 of 10 such flags are "significant" on
noise. p-values are of Student's t with n / h - 1 degrees of freedom, for n / h is the number of
returns that do not overlap. Several symbols: the scores of a moment are summed first, as they move
together (Driscoll & Kraay 1998).

With few such returns and a feature that hardly moves, the size is a little too large: 6.5 % in
place of 5 % at n / h = 17 with an AR(1) coefficient of 0.99. With few rows that make up a
feature's variance it is too small: a flag that was up once or twice is never found.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.features.extras import need

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Fewest returns without overlap that a statistic is made of, and fewest pairs.
MIN_SPANS, MIN_PAIRS = 3, 20

#: Name of the one column of `by_symbol` where the symbol was not said.
ONE = "all"


@dataclass(frozen=True)
class FeatureCorrelations:
    """What `analyze_feature_correlations` found.

    Attributes
    ----------
    table : DataFrame
        A row for each feature and column of returns: ``feature``, ``returns`` (the column),
        ``horizon`` (bars), ``n`` (pairs), ``ic`` (Pearson) and ``rank_ic`` (Spearman) with
        ``_t``, ``_p`` and ``_p_adj`` (for all tests of the table together) of each,
        ``sign_stability`` (share of the months whose rank IC has the sign of the whole; NaN with
        fewer than two) and ``reason`` (why there is none; empty: there is).
    by_month : DataFrame
        Rank IC within each month (UTC), in columns; rows by feature and returns.
    by_symbol : DataFrame
        Rank IC of each symbol, in columns; rows by feature and returns.
    decay : DataFrame
        Rank IC by column of returns, shortest horizon first; rows by feature.
    """

    table: pd.DataFrame
    by_month: pd.DataFrame
    by_symbol: pd.DataFrame
    decay: pd.DataFrame

    def summary(self, top: int = 20) -> pd.DataFrame:
        """Return the rows of `table` with the largest rank t statistics, either sign."""
        order = self.table["rank_ic_t"].abs().sort_values(ascending=False, kind="stable")
        return self.table.loc[order.index[:top]].reset_index(drop=True)

    def heatmap(self, path: str | Path, *, top: int = 40) -> Path:
        """Draw rank ICs, features by horizons and by months, as a PNG.

        Parameters
        ----------
        path : path
            The file; it is replaced.
        top : int
            So many features, those of the largest rank t statistics.
        """
        from mrtrade.features.pictures import heat_maps

        place = Path(path)
        place.write_bytes(heat_maps(self, top))
        return place


def forward_returns(price: pd.Series[Any], horizons: Sequence[int]) -> pd.DataFrame:
    """Return log returns from each bar to `h` bars later.

    Parameters
    ----------
    price : Series
        A price a bar, on a grid of time.
    horizons : sequence of int
        In bars, each >= 1.

    Returns
    -------
    DataFrame
        A column for each horizon, named by it: ``ln(price[t + h] / price[t])`` at t. NaN: the
        price is not there or not positive, the last h bars, and where the grid is broken between.
    """
    time = to_ns(price.index)
    values = price.to_numpy(np.float64)
    log = np.full(len(values), np.nan)
    np.log(values, out=log, where=values > 0.0)
    log[~np.isfinite(log)] = np.nan
    steps = np.diff(time)
    step = int(np.median(steps)) if len(steps) else 0
    out = {}
    for h in horizons:
        if h < 1:
            raise ConfigError("horizon of a forward return", value=h, expected=">= 1 bar")
        moved = np.full(len(values), np.nan)
        whole = time[h:] - time[:-h] == h * step
        moved[:-h][whole] = (log[h:] - log[:-h])[whole]
        out[h] = moved
    return pd.DataFrame(out, index=price.index)


def analyze_feature_correlations(
    features: pd.DataFrame | Mapping[str, pd.DataFrame],
    forward_returns: Any,
    *,
    horizon: int | Mapping[Any, int] | None = None,
    adjust: Literal["by", "bh"] = "by",
) -> FeatureCorrelations:
    """Measure how far each feature goes with the returns that follow it.

    Parameters
    ----------
    features : DataFrame, or mapping of symbol to DataFrame
        A column a feature, a row a bar, indexed by time; a level ``symbol`` of the index does for
        several symbols too. Ranks and moments are those within a symbol. Values that are not
        finite are left out, pair by pair.
    forward_returns : Series or DataFrame, or mapping of symbol to such
        Returns after each bar, labelled by it; `forward_returns` makes them.
    horizon : int, or mapping of column to int
        How many bars a return spans. May be left out where the columns are named by it.
    adjust : {"by", "bh"}
        Keeps the rate of false discoveries: Benjamini & Yekutieli (2001), whatever the tests
        have to do with each other, or Benjamini & Hochberg (1995).

    Returns
    -------
    FeatureCorrelations

    Raises
    ------
    ConfigError
        Where a horizon is not said, or scipy is not installed.
    DataError
        Where times fall or repeat, or features and returns have no symbol in common.
    """
    panels = list(_panels(features, forward_returns))
    names = list(panels[0].features.columns)
    spans = _horizons(panels[0].returns.columns, horizon)
    stats = need("scipy.stats")
    columns = [
        (_ranked(panel.features, names), _ranked(panel.returns, list(spans)), panel.at)
        for panel in panels
    ]
    length = max(panel.stop for panel in panels)
    rows: list[Any] = [None] * (len(names) * len(spans))
    by_symbol: list[Any] = list(rows)
    for k, (label, h) in enumerate(spans.items()):
        returns = [_Returns(y[k]) for _, y, _ in columns]
        for f, name in enumerate(names):
            pairs = [(one.pair(x[f]), at) for one, (x, _, at) in zip(returns, columns, strict=True)]
            row, of_symbols = _test(pairs, length, h, stats)
            rows[f * len(spans) + k] = {"feature": name, "returns": label, "horizon": h, **row}
            by_symbol[f * len(spans) + k] = of_symbols
    table = pd.DataFrame(rows)
    index = pd.MultiIndex.from_frame(table[["feature", "returns"]])
    by_month = _by_month(panels, names, spans, stats).set_axis(index, axis=0)
    _adjust(table, adjust, stats)
    table["sign_stability"] = _sign_stability(by_month, table["rank_ic"].to_numpy())
    table["reason"] = table.pop("reason")  # last
    order = sorted(spans, key=lambda label: spans[label])
    decay = table.pivot(index="feature", columns="returns", values="rank_ic")
    symbols = [panel.symbol for panel in panels]
    return FeatureCorrelations(
        table,
        by_month,
        pd.DataFrame(by_symbol, index=index, columns=symbols),
        decay.reindex(index=names, columns=order),
    )


# ---- what was given


class _Panel(NamedTuple):
    """One symbol: features, returns on the same rows, and their places among all times."""

    symbol: str
    features: pd.DataFrame
    returns: pd.DataFrame
    at: Ints | slice
    stop: int


def _panels(features: Any, returns: Any) -> Iterator[_Panel]:
    of_features, of_returns = _by_symbol(features), _by_symbol(returns)
    common = [symbol for symbol in of_features if symbol in of_returns]
    if not common:
        raise DataError(
            "features and returns have no symbol in common",
            value=", ".join(of_features),
            expected=f"one of {', '.join(of_returns)}",
        )
    times = {symbol: _times(of_features[symbol]) for symbol in common}
    union = np.unique(np.concatenate(list(times.values())))
    for symbol in common:
        frame, after = of_features[symbol], of_returns[symbol]
        _times(after)
        if not frame.index.equals(after.index):
            after = after.reindex(frame.index)
        whole = len(frame) == len(union)
        at = slice(None) if whole else np.searchsorted(union, times[symbol])
        yield _Panel(symbol, frame, after, at, len(union))


def _by_symbol(given: Any) -> dict[str, pd.DataFrame]:
    if isinstance(given, Mapping):
        return {str(symbol): _frame(one) for symbol, one in given.items()}
    frame = _frame(given)
    if "symbol" in frame.index.names and frame.index.nlevels > 1:
        groups = frame.groupby(level="symbol", sort=False)
        return {str(symbol): one.droplevel("symbol") for symbol, one in groups}
    return {ONE: frame}


def _frame(given: Any) -> pd.DataFrame:
    if isinstance(given, pd.Series):
        return given.to_frame("return" if given.name is None else given.name)
    if not isinstance(given, pd.DataFrame):
        raise ConfigError("features and returns", value=type(given).__name__, expected="frames")
    return given


def _times(frame: pd.DataFrame) -> Ints:
    time = to_ns(frame.index)
    bad = np.flatnonzero(np.diff(time) <= 0)
    if len(bad):
        raise DataError("times fall or repeat", row=int(bad[0]) + 1, expected="a rising index")
    return time


def _horizons(columns: pd.Index[Any], horizon: Any) -> dict[Hashable, int]:
    out: dict[Hashable, int] = {}
    for label in columns:
        h = horizon.get(label) if isinstance(horizon, Mapping) else horizon
        if horizon is None and isinstance(label, int | np.integer):
            h = label
        if h is None or isinstance(h, bool) or int(h) != h or h < 1:
            raise ConfigError(
                f"how many bars does the return {label!r} span",
                value=h,
                expected="a whole number >= 1",
                remedy="say horizon=12, or horizon={column: bars}",
            )
        out[label] = int(h)
    return out


# ---- one feature and one column of returns


class _Ranked(NamedTuple):
    """A column, scaled; 0 where it has no value.

    `codes` are the places of its values among its distinct ones, `distinct` where there is none.
    """

    values: Floats
    ok: Bools
    codes: Ints
    distinct: int


def _ranked(frame: pd.DataFrame, labels: Sequence[Hashable]) -> list[_Ranked]:
    out = []
    for label in labels:
        values = frame[label].to_numpy(np.float64)
        ok = np.isfinite(values)
        found, places = np.unique(values[ok], return_inverse=True)
        codes = np.full(len(values), len(found), np.int64)
        codes[ok] = places
        top = np.abs(found).max(initial=0.0)  # no square of a scaled value overflows
        scaled = np.zeros(len(values))
        np.divide(values, top, out=scaled, where=ok & (top > 0.0))
        out.append(_Ranked(scaled, ok, codes, len(found)))
    return out


class _Pair(NamedTuple):
    """Standardised values of a symbol, 0 where not both are `there`; `why`: there are none."""

    n: int
    why: str
    there: Bools = np.empty(0, np.bool_)
    linear: tuple[Floats, Floats] = (np.empty(0), np.empty(0))
    ranked: tuple[Floats, Floats] = (np.empty(0), np.empty(0))


class _Returns:
    """A column of returns, standardised anew only where another feature has other gaps."""

    def __init__(self, y: _Ranked) -> None:
        self._y = y
        self._gaps: bytes | None = None
        self._made = np.empty(0), np.empty(0)

    def pair(self, x: _Ranked) -> _Pair:
        ok = x.ok & self._y.ok
        n = int(np.count_nonzero(ok))
        if n < MIN_PAIRS:
            return _Pair(n, f"{n} pairs")
        ranks = _standard_ranks(x, ok, n)
        if ranks is None:
            return _Pair(n, "feature constant")
        gaps = np.packbits(ok).tobytes()
        if gaps != self._gaps:
            of_returns = _standard_ranks(self._y, ok, n)
            if of_returns is None:
                return _Pair(n, "returns constant")
            self._gaps, self._made = gaps, (_standard(self._y, ok, n), of_returns)
        linear, ranked = self._made
        return _Pair(n, "", ok, (_standard(x, ok, n), linear), (ranks, ranked))


def _standard(x: _Ranked, ok: Bools, n: int) -> Floats:
    out = np.where(ok, x.values, 0.0)
    out -= out.sum() / n
    out *= ok
    out *= np.sqrt(n / _dot(out, out))
    return out


def _standard_ranks(x: _Ranked, ok: Bools, n: int) -> Floats | None:
    """Mean ranks among the rows `ok`, found without sorting again; None: all are equal."""
    codes = np.where(ok, x.codes, x.distinct)
    count = np.bincount(codes, minlength=x.distinct + 1)
    count[-1] = 0
    rank = np.cumsum(count) - 0.5 * count - 0.5 * n
    rank[-1] = 0.0
    if count.max() == n:
        return None
    rank *= np.sqrt(n / _dot(rank * rank, count))
    return rank.take(codes)


def _dot(x: Floats, y: npt.NDArray[Any]) -> float:
    return float(np.einsum("i,i", x, y))  # not `@`: its threads cost more than they bring


def _test(
    pairs: list[tuple[_Pair, Ints | slice]], length: int, h: int, stats: Any
) -> tuple[dict[str, Any], list[float]]:
    """Return the row of a feature and a horizon, and the rank IC of each symbol."""
    used = [(pair, at) for pair, at in pairs if not pair.why]
    n = sum(pair.n for pair, _ in used)
    row: dict[str, Any] = {"n": n or max(pair.n for pair, _ in pairs)}
    spans = max((pair.n for pair, _ in used), default=0) / h
    why = "" if used else pairs[0][0].why
    if used and spans < MIN_SPANS:
        why = f"{spans:.2g} returns of {h} bars without overlap"
    for name in ("ic", "rank_ic"):
        b = t = p = np.nan
        if used:
            scores, there = np.zeros(length), np.zeros(length)
            for pair, at in used:
                x, y = pair.linear if name == "ic" else pair.ranked
                scores[at] += x * y
                there[at] += pair.there
            b = min(1.0, max(-1.0, float(scores.sum()) / n))
            there *= b
            scores -= there
            error = np.sqrt(long_run(scores, h)) / n
            if spans >= MIN_SPANS and error > 0.0 and abs(b) < 1.0:
                t = b / error
                p = 2.0 * float(stats.t.sf(abs(t), spans - 1.0))
        row |= {name: b, f"{name}_t": t, f"{name}_p": p}
    return {**row, "reason": why}, [
        np.nan if pair.why else _dot(*pair.ranked) / pair.n for pair, _ in pairs
    ]


def long_run(scores: Floats, h: int) -> float:
    """Return the variance of the sum of scores that go together over up to h - 1 bars.

    The larger of the sum of the autocovariances up to lag h - 1 (Hansen & Hodrick 1980) and that
    with Bartlett's weights (Newey & West 1987); times the number of scores, so of their sum.
    """
    n = len(scores)
    h = min(h, n)
    total = np.empty(n + 1)
    total[0] = 0.0
    np.cumsum(scores, out=total[1:])  # of values near 1 that sum to 0: no digits are lost
    windows = np.empty(n + h - 1)
    windows[:h] = total[1 : h + 1]
    np.subtract(total[h + 1 :], total[1:-h], out=windows[h:n])
    np.subtract(total[-1], total[n - h + 1 : -1], out=windows[n:])
    newey_west = _dot(windows, windows) / h
    hansen_hodrick = 2.0 * _dot(scores, windows[:n]) - _dot(scores, scores)
    return max(hansen_hodrick, newey_west)


def _adjust(table: pd.DataFrame, method: str, stats: Any) -> None:
    """Put p-values adjusted for all tests of the table beside them."""
    names = ["ic_p", "rank_ic_p"]
    p = table[names].to_numpy()
    done = np.isfinite(p)
    adjusted = np.full(p.shape, np.nan)
    if done.any():
        adjusted[done] = stats.false_discovery_control(p[done], method=method)
    for k, name in enumerate(names):
        table.insert(list(table).index(name) + 1, f"{name}_adj", adjusted[:, k])


# ---- by month


def _by_month(
    panels: list[_Panel], names: list[Any], spans: dict[Hashable, int], stats: Any
) -> pd.DataFrame:
    """Rank ICs within months, over symbols their mean by number of pairs."""
    sums: dict[str, Floats] = {}
    counts: dict[str, Floats] = {}
    least = np.array([max(MIN_PAIRS, MIN_SPANS * h) for h in spans.values()])
    for panel in panels:
        x = panel.features[names].to_numpy(np.float64)
        y = panel.returns[list(spans)].to_numpy(np.float64)
        month = to_ns(panel.features.index).view("M8[ns]").astype("M8[M]")
        edges = np.flatnonzero(month[1:] != month[:-1]) + 1
        for a, b in pairwise([0, *edges.tolist(), len(month)] if len(month) else []):
            ic, n = _spearman(x[a:b], y[a:b], stats)
            ok = (n >= least) & np.isfinite(ic)
            n = np.where(ok, n, 0.0)
            key = str(month[a])
            sums[key] = sums.get(key, 0.0) + np.where(ok, ic, 0.0) * n
            counts[key] = counts.get(key, 0.0) + n
    with np.errstate(invalid="ignore"):
        columns = {key: (sums[key] / counts[key]).ravel() for key in sorted(sums)}
    return pd.DataFrame(columns, index=range(len(names) * len(spans)), dtype=np.float64)


def _spearman(x: Floats, y: Floats, stats: Any) -> tuple[Floats, Floats]:
    """Rank correlation of each column of x with each of y, and the number of pairs."""
    ic = np.full((x.shape[1], y.shape[1]), np.nan)
    ok_x, ok_y = np.isfinite(x), np.isfinite(y)
    n = ok_x.T.astype(np.float64) @ ok_y
    whole = ok_x.all(axis=0)
    ranks_x = _month_ranks(x[:, whole], stats)
    for k in range(y.shape[1]):
        rows = ok_y[:, k]
        if rows.sum() < 2:
            continue
        ranks = ranks_x if rows.all() else _month_ranks(x[rows][:, whole], stats)
        ic[whole, k] = _month_ranks(y[rows, k : k + 1], stats)[:, 0] @ ranks / rows.sum()
        for f in np.flatnonzero(~whole & (n[:, k] >= 2)):
            both = rows & ok_x[:, f]
            pair = _month_ranks(np.column_stack([x[both, f], y[both, k]]), stats)
            ic[f, k] = (pair[:, 0] * pair[:, 1]).mean()
    return ic, n


def _month_ranks(x: Floats, stats: Any) -> Floats:
    """Ranks of each column, mean 0 and variance 1; NaN: constant."""
    ranks = stats.rankdata(x, axis=0) - 0.5 * (len(x) + 1)
    with np.errstate(invalid="ignore"):
        out: Floats = ranks / np.sqrt((ranks * ranks).mean(axis=0))
    return out


def _sign_stability(by_month: pd.DataFrame, whole: Floats) -> Floats:
    values = by_month.to_numpy()
    known = np.isfinite(values)
    same = known & (np.sign(values) == np.sign(whole)[:, None])
    months = known.sum(axis=1)
    enough = (months >= 2) & np.isfinite(whole)
    return np.where(enough, same.sum(axis=1) / np.maximum(months, 1), np.nan)
