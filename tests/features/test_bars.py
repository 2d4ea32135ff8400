from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mrcore.bars import BAR_COLUMNS
from mrcore.book import L2Book
from mrcore.market import SyntheticMarket
from mrcore.replay import SAMPLE_COLUMNS, Replay
from mrtrade.data.streams import LocalEvents
from mrtrade.errors import DataError
from mrtrade.features import FEATURES, compute
from mrtrade.features.bars import bar_times, build_bars

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def tape():
    market = SyntheticMarket(3, snapshot_levels=50)
    run = market.run(60.0)
    deltas, trades = run.tape()
    return SimpleNamespace(
        instrument=SimpleNamespace(tick_size=run.tick_size, lot_size=run.lot_size),
        deltas=deltas,
        trades=trades,
        start_ns=int(deltas[0][0]),
        end_ns=int(deltas[0][-1]),
    )


def up_to(columns, time):
    count = int(np.searchsorted(columns[0], time, side="right"))
    return tuple(column[:count] for column in columns)


def test_grid():
    assert bar_times(5, 31, 10).tolist() == [10, 20, 30]
    assert bar_times(10, 30, 10).tolist() == [10, 20, 30]
    assert bar_times(5, 31, 10, feed_latency_ns=6).tolist() == [20, 30]
    with pytest.raises(ValueError, match="interval_ns must be > 0, was 0"):
        bar_times(0, 1, 0)


@pytest.mark.parametrize("latency", [0, 250_000_000])
def test_bars_against_a_slow_replay(tape, latency):
    bars = build_bars(tape, SECOND, latency)
    assert list(bars) == [*BAR_COLUMNS, "mid", "volume"]
    assert bars.index.name == "time"
    assert str(bars.index.dtype) == "datetime64[ns, UTC]"
    ends = bars.index.asi8
    assert (np.diff(ends) == SECOND).all()
    assert (ends % SECOND == 0).all()
    assert ends[0] - SECOND >= tape.start_ns + latency
    assert ends[-1] <= tape.end_ns + latency < ends[-1] + SECOND
    # one mid, to the last bit, whatever it is called
    assert (bars["mid_open"].iloc[1:] == bars["mid"].shift().iloc[1:]).all()
    assert bars["mid"].between(bars["mid_low"], bars["mid_high"]).all()
    lot, tick = tape.instrument.lot_size, tape.instrument.tick_size
    time, side, ticks, lots = tape.trades
    for end in ends[::9]:
        row = bars.loc[pd.Timestamp(end, tz="UTC")]
        book = L2Book(tick, lot)
        moment, *columns = up_to(tape.deltas, end - latency)
        book.apply(*columns, moment)
        assert row["bid"] == pytest.approx(book.best_bid)
        assert row["ask"] == pytest.approx(book.best_ask)
        assert row["mid"] == pytest.approx(0.5 * (row["bid"] + row["ask"]), rel=1e-15)
        local = time + latency
        bar = (local > end - SECOND) & (local <= end)
        assert row["n_trades"] == bar.sum()
        assert row["buy_volume"] == pytest.approx(lots[bar & (side > 0)].sum() * lot)
        assert row["sell_volume"] == pytest.approx(lots[bar & (side < 0)].sum() * lot)
        assert row["notional"] == pytest.approx((lots * ticks)[bar].sum() * lot * tick)
        assert row["mid_low"] <= row["mid"] <= row["mid_high"]


