"""The doctor's counts against pandas and by hand, and the size and power of its test for drift."""

import sys

import numpy as np
import pandas as pd
import pytest
from scipy import signal, stats

from mrtrade.errors import ConfigError
from mrtrade.features import compute
from mrtrade.features.doctor import diagnose
from mrtrade.features.example import example_bars


def frame(**columns) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    index = pd.date_range("2024-01-01", periods=rows, freq="1min", tz="UTC", name="time")
    return pd.DataFrame(columns, index=index)


def autoregressive(rng, rows: int, series: int, phi: float) -> pd.DataFrame:
    noise = rng.normal(size=(rows + 500, series))
    values = signal.lfilter([1.0], [1.0, -phi], noise, axis=0)[500:]
    return frame(**{f"x{k}": values[:, k] for k in range(series)})


def test_counts_by_hand():
    nan, inf = np.nan, np.inf
    x = np.array([nan, nan, 1.0, 1.0, 1.0, nan, nan, nan, 2.0, 3.0, inf, 3.0])
    row = diagnose(frame(x=x)).loc["x"]
    assert (row["rows"], row["warmup"], row["gap"], row["flat"]) == (12, 2, 3, 3)
    assert row["empty"] == pytest.approx(4 / 10)
    assert row["same"] == pytest.approx(3 / 6)
    assert row[["min", "median", "max", "mad"]].tolist() == [1.0, 1.5, 3.0, 0.5]
    assert row["first"] == pd.Timestamp("2024-01-01 00:02", tz="UTC")
    assert row["last"] == pd.Timestamp("2024-01-01 00:11", tz="UTC")
    assert np.isnan(row["ks_p"])
    assert row["distinct"] == 3
    assert row["finding"] == "40% empty, longest 3 bars"  # of a flag, not that it repeats
    more = diagnose(frame(x=np.r_[x, 4.0, 5.0, np.ones(7)])).loc["x"]
    assert more["finding"] == "21% empty, longest 3 bars; 67% are one value"


def test_outliers_against_scipy():
    x = np.random.default_rng(0).standard_t(1.5, 4000)
    row = diagnose(frame(x=x)).loc["x"]
    sd = stats.median_abs_deviation(x, scale="normal")
    assert row["mad"] == pytest.approx(stats.median_abs_deviation(x))
    assert row["outliers"] == pytest.approx((np.abs(x - np.median(x)) > 8 * sd).mean(), abs=1e-9)
    assert 0.01 < row["outliers"] < 0.1
    assert row["finding"] == f"{row['outliers']:.1%} beyond 8 robust sd"
    tame = diagnose(frame(x=np.random.default_rng(0).normal(size=4000))).loc["x"]
    assert tame["outliers"] == 0.0
    assert tame["finding"] == ""


def test_nothing_and_next_to_nothing():
    table = frame(
        flat=np.full(300, 0.1),
        none=np.full(300, np.nan),
        mostly=np.r_[np.zeros(280), np.arange(20.0)],
        huge=np.r_[np.full(150, -1e300), np.full(150, 1e300)],
    )
    table.attrs["reasons"] = {"none": "the bars have no column 'mark'"}
    found = diagnose(table)
    assert found.loc["none", "finding"] == "no value: the bars have no column 'mark'"
    assert found.loc["none", "warmup"] == 300
    assert found.loc["flat", "finding"] == "constant, 0.1"
    assert found.loc["flat", "flat"] == 300
    assert "94% are one value; the same for 281 bars" in found.loc["mostly", "finding"]
    assert np.isnan(found.loc["mostly", "outliers"])
    assert found.loc["huge", "max"] == 1e300
    assert diagnose(table.iloc[:0])["finding"].tolist()[1:] == [
        "no value: the bars have no column 'mark'",
        "no value",
        "no value",
    ]
    assert diagnose(table[[]]).empty


def test_of_features():
    bars = example_bars(900)
    found = diagnose(
        compute(bars.drop(columns="mark"), ["zscore_60", "spread_bps", "trade_size_60"])
    )
    assert found.loc["zscore_60", "warmup"] == 59
    assert found.loc["spread_bps", "empty"] == 0.0


