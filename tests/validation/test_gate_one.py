"""Gate 1 on results whose every criterion can be worked out by hand."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest.metrics import moments, sharpe
from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.trials import TrialLedger
from mrtrade.validation.gate_one import PARTS, deflate_by_count, gate_one
from mrtrade.validation.page import html
from mrtrade.validation.report import NoiseControl
from mrtrade.validation.returns import returns_digest
from mrtrade.validation.sharpe import deflated_sharpe, expected_maximum
from mrtrade.validation.walk_forward import COSTS, WalkForwardResult
from mrtrade.validation.walk_report import report_of

DAYS = 720
SETS = [{"entry_z": z} for z in (1.0, 1.5, 2.0, 2.5)]
OVERFIT = "Overfit: best of one half of the days, no gain in the other"
MANIFEST = {
    "config": {"project": "study"},
    "data": {f"{coin}/USDT-PERP": {"fingerprint": coin} for coin in ("BTC", "ETH", "SOL")},
    "strategies": {"mine": "Mine 0a1b"},
}
CLEAN = NoiseControl(
    runs=200, false_go=4, low=0.005, high=0.05, able={"Other 2c3d": 9, "Mine 0a1b": 20}
)


def series(mean, seed=0, days=DAYS):
    """Daily returns of a standard deviation of 1 % and exactly that mean (Sharpe, annual)."""
    x = np.random.default_rng(seed).normal(size=days)
    return 0.01 * ((x - x.mean()) / x.std(ddof=1) + mean / math.sqrt(365))


def result(means=(3.0, 3.1, 3.2, 3.1), *, cost=0.0005, chosen=2, symbol="BTC/USDT-PERP", seed=0):
    """One bar a day; sets that differ little, and the chosen one traded."""
    index = pd.date_range("2022-01-02", periods=DAYS, freq="1D", tz="UTC", name="time")
    days = (index - pd.Timedelta("1D")).rename("day")
    noise = np.random.default_rng(1).normal(0.0, 1e-4, (DAYS, len(means)))
    grid = pd.DataFrame(
        {str(n): series(mean, seed) + noise[:, n] for n, mean in enumerate(means)}, index=days
    )
    net = grid[str(chosen)].to_numpy()
    frame = pd.DataFrame({"position": 1.0, "gross": net + cost}, index=index)
    for name in COSTS:
        frame[name] = cost if name == "commission" else 0.0
    frame["funding"], frame["net"] = 0.0, net
    folds = pd.DataFrame(
        {
            "fold": range(2),
            **{name: [index[0], index[360]] for name in ("train_begin", "train_end", "test_begin")},
            "test_end": [index[359], index[719]],
            "chosen": chosen,
            "features": 0,
            "rounds": 0,
            "ic": math.nan,
            "rank_ic": math.nan,
            "ic_rows": 0,
            "gross_sharpe": 1.0,
            "net_sharpe": 1.0,
            "net": 0.1,
            "trades": 5,
        }
    )
    return WalkForwardResult(
        label="mine",
        symbol=symbol,
        learnt_on="BTC/USDT-PERP",
        configurations=SETS[: len(means)],
        folds=folds,
        frame=frame,
        trades=pd.DataFrame({"fold": [0] * 30}),
        grid=grid,
        importance=pd.DataFrame({"feature": [], "folds": [], "gain": [], "shap_bps": []}),
        selection=pd.DataFrame({"fold": []}),
        regime=pd.DataFrame({"regime": np.arange(DAYS) % 3}, index=days),
        trials=len(means) + 1,
        manifest=MANIFEST,
    )


def other(symbol, mean, seed=0):
    made = result((mean,), chosen=0, symbol=symbol, seed=seed)
    return dataclasses.replace(made, trials=0)


def record(ledger, result):
    """Record a result's own trials, as its walk-forward did; returns their number."""
    for name, days in result.tried().items():
        values = days.to_numpy()
        about = {"study": "study", "sharpe": sharpe(values), "n_periods": len(values)}
        ledger.record("walk-forward", {"set": name}, returns_digest=returns_digest(values), **about)
    return len(result.tried())


def judged(found):
    return {one.name: one for one in found.verdict.criteria}


