import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.backtest import metrics, run, sweep_work
from mrtrade.backtest.bar_costs import SpreadCost
from mrtrade.backtest.bar_run import run_bars
from mrtrade.backtest.grid import combinations, make_axes, parse_axis
from mrtrade.backtest.sweep import COST_SCALE, sweep
from mrtrade.clock import NS_PER_DAY, from_ns
from mrtrade.config import load_config
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.dataset import Dataset
from mrtrade.ml.trials import TrialLedger
from mrtrade.parallel import Workers
from mrtrade.strategies import make_strategy

from .make import START

ENTRY = "strategy.params.entry"
TAKER = "transaction_costs.taker_fee_bps"


@pytest.fixture(autouse=True)
def _forget():
    sweep_work.forget()


# Grids ------------------------------------------------------------------------------


@given(
    st.dictionaries(
        st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=4, unique=True)
    ),
    st.integers(1, 300),
    st.integers(0, 9),
)
def test_a_grid_is_the_product_and_a_sample_a_part_of_it(axes, sample, seed):
    whole = [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]
    assert combinations(axes) == whole
    drawn = combinations(axes, sample, seed)
    assert drawn == combinations(axes, sample, seed)
    assert len(drawn) == min(sample, len(whole))
    places = [whole.index(point) for point in drawn]
    assert places == sorted(set(places))


def test_a_sample_hangs_on_its_seed_and_grids_may_be_beyond_counting():
    axes = {name: list(range(100)) for name in "abcdef"}
    first, second = combinations(axes, 50, 1), combinations(axes, 50, 2)
    assert len(first) == 50
    assert first != second
    with pytest.raises(ConfigError, match="draw a sample"):
        combinations(axes)
    with pytest.raises(ConfigError, match="at least 1"):
        combinations(axes, 0)


def test_axes_are_read_as_yaml():
    assert parse_axis("a.b=1.5,2,yes,null,x") == ("a.b", [1.5, 2, True, None, "x"])
    assert parse_axis("a=[1, 2],[3]") == ("a", [[1, 2], [3]])
    for text in ("a", "a=", "=1", "a=[1"):
        with pytest.raises(ConfigError, match="KEY=VALUE"):
            parse_axis(text)
    with pytest.raises(ConfigError, match="varied twice"):
        make_axes([("a", [1]), ("a", [2])])
    with pytest.raises(ConfigError, match="is there twice"):
        make_axes([("a", [1, 1])])
    with pytest.raises(ConfigError, match="no values"):
        make_axes([("a", [])])


# On a recording ---------------------------------------------------------------------

RATIOS = ("sharpe_before", "sharpe_after")
CASES = {
    "passive": {},
    "perpetual": {"symbol": "BTC/USDT-PERP"},
    "aggressive": {"execution": {"mode": "aggressive"}, "latency": {"entry_ms": 40.0}},
    "tiers": {
        "transaction_costs": {"tiers": [[0, 2.0, 5.0], [3_000, 1.0, 4.0]], "volume_30d": 0.0}
    },
}


@pytest.mark.parametrize("case", CASES)
def test_each_row_is_the_backtest_itself(market, case):
    base = market | CASES[case]
    axes = {ENTRY: [0.6, 1.2], "queue.preset": ["queue", "strict"]}
    if case == "perpetual":  # a strategy that is never flat: it meets the settlements
        base |= {"strategy": {"name": market["strategy"]["name"].replace("fade", "flip")}}
        axes = {"execution.timeout_s": [1.0, 3.0], "queue.preset": ["queue", "strict"]}
    if case != "tiers":
        axes[TAKER] = [0.0, 7.5]
    answer = sweep(base, axes)
    assert answer.replays == 4
    assert len(answer.frame) == math.prod(map(len, axes.values()))
    for _, row in answer.frame.iterrows():
        overrides = {key: row[key] for key in axes} | {"queue.compare": False}
        result = run(load_config(base, overrides))
        costs = result.costs
        expected = {
            "net": costs.net,
            "gross": costs.gross,
            "slippage": costs.slippage,
            "spread": costs.spread,
            "fees": costs.fees,
            "funding": costs.funding,
            "turnover": result.stats["Turnover [settlement]"],
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-8), name
        assert row["fills"] == len(result.fills) > 20
        assert row["trades"] == result.stats["Round trips"]
        share = result.stats["Maker share [%]"]
        assert row["maker_share"] == pytest.approx(share / 100.0, abs=1e-9)
    if case == "perpetual":
        assert (answer.frame["funding"] != 0.0).all()


