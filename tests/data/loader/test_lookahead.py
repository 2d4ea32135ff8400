"""What was received after a time changes nothing that was known by it."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.clock import from_ns, to_ns
from mrtrade.data.loader import DataLoader

from .feeds import MINUTE, SECOND, STEPS, T0, feed, store_of

START, END = T0 + 2 * MINUTE, T0 + 70 * MINUTE

FRAMES = {
    "combined": lambda loader: loader.load_combined("FOO/USDT", "1m", START, END, **STEPS),
    "combined 7 s": lambda loader: loader.load_combined("FOO/USDT", "7s", START, END, **STEPS),
    "combined of candles": lambda loader: loader.load_combined(
        "FOO/USDT", "1m", START, END, bars="candles", **STEPS
    ),
    "combined of longer candles": lambda loader: loader.load_combined(
        "FOO/USDT", "3m", START, END, bars="candles", **STEPS
    ),
    "snapshots": lambda loader: loader.load_order_book_snapshots(
        "FOO/USDT", START, END, "5s", 3, **STEPS
    ),
    "bars of trades": lambda loader: loader.load_ohlcv("FOO/USDT", "1m", START, END),
    "bars of candles": lambda loader: loader.load_ohlcv("FOO/USDT", "3m", START, END),
}


def shifted(tables, time):
    """The same until a time; after it, other values, and rows that nobody knew were to come."""
    changed = {}
    for name, rows in tables.items():
        before = rows[rows["received_time"] <= time]
        after = rows[rows["received_time"] > time].copy()
        for column in ("price", "open", "high", "low", "close", "mark_price", "size", "quantity"):
            if column in after:
                after[column] += 4.0
        for column in ("rate", "open_interest", "volume"):
            if column in after:
                after[column] *= 0.5
        if "side" in after:
            after["side"] = np.where(after["side"] == "buy", "sell", "buy")
        if "sequence_number" in after:
            after["sequence_number"] += 50
        if len(after) and name != "candles":
            first = after.iloc[[0]].assign(received_time=time + 1)
            after = pd.concat([first, after.iloc[len(after) // 4 :]])
        changed[name] = pd.concat([before, after])
    return changed


@pytest.mark.parametrize("what", FRAMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_received_later_is_in_a_row(tmp_path, what, seed):
    tables = feed(seed)
    if what == "bars of trades":
        del tables["candles"]
    load = FRAMES[what]
    whole = load(DataLoader("binance", store_of(tmp_path / "all", tables), cache=False))
    assert len(whole) >= 15
    assert whole.notna().any().all()  # or a column would be the same for want of values
    rng = np.random.default_rng(seed)
    cuts = [*rng.choice(to_ns(whole.index), 4), *(T0 + rng.integers(10, 60, 2) * 51 * SECOND)]
    if "known" in whole:  # at the end of bars of which something was still to come
        cuts += to_ns(whole.index[whole["known"] > whole.index])[-3:].tolist()
    differs = False
    for number, time in enumerate(int(cut) for cut in cuts):
        futures = {
            "changed": shifted(tables, time),
            "removed": {n: rows[rows["received_time"] <= time] for n, rows in tables.items()},
        }
        for future, these in futures.items():
            store = store_of(tmp_path / f"{number}{future}", these)
            other = load(DataLoader("binance", store, cache=False))
            if "known" in whole:
                known = whole[whole["known"] <= from_ns(time)]
            else:
                known = whole[whole.index <= from_ns(time)]
            if future == "removed":  # the last bars may not be there: nothing says they were whole
                assert len(other)
                known = known[known.index <= other.index[-1]]
                other = other[other.index <= from_ns(time)]
            pd.testing.assert_frame_equal(known, other.loc[other.index.isin(known.index)])
            if future == "changed":
                later = whole.index.intersection(other.index)
                differs |= not whole.loc[later].equals(other.loc[later])
    assert differs  # the futures do differ: a frame that saw them would too


def test_a_candle_is_known_at_its_end_however_it_is_stamped(tmp_path):
    """Trap: Crypto Lake stamps a candle with its start, in both of its times."""
    start = T0 + MINUTE * np.arange(10)
    candles = pd.DataFrame(
        {
            "origin_time": start,
            "received_time": start,
            "start": start,
            "stop": start + MINUTE,
            **{name: np.arange(1.0, 11.0) for name in ("open", "high", "low", "close", "volume")},
            "trades": 1,
        }
    )
    loader = DataLoader("binance", store_of(tmp_path, {"candles": candles}), cache=False)
    bars = loader.load_ohlcv("FOO/USDT", "1m")
    assert bars.index[0] == from_ns(T0 + MINUTE) == bars["known"].iloc[0]
    assert bars["close"].tolist() == list(range(1, 11))
    joined = loader.load_combined("FOO/USDT", "1m", T0, T0 + 9 * MINUTE, bars="candles")
    assert joined.loc[from_ns(T0 + 5 * MINUTE), "close"] == 5.0  # of the minute that began at 4
    assert (joined["bar_stop"] == joined.index).all()


def test_a_snapshot_to_come_decides_nothing(tmp_path):
    """Trap: deltas from shortly before the span were read where a snapshot came soon after it."""
    tables = feed(1)
    start = int(tables["book_delta_v2"]["received_time"].iloc[200])
    seed = tables["book_seed"].iloc[:12].assign(received_time=start + 30 * SECOND)
    frames = []
    for name, seeds in (("with", seed), ("without", seed.iloc[:0])):
        these = {"book_delta_v2": tables["book_delta_v2"], "book_seed": seeds}
        loader = DataLoader("binance", store_of(tmp_path / name, these), cache=False)
        end = start + 2 * MINUTE
        frames.append(loader.load_order_book_snapshots("FOO/USDT", start, end, "1s", 3, **STEPS))
    with_seed, without = (frame[frame.index < from_ns(start + 30 * SECOND)] for frame in frames)
    assert with_seed["bid_0_price"].notna().any()
    pd.testing.assert_frame_equal(with_seed, without)
    assert frames[0]["seeded"].iloc[-1]
    assert not frames[1]["seeded"].any()
