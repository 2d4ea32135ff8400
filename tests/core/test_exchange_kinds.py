"""Every kind of order and request, held to the slow exchange event by event, and by example."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcore.exchange import EVENTS, REASONS, SELF_TRADE_MODES, TIFS
from mrcore.replay import Replay

from ..oracle import exchange as slow
from .feeds import LOT, MS, TICK, columns, market_tape, tapes
from .test_exchange import run

GTC, POST, IOC, MARKET, FOK = range(5)
MODELS = {
    "risk_averse": slow.RiskAverse(),
    "strict": slow.Strict(),
    "optimistic": slow.Optimistic(),
    "power": slow.Power(3.0),
}
ORDERS = st.tuples(
    st.integers(1, 100),  # local ms
    st.sampled_from([1, -1]),
    st.integers(96, 104),
    st.integers(1, 12),
    st.sampled_from(range(5)),
    st.sampled_from([None] * 4 + [-1, 0, 1, 2]),  # stop, ticks beyond 100
    st.sampled_from([False, False, False, True]),  # reduce-only
    st.one_of(  # a later request: ms from then on, tick, lots; lots 0 is a cancel
        st.none(), st.tuples(st.integers(0, 50), st.integers(96, 104), st.integers(0, 12))
    ),
)
OPTIONS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(list(MODELS)),
        "partial": st.sampled_from([True, True, False]),
        "remember": st.booleans(),
        "self_trade": st.sampled_from(SELF_TRADE_MODES),
        "max_open": st.sampled_from([0, 0, 0, 3]),
        "rate": st.sampled_from([None, None, None, (3, 20 * MS)]),
    }
)


def requests_of(drawn):
    out = []
    for i, (at, side, tick, lots, tif, beyond, reduce_only, then) in enumerate(
        sorted(drawn, key=lambda d: d[0])
    ):
        stop = None if beyond is None else 100 + side * beyond
        out.append(slow.Submit(at * MS, i + 1, side, tick, lots, tif, stop, reduce_only))
        if then is not None:
            wait, tick, lots = then
            cancel = slow.Cancel((at + wait) * MS, i + 1)
            out.append(slow.Replace(*cancel, tick, lots) if lots else cancel)
    return sorted(out, key=lambda r: (r.time, not isinstance(r, slow.Submit)))


def log_of(r):
    """The exchange's side of the event log."""
    sent = [EVENTS.index(f"{kind}_requested") for kind in ("cancel", "replace")] + [0]
    return [
        slow.Event(
            int(e["time"]), int(e["order_id"]), EVENTS[e["event"]], REASONS[e["reason"]],
            int(e["tick"]), int(e["lots"]), int(e["remaining"]),
        )
        for e in r.order_events()[~np.isin(r.order_events()["event"], sent)]
    ]  # fmt: skip


@given(tape=tapes(), drawn=st.lists(ORDERS, max_size=16), options=OPTIONS)
@settings(max_examples=400)
def test_the_log_is_that_of_the_slow_exchange(tape, drawn, options):
    compare(tape, requests_of(drawn), options)


