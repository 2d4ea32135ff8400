import json
import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.data.ingest import ingest
from mrtrade.data.merge import merge_sorted
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.providers import lake_folder
from mrtrade.data.schemas import TABLES
from mrtrade.errors import DataError, StoreError

from .lake import DAY, SECOND, T0, deltas, put, trades, tree

NEXT = "2024-08-09"
DAY_NS = 86_400 * SECOND
HERE = ("book_delta_v2", "BINANCE", "BTC/USDT")
SOME = deltas((0, 1, True, 100, 1), (1, 1, False, 101, 2), (2, 2, True, 100, 0))


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def store(tmp_path):
    return ParquetStore(tmp_path / "store")


def test_layout_names_types_and_manifest(lake, store):
    source = put(lake, "book_delta_v2", SOME)
    report = ingest(lake, store)
    part = store.root / f"book_delta_v2/exchange=BINANCE/symbol=BTC-USDT/dt={DAY}/part.parquet"
    stored = pq.read_table(part, partitioning=None)
    assert stored.schema.names == TABLES["book_delta_v2"].schema.names
    assert stored.schema.types == TABLES["book_delta_v2"].schema.types
    assert pq.ParquetFile(part).metadata.row_group(0).column(0).compression == "ZSTD"
    manifest = json.loads((part.parent / "_manifest.json").read_text())
    assert manifest["rows"] == 3
    assert manifest["sha256"] == tree(part.parent)["part.parquet"]
    assert (manifest["first_received"], manifest["last_received"]) == (T0, T0 + 2)
    [origin] = manifest["sources"]
    assert origin["name"] == f"book_delta_v2/exchange=BINANCE/symbol=BTC-USDT/dt={DAY}/1.parquet"
    assert origin["size"] == source.stat().st_size
    assert origin["sha256"] == tree(source.parent)["1.parquet"]
    assert (report.files, report.rows, report.unchanged) == (1, 3, 0)
    assert store.series() == [("book_delta_v2", "BINANCE", "BTC/USDT")]
    # as any other reader of Hive partitions sees it: the manifest is not in its way
    hive = pads.dataset(store.root / "book_delta_v2", partitioning="hive").to_table()
    assert hive["symbol"].to_pylist() == ["BTC-USDT"] * 3


def test_parts_of_older_versions_whose_columns_may_be_null(lake, store):
    put(lake, "book_delta_v2", SOME)
    ingest(lake, store)
    part = store.root / f"book_delta_v2/exchange=BINANCE/symbol=BTC-USDT/dt={DAY}/part.parquet"
    rows = pq.read_table(part, partitioning=None)
    old = pa.schema([field.with_nullable(True) for field in rows.schema], rows.schema.metadata)
    pq.write_table(rows.cast(old), part, compression="zstd")
    assert store.read(*HERE).equals(rows)
    more = deltas((5, 3, True, 99, 1), raw=False)
    store.write(*HERE, more)  # merged with what is stored
    assert store.read(*HERE).num_rows == 4


