"""Bars of the recordings: the samples of a replay, and flows that add up and make sense."""

import numpy as np
import pytest

from mrcore.bars import BAR_COLUMNS, MarketBars
from mrcore.replay import Replay
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.tape import load_tape
from mrtrade.features.bars import build_bars
from mrtrade.instruments import instrument
from tests.oracle.bars import among
from tests.oracle.book import OracleBook

pytestmark = pytest.mark.shared

SECOND = 1_000_000_000
RECORDINGS = [
    ("BINANCE", "BTC-USDT", "2024-08-08"),
    ("BINANCE", "NEXO-USDT", "2024-07-23"),
    ("BINANCE_FUTURES", "ETH-USDT-PERP", "2024-08-08"),
    ("BINANCE_DELIVERY", "BTC-USD-PERP", "2024-08-08"),
]


@pytest.fixture(scope="module", params=RECORDINGS, ids=lambda one: f"{one[0]} {one[1]}")
def recording(request, shared_data, tmp_path_factory):
    exchange, symbol, day = request.param
    store = ParquetStore(tmp_path_factory.mktemp("store"))
    days = [day, str(np.datetime64(day) + np.timedelta64(1, "D"))]
    for table in ("book_delta_v2", "book_seed", "trades"):
        for one in days:
            place = f"{table}/exchange={exchange}/symbol={symbol}/dt={one}"
            if (shared_data / "lake" / place).exists():
                ingest(shared_data / "lake" / place, store)
    return store, instrument(exchange, symbol)


@pytest.mark.parametrize("recorded", [False, True])
def test_bars_are_the_samples_of_a_replay(recording, recorded):
    store, terms = recording
    latency = 0 if recorded else 20_000_000
    tape = load_tape(store, terms, base_latency_ns=1_000_000 if recorded else None)
    options = {"feed_latency_ns": latency, "kyle_window": 60}
    sizes = terms.tick_size, terms.lot_size
    bars = MarketBars(*sizes, size=5 * SECOND, **options)
    replay = Replay(*sizes, sample_interval_ns=5 * SECOND, **options)
    for one in (bars, replay):
        one.feed(tape.deltas, tape.trades)
        one.finish()
    times, values = bars.rows()
    assert len(times) > 60
    np.testing.assert_array_equal(values[:, :28], replay.samples()[:, :28])


def test_flows_make_sense(recording):
    """Ratios that hold on all of these; the book comes each 100 ms or so, the trades at once."""
    store, terms = recording
    bars = build_bars(load_tape(store, terms, base_latency_ns=1_000_000), SECOND)
    total = bars.sum()
    assert 0.05 < total["unmatched_trades"] / total["volume"] < 0.35
    for side in ("bid", "ask"):
        assert 0.7 < total[f"{side}_cancels"] / total[f"{side}_adds"] < 1.2
        assert 0.0 < total[f"{side}_flicker"] / total[f"{side}_adds"] < 0.4
        assert (bars[f"{side}_slope"].dropna() > 0).all()
    change = bars["mid"] - bars["mid_open"]
    for name in ("ofi", "ofi5", "ofi10"):
        assert 0.2 < change.corr(bars[name]) < 0.95
    # decayed rates average to the rate of trades
    for side in ("buy", "sell"):
        rate = bars[f"n_{side}s"].mean()
        assert bars[f"hawkes_{side}"].mean() == pytest.approx(rate, rel=0.1)
    assert (total[["eff_spread", "price_impact"]] > 0).all()  # takers pay, and the mid follows
    assert (bars["matured_spread"] == bars["realized_spread"] + bars["price_impact"]).all()
    assert not np.isinf(bars.to_numpy()).any()


def test_what_levels_lost_was_traded_or_cancelled(recording):
    """Every lot, against a plain pass over the first part of the tape."""
    store, terms = recording
    tape = load_tape(store, terms)
    rows = 4_000
    last = int(tape.deltas.time[rows])
    deltas = tuple(column[tape.deltas.time < last] for column in tape.deltas)
    trades = tuple(column[tape.trades.time < last] for column in tape.trades)
    bars = MarketBars(1.0, 1.0, size=10**15, first_ns=last + SECOND)
    bars.feed(deltas, trades)
    bars.advance(last + SECOND)
    found = dict(zip(BAR_COLUMNS, bars.rows()[1][0].tolist(), strict=True))
    book, added, lost = OracleBook(), {1: 0, -1: 0}, {1: 0, -1: 0}
    message, anew = None, True
    for time, side, tick, lots in zip(*(column.tolist() for column in deltas), strict=True):
        if time != message:
            message, anew = time, not book.levels[1] and not book.levels[-1]
        if side == 0:
            book.clear()
            anew = True
            continue
        change = lots - book.levels[side].get(tick, 0)
        if change and not anew and among(book, side, tick, lots, 20):
            (added if change > 0 else lost)[side] += abs(change)
        book.update(side, tick, lots)
    assert (found["bid_adds"], found["ask_adds"]) == (added[1], added[-1])
    assert min(*added.values(), *lost.values()) > 0
    cancelled = found["bid_cancels"] + found["ask_cancels"]
    traded = trades[3].sum() - found["unmatched_trades"]
    assert cancelled + traded == lost[1] + lost[-1]
    assert found["bid_cancels"] <= lost[1]
    assert found["ask_cancels"] <= lost[-1]
