"""Products of features: that they find what their parts cannot, and numbers by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from mrtrade.errors import ConfigError
from mrtrade.features import COLUMNS, FEATURES, compute, feature, get
from mrtrade.features.registry import scratch

ABOUT = {"family": "interactions", "unit": "1", "formula": "-", "edge": "-", "source": "-"}

#: Moves in bps are as large as they are; a half-life is not to be had of wild bars.
BOUNDED = [
    name
    for name, one in FEATURES.items()
    if one.family == "interactions" and one.unit != "bps" and not one.sparse
]


def frame(**columns):
    index = pd.date_range("2024-01-02 15:00", periods=len(columns["mid"]), freq="1s", tz="UTC")
    return pd.DataFrame(columns, index=index.as_unit("ns").rename("time"), dtype=float)


def test_a_planted_xor_is_found_by_the_product_alone():
    """y is the sign of x1 x2: neither x tells anything of it, their product all."""
    rng = np.random.default_rng(11)
    rows = 4000
    book = rng.uniform(-1, 1, rows)
    buy, sell = rng.uniform(0, 1, (2, rows))
    bars = frame(
        mid=np.full(rows, 100.0),
        imbalance_5=book,
        buy_volume=buy,
        sell_volume=sell,
        volume=buy + sell,
    )
    names = ["imbalance_5", "trade_imbalance_2", "imbalance_trades_2"]
    out = compute(bars, names).iloc[1:]
    y = np.sign(out["imbalance_5"] * out["trade_imbalance_2"])
    found = {name: spearmanr(out[name], y).statistic for name in names}
    # the product: rank correlation of a symmetric variable with its sign, sqrt(3) / 2
    assert found["imbalance_trades_2"] == pytest.approx(np.sqrt(3) / 2, abs=0.01)
    assert abs(found["imbalance_5"]) < 4 / np.sqrt(rows)
    assert abs(found["trade_imbalance_2"]) < 4 / np.sqrt(rows)


def test_kyle_in_units_by_hand():
    """Lambda 0.5 quote a base unit, 4 bought more than sold of late: 2 on 1000 are 20 bps."""
    bars = frame(
        mid=[1000.0, 1000.0, 1001.0],
        kyle_lambda=[0.5, 0.5, 0.5],
        buy_volume=[0.0, 3.0, 2.0],
        sell_volume=[9.0, 1.0, 0.0],
        ofi=[1.0, 2.0, -4.0],
    )
    out = compute(bars, ["kyle_move_bps_2", "kyle_gap_bps_2", "kyle_ofi_bps_2"]).iloc[-1]
    assert out["kyle_move_bps_2"] == pytest.approx(1e4 * 2 / 1001)
    assert out["kyle_gap_bps_2"] == pytest.approx(1e4 * (2 / 1001 - np.log(1.001)))
    assert out["kyle_ofi_bps_2"] == pytest.approx(-1e4 * 1 / 1001)


def test_powers_of_a_score_by_hand():
    """Of 1, 1, 4 the last lies sqrt(2) sd above the mean."""
    bars = frame(mid=[1.0, 1.0, 4.0, -2.0])
    z = 3 * np.tanh(np.sqrt(2) / 3)
    names = ["zscore_squared_3", "zscore_cubed_3", "zscore_signed_square_3", "zscore_us_3"]
    out = compute(bars, names)
    assert out.iloc[2].tolist() == pytest.approx([z**2, z**3, z**2, z])
    assert (out.iloc[3].iloc[1:] < 0).all()
    night = compute(bars.tz_convert(None).tz_localize("Asia/Tokyo").tz_convert("UTC"), names)
    assert night.iloc[2, 3] == 0.0


def test_a_gate_is_shut_where_the_market_wakes():
    rng = np.random.default_rng(2)
    sd = np.r_[np.full(400, 1.0), np.full(60, 5.0), np.full(400, 1.0)]
    out = compute(frame(mid=1e4 + np.cumsum(sd * rng.normal(size=860))), ["zscore_calm_10"])
    assert (out["zscore_calm_10"].iloc[412:440] == 0.0).all()
    assert (out["zscore_calm_10"].iloc[480:520] != 0.0).all()


def test_reversion_to_be_expected_by_hand(bars):
    out = compute(bars, ["zscore_100", "half_life_100", "zscore_expected_100"]).dropna()
    assert len(out) > 100
    z = 3 * np.tanh(out["zscore_100"] / 3)
    expected = -z * (1 - 0.5 ** (10 / out["half_life_100"]))  # bars of a second
    np.testing.assert_allclose(out["zscore_expected_100"], expected, rtol=1e-12)


@pytest.mark.parametrize("name", BOUNDED)
def test_it_stays_within_bounds_on_wild_bars(bars, name):
    """Every seventh bar a million times as large: what is squashed or a share has no tails."""
    wild = bars.iloc[: 2 * get(name).warmup + 300].copy()
    free = [column for column in wild if COLUMNS[column].unit != "-1..1"]
    wild.loc[wild.index[::7], free] *= 1e6
    values = compute(wild, [name])[name].dropna()
    assert len(values)
    assert values.abs().max() <= 3**3


def test_as_long_as_its_inputs():
    with scratch():
        about = {**ABOUT, "lookback": "inputs", "warmup": "inputs"}

        @feature("pair", inputs=("mid", "vol_ratio_{window}", "zscore_7"), windows=(5,), **about)
        def pair(bars, roll, *, window):
            return bars["zscore_7"] * bars[f"vol_ratio_{window}"]

        assert (get("pair_5").lookback, get("pair_5").warmup) == (50, 50)
        assert get("pair_60").warmup == 600
        feature("filtered", inputs=("ema_dev_bps_60", "zscore_300"), **about)(pair)
        assert (get("filtered").lookback, get("filtered").warmup) == (None, 299)
        feature("plain", inputs=("mid",), **about)(pair)
        assert (get("plain").lookback, get("plain").warmup) == (0, 0)
        with pytest.raises(ConfigError, match="no feature 'log_return'"):
            feature("vague", inputs=("log_return",), **about)(pair)
