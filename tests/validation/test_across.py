"""What was learnt on one symbol, traded on others over the same days; and the model of a fold."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.clock import to_ns
from mrtrade.ml.dataset import Dataset
from mrtrade.parallel import Workers
from mrtrade.validation.folds import Rows
from mrtrade.validation.forecasts import fit, offered
from mrtrade.validation.settings import ModelConfig
from mrtrade.validation.walk_forward import trials_of, walk_forward

from .make import RULES, dataset, settings
from .test_walk_forward import DAY, GRID, equal, noisy, scrambled

SMALL = {
    "max_rounds": 30,
    "patience": 5,
    "folds": 2,
    "rows_per_label": 2,
    "selection": {"boruta_rounds": 0, "min_features": 1, "max_features": 4},
}


def test_the_choice_of_one_symbol_is_traded_on_another():
    mid, ahead = noisy(20 * DAY)
    own = dataset(mid=mid, signal=ahead)
    mid, ahead = noisy(20 * DAY, seed=2)
    opposite = dataset(symbol="Y/USDT-PERP", mid=mid, signal=-ahead)  # there the signal is wrong
    study = walk_forward(own, settings(GRID), others={"Y/USDT-PERP": opposite})
    result, there = study.results["follow"], study.across["follow"]["Y/USDT-PERP"]
    assert (there.symbol, there.learnt_on) == ("Y/USDT-PERP", "X/USDT-PERP")
    assert there.folds["chosen"].tolist() == result.folds["chosen"].tolist() == [2, 2]
    assert result.stats()["net"] > 0.0 > there.stats()["net"]
    np.testing.assert_array_equal(to_ns(there.frame.index), to_ns(result.frame.index))
    assert there.trials == 0  # nothing was chosen by it
    # Its own walk-forward chooses otherwise, and earns what that one loses.
    alone = walk_forward(opposite, settings(GRID)).results["follow"]
    assert alone.folds["chosen"].tolist() == [0, 0]


def test_a_symbol_is_traded_on_the_days_that_it_has():
    mid, ahead = noisy(40 * DAY)
    own = dataset(mid=mid, signal=ahead)
    short = dataset(symbol="Y/USDT-PERP", mid=mid[: 14 * DAY], signal=ahead[: 14 * DAY])
    study = walk_forward(own, settings(GRID), others={"Y/USDT-PERP": short})
    there = study.across["follow"]["Y/USDT-PERP"]
    assert there.folds["fold"].tolist() == [0, 1]
    assert there.frame.index[-1] == short.bars.index[-1]
    assert there.frame["position"].iloc[-1] == 0.0
    none = dataset(symbol="Z/USDT-PERP", mid=mid[:100], signal=ahead[:100])
    assert walk_forward(own, settings(GRID), others={"Z": none}).across == {"follow": {}}


# The model --------------------------------------------------------------------------


def planted(rows, symbol="X/USDT-PERP", seed=0, share=0.7):
    """Features of which one tells the next two bars' return, in part; the others tell nothing."""
    rng = np.random.default_rng(seed)
    told, untold = rng.normal(size=(2, rows))
    step = 1e-3 * (share * np.r_[0.0, told[:-1]] + (1.0 - share) * untold)
    mid = 100.0 * np.exp(np.cumsum(step))
    others = {f"noise_{n}": rng.normal(size=rows) for n in range(5)}
    return dataset(symbol=symbol, mid=mid, telling=told, **others)


FORECAST = {"forecast": {"name": f"{RULES}:Forecasting", "grid": {"least": [0.0, 1.0]}}}


def test_a_planted_effect_is_found_and_traded_on_both_symbols(tmp_path):
    config = settings(
        FORECAST,
        model={"horizon": 1, "params": SMALL, "explain_rows": 50},
        folds={"train": "20D", "test": "10D", "step": "10D", "embargo": "1D"},
    )
    folder = planted(60 * DAY).save(tmp_path / "x")
    other = planted(60 * DAY, "Y/USDT-PERP", seed=1).save(tmp_path / "y")
    study = walk_forward(folder, config, others={"Y/USDT-PERP": other})
    result, there = study.results["forecast"], study.across["forecast"]["Y/USDT-PERP"]
    assert (result.folds["ic"] > 0.5).all()
    assert result.importance["feature"].iloc[0] == "telling"
    assert (
        result.importance["shap_bps"].iloc[0] > 3.0 * result.importance["shap_bps"].iloc[1:].max()
    )
    assert result.folds["features"].between(1, 4).all()
    for trial in trials_of(result, config):  # another model, were it offered others
        assert trial.params["model"]["features"] == ["telling", *(f"noise_{n}" for n in range(5))]
    assert set(result.selection["feature"]) == {"telling", *(f"noise_{n}" for n in range(5))}
    # The forecast of a bar is of the move after its end, and the fill is at its end: it pays.
    assert (result.folds["gross"] > 0.0).all()
    assert (there.folds["gross"] > 0.0).all()
    again = walk_forward(
        folder, config, others={"Y/USDT-PERP": other}, workers=Workers(2, "threading")
    )
    equal(again.results["forecast"], result)
    equal(again.across["forecast"]["Y/USDT-PERP"], there)


def test_nothing_after_a_test_span_changes_its_model_or_what_is_said_of_it(tmp_path):
    config = settings(
        FORECAST,
        model={"horizon": 3, "params": SMALL, "explain_rows": 20},
        folds={"train": "20D", "test": "10D", "step": "10D", "embargo": "1D"},
    )
    data = planted(42 * DAY)
    before = walk_forward(data, config).results["forecast"]
    assert len(before.folds) == 2
    end = 31 * DAY  # of fold 0
    after = walk_forward(scrambled(data, end), config).results["forecast"]
    for name, rows in (("folds", 1), ("frame", 10 * DAY), ("grid", 10)):
        pd.testing.assert_frame_equal(
            getattr(after, name).iloc[:rows], getattr(before, name).iloc[:rows], check_exact=True
        )
    assert before.folds["ic_rows"].iloc[0] == 10 * DAY - 3  # the last labels end after the span
    assert not after.folds.iloc[1].equals(before.folds.iloc[1])


def test_a_model_knows_no_price_after_its_span():
    data = planted(20 * DAY)
    model = ModelConfig(horizon=2, params=SMALL)
    first = fit(data, (0, 300), model, seed=1)
    bars = data.bars.copy()
    bars.iloc[302:] = 1.0  # the label of row 299 ends with row 301
    changed = Dataset(data.symbol, bars, data.features, fingerprint="other")
    assert fit(changed, (0, 300), model, seed=1).model == first.model
    bars.iloc[301:] = 1.0
    changed = Dataset(data.symbol, bars, data.features, fingerprint="other")
    assert fit(changed, (0, 300), model, seed=1).model != first.model
    assert Rows(0, 0, 300, 330, 360).train_end == 300


@pytest.mark.parametrize(
    ("name", "is_offered"),
    [
        ("zscore_60", True),  # sd
        ("zscore_61", False),  # registered by no default window: a strategy read it
        ("kyle_lambda", False),  # quote / base
        ("trade_size_60", False),  # base
        ("message_rate_60", False),  # 1/s
        ("realized_vol_60", True),  # 1/sqrt(year)
        ("mine", True),  # not registered
    ],
)
def test_a_model_is_offered_what_means_the_same_on_another_symbol(name, is_offered):
    assert offered([name]) == ([name] if is_offered else [])
