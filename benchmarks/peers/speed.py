"""CPU time and memory beside hftbacktest and a bare C loop, on one feed, in one run.

    python -m benchmarks.peers.speed [MILLIONS_OF_DELTAS] [RUNS]

From the top of the tree, in an environment with mrtrade installed; needs gcc, and hftbacktest in an
environment of its own (made at first use, `tests/hftbacktest/environment.py`). The feed is kept
beside that environment. Times are of the process's CPU (a busy machine matters less), the median
of the runs and their range. Both simulators do the same work: 1 ms latencies, risk-averse queue,
whole fills, and a post-only quote at the touch of each side, sent anew every 100 ms.
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
from tests.hftbacktest import environment

from mrcore.book import L2Book
from mrcore.replay import Replay

HERE = Path(__file__).parent
COLUMNS = ("time", "side", "tick", "lots")
LATENCY, STEP = 1_000_000, 100_000_000


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


def books(data: dict[str, np.ndarray]) -> dict[str, Callable[[], tuple[int, int]]]:
    """Our book from integer and from float columns; each returns the last touch."""
    when, side, tick, lots = (data[f"delta_{c}"] for c in COLUMNS)
    tick_size, lot_size = float(data["tick_size"]), float(data["lot_size"])
    is_bid, price, size = (side > 0).view(np.uint8), tick * tick_size, lots * lot_size

    def integer(message: np.ndarray | None) -> tuple[int, int]:
        book = L2Book(tick_size, lot_size)
        book.apply(side, tick, lots, message)
        return book.bid_tick, book.ask_tick

    def floats() -> tuple[int, int]:
        book = L2Book(tick_size, lot_size)
        book.apply_float(is_bid, price, size)
        return book.bid_tick, book.ask_tick

    return {
        "mrcore book, integer columns": lambda: integer(None),
        "mrcore book, integer columns, by message": lambda: integer(when),
        "mrcore book, float64 columns": floats,
    }


def quote(data: dict[str, np.ndarray]) -> Replay:
    """Replay the feed with one quote a side."""
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
    bid = ask = 0
    for now in range(int(deltas[0][0]) + STEP, int(deltas[0][-1]), STEP):
        replay.advance(now)
        if bid:
            replay.cancel(bid)
            replay.cancel(ask)
        bid = replay.submit(1, replay.bid_tick, 10, "post_only")
        ask = replay.submit(-1, replay.ask_tick, 10, "post_only")
    replay.finish()
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
    replay = quote(data)
    logs = resident() - before
    sent, fills = len(replay.orders()), len(replay.fills())
    del replay
    with tempfile.TemporaryDirectory() as folder:
        loop, ours = c_loop(folder, data), books(data)
        for _ in range(arguments.runs):
            touch = timed("C loop, integer columns", loop, deltas)
            for name, run in ours.items():
                if timed(name, run, deltas) != touch:
                    raise SystemExit(f"{name}: not the C loop's best prices {touch}")
            timed("mrcore replay, a quote a side", lambda: quote(data), deltas + trades)
    script = HERE / "hft_speed.py"
    theirs = json.loads(environment.run(script, path, str(arguments.runs)))
    times[f"hftbacktest {environment.VERSION}, a quote a side"] = theirs["ns"]

    rows = {name: float(np.median(ns)) for name, ns in times.items()}
    print(f"{deltas:,} deltas, {trades:,} trades; ns of CPU a delta (a quote a side: an event)")
    for name, ns in rows.items():
        peer = next(iter(rows)) if "book" in name or "loop" in name else list(rows)[-1]
        low, high = min(times[name]), max(times[name])
        print(f"{name:42} {ns:8.1f}  ({low:.1f}-{high:.1f})  {ns / rows[peer]:6.2f} x {peer}")
    own = columns / (deltas + trades)
    print(f"{'memory of the feed, bytes an event':42} {own:8.1f}  hftbacktest {theirs['bytes']}")
    print(f"{'... of our logs and books, MB':42} {logs / 1e6:8.1f}")
    print(f"{'quotes sent, fills':42} {sent:,}, {fills:,}  ", end="")
    print(f"hftbacktest {theirs['sent']:,}, {theirs['fills']:,}")


if __name__ == "__main__":
    main()
