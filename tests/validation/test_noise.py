"""Noise control: rates, intervals, and that the gate really judges."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from mrtrade.backtest.metrics import sharpe
from mrtrade.errors import ConfigError, DataError
from mrtrade.parallel import Workers
from mrtrade.validation import noise
from mrtrade.validation.gate_one import PARTS, deflate_by_count
from mrtrade.validation.noise import (
    NoiseReport,
    NoiseSettings,
    clopper_pearson,
    make_data,
    noise_control,
    tasks_of,
)
from mrtrade.validation.synthetic import random_walk

from .make import RULES

#: Without a model, on hours: quick.
SMALL = NoiseSettings(
    runs=3,
    strategies={"statistical": noise.STRATEGIES["statistical"]},
    interval="1h",
    days=300,
    kinds=("random_walk", "flipped_signs"),
)


@pytest.mark.parametrize(("found", "runs"), [(0, 200), (1, 200), (10, 200), (200, 200), (3, 7)])
def test_intervals_are_scipys(found, runs):
    said = binomtest(found, runs).proportion_ci(0.95, "exact")
    assert clopper_pearson(found, runs) == pytest.approx((said.low, said.high))


def test_zero_of_two_hundred():
    assert clopper_pearson(0, 200) == (0.0, pytest.approx(0.01828, abs=1e-4))
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def report_of(rows):
    names = ["kind", "size", "seed", "strategy", "decision"]
    frame = pd.DataFrame(rows, columns=names).assign(net_sharpe=0.0, trades=1)
    frame["failed"] = [[] if one == "GO" else ["a"] for one in frame["decision"]]
    frame["unjudged"] = [["b"] if one == "NOT JUDGED" else [] for one in frame["decision"]]
    return NoiseReport(frame, SMALL, ("Mine 0a1b",))


def test_on_which_data_sets_a_strategy_could_have_been_go():
    (label,) = SMALL.strategies
    report = report_of(
        [
            ("random_walk", 0.0, 1, label, "NO-GO"),
            ("random_walk", 0.0, 2, label, "GO"),
            ("random_walk", 0.0, 3, label, "NO-GO"),
            ("random_walk", 0.0, 4, "another", "NO-GO"),
            ("mean_reverting", 2.0, 5, label, "NO-GO"),
        ]
    )
    report.rows["trades"] = [29, 30, 31, 30, 30]
    assert report.control().able == {"Mine 0a1b": 2}


def test_a_data_set_is_go_if_any_strategy_is():
    report = report_of(
        [
            ("random_walk", 0.0, 1, "one", "NO-GO"),
            ("random_walk", 0.0, 1, "two", "GO"),
            ("flipped_signs", 0.0, 2, "one", "NOT JUDGED"),
            ("flipped_signs", 0.0, 2, "two", "NO-GO"),
            ("mean_reverting", 2.0, 3, "one", "GO"),
            ("mean_reverting", 2.0, 4, "one", "NO-GO"),
        ]
    )
    control = report.control()
    assert (control.runs, control.false_go, report.rate) == (2, 1, 0.5)
    assert control.kinds == {"flipped_signs": (0, 1), "random_walk": (1, 1)}
    assert control.detection[["size", "rate", "runs"]].to_numpy().tolist() == [[2.0, 0.5, 2.0]]
    assert report.stoppers().to_dict() == {"a": 3, "b": 1}
    assert report.picture()[:4] == b"\x89PNG"


def test_all_of_gate_one_is_asked_that_one_symbol_can_be_asked():
    assert set(PARTS) - set(noise.ASKED) == {"transfer", "noise"}


def test_a_strategy_without_a_grid_can_be_go():
    # Or its false-GO rate would be 0 whatever it does.
    plain = {"mine": {"name": "statistical", "params": {"preset": "minutes"}}}
    settings = replace(SMALL, strategies=plain, interval="15min", days=365)
    rows = [
        row for seed in range(3) for row in noise.judge_one(settings, "mean_reverting", 10.0, seed)
    ]
    assert "GO" in [row["decision"] for row in rows], rows


def test_the_benchmark_is_what_the_best_of_worthless_trials_shows():
    rng = np.random.default_rng(0)
    best = []
    for _ in range(200):
        days = rng.standard_t(4, (20, 240))
        best.append(max(sharpe(one) for one in days))
    said = deflate_by_count(rng.normal(size=240), 20).benchmark
    # The formula is 2 % high at 10 trials, and the less the more there are.
    assert said == pytest.approx(np.mean(best), rel=0.04)
    assert deflate_by_count(rng.normal(size=240), 1).benchmark == 0.0


@pytest.mark.parametrize(
    ("trials", "alike", "cost", "most"),
    [(1, 0.0, 0.0, 0.065), (10, 0.0, 0.0, 0.02), (10, 0.8, 0.0, 0.02), (10, 0.0, 0.1, 0.01)],
    ids=["one", "independent", "alike", "costs"],
)
def test_what_passes_by_luck_is_one_in_twenty_or_less(trials, alike, cost, most):
    rng = np.random.default_rng(1)
    common = rng.standard_t(5, (1_000, 1, 240))
    own = rng.standard_t(5, (1_000, trials, 240))
    days = np.sqrt(alike) * common + np.sqrt(1.0 - alike) * own
    days -= cost * np.arange(trials)[:, None] / trials
    ratios = days.mean(axis=2) / days.std(axis=2, ddof=1)
    chosen = days[np.arange(1_000), ratios.argmax(axis=1)]
    passed = [deflate_by_count(one, trials).probability >= 0.95 for one in chosen]
    # Asked is more than the best of all by luck: of several trials fewer than one in twenty pass.
    assert np.mean(passed) <= most


def test_kinds_take_turns_and_seeds_are_never_used_twice():
    tasks = tasks_of(replace(SMALL, runs=6, sizes=(1.0, 2.0), per_size=2, kinds=noise.KINDS))
    assert [kind for kind, _, _ in tasks[:6]] == list(noise.KINDS) * 2
    assert len(set(tasks)) == len(tasks) == 10
    assert {seed for *_, seed in tasks[:6]}.isdisjoint(seed for *_, seed in tasks[6:])
    own = tasks_of(replace(SMALL, source="candles.parquet"))
    assert {kind for kind, _, _ in own} == {"flipped_signs"}


def test_the_same_for_any_workers(tmp_path):
    report = noise_control(SMALL)
    pd.testing.assert_frame_equal(report.rows, noise_control(SMALL, Workers(2, "threading")).rows)
    assert len(report.rows) == 3
    assert report.rate == 0.0
    report.to_json(tmp_path / "noise.json")
    content = json.loads((tmp_path / "noise.json").read_text())
    assert content["schema"] == noise.SCHEMA
    assert (content["runs"], content["false_go"], content["low"]) == (3, 0, 0.0)
    assert content["high"] == pytest.approx(0.7076, abs=1e-4)
    read = NoiseReport.from_json(tmp_path / "noise.json")
    pd.testing.assert_frame_equal(read.rows, report.rows, check_dtype=False)
    assert read.control() == report.control()
    (strategy,) = read.strategies
    assert strategy.startswith("StatisticalMeanReversion ")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"false_go": 0}, "rates are not those"),
        ({"runs": 200}, "rates are not those"),
        ({"schema": "mrtrade.noise/0"}, "no noise control"),
        ({"rows": []}, "no noise control"),
        ({"strategies": None}, "no noise control"),
    ],
)
def test_a_file_that_was_changed_by_hand_is_refused(tmp_path, change, match):
    file = tmp_path / "noise.json"
    rows = [("random_walk", 0.0, seed, "one", said) for seed, said in enumerate(("GO", "NO-GO"))]
    report_of(rows).to_json(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(DataError, match=match):
        NoiseReport.from_json(file)


def test_what_is_strong_and_plain_is_accepted():
    # Without this a pipeline that refuses everything would look good.
    settings = replace(SMALL, interval="15min", days=365)
    rows = [
        row for seed in range(3) for row in noise.judge_one(settings, "mean_reverting", 10.0, seed)
    ]
    assert [row["decision"] for row in rows].count("GO") >= 2, [row["failed"] for row in rows]


def test_a_strategy_that_looks_ahead_is_found_out():
    settings = replace(
        SMALL,
        runs=2,
        strategies={"peek": {"name": f"{RULES}:Peeking"}},
        interval="15min",
        days=365,
    )
    report = noise_control(settings)
    assert report.rate == 1.0, report.rows["failed"].tolist()


def test_your_own_candles_are_flipped(tmp_path):
    bars = random_walk(600, 1, interval="1h").bars
    candles = pd.DataFrame(
        {
            "start": bars.index - pd.Timedelta("1h"),
            "open": bars["mid_open"],
            "high": bars["mid_high"],
            "low": bars["mid_low"],
            "close": bars["mid"],
            "volume": bars["volume"],
        }
    ).reset_index(drop=True)
    candles.to_parquet(tmp_path / "candles.parquet")
    settings = replace(SMALL, source=tmp_path / "candles.parquet")
    made = make_data(settings, "flipped_signs", 0.0, 5)
    np.testing.assert_allclose(
        made.bars["mid"].pct_change().abs().to_numpy()[1:],
        bars["mid"].pct_change().abs().to_numpy()[1:],
        rtol=1e-6,
    )
    with pytest.raises(DataError, match="no such file"):
        noise.read_bars(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no")
    with pytest.raises(DataError, match="not Parquet"):
        noise.read_bars(tmp_path / "text.parquet")


@pytest.mark.parametrize(
    "wrong", [{"runs": 0}, {"days": 200}, {"kinds": ("walk",)}], ids=["runs", "days", "kinds"]
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(ConfigError):
        replace(SMALL, **wrong)


@pytest.mark.simulation
def test_the_whole_pipeline_refuses_noise():
    report = noise_control(NoiseSettings(runs=12))
    assert report.control().false_go <= 1, report.luckiest()
    assert len(report.rows) == 24
