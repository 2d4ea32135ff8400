"""Targets of a strategy as the executor takes them: whole lots, stops in ticks, limits in ns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import NS_PER_SECOND, to_ns
from mrtrade.config import BacktestConfig
from mrtrade.errors import ConfigError, RunError
from mrtrade.instruments import Instrument

if TYPE_CHECKING:
    from mrtrade.strategies.base import Target

_BOUNDLESS = 2.0**62  # ns are 146 years: a limit that never binds, and no clock can show

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decisions:
    """Target positions as the executor takes them; a row for each change of target.

    Attributes
    ----------
    time
        Local clock, ns.
    lots
        Signed position to hold.
    stop_ticks
        Loss, in ticks from the entry, that closes the position; 0: none.
    hold_ns
        Longest time to hold it; 0: no limit.
    """

    time: Ints
    lots: Ints
    stop_ticks: Ints
    hold_ns: Ints


def decisions(
    targets: pd.DataFrame, mid: pd.Series[Any], max_lots: int, tick_size: float
) -> Decisions:
    """Turn a frame of targets into the executor's rows, one where the target changes.

    Parameters
    ----------
    targets
        ``target`` in -1..1 (NaN: as before), ``stop_bps``, ``hold_s`` (NaN: none), at decision
        times. Before there is any mid a position with a stop is held back until there is one.
    mid
        Mid at the same times, price units: what a stop in bps is a distance from. While there is
        none, the last one counts.
    max_lots
        Lots of a target of 1.
    tick_size
        Price units.
    """
    asked = asked_for(targets, mid)
    lots = np.rint(asked.share * max_lots).astype(np.int64)
    row = np.flatnonzero(np.diff(lots, prepend=0) != 0)
    return Decisions(
        time=to_ns(targets.index)[row],
        lots=lots[row],
        stop_ticks=stop_ticks(asked.stop_bps[row], asked.mid[row], tick_size),
        hold_ns=hold_ns(asked.hold_s[row]),
    )


@dataclass(frozen=True)
class Asked:
    """What is wanted at each row, with nothing left open.

    Attributes
    ----------
    share
        -1..1; 0 before the first target, and while a stop cannot be placed.
    stop_bps, hold_s
        Of the row that asked for it; NaN: none.
    mid
        The last that was known, price units; NaN before the first.
    """

    share: Floats
    stop_bps: Floats
    hold_s: Floats
    mid: Floats


def asked_for(targets: pd.DataFrame, mid: pd.Series[Any]) -> Asked:
    """Check a frame of targets and carry them forward, see `decisions`."""
    refuse_bad(targets)
    share = targets["target"].to_numpy(np.float64)
    stop_bps = targets["stop_bps"].to_numpy(np.float64)
    hold_s = targets["hold_s"].to_numpy(np.float64)
    price = mid.ffill().to_numpy(np.float64)
    open_ = np.isnan(share)
    if not (open_.any() or (len(price) and np.isnan(price[0]))):
        return Asked(share, stop_bps, hold_s, price)
    latest = np.maximum.accumulate(np.where(open_, -1, np.arange(len(share))))
    source = np.maximum(latest, 0)
    withheld = (latest < 0) | held_back(stop_bps[source], price)
    return Asked(
        share=np.where(withheld, 0.0, share[source]),
        stop_bps=stop_bps[source],
        hold_s=hold_s[source],
        mid=price,
    )


def refuse_bad(targets: pd.DataFrame) -> None:
    """Raise if any target asks for more than it may."""
    from mrtrade.strategies.base import Target

    names = ("target", "stop_bps", "hold_s")
    share, stop_bps, hold_s = (targets[name].to_numpy(np.float64) for name in names)
    least = np.fmin(np.fmin(share + 1.0, 1.0 - share), np.fmin(stop_bps, hold_s))
    wrong = np.flatnonzero(least < 0.0)
    if len(wrong):
        at = wrong[0]
        raise bad_target(targets.index[at], Target(share[at], stop_bps[at], hold_s[at]))


def bad_target(when: pd.Timestamp, asked: Target) -> RunError:
    """Return the error for a target that asks for more than it may."""
    name, value, expected = "target", asked.target, "a share of the largest position, -1..1"
    if asked.stop_bps < 0.0:
        name, value, expected = "stop_bps", asked.stop_bps, "bps >= 0, or NaN for none"
    elif asked.hold_s < 0.0:
        name, value, expected = "hold_s", asked.hold_s, "seconds >= 0, or NaN for none"
    return RunError(
        f"{name} at {when} out of range",
        value=float(value),
        expected=expected,
        remedy="mend the strategy",
    )


def held_back(stop_bps: Floats, mid: Floats) -> npt.NDArray[np.bool_]:
    """Whether a stop is asked for that cannot be placed: there was no mid yet."""
    return np.isfinite(stop_bps) & np.isnan(mid)


def stop_ticks(stop_bps: Floats, mid: Floats, tick_size: float) -> Ints:
    """Whole ticks of a stop, at least one: rounding must not turn a tight stop into none."""
    ticks = np.maximum(np.rint(1e-4 * stop_bps * mid / tick_size), 1.0)
    return np.where(ticks < _BOUNDLESS, ticks, 0.0).astype(np.int64)


def hold_ns(hold_s: Floats) -> Ints:
    """Return holding times in whole ns, at least one; 0: no limit."""
    limit = np.maximum(np.rint(hold_s * NS_PER_SECOND), 1.0)
    return np.where(limit < _BOUNDLESS, limit, 0.0).astype(np.int64)


def max_lots(config: BacktestConfig, terms: Instrument, mid: Floats) -> int:
    """Lots of the largest position: as configured, or what the capital buys at the first mid."""
    size = config.max_position
    if size is None:
        known = mid[np.isfinite(mid)]
        if len(known) == 0:
            raise RunError(
                f"{terms.exchange} {terms.symbol} has no mid price in any bar",
                remedy="choose another span, or ingest the book's snapshot",
            )
        size = config.capital / terms.contract.notional(float(known[0]))
    # A hair more than the quotient: 0.3 / 0.1 is below 3 in floats.
    lots = math.floor(size / terms.lot_size * (1.0 + 1e-12))
    if lots < 1:
        raise ConfigError(
            "the largest position is less than one lot",
            key="max_position" if config.max_position else "capital",
            value=size,
            expected=f"at least the lot size, {terms.lot_size:g} {terms.size_unit}",
            remedy="raise it",
        )
    return lots
