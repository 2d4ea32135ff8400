"""Gates 2 and 3: whether a paper or live run does what its backtest said.

The specification gives the drawdown of 20 %, the gap of 10 minutes, the stages of size (1 %, 5 %,
then 5 % more a week, at most 50 %) and the four kill switches. The other numbers are ours; each is
a constant here and told in ``docs/gates.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mrtrade.backtest import metrics
from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, from_ns
from mrtrade.errors import DataError
from mrtrade.features import doctor
from mrtrade.validation.bootstrap import band
from mrtrade.validation.criteria import Criterion, Verdict, judge
from mrtrade.validation.expectation import (
    Expectation,
    fill_rate,
    filled_orders,
    slippage_bps,
)
from mrtrade.validation.returns import Floats
from mrtrade.validation.sessions import GAP_S, SWITCHES, Session

#: Of the specification.
DRAWDOWN, CAP, FIRST, SECOND, STEP, STEP_DAYS = 0.20, 0.5, 0.01, 0.05, 0.05, 7

#: Ours: shortest run, fewest filled orders, level of the band of profit.
DAYS, TRADES, LEVEL = 30, 100, 0.95
#: Ours: highest slippage and lowest fill rate, as multiples of the backtest's.
SLIPPAGE_RATIO, FILL_RATIO = 1.5, 0.8
#: Below so much expected slippage a ratio says nothing: then the difference counts, bps.
SMALL_BPS, SLIPPAGE_BPS = 0.5, 0.5
#: Ours: share of features that may drift; share of features, and of fills, that must have been
#: judged; share of time running.
DRIFTING, JUDGED, UPTIME = 0.10, 0.5, 0.99
#: Exposure may pass its stage by so much: prices move after an order.
ROOM = 1.05


@dataclass(frozen=True, slots=True)
class Course:
    """What a run earned, as shares of the capital at the size of its stage.

    Attributes
    ----------
    time_ns : ndarray of int64
    earned : ndarray of float
        Sum of what was earned until each mark: profit since the mark before, over capital times the
        fraction that was in force. Money paid in or out is none.
    drawdown : float
        Deepest fall of it.
    days : int
        Whole periods of 24 hours.
    """

    time_ns: Any
    earned: Floats
    drawdown: float
    days: int


def course(session: Session) -> Course:
    """Return what a run earned, mark by mark."""
    marks = session.equity
    time = marks["time_ns"].to_numpy(np.int64)
    value = marks["equity"].to_numpy(np.float64)
    gain = np.diff(value) - marks["flow"].to_numpy(np.float64)[1:]
    scale = session.manifest.capital * _fractions(session, time)[:-1] if len(time) else gain
    earned = np.r_[np.zeros(min(1, len(time))), np.cumsum(gain / scale)]
    fall = float(metrics.drawdown(earned).max()) if len(earned) else math.nan
    days = int((time[-1] - time[0]) // NS_PER_DAY) if len(time) else 0
    return Course(time, earned, fall, days)


def judge_paper(session: Session, backtest: Expectation, *, seed: int = 0) -> Verdict:
    """Judge gate 2: a paper run against the backtest that it is compared with.

    Parameters
    ----------
    session : Session
    backtest : Expectation
    seed : int
        Of the bootstrap and of the shuffles for drift.

    Raises
    ------
    DataError
        If the session is not a paper run, or was to be compared with another backtest.
    """
    return _verdict("gate 2", session, backtest, "paper", seed, [])


def judge_live(session: Session, backtest: Expectation, *, seed: int = 0) -> Verdict:
    """Judge gate 3: a live run at its first stages of size, as gate 2 and by its own risk.

    Parameters
    ----------
    session, backtest, seed
        As in `judge_paper`; the fills are real.

    Raises
    ------
    DataError
        If the session is not a live run, or was to be compared with another backtest.
    """
    more: Sequence[Callable[[Session], Criterion]] = [_drawdown, _switches, _stages, _exposure]
    return _verdict("gate 3", session, backtest, "live", seed, more)


def _verdict(
    gate: str,
    session: Session,
    backtest: Expectation,
    stage: str,
    seed: int,
    more: Sequence[Callable[[Session], Criterion]],
) -> Verdict:
    manifest = session.manifest
    place = session.folder / "manifest.json"
    if manifest.stage != stage:
        raise DataError(
            f"{gate} is for another stage",
            file=place,
            key="stage",
            value=manifest.stage,
            expected=stage,
        )
    if manifest.expected != backtest.source:
        raise DataError(
            "the run was to be compared with another backtest",
            file=place,
            key="expected",
            value=manifest.expected,
            expected=backtest.source,
        )
    if manifest.expected_sha256 != backtest.sha256():
        raise DataError(
            "the backtest is not what was kept of it when the run began",
            file=place,
            key="expected_sha256",
            value=manifest.expected_sha256,
            expected=backtest.sha256(),
        )
    whole = course(session)
    criteria = (
        judge("Days", whole.days, ">=", DAYS, "whole periods of 24 hours"),
        _trades(session),
        *_profit(whole, backtest, seed),
        _slippage(session, backtest),
        _fill_rate(session, backtest),
        _drift(session, backtest, seed),
        _halts(session),
        _uptime(session),
        _quarantined(session),
        *(one(session) for one in more),
    )
    about = {
        "session": manifest.session,
        "strategy": manifest.strategy.name,
        "symbols": list(manifest.symbols),
        "model_sha256": manifest.model_sha256,
        "expected": backtest.source,
        "start": str(from_ns(manifest.start_ns)),
        "end": str(from_ns(session.end_ns)),
        "ended": manifest.end_ns is not None,
    }
    name = f"{manifest.strategy.name} on {', '.join(manifest.symbols)}"
    return Verdict(f"{gate}: {name}, {stage} run {manifest.session}", criteria, about)


def _trades(session: Session) -> Criterion:
    return judge("Filled orders", len(filled_orders(session.orders, session.fills)), ">=", TRADES)


def _profit(whole: Course, backtest: Expectation, seed: int) -> list[Criterion]:
    names = ("Profit, not below the backtest's band", "Profit, not above the backtest's band")
    if whole.days < 1:
        return [
            judge(names[0], None, ">=", 0.0, reason="no whole day", unit="%"),
            judge(names[1], None, "<=", 0.0, reason="no whole day", unit="%"),
        ]
    last = np.searchsorted(whole.time_ns, whole.time_ns[0] + whole.days * NS_PER_DAY, side="right")
    profit = 100.0 * float(whole.earned[last - 1])
    expected = band(backtest.daily, whole.days, level=LEVEL, seed=seed)
    if expected.reason:
        ends, reason = (0.0, 0.0), f"no band: {expected.reason}"
        note = ""
    else:
        ends, reason = (100.0 * expected.low, 100.0 * expected.high), ""
        note = f"of the capital at its stage; {LEVEL:.0%} band {ends[0]:.3g} to {ends[1]:.3g}%"
        note += f", {100.0 * expected.value:.3g}% expected"
    return [
        judge(names[0], profit, ">=", ends[0], note, reason=reason, unit="%"),
        judge(names[1], profit, "<=", ends[1], note, reason=reason, unit="%"),
    ]


def _slippage(session: Session, backtest: Expectation) -> Criterion:
    met, expected = slippage_bps(session.fills), backtest.slippage_bps
    known = int(session.fills["decision_mid"].notna().sum())
    note = f"{met:.2f} bps against {expected:.2f}, {known:,} fills"
    reason = ""
    if math.isnan(met):
        reason = "no fills with the mid of their decision"
    elif known < JUDGED * len(session.fills):
        reason = f"{known:,} of {len(session.fills):,} fills have the mid of their decision"
    elif math.isnan(expected):
        reason = "the backtest has no fills"
    if expected >= SMALL_BPS:
        ratio = met / expected
        return judge(
            "Slippage, multiple of the backtest's",
            None if reason else ratio,
            "<=",
            SLIPPAGE_RATIO,
            "" if reason else note,
            reason=reason,
            unit="x",
        )
    return judge(
        "Slippage beyond the backtest's",
        None if reason else met - expected,
        "<=",
        SLIPPAGE_BPS,
        "" if reason else f"{note}; too little was expected for a ratio",
        reason=reason,
        unit="bps",
    )


def _fill_rate(session: Session, backtest: Expectation) -> Criterion:
    met, expected = fill_rate(session.orders, session.fills), backtest.fill_rate
    reason, ratio = "", math.nan
    if math.isnan(met):
        reason = "no order was sent"
    elif not expected > 0.0:
        reason = "the backtest filled no order"
    else:
        ratio = met / expected
    note = "" if reason else f"{100.0 * met:.1f}% against {100.0 * expected:.1f}%"
    return judge(
        "Fill rate, multiple of the backtest's",
        ratio,
        ">=",
        FILL_RATIO,
        note,
        reason=reason,
        unit="x",
    )


def _drift(session: Session, backtest: Expectation, seed: int) -> Criterion:
    name = "Features that drifted"
    reference = backtest.features
    if reference is None or not session.manifest.features or len(session.features) == 0:
        why = (
            "no features were recorded"
            if reference is not None
            else ("the backtest has no features to compare with")
        )
        return judge(name, None, "<=", 100.0 * DRIFTING, reason=why, unit="%")
    found = _diagnoses(session, reference, seed)
    known = found[found["ks_p"].notna()]
    # The doctor's own alarm: a test that shuffles blocks, as neighbours in time are alike.
    far = known[(known["ks_p"] < doctor.ALARM) & (known["ks"] >= doctor.APART)]
    reason = ""
    # A feature that the backtest does not have is not told from one that drifted.
    wanted = len(session.manifest.features) * len(session.manifest.symbols)
    if len(known) < JUDGED * wanted or len(known) == 0:
        reason = f"{len(known)} of {wanted} features have enough values to tell"
    note = f"{len(far)} of {len(known)}"
    if len(far):
        worst = far.sort_values("ks", ascending=False, kind="stable").index[:3]
        note += f": {', '.join(map(str, worst))}" + (", ..." if len(far) > len(worst) else "")
    share = 100.0 * len(far) / len(known) if len(known) else math.nan
    return judge(name, share, "<=", 100.0 * DRIFTING, note, reason=reason, unit="%")


def _diagnoses(session: Session, reference: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Hold what each symbol's features were against what they were in the backtest."""
    names = [one for one in session.manifest.features if one in reference]
    parts = []
    for symbol in session.manifest.symbols:
        own = session.features[session.features["symbol"] == symbol]
        past = reference
        if "symbol" in reference:
            past = reference[reference["symbol"] == symbol]
        both = np.vstack([past[names].to_numpy(np.float64), own[names].to_numpy(np.float64)])
        # Rows stand for times: the run may have been recorded over a span of the backtest.
        frame = pd.DataFrame(both, columns=names, index=from_ns(np.arange(len(both))))
        found = doctor.diagnose(frame, split=len(past), seed=seed)
        found.index = pd.Index([f"{name} ({symbol})" for name in found.index])
        parts.append(found)
    return pd.concat(parts)


