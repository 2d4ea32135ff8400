"""Datasets: what is in a row was known at its time; what is saved is what is loaded."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.features import compute
from mrtrade.ml.candles import OTHER_SPREAD_BPS, candle_dataset
from mrtrade.ml.dataset import Dataset, no_funding

NAMES = ["zscore_60", "basis_bps", "funding_settled_bps", "other_corr_60"]


def candles(rows=400, seed=0, scale=100.0, start="2024-01-01"):
    rng = np.random.default_rng(seed)
    close = scale * np.exp(np.cumsum(rng.normal(0.0, 1e-3, rows)))
    opened = np.r_[scale, close[:-1]]
    return pd.DataFrame(
        {
            "start": pd.date_range(start, periods=rows, freq="5min", tz="UTC"),
            "open": opened,
            "high": 1.001 * np.maximum(opened, close),
            "low": 0.999 * np.minimum(opened, close),
            "close": close,
            "volume": rng.gamma(2.0, 5.0, rows),
        }
    )


def history(hours=40, start="2024-01-01"):
    time = pd.date_range(start, periods=hours // 8, freq="8h", tz="UTC")
    time = to_ns(time) + 3_000_000  # some milliseconds late, as sources are
    return pd.DataFrame({"funding_time": time, "rate": 1e-4 * np.arange(1.0, len(time) + 1)})


@pytest.fixture
def made():
    return candle_dataset(
        "X/USDT-PERP",
        candles(),
        spot=candles(seed=1).drop(index=range(50, 53)),
        funding=history(),
        leader=candles(seed=2),
        names=[*NAMES, "spread_mean_bps"],
    )


def same(one: Dataset, other: Dataset) -> None:
    assert one.symbol == other.symbol
    assert one.fingerprint == other.fingerprint
    assert dict(one.about) == dict(other.about)
    assert list(one.frames()) == list(other.frames())
    for name, frame in one.frames().items():
        pd.testing.assert_frame_equal(
            frame,
            other.frames()[name],
            check_exact=True,
            check_freq=False,
            check_column_type=False,  # of none at all
        )


def test_a_row_holds_what_was_known_at_its_time(made):
    raw = candles()
    ends = to_ns(raw["start"]) + 300 * 10**9
    np.testing.assert_array_equal(to_ns(made.bars.index), ends)
    np.testing.assert_array_equal(made.bars["mid"], raw["close"])
    # A settlement 3 ms after the full hour is not known at the bar that ends at the hour.
    settled = made.bars["funding_settled"]
    at = pd.Timestamp("2024-01-01 08:00", tz="UTC")
    assert settled[at] == 1e-4
    assert settled[at + pd.Timedelta("5min")] == 2e-4
    # The basis is measured from the spot's close of the same bar, and where the spot has no bar
    # from the last one that was known.
    spot = candles(seed=1)["close"]
    assert made.bars["index"].iloc[10] == spot[10]
    assert made.bars["index"].iloc[51] == spot[49]
    assert np.isnan(made.second["mid"].iloc[51])
    assert made.second["mid"].iloc[53] == spot[53]
    assert made.bars["other_mid"].iloc[7] == candles(seed=2)["close"][7]


def test_settlements_have_the_last_mid_before_them_for_a_mark(made):
    assert to_ns(made.funding["time"])[0] == to_ns("2024-01-01 08:00:00.003")
    row = made.bars.index.get_loc(pd.Timestamp("2024-01-01 08:00", tz="UTC"))
    assert made.funding["mark"].iloc[0] == made.bars["mid"].iloc[row]
    assert made.funding["rate"].tolist() == pytest.approx([2e-4, 3e-4, 4e-4, 5e-4])


def test_the_spread_is_an_assumption_that_can_be_read(made):
    assert (made.bars["spread_mean_bps"] == OTHER_SPREAD_BPS).all()
    assert (made.features["spread_mean_bps"] == OTHER_SPREAD_BPS).all()
    assert made.about["spread_bps"] == OTHER_SPREAD_BPS
    btc = candle_dataset("BTC/USDT-PERP", candles(), names=["zscore_45"])
    assert btc.bars["spread_mean_bps"].iloc[0] == 1.0
    own = candle_dataset("BTC/USDT-PERP", candles(), names=["zscore_45"], spread_bps=3.5)
    assert own.bars["spread_mean_bps"].iloc[0] == 3.5


def test_features_look_back_before_the_start_and_never_past_a_bar():
    whole = candle_dataset("X/USDT", candles(), names=["zscore_60"])
    late = candle_dataset("X/USDT", candles(), names=["zscore_60"], start="2024-01-01 10:00")
    assert late.bars.index[0] == pd.Timestamp("2024-01-01 10:00", tz="UTC")
    assert late.features["zscore_60"].notna().all()
    pd.testing.assert_frame_equal(
        late.features, whole.features.loc[late.bars.index], check_freq=False, check_exact=True
    )
    changed = candles()
    changed.loc[300:, ["open", "high", "low", "close", "volume"]] *= 7.0
    other = candle_dataset("X/USDT", changed, names=["zscore_60"])
    end = to_ns(candles()["start"][300])
    same_values = whole.until(end + 1), other.until(end + 1)
    assert len(same_values[0].bars) == 300
    pd.testing.assert_frame_equal(*(one.features for one in same_values), check_exact=True)


def test_every_feature_that_can_be_computed_is_there():
    made = candle_dataset("X/USDT", candles(), spread_bps=2.0)
    assert "zscore_60" in made.features
    assert "imbalance_5" not in made.features
    assert "imbalance_5" in made.about["absent"]


def test_saved_and_loaded_are_the_same_bits(made, tmp_path):
    folder = made.save(tmp_path / "data")
    same(made, Dataset.load(folder))
    same(made, Dataset.load(folder, verify=True))
    some = Dataset.load(folder, columns=["spread_mean_bps", "zscore_60"])
    assert list(some.features) == ["spread_mean_bps", "zscore_60"]
    with pytest.raises(DataError, match="no feature 'nothing'"):
        Dataset.load(folder, columns=["nothing"])
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # nothing temporary is left


def test_arrays_are_mapped_and_read_only(made, tmp_path):
    folder = made.save(tmp_path / "data")
    before = pa.total_allocated_bytes()
    loaded = Dataset.load(folder)
    values = loaded.features["zscore_60"].to_numpy()
    assert not values.flags.writeable
    assert pa.total_allocated_bytes() - before < values.nbytes  # no column was copied


def test_a_dataset_without_funding_or_second_leg(tmp_path):
    made = Dataset("X", bars := pd.DataFrame({"mid": [1.0, 2.0]}, index=_index(2)), bars[[]])
    assert made.funding.equals(no_funding())
    loaded = Dataset.load(made.save(tmp_path / "data"))
    same(made, loaded)
    assert loaded.second is None
    assert str(loaded.funding["time"].dtype) == "datetime64[ns, UTC]"


def _index(rows):
    return pd.date_range("2024-01-01", periods=rows, freq="5min", tz="UTC", name="time").as_unit(
        "ns"
    )


def test_the_fingerprint_is_of_the_content():
    frame = pd.DataFrame({"mid": [1.0, np.nan, 3.0]}, index=_index(3))
    one = Dataset("X", frame, frame[[]])
    assert one.fingerprint == Dataset("X", frame.copy(), frame[[]].copy()).fingerprint
    assert one.fingerprint != Dataset("Y", frame, frame[[]]).fingerprint
    assert one.fingerprint != Dataset("X", frame.fillna(2.0), frame[[]]).fingerprint
    assert one.fingerprint != Dataset("X", frame, frame).fingerprint


def test_the_same_candles_are_computed_once(tmp_path, monkeypatch):
    first = candle_dataset("X/USDT", candles(), names=NAMES, cache=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with monkeypatch.context() as patch:
        patch.setattr("mrtrade.ml.candles.compute", None)  # would fail if it were called
        same(first, candle_dataset("X/USDT", candles(), names=NAMES, cache=tmp_path))
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for changed in (
        {"candles": candles(seed=5)},
        {"spread_bps": 1.0},
        {"names": ["zscore_45"]},
        {"start": "2024-01-01 02:00"},
        {"funding": history()},
    ):
        given = {"candles": candles(), "names": NAMES, **changed}
        candle_dataset("X/USDT", cache=tmp_path, **given)
    assert len(list(tmp_path.iterdir())) == 6


def test_damage_is_seen(made, tmp_path):
    folder = made.save(tmp_path / "data")
    file = folder / "bars.arrow"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="cut or changed"):
        Dataset.load(folder)
    file.write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    with pytest.raises(DataError, match="changed since"):
        Dataset.load(folder, verify=True)
    file.unlink()
    with pytest.raises(DataError, match="missing"):
        Dataset.load(folder)
    with pytest.raises(ConfigError, match="no dataset"):
        Dataset.load(tmp_path)


def test_features_that_are_defined_otherwise_now_are_refused(made, tmp_path):
    folder = made.save(tmp_path / "data")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"register": "other"}))
    with pytest.raises(DataError, match="defined otherwise"):
        Dataset.load(folder)


def test_another_folder_is_not_overwritten_and_an_old_dataset_is(made, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x")
    with pytest.raises(ConfigError, match="something else"):
        made.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "precious").read_text() == "x"
    folder = made.save(tmp_path / "data")
    other = candle_dataset("Y/USDT", candles(), names=["zscore_60"])
    same(other, Dataset.load(other.save(folder)))


def test_features_are_added_where_they_are_wanted(made, tmp_path):
    folder = made.save(tmp_path / "data")
    assert Dataset.ensure(folder, ["zscore_60", "zscore_45"]) == ["zscore_45"]
    assert Dataset.ensure(folder, ["zscore_60", "zscore_45"]) == []
    loaded = Dataset.load(folder, columns=["zscore_45", "zscore_60"], verify=True)
    expected = compute(made.bars, ["zscore_45", "zscore_60"])
    pd.testing.assert_frame_equal(loaded.features, expected, check_exact=True, check_freq=False)


def test_what_does_not_fit_is_refused():
    frame = pd.DataFrame({"mid": [1.0, 2.0]}, index=_index(2))
    with pytest.raises(DataError, match="not on the index"):
        Dataset("X", frame, frame.iloc[:1])
    with pytest.raises(DataError, match="order of time"):
        Dataset("X", frame.iloc[::-1], frame.iloc[::-1])
    with pytest.raises(DataError, match="no column 'mark'"):
        Dataset("X", frame, frame, no_funding().drop(columns="mark"))
    with pytest.raises(DataError, match="no bars in the span"):
        candle_dataset("X/USDT", candles(), names=["zscore_60"], start="2030-01-01")
    doubled = pd.concat([history(), history().iloc[:1]])
    with pytest.raises(DataError, match="twice"):
        candle_dataset("X/USDT", candles(), names=["zscore_60"], funding=doubled)
