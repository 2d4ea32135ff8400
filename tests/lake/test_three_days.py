"""Three days and all that can go wrong with them: what is said, and that a rerun ends well."""

import numpy as np
import pyarrow as pa
import pytest

from mrtrade.data.ingest import ingest_files
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.providers.lake import CryptoLakeProvider
from mrtrade.errors import MrTradeError
from tests.lake.make import BUCKET, key_of, put_day, rows_of

DAYS = ("2026-04-01", "2026-04-02", "2026-04-03")
SPAN = ("book_delta_v2", "binance", "BTC/USDT", "2026-04-01", "2026-04-04")


def bring_in(provider, store):
    """Fetch and store each day; return what is said of those that cannot be had."""
    said = {}
    for day in provider.plan(*SPAN):
        try:
            ingest_files(provider.fetch(day), store)
        except MrTradeError as error:
            said[day.day] = str(error)
        else:
            if not day.objects:
                said[day.day] = "missing"
    return said


def test_what_each_says_and_that_a_rerun_completes(stub, provider, pauses, tmp_path, capfd):
    rows = [rows_of("book_delta_v2", day, 20_000) for day in DAYS]
    store = ParquetStore(tmp_path / "store")
    put_day(stub, "book_delta_v2", DAYS[0], rows[0][:15_000])
    stub.put(BUCKET, key_of("book_delta_v2", DAYS[2]), b"PAR1, and then nothing")
    stub.fail("status", times=3, match="list-type")
    stub.fail("cut", times=2, match=DAYS[0], after=100_000)

    said = bring_in(provider, store)
    assert list(said) == [DAYS[1], DAYS[2]]
    assert said[DAYS[1]] == "missing"
    assert said[DAYS[2]].endswith(
        "book_delta_v2 BINANCE BTC-USDT 2026-04-03: what Crypto Lake holds of this day cannot be "
        "read: not a whole Parquet file: Parquet magic bytes not found in footer. Either the file "
        "is corrupted or this is not a parquet file., was '22 bytes'; expected a file that ends in "
        "a Parquet footer, every page of it readable. To fix: go on without this day, tell Crypto "
        "Lake, and fetch it again when corrected"
    )
    assert store.days(*SPAN[:3]) == [DAYS[0]]

    # The first day is replaced although cached, the second appears, the third is corrected; but now
    # the keys are wrong.
    for day, content in zip(DAYS, rows, strict=True):
        put_day(stub, "book_delta_v2", day, content)
    stub.keys = {"AKIAOTHER"}
    with pytest.raises(MrTradeError) as caught:
        bring_in(provider, store)
    assert str(caught.value) == (
        "cannot list market-data/cryptofeed/book_delta_v2/exchange=BINANCE/symbol=BTC-USDT/: the "
        "server does not accept the access key (InvalidAccessKeyId). To fix: check "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: they are those that Crypto Lake gave you, "
        "not of another account"
    )
    stub.keys = None
    assert bring_in(provider, store) == {}
    stored = store.read(*SPAN[:3])
    raw = pa.concat_tables(rows)
    for name, column in (("received_time", "receipt_timestamp"), ("price", "price")):
        assert np.array_equal(stored[name].to_numpy(), raw[column].to_numpy())

    stub.requests.clear()
    again = CryptoLakeProvider(tmp_path / "cache", endpoint=stub.url)
    assert bring_in(again, store) == {}
    assert len(stub.requests) == 1
    assert capfd.readouterr() == ("", "")
