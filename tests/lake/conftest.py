import logging

import pytest

from mrtrade.data.providers.lake import CryptoLakeProvider, access
from tests.lake.s3stub import S3Stub

BUCKET = "qnt.data"


@pytest.fixture(autouse=True)
def untouched_aws(monkeypatch, tmp_path):
    """Keys that are no one's, and nothing of the user's own AWS configuration."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "MRTRADE_LAKE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTING")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-itself")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    logging.getLogger("botocore").setLevel(logging.WARNING)


@pytest.fixture
def pauses(monkeypatch):
    """Pauses between tries, which are noted down and not waited."""
    waited = []
    monkeypatch.setattr(access, "sleep", waited.append)
    return waited


@pytest.fixture
def stub(tmp_path):
    with S3Stub(tmp_path / "s3") as server:
        (server.root / BUCKET).mkdir(parents=True)
        yield server


@pytest.fixture
def provider(stub, tmp_path):
    return CryptoLakeProvider(tmp_path / "cache", endpoint=stub.url)
