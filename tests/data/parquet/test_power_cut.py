"""What is left when the power goes at any moment of a write."""

import shutil

import pytest

from mrtrade.data.parquet import ParquetStore
from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Source

from ..lake import DAY, deltas
from .disk import Recorder, lay_out, outcomes

HERE = ("book_delta_v2", "BINANCE", "BTC/USDT")
SCHEMA = TABLES["book_delta_v2"].schema
OLD = deltas((0, 1, True, 100, 1), (1, 1, False, 101, 2))
NEW = deltas((2, 2, True, 100, 0), (3, 3, True, 99, 1))


def add(rows):
    return lambda store: store.write(*HERE, rows)


def replace(store):
    rows = NEW.rename_columns(SCHEMA.names).cast(SCHEMA)
    source = Source("corrected", 7, "77", (DAY,))
    store.write_day(*HERE, DAY, [(source, iter([rows]))], keep=False)


def remove(store):
    if store.days(*HERE):
        store.remove_day(*HERE, DAY)


def put_beside(store):
    [part] = store.root.rglob("part.parquet")
    part.with_name("_note.txt").write_text("of others")


def content(root):
    """All that a store tells of itself."""
    store = ParquetStore(root)
    assert store.verify(*HERE) == []
    entries = [(entry.rows, entry.sources) for entry in store.entries(*HERE)]
    return entries, store.read(*HERE).to_pylist() if entries else []


@pytest.mark.parametrize(
    ("stored", "act"),
    [
        pytest.param([], add(NEW), id="first write"),
        pytest.param([add(OLD)], add(NEW), id="added to what is stored"),
        pytest.param([add(OLD)], replace, id="replaced"),
        pytest.param([add(OLD)], remove, id="removed"),
        pytest.param([add(OLD), put_beside], remove, id="removed beside a file of others"),
    ],
)
def test_a_power_cut_at_any_step(tmp_path, monkeypatch, stored, act):
    disk, before = tmp_path / "disk", tmp_path / "before"
    disk.mkdir()
    for one in stored:
        one(ParquetStore(disk / "store"))
    shutil.copytree(disk, before)
    with monkeypatch.context() as patched:
        recorder = Recorder(disk, patched)
        act(ParquetStore(disk / "store"))
        recorder.look()
    calls = recorder.calls
    old, new = content(before / "store"), content(disk / "store")
    assert old != new
    seen, tried = [], set()
    for step in range(len(calls) + 1):
        for state in outcomes(before, calls[:step]):
            if step < len(calls) and state in tried:
                continue
            tried.add(state)
            cut = tmp_path / f"cut-{len(tried)}-{step}"
            lay_out(state, cut)
            found = content(cut / "store")
            assert found in (old, new), (step, calls[:step])
            seen.append(found == new)
            if step == len(calls):
                assert found == new, "what was said to be done is undone"
            act(ParquetStore(cut / "store"))
            assert content(cut / "store") == new
            shutil.rmtree(cut)
    assert set(seen) == {False, True}
    assert len(tried) > 2
    print(f"{len(calls)} calls, {len(tried)} states of the disk")
