"""What a door hands in: files of one series each, whatever format and place they come from."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from mrtrade.data.aggressor import Aggressor, Rule
from mrtrade.data.checks import Checks
from mrtrade.data.providers import (
    binance_data_processor,
    binance_public,
    cryptofeed,
    hftbacktest,
    hftbacktest_npz,
    lake_folder,
    tardis,
)
from mrtrade.data.providers.folders import files_under
from mrtrade.data.providers.recording import Part
from mrtrade.data.schemas import TABLES
from mrtrade.errors import ConfigError, DataError

FORMATS: Mapping[str, Callable[[Path, str | None, str | None], list[Part] | None] | None] = {
    lake_folder.FORMAT: None,  # a folder, not files
    **{
        door.FORMAT: door.find
        for door in (
            tardis,
            binance_public,
            hftbacktest,
            hftbacktest_npz,
            cryptofeed,
            binance_data_processor,
        )
    },
}
"""Name of a format -> what recognises a file of it, given the hints exchange and symbol."""


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
    path: Path,
    *,
    format: str | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
    aggressor: Rule | None = None,
) -> tuple[list[SourceFile], list[str]]:
    """Find what can be read in a file, or in a folder and all below it.

    Parameters
    ----------
    path : Path
    format : str, optional
        One of `FORMATS`, to read nothing else. Without it every file is recognised by itself.
    exchange, symbol : str, optional
        What files do not say of themselves, or say in a spelling that cannot be told apart; never
        what they say. `exchange` as Crypto Lake spells it.
    aggressor : str, optional
        Rule for the side of trades whose feed does not say it; without one such trades are refused.
        Of the rules of `mrtrade.data.aggressor`, ``tick``: the others need quotes.

    Returns
    -------
    files : list of SourceFile
    skipped : list of str
        What was passed over: tables that mrtrade does not know, and files of no known format.

    Raises
    ------
    DataError
        If there is nothing to read, or a file of a known format does not say what it is of.
    """
    if format not in (None, *FORMATS):
        raise ConfigError(
            "unknown format", key="format", value=format, expected=f"one of {', '.join(FORMATS)}"
        )
    if aggressor is not None and Aggressor(aggressor).needs_quotes:
        raise ConfigError(
            f"the rule {aggressor} needs quotes, which a file of trades does not have",
            key="aggressor",
            expected="tick",
            remedy="give tick",
        )
    if not path.exists():
        raise DataError("no such file or folder", file=path, remedy="give one that is there")
    root = path.resolve()
    files: list[SourceFile] = []
    parts: list[Part] = []
    skipped: list[str] = []
    if format in (None, lake_folder.FORMAT):
        found, skipped = lake_folder.discover(root)
        files += found
    market = exchange.upper() if exchange else None
    for file in files_under(root):
        if file.suffix == ".parquet":
            continue
        for name, find in FORMATS.items():
            if find is not None and format in (None, name):
                if found_parts := _of(find, file, market, symbol):
                    parts += found_parts
                    break
        else:
            skipped.append(f"{file.relative_to(root) if file != root else file.name}")
    binance_public.refuse_both(parts)
    for part in parts:
        part.recording.aggressor = aggressor
    files += parts
    if not files:
        raise DataError(
            "nothing here that mrtrade can read",
            file=root,
            value=", ".join(skipped[:5]) or "no files",
            expected=f"<table>/exchange=E/symbol=S/dt=YYYY-MM-DD/1.parquet, the table being one of "
            f"{', '.join(TABLES)}; or files of {', '.join(list(FORMATS)[1:])}",
            remedy="give the folder that holds them",
        )
    return files, skipped


def _of(
    find: Callable[[Path, str | None, str | None], list[Part] | None],
    file: Path,
    exchange: str | None,
    symbol: str | None,
) -> list[Part] | None:
    try:
        return find(file, exchange, symbol)
    except DataError as error:
        if error.file is not None:
            raise
        raise DataError(
            error.what, file=file, value=error.value, expected=error.expected, remedy=error.remedy
        ) from error
