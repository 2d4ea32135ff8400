import doctest
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrtrade.errors import ConfigError
from mrtrade.features import FEATURES, FeatureStream, compute, feature, get, registry

NAMES = sorted(FEATURES)


def same_bits(a, b) -> bool:
    return np.array_equal(np.asarray(a).view(np.int64), np.asarray(b).view(np.int64))


def test_there_are_enough_and_they_are_documented():
    assert len(NAMES) >= 20
    for name, one in FEATURES.items():
        assert one.name == name
        assert all((one.family, one.unit, one.formula, one.source)), name
        assert one.warmup >= 0
        assert one.lookback is None or one.lookback >= one.warmup


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
    @feature("leak", family="test", unit="1", formula="-", source="-")
    def leak(bars, roll):
        return bars["mid"] - bars["mid"].mean()

    try:
        with pytest.raises(AssertionError):
            test_no_look_ahead(bars, "leak")
    finally:
        del FEATURES["leak"]


# a recursive feature has no such bound: all of the past counts
@pytest.mark.parametrize("name", [name for name in NAMES if get(name).lookback is not None])
def test_lookback_is_all_that_counts(bars, name):
    """Values hang on the last `lookback` bars only, up to the rounding of a running sum."""
    one = get(name)
    t = len(bars) - 1
    other = bars.copy()
    other.iloc[: t - one.lookback] = np.nan
    whole, tail = compute(bars, [name])[name], compute(other, [name])[name]
    assert tail.iloc[t] == pytest.approx(whole.iloc[t], rel=1e-9, nan_ok=True)
    if one.lookback:  # and the oldest of them does count
        other.iloc[t - one.lookback] = np.nan
        assert np.isnan(compute(other, [name])[name].iloc[t])


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("half_life")])
def test_warmup_is_exact(bars, name):
    values = compute(bars, [name])[name].to_numpy()
    warmup = get(name).warmup
    assert np.isnan(values[:warmup]).all()
    assert np.isfinite(values[warmup:]).all()


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=6), ones=st.integers(0, 900))
def test_stream_is_batch(cuts, ones, bars):
    """Any split into chunks, 40 single bars among them, gives the bits of the whole."""
    names = ["zscore_20", "half_life_30", "rsi_14", "ema_dev_bps_10", "ofi_10", "vol_ratio_5"]
    names += [name for name in NAMES if FEATURES[name].warmup <= 300]
    frame = bars.iloc[:900]
    columns = registry.columns_of(frame)
    stream = FeatureStream(names)
    edges = sorted({0, *cuts, *range(ones, min(ones + 40, 900)), 900})
    parts = [
        stream.update({name: values[a:b] for name, values in columns.items()})
        for a, b in pairwise(edges)
    ]
    for name, values in compute(frame, names).items():
        joined = np.concatenate([part[name] for part in parts])
        assert same_bits(joined, values.to_numpy()), name


def test_every_feature_streams_bar_by_bar(bars):
    names = sorted(
        {
            name.rsplit("_", 1)[0] + "_7" if get(name).params.get("window") else name
            for name in NAMES
        }
    )
    frame = bars.iloc[:200]
    stream = FeatureStream(names)
    rows = [stream.update(registry.columns_of(frame.iloc[[row]])) for row in range(len(frame))]
    for name, values in compute(frame, names).items():
        assert same_bits([row[name][0] for row in rows], values.to_numpy()), name


@pytest.mark.parametrize("fault", ["empty", "one row", "constant", "nan", "no trades", "one-sided"])
def test_degenerate_frames(bars, fault):
    frame = bars.iloc[:800].copy()
    if fault == "empty":
        frame = frame.iloc[:0]
    elif fault == "one row":
        frame = frame.iloc[:1]
    elif fault == "constant":
        frame[:] = frame.iloc[[0]].to_numpy()
    elif fault == "nan":
        frame[:] = np.nan
    elif fault == "no trades":
        frame[["n_trades", "buy_volume", "sell_volume", "notional"]] = 0.0
    else:
        frame.loc[frame.index[300:320], ["bid", "mid", "microprice", "mid_low"]] = np.nan
    out = compute(frame, NAMES)
    assert list(out) == NAMES
    assert out.index.equals(frame.index)
    assert not np.isinf(out.to_numpy()).any()
    if fault == "constant":  # nothing moves: no z-score, no half-life, no volatility
        assert out.filter(regex="zscore|bollinger|half_life|rsi|vol_ratio").isna().all(axis=None)
        assert (out["realized_vol_60"].dropna() == 0.0).all()
    if fault == "no trades":
        assert out.filter(regex="trade_imb|trade_size|amihud|vwap|queue").isna().all(axis=None)
        assert (out["trade_intensity_60"].dropna() == 0.0).all()
    if fault == "one-sided":  # the gap does not poison what comes after it
        assert np.isfinite(out["zscore_60"].iloc[380:]).all()
        assert np.isfinite(out["rsi_14"].iloc[330:]).all()


def test_any_window_by_name(bars):
    out = compute(bars, ["zscore_45", "zscore_45"])
    assert list(out) == ["zscore_45"]
    assert get("zscore_45").warmup == 44
    assert np.isfinite(out["zscore_45"].iloc[44:]).all()


def test_bars_of_any_time_unit(bars):
    coarse = bars.set_axis(bars.index.as_unit("us"))
    pd.testing.assert_frame_equal(
        compute(coarse, NAMES).reset_index(drop=True), compute(bars, NAMES).reset_index(drop=True)
    )


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


def test_registered_once():
    with pytest.raises(ValueError, match="twice"):
        feature("vpin", family="x", unit="x", formula="x", source="x")(lambda bars, roll: None)


def test_the_example_runs():
    try:
        failed, tried = doctest.testmod(registry)
        assert tried
        assert not failed
    finally:
        FEATURES.pop("spread_ticks", None)
