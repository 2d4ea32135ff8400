"""What the store asks of the place where its bytes lie: a folder, or a prefix on S3.

Keys are relative to the store's root, with ``/`` between their parts.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

import pyarrow as pa
from pyarrow.fs import FileSystem

from mrtrade.errors import BusyError, StoreError

T = TypeVar("T")
R = TypeVar("R")


class ReplacedError(StoreError):
    """A file was replaced or removed while it was being read; reading it anew may succeed."""


class Files(Protocol):
    """A place for a store's files.

    Attributes
    ----------
    root : Path or str
        The folder, or the address ``s3://bucket/prefix``.
    url : str
        The same as an address that does not depend on the working folder.
    """

    @property
    def root(self) -> Path | str: ...
    @property
    def url(self) -> str: ...

    def path(self, key: str) -> str:
        """Return how a file is named in messages, and for other tools."""
        ...

    def glob(self, pattern: str) -> list[str]:
        """Return the keys that match; ``*`` stands for any text without ``/``."""
        ...

    def open(self, key: str) -> pa.NativeFile:
        """Open a file for reading: one version of it to the end, whoever writes.

        Raises
        ------
        ReplacedError
            Here if the file is gone; from reading, if the place cannot give that version any more.
        """
        ...

    def read(self, key: str) -> bytes | None:
        """Return a small file's bytes; None if there is no such file."""
        ...

    def write(self, key: str) -> AbstractContextManager[Path]:
        """Replace a file, whole or not at all, by what the block writes to the path it is given.

        At the end of the block the new file is in its place, and a power cut cannot undo that.

        Raises
        ------
        StoreError
            If it cannot be written; the old file is in its place.
        """
        ...

    def note(self, key: str, content: bytes) -> None:
        """Replace a small file that the store can do without; tells nothing if that fails."""
        ...

    def remove(self, *keys: str) -> None:
        """Remove files of one folder, in that order; those that are not there are passed over."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes from writing.

        Raises
        ------
        StoreError
            If another process is writing.
        """
        ...

    def filesystem(self) -> FileSystem:
        """Return the place as Arrow knows it, with the same keys; to read from."""
        ...

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Apply a function that reads to all items; at once where waiting is what takes time."""
        ...


def busy(where: object, holder: str = "", wait: str = "") -> BusyError:
    """Return the error of a store that another process is writing to."""
    return BusyError(
        f"another process is writing to the store{holder}",
        file=str(where),
        remedy=f"run it again when that one has ended{wait}",
    )
