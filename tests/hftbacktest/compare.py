"""One schedule of orders through our core, its slow twin, and hftbacktest.

hftbacktest has faults, and a run meets them. What is sent there differs from what is sent to ours
only where one of them would be met (`requests`), and an answer is read otherwise only where one of
them shaped it (`assert_equal`); `FAULTS` names them, `test_faults.py` shows each.
"""

import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mrcore.exchange import EVENTS, TIFS
from mrcore.latency import Latency
from mrcore.replay import Replay

from ..oracle import exchange as oracle
from ..oracle.exchange import EXPIRED, FILLED, MARKET, NEW, PARTIALLY_FILLED, Submit, simulate
from . import environment
from .feeds import CONSTANT, FEED_LATENCY, Delays, Feed, Schedule, Tape

OUTCOMES = Path(__file__).with_name("outcomes.npz")
POWER = 3.0
MODELS = {
    "risk_averse": oracle.RiskAverse(),
    "log": oracle.Log(),
    "log2": oracle.Log2(),
    "power": oracle.Power(POWER),
    "power2": oracle.Power2(POWER),
    "power3": oracle.Power3(POWER),
}
CONFIGS = tuple(f"{model}/{exchange}" for model in MODELS for exchange in ("whole", "partial"))
STATUS = {
    "accepted": 1,
    "expired": 2,
    "filled": 3,
    "cancelled": 4,
    "partially_filled": 5,
}
FAULTS = {
    "exact": "a partial fill of exactly what is left leaves the order in the book (error 14)",
    "resized": "a modify that loses the queue keeps the old size (#241, #317)",
    "rest": "a modify takes its size for what is left, not for the whole order",
    "stale": "a modified order that was partly filled is not new (5f3ec40, after 2.4.4)",
    "reach": "a market order looks no farther than 100 ticks",
}


class Outcomes(NamedTuple):
    """One row an order: what is known of it at the end.

    `status` 1 new, 2 expired, 3 filled, 4 cancelled, 5 partly filled; `time` of its last change at
    the exchange; `tick` of the execution it ended with (or that took part of it), its own without
    one; `remaining` lots.
    """

    status: np.ndarray
    time: np.ndarray
    tick: np.ndarray
    remaining: np.ndarray


class Answer(NamedTuple):
    """What one simulator of ours made of a schedule.

    fills : rows (order, time, tick, lots, maker) by order and time
    replaced : exchange time at which each order was replaced, 0 if it never was
    exact : whether a fill out of the queue took exactly what was left of the order
    """

    outcomes: Outcomes
    fills: np.ndarray
    replaced: np.ndarray
    exact: np.ndarray


def twin(feed: Feed, schedule: Schedule, config: str, delays: Delays = CONSTANT) -> Answer:
    """Run the slow exchange; constant latency only."""
    model, exchange = config.split("/")
    orders = simulate(
        feed.deltas,
        feed.trades,
        schedule.requests(),
        lot_size=feed.lot_size,
        model=MODELS[model],
        partial=exchange == "partial",
        entry_latency_ns=int(delays.arrived[0] - delays.sent[0]),
    )
    rows = [orders[i] for i in range(len(schedule.time))]
    names = ("status", "time", "tick", "remaining", "replaced", "exact")
    status, time, tick, remaining, replaced, exact = (
        np.array([getattr(o, name) for o in rows]) for name in names
    )
    fills = np.array([(o.id, *fill) for o in rows for fill in o.fills], np.int64).reshape(-1, 5)
    return Answer(outcomes_of(status, time, tick, remaining, fills), fills, replaced, exact)


