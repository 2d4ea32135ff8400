"""mrtrade.data.loader: frames of a day of a million deltas, from a store in a folder."""

from pathlib import Path

from mrcore.market import SyntheticMarket
from mrtrade.data.cache import FrameCache
from mrtrade.data.ingest import ingest
from mrtrade.data.loader import DataLoader
from mrtrade.data.stores import open_store
from mrtrade.data.synthetic import write_lake

BTC = "BTC/USDT"


class Day:
    """A million deltas spread over the hours of a day, and the trades between them."""

    timeout = 600

    def setup_cache(self):
        folder = Path.cwd()  # a temporary one, which asv removes
        run = SyntheticMarket(seed=7).run(n_deltas=1_000_000)
        slow = 60  # a busy market's quarter of an hour, stretched
        for part in (run.snapshot, run.deltas, run.trades):
            for name in ("origin_time", "received_time"):
                first = int(run.deltas["received_time"][0])
                part[name] = first + (part[name] - first) * slow
        write_lake(folder / "lake", run, "BINANCE", BTC)
        ingest(folder / "lake", open_store(folder / "store"))
        DataLoader("binance", folder / "store", FrameCache(folder / "cache")).load_combined(BTC)
        return folder

    def setup(self, folder):
        self.loader = DataLoader("binance", folder / "store", cache=False)
        self.kept = DataLoader("binance", folder / "store", FrameCache(folder / "cache"))

    def track_minutes(self, folder):
        return len(self.loader.load_order_book_snapshots(BTC))

    def time_book_each_minute(self, folder):
        self.loader.load_order_book_snapshots(BTC)

    def time_book_each_second(self, folder):
        self.loader.load_order_book_snapshots(BTC, interval="1s")

    def time_bars_of_trades(self, folder):
        self.loader.load_ohlcv(BTC, "1m")

    def time_trades(self, folder):
        self.loader.load_trades(BTC)

    def time_combined(self, folder):
        self.loader.load_combined(BTC, "1m")

    def time_combined_from_cache(self, folder):
        self.kept.load_combined(BTC)

    def peakmem_combined(self, folder):
        for _ in self.loader.iter_combined(BTC, "1m", chunk="1h"):
            pass