def test_what_meets_everything_is_go():
    across = {"ETH/USDT-PERP": other("ETH/USDT-PERP", 3.0)}
    found = gate_one(result(), across=across, noise=CLEAN)
    assert found.verdict.failed == found.verdict.unjudged == ()
    assert found.verdict.decision == "GO"
    assert len(found.verdict.criteria) == 12
    assert "3 configurations" not in found.verdict.sentence
    report = report_of(result(), found)
    assert report.verdict is found.verdict
    assert "GO" in html(report)
    assert [fold.number for fold in report.folds] == [1, 2]


def test_each_criterion_measures_what_it_says():
    found = gate_one(result(), noise=CLEAN)
    by_name = judged(found)
    daily = result().grid["2"].to_numpy()
    annual = math.sqrt(365) * sharpe(daily)
    assert by_name["Sharpe ratio out of sample, net"].measured == pytest.approx(annual)
    assert annual == pytest.approx(3.2, abs=0.02)
    twice = math.sqrt(365) * sharpe(daily - 0.0005)
    assert by_name["Sharpe ratio at 2x costs"].measured == pytest.approx(twice)
    years = found.estimate.min_track_record_years
    record = by_name["Length of the record, share of what its ratio needs"]
    assert record.measured == pytest.approx(100.0 * (DAYS / 365) / years)
    low = math.sqrt(365) * sharpe(daily[0::3])
    assert by_name["Sharpe ratio in low volatility"].measured == pytest.approx(low)


def test_days_of_unknown_volatility_are_in_no_class():
    made = result()
    found = gate_one(dataclasses.replace(made, regime=made.regime[:-100]))
    assert found.regimes.unknown == 100
    assert found.regimes.table["rows"].tolist() == [207, 207, 206]


@pytest.mark.parametrize(("days", "is_judged"), [(29, False), (30, True)])
def test_a_ratio_of_less_than_thirty_days_is_not_judged(days, is_judged):
    made = result()
    short = dataclasses.replace(made, frame=made.frame[:days], grid=made.grid[:days])
    one = judged(gate_one(short))["Sharpe ratio out of sample, net"]
    assert (one.passed is not None) is is_judged


def test_a_loser_is_no_go_and_says_why():
    found = gate_one(result((-2.0, -2.1, -1.9, -2.0)), noise=CLEAN)
    assert found.verdict.decision == "NO-GO"
    names = {one.name for one in found.verdict.failed}
    assert "Sharpe ratio out of sample, net" in names
    assert "Sharpe ratio at 2x costs" in names
    assert judged(found)["Length of the record, share of what its ratio needs"].measured == 0.0


