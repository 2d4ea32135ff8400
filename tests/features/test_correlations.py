"""Information coefficients against scipy, statsmodels and what is known of noise."""

import subprocess
import sys
from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import signal, stats
from statsmodels.stats.multitest import multipletests

from mrtrade.errors import ConfigError, DataError
from mrtrade.features import analyze_feature_correlations, forward_returns
from mrtrade.features.correlations import long_run


def grid(rows: int, freq: str = "1h") -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=rows, freq=freq, tz="UTC", name="time")


def autoregressive(rng, shape, phi: float) -> np.ndarray:
    noise = rng.normal(size=(shape[0] + 500, *shape[1:]))
    return signal.lfilter([1.0], [1.0, -phi], noise, axis=0)[500:]


@pytest.fixture(scope="module")
def case():
    """Three features, one of them told by the returns, with ties and gaps here and there."""
    rng = np.random.default_rng(4)
    rows = 3000
    price = pd.Series(100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, rows))), index=grid(rows))
    returns = forward_returns(price, (1, 5, 24))
    features = pd.DataFrame(
        {
            "slow": autoregressive(rng, (rows,), 0.95),
            "coarse": rng.integers(0, 4, rows).astype(float),
            "knows": returns[5].fillna(0.0) + rng.normal(0.0, 0.01, rows),
        },
        index=price.index,
    )
    features.iloc[:30, 0] = np.nan
    features.iloc[500:510, 2] = np.inf
    returns.iloc[700:720, 1] = np.nan
    return features, returns, analyze_feature_correlations(features, returns)


def test_forward_returns_by_hand():
    index = pd.DatetimeIndex(["00:00", "00:01", "00:02", "00:03", "00:10", "00:11"])
    price = pd.Series([1.0, 2.0, 4.0, 2.0, 8.0, 0.0], index=index.tz_localize("UTC"))
    out = forward_returns(price, [1, 2]) / np.log(2.0)
    nan = np.nan
    assert list(out) == [1, 2]
    assert out[1].tolist() == pytest.approx([1.0, 1.0, -1.0, nan, nan, nan], nan_ok=True)
    assert out[2].tolist() == pytest.approx([2.0, 0.0, nan, nan, nan, nan], nan_ok=True)
    assert forward_returns(price.iloc[:1], [1])[1].isna().all()
    assert forward_returns(price, [10])[10].isna().all()
    with pytest.raises(ConfigError, match=r"was 0; expected >= 1"):
        forward_returns(price, [0])


def test_coefficients_are_scipys(case):
    features, returns, found = case
    assert len(found.table) == 9
    for row in found.table.itertuples():
        x, y = features[row.feature].to_numpy(), returns[row.returns].to_numpy()
        ok = np.isfinite(x) & np.isfinite(y)
        assert row.n == ok.sum()
        assert row.reason == ""
        assert row.ic == pytest.approx(stats.pearsonr(x[ok], y[ok]).statistic, rel=1e-10)
        assert row.rank_ic == pytest.approx(stats.spearmanr(x[ok], y[ok]).statistic, rel=1e-10)
        assert found.decay.loc[row.feature, row.returns] == row.rank_ic
        assert found.by_symbol.loc[(row.feature, row.returns), "all"] == pytest.approx(row.rank_ic)


def hac_t(x, y, h: int, ok) -> float:
    """The smaller t of the mean product of the standardised two, whose gaps have no score."""
    x, y = (stats.zscore(one[ok]) for one in (x, y))
    ic = (x * y).mean()
    scores = np.zeros(len(ok))
    scores[ok] = x * y - ic
    # statsmodels has no gaps: a regression of the scores on 1, whose scores they are
    gapless = sm.OLS(scores, np.ones(len(scores))).fit()
    kinds = [
        gapless.get_robustcov_results("HAC", maxlags=h - 1, kernel=kernel, use_correction=False)
        for kernel in ("uniform", "bartlett")
    ]
    error = max(kind.bse[0] for kind in kinds) * len(scores)
    return ic * ok.sum() / error


def test_t_statistics_are_those_of_statsmodels(case):
    features, returns, found = case
    for row in found.table.itertuples():
        x, y = features[row.feature].to_numpy(), returns[row.returns].to_numpy()
        ok = np.isfinite(x) & np.isfinite(y)
        assert row.ic_t == pytest.approx(hac_t(x, y, row.horizon, ok), rel=1e-8)
        ranks = [np.zeros(len(x)), np.zeros(len(x))]
        for out, one in zip(ranks, (x, y), strict=True):
            out[ok] = stats.rankdata(one[ok])
        assert row.rank_ic_t == pytest.approx(hac_t(*ranks, row.horizon, ok), rel=1e-8)
        spans = row.n / row.horizon
        assert row.rank_ic_p == pytest.approx(2 * stats.t.sf(abs(row.rank_ic_t), spans - 1))
    # and as one regression, where there are no gaps
    x, y = (stats.zscore(one.to_numpy()[:690]) for one in (features["coarse"], returns[24]))
    plain = sm.OLS(x * y, np.ones(len(x)))
    t = [
        plain.fit(
            cov_type="HAC", cov_kwds={"maxlags": 23, "kernel": kernel, "use_correction": False}
        ).tvalues[0]
        for kernel in ("uniform", "bartlett")
    ]
    one = analyze_feature_correlations(features[["coarse"]].iloc[:690], returns[[24]])
    assert one.table["ic_t"][0] == pytest.approx(min(t, key=abs), rel=1e-9)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("h", [1, 2, 3, 7, 80])
