"""Orders that come and go: order-flow imbalance, cancellations, depletion of the queues."""

from __future__ import annotations

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

FAMILY = "microstructure"
SPOOFING = "Lee, Eom & Park 2013 describe the pattern; a proxy, level data name no orders"


def ofi(bars: Bars, roll: Rolling, *, window: int, flow: str) -> Array:
    """Order-flow imbalance in units of the mean queue at the touch."""
    return roll.sum(flow, window) / roll.mean("touch_depth", window)


for _name, _what in (
    ("ofi", "of the touch"),
    ("ofi5", "of the best 5 levels, keyed by price"),
    ("ofi10", "of the best 10 levels, keyed by price"),
):
    feature(
        _name,
        family=FAMILY,
        unit="touch sizes",
        inputs=(_name, "touch_depth"),
        formula=f"sum_n(OFI {_what}) / mean_n((q_b + q_a) / 2)",
        edge="NaN: a side of the book was empty in the window",
        source="Cont, Kukanov & Stoikov 2014; Xu, Gould & Howison 2018; scaled as in Cont, "
        "Cucuringu & Zhang 2023",
        lookback=lambda n: n - 1,
        warmup=lambda n: n - 1,
        windows=(10, 60),
        params={"flow": _name},
    )(ofi)


def cancel_ratio(bars: Bars, roll: Rolling, *, window: int, side: str) -> Array:
    """How much of what was added has been withdrawn again, trades left out."""
    return roll.mean(f"{side}_cancels", window) / roll.mean(f"{side}_adds", window)


def depletion(bars: Bars, roll: Rolling, *, window: int, side: str) -> Array:
    """How often in a second the best queue would be used up as it was of late."""
    rate = roll.mean(f"{side}_depleted", window) / roll.mean("bar_s", window)
    return rate / roll.mean(f"{side}_size", window)


def queue_wait(bars: Bars, roll: Rolling, *, window: int, side: str, taker: str) -> Array:
    """Time for which the market orders of late would need to eat the queue at the touch."""
    rate = roll.mean(f"{taker}_volume", window) / roll.mean("bar_s", window)
    return bars[f"{side}_size"] / rate


for _side, _taker in (("bid", "sell"), ("ask", "buy")):
    feature(
        f"cancel_ratio_{_side}",
        family=FAMILY,
        unit="ratio",
        inputs=(f"{_side}_cancels", f"{_side}_adds"),
        formula=f"sum_n({_side} size cancelled) / sum_n({_side} size added), best 20 levels",
        edge="NaN: nothing was added; a cancel counts when no trade has claimed it in time",
        source="definition; Lee, Eom & Park 2013",
        lookback=lambda n: n - 1,
        warmup=lambda n: n - 1,
        windows=(60,),
        params={"side": _side},
    )(cancel_ratio)
    feature(
        f"depletion_{_side}",
        family=FAMILY,
        unit="1/s",
        inputs=(f"{_side}_depleted", f"{_side}_size", "bar_s"),
        formula=f"sum_n(size that left the best {_side}) / time / mean_n({_side}_size)",
        edge=f"NaN: no {_side} in the window",
        source="after Cont & de Larrard 2013",
        lookback=lambda n: n,
        warmup=lambda n: n,
        windows=(60,),
        params={"side": _side},
    )(depletion)
    feature(
        f"queue_wait_{_side}",
        family=FAMILY,
        unit="s",
        inputs=(f"{_side}_size", f"{_taker}_volume", "bar_s"),
        formula=f"{_side}_size / (mean_n({_taker}_volume) / mean_n(bar time))",
        edge="NaN: no such trade in the window",
        source="queue over its market-order rate, after Cont, Stoikov & Talreja 2010",
        lookback=lambda n: n,
        warmup=lambda n: n,
        windows=(60, 300),
        params={"side": _side, "taker": _taker},
    )(queue_wait)


