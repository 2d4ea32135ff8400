"""Reading a bucket: the client, what may be tried again, and each refusal as one clear error."""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any, TypeVar

from mrtrade.data.providers.lake.objects import LakeObject
from mrtrade.errors import SourceError

REGION = "eu-west-1"
BUCKET = "qnt.data/market-data/cryptofeed"
SAMPLE_BUCKET = "sample.crypto.lake"

ATTEMPTS = 8
"""Tries in a row that brought nothing, after which a server counts as unreachable."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 20.0
"""Pause before the second try, doubled with each; at random between half and all of it."""

T = TypeVar("T")

log = logging.getLogger(__name__)

# S3 sends these when asked too fast, or when it is itself unwell.
_PASSING = frozenset(
    "SlowDown ServiceUnavailable Throttling ThrottlingException ThrottledException RequestThrottled"
    " RequestLimitExceeded TooManyRequests TooManyRequestsException BandwidthLimitExceeded"
    " InternalError InternalServerError RequestTimeout 429 500 502 503 504".split()
)
_WRONG_KEY = frozenset("InvalidAccessKeyId SignatureDoesNotMatch InvalidClientTokenId".split())
_EXPIRED = frozenset("ExpiredToken ExpiredTokenException InvalidToken TokenRefreshRequired".split())
_FORBIDDEN = frozenset("AccessDenied AllAccessDisabled AccountProblem Forbidden 403".split())


class Bucket:
    """A bucket of an S3 server, read with retries.

    Parameters
    ----------
    bucket : str
        Name, and a prefix after a slash.
    endpoint : str, optional
        Address of the server; without it that of AWS, or of the environment's AWS_ENDPOINT_URL.
    profile : str, optional
        Of the AWS configuration files; without it the usual chain, the environment first.
    anonymous : bool
        Whether to sign nothing, as the free sample wants it.

    Raises
    ------
    SourceError
        From every method, saying what the server refused and what to do. It holds no secret.
    """

    def __init__(
        self, bucket: str, endpoint: str | None, profile: str | None, *, anonymous: bool
    ) -> None:
        self.name, _, root = bucket.partition("/")
        self.root = f"{root}/" if root else ""
        self.anonymous = anonymous
        self.profile = profile
        with self._refusals("the client cannot be made"):
            self._client = _client(_session(profile), endpoint, anonymous=anonymous)

    def objects(self, prefix: str, *, after: str = "", limit: int = 1000) -> Iterator[LakeObject]:
        """Yield the objects below a prefix, in the order of their keys, a page at a time."""
        wanted = {"Bucket": self.name, "Prefix": prefix, "MaxKeys": limit}
        if after:
            wanted["StartAfter"] = after
        while True:
            page = self.tried(f"list {prefix}", lambda: self._client.list_objects_v2(**wanted))
            for one in page.get("Contents", ()):
                etag = one["ETag"].strip('"')
                yield LakeObject(one["Key"], one["Size"], etag, one["LastModified"])
            if not page.get("IsTruncated"):
                return
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders right below a prefix."""
        found: list[str] = []
        wanted = {"Bucket": self.name, "Prefix": prefix, "Delimiter": "/"}
        while True:
            page = self.tried(f"list {prefix}", lambda: self._client.list_objects_v2(**wanted))
            found += [
                one["Prefix"][len(prefix) :].rstrip("/") for one in page.get("CommonPrefixes", ())
            ]
            if not page.get("IsTruncated"):
                return found
            wanted["ContinuationToken"] = page["NextContinuationToken"]

    def get(self, key: str, **options: Any) -> Any:
        """Return the server's answer to one GET; its body is not read yet, nothing is retried."""
        return self._client.get_object(Bucket=self.name, Key=key, **options)

    def head(self, key: str, **options: Any) -> Any:
        """Return what the server says of an object."""
        return self.tried(
            f"look at {key}", lambda: self._client.head_object(Bucket=self.name, Key=key, **options)
        )

    def tried(self, what: str, call: Callable[[], T]) -> T:
        """Return the result of a call, made again while the fault may pass."""
        with self._refusals(f"cannot {what}"):
            for attempt in range(ATTEMPTS):
                try:
                    return call()
                except Exception as error:
                    if attempt + 1 == ATTEMPTS or not may_pass(error):
                        raise
                    pause(attempt, what, error)
        raise AssertionError("unreachable")  # the last attempt returns or raises

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, OSError) as error:
            raise self.refusal(what, error) from error

    def refusal(self, what: str, error: Exception) -> SourceError:
        """Return the error that tells a user why the server, or the client, would not."""
        return _explained(f"{what}: ", error, self.name, self.profile, self.anonymous)