def test_a_sample_keeps_all_multiples_of_the_costs(market):
    axes = {ENTRY: [0.6, 0.9, 1.2], COST_SCALE: [0.5, 1.0, 2.0], TAKER: [0.0, 7.5]}
    whole, drawn = sweep(market, axes).frame, sweep(market, axes, sample=2, seed=1).frame
    assert len(drawn) == 6
    assert sorted(set(drawn[COST_SCALE])) == [0.5, 1.0, 2.0]
    assert (drawn.groupby([ENTRY, TAKER]).size() == 3).all()
    same = drawn.merge(whole, on=list(axes), suffixes=("", "_whole"))
    assert (same["net"] == same["net_whole"]).all()


def test_equity_is_looked_at_as_the_backtest_does(market, monkeypatch):
    # Hours are too long for three minutes: look every ten seconds.
    monkeypatch.setattr(sweep_work, "period_of", lambda span: 10 * 10**9)
    base = market | {"symbol": "BTC/USDT-PERP"}
    answer = sweep(base, {ENTRY: [1.0]})
    result = run(load_config(base, {ENTRY: 1.0, "queue.compare": False}))
    row = answer.frame.iloc[0]
    time = result.equity.index
    at = np.searchsorted(time.asi8, np.arange(time.asi8[0], time.asi8[-1] + 1, 10**10), "right") - 1
    equity = result.equity["equity"].to_numpy()[at]
    assert row["periods"] == len(at) - 1
    assert row["sharpe_after"] == pytest.approx(metrics.sharpe(np.diff(equity) / 10_000.0))
    assert row["max_drawdown"] == pytest.approx(metrics.drawdown(equity).max() / 10_000.0)
    # Ten times no cost is no cost: before is after with nothing charged.
    free = sweep(base, {ENTRY: [1.0], COST_SCALE: [0.0]}).frame.iloc[0]
    assert free["sharpe_after"] == free["sharpe_before"] == row["sharpe_before"]
    assert free["net"] == pytest.approx(row["gross"] - row["funding"])


def test_a_scale_multiplies_what_was_charged_and_shares_the_replay(market):
    answer = sweep(market, {COST_SCALE: [0.5, 1, 3.0], TAKER: [1.0, 5.0], ENTRY: [1.0]})
    assert answer.replays == 1
    frame = answer.frame
    for name in ("slippage", "spread", "fees", "costs"):
        half, one, three = (frame.loc[frame[COST_SCALE] == k, name].to_numpy() for k in (0.5, 1, 3))
        np.testing.assert_allclose(half, 0.5 * one, rtol=1e-12)
        np.testing.assert_allclose(three, 3.0 * one, rtol=1e-12)
    np.testing.assert_allclose(
        frame["net"], frame["gross"] - frame["costs"] - frame["funding"], atol=1e-9
    )
    assert frame["gross"].nunique() == 1
    best = frame.loc[frame["rank"] == 1].iloc[0]
    assert best["net"] == frame["net"].max()
    assert sorted(frame["rank"]) == [1, 2, 3, 4, 5, 6]


def test_margin_makes_every_fee_a_replay_of_its_own(market):
    base = market | {"account": {"initial_margin": 0.1, "maintenance_margin": 0.05}}
    assert sweep(base, {TAKER: [1.0, 5.0], ENTRY: [1.0]}).replays == 2


