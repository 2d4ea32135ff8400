"""Each object is fetched once, whole and checked, whatever the network does."""

import hashlib
import threading

import pyarrow.parquet as pq
import pytest

from mrtrade.data.providers.lake import CryptoLakeProvider
from mrtrade.data.providers.lake.access import ATTEMPTS
from mrtrade.errors import DataError, SourceError
from tests.lake.make import BUCKET, key_of, put_day, rows_of, to_bytes

DAY = "2026-04-01"
AT = ("book_delta_v2", "binance", "BTC/USDT")


def plan(provider, start=DAY, end="2026-04-02"):
    return provider.plan(*AT, start, end)


def fetch_one(provider, progress=None):
    (day,) = plan(provider)
    (file,) = provider.fetch(day, progress)
    return file


@pytest.fixture
def rows(stub):
    return put_day(stub, "book_delta_v2", DAY, rows_of("book_delta_v2", DAY, 20_000))


def test_a_file_is_what_the_bucket_holds_and_is_fetched_once(stub, provider, rows):
    come = []
    file = fetch_one(provider, come.append)
    content = stub.root / BUCKET / key_of("book_delta_v2", DAY)
    assert file.path.read_bytes() == content.read_bytes()
    assert file.name == f"book_delta_v2/exchange=BINANCE/symbol=BTC-USDT/dt={DAY}/1.snappy.parquet"
    assert (file.exchange, file.symbol) == ("BINANCE", "BTC-USDT")
    assert pq.read_table(file.path, partitioning=None).equals(rows)
    assert sum(come) == content.stat().st_size

    again = []
    fetch_one(provider, again.append)
    assert again == [content.stat().st_size]
    assert stub.count("GET", ".parquet") == 1
    assert not list(provider.folder.rglob("*.part"))


@pytest.mark.parametrize("part_size", [None, 100_000])
@pytest.mark.parametrize("kind", ["cut", "short"])
def test_a_cut_connection_is_resumed_where_it_broke(stub, provider, pauses, kind, part_size):
    put_day(stub, "book_delta_v2", DAY, rows_of("book_delta_v2", DAY, 20_000), part_size=part_size)
    stub.fail(kind, times=2, match=".parquet", after=150_000)
    come = []
    fetch_one(provider, come.append)
    ranges = [span for method, path, span in stub.requests if method == "GET" and "1.snap" in path]
    if kind == "short":
        assert ranges == [None, "bytes=150000-", "bytes=300000-"]
    else:  # of the block that a reset breaks into, nothing is known
        assert ranges == [None, "bytes=131072-", "bytes=262144-"]
    assert sum(come) == (stub.root / BUCKET / key_of("book_delta_v2", DAY)).stat().st_size
    assert len(pauses) == 2


def test_patience_lasts_while_anything_comes(stub, provider, rows, pauses):
    stub.fail("short", times=ATTEMPTS + 2, match=".parquet", after=25_000)
    assert fetch_one(provider).path.read_bytes() == to_bytes(rows)
    assert max(pauses) <= 0.25


def test_a_part_left_by_an_ended_process_is_gone_on_from(stub, provider, rows, pauses):
    (day,) = plan(provider)
    stub.fail("short", times=1, match=".parquet", after=100_000)
    stub.fail("status", times=99, match=".parquet")
    with pytest.raises(SourceError, match="asks for patience"):
        provider.fetch(day)
    (part,) = provider.folder.rglob("*.part")
    assert part.stat().st_size == 100_000
    assert not list(provider.folder.rglob("*.parquet"))

    stub.faults.clear()
    stub.requests.clear()
    fetch_one(provider)
    assert [span for _, path, span in stub.requests if "1.snap" in path] == ["bytes=100000-"]


def test_a_part_with_wrong_bytes_is_fetched_anew(stub, provider, rows):
    (day,) = plan(provider)
    folder = provider.folder / "book_delta_v2" / "exchange=BINANCE" / "symbol=BTC-USDT"
    part = folder / f"dt={DAY}" / f".1.snappy.parquet.{day.objects[0].etag}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(70_000))  # blocks that a power cut left unwritten
    come = []
    (file,) = provider.fetch(day, come.append)
    assert hashlib.md5(file.path.read_bytes()).hexdigest() == day.objects[0].etag
    assert sum(come) == day.size


@pytest.mark.parametrize("part_size", [None, 100_000])
def test_changed_bytes_are_noticed(stub, provider, part_size):
    put_day(stub, "book_delta_v2", DAY, rows_of("book_delta_v2", DAY, 20_000), part_size=part_size)
    stub.fail("flip", times=1, match=".parquet", after=5_000)
    fetch_one(provider)
    assert stub.count("GET", "1.snappy") == 2
    stub.fail("flip", times=2, match=".parquet", after=5_000)
    with pytest.raises(SourceError, match="not those that its ETag was made of"):
        fetch_one(CryptoLakeProvider(provider.folder.parent / "other", endpoint=stub.url))


