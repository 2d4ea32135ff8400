import numpy as np
import pandas as pd
import pytest

from mrtrade.clock import NS_PER_SECOND, from_ns, to_ns
from mrtrade.data.funding import funding_rates
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import DataError
from mrtrade.instruments import instrument

EIGHT = to_ns("2024-08-08T08:00:00Z")
HOUR = 3600 * NS_PER_SECOND
TERMS = instrument("BINANCE_FUTURES", "BTC/USDT-PERP")


def store_of(path, rows):
    """A store with rows of (seconds to 08:00 at receipt, rate, mark, settlement in ns)."""
    received, rate, mark, due = (np.array(column) for column in zip(*rows, strict=True))
    frame = pd.DataFrame(
        {
            "origin_time": EIGHT + received * NS_PER_SECOND,
            "received_time": EIGHT + received * NS_PER_SECOND,
            "mark_price": mark.astype(float),
            "rate": rate.astype(float),
            "next_funding_time": due,
        }
    )
    store = ParquetStore(path)
    store.write("funding", TERMS.exchange, TERMS.symbol, frame)
    return store


def rates(store, hours_before=24, hours_after=24, terms=TERMS):
    return funding_rates(store, terms, EIGHT - hours_before * HOUR, EIGHT + hours_after * HOUR)


def test_the_last_rate_of_each_settlement_counts(tmp_path):
    later = EIGHT + 8 * HOUR
    store = store_of(
        tmp_path,
        [
            (-7200, 1e-4, 60_000.0, EIGHT),
            (-60, 3e-4, 61_000.0, EIGHT),
            (-1, 2e-4, 62_000.0, EIGHT),  # what was settled
            (1, 5e-4, 62_500.0, later),
            (2, 4e-4, np.nan, later),
        ],
    )
    got = rates(store)
    assert got["time"].tolist() == list(from_ns(np.array([EIGHT, later])))
    assert got["rate"].tolist() == [2e-4, 4e-4]
    assert got["mark"].iloc[0] == 62_000.0
    assert np.isnan(got["mark"].iloc[1])
    # The span is that of the exchange's times, both ends left out.
    assert rates(store, 24, 0)["rate"].tolist() == []
    assert rates(store, 24, 8)["rate"].tolist() == [2e-4]
    assert rates(store, 0, 24)["rate"].tolist() == [4e-4]


def test_times_that_jitter_are_one_settlement(tmp_path):
    ms = 1_000_000
    store = store_of(
        tmp_path,
        [
            (-30, 1e-4, 1.0, EIGHT + 5 * ms),
            (-20, 2e-4, 1.0, EIGHT - 3 * ms),
            (-10, 3e-4, 1.0, EIGHT + 1 * ms),
            (10, 9e-4, 1.0, EIGHT + HOUR),
        ],
    )
    got = rates(store)
    assert got["rate"].tolist() == [3e-4, 9e-4]
    assert to_ns(got["time"]).tolist() == [EIGHT + 1 * ms, EIGHT + HOUR]


def test_rows_without_a_settlement_name_none(tmp_path):
    store = store_of(tmp_path / "a", [(-30, 1e-4, 1.0, EIGHT), (-20, 7e-4, 1.0, 0)])
    assert rates(store)["rate"].tolist() == [1e-4]
    untimed = store_of(tmp_path / "b", [(-30, 1e-4, 1.0, 0)])
    with pytest.raises(DataError, match="says when its rate is settled"):
        rates(untimed)


def test_no_funding_is_an_empty_frame(tmp_path):
    store = store_of(tmp_path, [(-30, 1e-4, 1.0, EIGHT)])
    spot = instrument("BINANCE", "BTC/USDT")
    other = instrument("BINANCE_FUTURES", "ETH/USDT-PERP")
    for terms in (spot, other):
        got = rates(store, terms=terms)
        assert list(got.columns) == ["time", "rate", "mark"]
        assert len(got) == 0
