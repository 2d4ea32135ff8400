"""The vendor's client and the stream give equal frames, and it leaves nothing behind."""

import datetime as dt
import json
import os
import subprocess
import sys
import zlib
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from mrtrade.data.providers.lake import LAKE_TABLES, CryptoLakeProvider, vendor
from mrtrade.data.schemas import TABLES
from mrtrade.errors import ConfigError, DataError, SourceError
from tests.lake.make import BUCKET, ROOT, key_of, put_day, rows_of

pytestmark = pytest.mark.lakeapi

DAYS = ("2026-04-01", "2026-04-02", "2026-04-03")
WHERE = ("binance", "BTC/USDT")


@pytest.fixture
def here(stub, monkeypatch, tmp_path):
    """An empty folder to stand in, and lakeapi's server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def provider(here, client):
    return CryptoLakeProvider(here / "cache", client=client)


@pytest.mark.parametrize("table", LAKE_TABLES)
def test_both_clients_give_equal_frames(stub, here, table, monkeypatch, capfd):
    monkeypatch.setattr("mrtrade.data.providers.lake.provider.SMALL_TABLES", set(LAKE_TABLES))
    for day in DAYS:
        put_day(stub, table, day)
    span = ("2026-04-01T06:00", "2026-04-03T18:00")
    frames = [provider(here, client).load(table, *WHERE, *span) for client in ("lakeapi", "s3")]
    pd.testing.assert_frame_equal(*frames)
    assert list(frames[0].columns) == TABLES[table].schema.names
    assert len(frames[0]) == 2_500
    assert frames[0]["received_time"].dtype == "int64"
    assert capfd.readouterr() == ("", "")
    assert os.listdir() == []
    assert list((here / "cache" / ".lake_cache" / "boto").iterdir())


def test_oddities_come_out_equal(stub, here):
    rows = rows_of("funding", DAYS[0])
    odd = [1775001600.1234567, float("nan"), *rows["next_funding_time"].to_pylist()[2:]]
    zero = pa.array([0, -1, *rows["timestamp"].to_pylist()[2:]])
    rows = rows.set_column(2, "next_funding_time", pa.array(odd)).set_column(3, "timestamp", zero)
    put_day(stub, "funding", DAYS[0], rows.drop_columns("index_price"))
    put_day(stub, "liquidations", DAYS[0], rows_of("liquidations", DAYS[0], 3))
    for table in ("funding", "liquidations"):
        frames = [
            provider(here, client).load(table, *WHERE, *DAYS[:2]) for client in ("lakeapi", "s3")
        ]
        pd.testing.assert_frame_equal(*frames)
    assert frames[0]["liquidation_id"].isna().all()


def test_shards_and_one_series_of_many(stub, here):
    rows = rows_of("open_interest", DAYS[0], 3_000)
    for number, part in ((2, rows[1_000:2_000]), (10, rows[2_000:]), (1, rows[:1_000])):
        put_day(stub, "open_interest", DAYS[0], part, name=f"{number}.snappy.parquet")
    for symbol in ("ETH-USDT", "BTC-USDT-PERP", "BTC-USDC"):
        put_day(stub, "open_interest", DAYS[0], symbol=symbol)
    frame = provider(here, "lakeapi").load("open_interest", *WHERE, *DAYS[:2])
    assert frame["received_time"].tolist() == rows["receipt_timestamp"].to_pylist()
    stub.requests.clear()
    assert len(provider(here, "lakeapi").load("open_interest", "binance", "ETH/USDT", *DAYS[:2]))
    listed = [path for _, path, _ in stub.requests if "list-type" in path]
    assert all("symbol=ETH-USDT/" in path for path in listed)


def test_days_that_lakeapi_leaves_out_are_said(stub, here, capfd):
    put_day(stub, "funding", DAYS[0])
    stub.put(BUCKET, key_of("funding", DAYS[1]), b"")
    one = provider(here, "lakeapi")
    with pytest.raises(SourceError, match="on 1 of the 3 days, was '2026-04-03'"):
        one.load("funding", *WHERE, "2026-04-01", "2026-04-04")
    with pytest.raises(DataError, match="2026-04-02: what Crypto Lake holds of this day cannot"):
        one.load("funding", *WHERE, "2026-04-01", "2026-04-03")
    frame = one.load("funding", *WHERE, "2026-04-01", "2026-04-04", on_gap="report")
    assert len(frame) == 1_000
    assert [gap.reason for gap in one.gaps] == ["corrupt", "missing"]
    stub.put(BUCKET, key_of("funding", DAYS[1]), b"PAR1 is not all")
    one.load("funding", *WHERE, "2026-04-01", "2026-04-04", on_gap="report")
    assert [gap.reason for gap in one.gaps] == ["corrupt", "missing"]
    # Corrected and supplied: noticed at once, though lakeapi remembers its listing for hours.
    put_day(stub, "funding", DAYS[1], rows_of("funding", DAYS[1], 777))
    put_day(stub, "funding", DAYS[2])
    assert len(one.load("funding", *WHERE, "2026-04-01", "2026-04-04")) == 2_777
    assert capfd.readouterr() == ("", "")


def test_the_sample_leaves_lakeapi_as_it_was(stub, here, monkeypatch):
    stub.put("sample.crypto.lake", key_of("funding", DAYS[0], root=""), b"")
    put_day(stub, "funding", DAYS[0], bucket="sample.crypto.lake", root="")
    put_day(stub, "funding", DAYS[0], rows_of("funding", DAYS[0], 10))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    sample = CryptoLakeProvider(here / "cache", sample=True, client="lakeapi")
    assert len(sample.load("funding", *WHERE, *DAYS[:2])) == 1_000
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTING")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-itself")
    assert len(provider(here, "lakeapi").load("funding", *WHERE, *DAYS[:2])) == 10
    import lakeapi.main

    assert lakeapi.main.default_bucket == f"{BUCKET}/{ROOT}"
    assert not lakeapi.main.is_anonymous_access
    assert "print" not in vars(lakeapi.main)


def answer_login(monkeypatch, main, method):
    def login(session, table):
        return "me", method

    login.cache = main._login.cache
    monkeypatch.setattr(main, "_login", login)


def cloudfront(monkeypatch, stub, status=200):
    """Let the login answer as the vendor's may, and its address lead to the stub."""
    import lakeapi.main

    get = lakeapi.main.requests.get

    def redirected(url, auth=None, **options):
        key = url.removeprefix("https://data.crypto-lake.com/")
        answer = get(f"{stub.url}/{BUCKET}/{key}", **options)
        answer.status_code = status
        return answer

    for table in ("funding", "liquidations"):
        keys = [key_of(table, DAYS[0])]
        contents = zlib.compress(json.dumps({"objects": keys}).encode())
        stub.put(BUCKET, f"{ROOT}/{table}/contents.json.gz", contents)
    answer_login(monkeypatch, lakeapi.main, "cloudfront")
    monkeypatch.setattr(lakeapi.main.requests, "get", redirected)


