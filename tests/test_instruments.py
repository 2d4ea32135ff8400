from importlib.resources import files

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from mrtrade.errors import ConfigError
from mrtrade.instruments import (
    LINEAR,
    Contract,
    Instrument,
    from_lake,
    infer_grid,
    instrument,
    known_instruments,
    to_lake,
    user_symbol,
)


@pytest.mark.parametrize(
    ("user", "lake", "ccxt"),
    [
        ("BTC/USDT", "BTC-USDT", "BTC/USDT"),
        ("BTC/USDT-PERP", "BTC-USDT-PERP", "BTC/USDT:USDT"),
        ("BTC/USD-PERP", "BTC-USD-PERP", "BTC/USD:BTC"),
        ("BTC/USD-22K27", "BTC-USD-22K27", None),
        ("stSOL/USDC", "stSOL-USDC", "stSOL/USDC"),  # case is the exchange's own
    ],
)
def test_spellings_of_a_symbol(user, lake, ccxt):
    assert to_lake(user) == to_lake(lake) == lake
    assert from_lake(lake) == user_symbol(user) == user
    if ccxt:
        assert user_symbol(ccxt) == user


@pytest.mark.parametrize("bad", ["", "BTC", "BTC/", "../../etc", "BTC/USDT/PERP", "BTC USDT"])
def test_what_is_no_symbol_is_refused(bad):
    with pytest.raises(ConfigError, match="not a symbol"):
        to_lake(bad)


def test_table():
    perp = instrument("BINANCE_FUTURES", "BTC/USDT-PERP")
    assert perp == Instrument(
        exchange="BINANCE_FUTURES",
        symbol="BTC/USDT-PERP",
        tick_size=0.1,
        lot_size=0.001,
        maker_fee=0.0002,
        taker_fee=0.0005,
    )
    assert instrument("binance_futures", "BTC-USDT-PERP") == perp
    inverse = instrument("BINANCE_DELIVERY", "BTC/USD-PERP")
    assert (inverse.inverse, inverse.multiplier) == (True, 100)
    with pytest.raises(ValidationError):
        perp.tick_size = 1.0


def test_every_instrument_of_the_table_is_sound():
    for exchange, symbol in known_instruments():
        fees = {} if has_fees(exchange) else {"maker_fee": 0.0, "taker_fee": 0.001}
        one = instrument(exchange, symbol, **fees)
        assert (one.exchange, one.symbol) == (exchange, symbol)
        assert from_lake(to_lake(symbol)) == symbol
        assert -1e-3 < one.maker_fee <= one.taker_fee < 2e-2


def has_fees(exchange):
    return exchange.startswith("BINANCE") or exchange == "SYNTHETIC"


def test_fees_are_stated_with_their_source_or_asked_for():
    text = files("mrtrade").joinpath("config_files", "exchanges.yaml").read_text(encoding="utf-8")
    for exchange, entry in yaml.safe_load(text).items():
        stated = {"maker_fee_bps", "taker_fee_bps", "fees_source"} & set(entry)
        assert len(stated) == (3 if has_fees(exchange) else 0), exchange
        if not stated:
            symbol = next(iter(entry["instruments"]))
            with pytest.raises(
                ConfigError, match=r"taker_fee_bps: .* under transaction_costs"
            ) as caught:
                instrument(exchange, symbol, maker_fee=0.0)
            assert "maker_fee" not in str(caught.value)


def test_overrides_do_not_leak_into_the_table():
    assert instrument("BINANCE", "BTC/USDT", taker_fee=0.0).taker_fee == 0.0
    assert instrument("BINANCE", "BTC/USDT").taker_fee == 0.001


def test_unknown_instrument_is_described_or_refused():
    with pytest.raises(ConfigError, match="give tick_size, lot_size") as caught:
        instrument("BINANCE", "FOO/USDT", prices=[1.05, 1.10, np.nan], sizes=[2.0, 6.0])
    assert "tick_size=0.05, lot_size=2" in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean BINANCE_FUTURES BTC/USDT-PERP"):
        instrument("BINANCE_FUTURE", "BTC/USDT-PERP")
    with pytest.raises(ConfigError, match="maker_fee, taker_fee"):
        instrument("NOWHERE", "FOO/USDT", tick_size=1, lot_size=1)
    described = instrument("BINANCE", "FOO/USDT", tick_size=0.05, lot_size=2)
    assert described.taker_fee == 0.001  # the exchange's


@pytest.mark.parametrize(
    "wrong",
    [{"tick_size": 0}, {"lot_size": float("nan")}, {"taker_fee": 5}, {"tick": 0.1}],
)
def test_impossible_terms_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        instrument("BINANCE", "BTC/USDT", **wrong)


@pytest.mark.parametrize("step", [0.01, 0.05, 0.1, 0.5, 1e-8, 1.0, 25.0, 0.000001])
def test_infer_grid_finds_the_step(step):
    rng = np.random.default_rng(0)
    decimals = 8
    values = np.round(rng.integers(1, 10**6, 1000) * step, decimals)
    assert infer_grid(values) == pytest.approx(step, rel=1e-12)


def test_infer_grid_without_values():
    assert infer_grid([]) is None
    assert infer_grid([0.0, np.nan]) is None
    assert infer_grid([np.pi, np.e]) is None


@pytest.mark.shared
def test_steps_divide_every_recorded_price_and_size(shared_data):
    import pyarrow.parquet as pq

    seen = set()
    for table in ("book_delta_v2", "book_seed", "trades", "level_1", "book"):
        for path in sorted((shared_data / "lake" / table).rglob("*.parquet")):
            exchange, symbol = (part.partition("=")[2] for part in path.parts[-4:-2])
            one = instrument(exchange, symbol, maker_fee=0.0, taker_fee=0.0)
            seen.add((exchange, one.symbol))
            columns = pq.read_table(path)
            for name in columns.column_names:
                steps = {"price": one.tick_size, "size": one.lot_size, "quantity": one.lot_size}
                kind = name.rpartition("_")[2]
                if kind not in steps:
                    continue
                units = columns[name].to_numpy() / steps[kind]
                units = units[np.isfinite(units)]
                off = np.abs(units - np.rint(units))
                assert np.all(off <= 1e-3 + 4 * np.spacing(np.abs(units))), (path, name)
    assert len(seen) == 22


@pytest.mark.parametrize("contract", [LINEAR, Contract(0.001), Contract(100.0, inverse=True)])
def test_what_a_contract_is_worth(contract):
    low, high = 50_000.0, 62_500.0
    assert contract.change(low, high) == pytest.approx(contract.value(high) - contract.value(low))
    assert contract.change(low, high) > 0.0  # a long position gains when the price rises
    assert contract.notional(low) == abs(contract.value(low))
    assert contract.price(contract.notional(low)) == pytest.approx(low)
    prices = np.array([low, high])
    np.testing.assert_allclose(contract.value(prices), [contract.value(low), contract.value(high)])


def test_what_profit_is_paid_in_and_sizes_are_counted_in():
    linear = instrument("BINANCE_FUTURES", "BTC/USDT-PERP")
    inverse = instrument("BINANCE_DELIVERY", "BTC/USD-PERP")
    spot = instrument("BINANCE", "BTC/USDT")
    assert (linear.currency, linear.size_unit, linear.is_perpetual) == ("USDT", "BTC", True)
    assert (inverse.currency, inverse.size_unit, inverse.is_perpetual) == ("BTC", "contracts", True)
    assert (spot.currency, spot.size_unit, spot.is_perpetual) == ("USDT", "BTC", False)
    assert inverse.contract.notional(50_000.0) == 0.002
