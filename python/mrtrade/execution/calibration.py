"""Costs measured on recorded markets, with intervals.

- **Kyle's lambda**: the mid's change over a bar on the signed volume of the same bar, ordinary
  least squares with Newey and West's (1987) errors. It is impact while the bar lasts: what reverts
  later is still in it, so longer bars tell more of what is permanent.
- **The square-root constant Y and the book's slope**: what market orders of many sizes would have
  paid beyond half the spread, walking the recorded book at many times. No order of ours was
  recorded: what a hidden refill would have given, and what the market would have done about us, is
  not in them. Intervals by the stationary bootstrap (Politis & Romano 1994) over the times.
- **Mark-outs**: how far the mid went against makers, 1, 5, 30 s after trades, by the VPIN that was
  known before the bar of the trade. Of all makers at the touch: one who is last in the queue is
  filled when it is worse. The same bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrtrade.clock import NS_PER_SECOND, to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.execution.book_walk import BookWalks, walk_book
from mrtrade.execution.calibrated import Calibration, Estimate, Markouts
from mrtrade.execution.costs import DAYS_A_YEAR, SECONDS_A_DAY
from mrtrade.execution.impact import square_root
from mrtrade.instruments import BPS_PER_ONE, Instrument

if TYPE_CHECKING:
    import pandas as pd

    from mrtrade.data.tape import Tape

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HORIZONS_S = (1.0, 5.0, 30.0)
"""Times after a fill at which mark-outs are measured."""

SHARES = np.geomspace(1e-6, 3e-4, 10)
"""Sizes of the orders that walk the book, of what is traded on a day."""

ALIKE = 0.01
"""Mark-outs of the bins of VPIN are held apart below this p-value. Of series without a difference
some 5 % get there: the errors of a bin of sixty bars are a little too small."""

HELD = 0.95
"""Sizes that the book held at fewer of the times are left out: the times that are left are those of
deep books."""

LEAST = 30
"""Fewer observations are too few for an interval."""

Z95 = 1.959963984540054


def calibrate(
    bars: Mapping[float, pd.DataFrame],
    tape: Tape,
    *,
    bins: int = 5,
    n_times: int = 500,
    resamples: int = 999,
    seed: int = 0,
) -> Calibration:
    """Measure what the cost model takes for ``auto``.

    Parameters
    ----------
    bars : mapping of DataFrame
        By horizon of the mark-outs, seconds, each a multiple of the bars' length: time bars of the
        same recording, built with that ``horizon_ns``.
    tape : Tape
        That recording.
    bins : int
        Rows of the table of mark-outs: quantiles of VPIN, fifths by default.
    n_times : int
        At which the book is walked.
    resamples : int
        Of each bootstrap.
    seed : int

    Returns
    -------
    Calibration

    Raises
    ------
    DataError
        If there are too few bars, they are not bars of time, or nothing was traded.
    """
    instrument, first = tape.instrument, next(iter(bars.values()))
    times = to_ns(first.index)
    for name, value, least in (("bins", bins, 1), ("resamples", resamples, 2)):
        if value < least:
            raise ConfigError("too few", key=name, value=value, expected=f">= {least}")
    if len(first) < LEAST:
        raise DataError("too few bars", value=len(first), expected=f"at least {LEAST}",
                        remedy="choose shorter bars or a longer span")  # fmt: skip
    step = int(np.diff(times).min())
    mid = first["mid"].to_numpy(np.float64)
    moves = _moves(first)
    elapsed = len(first) * step / NS_PER_SECOND
    notional = _quote(first["buy_volume"] + first["sell_volume"], mid, instrument)
    volume = float(np.nansum(notional) / elapsed * SECONDS_A_DAY)
    seen = moves[np.isfinite(moves)]
    sigma = float(np.sqrt((seen**2).mean() * NS_PER_SECOND / step))  # bps of a second's root
    draw = Resampling(resamples, seed)
    if not volume > 0.0:
        raise DataError("nothing was traded", expected="trades beside the book",
                        remedy="choose another span")  # fmt: skip
    signed = _quote(first["buy_volume"] - first["sell_volume"], mid, instrument)
    spread = ((first["ask"] - first["bid"]) / first["mid"] * BPS_PER_ONE).to_numpy(np.float64)
    sigma_day = sigma * np.sqrt(SECONDS_A_DAY)
    walks = walk_book(tape, SHARES * volume, n_times)
    marked = mark_outs(bars, bins=bins, draw=draw)
    return Calibration(
        exchange=instrument.exchange,
        symbol=instrument.symbol,
        start=str(first.index[0]),
        end=str(first.index[-1]),
        bars=len(first),
        bar_s=step / NS_PER_SECOND,
        kyle_lambda=kyle_newey_west(moves, signed),
        book_slope=_book_slope(walks, volume, draw),
        square_root_y=square_root_constant(walks, volume, sigma_day, draw),
        daily_volume=volume,
        spread_bps=float(np.nanmean(spread)),
        realized_vol=sigma * np.sqrt(DAYS_A_YEAR * SECONDS_A_DAY) / BPS_PER_ONE,
        spread_by_hour=_by_hour(times, spread),
        markouts=marked,
        notes=_notes(elapsed, [h for h in bars if marked is None or h not in marked.horizons_s]),
    )


def kyle_newey_west(moves_bps: npt.ArrayLike, signed: npt.ArrayLike) -> Estimate:
    """Regress moves on signed volume, with Newey and West's standard error.

    Parameters
    ----------
    moves_bps : array-like of float64, shape (n,)
        Changes of the mid, basis points.
    signed : array-like of float64, shape (n,)
        Bought less sold by takers, quote units. Pairs that are not finite are left out.

    Returns
    -------
    Estimate
        Slope, bps per quote unit; the interval by 4 (n / 100)^(2/9) lags. None where the volume
        does not vary, or there are fewer than 30 pairs.
    """
    y, x = np.asarray(moves_bps, np.float64), np.asarray(signed, np.float64)
    both = np.isfinite(y) & np.isfinite(x)
    y, x, n = y[both], x[both], int(both.sum())
    lags = int(4.0 * (n / 100.0) ** (2.0 / 9.0)) if n else 0
    about: dict[str, Any] = {
        "unit": "bps / quote",
        "method": f"OLS on bars, Newey-West errors with {lags} lags",
    }
    if n < LEAST or not x.std() > 0.0:
        return Estimate(value=None, n=n, note="too few bars, or no volume that varies", **about)
    sm = import_module("statsmodels.api")
    scale = x.std()  # so that the normal equations are well conditioned
    fit = sm.OLS(y, sm.add_constant(x / scale)).fit(
        cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True}
    )
    slope, error = float(fit.params[1]) / scale, float(fit.bse[1]) / scale
    return Estimate(
        value=slope,
        low=slope - Z95 * error,
        high=slope + Z95 * error,
        n=n,
        note=f"R^2 {fit.rsquared:.3f}",
        **about,
    )


def mark_outs(
    bars: Mapping[float, pd.DataFrame], *, bins: int, draw: Resampling
) -> Markouts | None:
    """Measure how far the mid went against makers after trades, by the VPIN before them.

    Parameters
    ----------
    bars : mapping of DataFrame
        As `calibrate` takes it.
    bins : int
        Of VPIN, with equally many bars of trades.
    draw : Resampling

    Returns
    -------
    Markouts, optional
        Means weighted by what was traded, at horizons of which the bars with trades and a VPIN
        would fill 30; None where there are none such. All rows have the mean of all where those of
        the bins differ by no more than their errors explain (Cochran's Q, p >= 1 %), or a bin would
        not fill 30 horizons: then VPIN told nothing.
    """
    horizons: list[float] = []
    chances: list[float | None] = []
    means, errors = [], []
    edges = counts = None
    for horizon, frame in bars.items():
        step = int(np.diff(to_ns(frame.index)).min())
        later, rest = divmod(round(horizon * NS_PER_SECOND), step)
        if rest or not later:
            raise DataError(
                "not a multiple of the bars",
                key="horizon",
                value=horizon,
                expected=f"seconds, a multiple of {step / NS_PER_SECOND:g}",
            )
        # A trade's impact is known in the bar `later` after its own; VPIN at the end of the bar
        # before its own.
        impact = frame["price_impact"].to_numpy(np.float64)[1 + later :]
        traded = frame["matured_volume"].to_numpy(np.float64)[1 + later :]
        n = len(impact)
        vpin = frame["vpin"].to_numpy(np.float64)[:n]
        weight = traded * frame["mid"].to_numpy(np.float64)[1 : 1 + n]
        there = np.isfinite(vpin) & np.isfinite(weight) & (weight > 0.0)
        if there.sum() < LEAST * later:
            continue
        if edges is None:
            edges = np.quantile(vpin[there], np.arange(1, bins) / bins)
        at = np.searchsorted(edges, vpin[there], side="right")
        amount, base = 0.5 * BPS_PER_ONE * impact[there], weight[there]

        def ratios(
            rows: Ints, at: Ints = at, amount: Floats = amount, base: Floats = base
        ) -> Floats:
            """Means of the bins, and of all of them."""
            above = np.bincount(at[rows], amount[rows], bins)
            below = np.bincount(at[rows], base[rows], bins)
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray(np.append(above, above.sum()) / np.append(below, below.sum()))

        mean = ratios(np.arange(len(at)))
        error = draw.errors(ratios, amount / base, least=2.0 * later)
        number = np.bincount(at, minlength=bins)
        enough = number.min() >= LEAST * later
        chances.append(_alike(mean[:-1], error[:-1]) if enough else None)
        if chances[-1] is None or chances[-1] >= ALIKE:
            mean[:-1], error[:-1] = mean[-1], error[-1]
        means.append(mean[:-1])
        errors.append(error[:-1])
        horizons.append(float(horizon))
        counts = number if counts is None else counts
    if edges is None or counts is None:
        return None
    return Markouts(
        horizons_s=tuple(horizons),
        edges=tuple(edges.tolist()),
        adverse_bps=_rows(means),
        se_bps=_rows(errors),
        p_alike=tuple(chances),
        n=tuple(counts.tolist()),
    )


class Resampling:
    """The stationary bootstrap, with blocks as long as a series asks for (Politis & White 2004)."""

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples = resamples
        self.seed = seed

    def __call__(self, series: Floats, least: float = 1.0) -> Iterator[Ints]:
        from arch.bootstrap import StationaryBootstrap, optimal_block_length

        n = len(series)
        block = least
        if np.ptp(series) > 0.0:
            block = max(least, float(optimal_block_length(series)["stationary"].iloc[0]))
        mean_block = max(1, round(min(block, n / 3.0)))
        boot = StationaryBootstrap(mean_block, np.arange(n), seed=np.random.default_rng(self.seed))
        for (drawn,), _ in boot.bootstrap(self.resamples):
            yield np.asarray(drawn)

    def errors(
        self, statistic: Callable[[Ints], Floats], series: Floats, least: float = 1.0
    ) -> Floats:
        """Return the standard deviation of a statistic of the rows that are drawn."""
        made = np.array([statistic(rows) for rows in self(series, least)])
        seen = np.isfinite(made).sum(axis=0) > 1
        out = np.full(made.shape[1:], np.nan)
        out[seen] = np.nanstd(made[:, seen], axis=0, ddof=1)
        return out

    def interval(self, statistic: Callable[[Ints], float], series: Floats) -> tuple[float, float]:
        """Return the 2.5 and 97.5 % quantiles of a statistic of the rows that are drawn."""
        made = np.array([statistic(rows) for rows in self(series)])
        low, high = np.quantile(made, [0.025, 0.975])
        return float(low), float(high)


def _book_slope(walks: BookWalks, volume: float, draw: Resampling) -> Estimate:
    x = np.broadcast_to(walks.sizes / (0.01 * volume), walks.slippage_bps.shape)
    return _through_origin(walks, x, draw, "bps / 1 % V", "linear")


def square_root_constant(
    walks: BookWalks, volume: float, sigma_day: float, draw: Resampling
) -> Estimate:
    x = np.broadcast_to(
        2.0 / 3.0 * square_root(sigma_day, walks.sizes, volume), walks.slippage_bps.shape
    )
    return _through_origin(walks, x, draw, "1", "square root")


def _through_origin(
    walks: BookWalks, x: Floats, draw: Resampling, unit: str, shape: str
) -> Estimate:
    """Fit slippage = value x by least squares over times, sides and sizes."""
    held = np.isfinite(walks.slippage_bps).mean(axis=(0, 1)) >= HELD
    x, y = x[..., held], walks.slippage_bps[..., held]
    deep = np.isfinite(y)
    x, y = np.where(deep, x, 0.0), np.where(deep, y, 0.0)
    n = int(deep.any(axis=(1, 2)).sum())
    about: dict[str, Any] = {
        "unit": unit,
        "method": f"walking the book, {shape} in size, stationary bootstrap",
    }
    xy, xx = (x * y).sum(axis=(1, 2)), (x * x).sum(axis=(1, 2))
    if n < LEAST or not xx.sum() > 0.0:
        return Estimate(value=None, n=n, note="the book does not hold such orders", **about)
    value = float(xy.sum() / xx.sum())
    low, high = draw.interval(lambda rows: float(xy[rows].sum() / xx[rows].sum()), xy)
    mean = y.sum() / deep.sum()
    left = (np.where(deep, y - value * x, 0.0) ** 2).sum()
    fit = 1.0 - left / (np.where(deep, y - mean, 0.0) ** 2).sum()
    note = f"R^2 {fit:.3f}"
    if not held.all():
        note += f"; the book holds orders of up to {walks.sizes[held].max():,.3g} only"
    return Estimate(value=value, low=low, high=high, n=n, note=note, **about)


def _alike(mean: Floats, error: Floats) -> float:
    """Return the p-value of Cochran's (1954) Q: that the means are one, by their errors."""
    there = np.isfinite(mean) & (error > 0.0)
    if there.sum() < 2:
        return 1.0
    weight = 1.0 / error[there] ** 2
    apart = mean[there] - np.average(mean[there], weights=weight)
    chi2 = import_module("scipy.stats").chi2
    return float(chi2.sf((weight * apart**2).sum(), there.sum() - 1))


def _moves(bars: pd.DataFrame) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = bars["mid"].to_numpy(np.float64) / bars["mid_open"].to_numpy(np.float64)
        return np.asarray(BPS_PER_ONE * np.log(ratio))


def _quote(size: pd.Series[float], mid: Floats, instrument: Instrument) -> Floats:
    """Return sizes in quote units."""
    unit = instrument.multiplier * (1.0 if instrument.inverse else mid)
    return np.asarray(size.to_numpy(np.float64) * unit)


def _by_hour(times: Ints, spread: Floats) -> dict[int, float]:
    hour = times // (3_600 * NS_PER_SECOND) % 24
    there = np.isfinite(spread)
    return {int(one): float(spread[there & (hour == one)].mean()) for one in np.unique(hour[there])}


def _notes(elapsed: float, unmarked: list[float]) -> tuple[str, ...]:
    notes = []
    if elapsed < SECONDS_A_DAY:
        notes.append(
            f"{elapsed / 60.0:.1f} minutes are a small sample: volume and volatility of a day are "
            "those minutes' rate, and another hour may differ by more than the intervals say"
        )
    if unmarked:
        spans = ", ".join(f"{one:g}" for one in unmarked)
        notes.append(f"mark-outs at {spans} s: less than {LEAST} such spans with trades and a VPIN")
    return tuple(notes)


def _rows(columns: list[Floats]) -> tuple[tuple[float | None, ...], ...]:
    table = np.array(columns).T
    return tuple(tuple(float(x) if np.isfinite(x) else None for x in row) for row in table)
