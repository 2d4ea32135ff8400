"""Files of Crypto Lake in the cache, and what is odd about some of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mrtrade.clock import NS_PER_MS
from mrtrade.data.checks import Checks
from mrtrade.data.merge import merge_sorted
from mrtrade.data.providers import lake_folder
from mrtrade.data.quality.findings import Finding
from mrtrade.data.schemas import RAW_NAMES
from mrtrade.instruments import from_lake

FLOAT_STEP_NS = 256
"""Nanoseconds between neighbouring float64 of recent times in seconds, as 2022-23's files hold."""


@dataclass(frozen=True)
class LakeFile(lake_folder.LakeFile):
    """One file of a day, as `CryptoLakeProvider.fetch` gives it."""

    def read(self, checks: Checks) -> Iterator[pa.Table]:
        """Yield checked rows; times that went through float64 are reported."""
        tables = super().read(checks)
        for rows in tables:
            self._look_at_times(rows, checks)
            yield rows
            break
        yield from tables

    def _look_at_times(self, rows: pa.Table, checks: Checks) -> None:
        received = rows["received_time"].to_numpy()
        # Whole milliseconds are often multiples too, and exact.
        if (received % FLOAT_STEP_NS).any() or not (received % NS_PER_MS).any():
            return
        checks.report(
            Finding(
                "float_times",
                "info",
                self.table,
                self.exchange,
                from_lake(self.symbol),
                int(received[0]),
                int(received[-1]),
                len(rows),
                f"times are multiples of {FLOAT_STEP_NS} ns: they were float64 seconds once, and "
                "are good to a quarter of a microsecond; round to microseconds before comparing",
            )
        )


def rows_of(files: list[LakeFile], checks: Checks) -> Iterator[pa.Table]:
    """Yield the rows of a day of one or several files, by received_time.

    Raises
    ------
    DataError
        At the first row that is wrong.
    """
    if not all(_is_sorted(file) for file in files):
        checks.on_unsorted = "report"  # the files then sort themselves, over the disk
    yield from merge_sorted([file.read(checks) for file in files])


def _is_sorted(file: LakeFile) -> bool:
    """Whether the rows of a file are by received_time; some feeds' trades are not."""
    parquet, _ = file.inspect(Checks())
    with parquet:
        last = 0
        names = parquet.schema_arrow.names
        received = next(name for name in names if RAW_NAMES.get(name, name) == "received_time")
        for batch in parquet.iter_batches(columns=[received]):
            times = batch.column(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
            if not len(times):
                continue
            if times[0] < last or (np.diff(times) < 0).any():
                return False
            last = times[-1]
    return True
