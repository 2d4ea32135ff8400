"""Merging sources of one partition: sorted streams in, one sorted stream out, in bounded memory.

The rule: rows go by `received_time`; at equal times, by source in the order given, and within a
source as it has them. A row that equals a row of an *earlier source* in every column is dropped;
rows that one source repeats are kept, since a source is taken as it is.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

_TIME = "received_time"


def merge_sorted(streams: Sequence[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """Merge streams of tables, each sorted by received_time, dropping what sources share.

    Holds about one table of each stream at a time.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    heads = [_Head(stream) for stream in streams]
    while any(head.rows for head in heads):
        # Rows before `safe` are complete in every head; later ones may still grow.
        open_ends = [head.last for head in heads if not head.ended]
        safe = min(open_ends) if open_ends else None
        pieces = [head.take(safe) for head in heads]
        if sum(map(len, pieces)):
            yield _combine(pieces)
        else:  # one moment fills a whole table
            for head in heads:
                if not head.ended and head.last == safe:
                    head.grow()


class _Head:
    """The rows of one stream that were read and not yet given out."""

    def __init__(self, stream: Iterator[pa.Table]) -> None:
        self._stream = stream
        self._table: pa.Table | None = None
        self.ended = False
        self.grow()

    @property
    def rows(self) -> int:
        return 0 if self._table is None else len(self._table)

    @property
    def last(self) -> int:
        assert self._table is not None  # only asked of streams that go on
        return int(self._table[_TIME][-1].as_py())

    def grow(self) -> None:
        for table in self._stream:
            if len(table):
                self._table = pa.concat_tables([self._table, table]) if self.rows else table
                return
        self.ended = True

    def take(self, before: int | None) -> pa.Table:
        """Give out the rows earlier than `before`; all of them for None."""
        table = self._table
        if table is None:
            return pa.table({})
        cut = len(table) if before is None else int(np.searchsorted(table[_TIME], before))
        self._table = table.slice(cut)
        if not self.rows and not self.ended:
            self.grow()
        return table.slice(0, cut)


def _combine(pieces: list[pa.Table]) -> pa.Table:
    pieces = [piece for piece in pieces if len(piece)]
    if len(pieces) == 1:
        return pieces[0]
    source = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
    rows = pa.concat_tables(pieces)
    times = rows[_TIME].to_numpy()
    order = np.argsort(times, kind="stable")
    keep = _not_shared(rows, times, source)
    return rows.take(pa.array(order[keep[order]]))


def _not_shared(rows: pa.Table, times: np.ndarray, source: np.ndarray) -> np.ndarray:
    keep = np.ones(len(rows), dtype=np.bool_)
    # Only moments that two sources know can hold shared rows: most merges have none.
    known_by = [np.unique(times[source == one]) for one in range(source[-1] + 1)]
    moments, sources = np.unique(np.concatenate(known_by), return_counts=True)
    at = np.flatnonzero(np.isin(times, moments[sources > 1]))
    if at.size:
        frame = rows.take(pa.array(at)).to_pandas()
        columns = list(frame.columns)
        frame["source"] = source[at]
        # The n-th of equal rows within a source is the same row as the n-th in another.
        frame["nth"] = frame.groupby([*columns, "source"], dropna=False, sort=False).cumcount()
        keep[at] = ~frame.duplicated([*columns, "nth"]).to_numpy()
    return keep
