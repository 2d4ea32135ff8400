"""Where a book must begin anew, and what of it is known then.

Crypto Lake's deltas hold no snapshot of the day: a file goes on where yesterday's ended. So a book
can be carried over midnight, but not over a day that is missing, nor over a pause in which the
collector did not record. There it must begin anew, with what `book` shows: the best 20 levels of
each side.

The row of `book` that is taken is the first whose `sequence_number` is not below that of the first
delta after the pause. It holds every change up to its number, and the deltas hold every one after
it: nothing is lost between the two. (A row *before* the first delta may lack changes that neither
holds.) So the book begins some tenths of a second after the first delta. Where there are no
sequence numbers, it is the first row that was received with the first delta or later.

What is unknown then: levels deeper than the 20th, until a delta touches them. Best prices are right
from the first moment on, unless the price moves through all 20 levels before the levels behind them
have changed once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrtrade.data.checks import Checks
from mrtrade.data.merge import merge_sorted
from mrtrade.data.providers.lake.files import LakeFile
from mrtrade.data.schemas import BOOK_DEPTH, RAW_NAMES, TABLES
from mrtrade.data.snapshots import LATE_SNAPSHOT_NS
from mrtrade.data.streams import MAX_GAP_NS

_KEYS = ("origin_time", "received_time", "sequence_number")


@dataclass(frozen=True)
class Restart:
    """The first delta after a pause.

    Parameters
    ----------
    received_time : int
        Nanoseconds.
    sequence_number : int
        Of its message; -1 where there are none.
    """

    received_time: int
    sequence_number: int


def restarts(files: list[LakeFile], known_until: int | None) -> list[Restart]:
    """Return where the book of a day's deltas cannot be carried on from before.

    A snapshot that the collector wrote into the stream, as rows without an exchange time, is better
    than one of 20 levels: where one begins, nothing is to be done.

    Parameters
    ----------
    files : list of LakeFile
        Of `book_delta_v2`.
    known_until : int or None
        `received_time` of the last delta before the day; None if there is none.
    """
    known = known_until or 0
    found: list[tuple[Restart, bool]] = []
    has_times = False
    for rows in merge_sorted([_keys_of(file) for file in files]):
        origin, received, sequence = (rows[name].to_numpy() for name in _KEYS)
        has_times |= bool(origin.max() > 0)
        for at in np.flatnonzero(np.diff(received, prepend=known) > MAX_GAP_NS).tolist():
            restart = Restart(int(received[at]), int(sequence[at]))
            found.append((restart, bool(origin[at] <= 0)))
        known = max(known, int(received[-1]))
    return [restart for restart, untimed in found if not (untimed and has_times)]


def _keys_of(file: LakeFile) -> Iterator[pa.Table]:
    parquet, _ = file.inspect(Checks())
    with parquet:
        spelled = {RAW_NAMES.get(name, name): name for name in parquet.schema_arrow.names}
        for batch in parquet.iter_batches(columns=[spelled[name] for name in _KEYS]):
            rows = pa.Table.from_batches([batch])
            yield pa.table({name: rows[spelled[name]] for name in _KEYS})


def seed_of(restart: Restart, books: Iterable[LakeFile]) -> pa.Table | None:
    """Return the rows of `book_seed` with which a book begins; None if `book` shows none in time.

    Parameters
    ----------
    restart : Restart
    books : iterable of LakeFile
        Of `book`, of the same day.
    """
    low, high = restart.received_time, restart.received_time + LATE_SNAPSHOT_NS
    for rows in merge_sorted([_between(file, low, high) for file in books]):
        sequence = rows["sequence_number"].to_numpy()
        numbered = restart.sequence_number >= 0
        reached = (sequence >= restart.sequence_number) if numbered else sequence < 0
        for at in np.flatnonzero(reached).tolist():
            seed = _levels(rows.slice(at, 1).to_pylist()[0])
            if seed is not None:
                return seed
    return None


def _between(file: LakeFile, low: int, high: int) -> Iterator[pa.Table]:
    parquet, checker = file.inspect(Checks())
    with parquet:
        names = parquet.schema_arrow.names
    received = next(name for name in names if RAW_NAMES.get(name, name) == "received_time")
    span = [(received, ">=", low), (received, "<", high)]
    yield checker(pq.read_table(file.path, filters=span, partitioning=None))


def _levels(book: dict[str, float]) -> pa.Table | None:
    """Return a row of `book` as levels; None unless it is a book: both sides, and not crossed."""
    sides = []
    for side in ("bid", "ask"):
        levels = ((book[f"{side}_{n}_price"], book[f"{side}_{n}_size"]) for n in range(BOOK_DEPTH))
        sides.append([(price, size) for price, size in levels if size > 0])  # NaN: no level
    bids, asks = sides
    if not bids or not asks or bids[0][0] >= asks[0][0]:
        return None
    both = [(True, *level) for level in bids] + [(False, *level) for level in asks]
    columns = {name: [book[name]] * len(both) for name in _KEYS}
    for name, values in zip(("side_is_bid", "price", "size"), zip(*both, strict=True), strict=True):
        columns[name] = list(values)
    return pa.table(columns, schema=TABLES["book_seed"].schema)


def seed_bytes(seeds: list[pa.Table]) -> bytes:
    """Return a Parquet file of seeds."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables(seeds), sink, compression="snappy")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def seed_path(deltas: Path) -> Path:
    """Return where, in the cache, the seeds of a day lie, from the folder of its deltas."""
    exchange, symbol, day = deltas.parts[-3:]
    return deltas.parents[3] / "book_seed" / exchange / symbol / day / "1.parquet"
