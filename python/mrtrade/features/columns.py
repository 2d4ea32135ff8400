"""The columns that a frame of bars may have: what features are made of.

`mrtrade.features.bars` makes those of book, trades and candles, `mrtrade.features.joins` those of a
second asset and of a perpetual. Prices in quote units, sizes in base units (inverse: contracts). A
bar is what was received after the end of the one before and by its own end.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of bars.

    Attributes
    ----------
    unit, meaning : str
    origin : str
        What it is made from: ``price`` (candles or a book), ``book``, ``trades``, ``second asset``,
        ``perpetual``; ``yours`` for what `column` added.
    """

    unit: str
    meaning: str
    origin: str = "yours"


_PRICE = {
    "time": ("ns, UTC", "end of the bar, on the clock of receipt"),
    "mid": ("quote", "mid at the end; of candles: the close"),
    "mid_open": ("quote", "mid at the end of the bar before; of candles: the open"),
    "mid_high": ("quote", "highest mid; of candles: the high"),
    "mid_low": ("quote", "lowest mid; of candles: the low"),
    "volume": ("base", "volume traded"),
    "notional": ("quote", "sum of price x size; of candles: typical price x volume"),
}

_BOOK = {
    "bid": ("quote", "best bid at the end"),
    "bid_size": ("base", "size at the best bid"),
    "ask": ("quote", "best ask at the end"),
    "ask_size": ("base", "size at the best ask"),
    **{
        f"imbalance_{levels}": ("-1..1", f"depth imbalance of the best {levels} levels a side")
        for levels in (1, 5, 10, 20)
    },
    "bid_depth_5": ("base", "size in the best 5 bids"),
    "ask_depth_5": ("base", "size in the best 5 asks"),
    "bid_depth_20": ("base", "size in the best 20 bids"),
    "ask_depth_20": ("base", "size in the best 20 asks"),
    "microprice": ("quote", "mid weighted by the opposite queues"),
    "n_messages": ("count", "messages of the book"),
    "spread_mean": ("quote", "spread, weighted by the time it stood"),
    "spread_max": ("quote", "widest spread"),
    "ofi": ("base", "order-flow imbalance at the touch"),
    "kyle_lambda": ("quote / base", "slope of the mid's change on signed volume, over bars"),
    "n_mid_changes": ("count", "changes of the mid"),
    "ofi5": ("base", "order-flow imbalance of the best 5 levels, by price"),
    "ofi10": ("base", "order-flow imbalance of the best 10 levels, by price"),
    "band_bid_depth": ("base", "bids within 10 bps of the mid"),
    "band_ask_depth": ("base", "asks within 10 bps of the mid"),
    "bid_slope": ("base / bps", "mean over 10 bids of the depth up to each by its distance"),
    "ask_slope": ("base / bps", "mean over 10 asks of the depth up to each by its distance"),
    "bid_weighted": ("base", "10 bids, weights exp(-(k - 1) / 2)"),
    "ask_weighted": ("base", "10 asks, weights exp(-(k - 1) / 2)"),
    "touch_imbalance_mean": ("-1..1", "imbalance of the touch, weighted by time"),
    "bid_adds": ("base", "size added within the best 20 bids"),
    "ask_adds": ("base", "size added within the best 20 asks"),
    "bid_cancels": ("base", "size cancelled within the best 20 bids, as it became known"),
    "ask_cancels": ("base", "size cancelled within the best 20 asks, as it became known"),
    "bid_flicker": ("base", "large bids that came and went without a trade"),
    "ask_flicker": ("base", "large asks that came and went without a trade"),
    "bid_depleted": ("base", "size that left the best bid"),
    "ask_depleted": ("base", "size that left the best ask"),
    "bid_emptied": ("count", "times the best bid fell"),
    "ask_emptied": ("count", "times the best ask rose"),
    "kyle_t": ("1", "t statistic of kyle_lambda"),
}

_TRADES = {
    "n_trades": ("count", "trades"),
    "buy_volume": ("base", "volume of buyers who took"),
    "sell_volume": ("base", "volume of sellers who took"),
    "trade_high": ("quote", "highest price of a trade"),
    "trade_low": ("quote", "lowest price of a trade"),
    "last_trade": ("quote", "price of the last trade so far"),
    "vpin": ("0..1", "VPIN of the last volume buckets"),
    "n_buys": ("count", "trades of buyers who took"),
    "n_sells": ("count", "trades of sellers who took"),
    "max_trade": ("base", "largest trade"),
    "signed_runs": ("count", "sum of products of the signs of consecutive trades"),
    "n_sign_pairs": ("count", "pairs of consecutive trades"),
    "roll_xy": ("quote^2", "sum of products of consecutive price changes"),
    "roll_x": ("quote", "sum of the later price changes in roll_xy"),
    "roll_y": ("quote", "sum of the earlier price changes in roll_xy"),
    "roll_n": ("count", "products in roll_xy"),
    "eff_spread": ("quote x base", "sum of 2 D (price - mid before) x size"),
    "eff_volume": ("base", "volume in eff_spread"),
    "realized_spread": ("quote x base", "sum of 2 D (price - mid later) x size, once known"),
    "price_impact": ("quote x base", "sum of 2 D (mid later - mid before) x size, once known"),
    "matured_spread": ("quote x base", "effective spread of the trades in realized_spread"),
    "matured_volume": ("base", "volume in realized_spread"),
    "unmatched_trades": ("base", "volume for which the book never lost a size"),
    "hawkes_buy": ("1/s", "decayed rate of trades of buyers who took, at the end"),
    "hawkes_sell": ("1/s", "decayed rate of trades of sellers who took, at the end"),
}

_SECOND = {
    "other_mid": ("quote", "last mid of the second asset that was known"),
    "other_age_s": ("s", "age of other_mid"),
    "hy_corr": ("-1..1", "Hayashi-Yoshida correlation with the second asset"),
    "hy_lead_s": ("s", "time by which the second asset leads"),
    "hy_lead_corr": ("-1..1", "correlation at that lead"),
    "hy_llr": ("ratio", "squared correlations at leads over those at lags"),
}

_PERPETUAL = {
    "funding_rate": ("fraction", "rate announced for the coming settlement"),
    "funding_due_s": ("s", "time to the coming settlement"),
    "funding_settled": ("fraction", "rate of the last settlement"),
    "funding_interval_s": ("s", "time between settlements, as announced"),
    "mark": ("quote", "mark price"),
    "index": ("quote", "index price, or the spot's mid"),
    "open_interest": ("base", "open interest"),
    "long_liquidations": ("base", "longs closed by force"),
    "short_liquidations": ("base", "shorts closed by force"),
}

#: Every column that a feature may declare, by name.
COLUMNS: dict[str, Column] = {
    name: Column(*what, origin)
    for origin, table in (
        ("price", _PRICE),
        ("book", _BOOK),
        ("trades", _TRADES),
        ("second asset", _SECOND),
        ("perpetual", _PERPETUAL),
    )
    for name, what in table.items()
}


def column(name: str, unit: str, meaning: str) -> None:
    """Add a column that your own bars have, for features of yours to declare."""
    made = Column(unit, meaning)
    if COLUMNS.get(name, made) != made:
        raise ValueError(f"column {name!r} is there already: {COLUMNS[name].meaning}")
    COLUMNS[name] = made
