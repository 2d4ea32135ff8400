"""Candles held against the trades that should make them."""

from collections.abc import Iterator

import numpy as np

from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.data.quality.findings import Finding
from mrtrade.data.quality.rules import Series, graded, share_text
from mrtrade.data.quality.tables import floats, ints
from mrtrade.data.store import Store

_LATE_NS = 60 * 10**9  # trades may be received that much later than they happened, or earlier
_PRICES = ("open", "high", "low", "close")


def candles_against_trades(
    store: Store, exchange: str, symbol: str, low: int | None, high: int | None
) -> Iterator[Finding]:
    """Yield how candles compare with the trades stored, a day at a time.

    Trades go by the exchange's clock where they have its time. A candle counts if trades before its
    start and after its end are stored, so that none of its own are missing.
    """
    compared = unequal = 0
    first = last = worst = 0
    days = set(store.days("trades", exchange, symbol))
    for day in store.days("candles", exchange, symbol):
        start = to_ns(day)
        if day not in days or (low is not None and start + NS_PER_DAY <= low):
            continue
        if high is not None and start >= high:
            continue
        candles = store.read("candles", exchange, symbol, start, start + NS_PER_DAY)
        opened, closed = ints(candles, "start"), ints(candles, "stop")
        span = (int(opened.min()) - _LATE_NS, int(closed.max()) + _LATE_NS)
        names = ("origin_time", "received_time", "price", "quantity")
        trades = store.read("trades", exchange, symbol, *span, names)
        origin, received = ints(trades, "origin_time"), ints(trades, "received_time")
        time = np.where(origin > 0, origin, received)
        if not len(time):
            continue
        order = np.argsort(time, kind="stable")
        time = time[order]
        price, quantity = floats(trades, "price")[order], floats(trades, "quantity")[order]
        covered = np.flatnonzero((opened > time[0]) & (closed < time[-1]))
        expected = {name: floats(candles, name) for name in (*_PRICES, "volume")}
        for at in covered.tolist():
            a, b = np.searchsorted(time, [opened[at], closed[at]])
            if a == b:
                continue  # nothing traded: what a candle says then is its maker's choice
            inside = price[a:b]
            made = (inside[0], inside.max(), inside.min(), inside[-1])
            volume = float(quantity[a:b].sum())
            same = all(
                expected[name][at] == value for name, value in zip(_PRICES, made, strict=True)
            )
            same &= bool(np.isclose(expected["volume"][at], volume, rtol=1e-9))
            compared += 1
            first = first or int(opened[at])
            last = int(closed[at])
            if not same:
                unequal += 1
                worst = worst or int(opened[at])
    if compared:
        share = unequal / compared
        text = f"{compared - unequal:,} of {compared:,} candles equal those made of the trades"
        if unequal:
            text += f" ({share_text(1 - share)})"
        yield Series("candles", exchange, symbol).finding(
            "candle_equals_trades", graded(share, 0, 0.01), worst or first, last, compared, text
        )
