"""A store is a place, not a result: what is loaded and what is run is the same from each."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mrtrade.backtest import run
from mrtrade.backtest.result import OUTPUTS
from mrtrade.data.ingest import ingest
from mrtrade.data.loader import DataLoader
from mrtrade.data.stores import open_store
from mrtrade.data.tape import load_tape
from mrtrade.instruments import instrument

from ..data.places import PLACES, at, place

__all__ = ["place"]

OTHERS = [kind for kind in PLACES if kind != "parquet"]
SYMBOL = "BTC/USDT-PERP"


def loaded(store, steps):
    """Frames of the market, and its tape."""
    loader = DataLoader("synthetic", store, cache=False)
    frames = [
        loader.load_combined(SYMBOL, "1s", depth=20, **steps),
        loader.load_order_book_snapshots(SYMBOL, interval="500ms", **steps),
        loader.load_ohlcv(SYMBOL, "10s"),
        loader.load_trades(SYMBOL),
        loader.load_funding(SYMBOL),
        pd.concat(loader.iter_combined(SYMBOL, "7s", chunk="30s", **steps)),
    ]
    terms = instrument("SYNTHETIC", SYMBOL, maker_fee=0.0, taker_fee=0.0, **steps)
    return frames, load_tape(store, terms, base_latency_ns=1_000)


def ran(market, url, folder):
    """Run a strategy that is in the market at each settlement; returns its manifest."""
    name = str(Path(market["store"]).parent / "flip.py")
    config = {"symbol": SYMBOL, "strategy": {"name": name}, "execution": {"mode": "aggressive"}}
    result = run({**market, **config, "store": url})
    assert len(result.fills) > 20
    assert len(result.funding) == 2
    result.save(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["config"].pop("store") == url
    return manifest


@pytest.fixture(scope="module")
def from_folder(market, tmp_path_factory):
    """Frames, tape, manifest and files from the store in a folder."""
    store, folder = open_store(market["store"]), tmp_path_factory.mktemp("runs") / "folder"
    return *loaded(store, market["instrument"]), ran(market, store.url, folder), folder


@at(*OTHERS)
def test_all_that_is_loaded_and_run_is_the_same_to_the_last_bit(
    market, from_folder, place, tmp_path
):
    store = place.open()
    for folder in (Path(market["store"]).parent / "lake").glob("*/*/symbol=*-PERP"):
        ingest(folder, store)
    funding = open_store(market["store"]).read("funding", "SYNTHETIC", SYMBOL)
    store.write("funding", "SYNTHETIC", SYMBOL, funding)
    frames, tape, manifest, folder = from_folder

    other_frames, other_tape = loaded(store, market["instrument"])
    for one, other in zip(frames, other_frames, strict=True):
        assert len(one)
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        assert one.attrs == other.attrs
    for ours, theirs in ((tape.deltas, other_tape.deltas), (tape.trades, other_tape.trades)):
        for column, same in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(column, same)
    for fact in ("fingerprint", "stats", "seeded", "start_ns", "end_ns"):
        assert getattr(tape, fact) == getattr(other_tape, fact)

    other_manifest = ran(market, store.url, tmp_path / "run")
    assert manifest == other_manifest  # the id of the run, the fingerprint, hashes of all files
    for name in OUTPUTS:
        assert (folder / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name