def may_pass(error: Exception) -> bool:
    """Whether a fault is one that passes: too many requests, or a connection lost."""
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    if isinstance(error, boto.ClientError):
        return error_code(error) in _PASSING
    lost = (
        boto.ConnectionError,  # an unknown host, a port where nobody listens
        boto.HTTPClientError,  # time-outs, a closed connection
        boto.IncompleteReadError,
        boto.ResponseStreamingError,
        HTTPError,
        ConnectionError,
        TimeoutError,
    )
    return isinstance(error, lost) and not isinstance(error, boto.SSLError)


def pause(attempt: int, what: str, error: Exception) -> None:
    """Wait before the next try: longer with each, and not in step with others."""
    longest = min(FIRST_PAUSE_S * 2.0**attempt, LONGEST_PAUSE_S)
    seconds = random.uniform(longest / 2, longest)
    log.info("%s: %s; again in %.1f s", what, _name(error), seconds)
    sleep(seconds)


def error_code(error: Exception) -> str:
    """Return the code of an answer of S3, else the exception's name."""
    response = getattr(error, "response", None)
    return str(response["Error"].get("Code", "")) if isinstance(response, dict) else _name(error)


def _name(error: Exception) -> str:
    response = getattr(error, "response", None)
    return error_code(error) if isinstance(response, dict) else type(error).__name__


def _session(profile: str | None) -> Any:
    try:
        import boto3
    except ImportError as error:
        raise SourceError(
            "Crypto Lake is read with boto3, which is not installed",
            remedy='pip install "mrtrade[s3]", or "mrtrade[lake]" for the vendor\'s client too',
        ) from error
    return boto3.Session(profile_name=profile, region_name=REGION)


def _client(session: Any, endpoint: str | None, *, anonymous: bool) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    options: dict[str, Any] = {"signature_version": UNSIGNED} if anonymous else {}
    config = Config(
        # Retries are ours: those of botocore know nothing of a body that is cut off.
        retries={"total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=30,
        max_pool_connections=32,
        # An object's digest is compared by us, with what the listing promised.
        response_checksum_validation="when_required",
        **options,
    )
    return session.client("s3", endpoint_url=endpoint, config=config)


def _explained(
    what: str, error: Exception, bucket: str, profile: str | None, anonymous: bool
) -> SourceError:
    # Built from the code alone: a server's own words may repeat the key they refuse.
    code = error_code(error)
    keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" + (
        f", or those of the profile {profile}" if profile else ""
    )
    expected = None
    if code in ("NoCredentialsError", "PartialCredentialsError"):
        what += "no credentials of Crypto Lake were found"
        remedy = f"set {keys}, or use the free sample (sample=True, --sample)"
    elif code in ("ProfileNotFound", "ConfigNotFound"):
        what += f"there is no AWS profile {profile}"
        remedy = "name one of ~/.aws/config, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    elif code in _WRONG_KEY:
        part = "secret" if code == "SignatureDoesNotMatch" else "access key"
        what += f"the server does not accept the {part} ({code})"
        remedy = f"check {keys}: they are those that Crypto Lake gave you, not of another account"
    elif code in _EXPIRED or "SSO" in code or "TokenRetrieval" in code:
        what += f"the credentials have expired ({code})"
        remedy = "renew them, or use the long-lived keys that Crypto Lake gave you"
    elif code in _FORBIDDEN:
        what += f"these credentials may not read s3://{bucket} ({code})"
        remedy = (
            "the free sample has no such data: subscribe, and leave sample out"
            if anonymous
            else "check that the subscription is paid and covers this table, and that no other "
            "AWS account's keys come first"
        )
    elif code == "RequestTimeTooSkewed":
        what += f"this machine's clock is wrong ({code})"
        remedy = "set the clock"
    elif code == "NoSuchBucket":
        what += f"there is no bucket {bucket} ({code})"
        remedy = "check the bucket, and the endpoint (AWS_ENDPOINT_URL)"
    elif code in ("NoSuchKey", "404"):
        what += f"the object is gone ({code})"
        remedy = "list it again"
    elif may_pass(error):
        what += f"the server does not answer, or asks for patience, after {ATTEMPTS} tries ({code})"
        remedy = "check the network and try again later: what was fetched stays"
    elif isinstance(error, OSError) and error.strerror:
        what += error.strerror.lower()
        expected = "room and the right to write in the folder of the cache"
        remedy = "free space, or give another folder (MRTRADE_LAKE_CACHE)"
    else:
        what += f"the server refused ({code})"
        remedy = "see the code in the documentation of S3"
    return SourceError(what, expected=expected, remedy=remedy)
