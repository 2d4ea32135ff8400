"""Bars of any tape: what must hold of their columns, and the same bits however they are made."""

import copy
import pickle
from collections import Counter
from typing import Any

import numpy as np

from mrcore.bars import BAR_COLUMNS, BAR_KINDS, MarketBars
from mrcore.replay import Replay

from .feeds import REGIMES, Feed
from .replays import CHUNK, LOT, START, TICK, Columns, cuts, delayed, refusal, streams, tape

COVERS = (
    *(f"bars: {name}" for name in (*REGIMES, *BAR_KINDS)),
    *(f"bars: {what}" for what in ("local times", "refused rows", "copied", "like a replay")),
    *(f"bars: some {name}" for name in BAR_COLUMNS),
)
RISING = ("n_", "bid_adds", "ask_adds", "bid_c", "ask_c", "unm", "bid_f", "ask_f", "bid_de")
RISING += ("ask_de", "bid_e", "ask_e", "band", "bid_w", "ask_w", "bid_sl", "ask_sl", "haw", "eff_v")


def play(rng: np.random.Generator, events: int, seen: Counter[str]) -> None:
    """Play one round."""
    local = rng.random() < 0.4
    feed = Feed(rng)
    start, received, chunks = START, [0, 0], []
    for _ in range(events // CHUNK):
        regime = str(rng.choice(REGIMES))
        seen[f"bars: {regime}"] += 1
        deltas, trades = tape(rng, feed, regime, start)
        end = int(max(column[-1] for column in (deltas[0], trades[0]) if len(column)))
        if local:
            deltas, trades = (delayed(rng, c, received, k) for k, c in enumerate((deltas, trades)))
        chunks.append((deltas, trades, start, end))
        start = end + 1
    whole = [tuple(map(np.concatenate, zip(*s, strict=True))) for s in streams(chunks)]
    kind, size, options = some_options(rng, whole, end - START)
    seen[f"bars: {kind}"] += 1
    seen["bars: local times"] += local
    one, two = (MarketBars(TICK, LOT, kind=kind, size=size, **options) for _ in range(2))
    one.feed(*whole)
    one.finish()
    drained = []
    for deltas, trades, start, end in chunks:
        if rng.random() < 0.1:
            refused_rows(rng, two, deltas, trades)
            seen["bars: refused rows"] += 1
        for a, b in zip(cuts(rng, deltas), cuts(rng, trades), strict=True):
            two.feed(tuple(c[a] for c in deltas), tuple(c[b] for c in trades))
        for now in np.sort(rng.integers(start, end + 1, rng.integers(0, 4))).tolist():
            two.advance(now)
        if rng.random() < 0.2:
            two = copy.copy(two) if rng.random() < 0.5 else pickle.loads(pickle.dumps(two))
            seen["bars: copied"] += 1
        if rng.random() < 0.3:
            drained.append(two.drain())
    two.finish()
    drained.append(two.drain())
    ends, rows = one.rows()
    assert np.concatenate([t for t, _ in drained]).tobytes() == ends.tobytes()
    assert np.concatenate([r for _, r in drained]).tobytes() == rows.tobytes()
    assert np.all(np.diff(ends) > 0)
    if kind == "time":
        like_a_replay(whole, size, options, rows)
        seen["bars: like a replay"] += 1
    columns = dict(zip(BAR_COLUMNS, rows.T, strict=True))
    holds(columns, whole[1])
    for name, values in columns.items():
        seen[f"bars: some {name}"] += int(np.any(np.nan_to_num(values) != 0))


def some_options(
    rng: np.random.Generator, whole: list[Columns], span: int
) -> tuple[str, float, dict[str, Any]]:
    """Kind and size of the bars, a few hundred at most, and the times of the measures."""
    kind = str(rng.choice(BAR_KINDS))
    trades = whole[1]
    lots = float(np.sum(trades[3], dtype=float))
    notional = float(np.sum(trades[3] * trades[2].astype(float)))
    total = {"time": span, "tick": len(trades[0]), "volume": lots * LOT}
    size = max(1.0, total.get(kind, notional * TICK * LOT) // int(rng.integers(1, 400)))
    unit = max(1, span // 1_000)
    names = ("horizon_ns", "quote_lag_ns", "match_ns", "flicker_ns", "hawkes_half_life_ns")
    options: dict[str, Any] = {name: int(rng.integers(0, 30)) * unit for name in names}
    options["hawkes_half_life_ns"] += 1
    return (
        kind,
        size,
        options
        | {
            "flicker_size": float(rng.choice([0.1, 1.0, 3.0])),
            "band_bps": float(rng.choice([1.0, 10.0, 1e4])),
            "feed_latency_ns": int(rng.integers(0, 3)) * unit,
            "kyle_window": 10,
            "vpin_buckets": 5,
            "vpin_calibration": 10,
            "window": int(rng.choice([16, 1 << 12])),
        },
    )


def refused_rows(
    rng: np.random.Generator, bars: MarketBars, deltas: Columns, trades: Columns
) -> None:
    """Rows that break a rule are refused whole."""
    bad = [column.copy() for column in deltas]
    which, value = [(0, 2**62), (1, 2), (2, -1), (3, -1), (3, 2**53)][rng.integers(5)]
    bad[which][rng.integers(len(bad[0]))] = value
    before = bars.time_ns
    error = refusal(lambda: bars.feed(tuple(bad), trades))
    assert "deltas row" in str(error), error
    assert bars.time_ns == before


def like_a_replay(
    whole: list[Columns], size: float, options: dict[str, Any], rows: np.ndarray
) -> None:
    names = ("feed_latency_ns", "kyle_window", "vpin_buckets", "vpin_calibration", "window")
    chosen = {name: options[name] for name in names}
    replay = Replay(TICK, LOT, sample_interval_ns=int(size), **chosen)
    replay.feed(*whole)
    replay.finish()
    assert replay.samples()[:, :28].tobytes() == np.ascontiguousarray(rows[:, :28]).tobytes()


def holds(columns: dict[str, np.ndarray], trades: Columns) -> None:
    """What is true of any bars."""
    for name, values in columns.items():
        assert not np.isinf(values).any(), name
        if name.startswith(RISING):
            assert np.all(np.isnan(values) | (values >= 0)), name
    c = columns
    assert np.all(c["n_buys"] + c["n_sells"] == c["n_trades"])
    assert np.all(np.abs(c["signed_runs"]) <= c["n_sign_pairs"])
    assert np.all(c["roll_n"] <= c["n_sign_pairs"])
    assert np.all(c["matured_spread"] == c["realized_spread"] + c["price_impact"])
    volume = c["buy_volume"] + c["sell_volume"]
    assert np.all(c["eff_volume"] <= volume)
    assert np.all(np.isnan(c["max_trade"]) == (c["n_trades"] == 0))
    assert np.all(np.nan_to_num(c["max_trade"]) <= volume)
    assert np.all(np.cumsum(c["matured_volume"]) <= np.cumsum(c["eff_volume"]))
    assert np.all(np.cumsum(c["unmatched_trades"]) <= np.cumsum(volume))
    assert np.nansum(c["n_trades"]) <= len(trades[0])
    balance = c["touch_imbalance_mean"]
    assert np.all(np.isnan(balance) | (np.abs(balance) <= 1 + 1e-9))
