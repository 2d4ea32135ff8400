import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from mrtrade.data.aggressor import RULES, Aggressor, bulk_volume, measure, prevailing
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.errors import ConfigError, StoreError

BID, ASK = 100.0, 101.0


def one(rule, price, before=100.5):
    """Side of a trade after one at another price, within a spread of 100 to 101."""
    return int(Aggressor(rule)([before, price], [BID] * 2, [ASK] * 2)[1])


@pytest.mark.parametrize(
    ("rule", "price", "before", "side"),
    [
        ("tick", 101, 100.5, 1),
        ("tick", 100, 100.5, -1),
        ("tick", 100, 100, 0),  # no change yet
        ("quote", 100.6, 101, 1),
        ("quote", 100.4, 100, -1),
        ("quote", 100.5, 100, 0),  # the middle says nothing
        ("lee_ready", 100.6, 101, 1),
        ("lee_ready", 100.5, 100, 1),  # the middle: up from 100
        ("lee_ready", 100.5, 101, -1),
        ("emo", 101, 102, 1),  # at the ask, though down
        ("emo", 100, 99, -1),
        ("emo", 100.9, 101, -1),  # between: down
        ("emo", 100.1, 100, 1),
        ("clnv", 100.7, 101, 1),  # 30 % below the ask
        ("clnv", 100.69, 101, -1),  # middle 40 %: down
        ("clnv", 100.3, 100, -1),
        ("clnv", 100.31, 100, 1),
        ("clnv", 101.5, 102, -1),  # outside of the quotes: down
        ("clnv", 99.5, 99, 1),
    ],
)
def test_the_rules_by_hand(rule, price, before, side):
    assert one(rule, price, before) == side


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "quote"])
@pytest.mark.parametrize("quotes", [(math.nan, math.nan), (BID, math.nan), (101.0, 100.0)])
def test_without_sound_quotes_the_tick_rule_is_left(rule, quotes):
    prices = [5.0, 6.0, 6.0, 5.0]
    bid, ask = (np.full(4, one) for one in quotes)
    assert Aggressor(rule)(prices, bid, ask).tolist() == [0, 1, 1, -1]
    assert Aggressor("quote")(prices, bid, ask).tolist() == [0, 0, 0, 0]


def slow(rule, prices, bids, asks):
    """Return the sides of trades, one by one, as the papers put it."""
    sides, last, tick = [], None, 0
    for price, bid, ask in zip(prices, bids, asks, strict=True):
        if last is not None and price != last:
            tick = 1 if price > last else -1
        last = price
        side = 0
        spread = ask - bid
        if rule == "tick" or not spread > 0:
            side = 0
        elif rule in ("quote", "lee_ready"):
            middle = bid + ask
            side = int(2 * price > middle) - int(2 * price < middle)
        elif rule == "emo":
            side = int(price == ask) - int(price == bid)
        elif ask - 0.3 * spread - 1e-9 * price <= price <= ask:
            side = 1
        elif bid <= price <= bid + 0.3 * spread + 1e-9 * price:
            side = -1
        sides.append(side if rule == "quote" else side or tick)
    return sides


TRADES = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.one_of(st.integers(1, 30), st.just(math.nan)),
        st.integers(1, 30),
    ),
    max_size=30,
)


@given(TRADES, st.sampled_from(RULES), st.lists(st.integers(0, 30), max_size=4))
def test_a_slow_twin_and_any_cut_give_the_same(rows, rule, cuts):
    prices, bids, asks = (np.array([row[k] for row in rows], float) for k in range(3))
    expected = slow(rule, prices, bids, asks)
    assert Aggressor(rule)(prices, bids, asks).tolist() == expected
    in_pieces = Aggressor(rule)
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    pieces = [in_pieces(prices[a:b], bids[a:b], asks[a:b]) for a, b in pairwise(edges)]
    assert np.concatenate([np.empty(0, np.int8), *pieces]).tolist() == expected


