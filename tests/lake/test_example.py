"""What docs/crypto-lake.md shows, against a server that has it."""

from pathlib import Path

from tests.lake.make import put_day, rows_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "crypto-lake.md"
WHERE = {"exchange": "BINANCE_FUTURES", "symbol": "BTC-USDT-PERP"}


def test_the_example_runs(stub, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
    monkeypatch.setenv("MRTRADE_LAKE_CACHE", str(tmp_path / "cache"))
    for number in range(1, 32):
        day = f"2024-08-{number:02}"
        put_day(stub, "funding", day, rows_of("funding", day, 10), **WHERE)
        for table in ("book_delta_v2", "book") if number < 8 else ():
            put_day(stub, table, day, **WHERE)
    put_day(stub, "trades", "2024-08-01")
    monkeypatch.setattr(
        "mrtrade.data.providers.lake.vendor.Vendor.used_data", lambda self: {"downloaded_gb": 1}
    )
    (example,) = PAGE.read_text().split("```py\n")[1:]
    names: dict[str, object] = {}
    exec(example.partition("```")[0], names)
    assert len(names["frame"]) == 310
    assert names["seed"].table == "book_seed"
    assert names["free"].folder == tmp_path / "cache" / "sample.crypto.lake"
