"""The executor alone: what it asks for as the touch, the clock and the answers change."""

import math

import pytest

from mrcore.executor import Executor

S = 1_000_000_000


def send(e, now, bid, ask, order_id):
    """Step, expect an order, and say that it is out."""
    action = e.step(now, bid, ask)
    assert action is not None
    assert action[0] == "submit"
    e.sent(order_id)
    return action[1:]


def withdraw(e, now, bid, ask, order_id):
    assert e.step(now, bid, ask) == ("cancel", order_id)
    e.sent(order_id)


def passive_long(lots=5, **options):
    """An executor whose buy of `lots` at 99 rests since 2 s."""
    e = Executor(0.5)
    e.set_target(1 * S, lots, **options)
    assert send(e, 1 * S, 99, 101, 7) == (1, 99, lots, "post_only")
    e.on_response(2 * S, "accepted")
    return e


def long(lots=5, entry=99, **options):
    e = passive_long(lots, **options)
    e.on_response(3 * S, "filled", entry, lots)
    assert e.position_lots == lots
    return e


def test_no_target_no_order():
    e = Executor(0.5)
    assert e.step(S, 99, 101) is None
    assert e.timer_ns is None


def test_passive_joins_the_own_touch_and_waits_for_answers():
    e = Executor(0.5)
    e.set_target(S, -3)
    assert e.step(S, None, 101) is None  # no two-sided book yet
    assert send(e, S, 99, 101, 1) == (-1, 101, 3, "post_only")
    assert e.step(S, 90, 92) is None  # pending: one order at a time
    e.on_response(2 * S, "accepted")
    assert e.step(2 * S, 99, 101) is None


def test_passive_follows_the_touch_only_when_it_moves_away():
    e = passive_long()
    assert e.step(3 * S, 97, 101) is None  # alone at the top: stay
    withdraw(e, 3 * S, 100, 102, 7)
    assert e.step(3 * S, 100, 102) is None
    e.on_response(4 * S, "cancelled")
    assert send(e, 4 * S, 100, 102, 8) == (1, 100, 5, "post_only")


def test_a_partial_fill_leaves_the_rest_working():
    e = passive_long()
    e.on_response(3 * S, "partially_filled", 99, 2)
    assert e.position_lots == 2
    assert e.step(3 * S, 99, 101) is None
    withdraw(e, 4 * S, 100, 102, 7)
    e.on_response(4 * S, "partially_filled", 99, 1)  # on its way while we withdrew
    e.on_response(5 * S, "cancelled")
    assert send(e, 5 * S, 100, 102, 8) == (1, 100, 2, "post_only")


def test_a_fill_that_beats_the_cancel():
    e = passive_long()
    withdraw(e, 3 * S, 100, 102, 7)
    e.on_response(4 * S, "filled", 99, 5)
    e.on_response(4 * S, "cancel_rejected")
    assert e.step(4 * S, 100, 102) is None
    assert e.position_lots == 5


def test_aggressive_takes_and_tries_again_on_the_next_book():
    e = Executor(0.5)
    e.set_target(S, 5, aggressive=True)
    assert send(e, S, 99, 101, 1) == (1, 101, 5, "ioc")
    e.on_response(2 * S, "partially_filled", 101, 2)
    e.on_response(2 * S, "expired")
    assert e.step(2 * S, 99, 101) is None  # that book has refused us
    assert send(e, 2 * S + 1, 99, 102, 2) == (1, 102, 3, "ioc")


def test_the_time_out_crosses():
    e = passive_long(timeout_ns=10 * S)
    assert e.timer_ns == 11 * S
    assert e.step(11 * S - 1, 99, 101) is None
    withdraw(e, 11 * S, 99, 101, 7)
    assert e.timer_ns is None
    e.on_response(12 * S, "cancelled")
    assert send(e, 12 * S, 99, 101, 8) == (1, 101, 5, "ioc")


def test_the_time_out_gives_up():
    e = passive_long(timeout_ns=10 * S, give_up=True)
    withdraw(e, 11 * S, 99, 101, 7)
    e.on_response(12 * S, "cancelled")
    assert e.step(12 * S, 99, 101) is None
    e.set_target(13 * S, 5, timeout_ns=10 * S, give_up=True)  # the same again: still given up
    assert e.step(13 * S, 99, 101) is None
    e.set_target(14 * S, -2, timeout_ns=10 * S, give_up=True)
    assert send(e, 14 * S, 99, 101, 9) == (-1, 101, 2, "post_only")


