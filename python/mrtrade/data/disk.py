"""What keeps files whole: locks between processes, and what is brought to the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mrtrade.errors import RunError


def locks(path: Path) -> Any:
    """Return the module of file locks; refuse where the platform has none."""
    try:
        import fcntl
    except ModuleNotFoundError as error:
        raise RunError(
            "this needs the file locks of POSIX, which this platform lacks",
            file=path,
            remedy="work on Linux or macOS, or in WSL",
        ) from error
    return fcntl


def sync(path: Path) -> None:
    """Bring to the disk what a file holds, or which files a folder has."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