def test_a_quote_counts_for_later_trades_only():
    quotes = (np.array([10, 20]), np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    bid, ask = prevailing(np.array([10, 11, 20, 21]), *quotes)
    np.testing.assert_array_equal(bid, [math.nan, 1, 1, 2])
    np.testing.assert_array_equal(ask, [math.nan, 3, 3, 4])
    bid, _ = prevailing(np.array([10, 11, 20, 21, 31]), *quotes, lag_ns=10)
    np.testing.assert_array_equal(bid, [math.nan, math.nan, math.nan, 1, 2])
    none = np.empty(0)
    assert np.isnan(prevailing(np.array([1]), none.astype(np.int64), none, none)[0]).all()


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.integers(2, 6))
def test_bulk_volume_is_the_normal_share_of_past_changes(changes, window):
    close = 100.0 + np.cumsum([0, *changes])
    share = bulk_volume(close, window)
    for at in range(len(close)):
        if at < window + 1:
            assert np.isnan(share[at])
            continue
        past = np.diff(close[:at])[-window:]
        sigma = math.sqrt(float(np.mean(past**2)))
        now = close[at] - close[at - 1]
        expected = norm.cdf(now / sigma) if sigma else 0.5 + 0.5 * np.sign(now)
        assert share[at] == pytest.approx(expected, abs=1e-12)


def test_errors():
    with pytest.raises(ConfigError, match="no rule for the aggressor, was 'ticks'; expected one"):
        Aggressor("ticks")
    with pytest.raises(ConfigError, match="emo needs quotes"):
        Aggressor("emo")([1.0])
    with pytest.raises(ValueError, match="2 trades, but 1 bids"):
        Aggressor("emo")([1.0, 2.0], [1.0], [2.0])
    assert Aggressor("emo")([], [], []).tolist() == []


@pytest.fixture(scope="module")
def recorded(shared_data, tmp_path_factory):
    store = ParquetStore(tmp_path_factory.mktemp("recorded"))
    for exchange, symbol in (
        ("BINANCE", "BTC-USDT"),
        ("BINANCE", "NEXO-USDT"),
        ("BINANCE_FUTURES", "ETH-USDT-PERP"),
        ("BINANCE_DELIVERY", "BTC-USD-PERP"),
    ):
        for table in ("trades", "level_1"):
            ingest(
                shared_data / "lake" / table / f"exchange={exchange}" / f"symbol={symbol}", store
            )
    return store


@pytest.mark.shared
@pytest.mark.parametrize(
    ("exchange", "symbol", "tick", "emo_at_0", "emo_at_5_ms"),
    [
        ("BINANCE", "BTC/USDT", 0.9641, 0.9218, 0.9832),
        ("BINANCE", "NEXO/USDT", 0.8909, 0.9377, 0.9702),
        ("BINANCE_FUTURES", "ETH/USDT-PERP", 0.9637, 0.9564, 0.9960),
        ("BINANCE_DELIVERY", "BTC/USD-PERP", 0.8286, 0.9996, 0.9960),
    ],
)
def test_accuracy_on_recordings_is_what_the_docs_say(
    recorded, exchange, symbol, tick, emo_at_0, emo_at_5_ms
):
    span = ("2024-07-01", "2024-08-30")  # those of 2026 have no level_1
    at_0 = measure(recorded, exchange, symbol, *span)
    at_5 = measure(recorded, exchange, symbol, *span, lag_ns=5_000_000)
    assert at_0.accuracy["tick"] == pytest.approx(tick, abs=5e-5)
    assert at_0.accuracy["emo"] == pytest.approx(emo_at_0, abs=5e-5)
    assert at_5.accuracy["emo"] == pytest.approx(emo_at_5_ms, abs=5e-5)


def test_measure_needs_trades_and_quotes(tmp_path):
    store = ParquetStore(tmp_path)
    day = 1_700_000_000_000_000_000
    with pytest.raises(StoreError, match="no trades"):
        measure(store, "X", "A/B")
    rows = {"origin_time": [day], "received_time": [day], "side": ["buy"]}
    store.write("trades", "X", "A/B", pa.table({**rows, "quantity": [1.0], "price": [1.0]}))
    with pytest.raises(StoreError, match="no quotes of X A/B"):
        measure(store, "X", "A/B")
