"""What holds of every feature, whatever it computes. `test_twins.py` says that it is right."""

import copy
import doctest
import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtrade.errors import ConfigError, DataError
from mrtrade.features import (
    COLUMNS,
    FAMILIES,
    FEATURES,
    FeatureStream,
    column,
    compute,
    feature,
    get,
    registry,
    select,
)
from mrtrade.features.compute import columns_of, plan
from mrtrade.features.registry import DERIVED, derived, scratch

NAMES = sorted(FEATURES)
EMPTY_BOOK = [name for name, one in COLUMNS.items() if one.origin == "book"]
FLOWS = [name for name, one in COLUMNS.items() if one.origin == "trades"] + ["volume", "notional"]
ABOUT = {"family": "temporal", "unit": "1", "formula": "-", "edge": "-", "source": "-"}


def same_bits(a, b) -> bool:
    return np.array_equal(np.asarray(a).view(np.int64), np.asarray(b).view(np.int64))


def chunks(stream, columns, edges):
    parts = [
        stream.update({name: values[a:b] for name, values in columns.items()})
        for a, b in pairwise(edges)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def short(name: str) -> str:
    """The feature with a window that a short stream fills."""
    one = get(name)
    return name if one.window is None else f"{one.stem}_{min(one.window, max(32, one.shortest))}"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_documented(name):
    one = FEATURES[name]
    assert one.name == name
    assert one.family in FAMILIES
    assert all((one.unit, one.formula, one.edge, one.source, one.about, one.inputs))
    assert one.about.endswith(".")
    assert one.warmup >= 0
    assert one.lookback is None or one.lookback >= one.warmup
    assert plan([name])[0][-1] is one


@pytest.mark.parametrize("name", NAMES)
def test_no_look_ahead(bars, name):
    whole = compute(bars, [name])[name].to_numpy()
    rng = np.random.default_rng(1)
    for t in (0, 1, 700, 2500, len(bars) - 2):
        garbage = bars.copy()
        garbage.iloc[t + 1 :] = rng.normal(0.0, 1e6, (len(bars) - t - 1, bars.shape[1]))
        assert same_bits(compute(garbage, [name])[name].to_numpy()[: t + 1], whole[: t + 1])
        assert same_bits(compute(bars.iloc[: t + 1], [name])[name].to_numpy(), whole[: t + 1])
    nothing = bars.copy()
    nothing.iloc[2500:] = np.nan
    assert same_bits(compute(nothing, [name])[name].to_numpy()[:2500], whole[:2500])


def test_the_look_ahead_test_sees_a_leak(bars):
    with scratch():

        @feature("leak", inputs=("mid",), **ABOUT)
        def leak(bars, roll):
            return bars["mid"] - bars["mid"].mean()

        with pytest.raises(AssertionError):
            test_no_look_ahead(bars, "leak")
    assert "leak" not in FEATURES


# a recursive feature has no such bound: all of the past counts
@pytest.mark.parametrize("name", [name for name in NAMES if get(name).lookback is not None])
def test_lookback_is_all_that_counts(bars, name):
    """Values hang on the last `lookback` bars only, up to the rounding of a running sum."""
    one = get(name)
    whole = compute(bars, [name])[name]
    t = np.flatnonzero(whole.notna())[-1]
    other = bars.copy()
    other.iloc[: t - one.lookback] = np.nan
    tail = compute(other, [name])[name]
    assert tail.iloc[t] == pytest.approx(whole.iloc[t], rel=1e-9, abs=1e-9 * whole.std())
    # and the oldest of them does count
    if one.lookback and "time" not in plan([name])[1]:
        other.iloc[t - one.lookback] = np.nan
        assert np.isnan(compute(other, [name])[name].iloc[t])


@pytest.mark.parametrize("name", NAMES)
def test_warmup_is_exact(bars, name):
    one = get(name)
    values = compute(bars, [name])[name].to_numpy()
    assert np.isnan(values[: one.warmup]).all()
    assert np.isfinite(values[one.warmup :]).any() if one.sparse else True
    assert one.sparse or np.isfinite(values[one.warmup :]).all()


@pytest.mark.parametrize("name", NAMES)
def test_stream_is_batch(bars, name):
    """Bar by bar, in chunks, saved and restored on the way: the bits of the whole."""
    names = [short(name)]
    frame = bars.iloc[:300]
    columns = columns_of(frame)
    whole = compute(frame, names)[names[0]].to_numpy()
    assert same_bits(chunks(FeatureStream(names), columns, range(301))[names[0]], whole)
    stream = FeatureStream(names)
    first = chunks(stream, columns, [0, 3, 120])
    saved = pickle.loads(pickle.dumps(stream))
    twin = copy.deepcopy(stream)
    for other in (saved, twin, stream):
        rest = chunks(other, columns, [120, 121, 250, 300])
        assert same_bits(np.r_[first[names[0]], rest[names[0]]], whole)


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 900), max_size=6))
def test_all_of_them_together_in_any_chunks(cuts, bars):
    """Kernels are shared among features: what is asked for beside one changes no bit of it."""
    names = sorted({short(name) for name in NAMES})
    columns = columns_of(bars.iloc[:900])
    joined = chunks(FeatureStream(names), columns, sorted({0, *cuts, 900}))
    for name in names:
        assert same_bits(joined[name], compute(bars.iloc[:900], [name])[name].to_numpy()), name


