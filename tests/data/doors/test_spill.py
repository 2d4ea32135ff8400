"""Rows that wait on disk come back by time, in bounded memory, and leave nothing behind."""

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.providers import recording
from mrtrade.data.providers.recording import CHUNK_ROWS, Spill
from mrtrade.errors import StoreError
from tests.data.lake import T0
from tests.data.parquet.test_disk_full import files_up_to

SCHEMA = pa.schema([("received_time", pa.int64()), ("x", pa.int64())])


def table(times, first=0):
    return pa.table({"received_time": times, "x": range(first, first + len(times))}, schema=SCHEMA)


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 9), st.integers(1, 9))
def test_as_a_stable_sort(times, size, batch):
    old = recording.CHUNK_ROWS
    recording.CHUNK_ROWS = batch
    try:
        spill = Spill(SCHEMA)
        for at in range(0, len(times), size):
            spill.add(table(times[at : at + size], at))
        spill.close()
        found = [row for part in spill.read() for row in part.to_pylist()]
        again = [row for part in spill.read() for row in part.to_pylist()]
    finally:
        recording.CHUNK_ROWS = old
    order = np.argsort(np.array(times, dtype=np.int64), kind="stable")
    assert [row["x"] for row in found] == order.tolist()
    assert found == again
    back = np.diff(times) if times else np.empty(0)
    assert spill.steps_back == int((back < 0).sum())
    assert spill.longest_back == max([0, *(-back).tolist()])
    assert spill.rows == len(times)


def test_holds_only_what_overlaps(monkeypatch):
    monkeypatch.setattr(recording, "CHUNK_ROWS", 10)
    spill = Spill(SCHEMA)
    # Each batch begins a little before the one before it ends.
    for at in range(100):
        spill.add(table([at * 10 + k - 3 * (k == 0) for k in range(10)], at * 10))
    spill.close()
    assert max(len(part) for part in spill.read()) <= 20


def test_nothing_is_left_however_the_process_ends(tmp_path):
    program = (
        "import os, tempfile, pyarrow as pa\n"
        "from mrtrade.data.providers.recording import Spill\n"
        "spill = Spill(pa.schema([('received_time', pa.int64())]))\n"
        "spill.add(pa.table({'received_time': [1]}))\n"
        "assert os.listdir(tempfile.gettempdir()) == []\n"
        "os._exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False
    )
    assert done.returncode == 7
    assert list(tmp_path.iterdir()) == []


def test_span():
    spill = Spill(SCHEMA)
    spill.add(table([5, 3]))
    spill.add(table([9]))
    spill.close()
    assert spill.span == (3, 9)
    with pytest.raises(StopIteration):
        next(_none().read())


def _none():
    spill = Spill(SCHEMA)
    spill.close()
    return spill


@pytest.mark.parametrize("on_bad", ["error", "quarantine"])
def test_no_room_for_what_is_put_aside_is_no_fault_of_the_file(tmp_path, on_bad):
    trade = (
        '{} {{"stream":"btcusdt@trade","data":{{"e":"trade","T":{},"s":"BTCUSDT","t":{},'
        '"p":"{}","q":"{}","m":true}}}}\n'
    )
    lines = [
        trade.format(T0 + at, T0 // 10**6, at, 1 + at / 7, 1 + at / 3)
        for at in range(CHUNK_ROWS + 1)
    ]
    recording, store = tmp_path / "btcusdt.dat", ParquetStore(tmp_path / "store")
    recording.write_text("".join(lines))
    with files_up_to(100_000), pytest.raises(StoreError, match="cannot be written"):
        ingest(recording, store, on_bad=on_bad, exchange="BINANCE_FUTURES")
    assert store.series() == []