def _halts(session: Session) -> Criterion:
    halts = [one for one in session.incidents if one.kind == "integrity_halt"]
    open_ = [one for one in halts if not one.explained]
    return judge(
        "Unexplained halts",
        len(open_),
        "<=",
        0,
        f"{len(halts)} halt{'' if len(halts) == 1 else 's'} in all",
    )


def _uptime(session: Session) -> Criterion:
    """Share of the time that is covered by marks and not by a gap.

    A hole between marks counts whether or not anything was said of it.
    """
    start, end = session.manifest.start_ns, session.end_ns
    if not end > start:
        return judge("Uptime", None, ">=", 100.0 * UPTIME, reason="no time passed", unit="%")
    time = np.r_[start, session.equity["time_ns"].to_numpy(np.int64), end]
    holes = [(int(a), int(b)) for a, b in pairwise(time) if b - a > GAP_S * NS_PER_SECOND]
    holes += [
        (max(start, one.time_ns), min(end, one.until_ns))
        for one in session.incidents
        if one.kind == "gap" and one.until_ns is not None
    ]
    down = _covered(holes)
    share = 100.0 * (1.0 - down / (end - start))
    gaps = f"{len(holes)} gap{'' if len(holes) == 1 else 's'}"
    note = f"{down / NS_PER_SECOND / 3600.0:.1f} hours down, {gaps}"
    return judge("Uptime", share, ">=", 100.0 * UPTIME, note, unit="%")


