"""Data of which the truth is known: without a signal, and with an effect of stated size.

A procedure that decides whether money is risked is itself tried here, on data that it must refuse
and on data that it must accept. All of it is bars, as `mrtrade.features.candles` makes them (the
market's have a book too), and seeded: the same call gives the same bits.

Without a signal
    `random_walk`
        Clustered, fat-tailed volatility with hours and weekends, and a price that is a martingale:
        no rule that sees only the past has a gross expectation other than 0.
    `flipped_signs`
        Your own bars. The simple return of each is turned round, or not, by a fair coin: sizes,
        volumes and their timing stay as they were, and the price is a martingale.
    `quiet_market`
        The order-level market of `mrcore.market` without informed flow. Its fair value is a random
        walk; what is left to know is where the mid stands within a bps or two of it.
With an effect
    `mean_reverting`
        A random walk, and around it a deviation that comes back (Ornstein-Uhlenbeck). How much a
        trader who knows the model, but sees prices only, takes out of a round trip is known, and is
        stated in multiples of what the round trip costs: the effect's `size`.

What is planted, in closed form. Per bar let the walk have variance q, and the deviation x decay by
phi with stationary variance s^2. Prices alone are observed, so x is known by the steady-state
Kalman filter, of which the error variance P solves (1 - phi)^2 P^2 + (1 - phi^2) q P =
s^2 (1 - phi^2) q. The filtered deviation is an AR(1) with phi and variance v^2 = s^2 - P, and

    s^2 = v^2 + v sqrt(q (1 + phi) / (1 - phi)),

so that any v can be planted. Log price minus filtered deviation is a martingale: a position taken
at a filtered deviation of a and left at b earns a - b on average, whatever happens between. The
reference rule fades it from `ENTRY` v on until it has changed its sign; its mean gross profit is
v times `reversion_per_round`, a number that depends on phi only.

References
----------
Bollerslev (1987), A conditionally heteroskedastic time series model for speculative prices and
rates of return, Review of Economics and Statistics 69(3): GARCH with Student's t.
Harvey (1989), Forecasting, structural time series models and the Kalman filter, ch. 3.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrcore.market import SyntheticMarket, power_law_rates
from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, duration_ns, from_ns, to_ns
from mrtrade.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]

START = "2022-01-01"
BPS = 1e4

#: Volatility, as that of BTC's quarter-hours in 2022-2024: GARCH(1, 1) with t innovations, a slow
#: component (log-normal, days), hours (UTC) and weekends.
ARCH, GARCH, T_DEGREES = 0.10, 0.86, 5.0
SLOW_SD, SLOW_HALF_LIFE = 0.35, "5d"
BUSIEST_HOUR, HOUR_SWING, WEEKEND = 17.0, 0.3, 0.68

#: Median traded in a bar of 15 minutes at typical volatility, base units.
TYPICAL_VOLUME = 600.0

#: Where the reference rule enters, standard deviations of the filtered deviation.
ENTRY = 1.5


@dataclass(frozen=True)
class Planted:
    """Bars and what is true of them.

    Attributes
    ----------
    kind : str
        ``random_walk``, ``flipped_signs``, ``quiet_market`` or ``mean_reverting``.
    bars : DataFrame
        Indexed by the ends of bars, UTC.
    truth : Mapping
        Parameters by name; `size` is 0 where there is no signal.
    """

    kind: str
    bars: pd.DataFrame
    truth: Mapping[str, float]

    @property
    def fingerprint(self) -> str:
        """sha256 of the bars."""
        digest = hashlib.sha256(np.ascontiguousarray(to_ns(self.bars.index)).tobytes())
        for name in map(str, self.bars):
            digest.update(name.encode() + self.bars[name].to_numpy(np.float64).tobytes())
        return digest.hexdigest()


# ---- without a signal


def random_walk(
    rows: int,
    seed: int,
    *,
    interval: str = "15min",
    volatility: float = 0.5,
    price: float = 30_000.0,
    start: str = START,
) -> Planted:
    """Make a martingale with the volatility of a real market.

    Parameters
    ----------
    rows : int
        Bars.
    seed : int
    interval : str
        Length of a bar.
    volatility : float
        Of log returns, 1/sqrt(year of 365 days).
    price : float
        At the start, quote.
    start : str
        Begin of the first bar, UTC.

    Returns
    -------
    Planted
        ``mid, mid_open, mid_high, mid_low, volume, notional``. A bar opens where the one before
        closed; its extremes are those of a Brownian bridge, each drawn from its exact law.
    """
    rng = np.random.default_rng([seed, 1])
    ends, interval_ns = _ends(rows, interval, start)
    variance = _variances(rng, ends, interval_ns, volatility)
    # Given its variance w a bar's log return has mean -w / 2, so the price itself is a martingale;
    # a log price without drift would pay who is long.
    log = np.sqrt(variance) * rng.standard_normal(rows) - 0.5 * variance
    bars = _bars(rng, ends, interval_ns, price, log, variance)
    return Planted("random_walk", bars, {"size": 0.0, "volatility": volatility})


def flipped_signs(bars: pd.DataFrame, seed: int) -> Planted:
    """Turn the simple return of each bar round by a fair coin.

    A log return turned round would leave a drift of half its square to who is long; a simple one
    leaves none. Blocks of bars with one sign between them would keep what reverts within a block,
    so each bar has its own coin. Only prices and volumes are kept: what else was known of the
    market went with the direction that is gone.

    Parameters
    ----------
    bars : DataFrame
        ``mid, mid_open, mid_high, mid_low, volume, notional``, as `candle_bars` makes them. Bars
        without a price are dropped.
    seed : int

    Raises
    ------
    DataError
        If a column is missing, or a bar doubles the price: turned round it would end at 0.
    """
    names = ["mid", "mid_open", "mid_high", "mid_low", "volume", "notional"]
    if missing := [name for name in names if name not in bars]:
        raise DataError(f"bars without {', '.join(missing)}", expected=", ".join(names))
    kept = bars[names].dropna(subset=names[:4])
    if len(kept) < 2:
        raise DataError("too few bars with prices to flip", value=len(kept), expected="at least 2")
    close = kept["mid"].to_numpy(np.float64)
    before = np.r_[kept["mid_open"].iloc[0], close[:-1]]
    moves = {name: kept[name].to_numpy(np.float64) / before - 1.0 for name in names[:4]}
    widest = max(float(np.max(np.abs(move))) for move in moves.values())
    if widest >= 1.0:
        raise DataError(
            "a bar doubles the price, and cannot be turned round",
            value=f"{widest:+.0%}",
            remedy="leave out the bars before it, or correct them",
        )
    sign = np.random.default_rng([seed, 2]).choice([-1.0, 1.0], len(close))
    steps = sign * moves["mid"]
    start = float(before[0])
    path = start * np.cumprod(1.0 + steps)
    base = np.r_[start, path[:-1]]
    up, down = base * (1.0 + sign * moves["mid_high"]), base * (1.0 + sign * moves["mid_low"])
    volume = kept["volume"].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        typical = np.where(volume > 0.0, kept["notional"] / volume / before, 1.0)
    flipped = pd.DataFrame(
        {
            "mid": path,
            "mid_open": base * (1.0 + sign * moves["mid_open"]),
            "mid_high": np.maximum(up, down),
            "mid_low": np.minimum(up, down),
            "volume": volume,
            "notional": volume * base * (1.0 + sign * (typical - 1.0)),
        },
        index=kept.index,
    )
    return Planted("flipped_signs", flipped, {"size": 0.0})


def quiet_market(
    rows: int, seed: int, *, interval: str = "15min", pace: float = 2e-4, volatility: float = 0.4
) -> Planted:
    """Let the order-level market run without informed flow, and make bars of its book and trades.

    The market's fair value reverts to its mean in weeks. Its path is recorded, so its shocks are
    known, and prices are moved to where the shocks alone lead: fair becomes a martingale. Limit
    orders refill around fair and market orders take at random: the mid stands a twentieth of a bps
    from fair (median), and only where a side is nearly empty, under a wide spread, far from it
    (sd 1.7 bps). Who fades that earns less than half the spread that he pays.

    Parameters
    ----------
    rows : int
        Bars.
    seed : int
    interval : str
        Length of a bar.
    pace : float
        Orders come and go at this share of the rates of a liquid market, so that months can be
        run; who is passed by fair withdraws as fast as there.
    volatility : float
        Of fair, 1/sqrt(year).

    Returns
    -------
    Planted
        Bars of `mrtrade.features.bars`.
    """
    from mrtrade.data.streams import Events
    from mrtrade.data.tape import Tape
    from mrtrade.features.bars import build_bars
    from mrtrade.instruments import instrument

    interval_ns = duration_ns(interval)
    step_ns = min(300 * NS_PER_SECOND, interval_ns)
    price, tick_size, half_life_s = 60_000.0, 1.0, 20 * 86_400.0
    phi = 2.0 ** (-step_ns / NS_PER_SECOND / half_life_s)
    step_sd = price * volatility * math.sqrt(step_ns / (365 * NS_PER_DAY))
    market = SyntheticMarket(
        seed,
        tick_size=tick_size,
        fair_price=price,
        fair_sd_ticks=step_sd / tick_size / math.sqrt(1.0 - phi * phi),
        half_life_s=half_life_s,
        fair_step_ns=step_ns,
        start_ns=to_ns(START) - interval_ns,  # its first bar is not whole
        limit_rates=power_law_rates(110.0 * pace, 1.4, 200),
        market_rate=40.0 * pace,
        cancel_rate=1.5 * pace,
        snapshot_levels=50,
    )
    run = market.run((rows + 2) * interval_ns / NS_PER_SECOND)
    deltas, trades = run.tape()
    traded = instrument(
        "SYNTHETIC",
        "BTC/USDT",
        tick_size=tick_size,
        lot_size=run.lot_size,
        maker_fee=0.0,
        taker_fee=0.0,
    )
    tape = Tape(
        traded,
        Events(*deltas),
        Events(*trades),
        run.start_ns,
        int(deltas[0][-1]),
        seeded=True,
        stats={},
        fingerprint="",
    )
    bars = build_bars(tape, interval_ns, 1).iloc[:rows]
    ratio = _martingale(run.fair, price, phi, step_sd, to_ns(bars.index))
    before = np.r_[ratio[0], ratio[:-1]]
    factors = {"mid_open": before} | dict.fromkeys(_LEVELS, ratio)
    bars = bars.assign(**{name: bars[name] * factor for name, factor in factors.items()})
    bars["mid_high"] = bars[["mid_open", "mid_high", "mid"]].max(axis=1)
    bars["mid_low"] = bars[["mid_open", "mid_low", "mid"]].min(axis=1)
    bars["notional"] = bars["volume"] * bars["mid"]
    return Planted("quiet_market", bars, {"size": 0.0, "volatility": volatility})


#: Columns of bars that go with the level of prices, but for the open.
_LEVELS = (
    *("mid", "mid_high", "mid_low", "bid", "ask", "microprice", "spread_mean", "spread_max"),
    *("last_trade", "trade_high", "trade_low"),
)


def _martingale(
    fair: Mapping[str, Any], mean: float, phi: float, sd: float, at: npt.NDArray[np.int64]
) -> Floats:
    """Return by what prices are multiplied so that fair becomes a geometric random walk."""
    value = np.asarray(fair["price"], dtype=np.float64)
    shocks = (value[1:] - mean) - phi * (value[:-1] - mean)
    log = np.r_[0.0, np.cumsum(shocks / mean - 0.5 * (sd / mean) ** 2)]
    ratio: Floats = mean * np.exp(log) / value
    # A shock at the very end of a bar has not reached the book.
    return np.asarray(ratio[np.maximum(np.searchsorted(fair["time"], at, side="left") - 1, 0)])


# ---- with an effect


def mean_reverting(
    rows: int,
    seed: int,
    *,
    size: float,
    cost_bps: float,
    half_life_bars: float = 8.0,
    interval: str = "15min",
    volatility: float = 0.4,
    price: float = 30_000.0,
    start: str = START,
) -> Planted:
    """Make a random walk with a deviation that comes back around it.

    Parameters
    ----------
    rows, seed, interval, price, start
        As in `random_walk`.
    size : float
        Mean gross profit of a round trip of the reference rule, in costs of one. 0: none planted.
    cost_bps : float
        What a round trip costs, bps.
    half_life_bars : float
        Time in which half of a deviation is gone, bars.
    volatility : float
        Of the walk alone, 1/sqrt(year).

    Returns
    -------
    Planted
        ``truth`` has ``size``, ``edge_bps`` (size x cost), ``phi``, ``deviation_bps`` (s),
        ``filtered_bps`` (v), ``walk_bps`` (sqrt q) and ``gain`` (of the filter).
    """
    if not size >= 0.0 or not cost_bps > 0.0 or not half_life_bars > 0.0:
        raise ConfigError(
            "no such effect",
            value=f"size {size}, cost {cost_bps} bps, half-life {half_life_bars} bars",
            expected="size >= 0, cost and half-life > 0",
        )
    rng = np.random.default_rng([seed, 3])
    ends, interval_ns = _ends(rows, interval, start)
    variance = _variances(rng, ends, interval_ns, volatility)
    walk_bps = BPS * volatility * math.sqrt(interval_ns / (365 * NS_PER_DAY))
    phi = 2.0 ** (-1.0 / half_life_bars)
    filtered = size * cost_bps / reversion_per_round(phi)
    deviation = planted_deviation(filtered, walk_bps, phi)
    noise = deviation * math.sqrt(1.0 - phi * phi) / BPS
    x = _ar1(rng, rows + 1, phi, deviation / BPS)
    log = np.sqrt(variance) * rng.standard_normal(rows) - 0.5 * variance + np.diff(x)
    bars = _bars(rng, ends, interval_ns, price, log, variance + noise**2)
    truth = {
        "size": size,
        "cost_bps": cost_bps,
        "edge_bps": size * cost_bps,
        "half_life_bars": half_life_bars,
        "phi": phi,
        "deviation_bps": deviation,
        "filtered_bps": filtered,
        "walk_bps": walk_bps,
        "gain": _gain(filtered, deviation, walk_bps, phi),
    }
    return Planted("mean_reverting", bars, truth)


def planted_deviation(filtered_bps: float, walk_bps: float, phi: float) -> float:
    """Return the sd of a deviation that a trader who sees prices knows with sd `filtered_bps`."""
    blur = walk_bps * math.sqrt((1.0 + phi) / (1.0 - phi))
    return math.sqrt(filtered_bps * (filtered_bps + blur))


def filtered_deviation(data: Planted) -> Floats:
    """Return what the steady-state Kalman filter knows of the deviation at each bar, bps.

    The best linear forecast of the log return over the next h bars is -(1 - phi^h) times it.
    """
    truth, found = data.truth, np.empty(len(data.bars))
    mid = data.bars["mid"].to_numpy(np.float64)
    moves = BPS * np.diff(np.log(mid), prepend=math.log(float(data.bars["mid_open"].iloc[0])))
    known, back, gain = 0.0, 1.0 - truth["phi"], truth["gain"]
    for row, move in enumerate(moves.tolist()):
        known = truth["phi"] * known + gain * (move + back * known)
        found[row] = known
    return found


def reference_position(deviation: Floats, sd: float) -> Floats:
    """Return the position of the reference rule: against the deviation, -1, 0 or 1 by bar."""
    position, held = np.empty(len(deviation)), 0.0
    for row, x in enumerate(deviation.tolist()):
        if held * x >= 0.0:  # flat, or it has changed its sign
            held = -math.copysign(1.0, x) if abs(x) >= ENTRY * sd else 0.0
        position[row] = held
    return position


@cache
def reversion_per_round(phi: float, rounds: int = 200_000) -> float:
    """Return what the reference rule earns in a round trip, in sd of the filtered deviation.

    It enters beyond `ENTRY` and leaves beyond 0, by how much depends on the length of a step: so
    it is found from so many simulated round trips of a Gaussian AR(1), to about 0.1 %.
    """
    rng = np.random.default_rng(4)
    entries = _beyond(rng, rounds, phi)
    x, exits = entries.copy(), np.zeros(rounds)
    noise, alive = math.sqrt(1.0 - phi * phi), np.arange(rounds)
    while len(alive):
        x = phi * x + noise * rng.standard_normal(len(x))
        done = x <= 0.0
        exits[alive[done]] = x[done]
        x, alive = x[~done], alive[~done]
    return float(np.mean(entries - exits))


def _beyond(rng: np.random.Generator, rounds: int, phi: float) -> Floats:
    """Return where an AR(1) of sd 1 that has left its last round trip stands beyond `ENTRY`."""
    noise = math.sqrt(1.0 - phi * phi)
    x, found = rng.standard_normal(rounds), np.empty(rounds)
    alive = np.arange(rounds)
    # From a stationary start below the entry: where it has been before matters little, and one
    # round trip is let pass so that it matters less.
    x = np.where(np.abs(x) < ENTRY, x, 0.0)
    while len(alive):
        x = phi * x + noise * rng.standard_normal(len(x))
        done = np.abs(x) >= ENTRY
        found[alive[done]] = np.abs(x[done])
        x, alive = x[~done], alive[~done]
    return found


def _gain(filtered: float, deviation: float, walk: float, phi: float) -> float:
    """Return the gain of the steady-state filter: deviation on surprise."""
    error = deviation**2 - filtered**2
    shock = deviation**2 * (1.0 - phi * phi)
    surprise = (1.0 - phi) ** 2 * error + shock + walk**2
    return (shock - phi * (1.0 - phi) * error) / surprise


def _ar1(rng: np.random.Generator, rows: int, phi: float, sd: float) -> Floats:
    """Return a stationary Gaussian AR(1)."""
    shocks = rng.standard_normal(rows) * sd
    shocks[1:] *= math.sqrt(1.0 - phi * phi)
    out, last = np.empty(rows), 0.0
    for row, shock in enumerate(shocks.tolist()):
        out[row] = last = phi * last + shock
    return out


# ---- bars


def _ends(rows: int, interval: str, start: str) -> tuple[npt.NDArray[np.int64], int]:
    if rows < 2:
        raise ConfigError("too few bars", value=rows, expected="at least 2")
    interval_ns = duration_ns(interval)
    return to_ns(start) + interval_ns * np.arange(1, rows + 1, dtype=np.int64), interval_ns


def _variances(
    rng: np.random.Generator, ends: npt.NDArray[np.int64], interval_ns: int, volatility: float
) -> Floats:
    """Return the variance of each bar's log return: clustered, fat-tailed, with hours and days."""
    rows = len(ends)
    mixing = (T_DEGREES - 2.0) / rng.chisquare(T_DEGREES, rows)  # normal x its root: t, variance 1
    squares = mixing * rng.standard_normal(rows) ** 2
    garch, level = np.empty(rows), 1.0
    for row, square in enumerate(squares.tolist()):
        garch[row] = level
        level = (1.0 - ARCH - GARCH) + (ARCH * square + GARCH) * level
    slow = _ar1(rng, rows, 2.0 ** (-interval_ns / duration_ns(SLOW_HALF_LIFE)), SLOW_SD)
    slow_variance = np.exp(2.0 * slow - 2.0 * SLOW_SD**2)  # mean 1
    mean = volatility**2 * interval_ns / (365 * NS_PER_DAY)
    return mean * _season(ends) * slow_variance * garch * mixing