def plain_alarms(table: pd.DataFrame) -> float:
    half = len(table) // 2
    values = (table[name].to_numpy() for name in table)
    return float(np.mean([stats.ks_2samp(x[:half], x[half:]).pvalue < 0.05 for x in values]))


@pytest.mark.simulation
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_drift_of_what_does_not_drift(phi):
    """200 series of each: 5 % +- 4.6 % at three standard errors."""
    table = autoregressive(np.random.default_rng(5), 2000, 200, phi)
    found = diagnose(table)
    assert 0.005 <= (found["ks_p"] <= 0.05).mean() <= 0.10
    if phi == 0.9:
        assert plain_alarms(table) > 0.6
    # what the stability index is where nothing drifts
    assert found["psi"].mean() == pytest.approx(found["psi_null"].mean(), rel=0.3)
    if phi == 0.0:
        assert found["psi_null"].mean() == pytest.approx(9 * (1 / 1000 + 1 / 1000), rel=0.1)
        assert found["ks"].median() == pytest.approx(
            np.median([stats.ks_2samp(x[:1000], x[1000:]).statistic for x in table.to_numpy().T]),
            rel=0.15,
        )


def test_a_shift_is_found():
    """Half a standard deviation, in 4000 bars of AR(0.9): some 200 independent values."""
    rng = np.random.default_rng(6)
    table = autoregressive(rng, 4000, 60, 0.9)
    shifted = table.copy()
    shifted.iloc[2000:] += 0.5 * table.std()
    found = diagnose(shifted)
    assert (found["ks_p"] <= 0.05).mean() > 0.75
    assert (found["psi"] > 2.0 * found["psi_null"]).mean() > 0.75
    assert found["finding"].str.startswith("drift: distributions 0.").mean() > 0.5
    # and of independent values each time, with unequal periods
    values = frame(x=np.r_[rng.normal(size=1500), rng.normal(0.5, 1.0, 500)])
    when = values.index[1500]
    assert diagnose(values, split=when).loc["x", "ks_p"] == 0.001
    assert diagnose(values.iloc[:1500], split=when).loc["x", ["ks", "ks_p"]].isna().all()


def test_the_larger_a_shift_the_surer_it_is_found():
    # A shift in what the length of blocks is taken from made them so long that nothing was called.
    values = np.random.default_rng(7).normal(size=2000)
    for size in (0.5, 1.0, 3.0, 10.0):
        shifted = values + np.where(np.arange(2000) < 1000, 0.0, size)
        assert diagnose(frame(x=shifted)).loc["x", "ks_p"] <= 0.005


def test_too_short_to_say():
    """A walk of 300 bars, and hours of the day that are surely but hardly apart."""
    rng = np.random.default_rng(8)
    walk = diagnose(frame(x=np.cumsum(rng.normal(size=300)))).loc["x"]
    assert walk["ks"] > 0.2
    assert np.isnan(walk["ks_p"])
    assert walk["finding"] == ""
    clock = diagnose(frame(x=np.sin(np.arange(4000) / 4.0))).loc["x"]
    assert clock["ks"] < 0.05
    assert clock["finding"] == ""


def test_the_index_is_its_definition():
    rng = np.random.default_rng(7)
    x = np.r_[rng.normal(size=800), rng.normal(0.3, 1.2, 700)]
    table = frame(x=x)
    row = diagnose(table, split=table.index[800]).loc["x"]
    edges = np.r_[-np.inf, np.quantile(x[:800], np.arange(1, 10) / 10), np.inf]
    p = np.histogram(x[:800], edges)[0] / 800
    q = np.histogram(x[800:], edges)[0] / 700
    assert row["psi"] == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert row["ks"] == pytest.approx(stats.ks_2samp(x[:800], x[800:]).statistic, abs=0.02)


def test_the_same_again(monkeypatch):
    table = autoregressive(np.random.default_rng(1), 600, 3, 0.5)
    assert diagnose(table).equals(diagnose(table))
    monkeypatch.setitem(sys.modules, "arch.bootstrap", None)
    with pytest.raises(ConfigError, match=r"needs arch. To fix: pip install 'mrtrade\[research\]'"):
        diagnose(table)