def _covered(spans: list[tuple[int, int]]) -> int:
    """Return the length of the union of spans."""
    total, reached = 0, -(2**63)
    for a, b in sorted(spans):
        total += max(0, b - max(a, reached))
        reached = max(reached, b)
    return total


def _quarantined(session: Session) -> Criterion:
    table = session.quarantined
    note = ""
    if len(table):
        first = table.iloc[0]
        note = f"first: {first['file']}, row {first['row']}: {first['reason']}"
    return judge("Rows that cannot be", len(table), "<=", 0, note)


# ---- live


def _drawdown(session: Session) -> Criterion:
    whole = course(session)
    return judge(
        "Deepest drawdown",
        100.0 * whole.drawdown,
        "<",
        100.0 * DRAWDOWN,
        "of the capital at its stage",
        reason="no marks" if math.isnan(whole.drawdown) else "",
        unit="%",
    )


def _switches(session: Session) -> Criterion:
    tried = {
        one.switch
        for one in session.incidents
        if one.kind == "kill_switch" and one.worked is True and one.switch
    }
    failed = {
        one.switch
        for one in session.incidents
        if one.kind == "kill_switch" and one.worked is False and one.switch
    }
    good = [one for one in SWITCHES if one in tried and one not in failed]
    left = [one for one in SWITCHES if one not in good]
    note = (
        f"not shown to work: {', '.join(left)}" if left else "data gap, drawdown, drift, slippage"
    )
    return judge("Kill switches that were tried and worked", len(good), ">=", len(SWITCHES), note)