@pytest.mark.parametrize("recorded", [False, True])
def test_bars_are_the_samples_of_a_replay(tape, recorded):
    latency = 0 if recorded else 250_000_000
    if recorded:
        tape = SimpleNamespace(**vars(tape))
        rng = np.random.default_rng(0)
        for name in ("deltas", "trades"):
            time, *rest = getattr(tape, name)
            local = np.maximum.accumulate(time + rng.integers(1, SECOND // 20, len(time)))
            setattr(tape, name, LocalEvents(time, *rest, local))
    bars = build_bars(tape, SECOND, latency)
    replay = Replay(
        tape.instrument.tick_size,
        tape.instrument.lot_size,
        sample_times=np.append(bars.index.asi8[0] - SECOND, bars.index.asi8),
        feed_latency_ns=latency,
    )
    replay.feed(tape.deltas, tape.trades)
    replay.finish()
    assert len(bars) > 50
    market = SAMPLE_COLUMNS[:28]
    np.testing.assert_array_equal(bars[list(market)], replay.samples()[1:, :28])


@pytest.mark.parametrize(("kind", "size"), [("tick", 20), ("volume", 5.0), ("dollar", 3e5)])
def test_bars_by_what_is_traded(tape, kind, size):
    bars = build_bars(tape, size, 1_000, kind=kind, kyle_window=10)
    ends = bars.index.asi8
    assert len(bars) > 5
    assert (np.diff(ends) > 0).all()
    assert np.isin(ends - 1_000, tape.trades[0]).all()
    filled = bars[{"tick": "n_trades", "volume": "volume", "dollar": "notional"}[kind]]
    assert (filled >= size * (1 - 1e-9)).all()
    last = tape.trades[0] <= ends[-1] - 1_000
    assert bars["n_trades"].sum() == last.sum()
    assert bars["kyle_lambda"].notna().sum() == len(bars) - 10


def test_options_reach_the_bars(tape):
    late = build_bars(tape, SECOND, horizon_ns=20 * SECOND)
    assert late["matured_volume"].iloc[:18].sum() == 0 < late["matured_volume"].sum()
    with pytest.raises(TypeError, match="horizon"):
        build_bars(tape, SECOND, horizon=1)


def test_a_bar_without_events_repeats_the_book(tape):
    """Ten seconds of silence: the later part of the tape is moved."""
    middle = (tape.start_ns + 30 * SECOND) // SECOND * SECOND

    def shifted(columns):
        time = columns[0] + np.where(columns[0] > middle, 10 * SECOND, 0)
        return (time, *columns[1:])

    quiet = SimpleNamespace(
        instrument=tape.instrument,
        deltas=shifted(tape.deltas),
        trades=shifted(tape.trades),
        start_ns=tape.start_ns,
        end_ns=tape.end_ns + 10 * SECOND,
    )
    bars = build_bars(quiet, SECOND)
    at = pd.Timestamp(middle, tz="UTC")
    empty = bars.loc[at + pd.Timedelta("1s") : at + pd.Timedelta("10s")]
    assert len(empty) == 10
    state = ["bid", "bid_size", "ask", "ask_size", "imbalance_5", "microprice", "mid", "vpin"]
    assert (empty[state] == bars.loc[at, state]).all(axis=None)
    flows = ["n_messages", "n_trades", "buy_volume", "sell_volume", "notional", "ofi"]
    assert (empty[flows] == 0.0).all(axis=None)
    assert (empty["mid_high"] == empty["mid"]).all()
    assert empty["spread_mean"].tolist() == pytest.approx((empty["ask"] - empty["bid"]).tolist())


def test_nothing_is_known_before_it_arrives(tape):
    """From tape to features: another future changes no bar and no feature before it."""
    names = sorted(name for name, one in FEATURES.items() if one.warmup <= 30)
    whole = build_bars(tape, SECOND)
    cut = int(whole.index.asi8[40])
    rng = np.random.default_rng(0)

    def other(columns):
        time, side, ticks, lots = (column.copy() for column in columns)
        after = time > cut
        lots[after] = rng.integers(1, 10**6, after.sum())
        ticks[after] += rng.integers(-5, 6, after.sum()).astype(ticks.dtype)
        return time, side, ticks, lots

    changed = SimpleNamespace(
        **{**vars(tape), "deltas": other(tape.deltas), "trades": other(tape.trades)}
    )
    bars = build_bars(changed, SECOND)
    assert not bars.equals(whole)
    pd.testing.assert_frame_equal(bars.iloc[:41], whole.iloc[:41], check_exact=True)
    pd.testing.assert_frame_equal(
        compute(bars, names).iloc[:41], compute(whole, names).iloc[:41], check_exact=True
    )


def test_a_tape_too_short_for_a_bar(tape):
    with pytest.raises(DataError, match=r"holds no whole bar of 3600 s.*shorter bar"):
        build_bars(tape, 3600 * SECOND)
    with pytest.raises(DataError, match=r"holds no whole bar of 1e\+09 base units"):
        build_bars(tape, 1e9, kind="volume")
