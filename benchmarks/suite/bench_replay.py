"""mrcore.replay: what one event of the tape costs, alone, sampled, and with own orders."""

import numpy as np

from mrcore.market import SyntheticMarket
from mrcore.replay import Replay

MS = 1_000_000


class Pass:
    """Whole passes over the synthetic market; divide by `track_events`."""

    def setup_cache(self):
        return SyntheticMarket(seed=7).run(n_deltas=1_000_000).tape()

    def replay(self, tape, **options):
        r = Replay(
            0.1, 0.001, feed_latency_ns=MS, entry_latency_ns=MS, response_latency_ns=MS, **options
        )
        r.feed(*tape)
        return r

    def track_events(self, tape):
        return len(tape[0][0]) + len(tape[1][0])

    def time_no_orders(self, tape):
        self.replay(tape).finish()

    def time_samples_each_second(self, tape):
        times = np.arange(tape[0][0][0], tape[0][0][-1], 1000 * MS)
        self.replay(tape, sample_times=times).finish()

    def quotes(self, tape, levels):
        """Post-only quotes at the touch and behind it, re-quoted each 100 ms when it moved."""
        r = self.replay(tape, queue_model="risk_averse")
        now, end = int(tape[0][0][0]) + 1000 * MS, int(tape[0][0][-1])
        live, touch = [], None
        while now < end:
            r.advance(now)
            bid, ask = r.bid_tick, r.ask_tick
            if (bid, ask) != touch:
                for order in live:
                    r.cancel(order)
                live = [r.submit(1, bid - k, 10, "post_only") for k in range(levels)]
                live += [r.submit(-1, ask + k, 10, "post_only") for k in range(levels)]
                touch = bid, ask
            now += 100 * MS
        r.finish()

    def time_one_quote_a_side(self, tape):
        self.quotes(tape, 1)

    def time_ten_quotes_a_side(self, tape):
        self.quotes(tape, 10)

    def peakmem_no_orders(self, tape):
        self.replay(tape).finish()
