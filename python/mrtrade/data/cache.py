"""A cache of frames on disk, found by what they were made from.

The key of a frame is a hash of the manifest of all that was read, of every parameter, and of the
code: a corrected day, another depth or another version is another key, and nothing is ever
invalidated. Files are written beside their place and renamed, so that any number of processes may
share a folder; each begins with the sha256 of the rest, and one that does not fit is taken for
missing. The least recently used go first when the folder outgrows its limit.
"""

import hashlib
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

_LOG = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 10 * 1024**3
"""Size that the folder is kept below."""

_SUFFIX = ".frame"
_TEMPORARY = ".tmp-"
_ABANDONED_S = 3_600.0
_DIGEST = hashlib.sha256().digest_size
_ATTRS = b"mrtrade.attrs"


def default_folder() -> Path:
    """Return ``$MRTRADE_CACHE_DIR``, or `mrtrade/frames` in the user's cache folder."""
    given = os.environ.get("MRTRADE_CACHE_DIR")
    if given:
        return Path(given)
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "mrtrade" / "frames"


class FrameCache:
    """Frames in a folder.

    Parameters
    ----------
    folder : path, optional
        Default: `default_folder`. Made at the first write.
    max_bytes : int
        Size that it is kept below; a larger frame is not kept at all.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self.max_bytes = max_bytes

    def frame(self, content: Any, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return the frame of a content, made where it is not there.

        Parameters
        ----------
        content : object
            What determines the frame, but for the code; JSON types.
        make : callable
        """
        key = key_of(content)
        held = self.get(key)
        if held is None:
            held = make()
            self.put(key, held)
        return held

    def get(self, key: str) -> pd.DataFrame | None:
        """Return the frame of a key, None where there is none that is whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            _LOG.warning("%s is damaged: the frame is made again", path)
            return None
        try:
            os.utime(path)  # used now
        except OSError:
            pass  # another process may have removed it; the folder may be read-only
        table = pa.ipc.open_stream(pa.py_buffer(data)[_DIGEST:]).read_all()
        frame: pd.DataFrame = table.to_pandas()
        frame.attrs = json.loads(table.schema.metadata[_ATTRS])
        return frame

    def put(self, key: str, frame: pd.DataFrame) -> None:
        """Keep a frame; a folder that cannot be written to costs a warning in the log."""
        table = pa.Table.from_pandas(frame)
        metadata = {**table.schema.metadata, _ATTRS: json.dumps(frame.attrs)}
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, table.schema.with_metadata(metadata), options=options) as out:
            out.write_table(table)
        data = sink.getvalue()
        if data.size + _DIGEST > self.max_bytes:
            return
        path = self._path(key)
        temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("wb") as file:
                    file.write(hashlib.sha256(data).digest())
                    file.write(data)
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._evict()
        except OSError as error:
            _LOG.warning("the frame is not kept in %s: %s", self.folder, error)

    def clear(self) -> None:
        """Remove all frames."""
        for path in self.folder.glob(f"*/*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _evict(self) -> None:
        used = []
        for path in self.folder.glob("*/*"):
            try:
                fact = path.stat()
            except FileNotFoundError:
                continue  # another process was faster
            if path.name.startswith(_TEMPORARY):
                if time.time() - fact.st_mtime > _ABANDONED_S:
                    path.unlink(missing_ok=True)
            elif path.suffix == _SUFFIX:
                used.append((fact.st_mtime_ns, fact.st_size, path))
        total = sum(size for _, size, _ in used)
        for _, size, path in sorted(used):
            if total <= self.max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def key_of(content: Any) -> str:
    """Return the key of what determines a frame, and of the code that makes it."""
    text = json.dumps([_code(), content], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _code() -> list[str]:
    """Hash the code that makes frames: a version number stays the same between two releases."""
    import mrcore

    digest = hashlib.sha256()
    here = Path(__file__).parent
    files = [*here.glob("*.py"), *(here.parent).glob("*.py")]
    for root in mrcore.__path__:
        files += [path for kind in ("*.so", "*.pyd") for path in Path(root).glob(kind)]
    for path in sorted(files):
        digest.update(f"{path.name}\0".encode())
        digest.update(path.read_bytes())
    return [digest.hexdigest(), pd.__version__, pa.__version__]
