"""The Parquet store on S3: what a network and other writers can do to it."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from mrtrade.data.parquet import ParquetStore, files_s3, lease
from mrtrade.data.schemas import TABLES
from mrtrade.data.store import Source
from mrtrade.errors import ConfigError, StoreError

from ..lake import DAY, SECOND, T0, deltas

pytestmark = pytest.mark.server("s3")

HERE = ("book_delta_v2", "BINANCE", "BTC/USDT")
KEY = f"p/book_delta_v2/exchange=BINANCE/symbol=BTC-USDT/dt={DAY}/part.parquet"
SOME = deltas(*[(i * SECOND, i, i % 2 == 0, 100 + i, 1) for i in range(500)])
MORE = deltas((SECOND // 2, 9_000, True, 99, 1), (700 * SECOND, 9_001, True, 98, 0))
SCHEMA = TABLES["book_delta_v2"].schema
SOURCE = Source("other", 1, "00", (DAY,))


@pytest.fixture
def store(bucket):
    return ParquetStore(f"s3://{bucket}/p")


@pytest.fixture
def quick_lease(monkeypatch):
    monkeypatch.setattr(lease, "LEASE_S", 2.0)


def eventually(function):
    """Return what a function gives once it raises no StoreError any more."""
    for _ in range(600):
        try:
            return function()
        except StoreError:
            time.sleep(0.1)
    return function()


def numbers(store, **span):
    return store.read(*HERE, **span)["sequence_number"].to_pylist()


def keys(s3, bucket):
    return sorted(one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", []))


def test_what_is_written_is_read(store, s3, bucket):
    assert store.series() == []
    [entry] = store.write(*HERE, SOME)
    assert entry.rows == 500
    assert store.write(*HERE, SOME) == []
    store.write(*HERE, MORE)
    assert numbers(store) == [0, 9_000, *range(1, 500), 9_001]
    again = ParquetStore(f"s3://{bucket}//p/")
    assert again.url == store.url == f"s3://{bucket}/p"
    assert again.series() == [HERE]
    assert again.days(*HERE) == [DAY]
    assert again.entries(*HERE) == store.entries(*HERE)
    assert again.verify(*HERE) == []
    assert numbers(again, start=T0 + 3 * SECOND, end=T0 + 5 * SECOND) == [3, 4]
    assert keys(s3, bucket) == sorted([KEY, KEY.replace("part.parquet", "_manifest.json")])
    store.remove_day(*HERE, DAY)
    assert keys(s3, bucket) == []
    with pytest.raises(StoreError, match="no book_delta_v2 of 2024-08-08"):
        store.remove_day(*HERE, DAY)


def test_a_listing_of_many_pages(store, s3, bucket):
    rows = deltas(*[(i * 86_400 * SECOND, i, True, 100, 1) for i in range(5)])
    store.write(*HERE, rows)
    real = store.client = store.files.client
    real.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": 3}
    )
    assert len(store.days(*HERE)) == 5
    assert numbers(store) == list(range(5))


def test_large_parts_are_read_in_ranges(store, monkeypatch):
    monkeypatch.setattr(files_s3, "_TAIL", 1_000)
    monkeypatch.setattr("mrtrade.data.parquet.parts.ROW_GROUP_ROWS", 2_000)
    rng = np.random.default_rng(1)
    rows = deltas(*[(i, i, True, 100 + rng.random(), rng.random()) for i in range(10_000)])
    store.write(*HERE, rows)
    assert numbers(store) == list(range(10_000))
    assert numbers(store, start=T0 + 7_000, end=T0 + 7_010) == list(range(7_000, 7_010))
    assert store.verify(*HERE) == []


WRITER = """
import sys
from mrtrade.data.parquet import ParquetStore, lease
lease.LEASE_S = float(sys.argv[2])
with ParquetStore(sys.argv[1]).writing():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_writes_and_a_dead_one_is_followed(store, quick_lease):
    store.write(*HERE, SOME)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, store.url, "2"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        for _ in range(2):
            with pytest.raises(StoreError, match=rf"another process .*process {other.pid}\)"):
                store.write(*HERE, MORE)
            time.sleep(3)  # longer than the lease: it is renewed
        assert numbers(store) == list(range(500))
        other.kill()
        other.wait()
        with pytest.raises(StoreError, match="if it died, in"):
            store.write(*HERE, MORE)
        eventually(lambda: store.write(*HERE, MORE))
    assert len(numbers(store)) == 502