def core(feed: Feed, schedule: Schedule, config: str, delays: Delays = CONSTANT) -> Answer:
    """Run `mrcore.replay`, one request at a time as a live strategy would."""
    outcomes, fills, replaced = run(feed, schedule, config, delays)
    exact = np.zeros(len(schedule.time), bool)
    if config.endswith("partial"):
        # Of orders one lot larger, those that had one lot left at a fill out of the queue.
        larger = schedule._replace(lots=schedule.lots + 1, new_lots=schedule.new_lots + 1)
        order, time, _, lots, maker = run(feed, larger, config, delays)[1].T
        first = np.flatnonzero(np.diff(order, prepend=-1))
        total = np.cumsum(lots)
        filled = total - np.repeat(total[first] - lots[first], np.diff(first, append=len(order)))
        later = (replaced[order] > 0) & (time > replaced[order])
        whole = np.where(later, schedule.new_lots[order], schedule.lots[order])
        exact[order[(filled == whole) & (maker == 1)]] = True
    return Answer(outcomes, fills, replaced, exact)


def run(
    feed: Feed | Tape, schedule: Schedule, config: str, delays: Delays
) -> tuple[Outcomes, np.ndarray, np.ndarray]:
    """Outcomes, fills and times of replacement of one replay."""
    model, exchange = config.split("/")
    replay = Replay(
        feed.tick_size,
        feed.lot_size,
        queue_model=model,
        queue_power=POWER,
        partial_fills=exchange == "partial",
        remember_taking=False,  # hftbacktest finds what it took again and again
        latency=latency(delays),
        feed_latency_ns=FEED_LATENCY,
    )
    feed.into(replay)
    for request in schedule.requests():
        replay.advance(request.time)
        if isinstance(request, Submit):
            tif = TIFS[request.tif]
            assert replay.submit(request.side, request.tick, request.lots, tif) == request.id + 1
        elif isinstance(request, oracle.Replace):
            replay.replace(request.id + 1, request.tick, request.lots)
        else:
            replay.cancel(request.id + 1)
    replay.finish()
    orders, events, fills = replay.orders(), replay.order_events(), replay.fills()
    names = ("time", "tick", "lots", "maker")
    rows = np.column_stack([fills["order_id"] - 1, *(fills[name] for name in names)])
    rows = rows[np.argsort(rows[:, 0], kind="stable")].astype(np.int64)
    replaced = np.zeros(len(orders), np.int64)
    done = events[events["event"] == EVENTS.index("replaced")]
    replaced[done["order_id"] - 1] = done["time"]
    status = np.array([STATUS.get(name, 0) for name in EVENTS])[orders["status"]]
    outcomes = outcomes_of(status, orders["time"], orders["tick"], orders["remaining"], rows)
    return outcomes, rows, replaced


def latency(delays: Delays) -> Latency:
    if len(delays.sent) > 1:
        return Latency.recorded(*delays)
    sent, arrived, answered = (int(column[0]) for column in delays)
    return Latency.constant(arrived - sent, answered - arrived)


def outcomes_of(
    status: np.ndarray,
    time: np.ndarray,
    tick: np.ndarray,
    remaining: np.ndarray,
    fills: np.ndarray,
) -> Outcomes:
    """Outcomes, with the tick of the last fill where it tells more than the order's own."""
    executed_tick, maker = tick.copy(), np.ones(len(tick), bool)
    executed_tick[fills[:, 0]] = fills[:, 2]  # the last one stays
    maker[fills[:, 0]] = fills[:, 4]
    return Outcomes(status, time, tick_of(status, tick, executed_tick, maker), remaining)


def tick_of(
    status: np.ndarray, tick: np.ndarray, executed_tick: np.ndarray, maker: np.ndarray
) -> np.ndarray:
    """Tick of the last execution of filled orders and of takers whose rest expired."""
    filled = (status == FILLED) | (status == PARTIALLY_FILLED)
    return np.where(filled | ((status == EXPIRED) & ~maker), executed_tick, tick)


class Requests(NamedTuple):
    """What hftbacktest is asked, by local time; `run.py` says what `kind` is.

    `side` and `tif` are by order of theirs, of which `order_of` is the one that ours ends as.
    """

    time: np.ndarray
    kind: np.ndarray
    order: np.ndarray
    tick: np.ndarray
    lots: np.ndarray
    side: np.ndarray
    tif: np.ndarray


