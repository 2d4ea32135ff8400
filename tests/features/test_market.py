"""From a store to bars with all that was known at their ends."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mrcore.market import SyntheticMarket
from mrtrade.clock import to_ns
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.streams import Events
from mrtrade.data.synthetic import write_lake
from mrtrade.data.tape import find_instrument, load_tape
from mrtrade.errors import StoreError
from mrtrade.features import market
from mrtrade.features.bars import build_bars
from mrtrade.features.market import join_perpetual, load_bars, tick_mids

SECOND = 1_000_000_000
START = to_ns("2024-01-01")
OURS, OTHER, SPOT = "ETH/USDT-PERP", "BTC/USDT-PERP", "BTC/USDT"
STEPS = (0.1, 0.001)


def rows_of(seconds, **columns):
    time = START + (np.array(seconds) * SECOND).astype(np.int64)
    return pd.DataFrame({"origin_time": time, "received_time": time, **columns})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A minute of two perpetuals, one with all tables, and of a spot market."""
    folder = tmp_path_factory.mktemp("market")
    for seed, symbol in enumerate((OURS, OTHER, SPOT)):
        write_lake(folder / "lake", SyntheticMarket(seed).run(60.0), symbol=symbol)
    store = ParquetStore(folder / "store")
    ingest(folder / "lake", store)
    where = ("SYNTHETIC", OURS)
    funding = rows_of(
        [5.0, 20.5, 50.0],
        mark_price=[60_000.0, 60_001.0, 60_002.0],
        rate=[1e-4, 2e-4, 3e-4],
        next_funding_time=START + np.array([3600, 3600, 3600]) * SECOND,
        index_price=[60_000.0, np.nan, 60_003.0],
    )
    store.write("funding", *where, funding)
    store.write("open_interest", *where, rows_of([10.9], open_interest=[5.0]))
    forced = rows_of([12.5, 13.0], side=["sell", "buy"], quantity=[1.0, 2.0], price=[6e4] * 2)
    store.write("liquidations", *where, forced.assign(liquidation_id="", status=""))
    return store


def tape_of(store, symbol, base_latency_ns=1):
    tick, lot = STEPS
    terms = find_instrument(
        store, "SYNTHETIC", symbol, tick_size=tick, lot_size=lot, maker_fee=0.0, taker_fee=0.0
    )
    return load_tape(store, terms, base_latency_ns=base_latency_ns)


@pytest.mark.parametrize(("feed", "latency"), [("recorded", 1), ("constant", 250_000_000)])
def test_all_that_the_store_knows(store, feed, latency):
    options = {"feed": feed, "feed_latency_ns": latency, "steps": STEPS, "other_steps": STEPS}
    got = load_bars(store, "SYNTHETIC", OURS, "1s", other=OTHER, **options)
    base = latency if feed == "recorded" else None
    own = build_bars(tape_of(store, OURS, base), SECOND, latency)
    # the bars of a backtest, and more columns
    pd.testing.assert_frame_equal(got[list(own)], own, check_exact=True)
    # the second asset's mid is that of its own bars
    second = build_bars(tape_of(store, OTHER, base), SECOND, latency)["mid"]
    both = got.index.intersection(second.index)
    pd.testing.assert_series_equal(
        got.loc[both, "other_mid"], second[both], check_names=False, check_exact=True
    )
    assert (got["other_age_s"].dropna() < 1.0).all()
    assert np.isfinite(got["hy_corr"].iloc[30:]).all()
    at = (to_ns(got.index) - START) / SECOND

    def row(second):
        return got.iloc[np.flatnonzero(at == second)[0]]

    # known when received, and no earlier than the latency after it happened
    assert np.isnan(row(5)["funding_rate"])
    assert row(6)["funding_rate"] == 1e-4
    assert row(6)["funding_due_s"] == 3594.0
    assert row(21)["mark"] == 60_001.0
    assert row(21)["index"] == 60_000.0
    first = 11 if feed == "recorded" else 12
    assert np.isnan(row(first - 1)["open_interest"])
    assert row(first)["open_interest"] == 5.0
    assert row(13)["long_liquidations"] == 1.0
    assert row(13)["short_liquidations"] == 0.0
    assert row(14)["short_liquidations"] == 2.0


def test_bars_of_another_kind(store):
    got = load_bars(store, "SYNTHETIC", OURS, 2.0, kind="volume", steps=STEPS)
    own = build_bars(tape_of(store, OURS), 2.0, 1, kind="volume")
    pd.testing.assert_frame_equal(got[list(own)], own, check_exact=True)
    assert np.isfinite(got["funding_rate"].iloc[-1])
    # all that was forced, in whatever bars it came
    assert got["short_liquidations"].sum() == 2.0


def test_a_spot_market_and_no_second_asset(store):
    got = load_bars(store, "SYNTHETIC", SPOT, "1s", steps=STEPS)
    assert list(got) == list(build_bars(tape_of(store, SPOT), SECOND))


def test_a_perpetual_of_which_nothing_else_is_stored(store):
    got = load_bars(store, "SYNTHETIC", OTHER, "1s", steps=STEPS)
    assert "funding_rate" not in got


def test_a_second_asset_that_is_not_stored(store):
    with pytest.raises(StoreError):
        load_bars(
            store, "SYNTHETIC", OURS, "1s", other="SOL/USDT-PERP", steps=STEPS, other_steps=STEPS
        )


def test_the_mid_of_each_message(store, monkeypatch):
    tape = tape_of(store, OURS)
    mids = tick_mids(tape)
    assert mids.index.is_monotonic_increasing
    assert len(mids) == len(np.unique(tape.deltas.time))
    bars = build_bars(tape, SECOND)
    last = np.searchsorted(to_ns(mids.index), to_ns(bars.index), side="right") - 1
    np.testing.assert_allclose(mids.to_numpy()[last], bars["mid"], rtol=1e-14)
    # however many rows are applied at a time
    for rows in (1, 997):
        monkeypatch.setattr(market, "TOUCH_ROWS", rows)
        part = replace(tape, deltas=type(tape.deltas)(*(c[:20_000] for c in tape.deltas)))
        some = tick_mids(part)
        monkeypatch.undo()
        pd.testing.assert_series_equal(some, tick_mids(part))


def test_receipts_are_put_on_the_clock_of_the_tape(store):
    """Where the collector's clock is behind, all that it received is later by one constant."""
    tape = tape_of(store, OURS)
    bars = build_bars(tape, SECOND)
    shifted = replace(tape, stats=tape.stats | {"local_shift_ns": 3 * SECOND})
    now, later = (join_perpetual(bars, store, one)["funding_rate"] for one in (tape, shifted))
    assert now.first_valid_index() == pd.Timestamp("2024-01-01 00:00:06", tz="UTC")
    assert later.first_valid_index() == pd.Timestamp("2024-01-01 00:00:08", tz="UTC")


def test_two_tapes_of_one_collector_are_on_one_clock(store):
    """Each corrected the clock by its own fastest message; the second goes by the first's."""
    tape = tape_of(store, OTHER)
    received = to_ns(tick_mids(tape).index)
    slow = replace(tape, stats=tape.stats | {"local_shift_ns": 3 * SECOND})
    assert (to_ns(tick_mids(tape, clock_of=slow).index) == received + 3 * SECOND).all()
    # the other way round nothing is known before it happened
    local = to_ns(tick_mids(slow, 1, clock_of=tape).index)
    assert len(local) == len(received)
    assert (local < received).all()
    happened = to_ns(tick_mids(replace(tape, deltas=Events(*tape.deltas[:4]))).index)
    assert (local == happened + 1).all()
