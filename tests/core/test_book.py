import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mrcore.book import GridError, L2Book, to_lots, to_ticks
from mrcore.flow import depth_imbalance

from ..oracle.book import OracleBook

TICK, LOT = 0.5, 0.25
ROW = st.tuples(
    st.sampled_from([1, -1, 1, -1, 1, -1, 1, -1, 0]),
    # a crowd around the touch, and rare prices far outside a window of 16
    st.one_of(st.integers(90, 110), st.integers(0, 400), st.sampled_from([0, 10**6, 2**31 - 1])),
    st.sampled_from([0, 0, 1, 2, 7]),
    st.booleans(),  # a new message starts here
)
ROWS = st.lists(ROW, max_size=150)


def columns(rows):
    side = np.array([r[0] for r in rows], np.int8)
    tick = np.array([r[1] for r in rows], np.int32)
    lots = np.array([r[2] for r in rows], np.int64)
    message = np.cumsum([r[3] for r in rows]).astype(np.int64)
    return side, tick, lots, message


def oracle(rows):
    book = OracleBook()
    for i, (side, tick, lots, new) in enumerate(rows):
        if new and i:
            book.settle()
        if side == 0:
            book.clear()
        else:
            book.update(side, tick, lots)
    book.settle()
    return book


def as_dicts(book):
    bids, asks = book.levels(10_000)
    return [{round(p / TICK): round(q / LOT) for p, q in side} for side in (bids, asks)]


def same_state(a, b):
    for key, value in a.state().items():
        np.testing.assert_array_equal(value, b.state()[key], err_msg=key)


@given(ROWS, st.sampled_from([16, 64, 1 << 15]))
@example([(1, 100, 1, True), (1, 0, 2, False), (1, 100, 0, True), (1, 50, 1, False)], 16)
def test_every_level_equals_the_oracle(rows, window):
    book, truth = L2Book(TICK, LOT, window=window), oracle(rows)
    book.apply(*columns(rows))
    assert as_dicts(book) == [truth.levels[1], truth.levels[-1]]
    assert (book.bid_tick, book.ask_tick) == (truth.best(1), truth.best(-1))
    assert (book.crossed, book.unknown_deletes) == (truth.crossed, truth.unknown_deletes)
    for n in (1, 5, 20):
        expected = tuple(LOT * sum(q for _, q in truth.top(s, n)) for s in (1, -1))
        assert book.depth(n) == expected
    for tick in (0, 95, 100, 105, 10**6):
        assert book.size_at(1, tick) == LOT * truth.levels[1].get(tick, 0)


@given(ROWS)
def test_never_crossed_after_a_message(rows):
    book = L2Book(TICK, LOT, window=16)
    for side, tick, lots, _ in rows:
        if side:
            book.update(side, tick, lots)
        bid, ask = book.best_bid, book.best_ask
        assert math.isnan(bid) or math.isnan(ask) or bid < ask


@given(ROWS, st.lists(st.integers(0, 150), max_size=5))
def test_any_chunking_gives_the_same_book(rows, cuts):
    whole, parts = L2Book(TICK, LOT, window=16), L2Book(TICK, LOT, window=16)
    whole.apply(*columns(rows))
    edges = sorted({0, len(rows), *(c for c in cuts if c < len(rows))})
    for a, b in itertools.pairwise(edges):
        parts.apply(*(c[a:b] for c in columns(rows)))
    same_state(whole, parts)


def touch_of(book):
    """As `L2Book.touch` writes it."""
    sides = []
    for side, none in ((1, -(2**31)), (-1, 2**31 - 1)):
        tick = book.best(side)
        sides += [none, 0] if tick is None else [tick, book.levels[side][tick]]
    return sides


@given(ROWS, st.integers(0, 150))
def test_the_touch_after_each_row(rows, cut):
    truth, expected = OracleBook(), []
    for side, tick, lots, _ in rows:
        if side:
            truth.update(side, tick, lots)
        else:
            truth.clear()
        truth.settle()
        expected.append(touch_of(truth))
    book, applied = L2Book(TICK, LOT, window=16), L2Book(TICK, LOT)
    parts = [book.touch(*(c[a] for c in columns(rows)[:3])) for a in np.s_[:cut, cut:]]
    got = np.column_stack([np.concatenate(c) for c in zip(*parts, strict=True)])
    np.testing.assert_array_equal(got, np.reshape(expected, (-1, 4)))
    side, tick, lots, _ = columns(rows)
    applied.apply(side, tick, lots, np.arange(len(rows)))
    assert as_dicts(book) == as_dicts(applied) == [truth.levels[1], truth.levels[-1]]
    assert book.crossed == truth.crossed


