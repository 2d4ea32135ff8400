"""From the bucket to a backtest: downloaded, validated, loaded and run, from either store alike."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrcore.market import SyntheticMarket
from mrtrade.backtest import run
from mrtrade.clock import to_ns
from mrtrade.data.loader import DataLoader
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.synthetic import write_lake
from tests.cli.test_cli import STRATEGY
from tests.cli.test_cli import run as run_command
from tests.data.places import at, place
from tests.lake.make import key_of, put_day

__all__ = ["place"]

EXCHANGE, SYMBOL = "SYNTHETIC", "BTC/USDT"
DAYS = ("2024-01-01", "2024-01-02")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A market of 20 minutes around midnight: (table, day) -> rows, as Crypto Lake has them.

    The snapshot lies within the stream of deltas, as rows without a time of the exchange.
    """
    start = to_ns(f"{DAYS[1]}T00:00:00") - 600 * 10**9
    market = SyntheticMarket(
        7, start_ns=start, fair_sd_ticks=300.0, half_life_s=10.0, market_rate=10.0, cancel_rate=0.5
    )
    written = write_lake(tmp_path_factory.mktemp("lake"), market.run(1_200.0), EXCHANGE, SYMBOL)
    rows = {
        (path.parts[-5], path.parts[-2][3:]): pq.read_table(path, partitioning=None)
        for path in written
    }
    seed = rows.pop(("book_seed", DAYS[0]))
    untimed = pa.array([0] * len(seed), pa.int64())
    seed = seed.set_column(0, "timestamp", untimed)
    rows["book_delta_v2", DAYS[0]] = pa.concat_tables([seed, rows["book_delta_v2", DAYS[0]]])
    return rows


@at("native")
def test_download_validate_load_and_backtest(stub, recorded, place, tmp_path, capsys, monkeypatch):
    for (table, day), rows in recorded.items():
        put_day(stub, table, day, rows, exchange=EXCHANGE)
    assert (stub.root / "qnt.data" / key_of("trades", DAYS[0], exchange=EXCHANGE)).is_file()
    monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTING")
    monkeypatch.setenv("MRTRADE_LAKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    stores = {"parquet": "store", place.kind: place.url}

    def mrtrade(*arguments):
        return run_command(capsys, monkeypatch, *arguments)

    what = ("--exchange", EXCHANGE, "--symbol", SYMBOL)
    for to, url in stores.items():
        to = to if to == "parquet" else url
        code, out, err = mrtrade("download", *what, "--start", DAYS[0], "--end", "2024-01-03",
                                 "--tables", "book_delta_v2,trades", "--to", to,
                                 "--allow-gaps")  # fmt: skip
        assert (code, err) == (0, "")
        assert "1 snapshot" in out
        assert out.count("23 h 50 min") == 4  # 20 minutes of two days are there
        code, out, err = mrtrade("validate", "--store", url, *what)
        assert code == 0, out + err
        assert "0 WARN, 0 FAIL" in out
    assert stub.count("GET", ".parquet") == 4  # the second store came out of the cache

    frames = [
        DataLoader(EXCHANGE, url, cache=False).load_combined(SYMBOL, "10s")
        for url in stores.values()
    ]
    assert len(frames[0]) > 100
    assert frames[0]["mid"].notna().any()
    assert frames[0]["seeded"].any()
    pd.testing.assert_frame_equal(*frames, check_exact=True)

    (tmp_path / "flip.py").write_text(STRATEGY)
    config = {
        "exchange": EXCHANGE,
        "symbol": SYMBOL,
        "strategy": {"name": str(tmp_path / "flip.py")},
        "queue": {"compare": False},
    }
    results = [run({**config, "store": url}) for url in stores.values()]
    assert len(results[0].fills)
    for name in ("fills", "orders", "equity"):
        pd.testing.assert_frame_equal(
            *(getattr(result, name) for result in results), check_exact=True
        )
    # And equal to what never left the disk.
    here = ParquetStore("store")
    for (table, day), rows in recorded.items():
        stored = here.read(table, EXCHANGE, SYMBOL, day, pd.Timestamp(day) + pd.Timedelta("1d"))
        assert stored["price"].to_pylist() == rows["price"].to_pylist()
