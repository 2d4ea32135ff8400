"""A store's files in a local folder.

A file is written beside its place, synced and renamed, and then the folders on its path are synced:
a reader, and whoever looks after a power cut, sees the old file or the new one, never half of one.
Writers lock the root folder; a writer's end, however it comes, frees the lock. (A file system that
knows no locks leaves that to its users.)
"""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from pyarrow.fs import FileSystem, LocalFileSystem, SubTreeFileSystem

from mrtrade.data.disk import sync
from mrtrade.data.parquet.files import R, ReplacedError, T, busy
from mrtrade.errors import StoreError

_TEMPORARY = ".tmp-"  # other readers pass over names that begin with _ or .
_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOTSUP)


class LocalFiles:
    """See `Files`.

    Parameters
    ----------
    root : path
        Made at the first write.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.url = str(self.root.absolute())

    def path(self, key: str) -> str:
        return str(self.root / key)

    def glob(self, pattern: str) -> list[str]:
        return [path.relative_to(self.root).as_posix() for path in self.root.glob(pattern)]

    def open(self, key: str) -> pa.NativeFile:
        try:
            return pa.OSFile(self.path(key))
        except FileNotFoundError:
            raise ReplacedError("is gone", file=self.path(key)) from None

    def read(self, key: str) -> bytes | None:
        try:
            return (self.root / key).read_bytes()
        except OSError:
            return None

    @contextmanager
    def write(self, key: str) -> Iterator[Path]:
        path = self.root / key
        temporary = path.with_name(f"{_TEMPORARY}{path.name}")
        with told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f"{_TEMPORARY}*"):  # of an interrupted writer
                left.unlink(missing_ok=True)
        try:
            yield temporary
            with told(path):
                sync(temporary)
                os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        with told(path):
            for folder in path.parents[: len(Path(key).parts)]:  # up to the root: each may be new
                sync(folder)

    def note(self, key: str, content: bytes) -> None:
        path = self.root / key
        mark = f"{_TEMPORARY}{os.getpid()}-{threading.get_ident()}{path.name}"
        temporary = path.with_name(mark)
        with suppress(OSError):
            temporary.write_bytes(content)
            sync(temporary)
            os.replace(temporary, path)

    def remove(self, *keys: str) -> None:
        folder = self.root / keys[0].rpartition("/")[0]
        with told(folder):
            for key in keys:
                (self.root / key).unlink(missing_ok=True)
            sync(folder)
            with suppress(OSError):  # it may hold files of others
                folder.rmdir()
                sync(folder.parent)

    @contextmanager
    def lock(self) -> Iterator[None]:
        with told(self.root):
            made = [path for path in (self.root, *self.root.parents) if not path.exists()]
            self.root.mkdir(parents=True, exist_ok=True)
            for path in made:
                sync(path.parent)
            folder = os.open(self.root, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy(self.root) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            yield
        finally:
            os.close(folder)  # frees the lock too

    def filesystem(self) -> FileSystem:
        return SubTreeFileSystem(self.url, LocalFileSystem())

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        return [function(item) for item in items]


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell what cannot be written as an error of the store."""
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: object, error: OSError) -> StoreError:
    """Return the error of a file that cannot be written, e.g. for want of room."""
    return StoreError(
        f"cannot be written: {error.strerror or error}; what was stored before is as it was",
        file=str(path),
        remedy="see to room and rights there, and run it again",
    )