@given(ROWS, st.integers(0, 150))
def test_the_touch_by_message(rows, cut):
    """A message is resolved at its last row; rows before it show the book as it stood."""
    side, tick, lots, message = columns(rows)
    truth, expected = OracleBook(), []
    for i, row in enumerate(rows):
        if row[0]:
            truth.update(*row[:3])
        else:
            truth.clear()
        if i + 1 == len(rows) or rows[i + 1][3]:
            truth.settle()
        expected.append(touch_of(truth))
    cut = int(np.searchsorted(message, message[cut])) if cut < len(rows) else 0
    book, applied = L2Book(TICK, LOT, window=16), L2Book(TICK, LOT, window=16)
    out = book.touch(side[:0], tick[:0], lots[:0], message[:0])
    parts = [
        out,
        *(book.touch(*(c[a] for c in (side, tick, lots, message))) for a in np.s_[:cut, cut:]),
    ]
    got = np.column_stack([np.concatenate(c) for c in zip(*parts, strict=True)])
    np.testing.assert_array_equal(got, np.reshape(expected, (-1, 4)))
    applied.apply(side, tick, lots, message)
    assert applied.bid_tick == book.bid_tick  # read: the last message is over
    same_state(book, applied)


def test_touch_writes_where_it_is_told():
    side, tick, lots, _ = columns([(1, 100, 2, True), (-1, 101, 3, True)])
    out = tuple(np.full(2, 7, kind) for kind in (np.int32, np.int64) * 2)
    assert L2Book(TICK, LOT).touch(side, tick, lots, out=out) is out
    assert [c.tolist() for c in out] == [[100, 100], [2, 2], [2**31 - 1, 101], [0, 3]]
    with pytest.raises(ValueError, match="differ in length"):
        L2Book(TICK, LOT).touch(side[:1], tick[:1], lots[:1], out=out)
    with pytest.raises(ValueError, match="waits"):
        L2Book(TICK, LOT, await_snapshot=True).touch(side, tick, lots)


def test_touch_drops_what_the_snapshot_had():
    book = L2Book(TICK, LOT)
    book.snapshot(*columns([(1, 100, 5, True), (-1, 102, 5, True)])[:3], 11)
    side, tick, lots, _ = columns([(1, 101, 1, True), (1, 101, 2, True)])
    bid_tick, bid_lots, _, _ = book.touch(side, tick, lots, np.array([11, 12]))
    assert (bid_tick.tolist(), bid_lots.tolist(), book.stale_rows) == ([100, 101], [5, 2], 1)


def test_touch_refuses_what_32_bits_cannot_hold():
    book = L2Book(0.01, 1.0)
    book.apply_float(np.zeros(1, np.uint8), np.array([1e8]), np.ones(1))
    side, tick, lots, _ = columns([(1, 100, 1, True)])
    with pytest.raises(OverflowError, match="32 bits"):
        book.touch(side, tick, lots)
    assert book.bid_tick == 100


@pytest.mark.parametrize("method", ["apply", "touch"])
def test_a_negative_size_names_its_row(method):
    side, tick, lots, message = columns([(1, 100, 1, True), (1, 101, -1, True), (1, 102, 1, True)])
    for rows in ((side, tick, lots), (side, tick, lots, message)):
        book = L2Book(TICK, LOT)
        with pytest.raises(ValueError, match="were -1 at row 1"):
            getattr(book, method)(*rows)
        assert as_dicts(book) == [{100: 1}, {}]  # the rows before it have been applied


@given(ROWS, ROWS)
def test_a_saved_book_goes_on_as_the_original(before, after):
    book = L2Book(TICK, LOT, window=16)
    book.apply(*columns(before))
    saved = pickle.loads(pickle.dumps(book))
    copy = book.copy()
    for b in (book, saved, copy):
        b.apply(*columns(after))
    for b in (saved, copy):
        assert as_dicts(b) == as_dicts(book)
        assert (b.crossed, b.unknown_deletes) == (book.crossed, book.unknown_deletes)


