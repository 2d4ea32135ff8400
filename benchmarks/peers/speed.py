"""CPU time and memory beside hftbacktest, numba loops and a bare C loop, on one feed, in one run.

    python -m benchmarks.peers.speed [MILLIONS_OF_DELTAS] [RUNS]

From the top of the tree, in an environment with mrtrade and its tests' libraries installed; needs
gcc, and hftbacktest in an environment of its own (made at first use, `tests/hftbacktest/
environment.py`), which has numba too. The feed is kept beside that environment. Times are of the
process's CPU, the median of the runs and their range: a neighbour on the same core still shows,
so compare within one run. Both simulators do the same work: 1 ms latencies, risk-averse queue,
whole fills, and post-only quotes from the touch outwards, all sent anew every 100 ms.
"""

import argparse
import ctypes
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sortedcontainers import SortedDict
from tests.hftbacktest import environment

from mrcore.book import L2Book
from mrcore.flow import VPIN, depth_imbalance
from mrcore.impact import KyleBars
from mrcore.replay import Replay

HERE = Path(__file__).parent
COLUMNS = ("time", "side", "tick", "lots")
LATENCY, STEP, DAY = 1_000_000, 100_000_000, 86_400_000_000_000
DRAIN = 50  # steps between two drains of the logs
ONE_BY_ONE = 300_000  # deltas given to a book one by one from Python

# Issue's target, ns, and the peer of a row (None: it is one).
ROWS = {
    "C loop, integer columns": (None, None),
    "numba loop, integer columns": (None, "C loop, integer columns"),
    "mrcore book, integer columns": (6, "C loop, integer columns"),
    "mrcore book, integer columns, by message": (None, "C loop, integer columns"),
    "mrcore book, float64 columns": (9, "C loop, integer columns"),
    "numba loop, touch written": (None, None),
    "mrcore book, touch written": (10, "numba loop, touch written"),
    "mrcore book, touch written to new memory": (None, "numba loop, touch written"),
    "numba loop, imbalance of 5 levels": (None, None),
    "mrcore imbalance of 5 levels": (20, "numba loop, imbalance of 5 levels"),
    "numba loop, VPIN, a trade": (None, None),
    "mrcore VPIN, a trade": (5, "numba loop, VPIN, a trade"),
    "numba loop, Kyle's lambda, a trade": (None, None),
    "mrcore Kyle's lambda, a trade": (2, "numba loop, Kyle's lambda, a trade"),
    "dict, best tracked, a call a delta": (None, None),
    "SortedDict, both bests, a call a delta": (None, None),
    "mrcore book, a call a delta": (70, "dict, best tracked, a call a delta"),
    "hftbacktest, a quote a side": (None, None),
    "mrcore replay, a quote a side": (25, "hftbacktest, a quote a side"),
    "hftbacktest, ten quotes a side": (None, None),
    "mrcore replay, ten quotes a side": (45, "hftbacktest, ten quotes a side"),
    "mrcore replay, no orders": (None, None),
}


def load(millions: float) -> tuple[Path, dict[str, np.ndarray]]:
    """Read the feed, made first where it is missing."""
    path = environment.folder().with_name(f"speed-feed-{millions:g}M.npz")
    if not path.exists():
        new = path.with_suffix(".new.npz")
        environment.run(HERE / "feed.py", new, str(millions))
        new.rename(path)
    with np.load(path) as data:
        return path, dict(data)


def c_loop(folder: str, data: dict[str, np.ndarray]) -> Callable[[], tuple[int, int]]:
    """Compile `limit_book.c`; a function that runs it and returns the last touch."""
    source, library = HERE / "limit_book.c", Path(folder, "limit_book.so")
    flags = ["-O3", "-march=native", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(source)], check=True)
    function = ctypes.CDLL(str(library)).limit_book
    function.restype = ctypes.c_int64
    side, tick, lots = (data[f"delta_{c}"] for c in COLUMNS[1:])
    low, high = int(data["low"]), int(data["high"])
    touch = np.zeros(2, np.int64)
    ladders = np.zeros((2, high - low + 2), np.int32)
    address = ctypes.c_void_p

    def run() -> tuple[int, int]:
        ladders[:] = 0
        function(
            *(address(v.ctypes.data) for v in (side, tick, lots)),
            *(ctypes.c_int64(v) for v in (len(side), low, high)),
            *(address(v.ctypes.data) for v in (*ladders, touch)),
        )
        return int(touch[0]), int(touch[1])

    return run


def numpy_touch(n: int) -> tuple[np.ndarray, ...]:
    """Memory of `L2Book.touch`, its pages there."""
    return tuple(np.ones(n, kind) for kind in (np.int32, np.int64) * 2)


