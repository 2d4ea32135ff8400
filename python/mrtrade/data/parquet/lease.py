"""The writers' lock of a store on S3: an object that only one writer can make.

It is made with ``If-None-Match: *`` and renewed, while its writer lives, with ``If-Match``. A
writer that dies leaves it behind: once it was not renewed for `LEASE_S` seconds by the storage's
own clock (``Date`` against ``Last-Modified``, so that no other clock matters), the next writer
takes it over, again with ``If-Match``, so that only one can.
"""

import json
import os
import socket
import threading
import time
import uuid
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

from mrtrade.data.parquet.files import busy
from mrtrade.data.parquet.s3_client import changed, fault, missing
from mrtrade.errors import StoreError

LEASE_S = 60.0
"""Seconds without renewal after which a writer counts as dead."""

RENEWALS = 4
"""How often a lease is renewed within `LEASE_S`."""

_ATTEMPTS = 5


class Lease:
    """Holds the lock within a ``with`` block.

    Parameters
    ----------
    client : botocore client
    bucket, prefix : str
    where : str
        Named in messages.

    Raises
    ------
    StoreError
        If another writer holds the lock, or the storage has no conditional PUT.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, where: str) -> None:
        self._client = client
        self._object = {"Bucket": bucket, "Key": f"{prefix}_mrtrade.lock"}
        self._where = where
        self._token = uuid.uuid4().hex
        self._count = 0
        self._etag = ""
        self._until = 0.0
        self._lost = False
        self._over = threading.Event()
        self._renewer = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Self:
        try:
            self._take()
        except StoreError:
            raise
        except Exception as error:
            raise fault(self._where, error) from error
        self._renewer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._renewer.join()
        if self._held():  # else it may be another's by now
            try:
                self._client.delete_object(**self._object)
            except Exception:
                return  # the lock runs out by itself

    def check(self) -> None:
        """Make sure that the lock is still held, before something is written.

        Raises
        ------
        StoreError
            If it could not be renewed in time.
        """
        if not self._held():
            raise StoreError(
                "the writers' lock was lost: it could not be renewed in time",
                file=self._where,
                remedy="see to the network, and run it again",
            )

    def _held(self) -> bool:
        return not self._lost and time.monotonic() < self._until

    def _take(self) -> None:
        for _ in range(_ATTEMPTS):
            if self._put(IfNoneMatch="*"):
                self._prove()
                return
            holder = self._holder()
            if holder is None:
                continue  # released since
            content, etag, age = holder
            if age <= LEASE_S:
                name = f" ({content.get('host')}, process {content.get('process')})"
                left = f", or, if it died, in {LEASE_S - age:.0f} s"
                raise busy(self._where, name, left)
            if self._put(IfMatch=etag):
                return
        raise busy(self._where)

    def _prove(self) -> None:
        # A storage that passes over conditions would let any number of writers in.
        try:
            self._client.put_object(**self._object, Body=b"{}", IfNoneMatch="*")
        except Exception as error:
            if changed(error):
                return
            raise
        self._client.delete_object(**self._object)
        raise StoreError(
            "this storage does not know conditional PUT (If-None-Match), "
            "so writers could not be kept apart",
            file=self._where,
            remedy="use AWS S3, MinIO, R2 or another that does, or a local store",
        )

    def _put(self, **condition: str) -> bool:
        """Write the lock under a condition; whether it is ours then."""
        self._count += 1
        content = {
            "token": self._token,
            "count": self._count,  # each renewal is another object, with an ETag of its own
            "host": socket.gethostname(),
            "process": os.getpid(),
        }
        until = time.monotonic() + LEASE_S
        body = json.dumps(content).encode()
        try:
            self._etag = self._client.put_object(**self._object, Body=body, **condition)["ETag"]
        except Exception as error:
            if not (changed(error) or missing(error)):
                raise
            # Or it was written, and the answer was lost and the request repeated.
            holder = self._holder()
            if holder is None or holder[0].get("token") != self._token:
                return False
            self._etag = holder[1]
            if holder[0] != content:  # that was the renewal before
                return self._put(IfMatch=self._etag)
        self._until = until
        return True

    def _holder(self) -> tuple[dict[str, Any], str, float] | None:
        """Return what the lock says, its ETag, and the seconds since it was last renewed."""
        try:
            answer = self._client.get_object(**self._object)
        except Exception as error:
            if missing(error):
                return None
            raise
        content = json.loads(answer["Body"].read())
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        age = (now - answer["LastModified"]).total_seconds()
        return content, answer["ETag"], age

    def _renew(self) -> None:
        while not self._over.wait(LEASE_S / RENEWALS):
            try:
                if not self._put(IfMatch=self._etag):
                    self._lost = True
                    return
            except Exception:
                continue  # tried again at the next turn; `check` sees it when time has run out