def _season(ends: npt.NDArray[np.int64]) -> Floats:
    """Return the share of a bar in the variance by hour and weekday, mean 1 over a week."""

    def shape(time: npt.NDArray[np.int64]) -> Floats:
        hour = (time % NS_PER_DAY) / (3600.0 * NS_PER_SECOND)
        swing = 1.0 + HOUR_SWING * np.cos(2.0 * np.pi * (hour - BUSIEST_HOUR) / 24.0)
        weekend = (time // NS_PER_DAY + 3) % 7 >= 5  # 1970 began on a Thursday
        return (swing * np.where(weekend, WEEKEND, 1.0)) ** 2

    week = np.arange(0, 7 * NS_PER_DAY, NS_PER_DAY // 96, dtype=np.int64)
    return shape(ends) / float(shape(week).mean())


def _bars(
    rng: np.random.Generator,
    ends: npt.NDArray[np.int64],
    interval_ns: int,
    price: float,
    log_returns: Floats,
    variance: Floats,
) -> pd.DataFrame:
    """Return bars of log returns; extremes of a Brownian bridge (Karatzas & Shreve 1991, 4.3)."""
    log = np.cumsum(log_returns)
    start, end = np.r_[0.0, log[:-1]], log
    reach = [
        np.sqrt((end - start) ** 2 - 2.0 * variance * np.log(rng.random(len(ends))))
        for _ in range(2)
    ]
    high, low = 0.5 * (start + end + reach[0]), 0.5 * (start + end - reach[1])
    volume = _volume(rng, variance, interval_ns)
    prices = {
        name: price * np.exp(one)
        for name, one in {"mid": end, "mid_open": start, "mid_high": high, "mid_low": low}.items()
    }
    typical = (prices["mid_high"] + prices["mid_low"] + prices["mid"]) / 3.0
    columns = {**prices, "volume": volume, "notional": typical * volume}
    frame = pd.DataFrame(columns, index=from_ns(ends).rename("time"))
    frame.attrs = {"interval_ns": interval_ns}
    return frame


def _volume(rng: np.random.Generator, variance: Floats, interval_ns: int) -> Floats:
    """Return volumes: more where it moves more, and persistent (mixture of distributions)."""
    persistent = _ar1(rng, len(variance), 2.0 ** (-interval_ns / duration_ns("1d")), 0.6)
    moves = 0.5 * np.log(variance / np.median(variance))
    typical = TYPICAL_VOLUME * interval_ns / duration_ns("15min")
    noise = 0.4 * rng.standard_normal(len(variance))
    return np.asarray(typical * np.exp(0.8 * moves + persistent + noise), dtype=np.float64)
