"""Looking for files in folders."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_under(root: Path, endings: tuple[str, ...] = ("",)) -> Iterator[Path]:
    """Yield the files of a folder, or a file itself, whose names end so, in order of their paths.

    Links are followed, each folder once; names that begin with ``.`` or ``_`` are passed over, as
    readers of such folders do.
    """
    if root.is_file():
        if root.name.endswith(endings):
            yield root
        return
    seen = set()
    for folder, names, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith((".", "_")))
        for name in sorted(files):
            if name.endswith(endings) and not name.startswith((".", "_")):
                yield Path(folder, name)
