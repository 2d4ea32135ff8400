import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import Result, list_runs, presets, rerun, run, save_run
from mrtrade.config import PRESETS
from mrtrade.errors import ConfigError


@pytest.fixture(scope="module")
def patient(market):
    """Large orders that rest long and never cross: makers fill in the queue only."""
    execution = {"timeout_s": 30, "on_timeout": "give_up"}
    return market | {"max_position": 3.0, "execution": execution}


@pytest.fixture(scope="module")
def compared(patient):
    return run(patient)


def test_each_row_is_the_run_under_its_preset(patient, compared):
    table = compared.presets.set_index("preset")
    assert tuple(table.index) == PRESETS
    assert table["model"].tolist() == ["optimistic", "power", "risk_averse", "strict"]
    for name in PRESETS:
        alone = run(patient | {"queue": {"preset": name, "compare": False}})
        row = alone.presets.iloc[0]
        pd.testing.assert_series_equal(
            row, table.reset_index().loc[PRESETS.index(name)], check_names=False
        )
        assert row["net"] == alone.costs.net
        assert row["gross"] - row["costs"] == pytest.approx(row["net"])
        assert row["fills"] == len(alone.fills)
        assert row["maker_pct"] == pytest.approx(alone.stats["Maker share [%]"])
        assert row["turnover"] == pytest.approx(alone.stats["Turnover [settlement]"])
        orders = alone.orders
        rested = orders[(orders["event"] == "accepted") & (orders["tif"] == "post_only")]
        made = alone.fills[alone.fills["is_maker"]]
        assert row["rested"] == rested["order_id"].nunique()
        share = 100 * made["order_id"].nunique() / row["rested"]
        assert row["rested_filled_pct"] == pytest.approx(share)


def test_an_order_that_only_takes_does_not_rest(market):
    result = run(market | {"execution": {"mode": "aggressive"}})
    assert len(result.fills) > 20
    assert (result.presets["rested"] == 0).all()
    assert result.presets["rested_filled_pct"].isna().all()
    assert (result.presets["maker_pct"] == 0.0).all()


def test_a_kinder_answer_fills_more(compared):
    assert compared.presets["rested_filled_pct"].is_monotonic_decreasing
    first, last = compared.presets.iloc[0], compared.presets.iloc[-1]
    assert first["turnover"] > last["turnover"] > 0


def test_a_strategy_that_streams_is_asked_again_for_each(patient, compared):
    stepped = run(patient, streaming=True)
    pd.testing.assert_frame_equal(stepped.presets, compared.presets, check_exact=True)


def test_the_queue_is_the_configured_model(patient, compared):
    fills = set()
    for model in ("power", "power2", "power3", "log", "log2"):
        table = run(patient | {"queue": {"model": model}}).presets
        assert table.loc[1, "model"] == model
        others = [0, 2, 3]
        pd.testing.assert_frame_equal(table.loc[others], compared.presets.loc[others])
        fills.add(table.loc[1, "fills"])
    assert len(fills) >= 3  # models that are close may fill alike


def test_a_table_is_a_model(patient, compared, tmp_path):
    share = np.linspace(0.0, 1.0, 1001)
    behind = (1 - share) ** 3 / ((1 - share) ** 3 + share**3)
    (tmp_path / "fit.yaml").write_text(f"table: {behind.tolist()}\n")
    config = patient | {"queue": {"model": "table", "table": str(tmp_path / "fit.yaml")}}
    fitted = run(config)
    columns = compared.presets.columns.drop("model")
    pd.testing.assert_frame_equal(fitted.presets[columns], compared.presets[columns])
    backwards = run(patient | {"queue": {"model": "table", "table": behind[::-1].tolist()}})
    assert backwards.presets.loc[1, "fills"] != compared.presets.loc[1, "fills"]
    # The manifest holds the table: a rerun needs no file.
    folder = save_run(fitted, tmp_path / "runs")
    (tmp_path / "fit.yaml").unlink()
    rerun(folder)
    with pytest.raises(ConfigError, match=r"queue\.table: cannot be read"):
        run(config)


def test_an_extreme_model_names_its_preset(patient, compared):
    result = run(patient | {"queue": {"model": "strict"}})
    pd.testing.assert_frame_equal(result.presets, compared.presets)
    assert result.costs.net == compared.presets.loc[3, "net"]


def test_presets_are_saved_and_listed(compared, tmp_path):
    folder = save_run(compared, tmp_path)
    pd.testing.assert_frame_equal(Result.load(folder).presets, compared.presets, check_exact=True)
    (row,) = list_runs(tmp_path)
    assert row["net_by_preset"] == dict(zip(PRESETS, compared.presets["net"].tolist(), strict=True))
    assert row["currency"] == "USDT"
    rerun(folder)


def test_a_share_of_nothing_is_none(tmp_path):
    row = {name: 0 for name in presets.COLUMNS} | {"preset": "strict", "model": "strict"}
    table = presets.frame([row | {"maker_pct": None, "rested_filled_pct": None}])
    assert table["maker_pct"].isna().all()
    assert presets.records(table)[0]["maker_pct"] is None
    pd.testing.assert_frame_equal(presets.frame(presets.records(table)), table)
    empty = presets.frame([])
    assert list(empty.columns) == list(presets.COLUMNS)
    assert empty.dtypes["net"] == np.float64