@pytest.mark.parametrize(
    "fault", ["empty", "one row", "constant", "all up", "nan", "gap", "no trades", "one-sided"]
)
@pytest.mark.parametrize("name", NAMES)
def test_degenerate_frames(bars, name, fault):
    frame = bars.iloc[:1200].copy()
    if fault == "empty":
        frame = frame.iloc[:0]
    elif fault == "one row":
        frame = frame.iloc[:1]
    elif fault == "constant":
        frame[:] = frame.iloc[[0]].to_numpy()
    elif fault == "all up":
        up = frame.columns.str.contains("mid|bid$|ask$|last|trade_|mark|index|microprice")
        frame.loc[:, up] = 100.0 + 0.01 * np.arange(1.0, 1201.0)[:, None]
    elif fault == "nan":
        frame[:] = np.nan
    elif fault == "gap":
        frame = frame.drop(frame.index[400:460])
        frame.iloc[600:660] = np.nan
    elif fault == "no trades":
        frame[FLOWS] = frame[FLOWS].where(frame[FLOWS].isna(), 0.0)
    else:
        gone = [*EMPTY_BOOK, "mid", "mid_open", "mid_high", "mid_low"]
        frame.loc[frame.index[300:320], gone] = np.nan
    short_name = short(name)
    out = compute(frame, [short_name])[short_name]
    assert out.index.equals(frame.index)
    assert not np.isinf(out.to_numpy()).any()
    inputs = set(plan([short_name])[1]) - {"time"}
    if fault == "nan" and inputs:
        assert out.isna().all()
    one = get(short_name)
    if fault in ("one-sided", "gap") and not one.sparse and one.lookback is not None:
        # what is missing does not poison what comes after it
        last = 320 if fault == "one-sided" else 660
        assert out.iloc[last + one.lookback + 1 :].notna().all()


def test_a_constant_market_tells_nothing(bars):
    frame = bars.iloc[:800].copy()
    frame[:] = frame.iloc[[0]].to_numpy()
    out = compute(frame)
    assert out.filter(regex="zscore|_z_|bollinger_b|half_life|rsi|vol_ratio").isna().all(axis=None)
    assert (out["realized_vol_60"].dropna() == 0.0).all()


def test_a_market_without_trades_tells_no_ratio(bars):
    frame = bars.iloc[:800].copy()
    frame[FLOWS] = 0.0
    out = compute(frame)
    assert out.filter(regex="trade_imb|trade_size|amihud|vwap|queue").isna().all(axis=None)
    assert (out["trade_intensity_60"].dropna() == 0.0).all()


def test_any_window_by_name(bars):
    out = compute(bars, ["zscore_45", "zscore_45"])
    assert list(out) == ["zscore_45"]
    assert compute(bars, "zscore_45").equals(out)
    assert get("zscore_45").warmup == 44
    assert np.isfinite(out["zscore_45"].iloc[44:]).all()


