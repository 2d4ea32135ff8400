"""mrcore.quality: one pass over deltas, with the book that they make."""

import numpy as np

from mrcore.quality import DeltaAudit


class Deltas:
    params = [100_000, 1_000_000]
    param_names = ["n_rows"]

    def setup(self, n_rows):
        rng = np.random.default_rng(1)
        message = np.cumsum(rng.random(n_rows) < 0.02)
        is_bid = rng.random(n_rows) < 0.5
        away = rng.integers(1, 500, n_rows)
        self.columns = (
            1_700_000_000 * 10**9 + message * 10**7,
            1_700_000_000 * 10**9 + message * 10**7 + 5_000_000,
            message,
            is_bid.view(np.uint8),
            (600_000 + np.where(is_bid, -away, away)) * 0.1,
            rng.integers(0, 5_000, n_rows) * 0.001,
        )

    def time_audit(self, n_rows):
        audit = DeltaAudit(
            0.1, 0.001, max_gap_ns=6 * 10**11, frozen_ns=3 * 10**11, frozen_messages=1_000
        )
        audit.feed(*self.columns)
        audit.finish()