def test_the_time_out_passes_without_a_book():
    """The timer must not stay due when there is nothing to trade on."""
    e = Executor(0.5)
    e.set_target(S, 5, timeout_ns=S)
    assert e.timer_ns == 2 * S
    assert e.step(2 * S, None, None) is None
    assert e.timer_ns is None
    assert send(e, 3 * S, 99, 101, 1) == (1, 101, 5, "ioc")


def test_the_stop_closes_and_bars_the_direction():
    e = long(stop_ticks=4)
    assert e.step(4 * S, 95, 97) is None  # mid 96: 3 against 99
    assert send(e, 5 * S, 94, 96, 8) == (-1, 94, 5, "ioc")
    e.on_response(6 * S, "filled", 94, 5)
    assert e.step(6 * S, 94, 96) is None
    e.set_target(7 * S, 5, stop_ticks=4)  # still long: barred
    assert e.step(7 * S, 94, 96) is None
    e.set_target(7 * S, 6, stop_ticks=4)  # and more of it is no new direction
    assert e.step(7 * S, 94, 96) is None
    e.set_target(8 * S, 0)
    e.set_target(9 * S, 5)
    assert send(e, 9 * S, 94, 96, 9) == (1, 94, 5, "post_only")


def test_the_other_direction_is_not_barred():
    e = long(stop_ticks=4)
    send(e, 5 * S, 94, 96, 8)
    e.on_response(6 * S, "filled", 94, 5)
    e.set_target(7 * S, -5, stop_ticks=4)
    assert send(e, 7 * S, 94, 96, 9) == (-1, 96, 5, "post_only")


def test_the_stop_of_a_short():
    e = Executor(0.5)
    e.set_target(S, -5, stop_ticks=2)
    send(e, S, 99, 101, 1)
    e.on_response(2 * S, "filled", 101, 5)
    assert e.step(3 * S, 101, 103) is None
    assert send(e, 3 * S, 102, 104, 2) == (1, 104, 5, "ioc")


def test_the_stop_is_against_the_average_entry():
    e = passive_long(4, stop_ticks=4)
    e.on_response(3 * S, "partially_filled", 99, 3)
    e.on_response(3 * S, "filled", 95, 1)  # average 98
    assert e.step(4 * S, 94, 95) is None  # 3.5 against
    assert send(e, 4 * S, 93, 95, 8)[0] == -1


def test_the_holding_time():
    e = long(hold_ns=20 * S)
    assert e.timer_ns == 23 * S
    assert e.step(23 * S - 1, 99, 101) is None
    assert send(e, 23 * S, 99, 101, 8) == (-1, 99, 5, "ioc")
    assert e.timer_ns is None


def test_a_flat_target_keeps_the_stop_of_the_position_it_closes():
    e = long(stop_ticks=4)
    e.set_target(4 * S, 0)
    assert send(e, 4 * S, 99, 101, 8) == (-1, 101, 5, "post_only")
    e.on_response(5 * S, "accepted")
    withdraw(e, 6 * S, 94, 96, 8)
    e.on_response(7 * S, "cancelled")
    assert send(e, 7 * S, 94, 96, 9) == (-1, 94, 5, "ioc")


def test_a_flip_is_one_order():
    e = long()
    e.set_target(4 * S, -3)
    assert send(e, 4 * S, 99, 101, 8) == (-1, 101, 8, "post_only")


def test_a_smaller_target_shrinks_the_order():
    e = passive_long(5)
    e.set_target(3 * S, 2)
    withdraw(e, 3 * S, 99, 101, 7)
    e.on_response(4 * S, "cancelled")
    assert send(e, 4 * S, 99, 101, 8) == (1, 99, 2, "post_only")


def test_bad_arguments():
    with pytest.raises(ValueError, match="tick_size"):
        Executor(math.nan)
    e = Executor(0.5)
    with pytest.raises(ValueError, match=">= 0"):
        e.set_target(S, 1, stop_ticks=-1)
    with pytest.raises(ValueError, match="nothing to be sent"):
        e.sent(1)
    with pytest.raises(ValueError, match="not in"):
        e.on_response(S, "lost")


def test_an_order_not_wanted_any_more_is_withdrawn_without_a_book_too():
    e = passive_long()
    assert e.step(3 * S, None, None) is None  # still wanted: it keeps its place
    e.set_target(4 * S, 0)
    withdraw(e, 4 * S, None, None, 7)
    e = passive_long(timeout_ns=5 * S, give_up=True)
    withdraw(e, 6 * S, None, 101, 7)
    e = passive_long(timeout_ns=5 * S)
    withdraw(e, 6 * S, 99, None, 7)
    e.on_response(7 * S, "cancelled")
    assert e.step(7 * S, 99, None) is None  # nothing to cross to
    assert send(e, 8 * S, 99, 101, 8) == (1, 101, 5, "ioc")