def requests(
    schedule: Schedule, ours: Answer, delays: Delays
) -> tuple[Requests, np.ndarray, dict[str, np.ndarray]]:
    """The schedule as hftbacktest must be asked for it, given what became of it in ours.

    - An order that is filled exactly out of the queue is sent a quarter of a lot smaller. That can
      never be met exactly (all sizes of the feed are whole lots) and changes nothing else: a fill
      that leaves nothing of L lots leaves nothing of L - 1/4, and one that leaves something of L
      leaves at least 3/4, which is not Filled.
    - A modify is sent the size that is left of the new one, as that is what it sets.
    - A modify that loses the queue and changes what is left of an order, as far as its sender
      knows, is sent as a cancel and a new order.
    - A replacement that is no larger than what was filled before is sent as a cancel.

    Returns the requests, their order in which each of ours ends, and which orders met each fault.
    """
    n = len(schedule.time)
    less = 0.25 * ours.exact
    order, time, _, lots, maker = ours.fills.T
    done = ours.replaced > 0
    early = (maker == 1) & (time <= ours.replaced[order])
    before = np.bincount(order[early], lots[early], n)
    # known at the exchange, and perhaps not yet to the sender
    unknown = early & (time > schedule.replace[order] - delays.longest())
    surprised = np.bincount(order[unknown], minlength=n) > 0
    requeued = done & ((schedule.new_tick != schedule.tick) | (schedule.new_lots > schedule.lots))
    twice = requeued & ((schedule.new_lots != schedule.lots) | surprised)
    filled = np.bincount(order, lots, n)
    gone = (schedule.replace > 0) & ~done & (filled < schedule.lots) & (filled >= schedule.new_lots)

    parts = []

    def add(which: np.ndarray, time: np.ndarray, kind: int, second: bool, tick, size) -> None:
        row = np.flatnonzero(which)
        kinds = np.full(len(row), kind)
        parts.append((time[row], kinds, row + n * second, tick[row], (size - less)[row]))

    nothing = np.zeros(n, np.int64)
    whole = np.ones(n, bool)
    rest = schedule.new_lots - np.where(done, before, 0)
    add(whole, schedule.time, 0, False, schedule.tick, schedule.lots)
    add(
        (schedule.replace > 0) & ~twice & ~gone, schedule.replace, 2, False, schedule.new_tick, rest
    )
    add(twice | gone, schedule.replace, 1, False, nothing, nothing)
    add(twice, schedule.replace, 0, True, schedule.new_tick, rest)
    add((schedule.cancel > 0) & ~twice, schedule.cancel, 1, False, nothing, nothing)
    add((schedule.cancel > 0) & twice, schedule.cancel, 1, True, nothing, nothing)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    by_time = np.argsort(columns[0], kind="stable")
    asked = Requests(
        *(column[by_time] for column in columns),
        np.tile(schedule.side, 2),
        np.tile(schedule.tif, 2),
    )
    after = time > ours.replaced[order]
    untouched = done & ~requeued & (before > 0)
    met = {
        "exact": ours.exact,
        "resized": twice,
        "rest": (done & (before > 0)) | gone,
        "stale": untouched & (np.bincount(order[after], minlength=n) == 0),
        "reach": beyond_reach(schedule, ours.fills) > 0,
    }
    return asked, np.arange(n) + n * twice, met


class Theirs(NamedTuple):
    """hftbacktest's answer: how the run ended (1: with the data), its position, the outcomes."""

    code: int
    position: float
    outcomes: Outcomes


class Job(NamedTuple):
    """A feed, and by configuration the requests and the orders of theirs that are wanted."""

    feed: Feed | Tape
    delays: Delays
    asked: dict[str, Requests]
    orders: dict[str, np.ndarray]


