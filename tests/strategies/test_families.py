"""The three families and the forecast: terms by hand, regime switch, costs, consent of a model."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mrtrade.errors import ConfigError
from mrtrade.features import get
from mrtrade.strategies import FORECAST, STRATEGIES, make_strategy

from .test_base import frame_of, stream

FORMS = [
    ("statistical", {}),
    ("statistical", {"preset": "minutes", "min_spreads": 0}),
    ("statistical", {"regime_filter": False, "min_forecast_bps": 1.0}),
    ("microstructure", {"min_forecast_bps": 0.0}),
    ("microstructure", {"preset": "minutes"}),
    ("funding", {}),
    ("funding", {"preset": "minutes", "min_forecast_bps": 2.0}),
    ("funding", {"two_legs": False, "rate": "none"}),
    ("forecast", {}),
]
EDGES = [-50.0, -6.0, -2.0, -1.0, -0.3, 0.0, 0.3, 0.5, 1.0, 2.0, 6.0, 30.0, 60.0, np.nan]


def one_row(strategy, **given):
    """A frame of one row; what is not given is missing. Keys are stems of features."""
    row = {name: np.nan for name in strategy.features}
    for stem, value in given.items():
        (name,) = [n for n in row if n == stem or n.rstrip("0123456789") == f"{stem}_"]
        row[name] = value
    return frame_of(np.array([list(row.values())]), row)


def decide(strategy, **given):
    """Target, stop and limit that a flat strategy decides on at one row."""
    return tuple(strategy.targets(one_row(strategy, **given)).iloc[0])


@pytest.mark.parametrize(("name", "params"), FORMS)
@settings(max_examples=60, deadline=None)
@given(rows=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
@example(rows=60, seed=0)
def test_step_by_step_is_the_same(name, params, rows, seed):
    strategy = make_strategy(name, params)
    values = np.random.default_rng(seed).choice(EDGES, (rows, len(strategy.features)))
    frame = frame_of(values, strategy.features)
    targets = strategy.targets(frame)
    assert targets["target"].between(-1.0, 1.0).all()
    pd.testing.assert_frame_equal(targets, stream(strategy, frame), check_exact=True)


@pytest.mark.parametrize(("name", "params"), FORMS)
def test_no_future_changes_the_past(name, params):
    strategy = make_strategy(name, params)
    rng = np.random.default_rng(3)
    # Values a market could have, so that each form does trade.
    frame = frame_of(
        np.column_stack([plausible(feature, rng, 3000) for feature in strategy.features]),
        strategy.features,
    )
    whole = strategy.targets(frame)
    assert (whole["target"] > 0).any()
    assert (whole["target"] < 0).any()
    for t in (10, 1000, 2500):
        other = frame.copy()
        other.iloc[t:] = rng.permutation(other.iloc[t:].to_numpy()) * 1.5
        pd.testing.assert_frame_equal(strategy.targets(other).iloc[:t], whole.iloc[:t])


def plausible(feature, rng, rows):
    """Random values in the range of a feature."""
    ranges = {
        "zscore": (-3, 3), "basis_z": (-3, 3), "sma_dev": (-40, 40), "basis_dev": (-40, 40),
        "half_life": (1, 100), "basis_half": (1, 100), "vol_ratio": (0.2, 3),
        "realized": (0.1, 1), "basis_vol": (0.05, 0.3), "adx": (5, 60), "vol_perc": (0, 1),
        "imbalance": (-1, 1), "microprice": (-1, 1), "vpin_z": (-2, 2), "queue": (0, 60),
        "vpin_bulk": (0.1, 0.7), "reversal": (-9, 9), "spread": (0, 1), "funding_bps": (-12, 12),
        "funding_settled": (-12, 12), "funding_due_s": (0, 28800), "funding_due_share": (0, 1),
        "funding_clock": (0, 1), "forecast": (-9, 9),
    }  # fmt: skip
    low, high = next(ends for stem, ends in ranges.items() if feature.startswith(stem))
    values = rng.uniform(low, high, rows)
    if "half_life" in feature:
        values = np.exp(rng.uniform(np.log(1), np.log(20_000), rows))
    return np.where(rng.random(rows) < 0.02, np.nan, values)


@pytest.mark.parametrize("name", STRATEGIES)
def test_what_they_read_is_registered(name):
    presets = [{}, *({"preset": one} for one in STRATEGIES[name].presets)]
    for params in presets:
        for feature in make_strategy(name, params).features:
            assert feature == FORECAST or get(feature).name == feature


# ---- the statistical family

CALM = {"vol_ratio": 1.0, "adx": 10.0, "vol_percentile": 0.5}


def statistical(**params):
    return make_strategy("statistical", {"min_spreads": 0, "cost_bps": 1.0} | params)


def stretched(z=-2.5, deviation=-10.0, half_life=30.0, vol=0.5, **other):
    return {
        **{"zscore": z, "sma_dev_bps": deviation, "half_life": half_life, "realized_vol": vol},
        **CALM,
        **other,
    }


def test_statistical_terms_by_hand():
    # 10 bps below the mean: stop at 20 bps, three half-lives, full size at the targets
    assert decide(statistical(), **stretched()) == (1.0, 20.0, 90.0)
    assert decide(statistical(), **stretched(z=2.5, deviation=10.0))[0] == -1.0
    # the exit at z 1.25 is half of the way: 5 bps are expected
    assert decide(statistical(exit_z=1.25), **stretched())[1] == pytest.approx(10.0)
    # twice the volatility halves the size, so does four times the half-life
    assert decide(statistical(), **stretched(vol=1.0))[0] == pytest.approx(0.5)
    assert decide(statistical(), **stretched(half_life=120.0))[0] == pytest.approx(0.5)
    assert decide(statistical(), **stretched(vol=1.0, half_life=120.0))[0] == pytest.approx(0.25)
    assert decide(statistical(), **stretched(vol=1.0, half_life=7.5))[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"z": -1.9},
        {"half_life": math.nan},
        {"half_life": 0.5},
        {"half_life": 121.0},
        {"deviation": -0.9},
        {"vol_ratio": 1.6},
        {"adx": 31.0},
        {"adx": math.nan},
        {"vol_percentile": 0.91},
        {"vol_percentile": math.nan},
    ],
    ids=str,
)
def test_statistical_gates(change):
    assert decide(statistical(), **stretched(**change))[0] == 0.0


def test_bounds_are_within():
    edges = [
        {"half_life": 1.0},
        {"half_life": 120.0},
        {"vol_ratio": 1.5},
        {"adx": 30.0},
        {"vol_percentile": 0.9},
        {"deviation": -1.0},
    ]
    for change in edges:
        assert decide(statistical(), **stretched(**change))[0] > 0.0, change


def test_the_spread_is_part_of_what_has_to_be_earned():
    strategy = statistical(min_spreads=2.0)
    assert decide(strategy, **stretched(spread_mean_bps=4.5))[0] == 1.0
    assert decide(strategy, **stretched(spread_mean_bps=4.51))[0] == 0.0
    assert decide(strategy, **stretched(spread_mean_bps=math.nan))[0] == 0.0


def reverting(name, **params):
    """A strategy of the name, and what each of its features is where it enters a side."""
    bounds = {"max_adx": 30.0, "kill_adx": 50.0}
    strategy = make_strategy(
        name, bounds | params | ({"rate": "none"} if name == "funding" else {})
    )
    stems = {
        n if n.startswith("imbalance") else n.rstrip("0123456789").rstrip("_")
        for n in strategy.features
    }

    def row(side, z=2.5, **change):
        given = {
            **stretched(z=-side * z, deviation=-side * 30.0),
            **{"imbalance_5": side * 0.5, "microprice_dev_bps": side * 0.1, "vpin_z": 0.0},
            **{"queue_wait_bid": 1.0, "queue_wait_ask": 1.0, "spread_mean_bps": 0.1},
            **{"basis_z": -side * z, "basis_dev_bps": -side * 30.0, "basis_half_life": 30.0},
            "basis_vol": 0.1,
        } | change
        return one_row(strategy, **{key: value for key, value in given.items() if key in stems})

    return strategy, row


FAMILIES = ["statistical", "microstructure", "funding"]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"adx": 51.0}, True),
        ({"adx": 50.0}, False),  # neither enters nor leaves between the two levels
        ({"vol_percentile": 0.99}, True),
        ({"vol_percentile": 0.98}, False),
        ({"vol_ratio": 2.6}, True),
        ({"vol_ratio": 2.5}, False),
        ({"adx": math.nan, "vol_percentile": math.nan}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", FAMILIES)
def test_the_regime_switch_flattens(name, change, left):
    strategy, row = reverting(name)
    left = left and (name != "funding" or "vol_ratio" not in change)  # the basis has no such ratio
    for side in (1, -1):
        rows = pd.concat([row(side), row(side, **change)])
        assert strategy.targets(rows)["target"].tolist() == [side, 0.0 if left else side]


def test_without_the_filter_no_regime_is_read():
    off = statistical(regime_filter=False)
    assert not [n for n in off.features if n.startswith(("adx", "vol_percentile"))]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("side", [1, -1])
def test_left_where_the_z_score_is_back_at_the_exit(name, side):
    strategy, row = reverting(name, exit_z=0.5)
    course = pd.concat([row(side, z) for z in (2.5, 0.6, 0.51, 0.5, 2.5)])
    assert strategy.targets(course)["target"].tolist() == [side, side, side, 0.0, side]
    # Half of the way is left at z 2.5 for an exit at 1.25: that is what the stop is twice of.
    strategy, row = reverting(name, exit_z=1.25)
    assert strategy.targets(row(side))["stop_bps"].tolist() == [pytest.approx(30.0)]


# ---- the microstructure family

LEANS = {
    **{"zscore": -2.0, "sma_dev_bps": -10.0, "realized_vol": 0.5, **CALM},
    **{"imbalance_5": 0.5, "microprice_dev_bps": 0.1, "vpin_z": 0.0, "spread_mean_bps": 0.1},
    **{"queue_wait_bid": 5.0, "queue_wait_ask": 500.0},
}


def test_microstructure_terms_by_hand():
    strategy = make_strategy("microstructure")
    # no half-life: that of the longest holding, a third of 30 s
    assert decide(strategy, **LEANS) == pytest.approx((1.0, 20.0, 30.0))
    assert decide(strategy, **LEANS, half_life=4.0) == pytest.approx((1.0, 20.0, 12.0))
    assert decide(strategy, **LEANS, half_life=400.0) == pytest.approx((1.0, 20.0, 30.0))
    other = make_strategy("microstructure", {"target_half_life_s": 2.5})
    assert decide(other, **LEANS)[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"imbalance_5": 0.1},
        {"microprice_dev_bps": -0.1},
        {"vpin_z": 1.1},
        {"vpin_z": math.nan},
        {"queue_wait_bid": 31.0},
        {"vol_ratio": 2.6},
        {"queue_wait_bid": math.nan},
        {"spread_mean_bps": 6.1},
        {"adx": 40.0},
    ],
    ids=str,
)
def test_microstructure_gates(change):
    assert decide(make_strategy("microstructure"), **(LEANS | change))[0] == 0.0


def test_a_short_is_the_mirror_of_a_long():
    strategy = make_strategy("microstructure")
    mirror = ("zscore", "sma_dev_bps", "imbalance_5", "microprice_dev_bps")
    short = LEANS | {name: -LEANS[name] for name in mirror}
    assert decide(strategy, **short)[0] == 0.0  # the queue at the ask is long
    short |= {"queue_wait_bid": 500.0, "queue_wait_ask": 30.0}
    assert decide(strategy, **short) == pytest.approx((-1.0, 20.0, 30.0))


def test_without_a_book_the_mid_has_to_turn():
    strategy = make_strategy("microstructure", {"preset": "minutes"})
    assert not [
        n for n in strategy.features if n.startswith(("imbalance", "micro", "queue", "vpin_z"))
    ]
    row = {
        **{"zscore": -2.0, "sma_dev_bps": -40.0, "realized_vol": 0.5, **CALM},
        **{"reversal_bps": -3.0, "vpin_bulk": 0.4, "spread_mean_bps": 0.5},
    }
    assert decide(strategy, **row)[0] == 1.0
    assert decide(strategy, **(row | {"reversal_bps": 3.0}))[0] == 0.0
    assert decide(strategy, **(row | {"vpin_bulk": 0.5}))[0] == 0.0
    up = row | {"zscore": 2.0, "sma_dev_bps": 40.0, "reversal_bps": 3.0}
    assert decide(strategy, **up)[0] == -1.0


# ---- a model's forecast


def test_a_model_has_to_agree_in_sign_and_size():
    strategy = statistical(min_forecast_bps=3.0)
    assert decide(strategy, **stretched(forecast_bps=3.0))[0] == 1.0
    for forecast in (2.9, -5.0, math.nan):
        assert decide(strategy, **stretched(forecast_bps=forecast))[0] == 0.0
    short = stretched(z=2.5, deviation=10.0)
    assert decide(strategy, **short, forecast_bps=-3.0)[0] == -1.0
    assert decide(strategy, **short, forecast_bps=3.0)[0] == 0.0
    assert FORECAST not in statistical().features


def test_forecast_by_hand():
    strategy = make_strategy("forecast", {"entry_bps": 5.0, "exit_bps": 1.0, "horizon_s": 60.0})
    forecast = [4.9, 5.0, 1.0, 0.9, -5.0, -1.0, -0.9, np.nan, 8.0, np.nan, -9.0]
    frame = frame_of(np.column_stack([forecast, np.full(11, 0.5)]), strategy.features)
    targets = strategy.targets(frame)
    assert targets["target"].tolist() == [0, 1, 1, 0, -1, -1, 0, 0, 1, 1, -1]
    assert targets["stop_bps"].iloc[[1, 4, 8]].tolist() == [10.0, 10.0, 16.0]
    assert targets["hold_s"].iloc[1] == 60.0
    half = frame_of(np.array([[9.0, 1.0]]), strategy.features)
    assert strategy.targets(half)["target"].tolist() == [0.5]


# ---- parameters


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("statistical", {"max_adx": 60.0}, "max_adx 60.0 must be <= kill_adx 50.0"),
        ("statistical", {"preset": "hours"}, "no preset 'hours'"),
        ("funding", {"lead_s": 1800.0}, "lead_s must be < window_s"),
        ("funding", {"extreme_bps": 1.0}, "extreme_exit_bps must be <="),
        ("funding", {"rate": "guessed"}, "'announced', 'settled' or 'none'"),
        ("forecast", {"exit_bps": 7.0}, "exit_bps 7.0 must be < entry_bps"),
        ("forecast", {"entry_mode": "fast"}, "'passive' or 'aggressive'"),
    ],
)
def test_bad_parameters(name, params, says):
    with pytest.raises(ConfigError, match=says):
        make_strategy(name, params)


def test_a_preset_stands_for_the_defaults_only():
    strategy = make_strategy("statistical", {"preset": "minutes", "entry_z": 3.0})
    assert (strategy.params.entry_z, strategy.params.min_half_life_s) == (3.0, 15 * 60)
    assert strategy.params.max_half_life_s == 240 * 60
    # what a manifest keeps is complete without the preset's name
    assert make_strategy("statistical", strategy.params.model_dump()).params == strategy.params