def test_the_way_over_cloudfront_gives_the_same(stub, here, monkeypatch, capfd):
    expected = []
    for table in ("funding", "liquidations"):
        put_day(stub, table, DAYS[0])
        expected.append(provider(here, "s3").load(table, *WHERE, *DAYS[:2]))
    vendor._imported(here / "cache")
    cloudfront(monkeypatch, stub)
    for table, frame in zip(("funding", "liquidations"), expected, strict=True):
        found = provider(here, "lakeapi").load(table, *WHERE, *DAYS[:2])
        pd.testing.assert_frame_equal(found, frame)
    (stub.root / BUCKET / key_of("funding", DAYS[0])).write_bytes(b"not parquet")
    with pytest.raises(DataError, match="lakeapi gives no rows"):
        provider(here, "lakeapi").load("funding", *WHERE, *DAYS[:2])
    assert capfd.readouterr() == ("", "")


def test_the_quota_if_it_can_be_asked(stub, here, monkeypatch):
    import lakeapi.main

    assert provider(here, "s3").used_data() is None
    lake = provider(here, "lakeapi")
    get = SimpleNamespace(status_code=200, raise_for_status=lambda: None,
                          json=lambda: {"downloaded_gb": 151.35})  # fmt: skip
    asked = []

    def answered(url, headers, timeout):
        asked.append((url, timeout))
        return get

    monkeypatch.setattr(lakeapi.main.requests, "get", answered)
    assert lake.used_data() == {"downloaded_gb": 151.35}
    assert asked == [("https://api.crypto-lake.com/unknown", vendor.TIMEOUT_S)]

    def unreachable(url, headers, timeout):
        raise lakeapi.main.requests.exceptions.ConnectionError("no route")

    monkeypatch.setattr(lakeapi.main.requests, "get", unreachable)
    assert lake.used_data() is None


