"""Slow, obvious order latency: the twin that `mrcore.latency` is held to.

`Recorded` is hftbacktest 2.4.4's ``IntpOrderLatency``, line by line, with one file of rows, and
its two faults with rejected rows mended (`mrcore.latency.Latency.recorded` says which).
"""

import math
from bisect import bisect_right


def line(x, x1, y1, x2, y2):
    """Rust's ``((y2 - y1) as f64 / (x2 - x1) as f64 * (x - x1) as f64) as i64 + y1``."""
    return math.trunc(float(y2 - y1) / float(x2 - x1) * float(x - x1)) + y1


class Recorded:
    """rows: (time sent, time at the exchange or 0, time of the response)."""

    def __init__(self, rows):
        self.rows = list(rows)
        self.served = [row for row in self.rows if row[1] > 0]

    def entry(self, now):
        i = max(bisect_right([row[0] for row in self.rows], now) - 1, 0)
        pair = self.rows[i : i + 2]
        if len(pair) == 1 or now < pair[0][0]:
            sent, reached, answered = pair[0]
            return reached - sent if reached > 0 else sent - answered
        (s1, e1, r1), (s2, e2, r2) = pair
        if e1 <= 0 or e2 <= 0:
            return -line(now, s1, r1 - s1, s2, r2 - s2)
        return line(now, s1, e1 - s1, s2, e2 - s2)

    def response(self, now):
        if now < self.served[0][1]:
            return self.served[0][2] - self.served[0][1]
        for (_, e1, r1), (_, e2, r2) in zip(self.served, self.served[1:], strict=False):
            if e1 <= now < e2:
                return line(now, e1, r1 - e1, e2, r2 - e2)
        return self.served[-1][2] - self.served[-1][1]