def test_bars_of_any_time_unit(bars):
    coarse = bars.set_axis(bars.index.as_unit("us"))
    pd.testing.assert_frame_equal(
        compute(coarse).reset_index(drop=True), compute(bars).reset_index(drop=True)
    )


def test_a_column_that_is_not_there_is_a_reason_and_no_value(bars):
    frame = bars[["mid", "volume"]]
    out = compute(frame, ["zscore_60", "spread_bps", "bollinger_b_20", "vwap_dev_bps_300"])
    assert out["zscore_60"].iloc[59:].notna().all()
    assert out[["spread_bps", "vwap_dev_bps_300"]].isna().all(axis=None)
    assert set(out.attrs["reasons"]) == {"spread_bps", "vwap_dev_bps_300"}
    assert (
        out.attrs["reasons"]["spread_bps"] == "the bars have no column 'bid' (best bid at the end)"
    )
    stream = FeatureStream(["spread_bps"])
    stream.update(columns_of(frame))
    with pytest.raises(ConfigError, match=r"do not have the columns of those before: ask, bid"):
        stream.update(columns_of(bars))


def test_a_state_of_other_features_is_refused():
    def half(bars, roll):
        return 0.5 * bars["mid"]

    def third(bars, roll):
        return bars["mid"] / 3.0

    with scratch():
        feature("mine", inputs=("mid",), **ABOUT)(half)
        saved = pickle.dumps(FeatureStream(["mine"]))
    with scratch():
        feature("mine", inputs=("mid",), **ABOUT)(third)
        with pytest.raises(ConfigError, match="were defined otherwise"):
            pickle.loads(saved)


@pytest.mark.parametrize(
    "other",
    [lambda bars, roll: np.sin(bars["mid"] * 3.0), lambda bars, roll: np.cos(bars["mid"] * 2.0)],
)
def test_a_state_is_of_the_same_constants_and_names(other):
    with scratch():
        feature("mine", inputs=("mid",), **ABOUT)(lambda bars, roll: np.sin(bars["mid"] * 2.0))
        saved = pickle.dumps(FeatureStream(["mine"]))
        pickle.loads(saved)
    with scratch():
        feature("mine", inputs=("mid",), **ABOUT)(other)
        with pytest.raises(ConfigError, match="were defined otherwise"):
            pickle.loads(saved)


def test_bars_out_of_order_are_refused(bars):
    mixed = pd.concat([bars.iloc[:20], bars.iloc[10:30]])
    with pytest.raises(DataError, match="row 20: bars are not in order of time"):
        compute(mixed, ["zscore_5"])
    compute(mixed.sort_index(), ["zscore_5"])  # two bars may end at one time


def test_a_feature_does_not_write_on_what_others_read(bars):
    def on_a_column(bars, roll):
        bars["mid"][:] = 0.0
        return bars["mid"]

    def on_a_mean(bars, roll):
        mean = roll.mean("mid", 5)
        mean -= 1.0
        return mean

    for function in (on_a_column, on_a_mean):
        with scratch():
            feature("rough", inputs=("mid",), **ABOUT)(function)
            with pytest.raises(ValueError, match="read-only"):
                compute(bars.iloc[:20].copy(), ["rough"])


def test_a_feature_sees_what_it_declares_and_no_more(bars):
    with scratch():

        @feature("sly", inputs=("mid",), **ABOUT)
        def sly(bars, roll):
            return bars["bid"]

        @feature("sly_too", inputs=("mid",), **ABOUT)
        def sly_too(bars, roll):
            return roll.mean("bid", 5)

        feature("honest", inputs=("bid",), **ABOUT)(lambda bars, roll: roll.mean("bid", 5))
        for name in ("sly", "sly_too"):
            with pytest.raises(ConfigError, match="reads 'bid', which it does not declare"):
                compute(bars, [name])
        with pytest.raises(ConfigError, match="reads 'bid', which it does not declare"):
            compute(bars, ["honest", "sly_too"])  # whose kernel is there already


