"""`mrcore.quality` written out slowly: a message is a list of rows, a book two dicts."""

import math
from itertools import groupby

MAX = 9e15


def steps(value, step):
    """Nearest whole number of steps, and whether the value is on the grid."""
    x = value * (1.0 / step)
    if not math.isfinite(x):
        return 0, False
    whole = round(x)  # half to even, as the processor does
    return whole, 0 <= whole < MAX and abs(x - whole) <= 1e-3


class Spell:
    def __init__(self):
        self.since = None
        self.messages = self.spells = self.total_ns = self.longest_ns = self.longest_at = 0

    def step(self, now, time):
        if now:
            self.messages += 1
            if self.since is None:
                self.since = time
                self.spells += 1
        elif self.since is not None:
            self.end(time)

    def end(self, time):
        self.total_ns += time - self.since
        if time - self.since > self.longest_ns:
            self.longest_ns, self.longest_at = time - self.since, self.since
        self.since = None


def audit(rows, snapshots, *, tick_size, lot_size, max_gap_ns, frozen_ns, frozen_messages):
    """What a `DeltaAudit` says of rows (origin, received, sequence, is_bid, price, size).

    `snapshots` are (number of the first row after it, levels, received, sequence).
    """
    c = dict.fromkeys(
        "rows bad_prices bad_sizes off_tick off_lot repeated_rows messages gaps "
        "no_sequence sequence_falls sequence_repeats sequence_jumps first_fall_at one_sided "
        "locked snapshots".split(),
        0,
    )
    book = {True: {}, False: {}}
    crossed, frozen = Spell(), Spell()
    last_received = last_sequence = stale = still = None
    renumbered = False
    touch, quiet = None, 0
    out = []

    def thaw(time):
        nonlocal still
        if still is not None and time - still >= frozen_ns and quiet >= frozen_messages:
            frozen.spells += 1
            frozen.since = still
            frozen.end(time)
        still = None

    def forget(time):
        nonlocal touch, stale
        crossed.step(False, time)
        thaw(time)
        book[True].clear()
        book[False].clear()
        touch = stale = None

    cuts = {row for row, *_ in snapshots}
    pending = {}
    for row, *snapshot in snapshots:
        pending.setdefault(row, []).append(snapshot)

    def take_snapshots(row):
        nonlocal stale, renumbered, last_received
        for levels, received, sequence in pending.pop(row, []):
            forget(received)
            for is_bid, tick, lots in levels:
                book[is_bid].pop(tick, None) if lots == 0 else book[is_bid].update({tick: lots})
            stale = sequence if sequence >= 0 else None
            renumbered = True
            last_received = received if last_received is None else max(last_received, received)
            c["snapshots"] += 1

    numbered = list(enumerate(rows))
    # a snapshot ends a message, whatever comes after it
    part, parts = 0, []
    for number, _ in numbered:
        part += number in cuts
        parts.append(part)
    for _, group in groupby(numbered, key=lambda one: (one[1][1], one[1][2], parts[one[0]])):
        group = list(group)
        take_snapshots(group[0][0])
        origin, received, sequence = group[0][1][:3]
        if last_received is not None and received - last_received > max_gap_ns:
            c["gaps"] += 1
            forget(last_received)
        last_received = received
        if sequence < 0:
            c["no_sequence"] += 1
        else:
            if last_sequence is not None and not renumbered:
                if sequence < last_sequence:
                    c["first_fall_at"] = c["first_fall_at"] or received
                    c["sequence_falls"] += 1
                c["sequence_repeats"] += sequence == last_sequence
                c["sequence_jumps"] += sequence > last_sequence + 1
            last_sequence, renumbered = sequence, False
        before = None
        for _, (_, _, _, is_bid, price, size) in group:
            c["rows"] += 1
            tick, fits = steps(price, tick_size)
            lots, whole = steps(size, lot_size)
            good = price > 0 and price / tick_size < MAX and (tick > 0 or not fits)
            c["bad_prices"] += not good
            c["off_tick"] += good and not fits
            good_size = 0 <= size and size / lot_size < MAX
            c["bad_sizes"] += not good_size
            c["off_lot"] += good_size and not whole
            if good_size and not whole:
                lots = max(lots, 1)
            if good and good_size:
                c["repeated_rows"] += before == (is_bid, tick, lots)
                before = (is_bid, tick, lots)
                if stale is None or sequence < 0 or sequence > stale:
                    side = book[is_bid]
                    side.pop(tick, None) if lots == 0 else side.update({tick: lots})
        bid, ask = max(book[True], default=None), min(book[False], default=None)
        both = bid is not None and ask is not None
        c["messages"] += 1
        c["one_sided"] += not both
        c["locked"] += both and bid == ask
        crossed.step(both and bid >= ask, received)
        best = (bid, book[True].get(bid, 0), ask, book[False].get(ask, 0))
        if best == touch:
            quiet += 1
        else:
            thaw(received)
            still = received if both else None
            touch, quiet = best, 0
        out.append((received, origin, sequence, len(group), *best))
    take_snapshots(len(rows))
    for spell in (crossed, frozen):
        if spell is frozen:
            thaw(last_received)
        elif spell.since is not None:
            spell.end(last_received)
    names = ("spells", "total_ns", "longest_ns", "longest_at")
    c["crossed"] = {name: getattr(crossed, name) for name in ("messages", *names)}
    c["frozen"] = {name: getattr(frozen, name) for name in names}
    return out, c
