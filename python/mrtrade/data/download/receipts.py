"""What is remembered of a day that was brought in: so that a rerun need not fetch it to know it.

A receipt says which version of a day's objects (key, size, ETag) became which files of the store's
ledger (name, size, sha256), and what the day was worth. It lies beside the cache and outlives the
objects there. Whether a store still holds those files is its ledger's word, never the receipt's;
without a receipt a day is fetched again, and the ledger then says whether anything is new.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrtrade.data.download.quality import Quality
from mrtrade.data.store import Entry, Source

Version = tuple[tuple[str, int, str], ...]
"""Key, size and ETag of each object of a day."""


@dataclass(frozen=True)
class Receipt:
    """What became of one version of a day's objects.

    Parameters
    ----------
    version : tuple
    sources : tuple of Source
        As the ledger of the store names the files.
    quality : Quality or None
        None: no row of the day itself.
    quarantined : int
        Rows that were set aside.
    notes : tuple of str
        What else was found.
    """

    version: Version
    sources: tuple[Source, ...]
    quality: Quality | None
    quarantined: int
    notes: tuple[str, ...]

    def is_held(self, stored: Mapping[str, Entry]) -> bool:
        """Whether a store, by its partitions, still has all of the files."""
        return all(
            day in stored and source in stored[day].sources
            for source in self.sources
            for day in source.days
        )


def read_receipt(path: Path, version: Version) -> Receipt | None:
    """Return the receipt of that very version; None if there is none, or not a whole one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != [list(one) for one in version]:
            return None
        return Receipt(
            version,
            tuple(Source(**{**one, "days": tuple(one["days"])}) for one in content["sources"]),
            _quality(content["quality"]),
            int(content["quarantined"]),
            tuple(content["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_receipt(path: Path, receipt: Receipt) -> None:
    """Keep a receipt, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(asdict(receipt), out)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _quality(content: dict[str, Any] | None) -> Quality | None:
    if content is None:
        return None
    first, last = content["largest_gap"]
    gaps = tuple((int(a), int(b)) for a, b in content["gaps"])
    return Quality(**{**content, "largest_gap": (first, last), "gaps": gaps})
