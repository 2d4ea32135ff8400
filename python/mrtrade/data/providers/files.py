"""What a door hands in: files of one series each, whatever format and place they come from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from mrtrade.data.checks import Checks
from mrtrade.data.providers import lake_folder


class SourceFile(Protocol):
    """The rows of one series that one file holds.

    Attributes
    ----------
    path : Path
        The file; several series of one recording have the same.
    table, exchange, symbol : str
        The series; `symbol` in Crypto Lake's spelling.
    name : str
        Identity wherever the folder lies: a file of the same name and another content is a
        correction of it, not an addition.
    """

    @property
    def path(self) -> Path: ...
    @property
    def table(self) -> str: ...
    @property
    def exchange(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def name(self) -> str: ...

    def read(self, checks: Checks) -> Iterator[pa.Table]:
        """Yield checked rows of the table's schema, by received_time; again at every call.

        What is wrong is raised or, where `checks` says so, put aside there; what else there is to
        say of the file goes to ``checks.findings``.

        Raises
        ------
        DataError
            At the first fault, unless faults are put aside.
        """
        ...


def discover(
    path: Path, *, format: str | None = None, exchange: str | None = None, symbol: str | None = None
) -> tuple[list[SourceFile], list[str]]:
    """Find what can be read in a folder.

    Returns
    -------
    files : list of SourceFile
    skipped : list of str
        What was passed over, and why.

    Raises
    ------
    DataError
        If there is nothing to read.
    """
    found, skipped = lake_folder.discover(path)
    return list(found), skipped