def spellings():
    raw = SOME
    names = ["origin_time", "received_time", *raw.column_names[2:]]
    yield "lakeapi", raw.rename_columns(names)
    for unit in ("ns", "us"):
        whole = deltas((0, 1, True, 100, 1), (1000, 1, False, 101, 2), (2000, 2, True, 100, 0))
        frame = whole.to_pandas()
        for name in names[:2]:
            frame[name] = pd.to_datetime(
                frame.pop({"origin_time": "timestamp"}.get(name, "receipt_timestamp")), utc=True
            ).dt.as_unit(unit)
        frame["exchange"] = pd.Categorical(["BINANCE"] * 3)
        frame["symbol"] = "BTC-USDT"
        yield f"frame of lakeapi, {unit}", pa.Table.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize(
    ("kind", "rows"), list(spellings()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_raw_and_lakeapi_spellings_give_the_same_rows(lake, store, kind, rows):
    put(lake, "book_delta_v2", rows)
    report = ingest(lake, store)
    assert report.unknown_columns == {}
    step = 1000 if "frame" in kind else 1
    found = store.read(*HERE)
    assert found["received_time"].to_pylist() == [T0, T0 + step, T0 + 2 * step]
    assert found["origin_time"].to_pylist() == [T0, T0 + step, T0 + 2 * step]
    assert found["price"].to_pylist() == [100.0, 101.0, 100.0]


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_sides_and_ids_of_any_text_type(lake, store, type_):
    rows = trades((0, "buy", 1, 100, 7), (1, "sell", 2, 100, 8))
    rows = rows.set_column(0, "side", rows["side"].cast(pa.string()).combine_chunks().cast(type_))
    put(lake, "trades", rows)
    ingest(lake, store)
    found = store.read("trades", "BINANCE", "BTC/USDT")
    assert found["side"].to_pylist() == ["buy", "sell"]
    assert found["trade_id"].to_pylist() == ["7", "8"]


def test_what_may_be_missing(lake, store):
    """level_1 of 2022 has neither exchange time nor sequence number."""
    times = {"received_time": [T0, T0 + 1]}
    top = {f"{s}_0_{k}": [1.0, float("nan")] for s in ("bid", "ask") for k in ("price", "size")}
    put(lake, "level_1", pa.table({**times, **top}))
    seconds = {"rate": [0.0001, -0.0001], "next_funding_time": [1.7230752e9, float("nan")]}
    put(lake, "funding", pa.table({**times, "mark_price": [1.0, 2.0], **seconds}))
    ingest(lake, store)
    level_1 = store.read("level_1", "BINANCE", "BTC/USDT")
    assert level_1["origin_time"].to_pylist() == [0, 0]
    assert level_1["sequence_number"].to_pylist() == [-1, -1]
    funding = store.read("funding", "BINANCE", "BTC/USDT")
    assert funding["next_funding_time"].to_pylist() == [1_723_075_200 * SECOND, 0]


def test_extra_tables_and_columns_are_reported(lake, store):
    put(lake, "book_delta_v2", SOME.append_column("flags", pa.array([0, 0, 1])))
    put(lake, "book_1m", pa.table({"x": [1]}))
    (lake / "ohlcv").mkdir()
    pq.write_table(pa.table({"x": [1]}), lake / "ohlcv" / "BINANCE_BTC-USDT_5m.parquet")
    report = ingest(lake, store)
    assert report.skipped == ["book_1m", "ohlcv"]
    assert report.unknown_columns == {"book_delta_v2": ["flags"]}
    assert "book_1m" in str(report)
    assert "flags" in str(report)


def test_the_same_again_changes_nothing(lake, store):
    put(lake, "book_delta_v2", SOME)
    ingest(lake, store)
    before = tree(store.root)
    report = ingest(lake, store)
    assert (report.unchanged, report.written) == (1, [])
    assert tree(store.root) == before


def test_a_corrected_file_replaces_its_rows(lake, store):
    put(lake, "book_delta_v2", SOME)
    ingest(lake, store)
    put(lake, "book_delta_v2", SOME.slice(1))
    report = ingest(lake, store)
    assert [entry.rows for entry in report.written] == [2]
    assert len(store.read(*HERE)) == 2
    # ... also where its rows leave the day altogether
    put(lake, "book_delta_v2", deltas((DAY_NS, 1, True, 100, 1)))
    report = ingest(lake, store)
    assert store.days(*HERE) == [NEXT]
    assert report.removed == [f"book_delta_v2 BINANCE BTC/USDT {DAY}"]


def test_shards_are_read_in_numeric_order(lake, store):
    for number in range(1, 12):  # 10 comes after 9, not after 1
        put(
            lake,
            "book_delta_v2",
            deltas((5, number, True, 100, number)),
            name=f"{number}.snappy.parquet",
        )
    ingest(lake, store)
    assert store.read(*HERE)["sequence_number"].to_pylist() == list(range(1, 12))


def test_rows_go_to_the_day_they_were_received_in(lake, store):
    put(lake, "book_delta_v2", deltas((0, 1, True, 100, 1), (DAY_NS, 2, True, 100, 2)))
    put(lake, "book_delta_v2", deltas((DAY_NS, 3, True, 100, 3)), day=NEXT)
    ingest(lake, store)
    assert store.days(*HERE) == [DAY, NEXT]
    assert store.read(*HERE)["sequence_number"].to_pylist() == [1, 2, 3]
    before = tree(store.root)
    ingest(lake, store)
    assert tree(store.root) == before


def test_days_ingested_one_by_one_give_the_same_rows(lake, store, tmp_path):
    first = deltas((0, 1, True, 100, 1), (DAY_NS, 2, True, 100, 2))
    second = deltas((DAY_NS, 3, True, 100, 3), (DAY_NS + 1, 4, True, 100, 4))
    put(lake, "book_delta_v2", first)
    ingest(lake, store)
    other = tmp_path / "other"
    put(other, "book_delta_v2", second, day=NEXT)
    ingest(other, store)  # the first file is not in this folder: its rows stay
    assert store.read(*HERE)["sequence_number"].to_pylist() == [1, 2, 3, 4]
    ingest(lake, store)
    ingest(other, store)
    assert store.read(*HERE)["sequence_number"].to_pylist() == [1, 2, 3, 4]


def test_a_correction_of_merged_rows_needs_all_sources(lake, store, tmp_path):
    put(lake, "book_delta_v2", SOME)
    ingest(lake, store)
    other = tmp_path / "other"
    put(other, "book_delta_v2", deltas((7, 9, True, 100, 1)), name="2.parquet")
    ingest(other, store)
    before = tree(store.root)
    put(other, "book_delta_v2", deltas((8, 9, True, 100, 1)), name="2.parquet")
    with pytest.raises(StoreError, match="was corrected, but"):
        ingest(other, store)
    assert tree(store.root) == before
    put(lake, "book_delta_v2", deltas((8, 9, True, 100, 1)), name="2.parquet")
    ingest(lake, store)
    assert store.read(*HERE)["received_time"].to_pylist() == [T0, T0 + 1, T0 + 2, T0 + 8]


def test_rows_of_two_sources_are_stored_once(lake, store):
    put(lake, "book_delta_v2", SOME)
    again = pa.concat_tables([SOME.slice(1), deltas((2, 2, True, 99, 5), (9, 3, True, 99, 0))])
    put(lake, "book_delta_v2", again, name="2.parquet")
    ingest(lake, store)
    found = store.read(*HERE)
    assert found["price"].to_pylist() == [100, 101, 100, 99, 99]


def test_what_one_source_repeats_is_kept(lake, store):
    row = (0, 1, True, 100, 1)
    put(lake, "book_delta_v2", deltas(row, row))
    put(lake, "book_delta_v2", deltas(row, row, row), name="2.parquet")
    ingest(lake, store)
    assert len(store.read(*HERE)) == 3


def test_interrupted_ingest_resumes(lake, store, monkeypatch):
    for day in range(4):
        put(
            lake,
            "book_delta_v2",
            deltas((day * DAY_NS, day, True, 100, 1), ((day + 1) * DAY_NS, 50 + day, True, 99, 1)),
            day=str(np.datetime64(DAY) + np.timedelta64(day, "D")),
        )
    whole = ParquetStore(store.root.parent / "whole")
    ingest(lake, whole)

    real, done = os.replace, []

    def dies_at(count):
        def replace(a, b):
            done.append(b)
            if len(done) == count:
                raise KeyboardInterrupt
            real(a, b)

        return replace

    for count in range(1, 10):  # a part or its manifest, at each place in turn
        done.clear()
        monkeypatch.setattr(os, "replace", dies_at(count))
        with pytest.raises(KeyboardInterrupt):
            ingest(lake, ParquetStore(store.root / str(count)))
        monkeypatch.setattr(os, "replace", real)
        resumed = ParquetStore(store.root / str(count))
        ingest(lake, resumed)
        assert tree(resumed.root) == tree(whole.root)


def test_a_manifest_left_behind_is_made_again(lake, store):
    put(lake, "book_delta_v2", SOME)
    ingest(lake, store)
    [manifest] = store.root.rglob("_manifest.json")
    right = manifest.read_text()
    for wrong in ("", "{}", right.replace('"rows": 3', '"rows": 4')):
        manifest.write_text(wrong)
        assert store.entries(*HERE)[0].rows == 3
        assert manifest.read_text() == right


def test_readers_never_see_half_a_partition(lake, store):
    rows = [deltas(*[(i, i, True, 100, 1) for i in range(n)]) for n in (2_000, 3_000)]
    put(lake, "book_delta_v2", rows[0])
    ingest(lake, store)
    seen, stop = [], threading.Event()

    def reader():
        while not stop.is_set():
            seen.append(len(store.read(*HERE)))
            seen.append(store.entries(*HERE)[0].rows)

    thread = threading.Thread(target=reader)
    thread.start()
    for turn in range(10):
        put(lake, "book_delta_v2", rows[(turn + 1) % 2])
        ingest(lake, store)
    stop.set()
    thread.join()
    assert set(seen) <= {2_000, 3_000}
    assert seen


def test_read_gives_the_span_asked_for(store, monkeypatch):
    monkeypatch.setattr("mrtrade.data.parquet.parts.ROW_GROUP_ROWS", 7)
    count = 100
    times = [i * DAY_NS // 40 for i in range(count)]
    rows = deltas(*[(t, i, True, 100, 1) for i, t in enumerate(times)])
    entries = store.write(*HERE, rows)
    assert [entry.day for entry in entries] == [DAY, NEXT, "2024-08-10"]
    assert len(store.read(*HERE)) == count
    for a, b in [(0, 100), (3, 3), (3, 4), (13, 57), (39, 41), (80, 100)]:
        found = store.read(
            *HERE, T0 + times[a], T0 + times[b] if b < count else None, ["size", "sequence_number"]
        )
        assert found.column_names == ["size", "sequence_number"]
        assert found["sequence_number"].to_pylist() == list(range(a, b))
        for chunk in store.batches(*HERE, T0 + times[a]):
            whole = pq.read_table(chunk.where, partitioning=None)
            assert whole.slice(chunk.first_row, len(chunk.rows)).equals(chunk.rows)
    assert store.write(*HERE, rows) == []
    assert store.write(*HERE, rows.to_pandas()) == []


def test_unknown_series_and_tables(store):
    with pytest.raises(StoreError, match="no trades of BINANCE BTC/USDT in the store"):
        store.read("trades", "BINANCE", "BTC/USDT")
    with pytest.raises(StoreError, match="unknown table"):
        store.read("trade", "BINANCE", "BTC/USDT")


def test_row_groups_are_bounded_and_order_kept(lake, store, monkeypatch):
    monkeypatch.setattr("mrtrade.data.parquet.parts.ROW_GROUP_ROWS", 1_000)
    monkeypatch.setattr(lake_folder, "BATCH_ROWS", 300)
    rows = deltas(*[(i // 3, i, True, 100, 1) for i in range(5_000)])
    put(lake, "book_delta_v2", rows, row_group_size=10)
    ingest(lake, store)
    assert store.read(*HERE)["sequence_number"].to_pylist() == list(range(5_000))
    [part] = store.root.rglob("part.parquet")
    metadata = pq.read_metadata(part)
    assert max(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)) <= 1_000


STREAMS = st.lists(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=12).map(sorted),
    min_size=1,
    max_size=3,
)


@given(STREAMS, st.integers(1, 5))
def test_merge_is_the_sorted_union_for_every_chunking(streams, size):
    def chunks(rows):
        for at in range(0, len(rows), size):
            part = rows[at : at + size]
            yield pa.table({"received_time": [r[0] for r in part], "x": [r[1] for r in part]})

    found = [
        (row["received_time"], row["x"])
        for table in merge_sorted([chunks(rows) for rows in streams])
        for row in table.to_pylist()
    ]
    # the plain rule: add what earlier sources have fewer of, then sort by time, ties by source
    union, seen = [], {}
    for source, rows in enumerate(streams):
        here = {}
        for row in rows:
            here[row] = here.get(row, 0) + 1
            if here[row] > seen.get(row, 0):
                union.append((row[0], source, row))
        for row, times in here.items():
            seen[row] = max(seen.get(row, 0), times)
    if len(streams) == 1:
        assert found == streams[0]
    else:
        assert found == [row for *_, row in sorted(union, key=lambda one: one[:2])]


@pytest.mark.shared
def test_all_recordings_come_in(shared_data, store):
    report = ingest(shared_data / "lake", store)
    assert report.skipped == ["funding_history", "liquidations_agg", "ohlcv"]
    assert report.unknown_columns == {}
    for table, exchange, symbol in store.series():
        recorded = sorted(
            (shared_data / "lake" / table / f"exchange={exchange}").glob(
                f"symbol={symbol.replace('/', '-')}/dt=*/*.parquet"
            )
        )
        rows = sum(pq.read_metadata(path).num_rows for path in recorded)
        assert sum(entry.rows for entry in store.entries(table, exchange, symbol)) == rows
    assert sum(entry.rows for entry in report.written) == 4_520_491
    assert ingest(shared_data / "lake", store).written == []


WRITER = """
import sys
from mrtrade.data.parquet import ParquetStore
with ParquetStore(sys.argv[1]).writing():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_writes(lake, tmp_path):
    put(lake, "book_delta_v2", SOME)
    store = ParquetStore(tmp_path / "locked")
    writes = [
        lambda: ingest(lake, store),
        lambda: store.write(*HERE, SOME),
        lambda: store.remove_day(*HERE, DAY),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        for write in writes:
            with pytest.raises(StoreError, match="another process is writing"):
                write()
        assert tree(store.root) == {}
        assert store.series() == []  # reading is free
        other.kill()  # as a crash would: nothing is left behind
    for write in writes:
        write()
    assert tree(store.root) == {}


def test_links_below_a_folder_are_followed_once(lake, store, tmp_path):
    put(tmp_path / "elsewhere", "book_delta_v2", SOME)
    lake.mkdir()
    (lake / "book_delta_v2").symlink_to(tmp_path / "elsewhere" / "book_delta_v2")
    (lake / "book_delta_v2" / "round").symlink_to(lake)
    assert ingest(lake, store).rows == 3


def test_two_files_of_one_name_are_refused(lake, store):
    for part in ("a", "b"):
        put(lake / part, "book_delta_v2", SOME)
    with pytest.raises(DataError, match="two files of one name"):
        ingest(lake, store)
    assert store.series() == []


def test_two_spellings_of_an_exchange_are_one_series(tmp_path):
    for at, exchange in enumerate(("BINANCE", "binance")):
        put(tmp_path / "lake", "trades", trades((at, "buy", 1, 100, f"{at}")), exchange=exchange)
    store = ParquetStore(tmp_path / "store")
    assert ingest(tmp_path / "lake", store).rows == 2
    assert len(store.read("trades", "BINANCE", "BTC/USDT")) == 2
