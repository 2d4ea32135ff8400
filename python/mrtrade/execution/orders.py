"""Order-level data: who stood where in which queue, and the level feed that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mrtrade.clock import to_ns
from mrtrade.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Ints = npt.NDArray[np.int64]
Columns = tuple[
    npt.NDArray[np.int64], npt.NDArray[np.int8], npt.NDArray[np.int32], npt.NDArray[np.int64]
]

COLUMNS = ("time", "kind", "order_id", "side", "tick", "lots")
ADD, CANCEL, FILL = 1, 2, 3
KIND_CODES = {"add": ADD, "cancel": CANCEL, "fill": FILL}


@dataclass(frozen=True)
class Level:
    """One price of one side. All row numbers are those of the log, ascending unless said.

    Attributes
    ----------
    rows : ndarray
        What happened here.
    size : ndarray
        Lots that stand here after each of `rows`.
    added, gone : ndarray
        For each order that ever stood here, in queue order: the row that added it and the row
        with which it left (the length of the log: it never did).
    """

    rows: Ints
    size: Ints
    added: Ints
    gone: Ints


class OrderLog:
    """A market order by order, checked.

    Parameters
    ----------
    orders : Mapping or DataFrame
        Columns `time` (int64 ns or datetime, not falling), `kind` (1 or "add": an order joins the
        back of its queue; 2 or "cancel": lots of it go unfilled; 3 or "fill"), `order_id` (used
        once), `side` (+1 bid, -1 ask; of the resting order), `tick`, `lots` (added, taken back or
        filled). The orders that stand at the start come first, as adds in queue order. A change
        of an order that keeps its place is a cancel of a part; one that loses it is a cancel and
        an add under another id.
    file : path, optional
        Where it came from, for messages.

    Attributes
    ----------
    time, kind, side, tick, lots : ndarray of int64
    added : ndarray of int64
        Row that added the order of each row: who stands before whom.

    Raises
    ------
    DataError
        What does not fit together: the message names the row.
    """

    def __init__(
        self, orders: Mapping[str, Any] | pd.DataFrame, *, file: str | Path | None = None
    ) -> None:
        missing = [name for name in COLUMNS if name not in orders]
        if missing:
            raise DataError(
                f"no column {missing[0]!r}", file=file, expected=f"columns {', '.join(COLUMNS)}"
            )
        self.file = file
        self.time = to_ns(orders["time"])
        self.kind = _kinds(orders["kind"])
        self.side, self.tick, self.lots = (
            self._whole(name, orders[name]) for name in ("side", "tick", "lots")
        )
        if not len(self.time):
            raise DataError("no rows of orders", file=file)
        for name, wrong, expected in (
            ("time", np.diff(self.time, prepend=self.time[0]) < 0, "times that do not fall"),
            ("kind", ~np.isin(self.kind, (ADD, CANCEL, FILL)), "add, cancel or fill (1, 2, 3)"),
            ("side", np.abs(self.side) != 1, "+1 bid or -1 ask"),
            ("tick", np.abs(self.tick) >= 2**31, "ticks within 32 bits"),
            ("lots", self.lots < 1, "at least one lot"),
        ):
            self._refuse(wrong, name, expected)
        self._join(np.asarray(orders["order_id"]))

    def _whole(self, name: str, values: Any) -> Ints:
        array = np.asarray(values)
        if not np.issubdtype(array.dtype, np.integer):
            raise DataError("not whole numbers", file=self.file, key=name, value=str(array.dtype))
        return array.astype(np.int64)

    def _refuse(self, wrong: npt.NDArray[np.bool_], key: str, expected: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                "a row of orders that cannot be", file=self.file, row=row, key=key,
                expected=expected,
            )  # fmt: skip

    def _join(self, order_id: npt.NDArray[Any]) -> None:
        """Bring the rows of each order together: `added`, and the row each order is gone with."""
        n = len(self.time)
        _, order = np.unique(order_id, return_inverse=True)
        rows = np.argsort(order, kind="stable").astype(np.int64)
        first = np.flatnonzero(np.diff(order[rows], prepend=-1))
        length = np.diff(first, append=n)
        signed = np.where(self.kind == ADD, self.lots, -self.lots)
        total = np.cumsum(signed[rows])
        left = np.empty(n, np.int64)
        left[rows] = total - np.repeat(total[first] - signed[rows[first]], length)
        self.added = np.empty(n, np.int64)
        self.added[rows] = np.repeat(rows[first], length)
        own = self.added == np.arange(n)
        same = (self.side == self.side[self.added]) & (self.tick == self.tick[self.added])
        self._refuse((self.kind == ADD) != own, "order_id", "one add for each id, its first row")
        self._refuse(~same, "order_id", "the side and tick that the order was added with")
        self._refuse(left < 0, "lots", "no more than what is left of the order")
        self._gone = np.full(n, n, np.int64)  # at the row of the add
        self._gone[self.added[left == 0]] = np.flatnonzero(left == 0)

    @cached_property
    def _signed(self) -> Ints:
        return np.where(self.kind == ADD, self.lots, -self.lots)

    @cached_property
    def _key(self) -> Ints:
        """One number for each level."""
        return 2 * self.tick + (self.side > 0)

    @cached_property
    def _by_level(self) -> tuple[dict[int, slice], Ints, Ints]:
        """Rows sorted by level, each level's stretch of them, and sizes after each."""
        rows = np.argsort(self._key, kind="stable").astype(np.int64)
        keys = self._key[rows]
        first = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        last = np.append(first[1:], len(rows))
        total = np.cumsum(self._signed[rows])
        size = total - np.repeat(total[first] - self._signed[rows[first]], last - first)
        stretch = {int(keys[a]): slice(int(a), int(b)) for a, b in zip(first, last, strict=True)}
        return stretch, rows, size

    def level(self, side: int, tick: int) -> Level:
        """Return all that ever happened at a price of a side."""
        stretch, rows, size = self._by_level
        here = stretch.get(2 * tick + (side > 0), slice(0, 0))
        mine = rows[here]
        added = mine[self.kind[mine] == ADD]
        return Level(mine, size[here], added, self._gone[added])

    @cached_property
    def tape(self) -> tuple[Columns, Columns]:
        """The level feed that these orders make, as `mrcore.replay.Replay.feed` takes it.

        A level that changes more than once at one time shows its last size; what fills at one
        time, price and side is one trade. Sizes are what displays: exact, no snapshot is cut.

        Returns
        -------
        deltas, trades : tuple of ndarray
            (time, side, tick, lots): int64 ns, int8, int32, int64.
        """
        _, rows, size = self._by_level
        time, key = self.time[rows], self._key[rows]
        last = np.append((np.diff(time) != 0) | (np.diff(key) != 0), True)
        keep = np.argsort(rows[last], kind="stable")
        changed = rows[last][keep]
        deltas = self._columns(changed, self.side[changed], size[last][keep])

        fills = rows[self.kind[rows] == FILL]
        if not len(fills):
            return deltas, self._columns(fills, fills, fills)
        start = (np.diff(self.time[fills], prepend=-1) != 0) | (
            np.diff(self._key[fills], prepend=self._key[fills[0]] - 1) != 0
        )
        first = np.flatnonzero(start)
        traded = np.add.reduceat(self.lots[fills], first)
        keep = np.argsort(fills[first], kind="stable")
        trade = fills[first][keep]
        return deltas, self._columns(trade, -self.side[trade], traded[keep])

    def _columns(self, rows: Ints, side: Ints, lots: Ints) -> Columns:
        return (
            self.time[rows],
            side.astype(np.int8),
            self.tick[rows].astype(np.int32),
            lots.astype(np.int64),
        )


def _kinds(values: Any) -> Ints:
    array = np.asarray(values)
    if np.issubdtype(array.dtype, np.integer):
        return array.astype(np.int64)
    return np.array([KIND_CODES.get(str(one), 0) for one in array], np.int64)


def read_orders(file: str | Path) -> OrderLog:
    """Read order-level data from a Parquet or CSV file with the columns of `OrderLog`.

    Parameters
    ----------
    file : path
        ``.parquet``, or anything that `pandas.read_csv` takes (times: int64 ns or ISO, UTC).

    Returns
    -------
    OrderLog

    Raises
    ------
    DataError
        The file is missing, or its rows do not fit together.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(file) if Path(file).suffix == ".parquet" else pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {error}", file=file) from error
    return OrderLog(frame, file=file)
