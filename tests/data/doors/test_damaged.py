"""Damaged files of every format: one clear error or rows in quarantine, never another exception."""

import gzip
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mrtrade.data.checks import Checks
from mrtrade.data.providers.files import discover
from mrtrade.data.providers.hftbacktest_npz import EVENT, LOCAL
from mrtrade.errors import DataError

from . import test_cryptofeed, test_hftbacktest, test_tardis

MERGED = (
    "TimestampOfReceiveUS,TimestampOfReceive,Stream,EventType,EventTime,TransactionTime,Symbol,"
    "FirstUpdateId,FinalUpdateId,FinalUpdateIdInLastStream,IsAsk,Price,Quantity,PSUnknownField,"
    "TradeId,IsBuyerMarketMaker,XUnknownParameter,TimestampOfRequest,MessageOutputTime,"
    "LastUpdateId,StreamType,Market,IsLast,ServiceId"
)
UPDATE = (
    "1744588800109000,1744588800109,s,depthUpdate,1744588800106,1744588800061,TRXUSDT,7,9,6,"
    "{ask},0.25,4267.0,,,,,,,,DIFFERENCE_DEPTH_STREAM,USD_M_FUTURES,0,5521"
)


def events():
    from io import BytesIO

    data = np.zeros(5, EVENT)
    for at in range(5):
        data[at] = ((at % 4 + 1) | LOCAL | 1 << 29, 10**18 + at, 10**18 + at, 1.5, 2.0, 0, 0, 0.0)
    out = BytesIO()
    np.savez(out, data=data)
    return out.getvalue()


def lines(*texts):
    return "".join(f"{one}\n" for one in texts).encode()


WHOLE = {
    "book.csv": test_tardis.DAY.encode(),
    "BTCUSDT-aggTrades-2025-01-01.csv": lines(
        *(f"{at},1.5,2,{at},{at},{1735689600000 + at},true,true" for at in range(4))
    ),
    "BTCUSDT-fundingRate-2025-01.csv": lines(
        "calc_time,funding_interval_hours,last_funding_rate", "1735689600000,8,0.0001"
    ),
    "btcusdt.dat": lines(*test_hftbacktest.LINES),
    "capture.jsonl": lines(
        *map(
            json.dumps,
            [
                test_cryptofeed.header("BYBIT", l2_book=["BTC-USDT-PERP"], trades=["BTC-USDT"]),
                test_cryptofeed.bybit_book(0, "snapshot", 5),
                test_cryptofeed.bybit_book(1, "delta", 6),
            ],
        )
    ),
    "merged.csv": lines("# report", MERGED, *(UPDATE.format(ask=ask) for ask in (0, 1))),
    "btcusdt.npz": events(),
}
HINTS = {"btcusdt.npz": {"exchange": "BINANCE"}}


def take(path, name):
    for on_bad in ("error", "quarantine"):
        with suppress(DataError):
            files, _ = discover(path, **HINTS.get(name, {}))
            for file in files:
                for rows in file.read(Checks(on_bad, "report")):
                    rows.validate(full=True)


@pytest.mark.parametrize("name", WHOLE)
def test_whole(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(WHOLE[name])
    files, _ = discover(path, **HINTS.get(name, {}))
    assert sum(len(rows) for file in files for rows in file.read(Checks())) > 0


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("pack", [False, True])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged(tmp_path, name, pack, data):
    raw = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        how = data.draw(st.sampled_from(["set", "cut", "drop", "put"]))
        if how == "set" and raw:
            raw[at] = data.draw(st.sampled_from([*b'0,-{}[]"\n:e.\x00\xff', 65]))
        elif how == "cut":
            del raw[at:]
        elif how == "drop":
            del raw[at : at + data.draw(st.integers(1, 40))]
        else:
            raw[at:at] = data.draw(
                st.sampled_from([b"\n", b"nan", b"1e999", b'"', b"null", b"9" * 25])
            )
    path = tmp_path / name
    path.write_bytes(bytes(raw))
    if pack and not name.endswith(".npz"):
        packed = gzip.compress(bytes(raw))
        path = tmp_path / f"{name}.gz"
        path.write_bytes(packed[: data.draw(st.integers(1, len(packed)))])
    take(path, name)