def test_a_client_that_the_vendor_retires(stub, here, monkeypatch):
    put_day(stub, "funding", DAYS[0])
    main = vendor._imported(here / "cache")
    answer_login(monkeypatch, main, "forceupgrade")
    with pytest.raises(SourceError, match=r"no longer serves this version.*client=\"s3\""):
        provider(here, "lakeapi").load("funding", *WHERE, *DAYS[:2])


def test_without_lakeapi_the_frame_is_the_same(stub, here, monkeypatch):
    put_day(stub, "funding", DAYS[0])
    expected = provider(here, "auto").load("funding", *WHERE, *DAYS[:2])
    assert stub.count("HEAD")  # by lakeapi; we ask for none
    monkeypatch.setattr("mrtrade.data.providers.lake.provider.installed", lambda: False)
    monkeypatch.setattr(vendor, "installed", lambda: False)
    stub.requests.clear()
    pd.testing.assert_frame_equal(
        provider(here, "auto").load("funding", *WHERE, *DAYS[:2]), expected
    )
    assert not stub.count("HEAD")
    with pytest.raises(SourceError, match=r'lakeapi is not installed.*pip install "mrtrade\[lake'):
        provider(here, "lakeapi").load("funding", *WHERE, *DAYS[:2])
    with pytest.raises(ConfigError, match="lakeapi takes no endpoint"):
        CryptoLakeProvider(here, endpoint="http://127.0.0.1", client="lakeapi")
    with pytest.raises(ConfigError, match="unknown client"):
        CryptoLakeProvider(here, client="s4")


@pytest.mark.filterwarnings("ignore")  # it warns of pandas 3
def test_what_lakeapi_does_by_itself(stub, here):
    """The holes that this package is here to close; if one closes by itself, this says so."""
    put_day(stub, "funding", DAYS[0])
    stub.put(BUCKET, key_of("funding", DAYS[1]), b"")
    lakeapi = vendor._imported(here / "cache").lakeapi
    lakeapi.cache.clear()
    span = (dt.datetime(2026, 4, 1, 10), dt.datetime(2026, 4, 4, 12))
    frame = lakeapi.load_data("funding", *span, ["BTC-USDT"], ["BINANCE"], cached=False)
    assert len(frame) == 1_000  # hours ignored; one day corrupt, one missing, and nothing said
    with pytest.raises(AttributeError, match="has no attribute 'date'"):
        lakeapi.load_data("funding", "2026-04-01", "2026-04-02", ["BTC-USDT"], ["BINANCE"])


def test_importing_leaves_the_working_folder_alone(here):
    script = (
        "from pathlib import Path; import mrtrade.data.providers.lake.vendor as v;"
        "v._imported(Path('../cache').absolute())"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=here / "cwd")
    assert os.listdir(here / "cwd") == []
    made = sorted(path.name for path in (here / "cache" / ".lake_cache").iterdir())
    assert made == [".gitignore", "boto", "contents", "joblib", "login", "used_data"]
