"""The Parquet store: a day of deltas written and read, and asked by SQL."""

import shutil
import tempfile

from mrtrade.clock import NS_PER_SECOND, utc_day
from mrtrade.data.bench import synthetic_day
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.sql import query
from mrtrade.data.store import Source

HERE = ("book_delta_v2", "BINANCE", "BTC/USDT")
BATCH_ROWS = 1 << 17


class Day:
    params = [1_000_000, 4_000_000]
    param_names = ["rows"]

    def setup(self, rows):
        self.rows = synthetic_day(rows)
        self.first = self.rows["received_time"][0].as_py()
        self.day = utc_day(self.first)
        self.folder = tempfile.mkdtemp(prefix="mrtrade-bench-")
        self.store = ParquetStore(self.folder)
        self.time_write(rows)

    def teardown(self, rows):
        shutil.rmtree(self.folder)

    def time_write(self, rows):
        pieces = (self.rows.slice(at, BATCH_ROWS) for at in range(0, rows, BATCH_ROWS))
        source = Source("bench", 0, "", (self.day,))
        self.store.write_day(*HERE, self.day, [(source, pieces)], keep=False)

    def time_read_to_numpy(self, rows):
        found = self.store.read(*HERE)
        for column in found.columns:
            column.to_numpy()

    def time_read_5_minutes(self, rows):
        start = self.first + 43_200 * NS_PER_SECOND
        self.store.read(*HERE, start, start + 300 * NS_PER_SECOND)

    def time_verify(self, rows):
        self.store.verify(*HERE)

    def time_sql(self, rows):
        with query(self.store, "SELECT max(price) FROM order_book_deltas") as answer:
            answer.read_all()

    def track_bytes_a_row(self, rows):
        return self.store.entries(*HERE)[0].size / rows

    track_bytes_a_row.unit = "bytes"
