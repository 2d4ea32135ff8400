"""The ledger of trials: every configuration that was ever tried, whatever run it was in.

How good the best of N backtests must be depends on N (Bailey & Lopez de Prado 2014), and N is what
was tried, not what was kept. So it is written down as it happens, in one file beside the work: a
line of JSON a trial. Runs, workers and weeks share the file.

- **What is one trial.** Its `study`, `kind`, parameters and data, in a canonical form. The same
  again, from whatever run, is the same trial; it counts once, and what was measured last holds.
- **Nothing is lost.** A lock (``flock``) lets one process at a time read and append; what it
  appends is one write, on the disk before `record` returns. A last line that a crash cut short is
  taken off, with a notice in the log, before the next is written; its run never heard that it was
  recorded. Any other line that cannot be read is an error, for the number would be too low.
- **Where it works.** POSIX, on a file system with locks (NFS has them). Elsewhere `record` refuses.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import duration_ns
from mrtrade.data.disk import locks, sync
from mrtrade.errors import ConfigError, DataError, RunError

_LOG = logging.getLogger(__name__)

FIELDS = (
    "study",
    "kind",
    "key",
    "params",
    "data",
    "sharpe",
    "n_periods",
    "period_ns",
    "returns_digest",
    "returns_path",
    "time",
)
"""What a line holds, in this order."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration that was tried.

    Attributes
    ----------
    kind : str
        What was tried: ``sweep``, ``model``, ``strategy``, ...
    params : mapping
        What tells it from others of its kind. Keys are text; values JSON types, NumPy scalars and
        arrays, dates, paths, enumerations, pydantic models, and lists and mappings of these. 2 and
        2.0 are the same.
    study : str
        The question that all its trials try to answer: they are counted together.
    data : str
        Fingerprint of the data.
    sharpe : float, optional
        Sharpe ratio per period, not annualised; None or not finite: there was none.
    n_periods : int, optional
        Number of periods that it was measured on.
    period : str or int
        The period's length.
    returns_digest, returns_path : str, optional
        sha256 of the returns of the periods, and where they were saved.
    """

    kind: str
    params: Mapping[str, Any]
    study: str = "default"
    data: str = ""
    sharpe: float | None = None
    n_periods: int | None = None
    period: str | int = "1D"
    returns_digest: str | None = None
    returns_path: str | os.PathLike[str] | None = None

    def entry(self) -> dict[str, Any]:
        """Return it as a line of the ledger has it, but for the time."""
        params = canonical(self.params)
        sharpe = None if self.sharpe is None else float(self.sharpe)
        identity = [self.study, self.kind, params, self.data]
        return {
            "study": self.study,
            "kind": self.kind,
            "key": hashlib.sha256(_json(identity).encode()).hexdigest()[:32],
            "params": params,
            "data": self.data,
            "sharpe": sharpe if sharpe is not None and math.isfinite(sharpe) else None,
            "n_periods": None if self.n_periods is None else int(self.n_periods),
            "period_ns": duration_ns(self.period),
            "returns_digest": self.returns_digest,
            "returns_path": None if self.returns_path is None else os.fspath(self.returns_path),
        }


def canonical(value: Any, key: str = "params") -> Any:
    """Return a value as JSON types, such that equal parameters are equal text.

    Raises
    ------
    ConfigError
        For what has no such form; names its place.
    """
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return int(value) if value.is_integer() else value
        return str(value)  # JSON has none of nan, inf and -inf
    if isinstance(value, date):  # datetime and Timestamp are dates
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise ConfigError("a parameter's name that is not text", key=key, value=name)
        return {name: canonical(value[name], f"{key}.{name}") for name in sorted(value)}
    if isinstance(value, (set, frozenset)):
        return sorted((canonical(one, key) for one in value), key=_json)
    if isinstance(value, (list, tuple)):
        return [canonical(one, f"{key}[{number}]") for number, one in enumerate(value)]
    raise ConfigError(
        "a parameter that cannot be written down",
        key=key,
        value=value,
        expected="JSON types, or what Trial says has such a form",
    )


@dataclass(slots=True)
class _Known:
    """What was read of a file so far."""

    file: tuple[int, int] | None = None
    size: int = 0
    lines: int = 0
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)


class TrialLedger:
    """A file of trials that many processes append to.

    Parameters
    ----------
    path : path
        The file. It and its folder are made by the first trial.
    """

    def __init__(self, path: str | os.PathLike[str] = "trials.jsonl") -> None:
        self.path = Path(path)
        self._known = _Known()
        self._mutex = threading.Lock()  # the file's lock lets readers in together

    def __repr__(self) -> str:
        return f"TrialLedger({str(self.path)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return TrialLedger, (self.path,)

    def record(self, kind: str, params: Mapping[str, Any], **about: Any) -> bool:
        """Write down one trial.

        Parameters
        ----------
        kind, params
            See `Trial`.
        **about
            Its other attributes.

        Returns
        -------
        bool
            Whether it was a new one.
        """
        return self.record_many([Trial(kind, params, **about)]) == 1

    def record_many(self, trials: Iterable[Trial]) -> int:
        """Write down trials, all of them in one write.

        Returns
        -------
        int
            How many of them were new.

        Raises
        ------
        RunError
            The file cannot be locked or written; none of them was recorded.
        """
        entries = [trial.entry() for trial in trials]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._mutex, self._opened(write=True) as file:
            self._read(file, repair=True)
            known = self._known.entries
            fresh = {entry["key"] for entry in entries} - known.keys()
            lines, latest = [], dict[str, dict[str, Any]]()
            for entry in entries:
                before = latest.get(entry["key"], known.get(entry["key"]))
                if before is None or any(before[name] != entry[name] for name in entry):
                    latest[entry["key"]] = entry = {**entry, "time": now}
                    lines.append(_json(entry) + "\n")
            if lines:
                self._append(file, "".join(lines).encode())
                self._read(file)
        return len(fresh)

    def count(self, study: str | None = None) -> int:
        """Return the number of different trials, of a study or of all."""
        return len(self._entries(study))

    def frame(self, study: str | None = None) -> pd.DataFrame:
        """Return a row a trial, in the order in which they were first tried.

        Returns
        -------
        DataFrame (trials, 11)
            Columns `FIELDS`: ``params`` a dict, ``sharpe`` and ``n_periods`` NaN where there is
            none, ``time`` when it was last recorded.
        """
        entries = self._entries(study)
        columns = {name: [entry[name] for entry in entries] for name in FIELDS}
        frame = pd.DataFrame({name: pd.Series(columns[name], dtype=object) for name in FIELDS})
        return frame.assign(
            sharpe=frame["sharpe"].astype(np.float64),
            n_periods=frame["n_periods"].astype(np.float64),
            period_ns=frame["period_ns"].astype(np.int64),
            time=pd.to_datetime(frame["time"], utc=True).dt.as_unit("ns"),
        )

    def sharpes(self, study: str | None = None) -> npt.NDArray[np.float64]:
        """Return the Sharpe ratios per period of those trials that have one.

        Raises
        ------
        DataError
            Their periods differ.
        """
        entries = [entry for entry in self._entries(study) if entry["sharpe"] is not None]
        periods = sorted({entry["period_ns"] for entry in entries})
        if len(periods) > 1:
            raise DataError(
                "Sharpe ratios of different periods cannot be set against each other",
                file=self.path,
                key="period_ns",
                value=periods,
                remedy="give trials of one study the same period",
            )
        return np.array([entry["sharpe"] for entry in entries], dtype=np.float64)

    def sharpe_variance(self, study: str | None = None) -> float:
        """Return the sample variance of `sharpes`; NaN with fewer than two."""
        sharpes = self.sharpes(study)
        return float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else math.nan

    def _entries(self, study: str | None) -> list[dict[str, Any]]:
        with self._mutex:
            if not self.path.exists():
                return []
            with self._opened(write=False) as file:
                self._read(file)
            entries = self._known.entries.values()
            return [entry for entry in entries if study is None or entry["study"] == study]

    @contextmanager
    def _opened(self, write: bool) -> Iterator[int]:
        """Open the file, held by nobody else, or by readers only."""
        fcntl = locks(self.path)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
        try:
            made = write and not self.path.exists()
            if write:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, flags | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise _unusable(self.path, error) from error
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX if write else fcntl.LOCK_SH)
                if made:
                    sync(self.path.parent)
            except OSError as error:
                raise _unusable(self.path, error) from error
            yield file
        finally:
            os.close(file)  # frees the lock too

    def _read(self, file: int, repair: bool = False) -> None:
        """Take in what was appended since it was last read."""
        status = os.fstat(file)
        which = (status.st_dev, status.st_ino)
        if which != self._known.file or status.st_size < self._known.size:
            self._known = _Known(which)
        known = self._known
        content = _bytes(file, known.size, status.st_size)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            _LOG.warning(
                "%s: its last line was cut short, %d bytes; that trial is not counted",
                self.path,
                len(content) - whole,
            )
            if repair:
                os.ftruncate(file, known.size + whole)
        for line in content[:whole].split(b"\n")[:-1]:
            entry = _entry(line, self.path, known.lines)
            # a trial measured again keeps its place
            known.entries[entry["key"]] = entry
            known.lines += 1
            known.size += len(line) + 1

    def _append(self, file: int, content: bytes) -> None:
        size = os.fstat(file).st_size
        try:
            if os.write(file, content) < len(content):
                raise OSError(None, "no room for all of it")
            os.fsync(file)
        except OSError as error:
            os.ftruncate(file, size)
            raise _unusable(self.path, error) from error


def _unusable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"the ledger of trials cannot be locked, read or written: {error.strerror or error}",
        file=path,
        remedy="see to room and rights there; it must lie on a file system that has locks",
    )


def _bytes(file: int, begin: int, end: int) -> bytes:
    parts = []
    while begin < end:
        part = os.pread(file, end - begin, begin)
        if not part:
            break
        parts.append(part)
        begin += len(part)
    return b"".join(parts)


def _entry(line: bytes, path: Path, row: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        missing = [name for name in FIELDS if name not in entry]
    except (ValueError, TypeError):
        missing = list(FIELDS)
    if missing:
        raise DataError(
            "a line of the ledger of trials that is none",
            file=path,
            row=row,
            expected=f"JSON with {', '.join(missing)}",
            remedy="put it right or take it out by hand: without it fewer trials are counted "
            "than there were",
        )
    return dict(entry)


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=False, allow_nan=False, separators=(",", ":"))