def test_calls_that_hang_on_the_data_are_refused(bars):
    with scratch():

        @feature("moody", inputs=("mid",), **ABOUT)
        def moody(bars, roll):
            up = bars["mid"][-1] > 100.0
            return roll.mean("mid", 5) if up else roll.sd("mid", 5)

        stream = FeatureStream(["moody"])
        columns = columns_of(bars.iloc[:200], ["mid"])
        with pytest.raises(ConfigError, match="asked for other rolling statistics"):
            chunks(stream, columns, range(201))


def test_a_feature_keeps_nothing_among_its_columns(bars):
    with scratch():

        @feature("hoarder", inputs=("mid",), **ABOUT)
        def hoarder(bars, roll):
            bars["before"] = bars["mid"]
            return bars["mid"]

        with pytest.raises(ConfigError, match="puts 'before' among its columns"):
            compute(bars, ["hoarder"])


def test_a_feature_gives_a_value_for_each_bar(bars):
    with scratch():
        feature("lone", inputs=("mid",), **ABOUT)(lambda bars, roll: bars["mid"].mean())
        with pytest.raises(ConfigError, match=r"'lone' gave values of shape \(\).*\(4000,\)"):
            compute(bars, ["lone"])
    columns = columns_of(bars, ["bid", "ask", "mid"])
    columns["ask"] = columns["ask"][:-1]
    with pytest.raises(ConfigError, match="columns of bars differ in length"):
        FeatureStream(["spread_bps"]).update(columns)


def test_a_feature_of_a_column_s_name_leaves_the_column_alone(bars):
    with scratch():
        feature("mid", inputs=("mid",), **ABOUT)(lambda bars, roll: -bars["mid"])
        out = compute(bars, ["mid", "spread_bps"])
        assert out["mid"].equals(-bars["mid"])
        assert out["spread_bps"].equals(compute(bars, ["spread_bps"])["spread_bps"])


def test_inputs_that_lead_nowhere_or_in_a_circle(bars):
    with scratch():
        feature("lost", inputs=("no_such",), **ABOUT)(lambda bars, roll: bars["no_such"])
        derived("a", unit="1", inputs=("b",))(lambda bars, roll: bars["b"])
        derived("b", unit="1", inputs=("a",))(lambda bars, roll: bars["a"])
        feature("round", inputs=("a",), **ABOUT)(lambda bars, roll: bars["a"])
        with pytest.raises(ConfigError, match="input 'no_such' of 'lost' is no column"):
            compute(bars, ["lost"])
        with pytest.raises(ConfigError, match="made of itself"):
            compute(bars, ["round"])
    assert "a" not in DERIVED


def test_a_column_of_your_own(bars):
    with scratch():
        column("signal", "1", "what a vendor sells")
        feature("mine", inputs=("signal",), **ABOUT)(lambda bars, roll: roll.mean("signal", 2))
        out = compute(bars.assign(signal=np.arange(len(bars))), ["mine"])["mine"]
        assert out.iloc[1:4].tolist() == [0.5, 1.5, 2.5]
        with pytest.raises(ValueError, match="is there already: what a vendor sells"):
            column("signal", "1", "again")
    assert "signal" not in COLUMNS


def test_words_for_names():
    assert select(["all"]) == list(FEATURES)
    assert select(["temporal", "zscore_45"])[-1] == "zscore_45"
    assert {get(name).family for name in select(["volatility"])} == {"volatility"}
    with pytest.raises(ConfigError, match="perhaps 'zscore"):
        select(["zscor"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("zscor_60", "zscore_60"),
        ("zscore_1", ">= 2"),
        ("spread_bps_60", "spread_bps"),
        ("", "features list"),
    ],
)
def test_unknown_names(name, says):
    with pytest.raises(ConfigError, match=says):
        get(name)


@pytest.mark.parametrize("taken", ["zscore_60", "log_return", "mid"])
def test_registered_once(taken):
    with pytest.raises(ValueError, match="twice"):
        feature(taken, inputs=("bid",), **ABOUT)(lambda bars, roll: None)


def test_the_example_runs():
    with scratch():
        failed, tried = doctest.testmod(registry)
        assert tried
        assert not failed
