"""One schedule of orders through our core, its slow twin, and hftbacktest."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mrcore.exchange import EVENTS, TIFS
from mrcore.replay import Replay

from ..oracle.exchange import EXPIRED, MARKET, Power, RiskAverse, Submit, simulate
from . import environment
from .feeds import COLUMNS, ENTRY_LATENCY, FEED_LATENCY, RESPONSE_LATENCY, Feed, Schedule

OUTCOMES = Path(__file__).with_name("outcomes.npz")
POWER = 3.0
CONFIGS = tuple(f"{m}/{e}" for m in ("risk_averse", "power") for e in ("whole", "partial"))
STATUS = {
    "accepted": 1,
    "expired": 2,
    "filled": 3,
    "cancelled": 4,
    "partially_filled": 5,
}


class Outcomes(NamedTuple):
    """One row an order: what hftbacktest knows of it at the end.

    `status` 1 new, 2 expired, 3 filled, 4 cancelled, 5 partly filled; `time` of its last change at
    the exchange; `tick` of its last fill, its own without one; `remaining` lots.
    """

    status: np.ndarray
    time: np.ndarray
    tick: np.ndarray
    remaining: np.ndarray


class Answer(NamedTuple):
    """What one simulator made of a schedule; fills are rows (order, time, tick, lots, maker)."""

    outcomes: Outcomes
    fills: np.ndarray


def twin(feed: Feed, schedule: Schedule, config: str) -> tuple[Answer, np.ndarray]:
    """Run the slow exchange; also which orders a partial fill took to exactly nothing."""
    model, exchange = config.split("/")
    orders = simulate(
        feed.deltas,
        feed.trades,
        schedule.requests(),
        lot_size=feed.lot_size,
        model=RiskAverse() if model == "risk_averse" else Power(POWER),
        partial=exchange == "partial",
        entry_latency_ns=ENTRY_LATENCY,
    )
    rows = [orders[i] for i in range(len(schedule.time))]
    outcomes = Outcomes(
        *(np.array([getattr(o, name) for o in rows]) for name in ("status", "time")),
        np.array([o.price for o in rows]),
        np.array([o.remaining for o in rows]),
    )
    fills = np.array([(o.id, *fill) for o in rows for fill in o.fills], np.int64).reshape(-1, 5)
    return Answer(outcomes, fills), np.array([o.exact for o in rows])


def core(feed: Feed, schedule: Schedule, config: str) -> Answer:
    """Run `mrcore.replay`, one request at a time as a live strategy would."""
    model, exchange = config.split("/")
    replay = Replay(
        feed.tick_size,
        feed.lot_size,
        queue_model=model,
        queue_power=POWER,
        partial_fills=exchange == "partial",
        remember_taking=False,
        entry_latency_ns=ENTRY_LATENCY,
        response_latency_ns=RESPONSE_LATENCY,
        feed_latency_ns=FEED_LATENCY,
        maker_fee=0.0,
        taker_fee=0.0,
    )
    replay.feed(feed.deltas, feed.trades)
    for request in schedule.requests():
        replay.advance(request.time)
        if isinstance(request, Submit):
            tif = TIFS[request.tif]
            assert replay.submit(request.side, request.tick, request.lots, tif) == request.id + 1
        else:
            replay.cancel(request.id + 1)
    replay.finish()
    orders, fills = replay.orders(), replay.fills()
    codes = np.array([STATUS.get(name, 0) for name in EVENTS])
    tick = orders["tick"].copy()
    tick[fills["order_id"] - 1] = fills["tick"]  # the last one stays
    outcomes = Outcomes(codes[orders["status"]], orders["time"], tick, orders["remaining"])
    names = ("time", "tick", "lots", "maker")
    rows = np.column_stack([fills["order_id"] - 1, *(fills[name] for name in names)])
    return Answer(outcomes, rows[np.argsort(rows[:, 0], kind="stable")].astype(np.int64))


def peer(
    feed: Feed, schedule: Schedule, lots: dict[str, np.ndarray]
) -> dict[str, tuple[int, float, Outcomes]]:
    """Run hftbacktest with the given sizes, by config: end code, position in lots, outcomes."""
    data: dict[str, np.ndarray] = {
        "tick_size": np.float64(feed.tick_size),
        "lot_size": np.float64(feed.lot_size),
        "feed_latency": np.int64(FEED_LATENCY),
        "entry_latency": np.int64(ENTRY_LATENCY),
        "response_latency": np.int64(RESPONSE_LATENCY),
        "configs": np.array(list(lots)),
    }
    for name, columns in (("delta", feed.deltas), ("trade", feed.trades)):
        data |= {f"{name}_{c}": v for c, v in zip(COLUMNS, columns, strict=True)}
    data |= {f"order_{c}": v for c, v in schedule._asdict().items()}
    data |= {f"{config}/lots": np.asarray(v, np.float64) for config, v in lots.items()}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.npz"), Path(folder, "target.npz")
        np.savez(source, **data)
        environment.run(Path(__file__).with_name("run.py"), source, target)
        with np.load(target) as result:
            return {
                config: (
                    int(result[f"{config}/code"]),
                    float(result[f"{config}/position"]),
                    Outcomes(*(whole(result[f"{config}/{name}"]) for name in Outcomes._fields)),
                )
                for config in lots
            }


def whole(values: np.ndarray) -> np.ndarray:
    """Undo the rounding of sizes that were multiplied and divided by the lot size."""
    if values.dtype.kind != "f":
        return values
    lots = np.rint(values)
    np.testing.assert_allclose(values, lots, rtol=0, atol=1e-6)
    return lots.astype(np.int64)


Case = dict[str, tuple[np.ndarray, Outcomes]]  # by config: sizes that hftbacktest was given


def save(path: Path, feed: Feed, schedule: Schedule, case: Case) -> None:
    """Write a feed, a schedule and hftbacktest's outcomes, small.

    Sorted times are kept as differences, and outcomes as differences from the first
    configuration's: most orders end alike in all.
    """
    data: dict[str, np.ndarray] = {"grid": np.array([feed.tick_size, feed.lot_size])}
    for name, columns in (("delta", feed.deltas), ("trade", feed.trades), ("order", schedule)):
        data |= {f"{name}_{i}": v for i, v in enumerate(columns)}
        data[f"{name}_0"] = np.diff(columns[0], prepend=0)
    first = np.zeros(1, np.int64)
    for config, (lots, outcomes) in case.items():
        rows = np.array(outcomes, np.int64)
        data[f"{config}/less"] = schedule.lots - lots
        data[f"{config}/outcomes"] = rows - first
        first = rows if config == CONFIGS[0] else first
    np.savez_compressed(path, **data)


def stored(path: Path) -> tuple[Feed, Schedule, Case]:
    """Read what `save` wrote."""
    with np.load(path) as data:

        def columns(name: str, n: int) -> list[np.ndarray]:
            return [np.cumsum(data[f"{name}_0"]), *(data[f"{name}_{i}"] for i in range(1, n))]

        feed = Feed(tuple(columns("delta", 4)), tuple(columns("trade", 4)), *data["grid"].tolist())
        schedule = Schedule(*columns("order", len(Schedule._fields)))
        first = data[f"{CONFIGS[0]}/outcomes"]
        case = {}
        for config in CONFIGS:
            rows = data[f"{config}/outcomes"] + (0 if config == CONFIGS[0] else first)
            case[config] = schedule.lots - data[f"{config}/less"], Outcomes(*rows)
    return feed, schedule, case


def peer_lots(schedule: Schedule, exact: np.ndarray) -> np.ndarray:
    """Sizes for hftbacktest: a quarter of a lot less where a partial fill is exact.

    There it keeps a Filled order in its book, and the next fill of that order stops the run with
    error 14. A quarter of a lot less can never be met exactly (all sizes of the feed are whole
    lots) and changes nothing else: a fill that leaves nothing of L lots leaves nothing of L - 1/4,
    and one that leaves something of L leaves at least 3/4, which is not Filled.
    """
    return schedule.lots - 0.25 * exact


def beyond_reach(schedule: Schedule, fills: np.ndarray) -> np.ndarray:
    """Lots that each market order filled farther from the touch than hftbacktest looks.

    It walks 100 ticks up or 101 down ("todo: set the proper upper bound" in its source) and lets
    the rest expire; ours takes what is displayed, wherever it is.
    """
    order, _, tick, lots, _ = fills.T
    touch = np.zeros(len(schedule.tif), np.int64)
    touch[order[::-1]] = tick[::-1]
    reach = np.where(schedule.side[order] > 0, 99, 100)
    far = (abs(tick - touch[order]) > reach) & (schedule.tif[order] == MARKET)
    return np.bincount(order[far], lots[far], len(schedule.tif)).astype(np.int64)


def assert_equal(schedule: Schedule, ours: Answer, theirs: Outcomes) -> None:
    """Assert equal status, time, price and remaining size of every order.

    Only of the orders of `beyond_reach` neither status, price nor size can be equal: what is
    missing there must be what we filled out of its reach.
    """
    far = beyond_reach(schedule, ours.fills)
    np.testing.assert_array_equal(theirs.remaining[far > 0], far[far > 0])
    assert (theirs.status[far > 0] == EXPIRED).all()
    for name, a, b in zip(Outcomes._fields, ours.outcomes, theirs, strict=True):
        wrong = np.flatnonzero((a != b) & (far == 0))
        if len(wrong):
            rows = [[int(c[wrong[0]]) for c in who] for who in (ours.outcomes, theirs)]
            pytest.fail(f"{name} of {len(wrong)} orders; order {wrong[0]}: ours, theirs {rows}")
