"""The book: any rows, against two dicts; restored and cut at will it goes on with the same bits."""

import pickle
from collections import Counter
from collections.abc import Callable

import numpy as np

from mrcore.book import GridError, L2Book
from mrcore.flow import depth_imbalance
from tests.oracle.book import OracleBook

from .feeds import REGIMES, Feed, pieces

WAYS = ("messages", "rows", "touch", "floats", "depth")
COVERS = (
    *(f"book: {name}" for name in (*REGIMES, *WAYS)),
    *(f"book: {name}" for name in ("crossed", "unknown delete", "refused", "by dicts")),
)
CHUNK = 250


def play(rng: np.random.Generator, events: int, seen: Counter[str]) -> None:
    """Play one round."""
    feed = Feed(rng)
    book = L2Book(1.0, 1.0, window=int(rng.choice([16, 64, 4_096, 1 << 15])))
    message = 0
    for _ in range(events // CHUNK):
        regime, way = str(rng.choice(REGIMES)), str(rng.choice(WAYS))
        side, tick, lots = feed.rows(int(rng.integers(1, 2 * CHUNK)), regime)
        if way not in ("messages", "touch"):  # there is no clear
            side = np.where(side == 0, 1, side).astype(np.int8)
        numbers = message + np.cumsum(rng.integers(0, 2, len(side)))
        if way in ("rows", "depth"):
            numbers = message + np.arange(1, 1 + len(side))
        elif way == "floats":
            numbers[:] = message + 1
        message = int(numbers[-1]) + 1
        bad = int(rng.integers(len(side))) if rng.random() < 0.1 else None
        before = book.state()
        twin = L2Book.from_state({**pickle.loads(pickle.dumps(before)), "window": 128})
        rows = (side, tick, lots, numbers)
        seen["book: refused"] += bad is not None
        good = GIVE[way](rng, book, rows, bad)
        for piece in pieces(rng, good):
            twin.apply(*(column[piece] for column in rows))
        settled(book)
        settled(twin)
        same(book.state(), twin.state())
        if rng.random() < 0.05:
            dicts(book, before, rows, good)
            seen["book: by dicts"] += 1
        seen[f"book: {way}"] += 1
        seen[f"book: {regime}"] += 1
    seen["book: crossed"] += book.crossed
    seen["book: unknown delete"] += book.unknown_deletes


Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Give = Callable[[np.random.Generator, L2Book, Rows, int | None], int]


def negative(rng: np.random.Generator, lots: np.ndarray, bad: int | None) -> np.ndarray:
    lots = lots.copy()
    if bad is not None:
        lots[bad] = rng.choice([-1, -(2**63), 2**53, 2**62, 2**63 - 1])
    return lots


def refused(call: Callable[[], object], bad: int | None, kind: type = ValueError) -> None:
    """See that a call raises if a row is bad, and only then, and that the error names the row."""
    found = None
    try:
        call()
    except kind as error:
        found = str(error)
    assert (found is None) == (bad is None), found
    assert found is None or f"at row {bad}" in found, found


def give_messages(rng: np.random.Generator, book: L2Book, rows: Rows, bad: int | None) -> int:
    side, tick, lots, numbers = rows
    lots = negative(rng, lots, bad)
    refused(lambda: book.apply(side, tick, lots, numbers), bad)
    return len(side) if bad is None else bad


def give_touch(rng: np.random.Generator, book: L2Book, rows: Rows, bad: int | None) -> int:
    side, tick, lots, numbers = rows
    lots = negative(rng, lots, bad)
    out = tuple(np.empty(len(side), kind) for kind in (np.int32, np.int64) * 2)
    refused(lambda: book.touch(side, tick, lots, numbers, out=out), bad)
    end = len(side) if bad is None else bad
    last = np.append(np.diff(numbers) != 0, True)[: max(0, end - (bad is not None))]
    bid, bid_lots, ask, ask_lots = (column[: len(last)][last] for column in out)
    assert np.all((bid < ask) | (bid_lots == 0) | (ask_lots == 0))
    assert np.all((bid_lots > 0) | (bid == -(2**31)))
    assert np.all((ask_lots > 0) | (ask == 2**31 - 1))
    return end


def give_rows(rng: np.random.Generator, book: L2Book, rows: Rows, bad: int | None) -> int:
    for at, row in enumerate(zip(*(column.tolist() for column in rows[:3]), strict=True)):
        if at == bad:
            side, tick, _ = row
            wrong = [
                (side, tick, -1),
                (side, tick, 2**53),
                (0, tick, 1),
                (2, tick, 1),
                (side, 2**60, 1),
            ]
            for one in wrong:
                before = book.state()
                try:
                    book.update(*one)
                except ValueError:
                    same(book.state(), before)
                else:
                    raise AssertionError(f"{one} was taken")
        book.update(*row)
    return len(rows[0])


def give_floats(rng: np.random.Generator, book: L2Book, rows: Rows, bad: int | None) -> int:
    side, tick, lots, _ = rows
    price, size = tick.astype(float), lots.astype(float)
    if bad is not None:
        wrong = (price, size)[rng.integers(2)]
        wrong[bad] = rng.choice([np.nan, np.inf, -np.inf, -1.0, 0.5, 1e300, 9.5e15])
    refused(lambda: book.apply_float((side > 0).view(np.uint8), price, size), bad, GridError)
    return len(side) if bad is None else bad


def give_depth(rng: np.random.Generator, book: L2Book, rows: Rows, bad: int | None) -> int:
    side, tick, lots, _ = rows
    if bad is not None:
        settled(book)
        before = book.state()
        try:
            depth_imbalance(book, side, tick, negative(rng, lots, bad), 5)
        except ValueError:
            same(book.state(), before)
        else:
            raise AssertionError(f"row {bad} was taken")
    levels = int(rng.choice([1, 5, 20]))
    value = depth_imbalance(book, side, tick, lots, levels)
    assert np.all(np.isnan(value) | (np.abs(value) <= 1.0))
    assert (
        value[-1] == book.imbalance(levels) or np.isnan([value[-1], book.imbalance(levels)]).all()
    )
    return len(side)


GIVE: dict[str, Give] = {
    "messages": give_messages,
    "rows": give_rows,
    "touch": give_touch,
    "floats": give_floats,
    "depth": give_depth,
}


def settled(book: L2Book) -> None:
    """End the message, and see that what the book says of itself is consistent."""
    bid, ask = book.bid_tick, book.ask_tick
    assert bid is None or ask is None or bid < ask, (bid, ask)
    state = book.state()
    assert np.all(state["lots"] > 0)
    for side, best in ((1, bid), (-1, ask)):
        ticks = state["tick"][state["side"] == side]
        assert np.all(np.diff(ticks * -side) > 0)  # best first, each once
        assert (ticks[0] if len(ticks) else None) == best


def same(one: dict, two: dict) -> None:
    for name in one.keys() - {"window", "message"}:
        assert np.array_equal(one[name], two[name]), (name, one[name], two[name])


def dicts(book: L2Book, before: dict, rows: Rows, good: int) -> None:
    """Hold a chunk against the slow book."""
    slow = OracleBook()
    for side, tick, lots in zip(
        *(before[n].tolist() for n in ("side", "tick", "lots")), strict=True
    ):
        slow.levels[side][tick] = lots
    slow.newest, slow.crossed = before["newest"], before["crossed"]
    slow.unknown_deletes = before["unknown_deletes"]
    number = before["message"]
    columns = (column[:good].tolist() for column in rows)
    for side, tick, lots, message in zip(*columns, strict=True):
        if message != number:
            slow.settle()
            number = message
        if side:
            slow.update(side, tick, lots)
        else:
            slow.clear()
    slow.settle()
    state = book.state()
    for side in (1, -1):
        mine = state["side"] == side
        found = dict(zip(state["tick"][mine].tolist(), state["lots"][mine].tolist(), strict=True))
        assert found == slow.levels[side]
    assert (book.crossed, book.unknown_deletes) == (slow.crossed, slow.unknown_deletes)
