"""Slow, obvious account in exact fractions: the twin that `mrcore.account` is held to.

It keeps no running cash. Every fill is a lot that is matched first in, first out with the fills
that close it; profits are those of the pairs, by the formulas of the exchanges, and what is open is
marked. So it shares no arithmetic with the core, which adds up one cash.
"""

from dataclasses import dataclass, field
from fractions import Fraction

DAY = 86_400_000_000_000


def profit(quantity, entry, exit_, inverse):
    """Of a long `quantity` (base units; inverse: quote units), in settlement currency."""
    if inverse:
        return quantity * (1 / entry - 1 / exit_)
    return quantity * (exit_ - entry)


@dataclass
class Holding:
    unit: Fraction  # lot_size * multiplier
    inverse: bool
    maker_fee: Fraction
    taker_fee: Fraction
    entries: list = field(default_factory=list)  # open [lots with their sign, price], oldest first
    realised: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)
    mark: Fraction | None = None
    open: tuple = (0, 0)  # own orders that may add: buys, sells
    payments: list = field(default_factory=list)  # (time, rate, mark or None)

    @property
    def position(self):
        return sum(lots for lots, _ in self.entries)

    def notional(self, price, lots):
        quantity = abs(lots) * self.unit
        return quantity / price if self.inverse else quantity * price

    def unrealised(self):
        return sum(
            (profit(lots * self.unit, entry, self.mark, self.inverse)
             for lots, entry in self.entries),
            Fraction(0),
        )  # fmt: skip

    def worst(self, buys=0, sells=0):
        return max(
            abs(self.position + self.open[0] + buys), abs(self.position - self.open[1] - sells)
        )


class Account:
    def __init__(self, deposit, tiers=(), volume_30d=0, initial=0, maintenance=0, extra=0, step=1):
        self.deposit, self.tiers = Fraction(deposit), [tuple(map(Fraction, t)) for t in tiers]
        self.initial, self.maintenance = Fraction(initial), Fraction(maintenance)
        self.extra, self.step, self.before = Fraction(extra), step, Fraction(volume_30d)
        self.holdings, self.volumes = [], []  # volumes: (UTC day, quote units)
        self.now = self.first_day = None
        self.halt_time = None

    def add(self, lot_size, multiplier, inverse, maker_fee, taker_fee):
        unit = Fraction(lot_size) * Fraction(multiplier)
        self.holdings.append(Holding(unit, inverse, Fraction(maker_fee), Fraction(taker_fee)))

    def fees(self, h):
        if self.tiers:
            return max(t for t in self.tiers if t[0] <= self.volume())[1:]
        return h.maker_fee, h.taker_fee

    def volume(self):
        """Of the 30 days before today; what came before the first day was spread evenly."""
        today = self.first_day if self.now is None else self.now // DAY
        if today is None:
            return self.before
        known = sum((v for day, v in self.volumes if today - 30 <= day < today), Fraction(0))
        return known + self.before * max(30 - (today - self.first_day), 0) / 30

    def fill(self, i, side, price, lots, maker):
        h, price = self.holdings[i], Fraction(price)
        maker_fee, taker_fee = self.fees(h)
        rate = maker_fee if maker else taker_fee + (0 if self.halt_time is None else self.extra)
        fee = h.notional(price, lots) * rate
        h.fees += fee
        quote = lots * h.unit * (1 if h.inverse else price)
        self.volumes.append((None if self.now is None else self.now // DAY, quote))
        while lots and h.entries and h.entries[0][0] * side < 0:
            held, entry = h.entries[0]
            closed = min(lots, abs(held))
            h.realised += profit(-side * closed * h.unit, entry, price, h.inverse)
            lots -= closed
            h.entries[0][0] += side * closed
            if h.entries[0][0] == 0:
                h.entries.pop(0)
        if lots:
            h.entries.append([side * lots, price])
        if h.mark is None:
            h.mark = price
        return fee

    def equity(self):
        return self.deposit + sum(
            h.realised + h.unrealised() - h.fees - h.funding for h in self.holdings
        )

    def margin(self, lots):
        """Notional at the marks of that many lots of each holding, None where one has no mark."""
        pairs = [(h, n) for h, n in zip(self.holdings, lots, strict=True) if n]
        if any(h.mark is None for h, _ in pairs):
            return None
        return sum((h.notional(h.mark, n) for h, n in pairs), Fraction(0))

    def allows(self, i, side, lots, reduce_only):
        if self.halt_time is not None:
            return False
        if self.initial == 0 or reduce_only:
            return True
        worst = [h.worst() for h in self.holdings]
        before = worst[i]
        worst[i] = self.holdings[i].worst(lots if side > 0 else 0, lots if side < 0 else 0)
        if worst[i] <= before:
            return True
        notional = self.margin(worst)
        return notional is not None and self.equity() >= self.initial * notional

    def advance(self, now):
        """All payments and checks in (self.now, now], each at its time."""
        if self.now is None:
            self.now, self.first_day = now, now // DAY
            self.volumes = [(self.first_day, v) for _, v in self.volumes]
            start = True
        else:
            start = False
        times = {t for h in self.holdings for t, _, _ in h.payments if t <= now}
        if not start and self.maintenance:
            k = self.now // self.step + 1
            times |= {j * self.step for j in range(k, now // self.step + 1)}
        for time in sorted(times):
            self.now = max(self.now, time)
            for h in self.holdings:
                for _, rate, mark in [p for p in h.payments if p[0] == time]:
                    at = h.mark if mark is None else mark
                    if h.position:
                        sign = 1 if h.position > 0 else -1
                        h.funding += sign * h.notional(at, h.position) * rate
            if self.maintenance and time % self.step == 0 and self.halt_time is None:
                needed = self.maintenance * self.margin([abs(h.position) for h in self.holdings])
                if self.equity() < needed:
                    self.halt_time = time
        for h in self.holdings:
            h.payments = [p for p in h.payments if p[0] > now]
        self.now = now
