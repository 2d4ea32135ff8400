"""True fills of imagined orders, and the feed their predictions read, against slow twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrcore.market import SyntheticMarket
from mrtrade.errors import DataError
from mrtrade.execution import NEVER, OrderLog, Probes, cancellations, draw_probes, true_waits
from mrtrade.execution.orders import COLUMNS, read_orders
from tests.oracle.orders import Floor, book_after, fate, rows_of

SECOND = 10**9

REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["limit", "limit", "cancel", "reduce", "market"]),
        st.integers(0, 2),
        st.sampled_from([1, -1]),
        st.integers(0, 6),
        st.integers(1, 9),
    ),
    min_size=30,
    max_size=150,
)


def columns(rows):
    return dict(zip(COLUMNS, map(np.array, zip(*rows, strict=True)), strict=True))


def one_probe(time, side, tick):
    return Probes(*(np.array([value]) for value in (time, side, tick, 0, 0)))


def seen(cancelled):
    names = ("time", "front", "back", "lots", "behind")
    return list(zip(*(getattr(cancelled, name).tolist() for name in names), strict=True))


@given(
    REQUESTS, st.integers(0, 60), st.sampled_from([1, -1]), st.integers(0, 3), st.integers(1, 99)
)
def test_a_probe_fares_as_if_it_stood_in_the_queue(requests, arrival, side, distance, horizon):
    floor = Floor()
    best = floor.best(side)
    for request in requests:
        floor.request(*request)
        if floor.time <= arrival:
            best = floor.best(side)
    log = OrderLog(columns(floor.rows))
    probe = one_probe(arrival, side, best - side * distance)
    wait, cancelled = fate(floor.rows, arrival, side, best - side * distance, horizon)
    assert true_waits(log, probe, horizon).tolist() == [NEVER if wait is None else wait]
    assert seen(cancellations(log, probe, horizon)) == cancelled


@given(REQUESTS)
def test_the_tape_is_the_book(requests):
    floor = Floor()
    for request in requests:
        floor.request(*request)
    deltas, trades = OrderLog(columns(floor.rows)).tape
    book = {}
    for time in range(floor.time + 1):
        at = deltas[0] == time
        for side, tick, lots in zip(*(c[at].tolist() for c in deltas[1:]), strict=True):
            book[side, tick] = lots
        assert {k: v for k, v in book.items() if v} == book_after(floor.rows, time)
    fills = {}
    for time, kind, _, side, tick, lots in floor.rows:
        if kind == 3:
            fills[time, -side, tick] = fills.get((time, -side, tick), 0) + lots
    rows = list(zip(*(c.tolist() for c in trades), strict=True))
    assert {row[:3]: row[3] for row in rows} == fills
    assert len(rows) == len(fills)


@pytest.fixture(scope="module")
def run():
    return SyntheticMarket(3, fair_sd_ticks=5.0).run(60.0)


def test_the_tape_of_a_market_is_its_own(run):
    deltas, trades = OrderLog(run.orders).tape
    theirs, their_trades = run.tape()
    start = 1 + len(run.snapshot["lots"])
    first = int((deltas[0] == run.start_ns).sum())
    assert first == start - 1
    for mine, other in zip(deltas, theirs, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine[first:], other[start:])
    for mine, other in zip(trades, their_trades, strict=True):
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)


def test_probes_of_a_market_against_the_twin(run):
    log = OrderLog(run.orders)
    horizon = 2 * SECOND
    probes = draw_probes(
        log, 60, 1, start_ns=run.start_ns, end_ns=run.end_ns - horizon, distances=(0, 2)
    )
    rows = rows_of(run.orders)
    # the twin reads from the front: what happens later than a probe's horizon is of no matter
    for k in range(0, len(probes), 4):
        arrival, side, tick = (int(c[k]) for c in (probes.time, probes.side, probes.tick))
        wait, cancelled = fate(rows, arrival, side, tick, horizon)
        one = probes.part(np.arange(len(probes)) == k)
        assert true_waits(log, one, horizon)[0] == (NEVER if wait is None else wait)
        assert seen(cancellations(log, one, horizon)) == cancelled
        book = book_after(rows, arrival)
        mine = [its * t for its, t in book if its == side]
        assert side * max(mine) == tick + side * probes.distance[k]
        assert probes.queue[k] == book.get((side, tick), 0)


def test_no_cancellation_is_seen_twice(run):
    log = OrderLog(run.orders)
    horizon = 5 * SECOND
    probes = draw_probes(log, 3000, 2, start_ns=run.start_ns, end_ns=run.end_ns - horizon)
    together = cancellations(log, probes, horizon)
    assert len(np.unique(together.time)) == len(together)  # of this market none share a time
    assert (np.diff(together.time) > 0).all()
    apart = set()
    for k in range(0, len(probes), 50):
        one = probes.part(np.arange(len(probes)) == k)
        apart |= set(seen(cancellations(log, one, horizon)))
    assert len(apart & set(seen(together))) > 0


@pytest.mark.parametrize("quiet", [False, True])
def test_real_orders_of_one_lot_fare_as_imagined_ones(quiet):
    """Real probes against imagined ones in the same market's log without them.

    A real one takes a lot of the market order that fills it. Where that order ends with it, the
    imagined one still waits; it never fills earlier.
    """
    options = {"fair_sd_ticks": 1.0, "market_rate": 4.0, "cancel_rate": 0.5} if quiet else {}
    market = SyntheticMarket(5, **options)
    draw = np.random.default_rng(1)
    times = np.unique(market.start_ns + draw.integers(SECOND, 100 * SECOND, 1000))
    sides = draw.choice([1, -1], len(times))
    run = market.run(120.0, probes=[(int(t), int(s), 1) for t, s in zip(times, sides, strict=True)])
    orders, horizon = run.orders, 20 * SECOND
    real = np.isin(orders["order_id"], run.probe_ids)
    joined = real & (orders["kind"] == 1)
    filled = real & (orders["kind"] == 3)
    at = dict(
        zip(orders["order_id"][filled].tolist(), orders["time"][filled].tolist(), strict=True)
    )
    waits = np.array([at.get(one, NEVER) for one in run.probe_ids.tolist()]) - times
    waits[waits > horizon] = NEVER
    log = OrderLog({name: column[~real] for name, column in orders.items()})
    none = np.zeros(len(times), np.int64)
    tick = orders["tick"][joined].astype(np.int64)
    imagined = true_waits(log, Probes(times, sides, tick, none, none), horizon)
    assert (imagined >= waits).all()
    assert (imagined == waits).mean() > 0.985
    for span in (1, 5, 20):
        gap = (imagined <= span * SECOND).mean() - (waits <= span * SECOND).mean()
        assert abs(gap) < 0.005


def orders(**changes):
    good = {
        "time": [0, 0, 1, 2, 3],
        "kind": ["add", "add", "fill", "cancel", "add"],
        "order_id": [7, 8, 7, 8, 9],
        "side": [1, 1, 1, 1, -1],
        "tick": [10, 10, 10, 10, 12],
        "lots": [3, 2, 1, 2, 4],
    }
    return {name: np.array(value) for name, value in (good | changes).items()}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"time": [0, 0, 5, 2, 3]}, "row 3, time"),
        ({"kind": ["add", "add", "trade", "cancel", "add"]}, "row 2, kind"),
        ({"kind": ["add", "fill", "fill", "cancel", "add"]}, "row 1, order_id"),
        ({"order_id": [7, 7, 7, 8, 9]}, "row 1, order_id"),
        ({"side": [1, 1, -1, 1, -1]}, "row 2, order_id"),
        ({"side": [1, 1, 1, 1, 0]}, "row 4, side"),
        ({"tick": [10, 10, 11, 10, 12]}, "row 2, order_id"),
        ({"tick": [10, 10, 10, 10, 2**31]}, "row 4, tick"),
        ({"tick": [10.0, 10.0, 10.0, 10.0, 12.5]}, "tick: not whole numbers"),
        ({"lots": [3, 2, 4, 2, 4]}, "row 2, lots"),
        ({"lots": [3, 2, 1, 2, 0]}, "row 4, lots"),
        ({name: [] for name in ("time", "kind", "order_id")}, "whole numbers|no rows"),
    ],
)
def test_orders_that_cannot_be_are_refused(changes, told):
    with pytest.raises(DataError, match=told):
        OrderLog(orders(**changes))


def test_a_column_that_is_missing_is_named():
    frame = orders()
    del frame["side"]
    with pytest.raises(DataError, match="no column 'side'"):
        OrderLog(frame)


def test_orders_are_read_from_files(tmp_path):
    import pandas as pd

    frame = pd.DataFrame(orders())
    frame.to_csv(tmp_path / "orders.csv", index=False)
    dated = frame.assign(time=pd.to_datetime(frame["time"], utc=True))
    dated.to_parquet(tmp_path / "orders.parquet")
    for name in ("orders.csv", "orders.parquet"):
        log = read_orders(tmp_path / name)
        assert log.time.tolist() == [0, 0, 1, 2, 3]
        assert log.kind.tolist() == [1, 1, 3, 2, 1]
        assert log.added.tolist() == [0, 1, 0, 1, 4]
    with pytest.raises(DataError, match=r"none\.parquet: cannot be read"):
        read_orders(tmp_path / "none.parquet")


def test_another_rule_of_matching_is_refused():
    frame = orders(kind=["add", "add", "fill", "fill", "add"], order_id=[7, 8, 8, 7, 9])
    with pytest.raises(DataError, match="row 3: an order is filled before"):
        true_waits(OrderLog(frame), one_probe(0, 1, 10), 10)


def test_too_short_a_recording_is_said_to_be():
    with pytest.raises(DataError, match="too short"):
        draw_probes(OrderLog(orders()), 5, 0, start_ns=0, end_ns=3)
