"""Latencies of the data and of orders through whole runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import rerun, run, save_run
from mrtrade.clock import to_ns
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import ConfigError

START = to_ns("2024-01-01")
SECOND = 10**9


@pytest.fixture(scope="module")
def jittered(market, tmp_path_factory):
    """The store with delays that vary, and a collector's clock that is a second behind."""
    folder = tmp_path_factory.mktemp("jittered")
    rng = np.random.default_rng(5)
    lake = Path(market["store"]).parent / "lake"
    for path in lake.glob("*/exchange=SYNTHETIC/symbol=BTC-USDT/*/*.parquet"):
        rows = pd.read_parquet(path)
        time, row = np.unique(rows["timestamp"], return_inverse=True)
        received = time + rng.integers(2_000_000, 80_000_000, len(time)) - SECOND
        rows["receipt_timestamp"] = np.maximum.accumulate(received)[row]
        new = folder / "lake" / path.relative_to(lake)
        new.parent.mkdir(parents=True)
        rows.to_parquet(new)
    ingest(folder / "lake", ParquetStore(folder / "store"))
    return str(folder / "store")


def test_a_recorded_delay_that_is_constant_is_the_constant(market):
    """The synthetic recording was received 5 ms later, all of it."""
    constant = run(market)
    for latency in ({"feed": "recorded"}, {"feed": "recorded", "orders": "feed"}):
        result = run(market | {"latency": latency})
        for name in ("fills", "orders", "equity", "presets"):
            pd.testing.assert_frame_equal(
                getattr(result, name), getattr(constant, name), check_exact=True
            )


@pytest.mark.parametrize(
    "latency",
    [
        {"entry_ms": 3.0, "response_ms": 30.0},
        {"orders": "lognormal", "entry_ms": 40.0, "response_ms": 40.0, "sigma": 1.0},
        {"feed": "recorded"},
        {"feed": "recorded", "orders": "feed"},
    ],
    ids=["constant", "lognormal", "recorded feed", "feed"],
)
def test_latencies_change_the_run_and_not_the_two_ways_to_ask(market, jittered, latency):
    config = market | {"latency": latency, "store": jittered}
    whole, stepped = run(config), run(config, streaming=True)
    assert len(whole.fills) > 20
    pd.testing.assert_frame_equal(stepped.fills, whole.fills, check_exact=True)
    assert stepped.manifest == whole.manifest
    plain = run(market | {"store": jittered})
    assert not whole.orders["time"].equals(plain.orders["time"])
    again = run(whole.manifest["config"])
    pd.testing.assert_frame_equal(again.fills, whole.fills, check_exact=True)


def test_a_cancellation_takes_its_own_time(market):
    orders = run(market | {"latency": {"entry_ms": 3.0, "cancel_ms": 70.0}}).orders
    times = orders.pivot_table(index="order_id", columns="event", values="time", aggfunc="first")
    there = times["accepted"] - times["submitted"]
    assert set(there.dropna()) == {pd.Timedelta(milliseconds=3)}
    gone = (times["cancelled"] - times["cancel_requested"]).dropna()
    assert len(gone) > 5
    assert set(gone) == {pd.Timedelta(milliseconds=70)}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_of_latencies(market, tmp_path, suffix, monkeypatch):
    sent = START + np.array([0, 60, 120, 180]) * SECOND
    table = pd.DataFrame({"request_ns": sent, "exchange_ns": sent + 7_000_000})
    table["response_ns"] = table["exchange_ns"] + 9_000_000
    path = tmp_path / f"orders{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    monkeypatch.chdir(tmp_path)
    config = market | {"latency": {"orders": "table", "table": path.name}}
    result = run(config)
    constant = run(market | {"latency": {"entry_ms": 7.0, "response_ms": 9.0}})
    pd.testing.assert_frame_equal(result.fills, constant.fills, check_exact=True)
    # The content is what counts, wherever it lies.
    (tmp_path / "there").mkdir()
    moved = path.rename(tmp_path / "there" / path.name)
    again = run(config | {"latency": {"orders": "table", "table": str(moved)}})
    assert again.manifest["run_id"] == result.manifest["run_id"]
    rerun(save_run(again, tmp_path / "runs"))
    assert result.manifest["run_id"] != constant.manifest["run_id"]
    other = table.assign(response_ns=table["response_ns"] + 1)
    other.to_csv(tmp_path / "other.csv", index=False)
    changed = run(config | {"latency": {"orders": "table", "table": "other.csv"}})
    assert changed.manifest["run_id"] != result.manifest["run_id"]
    table.assign(response_ns=0).to_csv(tmp_path / "bad.csv", index=False)
    (tmp_path / "empty.csv").write_text("a,b\n1,2\n")
    for name in ("bad.csv", "empty.csv", "none.csv"):
        with pytest.raises(ConfigError, match="not a table of latencies"):
            run(config | {"latency": {"orders": "table", "table": name}})
