"""How fast a store is here: a synthetic day written, replaced and read, several times."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mrcore.market import SyntheticMarket
from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, utc_day
from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Source, Store

EXCHANGE, SYMBOL = "MRTRADE_BENCH", "BTC/USDT"
"""Where the day is written to, and removed from at the end: nobody's data."""

_SERIES = ("book_delta_v2", EXCHANGE, SYMBOL)
_BATCH_ROWS = 1 << 18


@dataclass(frozen=True)
class Timing:
    """Medians of several runs of one operation.

    Parameters
    ----------
    name : str
    rows : int
        Rows written or read.
    wall_s, cpu_s : float
        Seconds on the clock, and of this process's CPU.
    server_s : float or None
        Seconds of CPU of the server, where it runs on this machine.
    """

    name: str
    rows: int
    wall_s: float
    cpu_s: float
    server_s: float | None


def synthetic_day(rows: int, seed: int = 1) -> pa.Table:
    """Return deltas of one UTC day: messages of several levels, as a busy market makes them.

    Parameters
    ----------
    rows : int
    seed : int
    """
    market, seconds = SyntheticMarket(seed), 60.0
    deltas = market.run(seconds).deltas
    while len(deltas["price"]) < rows:
        seconds *= 1.1 * rows / max(len(deltas["price"]), 1)
        deltas = market.run(seconds).deltas
    schema = TABLES["book_delta_v2"].schema
    columns = {name: deltas[name][:rows] for name in schema.names}
    # Spread over a day, whatever the market needed for them.
    span = int(columns["received_time"][-1] - columns["received_time"][0]) + 1
    stretch = (NS_PER_DAY - NS_PER_SECOND) / span
    first = columns["received_time"][0]
    for name in ("origin_time", "received_time"):
        offset = ((columns[name] - first) * stretch).astype(np.int64)
        columns[name] = first // NS_PER_DAY * NS_PER_DAY + NS_PER_SECOND // 2 + offset
    return pa.table(columns, schema=schema)


def bench(
    store: Store,
    rows: int = 1_000_000,
    runs: int = 3,
    progress: Callable[[str], None] | None = None,
) -> list[Timing]:
    """Time a store with a day of deltas, and remove it again.

    Parameters
    ----------
    store : Store
    rows : int
    runs : int
        Medians are taken over these.
    progress : callable, optional
        Called with what is done next.

    Returns
    -------
    list of Timing
    """
    table = synthetic_day(rows)
    first = int(table["received_time"][0].as_py())
    day = utc_day(first)
    middle = first + NS_PER_DAY // 2

    def write(name: str) -> int:
        source = Source(name, table.nbytes, name, (day,))
        pieces = (table.slice(at, _BATCH_ROWS) for at in range(0, rows, _BATCH_ROWS))
        return store.write_day(*_SERIES, day, [(source, pieces)], keep=False).rows

    def read(start: int, end: int) -> int:
        found = store.read(*_SERIES, start, end)
        return max(len(column.to_numpy()) for column in found.columns)

    def checked() -> int:
        faults = store.verify(*_SERIES)
        if faults:
            raise AssertionError(faults)
        return rows

    steps: list[tuple[str, Callable[[int], int]]] = [
        ("write a day", lambda run: write(f"new-{run}")),
        ("replace it", lambda run: write(f"again-{run}")),
        ("read it to numpy", lambda run: read(first - NS_PER_SECOND, first + NS_PER_DAY)),
        ("read 5 minutes", lambda run: read(middle, middle + 300 * NS_PER_SECOND)),
        ("verify it", lambda run: checked()),
    ]
    taken: dict[str, list[Timing]] = {name: [] for name, _ in steps}
    try:
        for run in range(runs):
            _remove(store, day)
            for name, step in steps:
                if progress is not None:
                    progress(f"{name}, {run + 1} of {runs}")
                taken[name].append(_timed(name, step, run, store))
    finally:
        _remove(store, day)
    return [_median(timings) for timings in taken.values()]


def _remove(store: Store, day: str) -> None:
    if day in store.days(*_SERIES):
        store.remove_day(*_SERIES, day)


def _timed(name: str, step: Callable[[int], int], run: int, store: Store) -> Timing:
    server = _server_cpu_s(store)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = step(run)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = _server_cpu_s(store)
    used = None if server is None or after is None else after - server
    return Timing(name, rows, wall, cpu, used)


def _median(timings: list[Timing]) -> Timing:
    server = [one.server_s for one in timings if one.server_s is not None]
    return Timing(
        timings[0].name,
        timings[0].rows,
        statistics.median(one.wall_s for one in timings),
        statistics.median(one.cpu_s for one in timings),
        statistics.median(server) if server else None,
    )


def _server_cpu_s(store: Store) -> float | None:
    """Return CPU seconds that a PostgreSQL server on this machine has used; None for another."""
    pid = getattr(store, "server_pid", None)
    if pid is None:
        return None
    ticks = 0
    for process in _family(pid):
        with suppress(OSError):  # one may have ended just now; then its parent has its time
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15] if process == pid else fields[11:13]))
    return ticks / 100.0


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