def peer(*jobs: Job) -> list[dict[str, Theirs]]:
    """Run hftbacktest, one process for all jobs: it compiles for seconds before it starts."""
    with tempfile.TemporaryDirectory() as folder:
        names = [(Path(folder, f"{i}.npz"), Path(folder, f"{i}.out.npz")) for i in range(len(jobs))]
        for (source, _), job in zip(names, jobs, strict=True):
            write(source, job)
        environment.run(
            Path(__file__).with_name("run.py"), *(name for pair in names for name in pair)
        )
        answers = []
        for (_, target), job in zip(names, jobs, strict=True):
            with np.load(target) as result:
                answers.append({c: read(result, c, job.orders[c]) for c in job.asked})
        return answers


def write(path: Path, job: Job) -> None:
    data: dict[str, np.ndarray] = {
        "tick_size": np.float64(job.feed.tick_size),
        "lot_size": np.float64(job.feed.lot_size),
        "feed_latency": np.int64(FEED_LATENCY),
        "latency": np.array(job.delays),
        "configs": np.array(list(job.asked)),
    }
    data |= job.feed.named()
    for config, mine in job.asked.items():
        data |= {f"{config}/{name}": column for name, column in mine._asdict().items()}
    np.savez(path, **data)


def read(result: np.lib.npyio.NpzFile, config: str, orders: np.ndarray) -> Theirs:
    def column(name: str) -> np.ndarray:
        return result[f"{config}/{name}"][orders]

    maker = column("maker") | (column("executed") == 0)
    tick = tick_of(column("status"), column("tick"), column("executed_tick"), maker)
    outcomes = Outcomes(column("status"), column("time"), tick, whole_lots(column("remaining")))
    return Theirs(int(result[f"{config}/code"]), float(result[f"{config}/position"]), outcomes)


def whole_lots(values: np.ndarray) -> np.ndarray:
    """Undo the rounding of sizes that were multiplied and divided by the lot size."""
    lots = np.rint(values)
    np.testing.assert_allclose(values, lots, rtol=0, atol=1e-6)
    return lots.astype(np.int64)


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