def _stages(session: Session) -> Criterion:
    """Count the steps of size that were too large or too soon."""
    wrong = []
    at = [(session.manifest.start_ns, session.manifest.fraction)]
    at += [
        (one.time_ns, one.fraction)
        for one in session.incidents
        if one.kind == "stage" and one.fraction is not None
    ]
    if at[0][1] > FIRST:
        wrong.append(f"began at {at[0][1]:.0%}")
    raised = at[0][0]
    for (_, before), (when, now) in pairwise(at):
        if now <= before:
            continue  # smaller is always allowed
        allowed = min(CAP, SECOND if before < SECOND else before + STEP)
        if now > allowed + 1e-12:
            wrong.append(f"{before:.0%} to {now:.0%} on {from_ns(when):%Y-%m-%d}")
        elif when - raised < STEP_DAYS * NS_PER_DAY:
            wrong.append(f"{now:.0%} within a week, on {from_ns(when):%Y-%m-%d}")
        raised = when
    steps = ", ".join(f"{fraction:.0%}" for _, fraction in at)
    return judge("Steps of size against the rules", len(wrong), "<=", 0, "; ".join(wrong) or steps)


def _exposure(session: Session) -> Criterion:
    marks = session.equity
    time = marks["time_ns"].to_numpy(np.int64)
    limit = session.manifest.capital * _fractions(session, time)
    used = marks["exposure"].to_numpy(np.float64) / limit
    return judge(
        "Largest exposure by the size of its stage",
        float(used.max()) if len(used) else None,
        "<=",
        ROOM,
        "5% of room for prices that move after an order" if len(used) else "",
        reason="" if len(used) else "no marks",
        unit="x",
    )


def _fractions(session: Session, time: Any) -> Floats:
    """Return the fraction of the full size that was in force at each time."""
    steps = [one for one in session.incidents if one.kind == "stage"]
    starts = np.array([one.time_ns for one in steps], dtype=np.int64)
    sizes = np.array([session.manifest.fraction, *(one.fraction or 1.0 for one in steps)])
    return np.asarray(sizes[np.searchsorted(starts, time, side="right")], dtype=np.float64)
