"""A backtest on bars, one bar at a time and in plain Python: what `run_bars` has to agree with."""

import math

NAN = math.nan


def known(value):
    return value == value


class Twin:
    """State of the position while bars go by; all money in shares of the capital."""

    def __init__(self, legs, costs_bps, scale):
        self.legs, self.costs_bps, self.scale = legs, costs_bps, scale
        self.share, self.q, self.entry = 0.0, [0.0] * legs, [NAN] * legs
        self.since = None
        self.barred = 0
        self.stop = self.hold = NAN
        self.cash = 0.0  # of fills only
        self.cost = self.gross = 0.0  # of the present row
        self.history = [(-math.inf, [0.0] * legs)]
        self.reasons = []

    def trade(self, share, prices, time, reason, rows):
        for leg, price in enumerate(prices):
            sign = 1 if leg == 0 else -1
            new = sign * share * self.scale / prices[0] if share else 0.0
            old = self.q[leg]
            if old * new <= 0:
                self.entry[leg] = price
            elif abs(new) > abs(old):
                self.entry[leg] = (self.entry[leg] * old + price * (new - old)) / new
            self.cash -= (new - old) * price
            self.cost += abs(new - old) * price * self.costs_bps * 1e-4
            self.q[leg] = new
        if share * self.share <= 0:
            self.since = time
        self.share = share
        self.history.append((time, list(self.q)))
        self.reasons.append((rows, reason))

    def close(self, prices, time, reason, row):
        self.barred = 1 if self.share > 0 else -1
        self.trade(0.0, prices, time, reason, row)

    def loss(self, prices):
        """Distance of the price from the entry, or of two legs the share lost."""
        if self.legs == 1:
            return (self.entry[0] - prices[0]) * (1 if self.share > 0 else -1)
        gain = sum(q * (p - e) for q, p, e in zip(self.q, prices, self.entry, strict=True))
        return -gain / abs(self.q[0] * self.entry[0])

    def worth(self, marks):
        return sum(q * m for q, m in zip(self.q, marks, strict=True) if q)


def twin(bars, targets, *, costs_bps, funding=(), second=None, scale=1.0, interval_ns=None):
    """Run one; returns rows of (position, gross, costs, funding, net) and (row, reason) of fills.

    `bars` and `second` are dicts of lists with `time` (ns), `mid` and perhaps `mid_open, mid_low,
    mid_high`; `targets` are (target, stop_bps, hold_s) by row; `funding` are (ns, rate, mark).
    """
    both = [bars] if second is None else [bars, second]
    times, n = bars["time"], len(bars["time"])
    t = Twin(len(both), costs_bps, scale)
    wanted, pending = 0.0, None
    asked = (0.0, NAN, NAN)
    last_mid, marks = NAN, [NAN] * len(both)
    worth_before, cash_before, old = 0.0, 0.0, list(marks)
    rows = []
    settlements = sorted(funding)

    def column(leg, name, r):
        return leg[name][r] if name in leg else NAN

    for r in range(n):
        end = times[r]
        start = times[r - 1] if r else end
        if interval_ns:
            start = max(start, end - interval_ns)
        opens = [column(leg, "mid_open", r) for leg in both]
        mids = [leg["mid"][r] for leg in both]
        has_open, has_mid = all(map(known, opens)), all(map(known, mids))
        # A pair is priced when both of its legs are: half a price would be profit from nothing.
        opens = opens if has_open else [NAN] * len(both)
        mids = mids if has_mid else [NAN] * len(both)
        for leg in range(len(both)):
            if known(mids[leg]):
                marks[leg] = mids[leg]
            elif known(opens[leg]):
                marks[leg] = opens[leg]
        low = min([x for x in (column(bars, "mid_low", r), mids[0], opens[0]) if known(x)] or [NAN])
        high = max(
            [x for x in (column(bars, "mid_high", r), mids[0], opens[0]) if known(x)] or [NAN]
        )

        def follow(prices, time, r=r):
            nonlocal pending
            share, stop, hold = pending
            if t.barred * share <= 0:  # stopped after the decision, in the other direction
                t.barred = 0
            if t.barred == 0 and share * t.share > 0:
                t.stop, t.hold = stop, hold
                if known(hold) and time >= t.since + hold:
                    t.close(prices, time, "hold", r)
                elif known(stop) and t.loss(prices) >= stop:
                    t.close(prices, time, "stop", r)
            if t.barred == 0 and share != t.share:
                t.trade(share, prices, time, "target", r)
            if share:
                t.stop, t.hold = stop, hold
            pending = None

        t.cost = 0.0
        # The start of the bar.
        if has_open:
            if pending is not None:
                follow(opens, start)
                if t.share and known(t.stop) and t.loss(opens) >= t.stop:
                    t.close(opens, start, "stop", r)  # a stop of nothing
            elif t.share:
                if known(t.hold) and start >= t.since + t.hold:
                    t.close(opens, start, "hold", r)
                elif known(t.stop) and t.loss(opens) >= t.stop:
                    t.close(opens, start, "stop", r)
        # Within it: the first leg's extremes. A bar that has no open and no range has only its mid.
        if t.share and len(both) == 1 and known(t.stop) and (has_open or low != high):
            if t.loss([low if t.share > 0 else high]) >= t.stop:
                level = t.entry[0] - math.copysign(t.stop, t.share)
                if t.share > 0:
                    price = min(level, opens[0] if has_open else high)
                else:
                    price = max(level, opens[0] if has_open else low)
                t.close([price], end - 1, "stop", r)
        # Its end.
        if has_mid:
            if pending is not None and not has_open:
                follow(mids, end)
            elif t.share:
                if known(t.stop) and t.loss(mids) >= t.stop:
                    t.close(mids, end, "stop", r)
                elif known(t.hold) and end >= t.since + t.hold:
                    t.close(mids, end, "hold", r)
        paid = 0.0
        for time, rate, mark in settlements:
            if r and times[r - 1] < time <= end:
                held = [q for when, q in t.history if when < time][-1]
                if held[0]:
                    # The last mid that was known by then: of a bar that had ended.
                    if not known(mark):
                        mark = (marks if time == end else old)[0]
                    if not known(mark):
                        mark = t.entry[0]
                    paid += held[0] * mark * rate
        worth = t.worth(marks)
        gross = (worth - worth_before) + (t.cash - cash_before)
        rows.append((t.share * scale, gross, t.cost, paid, gross - t.cost - paid))
        worth_before, cash_before, old = worth, t.cash, list(marks)
        # The decision.
        if has_mid:
            last_mid = mids[0]
        target, stop_bps, hold_s = targets[r]
        if known(target):
            asked = (target, stop_bps, hold_s)
        share, stop_bps, hold_s = asked
        if known(stop_bps) and not known(last_mid):
            share = 0.0
        if share != wanted:
            wanted = share
            if t.barred * share <= 0:
                t.barred = 0
            stop = 1e-4 * stop_bps * (last_mid if len(both) == 1 else 1.0)
            hold = max(round(hold_s * 1e9), 1) if known(hold_s) else NAN
            pending = (share, stop, hold)
    return rows, t.reasons