def mismatches(
    schedule: Schedule, ours: Answer, theirs: Outcomes, met: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Rows in which each column differs, hftbacktest's known faults undone.

    Of a market order that went beyond its reach neither status, price nor size can be equal: what
    is missing there must be what we filled out of its reach.
    """
    far = beyond_reach(schedule, ours.fills)
    lacks = theirs.remaining - ours.outcomes.remaining
    wrong = {"reach": np.flatnonzero((far > 0) & ((lacks != far) | (theirs.status != EXPIRED)))}
    stale = met["stale"] & (theirs.status == PARTIALLY_FILLED)
    theirs = theirs._replace(status=np.where(stale, NEW, theirs.status))
    for name, a, b in zip(Outcomes._fields, ours.outcomes, theirs, strict=True):
        wrong[name] = np.flatnonzero((a != b) & (far == 0))
    return wrong


def assert_equal(
    schedule: Schedule, ours: Answer, theirs: Outcomes, met: dict[str, np.ndarray]
) -> None:
    """Assert equal status, time, price and remaining size of every order."""
    for name, rows in mismatches(schedule, ours, theirs, met).items():
        if len(rows):
            i = rows[0]
            row = [[int(c[i]) for c in who] for who in (ours.outcomes, theirs)]
            order = [int(c[i]) for c in schedule]
            pytest.fail(f"{name} of {len(rows)} orders; {i}, {order}: ours, theirs {row}")


class Pair(NamedTuple):
    """One configuration in both; `met` are the orders that met each of `FAULTS`."""

    ours: Answer
    theirs: Theirs
    met: dict[str, np.ndarray]


def pairs(feed: Feed, schedule: Schedule, delays: Delays) -> dict[str, Pair]:
    """Run every configuration in both."""
    ours = {config: core(feed, schedule, config, delays) for config in CONFIGS}
    plans = {config: requests(schedule, ours[config], delays) for config in CONFIGS}
    asked = {config: plan[0] for config, plan in plans.items()}
    orders = {config: plan[1] for config, plan in plans.items()}
    theirs = peer(Job(feed, delays, asked, orders))[0]
    return {config: Pair(ours[config], theirs[config], plans[config][2]) for config in CONFIGS}


def table(schedule: Schedule, pairs: dict[str, Pair]) -> Iterator[str]:
    """Counts of each configuration, under their names."""
    names = ("orders", "filled", "replaced", "mismatches", *FAULTS)
    yield f"{'configuration':<20}" + "".join(f"{name:>12}" for name in names)
    for config, (ours, theirs, met) in pairs.items():
        wrong = mismatches(schedule, ours, theirs.outcomes, met).values()
        counts = (
            len(schedule.time),
            (theirs.outcomes.status == FILLED).sum(),
            (ours.replaced > 0).sum(),
            len(np.unique(np.concatenate(list(wrong)))),
            *(rows.sum() for rows in met.values()),
        )
        yield f"{config:<20}" + "".join(f"{count:>12,}" for count in counts)


def apart(pairs: dict[str, Pair]) -> tuple[int, str, str]:
    """The two configurations that the fewest orders tell apart, and how many do."""
    rows = {config: np.array(pair.theirs.outcomes) for config, pair in pairs.items()}
    return min((int((rows[a] != rows[b]).any(0).sum()), a, b) for a, b in combinations(rows, 2))


def assert_alike(schedule: Schedule, pairs: dict[str, Pair]) -> None:
    """Assert that hftbacktest reached the end and agrees in every order of every configuration."""
    for config, (ours, theirs, met) in pairs.items():
        assert theirs.code == 1, f"{config}: hftbacktest stopped before the end of the data"
        assert_equal(schedule, ours, theirs.outcomes, met)
        if config.endswith("whole"):  # its position misses partial fills
            side = schedule.side[ours.fills[:, 0]]
            assert round(theirs.position, 3) == (side * ours.fills[:, 3]).sum()


class Case(NamedTuple):
    """A schedule and what hftbacktest made of it, by configuration."""

    schedule: Schedule
    delays: Delays
    outcomes: dict[str, Outcomes]


def save(path: Path, feed: Feed, cases: dict[str, Case]) -> None:
    """Write a feed and its cases, small.

    Sorted times are kept as differences, and outcomes as differences from the first
    configuration's: most orders end alike in all.
    """
    data: dict[str, np.ndarray] = {
        "grid": np.array([feed.tick_size, feed.lot_size]),
        "cases": np.array(list(cases)),
    }

    def put(name: str, columns: tuple[np.ndarray, ...]) -> None:
        data.update({f"{name}/{i}": v for i, v in enumerate(columns)})
        data[f"{name}/0"] = np.diff(columns[0], prepend=0)

    put("delta", feed.deltas)
    put("trade", feed.trades)
    for name, case in cases.items():
        put(f"{name}/order", case.schedule)
        put(f"{name}/delays", case.delays)
        first = np.zeros(1, np.int64)
        for config in CONFIGS:
            rows = np.array(case.outcomes[config], np.int64)
            data[f"{name}/{config}"] = rows - first
            first = rows if config == CONFIGS[0] else first
    np.savez_compressed(path, **data)


def stored(path: Path) -> tuple[Feed, dict[str, Case]]:
    """Read what `save` wrote."""
    with np.load(path) as data:

        def columns(name: str, n: int) -> list[np.ndarray]:
            return [np.cumsum(data[f"{name}/0"]), *(data[f"{name}/{i}"] for i in range(1, n))]

        def outcomes(name: str) -> dict[str, Outcomes]:
            first = data[f"{name}/{CONFIGS[0]}"]
            later = {c: Outcomes(*(data[f"{name}/{c}"] + first)) for c in CONFIGS[1:]}
            return {CONFIGS[0]: Outcomes(*first)} | later

        feed = Feed(tuple(columns("delta", 4)), tuple(columns("trade", 4)), *data["grid"].tolist())
        return feed, {
            name: Case(
                Schedule(*columns(f"{name}/order", len(Schedule._fields))),
                Delays(*columns(f"{name}/delays", len(Delays._fields))),
                outcomes(name),
            )
            for name in data["cases"].tolist()
        }