def test_long_run_variance_is_its_definition(length, h):
    scores = np.random.default_rng(length).normal(size=length)
    lags = range(min(h, length))
    products = [(1 if k == 0 else 2) * scores[k:] @ scores[: length - k] for k in lags]
    weighted = sum((1.0 - k / min(h, length)) * value for k, value in enumerate(products))
    assert long_run(scores, h) == pytest.approx(max(sum(products), weighted), rel=1e-9)


def rejections(phi: float, h: int, rows: int) -> tuple[float, float, float]:
    """Share of 5 % tests that find something in noise: Pearson, Spearman, and without overlap."""
    rng = np.random.default_rng(11)
    index = grid(rows, "5min")
    features = pd.DataFrame(autoregressive(rng, (rows, 60), phi), index=index)
    moves = np.cumsum(rng.standard_t(5, (rows + h, 25)), axis=0)
    returns = pd.DataFrame(moves[h:] - moves[:-h], index=index)
    table = analyze_feature_correlations(features, returns, horizon=h).table
    naive = np.abs(table["ic"]) * np.sqrt(rows / (1.0 - table["ic"] ** 2)) > 1.96
    return (table["ic_p"] < 0.05).mean(), (table["rank_ic_p"] < 0.05).mean(), naive.mean()


@pytest.mark.simulation
@pytest.mark.parametrize(
    ("phi", "h", "rows"), [(0.0, 12, 1500), (0.9, 1, 1500), (0.9, 12, 1500), (0.95, 24, 4000)]
)
def test_size_is_nominal_where_the_naive_one_is_not(phi, h, rows):
    pearson, spearman, naive = rejections(phi, h, rows)
    # 1500 tests: +- 0.017 at three standard errors; what is left of a bias is 0.02
    assert 0.03 < pearson < 0.08
    assert 0.03 < spearman < 0.08
    assert naive > 0.4 or h == 1 or phi == 0.0


@pytest.mark.parametrize("rows_set", [1, 2, 5, 20])
@pytest.mark.parametrize("h", [1, 12])
def test_a_flag_seen_once_tells_nothing(rows_set, h):
    """One run of a flag is one case; residuals of a regression on it would sum to 0 there."""
    rng = np.random.default_rng(5)
    rows, tries = 600, 60
    flags = np.zeros((rows, tries))
    for column, start in enumerate(rng.integers(0, rows - rows_set, tries)):
        flags[start : start + rows_set, column] = 1.0
    features = pd.DataFrame(flags, index=grid(rows))
    path = np.r_[0.0, np.cumsum(rng.normal(size=(rows + h)))]
    returns = pd.DataFrame({h: path[h : rows + h] - path[:rows]}, index=features.index)
    table = analyze_feature_correlations(features, returns).table
    assert (table["ic_p"] < 0.05).mean() <= 0.1
    assert (table["rank_ic_p"] < 0.05).mean() <= 0.1


def test_a_planted_relation_is_found(case):
    table = case[2].table.set_index(["feature", "returns"])
    assert table.loc[("knows", 5), "rank_ic_t"] > 5.0
    assert table.loc[("knows", 5), "rank_ic_p_adj"] < 1e-4
    assert table.loc[("knows", 5), "sign_stability"] == 1.0
    assert case[2].summary(2)["feature"].tolist() == ["knows", "knows"]
    assert case[2].summary(1)["returns"].tolist() == [5]


@pytest.mark.parametrize(("method", "theirs"), [("by", "fdr_by"), ("bh", "fdr_bh")])
def test_adjusted_for_all_tests_made(case, method, theirs):
    features, returns, _ = case
    wide = features.assign(flat=1.0)
    table = analyze_feature_correlations(wide, returns, adjust=method).table
    p = table[["ic_p", "rank_ic_p"]].to_numpy()
    done = np.isfinite(p)
    assert done.sum() == 18
    adjusted = table[["ic_p_adj", "rank_ic_p_adj"]].to_numpy()
    assert adjusted[done] == pytest.approx(multipletests(p[done], method=theirs)[1])
    assert np.isnan(adjusted[~done]).all()


def test_by_month(case):
    features, returns, found = case
    assert list(found.by_month) == ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"]
    month = features.index.strftime("%Y-%m")
    for name, h in product(features, returns):
        whole = found.table.set_index(["feature", "returns"]).loc[(name, h)]
        agree = []
        for key in found.by_month:
            both = pd.concat([features[name], returns[h]], axis=1)[month == key]
            both = both.replace(np.inf, np.nan).dropna()
            value = found.by_month.loc[(name, h), key]
            if len(both) < max(20, 3 * h):
                assert np.isnan(value)
                continue
            assert value == pytest.approx(stats.spearmanr(*both.to_numpy().T).statistic)
            agree.append(np.sign(value) == np.sign(whole["rank_ic"]))
        assert whole["sign_stability"] == pytest.approx(np.mean(agree))