def test_the_same_bits_whoever_works(market, tmp_path):
    axes = {ENTRY: [0.5, 0.8, 1.1], "latency.feed_ms": [2.0, 5.0], COST_SCALE: [1.0, 2.0]}
    alone = sweep(market, axes)
    for workers in (Workers(2), Workers(2, "threading")):
        other = sweep(market, axes, workers=workers)
        pd.testing.assert_frame_equal(other.frame, alone.frame, check_exact=True)
    for name in ("one.csv", "one.parquet"):
        path = alone.save(tmp_path / "new" / name)
        # as text first: pandas' own parser of numbers is not exact
        again = pd.read_csv(path, dtype=str) if name.endswith("csv") else pd.read_parquet(path)
        np.testing.assert_array_equal(again["net"].astype(float), alone.frame["net"])
        assert [one.name for one in path.parent.iterdir() if one.name.startswith(".")] == []
    with pytest.raises(ConfigError, match=r"\.csv or \.parquet"):
        alone.save(tmp_path / "one.xlsx")


@pytest.mark.shared
def test_the_same_bits_on_a_recorded_day(shared_data, tmp_path):
    store = ParquetStore(tmp_path / "store")
    for table in ("book_delta_v2", "book_seed", "trades"):
        ingest(shared_data / "lake" / table / "exchange=BINANCE" / "symbol=NEXO-USDT", store)
    base = {
        **{"store": store.url, "exchange": "BINANCE", "symbol": "NEXO/USDT"},
        "strategy": {"name": "statistical", "params": {"regime_filter": False, "min_spreads": 0}},
    }
    axes = {
        "strategy.params.entry_z": [1.0, 1.5, 2.0],
        "latency.entry_ms": [1.0, 50.0],
        COST_SCALE: [1.0, 2.0],
    }
    alone = sweep(base, axes)
    assert (alone.frame["trades"] > 0).all()
    assert alone.period_ns == NS_PER_DAY // 24  # a day is too short for daily returns
    # The same targets, by slower orders: the plan that is kept is not taken for the fills.
    assert alone.frame.groupby("strategy.params.entry_z")["net"].nunique().tolist() == [4, 4, 4]
    for workers in (Workers(2), Workers(2, "threading")):
        other = sweep(base, axes, workers=workers)
        pd.testing.assert_frame_equal(other.frame, alone.frame, check_exact=True)


def test_features_and_the_recording_are_read_once(market, monkeypatch):
    computed, read = [], []
    features_of, load = sweep_work.scenes.features_of, sweep_work.scenes.load_leg
    monkeypatch.setattr(
        sweep_work.scenes,
        "features_of",
        lambda bars, names, who: computed.extend(names) or features_of(bars, names, who),
    )
    monkeypatch.setattr(sweep_work.scenes, "load_leg", lambda *args: read.append(1) or load(*args))
    sweep(market, {ENTRY: [0.5, 1.0, 1.5], "execution.mode": ["passive", "aggressive"]})
    assert sorted(computed) == ["imbalance_5", "zscore_30"]
    assert read == [1]


def test_every_configuration_is_counted_once(market, tmp_path):
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    seen = []
    axes = {ENTRY: [0.5, 1.0], COST_SCALE: [1.0, 2.0]}
    told = lambda done, of: seen.append((done, of))  # noqa: E731
    first = sweep(market, axes, ledger=ledger, study="fade", done=told)
    assert first.new_trials == ledger.count("fade") == 4
    assert seen[-1] == (4, 4)
    # Another grid with some of the same: what is known is known, whatever grid it was in.
    second = sweep(market, {ENTRY: [1.0, 1.5]}, ledger=ledger, study="fade")
    assert second.new_trials == 1
    kept = ledger.frame("fade")
    assert set(kept["kind"]) == {"sweep"}
    assert [p["params"]["entry"] for p in kept["params"]] == [0.5, 0.5, 1.0, 1.0, 1.5]
    assert kept["data"].nunique() == 1
    assert (kept["period_ns"] == first.period_ns).all()


