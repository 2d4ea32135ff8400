"""Labels against a slow twin, by hand, and what they may not know."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.labels import forward_return, triple_barrier

MINUTE = 60_000_000_000
BPS = 1e4


def grid(rows: int) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=rows, freq="1min", tz="UTC", name="time")


def bars_of(mid, high=None, low=None, opened=None) -> pd.DataFrame:
    """Prices in bps of 100, so that a barrier of so many bps is met by that number."""
    columns = {"mid": mid, "mid_high": high, "mid_low": low, "mid_open": opened}
    return pd.DataFrame(
        {
            name: 100.0 * np.exp(np.asarray(values, float) / BPS)
            for name, values in columns.items()
            if values is not None
        },
        index=grid(len(mid)),
    )


def test_forward_return_is_the_log_return_of_so_many_bars():
    price = pd.Series([100.0, 101.0, 99.0, 104.0], index=grid(4))
    out = forward_return(price, 2)
    np.testing.assert_allclose(
        out["label_bps"],
        [BPS * math.log(0.99), BPS * math.log(104 / 101), np.nan, np.nan],
        rtol=1e-12,
    )
    np.testing.assert_array_equal(out["start_ns"], to_ns(price.index))
    np.testing.assert_array_equal(out["end_ns"], to_ns(price.index) + 2 * MINUTE)


def test_a_forward_return_over_a_gap_is_none_and_not_a_longer_one():
    price = pd.Series(np.arange(100.0, 110.0), index=grid(10)).drop(grid(10)[5])
    price.iloc[8] = np.nan
    label = forward_return(price, 2)["label_bps"]
    number = (label.index[label.isna()] - grid(10)[0]) // pd.Timedelta("1min")
    # 3 and 4: the bar between or at their end is gone; 7 and 9: the price of 9 is; 8: the end
    assert list(number) == [3, 4, 7, 8, 9]


def twin(bars, up, down, horizon, both):
    """Walk minute by minute."""
    used = [c for c in ("mid", "mid_high", "mid_low", "mid_open") if c in bars]
    if "mid_high" not in bars:
        used = ["mid"]
    known = dict(
        zip(to_ns(bars.index).tolist(), np.log(bars[used]).to_numpy().tolist(), strict=True)
    )
    rows = []
    for t, (entry, *_) in known.items():
        times = [t + k * MINUTE for k in range(1, horizon + 1)]
        path = [known.get(time, [math.nan]) for time in times]
        if math.isnan(entry) or any(math.isnan(x) for bar in path for x in bar):
            rows.append((math.nan, math.nan, None, times[-1]))
            continue
        rows.append((0.0, BPS * (path[-1][0] - entry), "time", times[-1]))
        for time, bar in zip(times, path, strict=True):
            moved = [BPS * (x - entry) for x in bar]
            opened = moved[3] if len(moved) == 4 else 0.0
            at_up, at_down = max(moved) >= up, min(moved) <= -down
            if not (at_up or at_down):
                continue
            if opened >= up:
                found = (1.0, opened, "up")
            elif opened <= -down:
                found = (-1.0, opened, "down")
            elif at_up and at_down:
                found = {"down": (-1.0, -down), "up": (1.0, up), "none": (math.nan, math.nan)}[both]
                found = (*found, "both")
            elif len(moved) == 1:
                found = (1.0 if at_up else -1.0, moved[0], "up" if at_up else "down")
            else:
                found = (1.0, up, "up") if at_up else (-1.0, -down, "down")
            rows[-1] = (*found, time)
            break
    return pd.DataFrame(rows, columns=["label", "return_bps", "barrier", "end_ns"])


@st.composite
def markets(draw):
    """Bars on a coarse grid of prices, so that barriers are met exactly and both in one bar."""
    rows = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mid = np.cumsum(rng.integers(-2, 3, rows)) * 1.0
    opened = np.where(rng.random(rows) < 0.2, mid + rng.integers(-6, 7, rows), np.roll(mid, 1))
    high = np.maximum(mid, opened) + rng.integers(0, 4, rows)
    low = np.minimum(mid, opened) - rng.integers(0, 4, rows)
    kind = draw(st.sampled_from(["mid", "range", "all"]))
    bars = bars_of(
        mid, *(() if kind == "mid" else (high, low) if kind == "range" else (high, low, opened))
    )
    for column in bars:
        bars.loc[rng.random(rows) < draw(st.sampled_from([0.0, 0.03])), column] = np.nan
    keep = rng.random(rows) >= draw(st.sampled_from([0.0, 0.05]))
    keep[:3] = True  # the median step is a minute
    return bars[keep]


@given(
    markets(),
    st.integers(1, 12),
    st.sampled_from([1.5, 2.0, 4.0, 7.5]),
    st.sampled_from([1.5, 2.0, 4.0, 7.5]),
    st.sampled_from(["down", "up", "none"]),
)
def test_triple_barrier_is_its_slow_twin(bars, horizon, up, down, both):
    if len(bars) > 1 and np.median(np.diff(to_ns(bars.index))) != MINUTE:
        return
    # a hair outside of the grid of prices: a tie would hang on the last bit
    up, down = up + 1e-6, down + 1e-6
    out = triple_barrier(bars, up_bps=up, down_bps=down, horizon=horizon, both=both)
    slow = twin(bars, up, down, horizon, both)
    np.testing.assert_array_equal(out["label"], slow["label"])
    np.testing.assert_allclose(out["return_bps"], slow["return_bps"], atol=1e-9)
    # a column of text has NaN for None in pandas 3
    found, known = ([None if pd.isna(b) else str(b) for b in of["barrier"]] for of in (out, slow))
    assert found == known
    if len(bars) > 1:
        np.testing.assert_array_equal(out["end_ns"], slow["end_ns"])
    np.testing.assert_array_equal(out["start_ns"], to_ns(bars.index))


def one(bars, **options):
    row = triple_barrier(bars, bars.index[:1], **options).iloc[0]
    minutes = (row["end_ns"] - row["start_ns"]) // MINUTE
    barrier = None if pd.isna(row["barrier"]) else row["barrier"]
    return row["label"], row["return_bps"], barrier, minutes


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        # reached exactly counts
        (bars_of([0, 2, 5, 5], [0, 3, 10, 5], [0, 1, 2, 4]), (1, 10, "up", 2)),
        (bars_of([0, 2, -5, 5], [0, 3, 4, 5], [0, 1, -10, 4]), (-1, -10, "down", 2)),
        # the range of the entry's own bar is the past
        (bars_of([0, 1, 1, 3], [50, 2, 2, 4], [-50, 0, 0, 0]), (0, 3, "time", 3)),
        # both within a bar: who is long was stopped out
        (bars_of([0, 2, 5, 5], [0, 3, 12, 5], [0, 1, -11, 4]), (-1, -10, "both", 2)),
        # the open was first, whatever the bar did afterwards
        (
            bars_of([0, 2, 5, 5], [0, 3, 14, 5], [0, 1, -11, 4], [0, 0, 12, 5]),
            (1, 12, "up", 2),
        ),
        (
            bars_of([0, 2, 5, 5], [0, 3, 14, 5], [0, 1, -11, 4], [0, 0, -10.5, 5]),
            (-1, -10.5, "down", 2),
        ),
        # what a bar closed or opened at is in its range, whatever its high and low say
        (bars_of([0, 12, 0, 0], [0, 1, 1, 1], [0, -1, -1, -1]), (1, 10, "up", 1)),
        (
            bars_of([0, 0, 0, 0], [0, 1, 1, 1], [0, -1, -1, -1], [0, 0, -12, 0]),
            (-1, -12, "down", 2),
        ),
        # no range: the first mid at or beyond, as far as it was
        (bars_of([0, 9, 13, 0]), (1, 13, "up", 2)),
    ],
)
def test_by_hand(bars, expected):
    found = one(bars, up_bps=10 - 1e-9, down_bps=10 - 1e-9, horizon=3)
    assert found[0] == expected[0]
    assert found[1] == pytest.approx(expected[1], abs=1e-6)
    assert found[2:] == expected[2:]


def test_both_barriers_in_one_bar_count_as_was_asked():
    bars = bars_of([0, 2], [0, 20], [0, -20])
    options = {"up_bps": 10, "down_bps": 5, "horizon": 1}
    assert one(bars, both="down", **options) == (-1, -5, "both", 1)
    assert one(bars, both="up", **options) == (1, 10, "both", 1)
    label, returned, barrier, _ = one(bars, both="none", **options)
    assert math.isnan(label)
    assert math.isnan(returned)
    assert barrier == "both"


def test_without_a_barrier_only_the_other_one_and_the_horizon_are_left():
    bars = bars_of([0, -300, 300])
    assert one(bars, up_bps=None, down_bps=None, horizon=2)[2:] == ("time", 2)
    assert one(bars, up_bps=100, down_bps=None, horizon=2)[2:] == ("up", 2)


def test_a_distance_for_each_bar_is_that_of_the_entry():
    bars = bars_of([0, 3, 6, 9, 12, 15])
    distance = pd.Series([2.0, 8.0, np.nan, 0.0, 2.0, 2.0], index=bars.index)
    out = triple_barrier(bars, up_bps=distance, down_bps=1000.0, horizon=1)
    np.testing.assert_array_equal(out["label"], [1, 0, np.nan, np.nan, 1, np.nan])
    with pytest.raises(DataError, match="up_bps: distances of a barrier for other bars"):
        triple_barrier(bars, up_bps=distance.iloc[1:], down_bps=1.0, horizon=1)


def test_a_label_that_was_met_before_a_gap_or_the_end_is_none_as_the_slow_ones_are():
    bars = bars_of([0, 20, 0, 0, 0, 20, 0])
    out = triple_barrier(bars.drop(bars.index[3]), up_bps=10, down_bps=10, horizon=3)
    assert out["label"].isna().tolist() == [True, True, True, True, True, True]
    out = triple_barrier(bars, up_bps=10, down_bps=10, horizon=3)
    np.testing.assert_array_equal(out["label"], [1, -1, 1, 1, np.nan, np.nan, np.nan])


def test_what_comes_after_the_horizon_changes_nothing():
    rng = np.random.default_rng(3)
    mid = np.cumsum(rng.normal(0, 5, 200))
    bars = bars_of(mid, mid + 3, mid - 3)
    cut, horizon = 120, 10
    changed = bars.copy()
    changed.iloc[cut:] *= np.exp(rng.normal(0, 0.01, (80, 3)))
    options = {"up_bps": 12, "down_bps": 9, "horizon": horizon}
    before, after = (triple_barrier(x, **options).iloc[: cut - horizon] for x in (bars, changed))
    pd.testing.assert_frame_equal(before, after)
    assert set(before["barrier"]) == {"up", "down", "time"}
    # and what came before the entry does not either
    changed = bars.copy()
    changed.iloc[:60] *= 1.01
    before, after = (triple_barrier(x, **options).iloc[60:] for x in (bars, changed))
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
def test_events_are_the_ends_of_bars_in_any_unit(unit):
    bars = bars_of(np.arange(10.0))
    bars.index = bars.index.as_unit(unit)
    events = bars.index[[6, 2]]
    out = triple_barrier(bars, events, up_bps=2.5, down_bps=2.5, horizon=3)
    assert list(out.index) == list(events)
    np.testing.assert_array_equal(out["start_ns"], to_ns(events))
    np.testing.assert_array_equal(out["end_ns"], to_ns(events) + 3 * MINUTE)
    from_ints = triple_barrier(bars, to_ns(events), up_bps=2.5, down_bps=2.5, horizon=3)
    pd.testing.assert_frame_equal(out, from_ints)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"horizon": 0}, ConfigError, "horizon"),
        ({"up_bps": 0.0}, ConfigError, "up_bps: distance of a barrier"),
        ({"down_bps": -3.0}, ConfigError, "down_bps: distance of a barrier"),
        ({"up_bps": float("nan")}, ConfigError, "up_bps"),
        ({"both": "worst"}, ConfigError, "both"),
        ({"events": pd.DatetimeIndex(["2024-01-01T00:00:30Z"])}, DataError, "not the end of a bar"),
        ({"events": pd.DatetimeIndex(["2025-01-01T00:00:00Z"])}, DataError, "not the end of a bar"),
    ],
)
def test_what_cannot_be_labelled_is_said(options, error, match):
    with pytest.raises(error, match=match):
        triple_barrier(
            bars_of(np.arange(5.0)), **{"up_bps": 1.0, "down_bps": 1.0, "horizon": 2, **options}
        )


def test_bars_out_of_order_or_without_prices_are_said():
    bars = bars_of(np.arange(5.0))
    options = {"up_bps": 1.0, "down_bps": 1.0, "horizon": 2}
    with pytest.raises(DataError, match="row 3: bars are not in the order of time"):
        triple_barrier(bars.iloc[[0, 1, 2, 2, 3]], **options)
    with pytest.raises(DataError, match="row 1: bars are not in the order"):
        forward_return(bars["mid"].iloc[::-1], 1)
    with pytest.raises(DataError, match="mid_low: bars lack a column"):
        triple_barrier(bars.assign(mid_high=bars["mid"]), **options)
    with pytest.raises(DataError, match="mid: bars lack a column"):
        triple_barrier(bars.rename(columns={"mid": "close"}), **options)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_bars_have_no_label(rows):
    bars = bars_of(np.arange(3.0)).iloc[:rows]
    out = triple_barrier(bars, up_bps=1.0, down_bps=1.0, horizon=2)
    assert len(out) == rows
    assert out["label"].isna().all()
    assert len(forward_return(bars["mid"], 2)) == rows
