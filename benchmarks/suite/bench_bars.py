"""mrcore.bars: what one event of the tape costs, by the kind of the bars."""

from mrcore.bars import MarketBars
from mrcore.market import SyntheticMarket

MS = 1_000_000
SIZES = {"time": 1000 * MS, "tick": 100, "volume": 50.0, "dollar": 5_000_000.0}


class Pass:
    """Whole passes over the synthetic market; divide by `track_events`."""

    params = list(SIZES)
    param_names = ["kind"]

    def setup_cache(self):
        return SyntheticMarket(seed=7).run(n_deltas=1_000_000).tape()

    def track_events(self, tape, kind):
        return len(tape[0][0]) + len(tape[1][0])

    def time_pass(self, tape, kind):
        bars = MarketBars(0.1, 0.001, kind=kind, size=SIZES[kind], feed_latency_ns=MS)
        bars.feed(*tape)
        bars.finish()


class Stream:
    """One second at a time, as a live feed is taken; divide by `track_bars`."""

    def setup_cache(self):
        return SyntheticMarket(seed=7).run(n_deltas=100_000).tape()

    def setup(self, tape):
        (time, *_), (trade_time, *_) = deltas, trades = tape
        self.chunks = []
        for start in range(int(time[0]), int(time[-1]), 1000 * MS):
            stop = start + 1000 * MS
            inside = (time >= start) & (time < stop), (trade_time >= start) & (trade_time < stop)
            parts = [
                tuple(c[rows] for c in columns)
                for columns, rows in zip((deltas, trades), inside, strict=True)
            ]
            self.chunks.append((*parts, stop - 1))

    def track_bars(self, tape):
        return len(self.chunks)

    def time_second_by_second(self, tape):
        bars = MarketBars(0.1, 0.001, size=1000 * MS)
        for deltas, trades, until in self.chunks:
            bars.feed(deltas, trades)
            bars.advance(until)
            bars.drain()