def test_a_few_lucky_trades_are_no_go():
    made = result((0.0, 0.0, 0.0, 0.0), cost=0.0)
    net = np.zeros(DAYS)
    net[3::90] = 0.01  # eight gains of 1 %, in each class of volatility, and not a loss
    grid = made.grid.apply(lambda column: net)
    frame = made.frame.assign(net=net, gross=net)
    lucky = dataclasses.replace(made, grid=grid, frame=frame, trades=made.trades[:8])
    regime = pd.DataFrame({"regime": np.arange(DAYS) // 90 % 3}, index=grid.index)
    found = gate_one(
        dataclasses.replace(lucky, regime=regime),
        noise=CLEAN,
        asked=[p for p in PARTS if p != "transfer"],
    )
    assert found.estimate.annual > 1.0
    assert found.deflated.probability > 0.95
    assert [one.name for one in found.verdict.failed] == ["Round trips"]


def test_costs_that_eat_half_are_seen_at_twice():
    found = gate_one(result(cost=0.0015), noise=CLEAN)  # 1.5 sd of the mean's 1.6 a day
    assert [one.name for one in found.verdict.failed] == ["Sharpe ratio at 2x costs"]


def test_what_was_not_measured_is_not_judged():
    found = gate_one(result())
    assert found.verdict.decision == "NOT JUDGED"
    assert {one.name for one in found.verdict.unjudged} == {
        "Sharpe ratio on other symbols",
        "False GO on data without signal",
    }
    few = dataclasses.replace(CLEAN, runs=199)
    assert len(gate_one(result(), noise=few).verdict.unjudged) == 2
    asked = [part for part in PARTS if part not in ("transfer", "noise")]
    assert gate_one(result(), asked=asked).verdict.decision == "GO"
    with pytest.raises(ConfigError, match="no such part"):
        gate_one(result(), asked=["luck"])


def test_a_pipeline_that_calls_noise_a_signal_is_no_go():
    fooled = dataclasses.replace(CLEAN, false_go=11)
    failed = gate_one(result(), noise=fooled).verdict.failed
    assert [one.name for one in failed] == ["False GO on data without signal"]


def test_another_symbol_that_earns_too_little_is_no_go():
    across = {
        "ETH/USDT-PERP": other("ETH/USDT-PERP", 3.0),
        "SOL/USDT-PERP": other("SOL/USDT-PERP", 2.0),
    }
    failed = gate_one(result(), across=across, noise=CLEAN).verdict.failed
    assert len(failed) == 1
    assert "SOL" in failed[0].name
    assert failed[0].measured == pytest.approx(100 * 2.0 / 3.2, abs=2.0)


def test_more_trials_deflate_more(tmp_path):
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    modest = result((1.9, 1.8, 1.7, 1.6), chosen=0)
    own = record(ledger, modest)
    for n in range(40 - own):
        ledger.record("any", {"n": n}, study="study", sharpe=0.01 * n, n_periods=DAYS)
    alone = gate_one(modest).deflated
    many = gate_one(modest, ledger=ledger).deflated
    assert (alone.trials, many.trials) == (5, 40)
    # What the best of so many worthless ones would show: an estimate of 0 from n days has a
    # deviation of 1 / sqrt(n - 1), whatever the trials of the ledger were like.
    assert many.benchmark == pytest.approx(expected_maximum(40) / math.sqrt(DAYS - 1))
    assert 0.5 < many.probability < alone.probability < 0.95
    one = judged(gate_one(modest, ledger=ledger))["Deflated Sharpe ratio"]
    assert one.passed is False
    note = one.note
    assert "40 trials" in note
    assert "by the spread of the trials' own ratios" in note


def test_a_project_by_another_name_forgets_no_trial(tmp_path):
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    own = record(ledger, result())
    ledger.record("before", {}, study="earlier", data="BTC", sharpe=0.1)
    ledger.record("sweep", {}, study="earlier", data="BTC", sharpe=0.1, period="1h")
    ledger.record("elsewhere", {}, study="earlier", data="DOGE", sharpe=0.1)
    assert gate_one(result(), ledger=ledger).deflated.trials == own + 2


def test_a_ledger_that_was_lost_or_is_of_another_run_is_refused(tmp_path):
    lost = TrialLedger(tmp_path / "lost.jsonl")
    with pytest.raises(DataError, match="does not hold the trials"):
        gate_one(result(), ledger=lost)
    for n in range(100):
        lost.record("any", {"n": n}, study="study", sharpe=0.0)
    with pytest.raises(DataError, match="does not hold the trials"):
        gate_one(result(), ledger=lost)
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    record(ledger, result())
    gate_one(result(), ledger=ledger)
    made = result()
    better = made.frame.assign(net=made.frame["net"] + 1e-9)
    with pytest.raises(DataError, match="does not hold the trials"):
        gate_one(dataclasses.replace(made, frame=better), ledger=ledger)


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "another"},
        {"learnt_on": "ETH/USDT-PERP"},
        {"symbol": "SOL/USDT-PERP"},
        {"manifest": {**MANIFEST, "data": {}}},
    ],
    ids=["strategy", "learnt there", "symbol", "run"],
)
def test_what_another_run_earned_elsewhere_is_no_evidence(changes):
    there = dataclasses.replace(other("ETH/USDT-PERP", 3.0), **changes)
    with pytest.raises(DataError, match="on another symbol"):
        gate_one(result(), across={"ETH/USDT-PERP": there})


def test_a_symbol_is_no_other_than_itself():
    with pytest.raises(DataError, match="on another symbol"):
        gate_one(result(), across={"BTC/USDT-PERP": result()})


def test_the_noise_control_of_another_strategy_is_no_evidence():
    foreign = dataclasses.replace(CLEAN, able={"Other 2c3d": 200, "Mine ffff": 200})
    (one,) = gate_one(result(), noise=foreign, asked=["noise"]).verdict.criteria
    assert one.passed is None
    assert "it was of Other, Mine, not of this strategy as it is" in one.note