@given(ROWS, st.sampled_from([1, 5, 10, 20]), st.integers(0, 150))
def test_depth_imbalance_after_each_row(rows, levels, cut):
    rows = [row for row in rows if row[0]]
    truth, expected = OracleBook(), []
    for side, tick, lots, _ in rows:
        truth.update(side, tick, lots)
        truth.settle()
        expected.append(truth.imbalance(levels))
    side, tick, lots, _ = columns(rows)
    book, steps = L2Book(TICK, LOT), L2Book(TICK, LOT, window=16)
    got = [
        depth_imbalance(book, side[a], tick[a], lots[a], levels)
        for a in (slice(None, cut), slice(cut, None))
    ]
    np.testing.assert_array_equal(np.concatenate(got), expected)
    for row, value in zip(rows, expected, strict=True):
        steps.update(*row[:3])
        np.testing.assert_array_equal(steps.imbalance(levels), value)


def test_depth_imbalance_refuses_bad_rows():
    side, tick, lots, _ = columns([(1, 100, 1, True)])
    book = L2Book(TICK, LOT)
    for bad in ((side * 0, tick, lots, 5), (side, tick, -lots, 5), (side, tick, lots, 0)):
        with pytest.raises(ValueError, match="must be"):
            depth_imbalance(book, *bad)
    with pytest.raises(ValueError, match="differ in length"):
        depth_imbalance(book, side, tick[:0], lots, 5)
    with pytest.raises(ValueError, match="waits"):
        depth_imbalance(L2Book(TICK, LOT, await_snapshot=True), side, tick, lots, 5)
    assert book.bid_tick is None


def test_a_snapshot_that_arrives_late():
    """Rows received before it: the older are dropped, the newer applied after it."""
    early = columns([(1, 99, 1, True)])
    late = columns([(-1, 102, 0, True), (1, 101, 9, False)])
    book = L2Book(TICK, LOT, await_snapshot=True)
    book.apply(*early[:3], np.array([10]))
    book.apply(*late[:3], np.array([12, 12]))
    assert math.isnan(book.best_bid)
    book.snapshot(*columns([(1, 100, 5, True), (-1, 102, 5, True), (-1, 103, 1, True)])[:3], 11)
    assert book.stale_rows == 1
    assert as_dicts(book) == [{100: 5, 101: 9}, {103: 1}]
    book.apply(*early[:3], np.array([11]))
    assert book.stale_rows == 2
    # without the buffer the same feed leaves a level that is gone
    naive = L2Book(TICK, LOT)
    naive.snapshot(*columns([(1, 100, 5, True), (-1, 102, 5, True), (-1, 103, 1, True)])[:3], 11)
    assert as_dicts(naive) != as_dicts(book)


def test_known_depth():
    book = L2Book(TICK, LOT)
    book.update(1, 100, 1)
    assert book.known_depth == (0, 0)
    rows = columns([(1, 100, 5, True), (1, 96, 5, True), (-1, 102, 5, True), (-1, 103, 1, True)])
    book.snapshot(*rows[:3])
    assert book.known_depth == (5, 2)
    book.update(1, 90, 1)  # below what the snapshot showed: seen, but its neighbours are not
    assert book.known_depth == (5, 2)
    book.update(1, 100, 0)
    assert book.known_depth == (1, 2)
    book.update(1, 96, 0)
    assert book.known_depth == (0, 2)
    book.snapshot(*rows[:3], complete=True)
    assert book.known_depth == (math.inf, math.inf)


def test_a_crossed_message_keeps_the_newest_side():
    book = L2Book(TICK, LOT)
    book.apply(*columns([(1, 100, 1, True), (-1, 101, 1, False), (-1, 103, 1, False)]))
    book.apply(*columns([(1, 102, 3, True)])[:3])
    assert as_dicts(book) == [{100: 1, 102: 3}, {103: 1}]
    assert book.crossed == 1
    book.apply(*columns([(-1, 100, 2, True)])[:3])
    assert as_dicts(book) == [{}, {100: 2, 103: 1}]
    assert book.crossed == 2


