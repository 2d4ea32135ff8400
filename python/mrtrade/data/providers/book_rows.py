"""Levels of a book that come as rows, each marked whether it is part of a snapshot."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from mrtrade.data.providers.recording import Parsed
from mrtrade.data.quality.findings import Finding
from mrtrade.instruments import from_lake

Columns = dict[str, npt.NDArray[Any]]


class BookRows:
    """Puts each run of rows that are part of a snapshot into `book_seed`, the others into deltas.

    Parameters
    ----------
    out : Parsed
    exchange, symbol : str
    """

    def __init__(self, out: Parsed, exchange: str, symbol: str) -> None:
        self._out = out
        self._where = (exchange, symbol)
        self._run: list[Columns] = []  # of a snapshot that may go on in the next block
        self._seen = False
        self._early = 0
        self._early_span = (0, 0)

    def add(self, columns: Columns, whole: npt.NDArray[np.bool_]) -> None:
        """Add rows of the table; `whole` marks those that are part of a snapshot."""
        cuts = [0, *(np.flatnonzero(np.diff(whole)) + 1).tolist(), len(whole)]
        for a, b in pairwise(cuts):
            if a == b:
                continue
            part = {name: values[a:b] for name, values in columns.items()}
            if whole[a]:
                self._run.append(part)
                self._seen = True
                continue
            self._end_run()
            self._out.rows("book_delta_v2", *self._where).extend(part)
            if not self._seen:
                times = part["received_time"]
                first = self._early_span[0] if self._early else int(times[0])
                self._early_span = (first, int(times[-1]))
                self._early += len(times)

    def end(self) -> None:
        """End the file: report the rows that no snapshot came before."""
        self._end_run()
        if self._early:
            exchange, symbol = self._where
            self._out.findings.append(
                Finding(
                    "before_snapshot",
                    "info",
                    "book_delta_v2",
                    exchange,
                    from_lake(symbol),
                    *self._early_span,
                    self._early,
                    f"{self._early:,} rows before the first snapshot: kept, and part of no book",
                )
            )

    def _end_run(self) -> None:
        if not self._run:
            return
        whole = {name: np.concatenate([part[name] for part in self._run]) for name in self._run[0]}
        self._run.clear()
        seeds = self._out.rows("book_seed", *self._where)
        for a, b in pairwise(_books(whole)):
            book = {name: values[a:b].copy() for name, values in whole.items()}
            # A book is known when its last row is; one time keeps its rows together.
            for name in ("origin_time", "received_time"):
                book[name][:] = book[name][-1]
            seeds.extend(book)


def _books(run: Columns) -> list[int]:
    """Return where the books of a run of rows begin, and its end.

    Between two snapshots there need be no delta. The second begins with rows of another time, of
    which some are levels that the first has already: a book that comes in pieces repeats none.
    """
    level = np.where(run["side_is_bid"], run["price"], -run["price"])
    pieces = [0, *(np.flatnonzero(np.diff(run["received_time"])) + 1).tolist(), len(level)]
    begins = [0]
    for a, b in pairwise(pieces):
        if np.isin(level[a:b], level[begins[-1] : a]).any():
            begins.append(a)
    return [*begins, len(level)]