@pytest.mark.parametrize("seed", range(8))
def test_a_busy_market_and_many_orders(seed):
    rng = np.random.default_rng(seed)
    tape = market_tape(seed=seed, n_deltas=3_000)
    start, end = int(tape[0][0][0]) + 10**8, int(tape[0][0][-1])
    probe = Replay(TICK, LOT)
    probe.feed(*tape)
    requests = []
    for i, at in enumerate(np.sort(rng.integers(start, end, 250)).tolist()):
        probe.advance(at)
        side = int(rng.choice([1, -1]))
        touch = probe.ask_tick if side > 0 else probe.bid_tick
        stop = touch + side * int(rng.integers(-2, 3)) if rng.random() < 0.15 else None
        requests.append(
            slow.Submit(
                at, i + 1, side, touch + side * int(rng.integers(-3, 3)),
                int(rng.integers(1, 600)), int(rng.integers(0, 5)), stop, rng.random() < 0.2,
            )
        )  # fmt: skip
        then = at + int(rng.exponential(5e8)), i + 1
        if rng.random() < 0.4:
            tick, lots = touch - side * int(rng.integers(-1, 3)), int(rng.integers(1, 600))
            requests.append(slow.Replace(*then, tick, lots))
        elif rng.random() < 0.5:
            requests.append(slow.Cancel(*then))
    options = {
        "model": list(MODELS)[seed % 4],
        "partial": seed != 6,
        "remember": seed != 4,
        "self_trade": SELF_TRADE_MODES[seed // 2 % 4],
        "max_open": 12 * (seed == 5),
        "rate": (12, 2 * 10**8) if seed == 7 else None,
    }
    log = compare(tape, sorted(requests, key=lambda r: r.time), options)
    assert {e.event for e in log} >= {
        "accepted", "filled", "cancelled", "expired", "replaced", "replace_rejected", "triggered",
        "rejected", "cancel_rejected",
    }  # fmt: skip


def compare(tape, requests, options):
    """Hold what the core makes of the requests to the slow exchange; the log of it."""
    truth = slow.Exchange(
        LOT, MODELS[options["model"]], options["partial"],
        **{name: options[name] for name in ("remember", "self_trade", "max_open", "rate")},
    )  # fmt: skip
    slow.drive(truth, *tape, requests, MS)
    r, _ = run(
        tape, requests, queue_model=options["model"], partial_fills=options["partial"],
        remember_taking=options["remember"], self_trade=options["self_trade"],
        max_open_orders=options["max_open"], rate_limit=options["rate"],
    )  # fmt: skip
    assert log_of(r) == truth.log
    fills = r.fills()
    for order in truth.orders.values():
        assert [
            (int(f["time"]), int(f["tick"]), int(f["lots"]), bool(f["maker"]))
            for f in fills[fills["order_id"] == order.id]
        ] == order.fills
        row = r.orders()[order.id - 1]
        assert slow.STATUS[EVENTS[row["status"]]] == order.status
        assert row["time"] == order.time
    assert r.exchange_position_lots == truth.position == r.position_lots
    return truth.log


BOOK = [(0, 1, 99, 4), (0, 1, 98, 4), (0, -1, 101, 4), (0, -1, 102, 6), (0, -1, 104, 9)]
END = [(500 * MS, 1, 90, 1)]


def play(*requests, trades=(), deltas=(), **options):
    """A replay of requests sent at their ms; 1 ms to the exchange, the log from there in ms."""
    r, _ = run(
        (columns([*BOOK, *((t * MS, *row) for t, *row in deltas), *END]),
         columns([(t * MS, *row) for t, *row in trades])),
        [q._replace(time=q.time * MS) for q in requests], **options,
    )  # fmt: skip
    return [(e.time // MS, e.id, e.event, e.reason) for e in log_of(r)], r


def sizes(r, order_id=None):
    """(ms, tick, lots) of the fills."""
    fills = r.fills()
    if order_id is not None:
        fills = fills[fills["order_id"] == order_id]
    return [(int(f["time"]) // MS, int(f["tick"]), int(f["lots"])) for f in fills]


def new(at, number, side, tick, lots, tif=GTC, stop=None, reduce_only=False):
    return slow.Submit(at, number, side, tick, lots, tif, stop, reduce_only)


@pytest.mark.parametrize(
    ("lots", "tick", "fills"),
    [(10, 102, [(11, 101, 4), (11, 102, 6)]), (11, 102, []), (4, 101, [(11, 101, 4)]),
     (5, 101, []), (1, 100, []), (19, 104, [(11, 101, 4), (11, 102, 6), (11, 104, 9)])],
)  # fmt: skip
@pytest.mark.parametrize("remember", [True, False])
def test_fill_or_kill_takes_all_or_nothing(lots, tick, fills, remember):
    log, r = play(new(10, 1, 1, tick, lots, FOK), remember_taking=remember)
    assert sizes(r) == fills
    if fills:
        assert log[-1] == (11, 1, "filled", "")
    else:
        assert log == [(11, 1, "expired", "fill_or_kill")]


def test_without_partial_fills_a_marketable_fok_is_whole_at_the_best_price():
    _, r = play(new(10, 1, 1, 101, 500, FOK), partial_fills=False)
    assert sizes(r) == [(11, 101, 500)]


def test_what_own_orders_took_is_gone_until_the_level_changes():
    requests = [
        new(10, 1, 1, 101, 3, IOC), new(20, 2, 1, 101, 3, IOC), new(30, 3, 1, 102, 5, MARKET),
        new(50, 4, 1, 101, 9, IOC), new(60, 5, 1, 102, 2, FOK),
    ]  # fmt: skip
    log, r = play(*requests, deltas=[(40, -1, 101, 4)])
    assert sizes(r) == [(11, 101, 3), (21, 101, 1), (31, 102, 5), (51, 101, 4)]
    assert [e for e in log if e[2] == "expired"] == [
        (21, 2, "expired", "no_liquidity"), (51, 4, "expired", "no_liquidity"),
        (61, 5, "expired", "fill_or_kill"),
    ]  # fmt: skip
    _, r = play(*requests, deltas=[(40, -1, 101, 4)], remember_taking=False)
    assert sizes(r, 2) == [(21, 101, 3)]


def test_a_cleared_book_forgets_what_was_taken():
    again = [(20, 0, 0, 0), (20, 1, 99, 4), (20, -1, 101, 4)]
    requests = new(10, 1, 1, 101, 4, IOC), new(30, 2, 1, 101, 4, IOC)
    _, r = play(*requests, deltas=again)
    assert sizes(r) == [(11, 101, 4), (31, 101, 4)]


def test_the_rest_of_a_gtc_order_rests_and_meets_the_level_when_it_changes():
    log, r = play(
        new(10, 1, 1, 101, 10), deltas=[(30, -1, 101, 2), (40, -1, 100, 1), (50, -1, 101, 9)]
    )
    assert log == [
        (11, 1, "partially_filled", ""), (11, 1, "accepted", ""), (30, 1, "partially_filled", ""),
        (40, 1, "filled", ""),
    ]  # fmt: skip
    # the level as it is, then an ask that improves through it: all of it, as of any order
    assert sizes(r) == [(11, 101, 4), (30, 101, 2), (40, 101, 4)]
    assert r.fills()["maker"].tolist() == [False, True, True]
    _, r = play(new(10, 1, 1, 101, 10), remember_taking=False)
    assert sizes(r) == [(11, 101, 10)]


def test_what_the_rest_of_an_order_met_is_taken_too():
    requests = new(10, 1, 1, 101, 6), new(40, 2, 1, 101, 9, IOC)
    _, r = play(*requests, deltas=[(30, -1, 101, 5)])
    assert sizes(r) == [(11, 101, 4), (30, 101, 2), (41, 101, 3)]


def test_a_smaller_size_keeps_the_place_in_the_queue():
    requests = new(10, 1, 1, 99, 5), slow.Replace(20, 1, 99, 2)
    deltas = [(15, 1, 99, 10)]  # six lots joined behind
    log, r = play(*requests, deltas=deltas, trades=[(30, -1, 99, 5), (40, -1, 99, 3)])
    assert log == [
        (11, 1, "accepted", ""), (21, 1, "replaced", ""), (30, 1, "partially_filled", ""),
        (40, 1, "filled", ""),
    ]  # fmt: skip
    assert sizes(r) == [(30, 99, 1), (40, 99, 1)]
    assert r.orders()["lots"].tolist() == [2]


@pytest.mark.parametrize(("tick", "lots"), [(99, 6), (98, 2)])
def test_a_larger_size_or_another_price_goes_behind(tick, lots):
    requests = new(10, 1, 1, 99, 5), slow.Replace(20, 1, tick, lots)
    deltas = [(15, 1, 99, 10), (15, 1, 98, 10)]
    trades = [(30, -1, tick, 10), (40, -1, tick, 1)]
    log, r = play(*requests, deltas=deltas, trades=trades)
    assert log[1] == (21, 1, "replaced", "")
    assert sizes(r) == [(40, tick, 1)]


def test_the_size_of_a_replacement_includes_what_is_filled():
    trades = [(20, -1, 99, 6)]  # two lots of the order
    log, r = play(new(10, 1, 1, 99, 5), slow.Replace(30, 1, 99, 3), trades=trades)
    assert r.orders()[["lots", "remaining"]].tolist() == [(3, 1)]
    assert log[-1] == (31, 1, "replaced", "")
    log, r = play(new(10, 1, 1, 99, 5), slow.Replace(30, 1, 98, 2), trades=trades)
    assert log[-1] == (31, 1, "cancelled", "")


def test_a_replacement_that_crosses_takes_and_a_post_only_one_expires():
    log, r = play(new(10, 1, 1, 99, 5), slow.Replace(20, 1, 101, 5))
    assert [e[2] for e in log] == ["accepted", "replaced", "partially_filled"]
    assert sizes(r) == [(21, 101, 4)]
    log, r = play(new(10, 1, 1, 99, 5, POST), slow.Replace(20, 1, 101, 5))
    assert log[1:] == [(21, 1, "replaced", ""), (21, 1, "expired", "would_take")]


def test_requests_for_what_has_ended_are_rejected():
    late = slow.Replace(20, 1, 98, 1), slow.Cancel(30, 1)
    log, r = play(new(10, 1, 1, 101, 1, IOC), *late)
    assert log[1:] == [
        (21, 1, "replace_rejected", "not_open"),
        (31, 1, "cancel_rejected", "not_open"),
    ]
    assert EVENTS[r.orders()["status"][0]] == "filled"


def test_stops_wake_by_trades_at_their_price_or_beyond():
    stops = [
        new(10, 1, 1, 0, 2, MARKET, stop=103), new(10, 2, 1, 102, 1, GTC, stop=102),
        new(10, 3, -1, 0, 1, MARKET, stop=97), new(10, 4, -1, 110, 1, GTC, stop=98),
    ]  # fmt: skip
    trades = [(5, 1, 101, 1), (20, 1, 101, 1), (30, 1, 103, 1), (40, -1, 98, 1)]
    log, r = play(*stops, trades=trades)
    assert log == [
        *((11, k, "accepted", "") for k in (1, 2, 3, 4)),
        (30, 2, "triggered", ""), (30, 2, "filled", ""),  # the nearer stop first
        (30, 1, "triggered", ""), (30, 1, "filled", ""),
        (40, 4, "triggered", ""),
    ]  # fmt: skip
    assert sizes(r, 2) == [(30, 101, 1)]
    assert sizes(r, 1) == [(30, 101, 2)]


def test_a_stop_that_would_wake_at_once_is_rejected():
    orders = new(10, 1, 1, 103, 1, GTC, stop=101), new(10, 2, -1, 90, 1, IOC, stop=101)
    log, _ = play(*orders, trades=[(5, 1, 101, 1)])
    assert log == [(11, 1, "rejected", "would_trigger"), (11, 2, "rejected", "would_trigger")]


def test_a_sleeping_stop_can_be_replaced_and_cancelled():
    requests = [
        new(10, 1, 1, 103, 1, GTC, stop=103), slow.Replace(20, 1, 90, 7), slow.Cancel(40, 1),
        new(10, 2, -1, 97, 1, GTC, stop=97), slow.Cancel(20, 2),
    ]  # fmt: skip
    log, r = play(*sorted(requests, key=lambda q: q.time), trades=[(30, 1, 103, 1)])
    assert [e for e in log if e[1] == 1] == [
        (11, 1, "accepted", ""), (21, 1, "replaced", ""), (30, 1, "triggered", ""),
        (41, 1, "cancelled", ""),
    ]  # fmt: skip
    assert log[-2] == (30, 1, "triggered", "")
    assert (21, 2, "cancelled", "") in log
    assert r.orders()["tick"][0] == 90


def test_reduce_only_never_turns_the_position():
    log, r = play(
        new(10, 1, -1, 98, 1, IOC, reduce_only=True),  # nothing to reduce
        new(20, 2, 1, 101, 3, IOC),
        new(30, 3, 1, 101, 1, IOC, reduce_only=True),  # would add
        new(40, 4, -1, 103, 9, POST, reduce_only=True),  # cut to 3
        new(50, 5, -1, 99, 1, IOC),  # shrinks it to 2
        new(60, 6, -1, 99, 2, IOC),  # ends it
    )
    assert log == [
        (11, 1, "rejected", "reduce_only"),
        (21, 2, "filled", ""),
        (31, 3, "rejected", "reduce_only"),
        (41, 4, "replaced", "reduce_only"), (41, 4, "accepted", ""),
        (51, 5, "filled", ""), (51, 4, "replaced", "reduce_only"),
        (61, 6, "filled", ""), (61, 4, "expired", "reduce_only"),
    ]  # fmt: skip
    assert r.position_lots == 0
    assert r.orders()[["lots", "remaining"]][3].tolist() == (2, 2)


def test_two_reduce_only_orders_met_at_once_close_no_more_than_there_is():
    log, r = play(
        new(10, 1, 1, 101, 3, IOC),
        new(20, 2, -1, 103, 3, reduce_only=True), new(20, 3, -1, 103, 3, reduce_only=True),
        trades=[(40, 1, 105, 1)],
    )  # fmt: skip
    assert log[-2:] == [(40, 2, "filled", ""), (40, 3, "expired", "reduce_only")]
    assert r.position_lots == 0


def test_a_reduce_only_stop_that_finds_nothing_to_reduce_expires():
    log, _ = play(
        new(10, 1, -1, 90, 3, MARKET, stop=95, reduce_only=True), trades=[(20, -1, 95, 1)]
    )
    assert log[1:] == [(20, 1, "triggered", ""), (20, 1, "expired", "reduce_only")]


def test_no_more_orders_wait_than_allowed():
    orders = [
        new(10, 1, 1, 98, 1), new(10, 2, -1, 90, 1, GTC, stop=90), new(10, 3, 1, 97, 1, POST),
        new(10, 4, 1, 101, 1, IOC), slow.Cancel(20, 1), new(20, 5, 1, 97, 1),
        slow.Replace(20, 5, 96, 1), new(20, 6, 1, 96, 1, MARKET, stop=105),
    ]  # fmt: skip
    log, _ = play(*orders, max_open_orders=2)
    assert log == [
        (11, 1, "accepted", ""), (11, 2, "accepted", ""), (11, 3, "rejected", "max_open_orders"),
        (11, 4, "filled", ""), (21, 1, "cancelled", ""), (21, 5, "accepted", ""),
        (21, 5, "replaced", ""), (21, 6, "rejected", "max_open_orders"),
    ]  # fmt: skip


def test_no_more_requests_than_the_rate_limit():
    orders = [
        new(10, 1, 1, 98, 1), new(11, 2, 1, 98, 1), slow.Cancel(12, 1), new(13, 3, 1, 98, 1),
        slow.Replace(14, 2, 97, 1), slow.Replace(20, 2, 97, 1), new(30, 4, 1, 98, 1),
    ]  # fmt: skip
    log, _ = play(*orders, rate_limit=(2, 10 * MS))
    assert log == [
        (11, 1, "accepted", ""), (12, 2, "accepted", ""), (13, 1, "cancelled", ""),
        (14, 3, "rejected", "rate_limit"), (15, 2, "replace_rejected", "rate_limit"),
        (21, 2, "replaced", ""), (31, 4, "accepted", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "maker", "taker", "fills"),
    [
        ("allow", "accepted", "filled", [(101, 4), (102, 4)]),
        ("expire_taker", "accepted", "expired", [(101, 4)]),
        ("expire_maker", "expired", "filled", [(101, 4), (102, 4)]),
        ("expire_both", "expired", "expired", [(101, 4)]),
    ],
)
def test_self_trades(mode, maker, taker, fills):
    orders = new(10, 1, -1, 102, 1), new(20, 2, 1, 103, 8, IOC)
    _, r = play(*orders, self_trade=mode)
    assert [EVENTS[s] for s in r.orders()["status"]] == [maker, taker]
    assert [REASONS[s] for s in r.orders()["reason"]] == [
        "self_trade" if s == "expired" else "" for s in (maker, taker)
    ]
    assert [f[1:] for f in sizes(r, 2)] == fills


def test_self_trades_inside_the_spread_and_of_all_or_nothing():
    inside = new(10, 1, -1, 100, 1)
    log, _ = play(inside, new(20, 2, 1, 100, 1), self_trade="expire_maker")
    assert log[1:] == [(21, 1, "expired", "self_trade"), (21, 2, "accepted", "")]
    log, _ = play(inside, new(20, 2, 1, 100, 1, POST), self_trade="expire_maker")
    assert log[1:] == [(21, 2, "expired", "would_take")]
    log, _ = play(inside, new(20, 2, 1, 100, 1, POST))
    assert log[1:] == [(21, 2, "accepted", "")]
    log, _ = play(inside, new(20, 2, 1, 101, 1, FOK), self_trade="expire_both")
    assert log[1:] == [(21, 2, "expired", "fill_or_kill")]
    log, _ = play(inside, new(20, 2, 1, 0, 1, MARKET), self_trade="expire_taker")
    assert log[1:] == [(21, 2, "expired", "self_trade")]


@pytest.mark.parametrize(
    ("order", "reason"),
    [((1, 101, 1, POST), "would_take"), ((1, 100, 1, IOC), "not_marketable"),
     ((1, 101, 9, IOC), "no_liquidity"), ((1, 0, 99, MARKET), "no_liquidity")],
)  # fmt: skip
def test_why_orders_expire(order, reason):
    log, r = play(new(10, 1, *order))
    assert log[-1] == (11, 1, "expired", reason)
    assert REASONS[r.orders()["reason"][0]] == reason


def test_prices_that_share_a_mark_are_told_apart():
    """The table of marks has 1024 places."""
    near, far = 5000, 5000 - 1024
    book = [(0, 1, near, 4), (0, 1, far, 4), (0, -1, 5001, 4)]
    deltas = columns([*book, (20 * MS, 1, far, 1), (40 * MS, 1, near, 1), *END])
    requests = [new(5 * MS, 1, 1, near, 9), new(5 * MS, 2, 1, far, 9), slow.Cancel(30 * MS, 2)]
    trades = columns([(25 * MS, -1, near, 1), (50 * MS, -1, near, 3)])
    r, _ = run((deltas, trades), requests, queue_model="risk_averse")
    assert sizes(r) == [(50, near, 2)]


def test_orders_are_found_by_id_when_others_have_been_forgotten():
    """Live orders and those with messages on their way keep their ids, logs add up."""
    rng = np.random.default_rng(3)
    tape = market_tape(seed=3, n_deltas=4_000)
    replays = [Replay(TICK, LOT, entry_latency_ns=MS, response_latency_ns=2 * MS) for _ in "ab"]
    drained = []
    for r in replays:
        r.feed(*tape)
    start, end = int(tape[0][0][0]) + 10**8, int(tape[0][0][-1])
    ids = []
    for at in np.sort(rng.integers(start, end, 400)).tolist():
        side, lots, away = int(rng.choice([1, -1])), int(rng.integers(1, 300)), rng.integers(0, 4)
        for r in replays:
            r.advance(at)
            touch = r.bid_tick if side > 0 else r.ask_tick
            sent = r.submit(side, touch - side * int(away), lots, "post_only")
        ids.append(sent)
        kept = set(replays[0].orders()["order_id"].tolist())
        asked = int(rng.choice(ids[-20:]))
        if asked in kept:
            for r in replays:
                r.cancel(asked)
        if rng.random() < 0.2:
            drained.append(replays[0].drain())
    for r in replays:
        r.finish()
    drained.append(replays[0].drain())
    assert min(len(d["orders"]) for d in drained) < 60
    for log in ("order_events", "fills"):
        whole = getattr(replays[1], log)()
        np.testing.assert_array_equal(np.concatenate([d[log] for d in drained]), whole)
    assert len(whole) > 50
    last = {int(o["order_id"]): o for d in drained for o in d["orders"]}
    np.testing.assert_array_equal(
        np.array([last[i] for i in sorted(last)], replays[1].orders().dtype), replays[1].orders()
    )


def test_bad_options_and_requests():
    for bad in [{"self_trade": "never"}, {"max_open_orders": -1}, {"rate_limit": (0, 5)},
                {"rate_limit": (5, 0)}]:  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(bad))):
            Replay(TICK, LOT, **bad)
    r = Replay(TICK, LOT)
    r.feed(columns(BOOK), columns([]))
    r.advance(MS)
    for stop in (-1, 1 << 60):
        with pytest.raises(ValueError, match="stop_tick"):
            r.submit(1, 99, 1, stop_tick=stop)
    order = r.submit(1, 99, 1)
    for terms in ((-1, 1), (99, 0), (99, 1 << 60)):
        with pytest.raises(ValueError, match="expected a tick"):
            r.replace(order, *terms)
    for unknown in (0, -1, 2, 1 << 62):
        with pytest.raises(ValueError, match="no order"):
            r.replace(unknown, 99, 1)
        with pytest.raises(ValueError, match="no order"):
            r.cancel(unknown)
    assert len(TIFS) == 5
