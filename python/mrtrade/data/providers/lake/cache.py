"""The raw objects on disk: each fetched once, whole and checked, and told apart by its ETag.

The cache is itself a folder in Crypto Lake's layout, as small as the bucket's own files:
``<cache>/<bucket>/<table>/exchange=E/symbol=S/dt=YYYY-MM-DD/1.snappy.parquet``. Beside each file,
``.1.snappy.parquet.json`` says which ETag it is of, and the digest of its bytes.

An object is written to ``.1.snappy.parquet.<etag>.part``. Cut connections, and processes that
ended, leave that part; what is missing is asked for by range, on the condition that the object is
still the same. When all bytes are there their MD5 is compared with the ETag; then the part is
synced, renamed, and its record written. A file that lacks its record, or does not agree with it, is
fetched again.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mrtrade.data.disk import sync
from mrtrade.data.providers.lake.access import ATTEMPTS, Bucket, error_code, may_pass, pause
from mrtrade.data.providers.lake.objects import LakeObject
from mrtrade.errors import SourceError

BLOCK_BYTES = 1 << 16
"""Bytes asked of a connection at a time: what of them had come when it is cut is lost."""

_HASHED_BYTES = 1 << 20

Progress = Callable[[int], None]
"""Called with the bytes that have come since the last call; negative for bytes thrown away."""


class ReplacedError(Exception):
    """The object is no longer the one that was listed."""


def fetched(bucket: Bucket, one: LakeObject, path: Path, tell: Progress) -> None:
    """Make sure that a file holds an object.

    Parameters
    ----------
    bucket : Bucket
    one : LakeObject
    path : Path
        Where it belongs; its folder is made.
    tell : callable
        A file that is there already is told as come at once.

    Raises
    ------
    ReplacedError
        If the bucket holds another by now, or none.
    SourceError
        If it cannot be had; what has come of it stays, and the next call goes on from there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _holds(path, one):
            tell(one.size)
            return
        with _part(path, one) as part:
            if _holds(path, one):  # by another process, while this one waited
                tell(one.size)
                return
            _complete(bucket, one, part, tell)
            os.fsync(part.fileno())
            digest = _sha256(part)
            os.replace(part.name, path)
            _write_record(path, {"etag": one.etag, "size": one.size, "sha256": digest})
    except OSError as error:
        raise bucket.refusal(f"cannot keep {one.key} in {path.parent}", error) from error


def forget_others(folder: Path, names: set[str]) -> None:
    """Remove the files of a day that the bucket no longer has, and parts of older versions."""
    for path in folder.glob("*.parquet"):
        if path.name not in names:
            path.unlink(missing_ok=True)
            _record(path).unlink(missing_ok=True)


def _holds(path: Path, one: LakeObject) -> bool:
    try:
        known = json.loads(_record(path).read_text(encoding="utf-8"))
        if (known["etag"], known["size"], path.stat().st_size) != (one.etag, one.size, one.size):
            return False
        with path.open("rb") as file:
            return bool(_sha256(file) == known["sha256"])
    except (OSError, ValueError, LookupError, TypeError):
        return False  # fetching it again says what is wrong with the folder, if anything is


def _record(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def _write_record(path: Path, known: dict[str, Any]) -> None:
    put(_record(path), json.dumps(known).encode())


def put(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync(path.parent)


@contextmanager
def _part(path: Path, one: LakeObject) -> Iterator[BinaryIO]:
    """Open the part of one version of an object, held by nobody else."""
    name = f".{path.name}.{one.etag}.part"
    for other in path.parent.glob(f".{path.name}.*.part"):
        if other.name != name:
            other.unlink(missing_ok=True)
    while True:
        with open(path.with_name(name), "a+b") as part:
            fcntl.flock(part, fcntl.LOCK_EX)
            if _is_named(part):
                yield part
                return


def _is_named(part: BinaryIO) -> bool:
    """Whether an open part was not renamed by the process that held it before."""
    try:
        return os.path.samestat(os.fstat(part.fileno()), os.stat(part.name))
    except FileNotFoundError:
        return False


def _complete(bucket: Bucket, one: LakeObject, part: BinaryIO, tell: Progress) -> None:
    """Fetch what a part lacks, and compare it all with the ETag; once more from the start if not.

    The second try is for a part that a power cut left with blocks never written.
    """
    for _ in range(2):
        have = part.seek(0, os.SEEK_END)
        if have > one.size:
            part.truncate(have := 0)
        tell(have)
        _transfer(bucket, one, part, have, tell)
        if _is_whole(bucket, one, part):
            return
        part.truncate(0)
        tell(-one.size)
    raise SourceError(
        f"{one.key}: its bytes are not those that its ETag was made of, in two tries",
        value=one.etag,
        remedy="try again; a proxy between here and the bucket may change what it passes on",
    )


def _transfer(bucket: Bucket, one: LakeObject, part: BinaryIO, have: int, tell: Progress) -> None:
    vain = 0
    while have < one.size:
        before = have
        try:
            wanted = {"Range": f"bytes={have}-"} if have else {}
            answer = bucket.get(one.key, IfMatch=f'"{one.etag}"', **wanted)
            with closing(answer["Body"]) as body:
                if have and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
                    tell(-have)
                    part.truncate(have := 0)  # a server that knows no ranges starts anew
                while block := body.read(min(BLOCK_BYTES, one.size - have)):
                    part.write(block)
                    have += len(block)
                    tell(len(block))
            part.flush()
            error: Exception = ConnectionError("the answer ended early")
        except Exception as fault:
            part.flush()
            if error_code(fault) in ("PreconditionFailed", "412", "NoSuchKey", "404"):
                raise ReplacedError(one.key) from fault
            if not may_pass(fault):
                if isinstance(fault, OSError):
                    raise
                raise bucket.refusal(f"cannot fetch {one.key}", fault) from fault
            error = fault
        vain = 0 if have > before else vain + 1
        if vain == ATTEMPTS:
            raise bucket.refusal(f"cannot fetch {one.key}", error) from error
        if have < one.size:
            pause(vain, one.key, error)


def _is_whole(bucket: Bucket, one: LakeObject, part: BinaryIO) -> bool:
    """Whether bytes are those that an ETag was made of, as far as S3 lets one know."""
    digest, _, parts = one.etag.partition("-")
    if not parts:
        if _md5(part, one.size) == digest:
            return True
        # Of an object encrypted with a key of KMS the ETag is no MD5.
        return "aws:kms" in bucket.head(one.key).get("ServerSideEncryption", "")
    first = bucket.head(one.key, PartNumber=1)["ContentLength"]
    if -(-one.size // max(first, 1)) != int(parts):
        return True  # the server does not say how the parts were cut: nothing to compare with
    return _md5_of_parts(part, one.size, first) == digest


def _md5(part: BinaryIO, size: int) -> str:
    part.seek(0)
    return str(_digest_of(part, size).hexdigest())


def _md5_of_parts(part: BinaryIO, size: int, length: int) -> str:
    part.seek(0)
    digests = [_digest_of(part, length).digest() for _ in range(0, size, length)]
    return str(hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest())


def _digest_of(part: BinaryIO, length: int) -> Any:
    digest = hashlib.md5(usedforsecurity=False)
    while length and (block := part.read(min(_HASHED_BYTES, length))):
        digest.update(block)
        length -= len(block)
    return digest


def _sha256(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_HASHED_BYTES):
        digest.update(block)
    return digest.hexdigest()
