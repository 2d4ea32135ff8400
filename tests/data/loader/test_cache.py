import json
import multiprocessing
import os

import numpy as np
import pandas as pd
import pytest

from mrtrade.data import cache as module
from mrtrade.data.cache import FrameCache, default_folder, key_of
from mrtrade.data.loader import DataLoader

from .feeds import HERE, MINUTE, STEPS, T0, feed, store_of

START, END = T0 + 2 * MINUTE, T0 + 64 * MINUTE


def frame_of(rows, value=1.0):
    index = pd.date_range("2024-08-08", periods=rows, freq="min", tz="UTC", unit="ns", name="time")
    frame = pd.DataFrame(
        {"a": np.full(rows, value), "b": np.arange(rows), "c": index, "d": index > index[0]},
        index=pd.DatetimeIndex(index, freq=None),
    )
    frame.attrs = {"source": "trades"}
    return frame


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def held(tmp_path):
    return FrameCache(tmp_path / "cache")


@pytest.fixture
def loader(tmp_path, held):
    return DataLoader("binance", store_of(tmp_path / "store", feed(3)), cache=held)


def load_all(loader):
    return [
        loader.load_combined("FOO/USDT", "1m", START, END, **STEPS),
        loader.load_combined("FOO/USDT", "1m", START, END, bars="candles", **STEPS),
        loader.load_order_book_snapshots("FOO/USDT", START, END, **STEPS),
        loader.load_ohlcv("FOO/USDT", "1m", START, END),
    ]


def test_frames_come_back_as_they_were(loader, held, monkeypatch):
    first = load_all(loader)
    assert len(files(held.folder)) == 4
    monkeypatch.setattr("mrtrade.data.jobs.Job.pieces", None)  # nothing is made again
    for one, again in zip(first, load_all(loader), strict=True):
        pd.testing.assert_frame_equal(one, again, check_freq=False)
        assert one.attrs == again.attrs


def test_every_parameter_is_in_the_key(loader, held):
    base = {"start": START, "end": END, "interval": "1m", "depth": 3, **STEPS}
    asked = [
        {},
        {"start": START + MINUTE},
        {"end": END - MINUTE},
        {"interval": "2m"},
        {"depth": 4},
        {"tick_size": 0.25},
        {"lot_size": 0.125},
    ]
    for number, change in enumerate(asked, start=1):
        loader.load_order_book_snapshots("FOO/USDT", **{**base, **change})
        assert len(files(held.folder)) == number
    loader.load_order_book_snapshots("FOO/USDT", **{**base, "interval": 60 * 10**9})
    assert len(files(held.folder)) == len(asked)  # another spelling of the same


@pytest.mark.parametrize(
    "table", ["book_delta_v2", "book_seed", "trades", "funding", "open_interest", "liquidations"]
)
def test_a_corrected_day_is_another_key(loader, held, table):
    before = loader.load_combined("FOO/USDT", "1m", START, END, **STEPS)
    rows = feed(3)[table]
    values = ("size", "quantity", "rate", "open_interest")
    other = {name: 2 * rows[name] for name in values if name in rows}
    loader.store.write(table, *HERE, rows.assign(**other))
    after = loader.load_combined("FOO/USDT", "1m", START, END, **STEPS)
    assert len(files(held.folder)) == 2
    assert not after.equals(before)
    fresh = DataLoader("binance", loader.store, cache=False)
    made = fresh.load_combined("FOO/USDT", "1m", START, END, **STEPS)
    pd.testing.assert_frame_equal(after, made)


def test_what_happened_later_is_not_in_the_key(loader, held):
    loader.load_combined("FOO/USDT", "1m", START, END, **STEPS)
    later = feed(3)["trades"].iloc[-1:]
    later = later.assign(received_time=later["received_time"] + 3 * 86_400 * 10**9)
    loader.store.write("trades", *HERE, later)
    loader.load_combined("FOO/USDT", "1m", START, END, **STEPS)
    assert len(files(held.folder)) == 1


def test_the_code_is_in_the_key(monkeypatch):
    before = key_of(["a"])
    monkeypatch.setattr(module, "_code", lambda: ["another"])
    assert key_of(["a"]) != before


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_is_made_again(loader, held, damage, caplog):
    before = loader.load_ohlcv("FOO/USDT", "1m", START, END)
    (path,) = files(held.folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"cut": bytes(data[:100]), "flip": bytes(data), "empty": b""}[damage])
    again = loader.load_ohlcv("FOO/USDT", "1m", START, END)
    pd.testing.assert_frame_equal(before, again)
    assert "is damaged: the frame is made again" in caplog.text
    assert held.get(path.stem) is not None


def test_least_recently_used_goes_first(tmp_path):
    size = len_of_one(tmp_path / "one")
    held = FrameCache(tmp_path / "cache", max_bytes=3 * size + size // 2)
    keys = [key_of([number]) for number in range(4)]
    for age, key in enumerate(keys[:3]):
        held.put(key, frame_of(1_000))
        os.utime(held._path(key), (age, age))
    assert held.get(keys[0]) is not None  # used now
    held.put(keys[3], frame_of(1_000))
    assert [held.get(key) is not None for key in keys] == [True, False, True, True]
    assert sum(path.stat().st_size for path in files(held.folder)) <= held.max_bytes
    held.put(key_of(["large"]), pd.DataFrame({"a": np.random.default_rng(1).random(10**5)}))
    assert len(files(held.folder)) == 3  # larger than all: not kept, and nothing goes for it
    held.clear()
    assert not files(held.folder)


def len_of_one(folder):
    held = FrameCache(folder)
    held.put("ab", frame_of(1_000))
    return files(folder)[0].stat().st_size


def test_an_interrupted_write_leaves_nothing(held, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        held.put(key_of(1), frame_of(9))
    assert not files(held.folder)


def test_what_a_killed_writer_left_is_removed(held):
    left = held.folder / "aa" / ".tmp-left"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    held.put(key_of(1), frame_of(9))
    assert left.exists()  # it may still be written
    os.utime(left, (0, 0))
    held.put(key_of(2), frame_of(9))
    assert not left.exists()


def test_a_folder_that_cannot_be_written_to(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    held = FrameCache(tmp_path / "file")
    made = held.frame(["a"], lambda: frame_of(9))
    assert len(made) == 9
    assert "the frame is not kept" in caplog.text


def test_places(monkeypatch, tmp_path):
    monkeypatch.setenv("MRTRADE_CACHE_DIR", str(tmp_path / "given"))
    assert default_folder() == tmp_path / "given"
    assert DataLoader(store=tmp_path).cache.folder == tmp_path / "given"
    monkeypatch.delenv("MRTRADE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert default_folder() == tmp_path / "mrtrade" / "frames"
    assert DataLoader(store=tmp_path, cache=False).cache is None


def work(folder, max_bytes, first):
    held = FrameCache(folder, max_bytes)
    for number in range(60):
        value = float((first + number) % 7)
        made = held.frame([value], lambda value=value: frame_of(2_000, value))
        assert (made["a"] == value).all()
        assert json.dumps(made.attrs) == '{"source": "trades"}'


def test_several_processes(tmp_path):
    limit = 3 * len_of_one(tmp_path / "one")  # small enough that they evict each other's
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=work, args=(tmp_path / "cache", limit, first)) for first in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert not [path for path in files(tmp_path / "cache") if path.name.startswith(".tmp")]
