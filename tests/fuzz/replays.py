"""Replay: any tape and any orders; what its logs say is recomputed here, and errors change nothing.

A twin is fed in other chunks, and is replaced by a copy of itself now and then.
"""

import pickle
from collections import Counter
from typing import Any

import numpy as np

from mrcore.account import Account
from mrcore.exchange import EVENTS, QUEUE_MODELS, REASONS, SELF_TRADE_MODES, TIFS
from mrcore.latency import Latency
from mrcore.replay import Replay

from .feeds import REGIMES, Feed, pieces

COVERS = (
    *(f"replay: {name}" for name in (*REGIMES, *EVENTS)),
    *(f"replay: {name}" for name in REASONS if name not in ("", "cleared")),  # of books by order
    *(f"replay: {model}" for model in QUEUE_MODELS if model not in ("kernel", "fifo")),
    *(f"replay: tif {tif}" for tif in TIFS),
    *(f"replay: {what}" for what in ("refused rows", "refused call", "copied", "local times")),
)
MODELS = tuple(model for model in QUEUE_MODELS if model not in ("kernel", "fifo"))
LIQUIDATION = 0.01
CHUNK = 200
START = 10**18
TICK, LOT, MULTIPLIER, MAKER, TAKER = 0.5, 0.25, 2.0, -0.0001, 0.0005
FINAL = {EVENTS.index(name) for name in ("filled", "cancelled", "expired", "rejected")}
Columns = tuple[np.ndarray, ...]


