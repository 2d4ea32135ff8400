"""A generated Crypto Lake day: `CryptoLakeProvider.stream` beside `lakeapi.load_data`.

``python -m benchmarks.lake [ROWS]``, 40,000,000 by default. Each way runs in a process of its own,
against the tests' S3 server on 127.0.0.1 in this one, twice: with nothing in its cache, and again.
lakeapi keeps decoded frames, as it does by default. Both must come to the same checksums.
"""

import datetime as dt
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.lake.make import BUCKET, key_of
from tests.lake.s3stub import S3Stub

from mrtrade.clock import NS_PER_DAY, to_ns

DAY = "2026-04-01"
WHERE = {"exchange": "BINANCE_FUTURES", "symbol": "BTC-USDT-PERP"}
BATCH = 1_000_000
PART_BYTES = 8 << 20  # as uploads of S3's own clients are cut


def write_day(path: Path, rows: int) -> None:
    """Write a day as Crypto Lake's are: messages of some levels, row groups of 10,000 rows."""
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(1)
    step = NS_PER_DAY // rows
    writer = None
    for first in range(0, rows, BATCH):
        count = min(BATCH, rows - first)
        message = (first + np.arange(count)) // 20
        received = to_ns(DAY) + message * 20 * step + 4_000_000
        table = pa.table(
            {
                "timestamp": received // 1_000_000 * 1_000_000 - 4_000_000,
                "receipt_timestamp": received,
                "sequence_number": 5_000_000 + message * 7,
                "side_is_bid": rng.random(count) < 0.5,
                "price": np.round(60_000 + rng.normal(0, 30, count), 1),
                "size": np.where(rng.random(count) < 0.3, 0, rng.integers(1, 5_000, count) / 1e3),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="snappy")
        writer.write_table(table, row_group_size=10_000)
    assert writer is not None
    writer.close()


def streamed(cache: str) -> list[int]:
    from mrtrade.data.providers.lake import CryptoLakeProvider

    provider = CryptoLakeProvider(cache)
    sums = [0, 0, 0, 0]
    for rows in provider.stream("book_delta_v2", "binance", "BTC/USDT-PERP", DAY, "2026-04-02"):
        columns = (rows[name].to_numpy() for name in ("received_time", "side_is_bid", "size"))
        sums = [a + b for a, b in zip(sums, sums_of(*columns), strict=True)]
    return sums


def sums_of(received: np.ndarray, bids: np.ndarray, sizes: np.ndarray) -> list[int]:
    """Return whole numbers that two ways of reading can agree on to the last digit."""
    ms = (received - to_ns(DAY)) // 1_000_000
    thousandths = np.rint(sizes * 1_000).astype(np.int64)
    return [len(received), int(bids.sum()), int(thousandths.sum()), int(ms.sum())]


def loaded(cache: str) -> list[int]:
    Path(cache).mkdir(parents=True, exist_ok=True)
    os.chdir(cache)
    import lakeapi

    day = dt.datetime.fromisoformat(DAY)
    frame = lakeapi.load_data(
        "book_delta_v2",
        day,
        day + dt.timedelta(days=1),
        [WHERE["symbol"]],
        [WHERE["exchange"]],
        drop_partition_cols=True,
    )
    received = frame["received_time"].to_numpy().view("int64")
    return sums_of(received, frame["side_is_bid"].to_numpy(dtype=bool), frame["size"].to_numpy())


def measure(way: str, cache: str) -> None:
    """Run one way in this process and print what it took."""
    began = time.monotonic()
    sums = {"stream": streamed, "lakeapi": loaded}[way](cache)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    taken = {
        "sums": sums,
        "wall": time.monotonic() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "mb": usage.ru_maxrss / 1024,
    }
    print(json.dumps(taken))


def child(way: str, cache: Path, environment: dict[str, str]) -> dict[str, Any]:
    call = [sys.executable, "-W", "ignore", "-m", "benchmarks.lake", "--measure", way, str(cache)]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "s3")
        path = root / BUCKET / key_of("book_delta_v2", DAY, **WHERE)
        write_day(path, rows)
        with S3Stub(root) as stub:
            stub.part_sizes[path] = PART_BYTES
            stub.etag(path)
            environment = {
                **os.environ,
                "AWS_ENDPOINT_URL": stub.url,
                "AWS_ACCESS_KEY_ID": "AKIATESTING",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
            }
            print(f"{rows:,} rows, {path.stat().st_size / 1e6:.1f} MB, {os.cpu_count()} cores")
            print(f"{'':28}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'cache MB':>10}")
            sums = set()
            for way in ("stream", "lakeapi"):
                cache = Path(folder, way)
                for state in ("first time", "again"):
                    taken = child(way, cache, environment)
                    kept = sum(one.stat().st_size for one in cache.rglob("*") if one.is_file())
                    print(
                        f"{way + ', ' + state:28}{taken['cpu']:8.2f}{taken['wall']:8.2f}"
                        f"{taken['mb']:9.0f}{kept / 1e6:10.1f}",
                        flush=True,
                    )
                    sums.add(tuple(taken["sums"]))
    if len(sums) > 1:
        raise SystemExit(f"the checksums differ: {sums}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000_000)
