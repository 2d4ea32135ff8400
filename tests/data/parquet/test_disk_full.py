"""A disk without room: one clear error, and what was stored before is as it was."""

import errno
import os
import resource
from contextlib import contextmanager

import numpy as np
import pytest

from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import StoreError

from ..lake import DAY, deltas, put, tree

HERE = ("book_delta_v2", "BINANCE", "BTC/USDT")
RNG = np.random.default_rng(1)
OLD = deltas((0, 1, True, 100, 1), (1, 1, False, 101, 2))
LARGE = deltas(*[(i + 2, i, True, 100 + RNG.random(), RNG.random()) for i in range(20_000)])


@contextmanager
def files_up_to(size):
    """Let no file grow beyond a size, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def store(tmp_path):
    store = ParquetStore(tmp_path / "store")
    store.write(*HERE, OLD)
    return store


@pytest.mark.parametrize("room", [0, 3, 1_000, 100_000])
def test_no_room_for_a_part(store, room):
    before = tree(store.root)
    with files_up_to(room), pytest.raises(StoreError, match=r"cannot be written: .*too large"):
        store.write(*HERE, LARGE)
    assert tree(store.root) == before
    store.write(*HERE, LARGE)
    assert len(store.read(*HERE)) == 20_002


@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir"])
def test_no_room_at_a_call(store, monkeypatch, call):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = tree(store.root)
    monkeypatch.setattr(os, call, full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.write("book_seed", "BINANCE", "BTC/USDT", LARGE)
    assert tree(store.root) == before
    monkeypatch.undo()
    store.write("book_seed", "BINANCE", "BTC/USDT", LARGE)


def test_a_manifest_that_cannot_be_written_is_done_without(store, monkeypatch):
    real = os.replace

    def full(old, new):
        if new.name == "_manifest.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(old, new)

    monkeypatch.setattr(os, "replace", full)
    [entry] = store.write(*HERE, LARGE)
    assert entry.rows == 20_002
    assert store.verify(*HERE) == []
    monkeypatch.undo()
    assert store.entries(*HERE) == [entry]


def test_an_ingest_without_room_goes_on_when_there_is(store, tmp_path):
    """A day that was written stays, a day that was not is as it was, and a rerun completes."""
    lake = tmp_path / "lake"
    small = deltas((5, 5, True, 90, 1))
    put(lake, "book_delta_v2", small, symbol="AAA-USDT")
    put(lake, "book_delta_v2", LARGE, symbol="BTC-USDT")
    before = store.entries(*HERE)
    with files_up_to(20_000), pytest.raises(StoreError, match="as it was"):
        ingest(lake, store)
    assert store.entries(*HERE) == before
    assert len(store.read("book_delta_v2", "BINANCE", "AAA/USDT")) == 1
    assert ingest(lake, store).unchanged == 1
    assert len(store.read(*HERE)) == 20_002
    assert not list(store.root.rglob(".tmp-*"))


@pytest.mark.server("s3")
def test_no_room_to_make_what_is_sent(bucket):
    store = ParquetStore(f"s3://{bucket}/p")
    store.write(*HERE, OLD)
    with files_up_to(10_000), pytest.raises(StoreError, match=r"cannot be written: .*too large"):
        store.write(*HERE, LARGE)
    assert store.days(*HERE) == [DAY]
    assert store.read(*HERE).num_rows == 2
    store.write(*HERE, LARGE)
    assert store.read(*HERE).num_rows == 20_002


def test_a_place_that_may_not_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    store = ParquetStore(tmp_path / "file" / "store")
    with pytest.raises(StoreError, match="cannot be written: Not a directory"):
        store.write(*HERE, OLD)
