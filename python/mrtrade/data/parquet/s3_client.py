"""The S3 client: made as AWS's own tools make theirs, its errors told in one clear message each."""

import os
from typing import Any

from mrtrade.errors import ConfigError, StoreError

_REFUSED = {
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "403",
}


def make_client() -> Any:
    """Return a client; credentials, region and endpoint from the environment or AWS's files."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise ConfigError("a store on S3 needs boto3", remedy='pip install "mrtrade[s3]"') from None
    return boto3.Session().client(
        "s3",
        config=Config(
            connect_timeout=10,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 5},
            # Not every server that speaks S3 has a name for each bucket, or knows AWS's trailing
            # checksums: what is sent carries its MD5 instead.
            s3={"addressing_style": "path" if _own_endpoint() else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def arrow_filesystem(client: Any) -> Any:
    """Return Arrow's own client, which reaches and signs what a client of `make_client` does."""
    from pyarrow.fs import S3FileSystem

    keys = client._get_credentials().get_frozen_credentials()
    own = _own_endpoint()
    scheme, _, endpoint = own.partition("://") if own else ("https", "", None)
    return S3FileSystem(
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        session_token=keys.token,
        region=client.meta.region_name,
        scheme=scheme,
        endpoint_override=endpoint,
    )


def _own_endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def code_of(error: Exception) -> str:
    """Return the code S3 answered with; empty where there was no answer."""
    answer = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))


def changed(error: Exception) -> bool:
    """Whether a condition on what is stored did not hold."""
    return code_of(error) in {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


def missing(error: Exception) -> bool:
    """Whether there is no such object."""
    return code_of(error) in {"NoSuchKey", "NoSuchVersion", "404"}


def fault(where: str, error: Exception) -> StoreError:
    """Tell an error of the client as one of the store."""
    code = code_of(error)
    name = type(error).__name__
    if code == "NoSuchBucket":
        what, remedy = "there is no such bucket", "make it, or correct the address"
    elif code in _REFUSED or name in ("NoCredentialsError", "PartialCredentialsError"):
        what = f"S3 refused ({code or 'no credentials'})"
        remedy = "see to AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do"
    elif code:
        what, remedy = f"S3 answered {code}", "run it again, or ask who runs the storage"
    else:
        what = f"S3 cannot be reached ({name})"
        remedy = "see to the network and AWS_ENDPOINT_URL_S3, and run it again"
    return StoreError(what, file=where, remedy=remedy)
