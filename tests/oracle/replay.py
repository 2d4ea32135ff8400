"""The slow, obvious samples that mrcore.replay is held against."""

import math

from .book import OracleBook
from .exchange import merged


def samples(deltas, trades, times, feed_latency_ns, tick_size, lot_size):
    """One dict per sample time: what was received up to it, flows since the one before."""
    book = OracleBook()
    events = list(merged(deltas, trades))
    out, i, last_trade, mid_before = [], 0, math.nan, math.nan
    touch, touch_since = (None, None), None

    def current():
        return book.best(1), book.best(-1)

    for at in times:
        n_messages = n_trades = bought = sold = 0
        notional = ofi = 0.0
        prices, spreads = [], []  # (spread ticks, ns)
        mids = [sum(touch) / 2] if None not in touch else []
        spread_seen = [touch[1] - touch[0]] if None not in touch else []
        since = touch_since
        while i < len(events) and events[i][1] + feed_latency_ns <= at:
            is_trade, time, side, tick, lots = events[i]
            if is_trade:
                n_trades += 1
                bought += lots * (side > 0)
                sold += lots * (side < 0)
                notional += tick * lots
                prices.append(tick)
                last_trade = tick * tick_size
                i += 1
                continue
            before = {s: (book.best(s), book.levels[s].get(book.best(s), 0)) for s in (1, -1)}
            cleared = False
            while i < len(events) and events[i][1] == time and not events[i][0]:
                if events[i][2] == 0:
                    book.clear()
                    cleared = True
                else:
                    book.update(*events[i][2:])
                i += 1
            book.settle()
            n_messages += 1
            after = {s: (book.best(s), book.levels[s].get(book.best(s), 0)) for s in (1, -1)}
            first = all(before[s][0] is None for s in (1, -1))
            if not cleared and not first:
                ofi += contribution(before, after)
            if current() != touch:
                now = time + feed_latency_ns
                if None not in touch:
                    spreads.append((touch[1] - touch[0], now - since))
                touch, since = current(), now
                if None not in touch:
                    mids.append(sum(touch) / 2)
                    spread_seen.append(touch[1] - touch[0])
        if None not in touch:
            spreads.append((touch[1] - touch[0], at - since))
        touch_since = at
        row = {
            "bid": price(touch[0], tick_size),
            "ask": price(touch[1], tick_size),
            "bid_size": book.levels[1].get(touch[0], 0) * lot_size,
            "ask_size": book.levels[-1].get(touch[1], 0) * lot_size,
            "n_messages": n_messages,
            "n_trades": n_trades,
            "buy_volume": bought * lot_size,
            "sell_volume": sold * lot_size,
            "notional": notional * tick_size * lot_size,
            "trade_high": price(max(prices, default=None), tick_size),
            "trade_low": price(min(prices, default=None), tick_size),
            "last_trade": last_trade,
            "mid_high": price(max(mids, default=None), tick_size),
            "mid_low": price(min(mids, default=None), tick_size),
            "spread_max": price(max(spread_seen, default=None), tick_size),
            "ofi": ofi * lot_size,
        }
        stood = sum(ns for _, ns in spreads)
        row["spread_mean"] = (
            sum(s * ns for s, ns in spreads) / stood * tick_size
            if stood
            else row["ask"] - row["bid"]
        )
        for n in (1, 5, 10, 20):
            row[f"imbalance_{n}"] = book.imbalance(n)
        for n in (5, 20):
            row[f"bid_depth_{n}"] = sum(q for _, q in book.top(1, n)) * lot_size
            row[f"ask_depth_{n}"] = sum(q for _, q in book.top(-1, n)) * lot_size
        total = row["bid_size"] + row["ask_size"]
        row["microprice"] = (
            (row["bid"] * row["ask_size"] + row["ask"] * row["bid_size"]) / total
            if None not in touch
            else math.nan
        )
        row["mid"] = (row["bid"] + row["ask"]) / 2
        row["dmid"] = row["mid"] - mid_before
        mid_before = row["mid"]
        out.append(row)
    return out


def price(tick, tick_size):
    return math.nan if tick is None else tick * tick_size


def contribution(before, after):
    """e_n of Cont, Kukanov, Stoikov (2014), a missing side at minus or plus infinity."""
    e = 0
    for side in (1, -1):
        (p0, q0), (p1, q1) = before[side], after[side]
        p0 = -math.inf if p0 is None else side * p0
        p1 = -math.inf if p1 is None else side * p1
        e += side * ((q1 if p1 >= p0 else 0) - (q0 if p1 <= p0 else 0))
    return e