def books(data: dict[str, np.ndarray]) -> dict[str, Callable[[], tuple[int, int]]]:
    """Our book in all its ways; each returns the last touch."""
    when, side, tick, lots = (data[f"delta_{c}"] for c in COLUMNS)
    tick_size, lot_size = float(data["tick_size"]), float(data["lot_size"])
    is_bid, price, size = (side > 0).view(np.uint8), tick * tick_size, lots * lot_size
    out = numpy_touch(len(side))

    def last(use: Callable[[L2Book], object]) -> Callable[[], tuple[int, int]]:
        def run() -> tuple[int, int]:
            book = L2Book(tick_size, lot_size)
            use(book)
            return book.bid_tick, book.ask_tick

        return run

    return {
        "mrcore book, integer columns": last(lambda b: b.apply(side, tick, lots)),
        "mrcore book, integer columns, by message": last(lambda b: b.apply(side, tick, lots, when)),
        "mrcore book, float64 columns": last(lambda b: b.apply_float(is_bid, price, size)),
        "mrcore book, touch written": last(lambda b: b.touch(side, tick, lots, out=out)),
        "mrcore book, touch written to new memory": last(lambda b: b.touch(side, tick, lots)),
        "mrcore imbalance of 5 levels": last(lambda b: depth_imbalance(b, side, tick, lots, 5)),
    }


def flows(data: dict[str, np.ndarray]) -> dict[str, Callable[[], object]]:
    """Measures of the trades; the price of a trade stands for the mid."""
    when, side, tick, lots = (data[f"trade_{c}"] for c in COLUMNS)
    lot_size = float(data["lot_size"])
    size, mid = lots * lot_size, tick * float(data["tick_size"])
    return {
        "mrcore VPIN, a trade": lambda: VPIN(10.0, 50).batch(side, size),
        "mrcore Kyle's lambda, a trade": lambda: KyleBars(10**9, 300, lot_size).batch(
            when, side, lots, mid
        ),
    }


def one_by_one(data: dict[str, np.ndarray]) -> dict[str, Callable[[], object]]:
    """One delta a call, as a live feed comes."""
    rows = [data[f"delta_{c}"][:ONE_BY_ONE].tolist() for c in COLUMNS[1:]]
    rows = list(zip(*rows, strict=True))

    def ours() -> None:
        update = L2Book(float(data["tick_size"]), float(data["lot_size"])).update
        for side, tick, lots in rows:
            update(side, tick, lots)

    def plain() -> None:
        books: dict[int, dict[int, int]] = {1: {}, -1: {}}
        best = {1: 0, -1: -(2**40)}  # side * tick
        for side, tick, lots in rows:
            book, key = books[side], side * tick
            if lots:
                book[key] = lots
                if key > best[side]:
                    best[side] = key
            elif book.pop(key, 0) and key == best[side]:
                best[side] = max(book, default=-(2**40))

    def sorted_dict() -> None:
        books = {1: SortedDict(), -1: SortedDict()}
        for side, tick, lots in rows:
            book = books[side]
            if lots:
                book[side * tick] = lots
            else:
                book.pop(side * tick, None)
            for each in books.values():
                if each:
                    each.peekitem()

    return {
        "dict, best tracked, a call a delta": plain,
        "SortedDict, both bests, a call a delta": sorted_dict,
        "mrcore book, a call a delta": ours,
    }


def replay_of(data: dict[str, np.ndarray]) -> Replay:
    deltas, trades = (tuple(data[f"{k}_{c}"] for c in COLUMNS) for k in ("delta", "trade"))
    replay = Replay(
        float(data["tick_size"]),
        float(data["lot_size"]),
        queue_model="risk_averse",
        partial_fills=False,
        entry_latency_ns=LATENCY,
        response_latency_ns=LATENCY,
        feed_latency_ns=LATENCY,
        maker_fee=-5e-5,
        taker_fee=7e-4,
    )
    replay.feed(deltas, trades)
    return replay


def quote(data: dict[str, np.ndarray], levels: int) -> tuple[int, int]:
    """Replay the feed with quotes on both sides; orders sent, and fills.

    The logs are drained now and then, as a long replay does (the peer clears its finished
    orders at each step, and keeps no log).
    """
    replay, when = replay_of(data), data["delta_time"]
    sent = fills = 0
    for step, now in enumerate(range(int(when[0]) + STEP, int(when[-1]), STEP)):
        replay.advance(now)
        replay.quote(replay.bid_tick, replay.ask_tick, 10, levels=levels, keep=False)
        if step % DRAIN == 0:
            fills += len(replay.drain()["fills"])
        sent += 2 * levels
    replay.finish()
    return sent, fills + len(replay.fills())