def test_crossed_inside_a_message_is_not_crossed():
    book = L2Book(TICK, LOT)
    book.apply(*columns([(1, 100, 1, True), (-1, 101, 1, False)]))
    book.apply(*columns([(1, 101, 3, True), (-1, 101, 0, False), (-1, 102, 1, False)])[:3])
    assert book.crossed == 0
    assert as_dicts(book) == [{100: 1, 101: 3}, {102: 1}]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2**31 - 1), st.integers(0, 10**9))),
    st.sampled_from([0.01, 0.1, 0.5, 1e-8, 25.0]),
    st.sampled_from([1e-8, 0.001, 1.0, 1000.0]),
)
def test_float_rows_equal_integer_rows(rows, tick_size, lot_size):
    bid = np.array([r[0] for r in rows], bool)
    tick = np.array([r[1] for r in rows], np.int32)
    lots = np.array([r[2] for r in rows], np.int64)
    price, size = tick * tick_size, lots * lot_size
    np.testing.assert_array_equal(to_ticks(price, tick_size), tick)
    np.testing.assert_array_equal(to_lots(size, lot_size), lots)
    a, b = L2Book(tick_size, lot_size), L2Book(tick_size, lot_size)
    a.apply(np.where(bid, 1, -1).astype(np.int8), tick, lots)
    b.apply_float(bid.view(np.uint8), price, size)
    same_state(a, b)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.5, 100.25, 2.0**31])
def test_a_price_off_the_grid_names_its_row(bad):
    price = np.array([100.0, bad, 101.0])
    with pytest.raises(GridError, match="at row 1 is not") as caught:
        to_ticks(price, TICK)
    assert caught.value.index == 1
    if bad != 2.0**31:
        with pytest.raises(GridError, match="row 1"):
            L2Book(TICK, LOT).apply_float(np.ones(3, np.uint8), price, np.ones(3))


@pytest.mark.parametrize("bad", [math.nan, -1.0, 0.1])
def test_a_size_off_the_grid_names_its_row(bad):
    with pytest.raises(GridError, match=r"size .* at row 2"):
        to_lots(np.array([0.0, 1.0, bad]), LOT)
    with pytest.raises(GridError, match=r"size .* at row 0"):
        L2Book(TICK, LOT).apply_float(np.ones(1, np.uint8), np.ones(1), np.array([bad]))


def test_bad_arguments_change_nothing():
    book = L2Book(TICK, LOT)
    side, tick, lots, _ = columns([(1, 100, 1, True)])
    with pytest.raises(ValueError, match="differ in length"):
        book.apply(side, tick, lots[:0])
    with pytest.raises(ValueError, match="lots must be >= 0"):
        book.apply(side, tick, -lots)
    with pytest.raises(ValueError, match="side must be"):
        book.update(0, 100, 1)
    with pytest.raises(ValueError, match="tick within"):
        book.update(1, 2**60, 1)
    book.update(1, 50, 3)
    with pytest.raises(ValueError, match="lots must be >= 0"):
        book.snapshot(side, tick, -lots)
    assert book.bid_tick == 50  # the snapshot that was refused has not cleared it
    book.update(1, 50, 0)
    with pytest.raises(ValueError, match="tick_size must be > 0"):
        L2Book(math.nan, LOT)
    with pytest.raises(ValueError, match="lot_size must be > 0"):
        to_lots(np.ones(1), 0.0)
    with pytest.raises(ValueError, match="window"):
        L2Book(TICK, LOT, window=1)
    assert book.bid_tick is None
    assert book.best_bid_size == book.best_ask_size == 0.0


def test_read_only_and_empty_columns_are_taken():
    rows = columns([(1, 100, 1, True), (-1, 101, 2, True)])
    for c in rows:
        c.flags.writeable = False
    book = L2Book(TICK, LOT)
    book.apply(*rows)
    book.snapshot(*rows[:3])
    price, size = np.array([100.0]), np.array([1.0])
    bid = np.ones(1, np.uint8)
    for c in (price, size, bid):
        c.flags.writeable = False
    book.apply_float(bid, price, size)
    book.apply(*(c[:0] for c in rows))
    assert to_ticks(price[:0], TICK).shape == (0,)
    assert (book.best_bid, book.best_bid_size) == (100.0, 1.0)
    assert as_dicts(book)[1] == {}  # the bid at 200 ticks crossed the ask at 101


def test_levels_beyond_32_bit_ticks_outlive_a_copy():
    book = L2Book(0.01, 1.0)
    book.apply_float(np.zeros(1, np.uint8), np.array([1e8]), np.ones(1))
    assert book.copy().best_ask == book.best_ask == 1e8
