"""The slow, obvious bars that mrcore.bars is held against: everything is kept, and looked for."""

import bisect
import itertools
import math
from collections import defaultdict

from .book import OracleBook

NEVER = 1 << 62


def rows(columns, latency):
    """(local, time, side, tick, lots) of each row."""
    time, side, tick, lots, *local = (column.tolist() for column in columns)
    local = local[0] if local else [t + latency for t in time]
    return list(zip(local, time, side, tick, lots, strict=True))


def events(deltas, trades, latency):
    """(local, "trade", row) and (local, "message", rows) in the order they are received."""
    messages = defaultdict(list)
    for row in rows(deltas, latency):
        messages[row[1]].append(row)
    out = [(row[0], 0, i, [row[2:]]) for i, row in enumerate(rows(trades, latency))]
    out += [(m[-1][0], 1, i, [r[2:] for r in m]) for i, m in enumerate(messages.values())]
    return [
        (local, ("trade", "message")[kind], [tuple(row) for row in found])
        for local, kind, _, found in sorted(out)
    ]


def ends(kind, size, log, begin, last, tick_size, lot_size):
    """Ends of the bars from the first row received up to `last`."""
    out = []
    if kind == "time":
        end = -(-begin // size) * size
        while end <= last:
            out.append(end)
            end += size
        return out
    filled, end = 0.0, None
    for local, what, [(_, tick, lots), *_] in log:
        if what == "message":
            continue
        if end is not None and local > end:
            out.append(end)
            filled, end = 0.0, None
        filled += {"tick": 1, "volume": lots * lot_size}.get(
            kind, tick * lots * tick_size * lot_size
        )
        if filled >= size * (1 - 1e-9):
            end = local
    return out if end is None else [*out, end]


class Touch:
    """Best prices of a book and their sizes."""

    def __init__(self, book):
        self.price = {s: book.best(s) for s in (1, -1)}
        self.lots = {s: book.levels[s].get(self.price[s], 0) for s in (1, -1)}
        self.two_sided = None not in self.price.values()
        self.mid2 = sum(self.price.values()) if self.two_sided else None
        total = sum(self.lots.values())
        self.balance = (self.lots[1] - self.lots[-1]) / total if self.two_sided else None


def bars(
    deltas,
    trades,
    *,
    kind="time",
    size,
    latency=0,
    tick_size=1.0,
    lot_size=1.0,
    horizon=5_000_000_000,
    lag=0,
    match=250_000_000,
    flicker_ns=1_000_000_000,
    flicker_size=3.0,
    half_life=10_000_000_000,
    band_bps=10.0,
):
    """Ends of the bars, and of each a dict of the columns that a replay's samples lack."""
    log = events(deltas, trades, latency)
    begin = min(row[0] for row in rows(deltas, latency) + rows(trades, latency))
    bar_ends = ends(kind, size, log, begin, log[-1][0] + 1, tick_size, lot_size)
    book = OracleBook()
    known = defaultdict(list)  # name of a flow: (when it is known, value)
    timeline = [(-NEVER, Touch(book))]
    books = []  # (local, levels of both sides) after each message
    gaps, reductions, credits, vanished, done = [], [], [], [], []
    grown, touched = {}, defaultdict(list)

    for local, what, found in log:
        if what == "trade":
            [(side, tick, lots)] = found
            done.append((local, side, tick, lots))
            touched[-side, tick].append(local)
            left = lots
            for r in reductions:
                if r["level"] == (-side, tick) and local <= r["due"]:
                    claim = min(left, r["left"])
                    r["left"] -= claim
                    left -= claim
            credits.append({"level": (-side, tick), "due": local + match, "left": left})
            mid2 = timeline[-1][1].mid2
            if lag:
                start = max((i for i, t in enumerate(timeline) if t[0] in gaps), default=0)
                older = [t.mid2 for at, t in timeline[start:] if at < local - lag]
                mid2 = older[-1] if older else None
            if mid2 is not None:
                known["eff_spread"].append((local, side * (2 * tick - mid2) * lots))
                known["eff_volume"].append((local, lots))
                done[-1] = (*done[-1], mid2)
            continue
        anew = not book.levels[1] and not book.levels[-1]
        for side, tick, lots in found:
            if side == 0:
                book.clear()
                anew = True
                gaps.append(local)
                reductions = [r for r in reductions if settled(known, r, local, "cancels")]
                credits = [r for r in credits if settled(known, r, local, "unmatched")]
                vanished = [r for r in vanished if settled(known, r, local, "flicker", touched)]
                grown.clear()
                continue
            before = book.levels[side].get(tick, 0)
            change = lots - before
            within = {n: among(book, side, tick, lots, n) for n in (5, 10, 20)}
            ten = [q for _, q in book.top(side, 10)]
            book.update(side, tick, lots)
            if anew or change == 0 or not within[20]:
                continue
            for n in (5, 10):
                known[f"ofi{n}"].append((local, side * change * within[n]))
            name, level = "bid" if side > 0 else "ask", (side, tick)
            if change > 0:
                known[f"{name}_adds"].append((local, change))
                if within[10] and len(ten) == 10 and change >= flicker_size * sum(ten) / 10:
                    grown[level] = (local, before, change)
                continue
            if level in grown and local <= grown[level][0] + flicker_ns:
                at, stood, more = grown[level]
                if lots - stood <= more / 2:
                    due = local + match
                    vanished.append({"level": level, "due": due, "left": more, "since": at})
                    del grown[level]
            left = -change
            for c in credits:
                if c["level"] == level and local <= c["due"]:
                    paid = min(left, c["left"])
                    c["left"] -= paid
                    left -= paid
            reductions.append({"level": level, "due": local + match, "left": left})
        book.settle()
        old, new = timeline[-1][1], Touch(book)
        timeline.append((local, new))
        books.append((local, {s: book.top(s, 10**6) for s in (1, -1)}))
        if anew:
            continue
        for side, name in ((1, "bid"), (-1, "ask")):
            p0, p1 = old.price[side], new.price[side]
            if p0 is not None and (p1 is None or side * p1 < side * p0):
                known[f"{name}_emptied"].append((local, 1))
                known[f"{name}_depleted"].append((local, old.lots[side]))
            elif p0 is not None and p0 == p1:
                known[f"{name}_depleted"].append((local, max(0, old.lots[side] - new.lots[side])))
        if old.two_sided and new.two_sided and old.mid2 != new.mid2:
            known["n_mid_changes"].append((local, 1))
    for waiting, name in ((reductions, "cancels"), (credits, "unmatched"), (vanished, "flicker")):
        for r in waiting:
            settled(known, r, NEVER, name, touched)
    matured(known, done, timeline, gaps, horizon)
    traded(known, done)

    out, before = [], -NEVER
    touch_times = [at for at, _ in timeline]
    book_times = [at for at, _ in books]
    for end in bar_ends:
        touch = timeline[bisect.bisect_right(touch_times, end) - 1][1]
        at = bisect.bisect_right(book_times, end) - 1
        levels = books[at][1] if at >= 0 else {1: [], -1: []}
        row = {
            name: sum(v for t, v in values if before < t <= end) for name, values in known.items()
        }
        opened = timeline[bisect.bisect_right(touch_times, before) - 1][1] if out else None
        row["mid_open"] = mid_of(opened, tick_size)
        row["touch_imbalance_mean"] = balance_between(timeline, before, end)
        row |= shape(levels, touch, band_bps)
        inside = [t for t in done if before < t[0] <= end]
        row["max_trade"] = max((t[3] for t in inside), default=math.nan)
        beta = math.log(2) / half_life
        for side, name in ((1, "buy"), (-1, "sell")):
            row[f"n_{name}s"] = sum(t[1] == side for t in inside)
            row[f"hawkes_{name}"] = 1e9 * sum(
                beta * math.exp(-beta * (end - t[0])) for t in done if t[0] <= end and t[1] == side
            )
        row["matured_spread"] = row.get("realized_spread", 0) + row.get("price_impact", 0)
        out.append(scaled(row, tick_size, lot_size))
        before = end
    return bar_ends, out


def among(book, side, tick, lots, n):
    """Whether a level that becomes `lots` is among the best n of its side, before or after."""
    before = {t for t, q in book.levels[side].items() if q}
    after = before | {tick} if lots else before - {tick}
    return any(tick in sorted(b, key=lambda t: -side * t)[:n] for b in (before, after))


def settled(known, waiting, gap, name, touched=None):
    """Note what was due before a gap; nothing that waits at it remains. Always false."""
    if waiting["due"] < gap:
        side = "bid" if waiting["level"][0] > 0 else "ask"
        column = "unmatched_trades" if name == "unmatched" else f"{side}_{name}"
        traded_since = name == "flicker" and any(
            waiting["since"] <= t <= waiting["due"] for t in touched[waiting["level"]]
        )
        if not traded_since:
            known[column].append((waiting["due"], waiting["left"]))
    return False


def matured(known, done, timeline, gaps, horizon):
    """What trades cost by the mid at their horizon."""
    for local, side, tick, lots, *mid2 in done:
        due = local + horizon
        if not mid2 or any(local <= g <= due for g in gaps):
            continue
        after = [t.mid2 for at, t in timeline if at <= due][-1]
        if after is not None:
            known["realized_spread"].append((due, side * (2 * tick - after) * lots))
            known["price_impact"].append((due, side * (after - mid2[0]) * lots))
            known["matured_volume"].append((due, lots))


def traded(known, done):
    """Signs and steps of consecutive trades."""
    for i in range(1, len(done)):
        local = done[i][0]
        known["signed_runs"].append((local, done[i][1] * done[i - 1][1]))
        known["n_sign_pairs"].append((local, 1))
        if i > 1:
            x, y = done[i][2] - done[i - 1][2], done[i - 1][2] - done[i - 2][2]
            for name, value in (("xy", x * y), ("x", x), ("y", y), ("n", 1)):
                known[f"roll_{name}"].append((local, value))


def mid_of(touch, tick_size):
    return math.nan if touch is None or touch.mid2 is None else touch.mid2 / 2 * tick_size


def balance_between(timeline, before, end):
    """Mean over time while both sides were there; of the last instant where that is no time."""
    total = stood = 0.0
    spans = [*timeline, (NEVER, None)]
    for (start, touch), (stop, _) in itertools.pairwise(spans):
        ns = min(stop, end) - max(start, before)
        if ns > 0 and touch.two_sided:
            total += touch.balance * ns
            stood += ns
    if stood:
        return total / stood
    at_end = [touch for at, touch in timeline if at <= end][-1]
    return at_end.balance if at_end.two_sided else math.nan


def shape(levels, touch, band_bps):
    row = {}
    for side, name in ((1, "bid"), (-1, "ask")):
        found = levels[side]
        row[f"{name}_weighted"] = sum(q * math.exp(-k / 2) for k, (_, q) in enumerate(found[:10]))
        row[f"band_{name}_depth"] = row[f"{name}_slope"] = math.nan
        if touch.mid2 is None:
            continue
        mid = touch.mid2 / 2
        away = [abs(tick - mid) / mid for tick, _ in found]
        near = [q for (_, q), a in zip(found, away, strict=True) if a <= band_bps / 1e4]
        row[f"band_{name}_depth"] = sum(near)
        slopes = [
            sum(q for _, q in found[: k + 1]) / (1e4 * away[k]) for k in range(min(10, len(found)))
        ]
        row[f"{name}_slope"] = sum(slopes) / len(slopes)
    return row


COUNTS = ("n_", "signed", "touch", "mid_open", "hawkes", "bid_emptied", "ask_emptied", "roll_n")


def scaled(row, tick_size, lot_size):
    """In quote and base units."""
    out = {}
    for name, value in row.items():
        scale = lot_size
        if name.startswith(COUNTS):
            scale = 1.0
        elif name in ("eff_spread", "realized_spread", "price_impact", "matured_spread"):
            scale = tick_size * lot_size
        elif name.startswith("roll"):
            scale = tick_size * tick_size if name == "roll_xy" else tick_size
        out[name] = value * scale
    return out
