"""A store's files under a prefix on S3, or what speaks like it.

An object is made in a temporary file and sent in one PUT, which is whole or not at all. The PUT is
conditional on the object being the one that was there when the writer began (``If-Match``, or
``If-None-Match: *`` for a new one): even a writer that has lost its lock overwrites nothing it has
not seen. A reader asks for one version, by ETag and, where the bucket keeps versions, by id.
"""

import hashlib
import io
import os
import re
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileSystem, SubTreeFileSystem

from mrtrade.data.parquet.files import R, ReplacedError, T
from mrtrade.data.parquet.lease import Lease
from mrtrade.data.parquet.s3_client import arrow_filesystem, changed, fault, make_client, missing
from mrtrade.errors import ConfigError, StoreError

LARGEST = 5 << 30
"""Bytes that one PUT may have."""

_TAIL = 1 << 16
_ATTEMPTS = 5
_AT_ONCE = 16
_URL = re.compile(r"s3://([^/]+)/*(.*?)/*")


class S3Files:
    """See `Files`.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``.

    Raises
    ------
    StoreError
        If the bucket cannot be reached or refuses.
    """

    def __init__(self, url: str) -> None:
        match = _URL.fullmatch(url)
        if not match:
            raise ConfigError("not an address on S3", value=url, expected="s3://bucket/prefix")
        self.bucket, prefix = match.groups()
        self.prefix = f"{prefix}/" if prefix else ""
        self.url = f"s3://{self.bucket}/{prefix}".rstrip("/")
        self.root = self.url
        self.client = make_client()
        self._lease: Lease | None = None
        self._ask("list_objects_v2", Prefix=self.prefix, MaxKeys=1)  # wrong keys show at once

    def path(self, key: str) -> str:
        return f"{self.url}/{key}"

    def glob(self, pattern: str) -> list[str]:
        begin = self.prefix + pattern.partition("*")[0]
        matches = re.compile(re.escape(pattern).replace(r"\*", "[^/]*")).fullmatch
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = self._ask("list_objects_v2", Prefix=begin, **more)
            keys = [item["Key"][len(self.prefix) :] for item in answer.get("Contents", [])]
            found += filter(matches, keys)
            if not answer["IsTruncated"]:
                return found
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def open(self, key: str) -> pa.NativeFile:
        return pa.PythonFile(_Object(self, key), mode="r")

    def read(self, key: str) -> bytes | None:
        try:
            return self.get(key)[1]
        except ReplacedError:
            return None

    def get(self, key: str, **pinned: str) -> tuple[dict[str, Any], bytes]:
        """Return an answer to GET and its whole body, however often the connection breaks."""
        from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

        for attempt in range(_ATTEMPTS):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, **pinned)
                return answer, answer["Body"].read()
            except ClientError as error:
                if changed(error) or missing(error):
                    raise ReplacedError(
                        "is gone, or was replaced while it was being read",
                        file=self.path(key),
                        remedy="read it again",
                    ) from None
                raise fault(self.path(key), error) from error
            # The client repeats requests, but not the reading of a body that was cut off.
            except (HTTPClientError, IncompleteReadError) as error:
                if attempt == _ATTEMPTS - 1:
                    raise fault(self.path(key), error) from error
            except Exception as error:
                raise fault(self.path(key), error) from error
            time.sleep(0.1 * 2**attempt)
        raise AssertionError("unreachable")

    @contextmanager
    def write(self, key: str) -> Iterator[Path]:
        before = self._etag(key)
        with tempfile.TemporaryDirectory(prefix="mrtrade-") as folder:
            path = Path(folder) / key.rpartition("/")[2]
            yield path
            self._put(path, key, before)

    def _etag(self, key: str) -> str | None:
        from botocore.exceptions import ClientError

        try:
            answer = self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)
            return str(answer["ETag"])
        except ClientError as error:
            if missing(error):
                return None
            raise fault(self.path(key), error) from error
        except Exception as error:
            raise fault(self.path(key), error) from error

    def _put(self, path: Path, key: str, before: str | None) -> None:
        size = path.stat().st_size
        if size > LARGEST:
            raise StoreError(
                "too large for one PUT",
                file=self.path(key),
                value=size,
                expected=f"at most {LARGEST} bytes",
                remedy="keep days of that size in a local store",
            )
        if self._lease:
            self._lease.check()
        with path.open("rb") as content:
            md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False))
            content.seek(0)
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            content.seek(0)
            condition = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before}
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=self.prefix + key,
                    Body=content,
                    ContentMD5=b64encode(md5.digest()).decode(),
                    Metadata={"sha256": sha256},
                    **condition,
                )
            except Exception as error:
                if not (changed(error) or missing(error)):
                    raise fault(self.path(key), error) from error
                # Or it was written, and the answer was lost and the request repeated.
                if self._stored_sha256(key) != sha256:
                    raise StoreError(
                        "another process has written this since; nothing of yours was stored",
                        file=self.path(key),
                        remedy="run it again",
                    ) from error

    def _stored_sha256(self, key: str) -> str | None:
        from botocore.exceptions import ClientError

        with suppress(ClientError):
            answer = self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)
            return str(answer["Metadata"].get("sha256"))
        return None

    def note(self, key: str, content: bytes) -> None:
        with suppress(StoreError):
            self._ask("put_object", Key=self.prefix + key, Body=content)

    def remove(self, *keys: str) -> None:
        if self._lease:
            self._lease.check()
        for key in keys:
            self._ask("delete_object", Key=self.prefix + key)

    @contextmanager
    def lock(self) -> Iterator[None]:
        with Lease(self.client, self.bucket, self.prefix, self.url) as self._lease:
            try:
                yield
            finally:
                self._lease = None

    def filesystem(self) -> FileSystem:
        return SubTreeFileSystem(f"{self.bucket}/{self.prefix}", arrow_filesystem(self.client))

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(function, items))

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self.client, operation)(
                Bucket=self.bucket, **arguments
            )
        except Exception as error:
            raise fault(self.url, error) from error
        return answer


class _Object(io.RawIOBase):
    """One version of an object, read in ranges. Opening it brings its end, where Parquet begins."""

    def __init__(self, files: S3Files, key: str) -> None:
        self._files = files
        self._key = key
        answer, self._tail = files.get(key, Range=f"bytes=-{_TAIL}")
        self._size = int(answer["ContentRange"].rpartition("/")[2])
        self._pinned = {"IfMatch": answer["ETag"]}
        if answer.get("VersionId", "null") != "null":
            self._pinned["VersionId"] = answer["VersionId"]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        first = self._at
        end = self._size if size is None or size < 0 else min(first + size, self._size)
        if first >= end:
            return b""
        tail_at = self._size - len(self._tail)
        if first >= tail_at:
            found = self._tail[first - tail_at : end - tail_at]
        else:
            span = f"bytes={first}-{end - 1}"
            found = self._files.get(self._key, Range=span, **self._pinned)[1]
        self._at = first + len(found)
        return found