def test_symbols_that_move_as_one_are_one(case):
    """Twice the same rows tell nothing new, and the t statistic knows it."""
    features, returns, found = case
    twice = analyze_feature_correlations(
        {"A": features, "B": features}, {"B": returns, "A": returns}
    )
    for name in ("ic", "ic_t", "rank_ic", "rank_ic_t", "rank_ic_p", "sign_stability"):
        assert twice.table[name].tolist() == pytest.approx(found.table[name].tolist()), name
    assert (twice.table["n"] == 2 * found.table["n"]).all()
    assert list(twice.by_symbol) == ["A", "B"]
    assert (twice.by_symbol["A"] == twice.by_symbol["B"]).all()


def test_symbols_as_a_level_and_of_other_times(case):
    features, returns, _ = case
    parts = {"A": features.iloc[:2000], "B": features.iloc[1000:]}
    apart = analyze_feature_correlations(parts, {"A": returns, "B": returns})
    level = pd.concat(parts, names=["symbol"])
    stacked = pd.concat({"A": returns, "B": returns}, names=["symbol"])
    assert apart.table.equals(analyze_feature_correlations(level, stacked).table)
    one = analyze_feature_correlations(parts["B"], returns)
    assert apart.by_symbol["B"].tolist() == pytest.approx(one.table["rank_ic"].tolist())
    n = np.array([analyze_feature_correlations(x, returns).table["n"] for x in parts.values()]).T
    mean = (apart.by_symbol.to_numpy() * n).sum(axis=1) / n.sum(axis=1)
    assert apart.table["rank_ic"].tolist() == pytest.approx(mean.tolist())
    with pytest.raises(DataError, match="no symbol in common"):
        analyze_feature_correlations({"A": features}, {"B": returns})


def test_no_value_has_a_reason(case):
    features, returns, _ = case
    odd = pd.DataFrame(
        {
            "flat": 0.1,
            "none": np.nan,
            "few": features["slow"].where(np.arange(3000) < 45),
            "huge": features["slow"] * 1e300,
            "slow": features["slow"],
        },
        index=features.index,
    )
    table = analyze_feature_correlations(odd, returns).table.set_index(["feature", "returns"])
    assert table.loc[("flat", 1), "reason"] == "feature constant"
    assert table.loc[("none", 1), "reason"] == "0 pairs"
    assert table.loc[("few", 1), "reason"] == "15 pairs"
    assert table.loc[("flat", 1), ["ic", "ic_t", "rank_ic_p_adj"]].isna().all()
    assert table.loc[("huge", 5), "ic_t"] == pytest.approx(table.loc[("slow", 5), "ic_t"])
    short = analyze_feature_correlations(features.iloc[100:160], returns).table
    assert short["reason"][2] == "2.5 returns of 24 bars without overlap"
    assert np.isfinite(short["ic"][2])
    assert np.isnan(short["ic_t"][2])
    still = analyze_feature_correlations(features, returns * 0.0).table
    assert (still["reason"] == "returns constant").all()
    empty = analyze_feature_correlations(features.iloc[:0], returns)
    assert (empty.table["reason"] == "0 pairs").all()
    assert empty.by_month.shape == (9, 0)


def test_the_overlap_has_to_be_said(case):
    features, returns, found = case
    named = returns[5].rename("next")
    with pytest.raises(ConfigError, match=r"return 'next' span.*horizon=12"):
        analyze_feature_correlations(features, named)
    for horizon in (5, {"next": 5}):
        again = analyze_feature_correlations(features, named, horizon=horizon).table
        assert again["rank_ic_t"].tolist() == found.table["rank_ic_t"][1::3].tolist()
    with pytest.raises(ConfigError, match="whole number"):
        analyze_feature_correlations(features, named, horizon=0)
    with pytest.raises(DataError, match="row 1: times fall or repeat"):
        analyze_feature_correlations(features.iloc[[1, 1]], returns)
    with pytest.raises(ConfigError, match="expected frames"):
        analyze_feature_correlations([1.0], returns)


def test_heat_map(case, tmp_path):
    features, returns, found = case
    place = found.heatmap(tmp_path / "ic.png")
    assert place.read_bytes().startswith(b"\x89PNG")
    assert place.read_bytes() == found.heatmap(tmp_path / "again.png").read_bytes()
    flat = analyze_feature_correlations(features * 0.0, returns)
    assert flat.heatmap(tmp_path / "flat.png", top=1).is_file()


def test_the_import_is_light():
    code = (
        "import sys, mrtrade.features as f; f.forward_returns, f.analyze_feature_correlations;"
        "assert not {'scipy', 'statsmodels', 'matplotlib', 'arch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_is_one_clear_error(case, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(
        ConfigError, match=r"needs scipy. To fix: pip install 'mrtrade\[research\]'"
    ):
        analyze_feature_correlations(*case[:2])
