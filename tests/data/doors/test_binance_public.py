"""Binance's public data. Written by hand after github.com/binance/binance-public-data; one
recorded day is in `test_recordings`."""

import pytest

from mrtrade.data.stores import open_store
from mrtrade.errors import DataError

from .files import brought_in, column, packed, read

MS = 1_735_689_600_000  # 2025-01-01
NS = MS * 1_000_000


def times(unit, *offsets):
    """Epoch times in ms or us, `offsets` in ms."""
    return [(MS + offset) * {"ms": 1, "us": 1000}[unit] for offset in offsets]


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("market", ["spot", "futures"])
@pytest.mark.parametrize("kind", ["aggTrades", "trades"])
def test_trades(tmp_path, kind, market, header, unit):
    a, b = times(unit, 0, 5)
    best = ",True" if market == "spot" else ""
    if kind == "aggTrades":
        names = (
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
        )
        lines = [f"7,100.5,2,70,71,{a},true{best}", f"8,100.25,0.5,72,72,{b},false{best}"]
    else:
        names = "id,price,qty,quote_qty,time,is_buyer_maker"
        lines = [f"7,100.5,2,201,{a},True{best}", f"8,100.25,0.5,50.125,{b},False{best}"]
    text = "\n".join(([names + (",is_best_match" if best else "")] if header else []) + lines)
    rows, checks = read(packed(tmp_path / f"BTCUSDT-{kind}-2025-01-01.zip", text))
    exchange, symbol = ("BINANCE", "BTC-USDT") if best else ("BINANCE_FUTURES", "BTC-USDT-PERP")
    [(series, found)] = rows.items()
    assert series == ("trades", exchange, symbol)
    assert column(found, "received_time") == column(found, "origin_time") == [NS, NS + 5_000_000]
    assert column(found, "side") == ["sell", "buy"]  # the buyer was the maker, then the seller
    assert column(found, "quantity") == [2, 0.5]
    assert column(found, "price") == [100.5, 100.25]
    assert column(found, "trade_id") == ["7", "8"]
    assert checks[series].findings == []


def test_microseconds_are_kept(tmp_path):
    text = f"7,100.5,2,201,{MS * 1000 + 123},True,True\n"
    rows, _ = read(packed(tmp_path / "BTCUSDT-trades-2025-01-01.csv", text))
    [[found]] = rows.values()
    assert found["received_time"] == NS + 123_000


def test_lost_trades_are_holes(tmp_path):
    lines = [f"{number},1,1,1,{MS + number},True,True" for number in (3, 4, 9)]
    _, checks = read(packed(tmp_path / "BTCUSDT-trades-2025-01-01.csv", "\n".join(lines)))
    [hole] = checks["trades", "BINANCE", "BTC-USDT"].findings
    assert (hole.rule, hole.count) == ("sequence_hole", 4)
    assert hole.text == "trade id was 9, expected 5: 4 ids missing"


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_candles_are_known_at_their_end(tmp_path, unit):
    start, close = times(unit, 0, 60_000)
    text = f"{start},1,3,0.5,2,10,{close - 1},15,42,5,7,0\n"
    name = "futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2025-01-01.zip"
    rows, _ = read(packed(tmp_path / name, text))
    end = NS + 60_000_000_000
    assert rows == {
        ("candles", "BINANCE_FUTURES", "BTC-USDT-PERP"): [
            {
                **dict.fromkeys(("origin_time", "received_time", "stop"), end),
                "start": NS,
                **dict(open=1.0, high=3.0, low=0.5, close=2.0, volume=10.0, trades=42),
            }
        ]
    }


def test_candles_do_not_say_their_market(tmp_path):
    text = f"{MS},1,3,0.5,2,10,{MS + 59_999},15,42,5,7,0\n"
    path = packed(tmp_path / "BTCUSDT-1m-2025-01.zip", text)
    with pytest.raises(DataError, match=r"cannot tell which of Binance's markets.*--exchange"):
        read(path)
    rows, _ = read(path, exchange="binance")
    assert list(rows) == [("candles", "BINANCE", "BTC-USDT")]
    spot = packed(tmp_path / "data/spot/monthly/BTCUSDT-1m-2025-01.zip", text)
    assert list(read(spot)[0]) == [("candles", "BINANCE", "BTC-USDT")]


def test_funding_is_known_when_it_is_settled(tmp_path):
    text = f"calc_time,funding_interval_hours,last_funding_rate\n{MS + 3},8,-0.00012\n"
    rows, _ = read(packed(tmp_path / "BTCUSDT-fundingRate-2025-01.zip", text))
    [(series, [row])] = rows.items()
    assert series == ("funding", "BINANCE_FUTURES", "BTC-USDT-PERP")
    assert row["rate"] == -0.00012
    assert {row[name] for name in ("origin_time", "received_time", "next_funding_time")} == {
        NS + 3_000_000
    }
    assert row["mark_price"] != row["mark_price"]
    coin = packed(tmp_path / "BTCUSD_PERP-fundingRate-2025-01.zip", text)
    assert list(read(coin)[0]) == [("funding", "BINANCE_DELIVERY", "BTC-USD-PERP")]


def test_an_archive_of_two_files_and_a_broken_one(tmp_path):
    import zipfile

    path = tmp_path / "BTCUSDT-trades-2025-01-01.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "")
        archive.writestr("b.csv", "")
    with pytest.raises(DataError, match="which file of the archive"):
        read(path)
    path.write_bytes(b"PK")
    with pytest.raises(DataError, match="no lines that can be read"):
        read(path)


def test_the_same_trades_twice_in_two_spellings_are_refused(tmp_path):
    """aggTrades and trades are the same trades: both would double every volume."""
    packed(tmp_path / "in/BTCUSDT-trades-2025-01-01.csv", f"7,1,1,1,{MS},True,True\n")
    packed(tmp_path / "in/BTCUSDT-aggTrades-2025-01-02.csv", f"7,1,1,7,7,{MS},True,True\n")
    with pytest.raises(DataError, match="aggTrades and trades of BINANCE BTC-USDT"):
        brought_in(tmp_path / "in", tmp_path / "store")
    assert open_store(tmp_path / "store").series() == []
