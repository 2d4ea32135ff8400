"""What a store of recorded data is, whatever keeps it."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pandas as pd
import pyarrow as pa

from mrtrade.clock import Scalar


@dataclass(frozen=True)
class Source:
    """One file that rows came from.

    Parameters
    ----------
    name : str
        Its identity: a file of the same name and another content is a correction, not an addition.
    size : int
        Bytes.
    sha256 : str
        Of the file's bytes.
    days : tuple of str
        UTC days of `received_time` that it holds rows of.
    """

    name: str
    size: int
    sha256: str
    days: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """What the manifest says of one partition: a table, exchange, symbol and UTC day.

    Parameters
    ----------
    table, exchange, symbol : str
        `symbol` in Crypto Lake's spelling.
    day : str
        UTC day of `received_time`, ``YYYY-MM-DD``.
    rows : int
    size : int
        Bytes stored.
    sha256 : str
        Of the stored bytes.
    first_received, last_received : int
        Nanoseconds.
    sources : tuple of Source
        In the order in which they were merged.
    """

    table: str
    exchange: str
    symbol: str
    day: str
    rows: int
    size: int
    sha256: str
    first_received: int
    last_received: int
    sources: tuple[Source, ...]


Series = tuple[str, str, str]
"""Table, exchange and symbol."""


class Chunk(NamedTuple):
    """Some consecutive rows of a partition, and where they lie, to be named in errors."""

    where: str
    first_row: int
    rows: pa.Table


class Store(Protocol):
    """A store of recorded data.

    `exchange` and `symbol` may be given in any spelling that `mrtrade.instruments` reads. A span
    is ``start <= received_time < end``; None leaves a side open. Rows come back bit for bit as they
    were written, in the order in which they were written.

    Attributes
    ----------
    url : str
        What `mrtrade.data.stores.open_store` opens it again with; never holds a password.
    """

    url: str

    def series(self) -> list[tuple[str, str, str]]:
        """Return (table, exchange, symbol) of all that is stored; symbols as users write them."""
        ...

    def days(self, table: str, exchange: str, symbol: str) -> list[str]:
        """Return the UTC days stored, in order."""
        ...

    def entries(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
    ) -> list[Entry]:
        """Return the manifest of the partitions that hold rows of a span, in order."""
        ...

    def batches(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[Chunk]:
        """Yield the rows of a span in order, a batch at a time."""
        ...

    def read(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the rows of a span in order, as one table."""
        ...

    def writing(self, series: Collection[Series] = ()) -> AbstractContextManager[None]:
        """Keep others from writing to some series, or, with none named, to all; may be nested.

        A store may keep them from writing to more than was asked. What was read inside stays true
        until the end of the block.

        Raises
        ------
        StoreError
            If another process is writing, and does not end in time.
        """
        ...

    def write(
        self, table: str, exchange: str, symbol: str, rows: pa.Table | pd.DataFrame
    ) -> list[Entry]:
        """Check rows and add them, each to the day of its `received_time`.

        Rows written before are kept; the same rows written twice are stored once.
        """
        ...

    def write_day(
        self,
        table: str,
        exchange: str,
        symbol: str,
        day: str,
        streams: Sequence[tuple[Source, Iterator[pa.Table]]],
        *,
        keep: bool,
    ) -> Entry:
        """Write one partition, whole or not at all, from checked and sorted streams.

        With `keep` what is stored already stays, as the first of the sources.
        """
        ...

    def remove_day(self, table: str, exchange: str, symbol: str, day: str) -> None:
        """Remove one partition."""
        ...

    def verify(
        self,
        table: str,
        exchange: str,
        symbol: str,
        start: Scalar | None = None,
        end: Scalar | None = None,
    ) -> list[str]:
        """Read partitions again and hold them against their manifest.

        Returns
        -------
        list of str
            One line a fault, that names the partition; empty when what is stored is what was
            written.
        """
        ...

    def close(self) -> None:
        """Free what the store holds: connections, locks. It can not be used any more."""
        ...