def test_writers_at_once_lose_and_double_nothing(store):
    def write(at):
        mine = ParquetStore(store.url)
        for turn in range(3):
            rows = deltas((at * SECOND + turn, 10 * at + turn, True, 100, 1))
            eventually(lambda: mine.write(*HERE, rows))  # noqa: B023

    threads = [threading.Thread(target=write, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(store) == [10 * at + turn for at in range(4) for turn in range(3)]


def test_a_writer_that_lost_its_lock_writes_nothing(store, s3, bucket):
    store.write(*HERE, SOME)
    before = s3.head_object(Bucket=bucket, Key=KEY)["ETag"]
    with store.writing():
        store.files._lease._until = 0.0  # as if it could not be renewed
        with pytest.raises(StoreError, match="lock was lost"):
            store.write(*HERE, MORE)
    assert s3.head_object(Bucket=bucket, Key=KEY)["ETag"] == before
    s3.delete_object(Bucket=bucket, Key="p/_mrtrade.lock")
    store.write(*HERE, MORE)


def test_a_lock_that_was_taken_over_is_noticed_and_left_alone(store, s3, bucket, quick_lease):
    lock = {"Bucket": bucket, "Key": "p/_mrtrade.lock"}
    with store.writing():
        first = s3.head_object(**lock)["ETag"]
        while s3.head_object(**lock)["ETag"] == first:  # each renewal is another object ...
            time.sleep(0.05)
        s3.put_object(**lock, Body=b'{"token": "of another"}')  # ... so this is none of them
        while not store.files._lease._lost:
            time.sleep(0.05)
        with pytest.raises(StoreError, match="lock was lost"):
            store.write(*HERE, SOME)
    assert b"of another" in s3.get_object(**lock)["Body"].read()


@pytest.mark.parametrize("stored", [False, True])
def test_nothing_is_overwritten_that_the_writer_has_not_seen(store, s3, bucket, stored):
    if stored:
        store.write(*HERE, SOME)

    def stream():  # another writes while this one is at it, in spite of the lock
        s3.put_object(Bucket=bucket, Key=KEY, Body=b"of another")
        yield MORE.rename_columns(SCHEMA.names).cast(SCHEMA)

    with pytest.raises(StoreError, match="another process has written this since"):
        store.write_day(*HERE, DAY, [(SOURCE, stream())], keep=False)
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"of another"


def test_a_storage_without_conditional_put_is_refused(store, s3, bucket):
    def forget(params, **_):
        params["headers"].pop("If-None-Match", None)

    store.files.client.meta.events.register("before-call.s3.PutObject", forget)
    with pytest.raises(StoreError, match="does not know conditional PUT"):
        store.write(*HERE, SOME)
    assert keys(s3, bucket) == []


def test_an_upload_that_is_cut_off_leaves_all_as_it_was(proxy, s3, bucket):
    cut = proxy(b"PUT", after=5_000)
    store = ParquetStore(f"s3://{bucket}/p")
    store.write(*HERE, SOME)
    before = s3.head_object(Bucket=bucket, Key=KEY)["ETag"]
    rng = np.random.default_rng(1)
    large = deltas(*[(i, i, True, 100 + rng.random(), rng.random()) for i in range(20_000)])

    cut.cuts = 10**6  # a lock is smaller than that, a part is not
    with pytest.raises(StoreError, match=r"part\.parquet: S3 cannot be reached"):
        store.write(*HERE, large)
    assert cut.broken >= 5
    assert s3.head_object(Bucket=bucket, Key=KEY)["ETag"] == before
    assert numbers(store) == list(range(500))

    cut.cuts = 2  # a bad moment is passed over
    eventually(lambda: store.write(*HERE, large))
    assert len(numbers(store)) == 20_500
    assert store.verify(*HERE) == []


def test_an_answer_that_is_lost_is_no_other_writer(proxy, bucket):
    lost = proxy(b"PUT", answer=True)
    store = ParquetStore(f"s3://{bucket}/p")
    for rows in (SOME, MORE):
        lost.cuts = 1  # of the lock
        with store.writing():
            lost.cuts = 1  # of the part
            store.write(*HERE, rows)
    assert lost.broken == 4
    assert len(numbers(store)) == 502


def test_a_download_that_is_cut_off_is_repeated(proxy, bucket, monkeypatch):
    monkeypatch.setattr(files_s3, "_TAIL", 1_000)
    store = ParquetStore(f"s3://{bucket}/p")
    rng = np.random.default_rng(1)
    rows = deltas(*[(i, i, True, 100 + rng.random(), rng.random()) for i in range(20_000)])
    store.write(*HERE, rows)
    broken = proxy(b"GET", answer=True)
    store = ParquetStore(f"s3://{bucket}/p")
    broken.cuts = 3
    assert len(numbers(store)) == 20_000
    assert broken.broken == 3
    broken.cuts = 10**6
    with pytest.raises(StoreError, match="S3 cannot be reached"):
        numbers(store)


@pytest.mark.parametrize("versions", [False, True])
def test_a_reader_sees_the_old_part_or_the_new_one(s3, bucket, monkeypatch, versions):
    if versions:
        status = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=status)
    monkeypatch.setattr(files_s3, "_TAIL", 1_000)
    monkeypatch.setattr("mrtrade.data.parquet.parts.ROW_GROUP_ROWS", 100)
    store, writer = ParquetStore(f"s3://{bucket}/p"), ParquetStore(f"s3://{bucket}/p")
    store.write(*HERE, SOME)
    chunks = store.batches(*HERE)
    seen = [next(chunks).rows]
    writer.write(*HERE, MORE)
    if versions:
        seen += [chunk.rows for chunk in chunks]
        assert sum(map(len, seen)) == 500
    else:
        with pytest.raises(StoreError, match="was replaced while it was being read"):
            list(chunks)

    # ... and `read`, which gives all or nothing, begins anew
    real, left = store.files.get, [3]

    def get(key, **pinned):
        if "IfMatch" in pinned and left[0]:
            left[0] -= 1
            writer.write(*HERE, deltas((left[0], 70 + left[0], True, 1, 1)))
        return real(key, **pinned)

    monkeypatch.setattr(store.files, "get", get)
    assert len(numbers(store)) in ({502, 503, 504, 505} if versions else {505})
    assert left == [0]


def test_what_cannot_be_opened(s3, bucket, monkeypatch):
    with pytest.raises(StoreError, match="there is no such bucket"):
        ParquetStore("s3://no-such-bucket/p")
    with pytest.raises(ConfigError, match="not an address on S3"):
        ParquetStore("s3:///p")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "boto3", None)
        with pytest.raises(ConfigError, match=r'pip install "mrtrade\[s3\]"'):
            ParquetStore(f"s3://{bucket}/p")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="S3 cannot be reached"):
        ParquetStore(f"s3://{bucket}/p")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(StoreError, match=r"S3 refused \(no credentials\)"):
        ParquetStore(f"s3://{bucket}/p")


def test_wrong_keys_are_one_clear_message_without_the_secret(bucket, s3_server):
    refusal = (
        b'<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code>'
        b"<Message>no</Message></Error>"
    )
    store = ParquetStore(f"s3://{bucket}/p")

    def refuse(**_):
        from botocore.awsrequest import AWSResponse

        class Raw:
            def stream(self, **_):
                yield refusal

        return AWSResponse("http://127.0.0.1", 403, {}, Raw())

    store.files.client.meta.events.register("before-send.s3", refuse)
    for act in (store.series, lambda: numbers(store), lambda: store.write(*HERE, SOME)):
        with pytest.raises(StoreError, match=r"S3 refused \(SignatureDoesNotMatch\)") as caught:
            act()
        assert s3_server.password not in str(caught.value)
        assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)