def over_a_day(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The feed, its times stretched over a day."""
    first, last = int(data["delta_time"][0]), int(data["delta_time"][-1])
    return data | {
        name: first + ((data[name] - first) * (DAY / (last - first))).astype(np.int64)
        for name in ("delta_time", "trade_time")
    }


def step(data: dict[str, np.ndarray]) -> Replay:
    """A strategy that looks at the touch each 100 ms and does nothing."""
    replay, first = replay_of(data), int(data["delta_time"][0])
    for now in range(first + STEP, first + DAY + STEP, STEP):
        replay.advance(now)
        if replay.bid_tick is None or replay.ask_tick is None:
            raise SystemExit("the feed has a book at all times")
    return replay


def resident() -> int:
    """Memory of this process, bytes."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("millions", nargs="?", type=float, default=10.0, help="deltas of the feed")
    parser.add_argument("runs", nargs="?", type=int, default=5)
    arguments = parser.parse_args()
    path, data = load(arguments.millions)
    deltas, trades = len(data["delta_time"]), len(data["trade_time"])
    times: dict[str, list[float]] = {}

    def timed(name: str, run: Callable, events: int):
        started = time.process_time()
        result = run()
        times.setdefault(name, []).append((time.process_time() - started) / events * 1e9)
        return result

    columns = sum(data[f"{k}_{c}"].nbytes for k in ("delta", "trade") for c in COLUMNS)
    before = resident()
    sent, fills = quote(data, 1)
    logs = resident() - before
    runs = str(arguments.runs)
    theirs = {
        "a quote a side": json.loads(environment.run(HERE / "hft_speed.py", path, runs, "1")),
        "ten quotes a side": json.loads(environment.run(HERE / "hft_speed.py", path, runs, "10")),
    }
    for what, found in theirs.items():
        times[f"hftbacktest, {what}"] = found["ns"]
    loops = json.loads(environment.run(HERE / "numba_speed.py", path, runs))
    for name, what in (
        ("book", "integer columns"),
        ("touch", "touch written"),
        ("imbalance", "imbalance of 5 levels"),
        ("vpin", "VPIN, a trade"),
        ("kyle", "Kyle's lambda, a trade"),
    ):
        times[f"numba loop, {what}"] = loops[name]
    day = over_a_day(data)
    with tempfile.TemporaryDirectory() as folder:
        loop, ours, measures, calls = (
            c_loop(folder, data),
            books(data),
            flows(data),
            one_by_one(data),
        )
        for _ in range(arguments.runs):
            touch = timed("C loop, integer columns", loop, deltas)
            for name, run in ours.items():
                if timed(name, run, deltas) != touch:
                    raise SystemExit(f"{name}: not the C loop's best prices {touch}")
            for name, run in measures.items():
                timed(name, run, trades)
            for name, run in calls.items():
                timed(name, run, min(ONE_BY_ONE, deltas))
            timed("mrcore replay, no orders", lambda: replay_of(data).finish(), deltas + trades)
            timed("mrcore replay, a quote a side", lambda: quote(data, 1), deltas + trades)
            timed("mrcore replay, ten quotes a side", lambda: quote(data, 10), deltas + trades)
            timed("a day, no steps", lambda: replay_of(day).finish(), 1e9)
            timed("a day, steps", lambda: step(day), 1e9)

    show(times, deltas, trades)
    steps = np.median(times["a day, steps"]) - np.median(times["a day, no steps"])
    print(f"{'864,000 steps of 100 ms from Python add, s':42} {steps:8.2f}  (target 0.5)")
    own, quoted = columns / (deltas + trades), theirs["a quote a side"]
    print(f"{'memory of the feed, bytes an event':42} {own:8.1f}  hftbacktest {quoted['bytes']}")
    print(f"{'... of our books and drained logs, MB':42} {logs / 1e6:8.1f}")
    print(f"{'quotes sent, fills':42} {sent:,}, {fills:,}  ", end="")
    print(f"hftbacktest {quoted['sent']:,}, {quoted['fills']:,}")


def show(times: dict[str, list[float]], deltas: int, trades: int) -> None:
    print(f"{deltas:,} deltas, {trades:,} trades; hftbacktest {environment.VERSION}")
    print("ns of CPU: a delta; a trade where it says so; an event in a replay or hftbacktest")
    print(f"{'':42} {'median':>8}  {'range':15} {'target':>6}  ratio")
    for name, (target, peer) in ROWS.items():
        ns = float(np.median(times[name]))
        spread = f"({min(times[name]):.1f}-{max(times[name]):.1f})"
        line = f"{name:42} {ns:8.1f}  {spread:15} {target or '':>6}"
        if peer:
            line += f"  {ns / np.median(times[peer]):.2f} x {peer}"
        print(line.rstrip())


if __name__ == "__main__":
    main()