def test_parameters_that_a_strategy_refuses_are_told_in_their_row(market, tmp_path):
    base = market | {"strategy": {"name": "statistical"}}
    axes = {"strategy.params.entry_z": [1.0, 2.0], "strategy.params.exit_z": [0.0, 1.5]}
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    answer = sweep(base, axes, ledger=ledger)
    assert [why is None for why in answer.frame["refused"]] == [True, False, True, True]
    assert "exit_z 1.5 must be < entry_z 1.0" in answer.frame["refused"][1]
    assert answer.frame["rank"].isna().tolist() == [False, True, False, False]
    assert answer.frame["net"].isna().tolist() == [False, True, False, False]
    assert ledger.count() == 3
    with pytest.raises(ConfigError, match="no parameter 'entry_y'"):
        sweep(base, {"strategy.params.entry_y": [1.0]})
    with pytest.raises(ConfigError, match="unknown key"):
        sweep(base, {"execution.modus": ["passive"]})
    with pytest.raises(ConfigError, match="multiple of costs"):
        sweep(base, {COST_SCALE: [-1.0]})
    with pytest.raises(ConfigError, match="trades two legs"):
        sweep(base, {"strategy.name": ["funding"]})


# On a dataset -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    n = 40 * 288
    rng = np.random.default_rng(3)
    mid = 100.0 * np.exp(np.cumsum(rng.normal(0, 2e-3, n)))
    opened = np.r_[100.0, mid[:-1]]
    time = START // NS_PER_DAY * NS_PER_DAY + 300 * 10**9 * np.arange(1, n + 1)
    bars = pd.DataFrame(
        {
            "mid": mid,
            "mid_open": opened,
            "mid_high": np.maximum(mid, opened) * 1.001,
            "mid_low": np.minimum(mid, opened) * 0.999,
            "spread_mean_bps": 2.0 + rng.random(n),
        },
        index=from_ns(time).rename("time"),
    )
    folder = tmp_path_factory.mktemp("data") / "set"
    data = Dataset("BTC/USDT", bars, pd.DataFrame(index=bars.index))
    data.save(folder)
    return folder


ON_BARS = {
    "exchange": "SYNTHETIC",
    "symbol": "BTC/USDT",
    "capital": 20_000.0,
    "execution": {"mode": "aggressive"},
    "transaction_costs": {"maker_fee_bps": 1.0, "taker_fee_bps": 4.0},
}


FADE = """
from mrtrade.strategies import Rules, Strategy, StrategyParams


class Fade(Strategy):
    features = ("zscore_30",)

    class Params(StrategyParams):
        entry: float = 1.0

    def rules(self, row):
        z, entry = row["zscore_30"], self.params.entry
        return Rules(z < -entry, z > entry, z > 0, z < 0, 1.0, stop_bps=80.0, hold_s=3600.0)
"""


@pytest.fixture
def plain(dataset):
    file = dataset.parent / "fade.py"
    file.write_text(FADE)
    return ON_BARS | {"strategy": {"name": str(file)}}


def test_rows_on_bars_are_the_runs_on_bars(plain, dataset, tmp_path):
    base = plain
    axes = {ENTRY: [1.0, 2.0], TAKER: [2.0, 4.0], COST_SCALE: [0.5, 2.0]}
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    answer = sweep(base, axes, dataset=dataset, ledger=ledger)
    assert (answer.replays, ledger.count(), answer.period_ns) == (2, 8, NS_PER_DAY)
    data = Dataset.load(dataset)
    for _, row in answer.frame.iterrows():
        strategy = make_strategy(base["strategy"]["name"], {"entry": row[ENTRY]})
        costs = SpreadCost(row[TAKER], data.bars["spread_mean_bps"], row[COST_SCALE])
        result = run_bars(data.bars, strategy.targets(data.features), costs=costs, capital=20_000.0)
        assert row["net"] == pytest.approx(20_000.0 * result.stats["net"], abs=1e-7)
        assert row["fees"] == pytest.approx(20_000.0 * result.stats["commission"], abs=1e-7)
        assert row["spread"] == pytest.approx(20_000.0 * result.stats["spread"], abs=1e-7)
        assert row["trades"] == result.stats["trades"] > 50
        year = metrics.annualisation(365)
        # The same days but for the first bar, which has nothing to gain.
        assert year * row["sharpe_after"] == pytest.approx(result.stats["sharpe"], rel=0.1)
    other = sweep(base, axes, dataset=dataset, workers=Workers(2))
    pd.testing.assert_frame_equal(other.frame, answer.frame, check_exact=True)