def imbalance_of(bars: Bars, roll: Rolling, *, window: int, plus: str, minus: str) -> Array:
    """Flow on one side less that on the other, as a share of both."""
    up, down = roll.mean(plus, window), roll.mean(minus, window)
    return (up - down) / (up + down)


for _name, _plus, _minus, _formula, _edge, _source in (
    (
        "cancel_imbalance",
        "ask_cancels",
        "bid_cancels",
        "sum_n(ask - bid) / sum_n(ask + bid), size cancelled in the best 20 levels",
        "NaN: nothing was cancelled",
        "definition",
    ),
    (
        "add_imbalance",
        "bid_adds",
        "ask_adds",
        "sum_n(bid - ask) / sum_n(bid + ask), size added in the best 20 levels",
        "NaN: nothing was added",
        "definition",
    ),
    (
        "depletion_imbalance",
        "ask_depleted",
        "bid_depleted",
        "sum_n(ask - bid) / sum_n(ask + bid), size that left the touch",
        "NaN: nothing left it",
        "after Cont & de Larrard 2013",
    ),
    (
        "emptied_imbalance",
        "ask_emptied",
        "bid_emptied",
        "sum_n(ask rose - bid fell) / sum_n(ask rose + bid fell), counts",
        "NaN: neither moved away",
        "after Cont & de Larrard 2013",
    ),
    (
        "flicker_imbalance",
        "bid_flicker",
        "ask_flicker",
        "sum_n(bid - ask) / sum_n(bid + ask), large size that came and went",
        "NaN: there was none",
        SPOOFING,
    ),
):
    feature(
        _name,
        family=FAMILY,
        unit="-1..1",
        inputs=(_plus, _minus),
        formula=_formula,
        edge=_edge,
        source=_source,
        lookback=lambda n: n - 1,
        warmup=lambda n: n - 1,
        windows=(60,),
        params={"plus": _plus, "minus": _minus},
    )(imbalance_of)


@feature(
    "flicker_ratio",
    family=FAMILY,
    unit="ratio",
    inputs=("bid_flicker", "ask_flicker", "bid_adds", "ask_adds"),
    formula="sum_n(large size that came and went untraded) / sum_n(size added)",
    edge="NaN: nothing was added",
    source=SPOOFING,
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(60,),
)
def flicker_ratio(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How much of what is added vanishes at once (add-cancel ratio of large orders)."""
    gone = roll.mean("bid_flicker", window) + roll.mean("ask_flicker", window)
    return gone / (roll.mean("bid_adds", window) + roll.mean("ask_adds", window))


@feature(
    "order_to_trade",
    family=FAMILY,
    unit="ratio",
    inputs=("n_messages", "n_trades"),
    formula="sum_n(messages of the book) / sum_n(trades)",
    edge="NaN: no trade",
    source="definition",
    lookback=lambda n: n - 1,
    warmup=lambda n: n - 1,
    windows=(300,),
)
def order_to_trade(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Messages for each trade; a feed that bundles messages has fewer."""
    return roll.mean("n_messages", window) / roll.mean("n_trades", window)


@feature(
    "message_rate",
    family=FAMILY,
    unit="1/s",
    inputs=("n_messages", "bar_s"),
    formula="mean_n(messages of the book) / mean_n(bar time)",
    edge="0: silence",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60,),
)
def message_rate(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """Messages of the book in a second."""
    return roll.mean("n_messages", window) / roll.mean("bar_s", window)


@feature(
    "mid_change_rate",
    family=FAMILY,
    unit="1/s",
    inputs=("n_mid_changes", "bar_s"),
    formula="mean_n(changes of the mid) / mean_n(bar time)",
    edge="0: the mid stood still",
    source="definition",
    lookback=lambda n: n,
    warmup=lambda n: n,
    windows=(60,),
)
def mid_change_rate(bars: Bars, roll: Rolling, *, window: int) -> Array:
    """How often the mid changes."""
    return roll.mean("n_mid_changes", window) / roll.mean("bar_s", window)