def play(rng: np.random.Generator, events: int, seen: Counter[str]) -> None:
    """Play one round."""
    options = some_options(rng)
    local = rng.random() < 0.3
    if local and options["sample_interval_ns"]:  # else the first row fed says when they begin
        every = options.pop("sample_interval_ns")
        options["sample_times"] = START + every * np.arange(1, 1_000)
    seen[f"replay: {options['queue_model']}"] += 1
    seen["replay: local times"] += local
    margin = {"deposit": 10.0 ** rng.integers(2, 9), "initial_margin": 0.1}
    margin |= {
        "maintenance_margin": 0.05,
        "liquidation_fee": LIQUIDATION,
        "check_interval_ns": 10**8,
    }
    if rng.random() < 0.8:
        margin = {}
    one, two = (Replay(TICK, LOT, account=Account(**margin), **options) for _ in range(2))
    feed = Feed(rng)
    feed.middle = min(feed.middle, 2**29)
    start, received, chunks = START, [0, 0], []
    for _ in range(events // CHUNK):
        regime = str(rng.choice(REGIMES))
        seen[f"replay: {regime}"] += 1
        deltas, trades = tape(rng, feed, regime, start)
        end = int(max(column[-1] for column in (deltas[0], trades[0]) if len(column)))
        if local:
            deltas, trades = (delayed(rng, c, received, k) for k, c in enumerate((deltas, trades)))
        chunks.append((deltas, trades, start, end))
        start = end + 1
    one.feed(*(tuple(map(np.concatenate, zip(*stream, strict=True))) for stream in streams(chunks)))
    ids: list[int] = []
    for deltas, trades, start, end in chunks:
        if rng.random() < 0.1:
            refused_rows(rng, two, deltas, trades)
            seen["replay: refused rows"] += 1
        for a, b in zip(cuts(rng, deltas), cuts(rng, trades), strict=True):
            two.feed(tuple(c[a] for c in deltas), tuple(c[b] for c in trades))
        now = start
        while now < end:
            one.advance(now)
            if rng.random() < 0.5:  # the bits must not know of a stop on the way
                two.advance(int(rng.integers(now if two.time_ns is None else two.time_ns, now + 1)))
            two.advance(now)
            state(one, two)
            act(rng, one, two, ids, seen)
            if rng.random() < 0.02:
                two = two.copy() if rng.random() < 0.5 else pickle.loads(pickle.dumps(two))
                seen["replay: copied"] += 1
            now += max(1, (end - start) // int(rng.integers(2, 12)))
    for replay in (one, two):
        replay.finish()
    state(one, two)
    for name in ("orders", "order_events", "fills", "samples"):
        a, b = getattr(one, name)(), getattr(two, name)()
        assert a.tobytes() == b.tobytes(), name
    accounts(one, options)
    orders(one, options, seen)
    if options["queue_model"] == "strict":
        capped(one, [trades for _, trades, _, _ in chunks])


def streams(chunks: list[Any]) -> tuple[list[Columns], list[Columns]]:
    return [chunk[0] for chunk in chunks], [chunk[1] for chunk in chunks]


def some_options(rng: np.random.Generator) -> dict[str, Any]:
    model = str(rng.choice(MODELS))
    unit = int(rng.choice([1, 1_000, 1_000_000]))
    options: dict[str, Any] = {
        "queue_model": model,
        "queue_power": float(rng.choice([0.5, 1.0, 3.0])),
        "partial_fills": bool(rng.integers(2)),
        "remember_taking": bool(rng.integers(2)),
        "self_trade": str(rng.choice(SELF_TRADE_MODES)),
        "max_open_orders": int(rng.choice([0, 0, 3])),
        "rate_limit": (2, 10 * unit) if rng.random() < 0.2 else None,
        "latency": some_latency(rng, unit),
        "feed_latency_ns": int(rng.integers(0, 3)) * unit,
        "maker_fee": MAKER,
        "taker_fee": TAKER,
        "multiplier": MULTIPLIER,
        "depth": bool(rng.integers(2)),
        "sample_interval_ns": int(rng.choice([0, 10**7, 10**9])),
        "vpin_buckets": 5,
        "vpin_calibration": 10,
        "window": int(rng.choice([16, 1 << 12])),
    }
    if model == "table":
        options["queue_table"] = np.sort(rng.random(5))
    return options


def some_latency(rng: np.random.Generator, unit: int) -> Latency:
    kind = rng.integers(3)
    if kind == 0:
        return Latency.constant(*(int(x) * unit for x in rng.integers(0, 3, 4)))
    if kind == 1:
        return Latency.sampled(
            np.sort(rng.integers(0, 5, 4)) * unit, np.sort(rng.integers(0, 5, 4)) * unit, seed=3
        )
    sent = START + np.sort(rng.choice(10_000, 20, replace=False)) * unit * 1_000
    there = sent + rng.integers(1, 5, 20) * unit
    there[rng.random(20) < 0.2] = 0  # lost
    return Latency.recorded(sent, there, np.maximum(sent, there) + rng.integers(1, 5, 20) * unit)


def tape(rng: np.random.Generator, feed: Feed, regime: str, start: int) -> tuple[Columns, Columns]:
    n, m = int(rng.integers(1, CHUNK)), int(rng.integers(0, CHUNK // 4))
    side, tick, lots = feed.rows(n, regime)
    lots = np.minimum(lots, 2**40)
    deltas = (feed.times(n, start), side, tick, lots)
    aggressor = rng.choice(np.array([1, -1], np.int8), m)
    at = np.clip(feed.middle + aggressor * rng.integers(-2, 9, m), 0, 2**31 - 1)
    size = rng.choice([1, 2, 30, 2**40], m, p=[0.5, 0.3, 0.19, 0.01])
    return deltas, (feed.times(m, start), aggressor, at.astype(np.int32), size)


def delayed(rng: np.random.Generator, columns: Columns, last: list[int], stream: int) -> Columns:
    late = columns[0] + rng.integers(1, 5_000_000, len(columns[0]))
    late = np.maximum(np.maximum.accumulate(late), last[stream])
    last[stream] = int(late[-1]) if len(late) else last[stream]
    return (*columns, late)


def cuts(rng: np.random.Generator, columns: Columns) -> list[slice]:
    """Return five pieces."""
    found = pieces(rng, len(columns[0]))
    return [slice(0, 0)] * (5 - len(found)) + found


def refused_rows(
    rng: np.random.Generator, replay: Replay, deltas: Columns, trades: Columns
) -> None:
    """Rows that break a rule are refused whole, and the error names the first."""
    stream = int(rng.integers(2)) if len(trades[0]) > 1 else 0
    if len((deltas, trades)[stream][0]) < 2:
        return  # the first row may be as early as it likes
    good = (deltas, trades)[stream]
    at = int(rng.integers(len(good[0])))
    bad = [column.copy() for column in good]
    which, value = [
        (0, bad[0][0] - 10**17),
        (0, 2**62),
        (1, 2),
        (2, -1),
        (3, -1),
        (3, -(2**63)),
        (3, 2**53),
    ][rng.integers(7)]
    at = max(at, 1) if which == 0 else at
    bad[which][at] = value
    name = ("deltas", "trades")[stream]
    before = (replay.counters, replay.time_ns)
    fed = [deltas, trades]
    fed[stream] = tuple(bad)
    message = refusal(lambda: replay.feed(*fed))
    assert message is not None, (name, which, value)
    assert message.startswith(f"{name} row {at}:"), message
    assert before == (replay.counters, replay.time_ns)


def refusal(call: Any) -> str | None:
    try:
        call()
    except (ValueError, OverflowError) as error:
        return str(error)
    return None


def act(
    rng: np.random.Generator, one: Replay, two: Replay, ids: list[int], seen: Counter[str]
) -> None:
    """Do the same random things with both."""
    for _ in range(int(rng.integers(0, 4))):
        bid, ask = one.bid_tick, one.ask_tick
        touch = bid if bid is not None else ask if ask is not None else 100
        kind = rng.choice(
            ["submit", "submit", "stop", "reduce", "replace", "cancel", "quote", "bad"]
        )
        side = int(rng.choice([1, -1]))
        tick = max(0, touch + int(rng.integers(-6, 7)))
        lots = int(rng.choice([1, 2, 7, 2**30], p=[0.4, 0.3, 0.29, 0.01]))
        tif = str(rng.choice(TIFS))
        if kind in ("submit", "stop", "reduce"):
            more: dict[str, Any] = {}
            if kind == "stop":
                more["stop_tick"] = max(0, touch + side * int(rng.integers(-1, 8)))
            if kind == "reduce":
                more["reduce_only"] = True
            sent = [replay.submit(side, tick, lots, tif, **more) for replay in (one, two)]
            assert sent[0] == sent[1]
            ids.append(sent[0])
            seen[f"replay: tif {tif}"] += 1
        elif kind == "replace" and ids:
            order = int(rng.choice(ids[-20:]))
            for replay in (one, two):
                replay.replace(order, tick, lots)
        elif kind == "cancel":
            order = int(rng.choice(ids[-20:])) if ids else 0
            for replay in (one, two):
                replay.cancel(order) if order else replay.cancel_all()
        elif kind == "quote":
            keep, levels = bool(rng.integers(2)), int(rng.integers(1, 4))
            for replay in (one, two):
                replay.quote(bid, ask, lots, levels=levels, keep=keep)
        elif kind == "bad":
            refused_call(rng, one, (side, tick, lots, bid, ask))
            seen["replay: refused call"] += 1


def refused_call(rng: np.random.Generator, replay: Replay, terms: tuple[Any, ...]) -> None:
    side, tick, lots, bid, ask = terms
    wrong = [
        lambda: replay.submit(0, tick, lots),
        lambda: replay.submit(side, -1, lots),
        lambda: replay.submit(side, tick, 0),
        lambda: replay.submit(side, tick, -(2**63)),
        lambda: replay.submit(side, tick, lots, "gtx"),
        lambda: replay.cancel(2**62),
        lambda: replay.cancel(-1),
        lambda: replay.replace(0, tick, lots),
        lambda: replay.advance(replay.time_ns - 1),
        lambda: replay.advance(2**62),
        lambda: replay.wait_next(-1),
        lambda: replay.quote(bid, ask, 0),
    ]
    events = len(replay.order_events())
    at = int(rng.integers(len(wrong)))
    assert refusal(wrong[at]) is not None, at
    assert len(replay.order_events()) == events


def state(one: Replay, two: Replay) -> None:
    """What both know is the same, and no book is crossed."""
    names = ("time_ns", "bid_tick", "ask_tick", "bid_lots", "ask_lots", "position_lots", "cash")
    for name in (*names, "exchange_position_lots", "fees", "open_orders", "counters"):
        assert getattr(one, name) == getattr(two, name), name
    assert one.bid_tick is None or one.ask_tick is None or one.bid_tick < one.ask_tick


def accounts(replay: Replay, options: dict[str, Any]) -> None:
    """Cash, fees and position are what the fills make them."""
    position, cash, fees = 0, 0.0, 0.0
    fills, log = replay.fills(), replay.order_events()
    forced = log["reason"] == REASONS.index("liquidated")
    forced = set(log["order_id"][forced & (log["event"] == EVENTS.index("submitted"))].tolist())
    assert np.all(np.diff(fills["time"]) >= 0)
    for fill in fills:
        side, lots = int(fill["side"]), int(fill["lots"])
        value = lots * LOT * (int(fill["tick"]) * TICK) * MULTIPLIER
        fee = value * (MAKER if fill["maker"] else TAKER)
        if fill["order_id"] in forced:
            fee = value * (TAKER + LIQUIDATION)
        assert np.isclose(fill["fee"], fee, rtol=1e-12, atol=0.0)
        position += side * lots
        cash -= side * value + float(fill["fee"])
        fees += float(fill["fee"])
        assert position == fill["position_lots"]
        assert np.isclose(cash, fill["cash"], rtol=1e-9, atol=1e-6 * max(1.0, value))
        cash = float(fill["cash"])  # so that roundings do not add up
    assert position == replay.exchange_position_lots == replay.position_lots
    assert len(fills) == 0 or replay.cash == cash
    assert np.isclose(replay.fees, fees, rtol=1e-9, atol=1e-9)


def orders(replay: Replay, options: dict[str, Any], seen: Counter[str]) -> None:
    """Each order's story is one that an exchange could tell."""
    fills, log, book = replay.fills(), replay.order_events(), replay.orders()
    local = np.isin(
        log["event"], [k for k, name in enumerate(EVENTS) if name.endswith("requested")]
    )
    local |= log["event"] == EVENTS.index("submitted")
    lost = log["reason"] == REASONS.index("lost")  # never came to the exchange
    for clock in (log[local], log[~local & ~lost]):
        assert np.all(np.diff(clock["time"]) >= 0)
    for code, count in zip(*np.unique(log["event"], return_counts=True), strict=True):
        seen[f"replay: {EVENTS[code]}"] += int(count)
    for code, count in zip(*np.unique(log["reason"], return_counts=True), strict=True):
        seen[f"replay: {REASONS[code]}"] += int(count) if code else 0
    filled = np.bincount(fills["order_id"], fills["lots"], minlength=len(book) + 1).astype(np.int64)
    assert np.all(book["order_id"] == np.arange(1, len(book) + 1))
    assert np.all((book["remaining"] >= 0) & (filled[1:] + book["remaining"] <= book["lots"]))
    done = book["status"] == EVENTS.index("filled")
    assert np.all(filled[1:][done] == book["lots"][done])
    assert np.all(book["remaining"][done] == 0)
    by_order = dict(zip(book["order_id"].tolist(), book["side"].tolist(), strict=True))
    assert all(
        by_order[i] == s for i, s in zip(fills["order_id"].tolist(), fills["side"], strict=True)
    )
    ended: set[int] = set()
    for event, order in zip(
        log["event"][~local].tolist(), log["order_id"][~local].tolist(), strict=True
    ):
        if EVENTS[event] in ("cancel_rejected", "replace_rejected"):
            continue
        assert order not in ended, (order, EVENTS[event])
        if event in FINAL:
            ended.add(order)
    # post-only orders never take
    post_only = set(book["order_id"][book["tif"] == TIFS.index("post_only")].tolist())
    takers = set(fills["order_id"][~fills["maker"]].tolist())
    assert not (post_only & takers)


def capped(replay: Replay, traded: list[Columns]) -> None:
    """Under `strict` no more is filled at rest than the recorded trades of that time traded."""
    times = np.concatenate([c[0] for c in traded])
    lots = np.concatenate([c[3] for c in traded])
    fills = replay.fills()
    fills = fills[fills["maker"]]
    for time in np.unique(fills["time"]):
        assert fills["lots"][fills["time"] == time].sum() <= lots[times == time].sum()