@pytest.mark.parametrize(
    ("status", "code"), [(503, "SlowDown"), (429, "TooManyRequests"), (500, "InternalError")]
)
def test_a_server_that_asks_for_patience_is_given_it(stub, provider, rows, pauses, status, code):
    stub.fail("status", times=3, match="list-type", status=status, code=code)
    stub.fail("status", times=4, match=".parquet", status=status, code=code)
    stub.fail("reset", times=1, match=".parquet")
    fetch_one(provider)
    assert len(pauses) == 8
    assert pauses[1] > pauses[0] / 2  # half to all of 0.25 s doubled each time
    assert all(0.125 * 2**n <= waited <= 0.25 * 2**n for n, waited in enumerate(pauses[:3]))


def test_patience_ends(stub, provider, rows, pauses):
    stub.fail("status", times=99)
    with pytest.raises(SourceError, match=r"asks for patience, after 8 tries \(SlowDown\)"):
        plan(provider)
    assert len(pauses) == ATTEMPTS - 1


def test_a_corrected_day_is_noticed_though_cached(stub, provider, rows):
    fetch_one(provider)
    corrected = put_day(stub, "book_delta_v2", DAY, rows_of("book_delta_v2", DAY, 777))
    file = fetch_one(provider)
    assert pq.read_table(file.path, partitioning=None).equals(corrected)


def test_a_day_corrected_between_list_and_fetch_is_the_corrected_one(stub, provider, rows):
    (day,) = plan(provider)
    corrected = put_day(stub, "book_delta_v2", DAY, rows_of("book_delta_v2", DAY, 777))
    (file,) = provider.fetch(day)
    assert pq.read_table(file.path, partitioning=None).equals(corrected)
    (stub.root / BUCKET / key_of("book_delta_v2", DAY)).unlink()
    put_day(stub, "book_delta_v2", "2026-04-05")
    with pytest.raises(SourceError, match="taken out of the bucket"):
        CryptoLakeProvider(provider.folder.parent / "b", endpoint=stub.url).fetch(day)


def test_a_shard_that_is_no_more_goes_from_the_cache(stub, provider):
    for name in ("1.snappy.parquet", "2.snappy.parquet", "10.snappy.parquet"):
        put_day(stub, "book_delta_v2", DAY, name=name)
    (day,) = plan(provider)
    names = [file.path.name for file in provider.fetch(day)]
    assert names == ["1.snappy.parquet", "2.snappy.parquet", "10.snappy.parquet"]
    (stub.root / BUCKET / key_of("book_delta_v2", DAY, name="2.snappy.parquet")).unlink()
    (day,) = plan(provider)
    provider.fetch(day)
    left = sorted(path.name for path in provider.folder.rglob("*") if path.is_file())
    assert left == sorted(f"{dot}{n}.snappy.parquet{end}" for n in (1, 10) for dot, end in
                          (("", ""), (".", ".json")))  # fmt: skip


def test_a_damaged_file_of_the_cache_is_fetched_again(stub, provider, rows):
    file = fetch_one(provider)
    content = bytearray(file.path.read_bytes())
    content[1_000] ^= 1
    file.path.write_bytes(content)
    fetch_one(provider)
    assert file.path.read_bytes() == to_bytes(rows)


def test_two_at_once_fetch_an_object_once(stub, provider, rows):
    (day,) = plan(provider)
    stub.fail("slow", times=1, match=".parquet", after=0.05)
    others = [CryptoLakeProvider(provider.folder.parent, endpoint=stub.url) for _ in range(3)]
    threads = [threading.Thread(target=one.fetch, args=(day,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stub.count("GET", "1.snappy") == 1


@pytest.mark.parametrize(
    "content", [b"", b"PAR1 but not the rest", to_bytes(rows_of("book", DAY, 5))]
)
def test_a_corrupt_day_is_one_error_and_is_not_transferred_twice(stub, provider, content):
    stub.put(BUCKET, key_of("book_delta_v2", DAY), content)
    (day,) = plan(provider)
    for _ in range(2):
        with pytest.raises(DataError, match=f"book_delta_v2 BINANCE BTC-USDT {DAY}: what Crypto"):
            provider.fetch(day)
    assert stub.count("GET", ".parquet") <= 1
    rows = put_day(stub, "book_delta_v2", DAY)
    assert pq.read_table(fetch_one(provider).path, partitioning=None).equals(rows)


def test_a_folder_that_cannot_be_written_is_one_error(stub, provider, rows, tmp_path):
    (day,) = plan(provider)
    (tmp_path / "file").write_text("in the way")
    blocked = CryptoLakeProvider(tmp_path / "file", endpoint=stub.url)
    with pytest.raises(SourceError, match=r"cannot keep .*not a directory.*MRTRADE_LAKE_CACHE"):
        blocked.fetch(day)