def test_a_noise_control_in_which_it_hardly_traded_is_no_evidence():
    idle = dataclasses.replace(CLEAN, able={"Other 2c3d": 200, "Mine 0a1b": 19})
    (one,) = gate_one(result(), noise=idle, asked=["noise"]).verdict.criteria
    assert one.passed is None
    assert "30 round trips on 19 of 200 data sets, 20 are needed" in one.note


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_return_that_is_no_number_is_an_error(value):
    made = result()
    made.frame.loc[made.frame.index[5], "net"] = value
    with pytest.raises(DataError, match="no numbers"):
        gate_one(made)


def test_small_steady_gains_and_a_rare_ruin_are_no_go():
    made = result()
    days = np.random.default_rng(3).normal(0.0011, 2e-4, DAYS)
    days[400] = -0.25
    frame = made.frame.assign(net=days, gross=days + 0.0005)
    grid = made.grid.apply(lambda column: days)
    found = gate_one(dataclasses.replace(made, frame=frame, grid=grid), noise=CLEAN)
    assert found.estimate.annual > 1.0
    assert "Length of the record, share of what its ratio needs" in {
        one.name for one in found.verdict.failed
    }


def test_without_a_trade_it_is_no_go():
    made = result()
    flat = made.frame.assign(**dict.fromkeys(("position", "gross", "commission", "net"), 0.0))
    grid = made.grid * 0.0
    nothing = dataclasses.replace(made, frame=flat, grid=grid, trades=made.trades[:0])
    found = gate_one(nothing, noise=CLEAN)
    assert [one.name for one in found.verdict.failed] == ["Round trips"]
    assert len(found.verdict.unjudged) == 10


def test_the_best_of_noise_is_overfit():
    rng = np.random.default_rng(0)
    made = result()
    noise = pd.DataFrame(
        rng.normal(-0.002, 0.01, (DAYS, 12)), made.grid.index, [str(n) for n in range(12)]
    )
    sets = [{"a": n % 4, "b": n // 4} for n in range(12)]
    found = gate_one(dataclasses.replace(made, grid=noise, configurations=sets, trials=13))
    assert judged(found)[OVERFIT].passed is False
    assert judged(found)[OVERFIT].measured > 50.0


def test_sets_without_a_chance_beside_a_loser_do_not_make_it_good():
    # The best of either half is always above the median of the others, which pay far more.
    made = result((-20.0, -0.5, -0.4, -21.0, -22.0), chosen=1)
    sets = [{"entry_z": z} for z in range(5)]
    found = gate_one(dataclasses.replace(made, configurations=sets))
    assert found.overfitting.pbo == 0.0
    assert judged(found)[OVERFIT].measured > 50.0
    assert "PBO 0.00" in judged(found)[OVERFIT].note


@pytest.mark.parametrize(("mean", "passed"), [(0.7, False), (1.0, True)])
def test_one_split_in_ten_may_end_without_a_gain(mean, passed):
    # Of four sets alike: half of the days decide by chance, the less the more they earn.
    one = judged(gate_one(result((mean,) * 4, chosen=0)))[OVERFIT]
    assert one.passed is passed
    assert 0.0 < one.measured < 50.0


def test_the_deflated_ratio_is_that_of_the_paper_with_the_variance_of_nothing():
    daily = result().daily.to_numpy() ** 3  # skewed, with fat tails
    skew, kurtosis = moments(daily)
    about = {"trials": 40, "variance": 1.0 / (DAYS - 1), "skew": skew, "kurtosis": kurtosis}
    assert deflate_by_count(daily, 40) == deflated_sharpe(sharpe(daily), DAYS, **about)


def test_sets_that_all_earn_alike_are_not_overfit():
    made = result((3.0, 3.0, 3.0, 3.0))
    found = gate_one(made)
    assert found.overfitting.pbo > 0.25  # a toss of a coin
    assert judged(found)[OVERFIT].measured == 0.0


def test_a_spike_is_told_from_a_plateau():
    spike = gate_one(result((0.0, 0.1, 3.2, 0.2)), noise=CLEAN).verdict.failed
    assert any("Neighbours" in one.name for one in spike)
