"""Rows that wait for their transaction on a disk that is full."""

import pyarrow as pa
import pytest

from mrtrade.data.timescale.spool import spooled
from mrtrade.errors import StoreError
from tests.data.parquet.test_disk_full import files_up_to


def test_no_room():
    rows = pa.table({"x": range(100_000)})
    with files_up_to(10_000), pytest.raises(StoreError, match="cannot be written"):
        with spooled(rows.schema, iter([rows])):
            pass


def test_what_is_read_may_fail_too():
    def broken():
        yield pa.table({"x": [1]})
        raise OSError("of the source")

    with pytest.raises(OSError, match="of the source"):
        with spooled(pa.schema([("x", pa.int64())]), broken()):
            pass
