"""One pass over days of a busy perpetual, from Parquet: time, memory, and how they grow.

    python -m benchmarks.scale            a tenth of a day to ten days, and a plot (--plot FILE)
    python -m benchmarks.scale pass START_DAY DAYS
    python -m benchmarks.scale threads

From the top of the tree, in an environment with mrtrade[report] installed. A day holds 110 million
deltas and 11 million trades: ten parts of `peers/feed.py`, each begun by a snapshot, with delays of
a collector. The days after it are the same, later. They are written to a store beside hftbacktest's
environment at first use (0.7 GB a day; only as many days as are asked for).

A pass reads the tape as a stream and replays it with a row of samples a second and one quote a side
(risk-averse queue, 1 ms latencies), put to the touch again each 100 ms of the recording. Each pass
has a process of its own; its memory is the highest that it ever had, imports included.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tests.hftbacktest import environment

from mrcore.book import L2Book
from mrcore.replay import Replay
from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, to_ns, utc_day
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Source
from mrtrade.data.tape import TapeStream
from mrtrade.instruments import Instrument, instrument

FIRST_DAY = to_ns("2024-01-01")
HERE = ("BINANCE_FUTURES", "BTC/USDT-PERP")
PARTS, PART_MILLIONS = 10, 11
MIDDLE, SNAPSHOT = 600_000, 2_000  # of peers/feed.py: first mid in ticks, rows of the first book
SLICE = 1 << 20
LATENCY, STEP = 1_000_000, NS_PER_SECOND // 10
DRAIN = 3_600 * NS_PER_SECOND // STEP  # steps between two removals of what was logged
FRACTIONS = (0.1, 0.25, 0.5, 1.0, 10.0)


def terms() -> Instrument:
    """What the feed is recorded of."""
    return instrument(*HERE, tick_size=0.1, lot_size=0.001, maker_fee=-0.00005, taker_fee=0.0005)


# ---------------------------------------------------------------------------- the recording


def recording(days: int) -> ParquetStore:
    """Return the store; the days that it lacks are made first."""
    store = ParquetStore(environment.folder().with_name("scale-store"))
    made = {table: store.days(table, *HERE) for table in ("book_seed", "trades", "book_delta_v2")}
    for day in range(days):
        at = FIRST_DAY + day * NS_PER_DAY
        name = utc_day(at)
        if all(name in found for found in made.values()):
            continue
        if day == 0:
            first_day(store, name)
        else:
            for table in made:
                chunks = store.batches(table, *HERE, FIRST_DAY, FIRST_DAY + NS_PER_DAY)
                rows = (later(chunk.rows, at - FIRST_DAY) for chunk in chunks)
                put(store, table, name, rows)
    return store


def put(store: ParquetStore, table: str, day: str, rows: Iterator[pa.Table]) -> None:
    source = Source(f"{table} {day}", 0, "", (day,))
    store.write_day(table, *HERE, day, [(source, rows)], keep=False)


def later(rows: pa.Table, shift: int) -> pa.Table:
    for at, name in enumerate(("origin_time", "received_time")):
        rows = rows.set_column(at, rows.schema.field(name), pc.add(rows[name], shift))
    return rows


def first_day(store: ParquetStore, day: str) -> None:
    """Make a day, a part at a time."""
    seeds: list[pa.Table] = []
    trades: list[pa.Table] = []
    put(store, "book_delta_v2", day, parts(seeds, trades))
    put(store, "book_seed", day, iter(seeds))
    put(store, "trades", day, iter(trades))


def parts(seeds: list[pa.Table], trades: list[pa.Table]) -> Iterator[pa.Table]:
    """Yield the deltas of a day; add its snapshots and trades to the lists."""
    span, base, number, received = NS_PER_DAY // PARTS, MIDDLE, 0, FIRST_DAY
    rng = np.random.default_rng(1)
    file = environment.folder().with_name(f"scale-part.{os.getpid()}.npz")
    for part in range(PARTS):
        print(f"making part {part + 1} of {PARTS} of a day", file=sys.stderr)
        try:
            environment.run(
                Path(__file__).parent / "peers/feed.py", file, str(PART_MILLIONS), str(part)
            )
            with np.load(file) as data:
                feed = dict(data)
        finally:
            file.unlink(missing_ok=True)
        start = int(feed["delta_time"][0])
        scale = span / (int(feed["delta_time"][-1]) + 1 - start)

        def times(name: str, part=part, feed=feed, start=start, scale=scale) -> np.ndarray:
            return FIRST_DAY + part * span + ((feed[name] - start) * scale).astype(np.int64)

        # A message is what the feed has at one time.
        happened = times("delta_time")
        new = np.diff(happened, prepend=-1) != 0
        message = np.cumsum(new) - 1
        arrived = happened[new] + rng.lognormal(np.log(3e6), 0.5, message[-1] + 1).astype(np.int64)
        arrived = np.maximum.accumulate(np.maximum(arrived, received))
        numbers = number + np.cumsum(rng.integers(1, 60, len(arrived)))
        number, received = int(numbers[-1]), int(arrived[-1])
        tick = feed["delta_tick"].astype(np.int64) - MIDDLE + base

        def rows(a: int, b: int, *columns: np.ndarray, feed=feed) -> pa.Table:
            origin, local, sequence, ticks = (column[a:b] for column in columns)
            return pa.table(
                [
                    pa.array(origin // 1_000_000 * 1_000_000),  # exchanges give milliseconds
                    pa.array(local),
                    pa.array(sequence),
                    pa.array(feed["delta_side"][a:b] > 0),
                    pa.array(ticks / 10),
                    pa.array(feed["delta_lots"][a:b] / 1_000),
                ],
                schema=TABLES["book_delta_v2"].schema,
            )

        columns = (happened, arrived[message], numbers[message], tick)
        first = rows(0, SNAPSHOT, *columns)
        seeds.append(first)
        for a in range(SNAPSHOT, len(tick), SLICE):
            yield rows(a, a + SLICE, *columns)
        book = L2Book(1.0, 1.0)
        book.apply(feed["delta_side"], feed["delta_tick"], feed["delta_lots"])
        flow = times("trade_time")
        trades.append(
            pa.table(
                [
                    pa.array(flow // 1_000_000 * 1_000_000),
                    pa.array(np.maximum.accumulate(flow + 3_000_000)),
                    pa.DictionaryArray.from_arrays(
                        pa.array((feed["trade_side"] > 0).astype(np.int8)), ["sell", "buy"]
                    ).cast(pa.string()),
                    pa.array(feed["trade_lots"] / 1_000),
                    pa.array((feed["trade_tick"].astype(np.int64) - MIDDLE + base) / 10),
                    pa.array(np.arange(len(flow)) + part * len(flow)).cast(pa.string()),
                ],
                schema=TABLES["trades"].schema,
            )
        )
        base += book.bid_tick + 1 - MIDDLE


# ---------------------------------------------------------------------------- one pass


def one_pass(store: ParquetStore, first: float, days: float) -> dict[str, float]:
    """Replay a span with samples and a quote; what was done."""
    known = terms()
    start = FIRST_DAY + int(first * NS_PER_DAY)
    stream = TapeStream(store, known, start, start + int(days * NS_PER_DAY))
    replay = Replay(
        known.tick_size,
        known.lot_size,
        sample_interval_ns=NS_PER_SECOND,
        queue_model="risk_averse",
        entry_latency_ns=LATENCY,
        response_latency_ns=LATENCY,
        feed_latency_ns=LATENCY,
        maker_fee=known.maker_fee,
        taker_fee=known.taker_fee,
    )
    counts = {"samples": 0, "orders": 0, "fills": 0}

    def forget() -> None:
        logs = replay.drain()
        for name in counts:
            counts[name] += len(logs[name])

    step = start
    for deltas, trades, until in stream:
        replay.feed(deltas, trades)
        while step <= until:
            replay.advance(step)
            replay.quote(replay.bid_tick, replay.ask_tick, 10)
            step += STEP
            if step % (DRAIN * STEP) == 0:
                forget()
        replay.advance(until)
    replay.finish()
    forget()
    return {
        "deltas": stream.stats["deltas"],
        "trades": stream.stats["trades"],
        "events": replay.counters["events"],
        **counts,
    }


def measured(first: float, days: float) -> dict[str, float]:
    """A pass in this process: CPU and wall seconds, and the most memory it ever had."""
    store = recording(1 + int(first + days - 1e-9))
    started, wall = time.process_time(), time.perf_counter()
    done = one_pass(store, first, days)
    done["cpu_s"] = time.process_time() - started
    done["wall_s"] = time.perf_counter() - wall
    status = Path("/proc/self/status").read_text()
    done["peak_mb"] = int(status.split("VmHWM:")[1].split()[0]) / 1024
    return done


def threads() -> dict[str, float]:
    """Two passes one after the other, and at once on two threads: wall seconds."""
    store = recording(1)
    spans = ((0.0, 0.1), (0.5, 0.1))
    started = time.perf_counter()
    for span in spans:
        one_pass(store, *span)
    alone = time.perf_counter() - started
    both = [threading.Thread(target=one_pass, args=(store, *span)) for span in spans]
    started = time.perf_counter()
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    together = time.perf_counter() - started
    return {
        "one_after_the_other_s": alone,
        "at_once_s": together,
        "ratio": alone / together,
        "load_1m": os.getloadavg()[0],
    }


# ---------------------------------------------------------------------------- all of them


def table(plot: Path) -> None:
    results = []
    print(
        f"{'days':>5} {'deltas':>13} {'trades':>11} {'CPU s':>7} {'wall s':>7} {'ns/delta':>8} MB"
    )
    for days in FRACTIONS:
        recording(int(np.ceil(days)))
        command = [sys.executable, "-m", "benchmarks.scale", "pass", "0", str(days)]
        done = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        results.append(done)
        print(
            f"{days:5g} {done['deltas']:13,} {done['trades']:11,} {done['cpu_s']:7.2f} "
            f"{done['wall_s']:7.2f} {done['cpu_s'] / done['deltas'] * 1e9:8.1f} "
            f"{done['peak_mb']:.0f}",
            flush=True,
        )
    draw(results, plot)


def draw(results: list[dict[str, float]], plot: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    events = np.array([done["events"] / 1e6 for done in results])
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(events, [done["cpu_s"] for done in results], "o-")
    left.set(xlabel="events, millions", ylabel="CPU, s", title="One pass: decode, book, features")
    right.plot(events, [done["peak_mb"] for done in results], "o-")
    right.set(xlabel="events, millions", ylabel="peak resident, MB", title="Memory")
    for axes in (left, right):
        axes.set_xlim(0)
        axes.set_ylim(0)
        axes.grid(alpha=0.3)
    figure.savefig(plot, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=["all", "pass", "threads"], default="all")
    parser.add_argument("span", nargs="*", type=float, help="of a pass: first day and days")
    parser.add_argument("--plot", type=Path, default=Path("scale.png"))
    arguments = parser.parse_args()
    if arguments.what == "pass":
        print(json.dumps(measured(*arguments.span)))
    elif arguments.what == "threads":
        print(json.dumps(threads()))
    else:
        table(arguments.plot)


if __name__ == "__main__":
    main()
