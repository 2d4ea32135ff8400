"""Gate 0: what it measures, and when it does not judge."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest.metrics import sharpe
from mrtrade.clock import to_ns
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import ConfigError, StoreError
from mrtrade.ml.trials import TrialLedger
from mrtrade.validation.criteria import read_verdict
from mrtrade.validation.poc import find_days, prove
from mrtrade.validation.poc_criteria import (
    BEFORE_COSTS,
    DOUBLED,
    IC,
    MICRO_GAIN,
    Evidence,
    difference_se,
    judge_evidence,
    not_judged,
)
from mrtrade.validation.poc_replay import by_bar
from mrtrade.validation.poc_stage import MICRO, PRICE, WITH, PocSettings, Stage, _blocks
from tests.validation.recordings import market_store

MINUTE, DAY = 60 * 10**9, 86_400 * 10**9
SETTINGS = PocSettings("SYNTHETIC", "BTC/USDT", days=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return ParquetStore(market_store(tmp_path_factory.mktemp("poc")))


@pytest.fixture(scope="module")
def proven(store):
    return prove(store, SETTINGS)


def evidence(mean=0.3, cost=0.0, plain=0.0, blocks=5_000, seed=0, **changed):
    """Blocks of an hour by default, with returns of an sd of a bps."""
    rng = np.random.default_rng(seed)
    noise, other = rng.normal(size=(2, blocks))
    found = Evidence(
        ic=0.2,
        ic_se=0.02,
        gross=1e-4 * (mean + noise),
        cost=np.full(blocks, 1e-4 * cost),
        funding=np.zeros(blocks),
        plain=1e-4 * (plain + 0.8 * noise + 0.6 * other),
        entries=blocks,
        block_ns=60 * MINUTE,
        span_ns=blocks * 60 * MINUTE,
    )
    return replace(found, **changed)


def judged(found):
    return {one.name: one for one in judge_evidence(found)}


def test_a_signal_beyond_doubt_passes():
    assert [one.passed for one in judge_evidence(evidence(cost=0.1))] == [True] * 4


def test_the_annual_ratio_is_that_of_blocks():
    found = evidence()
    one = judged(found)[BEFORE_COSTS]
    assert one.measured == pytest.approx(sharpe(found.gross) * math.sqrt(365 * 24))
    gain = judged(found)[MICRO_GAIN]
    both = sharpe(found.gross) - sharpe(found.plain)
    assert gain.measured == pytest.approx(both * math.sqrt(365 * 24))


def test_costs_are_doubled_and_funding_is_not():
    found = evidence(cost=0.2)
    found = replace(found, funding=np.full(len(found.gross), 1e-5))
    by_hand = 1e4 * (found.gross.sum() - 2 * found.cost.sum() - found.funding.sum())
    assert judged(found)[DOUBLED].measured == pytest.approx(by_hand)
    assert judged(evidence(mean=0.3, cost=0.16))[DOUBLED].passed is False


@pytest.mark.parametrize(
    ("changed", "name", "why"),
    [
        ({"blocks": 399}, IC, "399 returns without overlap"),
        ({"blocks": 399}, BEFORE_COSTS, "399 returns without overlap"),
        ({"blocks": 399}, DOUBLED, "399 returns without overlap"),
        ({"span_ns": DAY - 1}, BEFORE_COSTS, "too short to be annualised"),
        ({"span_ns": DAY - 1}, MICRO_GAIN, "too short to be annualised"),
        ({"ic": 0.06, "ic_se": 0.02}, IC, "1.64 standard errors: luck would be"),
        ({"ic": 0.09, "ic_se": 0.02, "trials": 10}, IC, "the luckiest of 10 trials"),
        ({"ic": math.nan}, IC, "one number only"),
        ({"entries": 29}, DOUBLED, "29 round trips"),
    ],
)
def test_what_is_too_short_or_luck_is_not_judged(changed, name, why):
    one = judged(evidence(**changed))[name]
    assert one.passed is None
    assert why in one.note


def test_a_short_test_still_says_what_its_blocks_say():
    one = judged(evidence(span_ns=DAY // 2))[BEFORE_COSTS]
    assert one.measured is None  # a year is not talked of
    assert "standard error" in one.note


def test_luck_does_not_pass_and_a_miss_fails():
    # A Sharpe ratio of some 2 a year over 5,000 hours has a standard error of 1.3.
    lucky = [judged(evidence(mean=0.0, seed=seed))[BEFORE_COSTS] for seed in range(40)]
    assert any(one.measured > 1.0 for one in lucky)
    assert not any(one.passed for one in lucky)
    assert all(one.passed is False for one in lucky if one.measured <= 1.0)
    assert judged(evidence(ic=0.03, ic_se=0.02))[IC].passed is False


def test_more_trials_need_more():
    # 0.04 above: two standard errors, 2.5 % of luck
    assert [judged(evidence(ic=0.09, trials=one))[IC].passed for one in (1, 2, 3)] == [
        True,
        True,
        None,
    ]


def test_the_best_of_ten_is_luck_no_more_often_than_one():
    rng = np.random.default_rng(5)
    best = 0.05 + 0.02 * rng.normal(size=(4_000, 10)).max(axis=1)
    passed = [judged(evidence(blocks=400, ic=one, trials=10))[IC].passed for one in best[:400]]
    assert np.mean([one is True for one in passed]) < 0.07
    assert np.mean([evidence(blocks=400).by_luck(one, 0.02, 0.05) == "" for one in best]) > 0.3


def test_nothing_traded_is_no_profit():
    none = np.zeros(5_000)
    found = judged(evidence(gross=none, cost=none, entries=0))
    assert found[DOUBLED].passed is False
    assert found[BEFORE_COSTS].passed is None


def test_positions_that_neither_gain_nor_lose_are_no_trades_that_were_not_made():
    one = judged(evidence(plain=0.0, gross=np.zeros(5_000)))[MICRO_GAIN]
    assert one.passed is None
    assert "no profit and no loss" in one.note


@pytest.mark.parametrize("rows", [30, 36, 39, 5])
def test_blocks_leave_nothing_out(rows):
    values = np.arange(1.0, rows + 1)
    blocks = _blocks(values, 10)
    assert len(blocks) == max(rows // 10, 1)
    assert blocks.sum() == values.sum()
    assert blocks[0] == values[:10].sum() if rows >= 20 else values.sum()


def test_the_error_of_a_difference_is_what_simulation_finds():
    rng = np.random.default_rng(1)
    found, said = [], []
    for _ in range(400):
        common, one, other = rng.normal(size=(3, 500))
        pair = 0.1 + common + one, 0.05 + common + other
        found.append(sharpe(pair[0]) - sharpe(pair[1]))
        said.append(difference_se(*pair))
    assert np.mean(said) == pytest.approx(np.std(found), rel=0.1)


def test_without_a_test_all_are_listed():
    criteria = not_judged("too short")
    assert [one.name for one in criteria] == [one.name for one in judge_evidence(evidence())]
    assert {one.passed for one in criteria} == {None}


def test_bars_add_up_by_hand(proven):
    class Scene:
        class terms:
            from mrtrade.instruments import LINEAR as contract

        times = np.arange(4) * 10

    fills = pd.DataFrame(
        {
            "time": pd.to_datetime([5, 25], unit="ns", utc=True),
            "side": [1, -1],
            "price": [101.5, 103.0],
            "quantity": [2.0, 2.0],
            "fee": [0.25, 0.5],
            "mid": [101.0, 103.5],
            "decision_mid": [100.0, 104.0],
        }
    )
    gross, cost = by_bar(fills, Scene, np.array([100.0, 102.0, 104.0, 103.0]))
    # bought in bar 1 by a decision at 100, sold in bar 3 by one at 104: 2 x 4 in all
    np.testing.assert_allclose(gross, [4.0, 4.0, 0.0])
    np.testing.assert_allclose(cost, [2 * 1.5 + 0.25, 0.0, 2 * 1.0 + 0.5])


def test_a_known_signal_is_found_but_an_hour_is_no_year(proven):
    criteria = {one.name: one for one in proven.verdict.criteria}
    assert criteria[BEFORE_COSTS].passed is None
    assert criteria["reading one day, s"].passed is True
    assert proven.verdict.decision in ("NO-GO", "NOT JUDGED")
    assert proven.verdict.about["recorded"].endswith(("hours", "minutes"))
    assert len(proven.features) == 10
    assert proven.features["share"].sum() == pytest.approx(1.0)
    money = proven.money.loc[WITH]
    parts = money[["gross", "slippage", "spread", "fees", "funding"]].sum()
    assert parts == pytest.approx(money["net"], abs=1e-6)
    assert money["gross"] > 0.0
    assert money["turnover"] == pytest.approx(-money["fees"] / 5.0, rel=0.5)
    profit = criteria[DOUBLED]
    costs = money[["slippage", "spread", "fees"]].sum()
    assert profit.measured == pytest.approx(money["gross"] + 2 * costs + money["funding"])


def test_it_is_deterministic_and_goes_through_json(proven, store, tmp_path):
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    ledger.record("poc", {"bar": "2s"}, study="gate 0 SYNTHETIC BTC/USDT")  # tried before
    again = prove(store, SETTINGS, threads=2, ledger=ledger)
    assert again.verdict.about["trials"] == 2
    assert again.verdict.about["ledger"] == str(ledger.path)
    assert ledger.frame()["sharpe"].notna().tolist() == [False, True]
    pd.testing.assert_frame_equal(again.features, proven.features)
    pd.testing.assert_frame_equal(again.money, proven.money)
    proven.verdict.to_json(tmp_path / "poc.json")
    assert read_verdict(tmp_path / "poc.json").decision == proven.verdict.decision
    json.loads((tmp_path / "poc.json").read_text())


def test_too_short_is_a_verdict(store, tmp_path):
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    found = prove(store, replace(SETTINGS, bar="1min", taker_fee_bps=7.0), ledger=ledger)
    assert found.verdict.about["taker_fee_bps"] == pytest.approx(7.0)
    assert ledger.count() == 0  # nothing was tried
    assert found.verdict.exit_code == 2
    assert all("too short" in one.note for one in found.verdict.criteria[:4])
    assert found.features.empty


def test_what_is_not_there_is_said(store, tmp_path):
    with pytest.raises(StoreError, match="no order book deltas at all"):
        find_days(ParquetStore(tmp_path / "none"), SETTINGS)
    with pytest.raises(StoreError, match=r"of SYNTHETIC ETH/USDT.*SYNTHETIC BTC/USDT"):
        find_days(store, replace(SETTINGS, symbol="ETH/USDT"))
    with pytest.raises(StoreError, match="nothing was recorded on that day"):
        find_days(store, replace(SETTINGS, start="2020-01-01"))
    with pytest.raises(ConfigError, match="horizon"):
        PocSettings("SYNTHETIC", "BTC/USDT", horizon=0)


class _Days:
    url = "store"

    def __init__(self, *days):
        self.held = list(days)

    def series(self):
        return [(name, "BINANCE", "BTC/USDT") for name in ("book_delta_v2", "trades")]

    def days(self, *where):
        return self.held


def test_the_last_days_that_follow_one_another_are_used():
    held = _Days("2024-01-01", "2024-01-02", "2024-02-01", "2024-02-02", "2024-02-03")
    settings = PocSettings("binance", "BTC/USDT", days=2)
    assert find_days(held, settings)[1] == ["2024-02-02", "2024-02-03"]
    assert find_days(held, replace(settings, days=7))[1] == held.held[2:]
    assert find_days(held, replace(settings, start="2024-01-01", days=7))[1] == held.held[:2]


def test_a_book_without_trades_is_said():
    class Bookless(_Days):
        def series(self):
            return super().series()[:1]

    with pytest.raises(StoreError, match="no trades"):
        find_days(Bookless("2024-01-01"), PocSettings("BINANCE", "BTC/USDT"))


@pytest.mark.shared
def test_a_recorded_day_is_what_scipy_and_the_exchange_say(shared_data, tmp_path):
    """The day of docs/poc-study.md; mids are the exchange's own, which the replay does not read."""
    from scipy.stats import pearsonr

    lake = tmp_path / "lake"
    for table in ("book_delta_v2", "book_seed", "trades"):
        place = f"{table}/exchange=BINANCE/symbol=NEXO-USDT"
        shutil.copytree(shared_data / "lake" / place, lake / place)
    store = ParquetStore(tmp_path / "store")
    ingest(lake, store)
    settings = PocSettings("BINANCE", "NEXO/USDT")
    place, days = find_days(store, settings)
    stage = Stage(store, settings, place, days, threads=1)
    model = stage.train((*PRICE, *MICRO))
    ic, se = stage._correlation(model)
    quotes = pd.read_parquet(shared_data / "lake/level_1/exchange=BINANCE/symbol=NEXO-USDT")
    quotes = quotes.sort_values("receipt_timestamp", kind="stable")
    mid = 0.5 * (quotes["bid_0_price"] + quotes["ask_0_price"]).to_numpy()
    at = np.searchsorted(quotes["receipt_timestamp"], to_ns(stage.X_test.index), side="right") - 1
    returns = np.log(mid[at][10:] / mid[at][:-10])
    forecast = model.predict(stage.X_test[list(model.features)])[:-10]
    assert pearsonr(forecast, returns).statistic == pytest.approx(ic, abs=0.2 * se)
    assert ic == pytest.approx(0.164, abs=0.5 * se)
