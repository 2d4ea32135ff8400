"""Each refusal is one clear error, from both clients, and says nothing that is secret."""

import io
import json
import traceback
import urllib.request

import boto3
import pytest
from moto.server import ThreadedMotoServer

from mrtrade.data.providers.lake import CryptoLakeProvider
from mrtrade.errors import SourceError
from tests.lake.make import BUCKET, key_of, put_day, rows_of, to_bytes
from tests.lake.s3stub import S3Stub

DAY, NEXT = "2026-04-01", "2026-04-02"
AT = ("funding", "binance", "BTC/USDT-PERP", DAY, NEXT)
SECRETS = ("the-secret-itself", "AKIATESTING", "a-session-token")
WHERE = {"exchange": "BINANCE_FUTURES", "symbol": "BTC-USDT-PERP"}


def refused(call, capfd):
    """The error of a call: shown as users see it, it names no secret, and nothing is printed."""
    with pytest.raises(SourceError) as caught:
        call()
    shown = "".join(traceback.format_exception_only(caught.value))
    out = "".join(capfd.readouterr())
    assert not [secret for secret in SECRETS if secret in shown + out]
    assert not out
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("InvalidAccessKeyId", 403, r"does not accept the access key \(InvalidAccessKeyId\)"),
        ("SignatureDoesNotMatch", 403, "does not accept the secret .* check AWS_ACCESS_KEY_ID"),
        ("ExpiredToken", 400, "the credentials have expired"),
        ("AccessDenied", 403, "may not read s3://qnt.data .* the subscription is paid"),
        ("RequestTimeTooSkewed", 403, "clock is wrong"),
        ("MalformedXML", 400, r"the server refused \(MalformedXML\)"),
    ],
)
@pytest.mark.parametrize("match", ["list-type", ".parquet"])
def test_a_refusal_is_one_clear_error(stub, provider, capfd, code, status, said, match):
    import re

    put_day(stub, "funding", DAY, **WHERE)
    stub.fail("status", times=99, match=match, code=code, status=status)
    message = refused(lambda: list(provider.stream(*AT)), capfd)
    assert re.search(said, message)
    assert len(stub.requests) == (1 if match == "list-type" else 2)  # not tried again


def test_no_credentials(stub, monkeypatch, tmp_path, capfd):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    provider = CryptoLakeProvider(tmp_path / "cache", endpoint=stub.url)
    message = refused(lambda: provider.plan(*AT), capfd)
    assert "no credentials of Crypto Lake were found" in message
    assert "free sample" in message


def test_a_profile_that_is_not_there(tmp_path, capfd):
    message = refused(lambda: CryptoLakeProvider(tmp_path, profile="lake"), capfd)
    assert "there is no AWS profile lake" in message


def test_keys_of_a_profile(stub, monkeypatch, tmp_path):
    (tmp_path / "no-credentials").write_text(
        "[lake]\naws_access_key_id = AKIALAKE\naws_secret_access_key = x\n"
    )
    stub.keys = {"AKIALAKE"}
    put_day(stub, "funding", DAY, **WHERE)
    CryptoLakeProvider(tmp_path / "cache", endpoint=stub.url, profile="lake").plan(*AT)
    with pytest.raises(SourceError, match="does not accept the access key"):
        CryptoLakeProvider(tmp_path / "cache", endpoint=stub.url).plan(*AT)


def test_a_server_that_is_not_there(tmp_path, pauses, capfd):
    with S3Stub(tmp_path) as stub:
        pass
    provider = CryptoLakeProvider(tmp_path / "cache", endpoint=stub.url)
    message = refused(lambda: provider.plan(*AT), capfd)
    assert "does not answer, or asks for patience, after 8 tries" in message
    with pytest.raises(SourceError, match=r"there is no bucket other \(NoSuchBucket\)"):
        with S3Stub(tmp_path) as stub:
            CryptoLakeProvider(tmp_path, bucket="other/x", endpoint=stub.url).plan(*AT)


def test_the_free_sample_needs_no_keys(stub, monkeypatch, tmp_path, capfd):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    where = {"bucket": "sample.crypto.lake", "root": ""}
    stub.put(where["bucket"], key_of("trades", "2022-10-01", root=""),
             to_bytes(rows_of("trades", "2022-10-01")))  # fmt: skip
    sample = CryptoLakeProvider(tmp_path / "cache", sample=True, endpoint=stub.url)
    span = ("binance", "BTC/USDT", "2022-10-01", "2022-10-02")
    assert len(sample.load("trades", *span)) == 1_000
    assert sample.used_data() is None
    stub.keys = set()
    assert "the free sample has no such data" in refused(lambda: sample.load("book", *span), capfd)


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def reset_auth(url, calls):
    """Let moto check signatures and permissions after so many more requests."""
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{url}/moto-api/reset-auth", str(calls).encode(), plain)
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


@pytest.fixture
def lake(moto, monkeypatch):
    """Crypto Lake's bucket on moto, which checks signatures; a user who may read, one who may not.

    Returns (access key, secret) of both.
    """
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    options = {"endpoint_url": moto, "region_name": "eu-west-1"}
    s3, iam = boto3.client("s3", **options), boto3.client("iam", **options)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    body = io.BytesIO(to_bytes(rows_of("funding", DAY)))
    s3.put_object(Bucket=BUCKET, Key=key_of("funding", DAY, **WHERE), Body=body)
    keys = []
    for user, effect in (("reader", "Allow"), ("stranger", "Deny")):
        statement = {"Effect": effect, "Action": "s3:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        keys.append((key["AccessKeyId"], key["SecretAccessKey"]))
    reset_auth(moto, 0)
    yield keys
    reset_auth(moto, 10**9)
    request = urllib.request.Request(f"{moto}/moto-api/reset", data=b"")
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


@pytest.mark.parametrize("client", ["s3", pytest.param("lakeapi", marks=pytest.mark.lakeapi)])
def test_signatures_and_permissions_on_moto(lake, monkeypatch, tmp_path, capfd, client):
    (key, secret), (other, others) = lake

    def provider(key, secret):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        return CryptoLakeProvider(tmp_path / "cache", client=client)

    for a, b, said in (
        ("AKIATESTING", secret, "does not accept the access key"),
        (key, "the-secret-itself", "does not accept the secret"),
        (other, others, "may not read s3://qnt.data"),
    ):
        wrong = provider(a, b)
        assert said in refused(lambda wrong=wrong: wrong.load(*AT), capfd)
    assert len(provider(key, secret).load(*AT)) == 1_000
    assert capfd.readouterr() == ("", "")
