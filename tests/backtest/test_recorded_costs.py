"""What recordings in a store say to the cost model: the synthetic market, and real ones."""

import math

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest.recorded_costs import FEED_NS, calibrate_recording, recorded_state
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.stores import open_store
from mrtrade.data.tape import find_instrument, load_tape
from mrtrade.errors import ConfigError, DataError, StoreError
from mrtrade.execution.calibrated import Calibration
from mrtrade.execution.costs import DynamicTransactionCostModel
from mrtrade.features.bars import build_bars

BTC = ("SYNTHETIC", "BTC/USDT")


@pytest.fixture(scope="module")
def store(market):
    return open_store(market["store"])


def test_the_state_is_that_of_the_last_bar_by_an_obvious_twin(store):
    found = recorded_state(store, *BTC, "2024-01-01 00:01:40.7")
    tape = load_tape(store, find_instrument(store, *BTC), base_latency_ns=FEED_NS)
    bars = build_bars(tape, 1e9, FEED_NS)
    last = bars[bars.index <= pd.Timestamp("2024-01-01 00:01:40.7", tz="UTC")]
    assert found.time == last.index[-1] == pd.Timestamp("2024-01-01 00:01:40", tz="UTC")
    bar = last.iloc[-1]
    assert found.mid == bar["mid"]
    returns = np.log(last["mid"]).diff().dropna()
    a_year = math.sqrt((returns**2).mean() * 365 * 86_400)
    assert found.market["realized_vol"] == pytest.approx(a_year, rel=1e-9)
    assert found.market["spread_bps"] == pytest.approx((bar["ask"] - bar["bid"]) / bar["mid"] * 1e4)
    assert found.market["vpin"] == bar["vpin"]
    assert found.instrument.symbol == "BTC/USDT"


def test_what_came_later_changes_nothing(store, tmp_path):
    """The same store, without all that was received 11 s after that time."""
    at = "2024-01-01 00:01:40"
    cut = ParquetStore(tmp_path / "cut")
    for table in ("book_seed", "book_delta_v2", "trades"):
        for batch in store.batches(table, *BTC):
            rows = batch.rows.to_pandas() if hasattr(batch.rows, "to_pandas") else batch.rows
            early = rows[rows["received_time"] < pd.Timestamp(at, tz="UTC").value + 11 * 10**9]
            cut.write(table, *BTC, early)
    assert recorded_state(cut, *BTC, at) == recorded_state(store, *BTC, at)


def test_a_time_that_was_not_recorded_is_refused(store):
    with pytest.raises(DataError, match="at: the recording does not hold this time"):
        recorded_state(store, *BTC, "2024-01-01 00:30")
    with pytest.raises(StoreError, match="no book"):
        recorded_state(store, *BTC, "2023-12-01")
    with pytest.raises(ConfigError, match="too long a bar, was '1min'; expected one that div"):
        calibrate_recording(store, *BTC, bar="1min")


def test_a_market_without_impact_has_no_lambda(store):
    found = calibrate_recording(store, *BTC, resamples=99)
    assert not found.kyle_lambda.determined  # its fair value does not listen to trades
    assert found.kyle_lambda.low < 0.0 < found.kyle_lambda.high
    assert found.bar_s == 1.0
    five = calibrate_recording(store, *BTC, bar="5s", resamples=99)
    assert five.bar_s == 5.0
    assert five.markouts is None or 1.0 not in five.markouts.horizons_s


# ---- the recordings, as docs/costs.md has them

RECORDED = {
    # (exchange, symbol, day): lambda, slope, Y, mark-outs at 1 and 5 s; within 1 %
    ("BINANCE", "BTC/USDT", "2024-08-08"): (6.47e-06, 76.8, 0.473, 1.27, 1.20),
    ("BINANCE", "NEXO/USDT", "2024-07-23"): (2.78e-03, 109.7, 0.607, 14.8, 13.5),
    ("BINANCE_FUTURES", "ETH/USDT-PERP", "2024-07-18"): (1.18e-06, 65.4, 0.785, 0.79, 0.94),
    ("BINANCE_DELIVERY", "BTC/USD-PERP", "2024-08-08"): (4.23e-06, 66.6, 0.383, 1.46, 0.51),
}


@pytest.fixture(scope="module", params=RECORDED, ids=lambda one: f"{one[0]} {one[1]}")
def recording(request, shared_data, tmp_path_factory):
    exchange, symbol, day = request.param
    store = ParquetStore(tmp_path_factory.mktemp("store"))
    for one in (day, str(np.datetime64(day) + np.timedelta64(1, "D"))):
        for table in ("book_delta_v2", "book_seed", "trades"):
            place = f"{table}/exchange={exchange}/symbol={symbol.replace('/', '-')}/dt={one}"
            if (shared_data / "lake" / place).exists():
                ingest(shared_data / "lake" / place, store)
    return request.param, store


@pytest.mark.shared
def test_recordings_are_calibrated_as_the_document_says(recording, tmp_path):
    (exchange, symbol, day), store = recording
    found = calibrate_recording(store, exchange, symbol, resamples=199)
    measured = (found.kyle_lambda, found.book_slope, found.square_root_y)
    values = [one.value for one in measured] + list(found.markouts.adverse_bps[0][:2])
    np.testing.assert_allclose(values, RECORDED[exchange, symbol, day], rtol=1e-2)
    for one in measured:
        assert one.determined
        assert one.low < one.value < one.high
    # Takers know more than makers, and no recording tells by VPIN how much.
    assert all(p is None or p >= 0.01 for p in found.markouts.p_alike)
    assert found.markouts.adverse_bps[0][0] > 2 * found.markouts.se_bps[0][0]
    # It is read by the model, and an order of a thousandth of the day's volume costs by it.
    model = DynamicTransactionCostModel(
        exchange=exchange, calibration=Calibration.load(found.save(tmp_path / "costs.json"))
    )
    size = 1e-3 * found.daily_volume
    told = model.estimate_cost(
        symbol=symbol, quantity_usd=size, urgency=1.0,
        market_state={"spread_bps": found.spread_bps, "realized_vol": found.realized_vol},
    )  # fmt: skip
    assert told["temporary_impact_bps"] == pytest.approx(0.1 * found.book_slope.value)
    assert told["permanent_impact_bps"] == pytest.approx(0.5 * size * found.kyle_lambda.value)
