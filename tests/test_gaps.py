"""Recordings with gaps: of the tape, the bars and the run made of it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrcore.market import SyntheticMarket
from mrtrade.backtest import run
from mrtrade.clock import to_ns
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.streams import MAX_GAP_NS
from mrtrade.data.synthetic import write_lake
from mrtrade.data.tape import load_tape
from mrtrade.errors import StoreError
from mrtrade.features import FEATURES, compute
from mrtrade.features.bars import build_bars
from mrtrade.instruments import instrument

from .data.lake import SECOND

PERP = ("BINANCE_FUTURES", "BTC/USDT-PERP")
TABLES = ("book_delta_v2", "book_seed", "trades")


@pytest.fixture(scope="module")
def perp_lake(shared_data):
    return [
        shared_data / "lake" / t / f"exchange={PERP[0]}" / "symbol=BTC-USDT-PERP" for t in TABLES
    ]


@pytest.mark.shared
def test_a_start_after_an_earlier_recording(perp_lake, tmp_path):
    """Trap: the book of 2024-07-19 was carried three weeks to the start."""
    both, alone = ParquetStore(tmp_path / "both"), ParquetStore(tmp_path / "alone")
    for folder in perp_lake:
        ingest(folder, both)
        ingest(folder / "dt=2024-08-08", alone)
    terms = instrument(*PERP)
    with pytest.raises(StoreError, match="2 recordings") as caught:
        load_tape(both, terms)
    assert "2024-07-18 23:57" in str(caught.value)
    assert "2024-08-08 23:54" in str(caught.value)
    span = {"start": "2024-08-08", "end": "2024-08-09"}
    tape, expected = (load_tape(store, terms, **span) for store in (both, alone))
    assert tape.stats == expected.stats
    assert tape.fingerprint == expected.fingerprint
    for ours, theirs in zip(
        tape.deltas + tape.trades, expected.deltas + expected.trades, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert tape.seeded
    assert tape.start_ns > to_ns("2024-08-08 23:54")
    # midnight is no gap: the book is carried over it
    next_day = load_tape(both, terms, start="2024-07-19", end="2024-07-20")
    assert next_day.seeded
    assert abs(to_ns("2024-07-19") - next_day.start_ns) < 2 * SECOND  # two clocks


@pytest.mark.shared
def test_a_snapshot_within_the_stream_makes_the_same_tape(shared_data, tmp_path):
    """The snapshot of a recording as some collectors write it: rows that lack exchange time."""
    place = "exchange=BINANCE/symbol=NEXO-USDT/dt=2024-07-23/1.parquet"
    rows, seed = (
        pq.read_table(shared_data / "lake" / table / place)
        for table in ("book_delta_v2", "book_seed")
    )
    here = ("BINANCE", "NEXO/USDT")
    apart, within = ParquetStore(tmp_path / "apart"), ParquetStore(tmp_path / "within")
    missing = pa.array(np.zeros(len(seed), np.int64))
    seed = seed.set_column(seed.schema.get_field_index("timestamp"), "timestamp", missing)
    apart.write("book_delta_v2", *here, rows)
    apart.write("book_seed", *here, seed)
    received = rows["receipt_timestamp"].to_numpy()
    at = int(np.searchsorted(received, seed["receipt_timestamp"][0].as_py()))
    merged = pa.concat_tables([rows.slice(0, at), seed.select(rows.column_names), rows.slice(at)])
    within.write("book_delta_v2", *here, merged)
    one, two = (load_tape(store, instrument(*here)) for store in (apart, within))
    for ours, theirs in zip(one.deltas, two.deltas, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (one.stats["snapshots_in_stream"], two.stats["snapshots_in_stream"]) == (0, 1)
    assert two.seeded


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Two stretches of one market, half an hour apart; the second begins with its own snapshot."""
    root = tmp_path_factory.mktemp("broken")
    pause = 1_800 * SECOND
    run_ = SyntheticMarket(seed=5).run(n_deltas=60_000)
    write_lake(root / "lake", run_)
    store = ParquetStore(root / "store")
    ingest(root / "lake", store)
    here = ("SYNTHETIC", "BTC/USDT")
    last = max(store.entries(t, *here)[-1].last_received for t in TABLES)
    first = store.entries("book_seed", *here)[0].first_received
    for table in TABLES:
        rows = store.read(table, *here)
        for name in ("origin_time", "received_time"):
            shifted = pa.array(rows[name].to_numpy() + (last - first + pause))
            rows = rows.set_column(rows.schema.get_field_index(name), name, shifted)
        store.write(table, *here, rows)
    return store, last, last + pause


def test_bars_and_features_of_a_gap(broken):
    store, last, back = broken
    tape = load_tape(store, instrument("SYNTHETIC", "BTC/USDT"))
    assert tape.stats["gaps"] == 1
    bars = build_bars(tape, SECOND)
    times = to_ns(bars.index)
    known = bars["mid"].notna().to_numpy()
    unknown = (times >= last + MAX_GAP_NS) & (times < back)
    assert unknown.sum() >= 1_190
    assert not known[unknown].any()
    assert known[times >= back].all()
    assert known[times <= last].all()
    features = compute(bars, tuple(FEATURES))
    book = [
        *("spread_bps", "microprice_dev_bps", "imbalance_1", "imbalance_20"),
        *("zscore_60", "sma_dev_bps_60", "half_life_600"),
    ]
    assert features.loc[unknown, book].isna().all().all()


@pytest.mark.parametrize("mode", ["passive", "aggressive"])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_run_over_a_gap(broken, mode, streaming):
    store, last, back = broken
    result = run(
        {
            "store": str(store.root),
            "exchange": "SYNTHETIC",
            "symbol": "BTC/USDT",
            "strategy": {
                "name": "StatisticalMeanReversion",
                "params": {
                    "lookback": 20,
                    "half_life_window": 30,
                    "entry_z": 1.0,
                    "min_half_life_s": 0.0,
                    "cost_bps": 0.0,
                    "min_spreads": 0.0,
                    "max_vol_ratio": 9.0,
                    "kill_vol_ratio": 9.0,
                },
            },
            "bar": "100ms",
            "max_position": 0.1,
            "execution": {"mode": mode},
        },
        streaming=streaming,
    )
    assert np.isfinite(result.equity.to_numpy()).all()
    times = to_ns(result.orders["time"])
    sent = (result.orders["event"] == "submitted").to_numpy()
    assert sent[times < last].any()
    assert sent[times > back].any()
    # nothing is sent between the time at which the book is given up and the new one
    assert not sent[(times > last + MAX_GAP_NS) & (times < back)].any()
    assert np.isfinite(result.fills[["price", "fee", "mid", "decision_mid"]].to_numpy()).all()