def test_funding_on_bars_is_paid_unless_it_is_left_out(plain, dataset, tmp_path):
    data = Dataset.load(dataset)
    paid = pd.DataFrame({"time": data.bars.index[95::96], "rate": 1e-4, "mark": np.nan})
    Dataset("BTC/USDT", data.bars, data.features, paid).save(tmp_path / "set")
    axes = {ENTRY: [1.0], "transaction_costs.funding": [True, False]}
    rows = sweep(plain, axes, dataset=tmp_path / "set").frame
    assert rows["funding"].iloc[0] != 0.0
    assert rows["funding"].iloc[1] == 0.0
    assert rows["net"].diff().iloc[1] == pytest.approx(rows["funding"].iloc[0], abs=1e-7)


def test_a_dataset_that_has_changed_is_read_again(plain, dataset, tmp_path):
    data = Dataset.load(dataset)
    folder = Dataset("BTC/USDT", data.bars, data.features).save(tmp_path / "set")
    before = sweep(plain, {ENTRY: [1.0]}, dataset=folder).frame
    # Another strategy has features added to it; then it is another altogether.
    statistical = plain | {"strategy": {"name": "statistical"}}
    sweep(statistical, {"strategy.params.entry_z": [2.0]}, dataset=folder)
    Dataset("BTC/USDT", data.bars[: 35 * 288], data.features[: 35 * 288]).save(folder)
    after = sweep(plain, {ENTRY: [1.0]}, dataset=folder).frame
    assert after["periods"].tolist() == [34]
    assert before["periods"].tolist() == [39]


def test_a_second_leg_is_charged_its_own_markets_fees(plain, dataset, tmp_path):
    data = Dataset.load(dataset)
    second = data.bars.assign(mid=data.bars["mid"] * 1.001)
    Dataset("BTC/USDT", data.bars, data.features, second=second).save(tmp_path / "two")
    file = tmp_path / "pair.py"
    file.write_text(FADE.replace("    features", '    legs = ("perpetual", "spot")\n    features'))
    hedge = {"exchange": "SYNTHETIC", "symbol": "BTC/USDT", "transaction_costs": {}}
    base = plain | {"strategy": {"name": str(file)}, "hedge": hedge}
    with pytest.raises(ConfigError, match=r"hedge\.transaction_costs\.taker_fee_bps: not given"):
        sweep(base, {ENTRY: [1.0]}, dataset=tmp_path / "two")
    own = "hedge.transaction_costs.taker_fee_bps"
    rows = sweep(base, {own: [0.0, 10.0], TAKER: [4.0, 5.0]}, dataset=tmp_path / "two").frame
    # Half of what is traded is the second leg's, but for a thousandth.
    half = 0.5 * rows["turnover"].iloc[0]
    fees = rows["fees"].to_numpy()
    assert fees[0] == pytest.approx(4e-4 * half, rel=1e-3)
    assert fees[1] - fees[0] == pytest.approx(1e-4 * half, rel=1e-3)
    assert fees[2] - fees[0] == pytest.approx(10e-4 * half, rel=1e-3)


def test_what_bars_do_not_say(plain, dataset, tmp_path):
    file = tmp_path / "waits.py"
    file.write_text(FADE.replace("    features", '    exit_mode = "passive"\n    features'))
    for base in (plain | {"execution": {}}, plain | {"strategy": {"name": str(file)}}):
        with pytest.raises(ConfigError, match="bars do not say whether an order that waits"):
            sweep(base, {ENTRY: [1.0]}, dataset=dataset)
    base = plain | {"transaction_costs": {}}
    with pytest.raises(ConfigError, match=r": transaction_costs\.taker_fee_bps: not given"):
        sweep(base, {ENTRY: [1.0]}, dataset=dataset)
    data = Dataset.load(dataset)
    bare = Dataset("BTC/USDT", data.bars.drop(columns="spread_mean_bps"), data.features)
    bare.save(tmp_path / "bare")
    with pytest.raises(DataError, match="spread_mean_bps"):
        sweep(plain, {ENTRY: [1.0]}, dataset=tmp_path / "bare")
