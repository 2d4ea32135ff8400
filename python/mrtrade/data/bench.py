"""How fast a store is here: synthetic days written, replaced and read, one a run."""

import os
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mrcore.market import SyntheticMarket
from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, to_ns, utc_day
from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Source, Store

EXCHANGE, SYMBOL = "MRTRADE_BENCH", "BTC/USDT"
"""Where the days are written to, and removed from at the end: nobody's data."""

_SERIES = ("book_delta_v2", EXCHANGE, SYMBOL)
_BATCH_ROWS = 1 << 18
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


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
    """Time a store with days of deltas, and remove them again.

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
    days = [_later(synthetic_day(rows), number) for number in range(runs)]
    names = [utc_day(int(table["received_time"][0].as_py())) for table in days]

    def write(run: int, name: str) -> int:
        table, day = days[run], names[run]
        source = Source(name, table.nbytes, name, (day,))
        pieces = (table.slice(at, _BATCH_ROWS) for at in range(0, rows, _BATCH_ROWS))
        return store.write_day(*_SERIES, day, [(source, pieces)], keep=False).rows

    def read(run: int, start_ns: int, length_ns: int) -> int:
        start = to_ns(names[run]) + start_ns
        found = store.read(*_SERIES, start, start + length_ns)
        return max(len(column.to_numpy()) for column in found.columns)

    def verified(run: int) -> int:
        start = to_ns(names[run])
        faults = store.verify(*_SERIES, start, start + NS_PER_DAY)
        if faults:
            raise AssertionError(faults)
        return rows

    steps: list[tuple[str, Callable[[int], int]]] = [
        ("write a day", lambda run: write(run, "new")),
        ("replace it", lambda run: write(run, "again")),
        ("read it to numpy", lambda run: read(run, 0, NS_PER_DAY)),
        ("read 5 minutes", lambda run: read(run, NS_PER_DAY // 2, 300 * NS_PER_SECOND)),
        ("verify it", verified),
    ]
    server = _server_pid(store)
    taken: dict[str, list[Timing]] = {name: [] for name, _ in steps}
    _remove(store, names)
    try:
        for run in range(runs):
            for name, step in steps:
                if progress is not None:
                    progress(f"{name}, {run + 1} of {runs}")
                taken[name].append(_timed(name, step, run, server))
    finally:
        _remove(store, names)
    return [_median(timings) for timings in taken.values()]


def _later(table: pa.Table, days: int) -> pa.Table:
    """Move rows by days: each run loads a day of its own, as users do."""
    for name in ("origin_time", "received_time"):
        moved = pc.add(table[name], days * NS_PER_DAY)
        table = table.set_column(table.schema.names.index(name), table.schema.field(name), moved)
    return table


def _remove(store: Store, days: list[str]) -> None:
    for day in store.days(*_SERIES):
        if day in days:
            store.remove_day(*_SERIES, day)


def _timed(name: str, step: Callable[[int], int], run: int, server: int | None) -> Timing:
    before = _cpu_s(server) if server else 0.0
    wall, cpu = time.perf_counter(), time.process_time()
    rows = step(run)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Timing(name, rows, wall, cpu, _cpu_s(server) - before if server else None)


def _median(timings: list[Timing]) -> Timing:
    server = [one.server_s for one in timings if one.server_s is not None]
    return Timing(
        timings[0].name,
        timings[0].rows,
        statistics.median(one.wall_s for one in timings),
        statistics.median(one.cpu_s for one in timings),
        statistics.median(server) if server else None,
    )


def _server_pid(store: Store) -> int | None:
    """Return the first process of the store's server; None where it is not on this machine."""
    from mrtrade.data.timescale import TimescaleStore
    from mrtrade.data.timescale.connection import connect

    if not isinstance(store, TimescaleStore) or store.settings.host not in _LOOPBACK:
        return None
    with connect(store.settings) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        fields = _stat(row[0]) if row else None
    # A server in a container has numbers of its own: there may be no such process, or another.
    return int(fields[1]) if fields and fields[0] == "postgres" else None


def _stat(pid: int) -> list[str] | None:
    """Return name, parent and the rest of what Linux says of a process."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
    except OSError:
        return None
    return [name.partition("(")[2], *rest.split()[1:]]


def _cpu_s(pid: int) -> float:
    """Return CPU seconds of a process, of its children, and of those that have ended."""
    ticks = 0
    children: list[int] = []
    with suppress(OSError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        children = [int(one) for one in listed.split()]
    for one in (pid, *children):
        fields = _stat(one)  # one may have ended just now; then its parent has its time
        if fields:
            ticks += sum(map(int, fields[11:15] if one == pid else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")
