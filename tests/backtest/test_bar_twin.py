"""Runs on bars against their slow twin: whatever bars, targets, gaps and settlements."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtrade.backtest.bar_costs import SpreadCost
from mrtrade.backtest.bar_run import run_bars
from mrtrade.clock import NS_PER_SECOND

from .bar_twin import twin
from .make import START
from .make_bars import MINUTE, NAN, frames

PRICE = st.one_of(st.integers(90, 110).map(float), st.just(NAN))


@st.composite
def columns(draw, kind):
    n = draw(st.integers(1, 14))
    steps = draw(st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=n, max_size=n))
    made = {"time": [START + int(k) * MINUTE for k in np.cumsum(steps)]}
    made["mid"] = draw(st.lists(PRICE, min_size=n, max_size=n))
    if kind != "mid":
        made["mid_open"] = draw(st.lists(PRICE, min_size=n, max_size=n))
    if kind == "extremes":
        made["mid_low"], made["mid_high"] = [], []
        for mid, opened in zip(made["mid"], made["mid_open"], strict=True):
            seen = [x for x in (mid, opened) if x == x] or [100.0]
            made["mid_low"].append(min(seen) - draw(st.integers(0, 5)))
            made["mid_high"].append(max(seen) + draw(st.integers(0, 5)))
        for name in ("mid_low", "mid_high"):
            gone = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
            made[name] = [NAN if g == 0 else x for g, x in zip(gone, made[name], strict=True)]
    return made


def a_target():
    return st.tuples(
        st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.5, 1.0, NAN]),
        st.sampled_from([NAN, NAN, 0.0, 100.0, 333.0]),
        st.sampled_from([NAN, NAN, 0.0, 60.0, 90.0, 180.0]),
    )


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_it_agrees_with_its_slow_twin(data):
    kind = data.draw(st.sampled_from(["extremes", "open", "mid"]))
    made = data.draw(columns(kind))
    n = len(made["time"])
    targets = data.draw(st.lists(a_target(), min_size=n, max_size=n))
    second = None
    if data.draw(st.booleans()):
        second = {"time": made["time"]}
        for name in set(made) & {"mid", "mid_open"}:
            second[name] = data.draw(st.lists(PRICE, min_size=n, max_size=n))
    when = st.integers(-30, 60 * 30).map(lambda s: START + 30 * s * NS_PER_SECOND)
    funding = data.draw(
        st.lists(st.tuples(when, st.sampled_from([0.01, -0.02]), PRICE), max_size=6)
    )
    interval = data.draw(st.sampled_from([None, MINUTE]))
    scale = data.draw(st.sampled_from([1.0, 0.25]))

    rows, reasons = twin(
        *(made, targets),
        costs_bps=7.5,
        funding=funding,
        second=second,
        scale=scale,
        interval_ns=interval,
    )
    bars, asked = frames(made, targets)
    rates = pd.DataFrame(funding, columns=["time", "rate", "mark"])
    rates["time"] = rates["time"].astype("int64")
    result = run_bars(
        *(bars, asked),
        costs=SpreadCost(5.0, 5.0),
        funding=rates,
        second=None if second is None else frames(second, targets)[0],
        size_usd=scale * 100_000.0,
        interval_ns=interval,
    )
    got = result.frame
    names = ("target", "stop", "hold")
    assert [
        (r, names[c]) for r, c in zip(result.fills.row, result.fills.reason, strict=True)
    ] == reasons
    expected = np.array(rows)
    np.testing.assert_allclose(got["position"], expected[:, 0], rtol=0, atol=0)
    np.testing.assert_allclose(got["gross"], expected[:, 1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(got["commission"] + got["spread"], expected[:, 2], atol=1e-12)
    np.testing.assert_allclose(got["funding"], expected[:, 3], rtol=0, atol=1e-12)
    np.testing.assert_allclose(got["net"], expected[:, 4], rtol=0, atol=1e-12)
    # The books: parts, net, trades and the equity say the same.
    assert result.trades["pnl"].sum() == pytest.approx(got["net"].sum(), abs=1e-12)
