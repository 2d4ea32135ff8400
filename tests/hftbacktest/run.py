"""hftbacktest's answer to a feed and an order schedule. Runs under its own python.

    python run.py INPUT.npz OUTPUT.npz

INPUT holds (times in ns, prices in ticks, sizes in lots)
    delta_time, delta_side, delta_tick, delta_lots      side 0 clears the book
    trade_time, trade_side, trade_tick, trade_lots
    order_time, order_side, order_tick                  local time
    order_tif                                           0 GTC, 1 post-only, 2 IOC, 3 market
    order_cancel                                        local time, 0 = never
    tick_size, lot_size, feed_latency, entry_latency, response_latency
    configs                                             names "<model>/<whole|partial>"
    <config>/lots                                       float64: the order sizes of that run
OUTPUT holds for each config one row an order, as last known at the end
    <config>/status     1 new, 2 expired, 3 filled, 4 cancelled, 5 partly filled
    <config>/time       exchange time of the last change
    <config>/tick       of the last fill, the order's own without one
    <config>/remaining  lots, float64
and <config>/position, the local position in lots, and <config>/code, how the run ended.
"""

import os
import sys

os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(sys.prefix, "numba-cache"))

import numpy as np
from hftbacktest.binding import event_dtype
from hftbacktest.order import IOC
from numba import njit

from hftbacktest import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    GTX,
    LIMIT,
    LOCAL_EVENT,
    MARKET,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)

TIFS = np.array([GTC, GTX, IOC, GTC])
TYPES = np.array([LIMIT, LIMIT, LIMIT, MARKET])
FILLED, PARTIALLY_FILLED, POWER = 3, 5, 3.0


def rows(data) -> np.ndarray:
    """The feed as hftbacktest's 64-byte rows; at one time trades before deltas."""
    out = []
    for kind in ("trade", "delta"):
        time, side, tick, lots = (data[f"{kind}_{c}"] for c in ("time", "side", "tick", "lots"))
        part = np.zeros(len(time), event_dtype)
        event = (
            TRADE_EVENT if kind == "trade" else np.where(side == 0, DEPTH_CLEAR_EVENT, DEPTH_EVENT)
        )
        party = np.where(side > 0, BUY_EVENT, np.where(side < 0, SELL_EVENT, 0))
        part["ev"] = EXCH_EVENT | LOCAL_EVENT | party | event
        part["exch_ts"] = time
        part["local_ts"] = time + int(data["feed_latency"])
        part["px"] = tick * float(data["tick_size"])
        part["qty"] = lots * float(data["lot_size"])
        out.append(part)
    merged = np.concatenate(out)
    return merged[np.argsort(merged["exch_ts"], kind="stable")]


@njit(cache=True)
def play(hbt, action_time, action_order, is_cancel, side, price, quantity, tif, kind):
    code = hbt.elapse(0)  # sets the clock to the first row
    for k in range(len(action_time)):
        if code == 0:
            code = hbt.elapse(action_time[k] - hbt.current_timestamp)
        if code != 0:
            return code
        i = action_order[k]
        if is_cancel[k]:
            # Not one that is known to be gone: its rejection would count the fill once more.
            if hbt.orders(0).get(i).cancellable:
                code = hbt.cancel(0, i, False)
        elif side[i] > 0:
            code = hbt.submit_buy_order(0, i, price[i], quantity[i], tif[i], kind[i], False)
        else:
            code = hbt.submit_sell_order(0, i, price[i], quantity[i], tif[i], kind[i], False)
    while code == 0:
        code = hbt.elapse(1_000_000_000)
    return code


@njit(cache=True)
def outcomes(hbt, status, time, tick, remaining):
    orders = hbt.orders(0)
    for i in range(len(status)):
        order = orders.get(i)
        status[i] = order.status
        time[i] = order.exch_timestamp
        executed = order.exec_qty > 0.0
        tick[i] = order.exec_price_tick if executed else order.price_tick
        remaining[i] = order.leaves_qty
    return hbt.position(0)


def main(source: str, target: str) -> None:
    data = dict(np.load(source))
    feed = rows(data)
    tick_size, lot_size = float(data["tick_size"]), float(data["lot_size"])
    submit, cancel = data["order_time"], data["order_cancel"]
    n, cancels = len(submit), np.flatnonzero(cancel)
    # At one local time requests go out in the order of the schedule, new orders first.
    action_time = np.concatenate([submit, cancel[cancels]])
    action_order = np.concatenate([np.arange(n), cancels])
    is_cancel = np.arange(len(action_time)) >= n
    by_time = np.argsort(action_time, kind="stable")
    latency = int(data["entry_latency"]), int(data["response_latency"])
    result = {}
    for config in data["configs"].tolist():
        model, exchange = config.split("/")
        asset = BacktestAsset().data(feed).linear_asset(1.0).tick_size(tick_size).lot_size(lot_size)
        asset.constant_order_latency(*latency).trading_value_fee_model(0.0, 0.0)
        if model == "risk_averse":
            asset.risk_adverse_queue_model()
        else:
            asset.power_prob_queue_model(POWER)
        if exchange == "partial":
            asset.partial_fill_exchange()
        else:
            asset.no_partial_fill_exchange()
        hbt = HashMapMarketDepthBacktest([asset])
        quantity = data[f"{config}/lots"] * lot_size
        code = play(
            hbt,
            action_time[by_time],
            action_order[by_time],
            is_cancel[by_time],
            data["order_side"],
            data["order_tick"] * tick_size,
            quantity,
            TIFS[data["order_tif"]],
            TYPES[data["order_tif"]],
        )
        status, time = np.zeros(n, np.int8), np.zeros(n, np.int64)
        tick, remaining = np.zeros(n, np.int64), np.zeros(n)
        position = outcomes(hbt, status, time, tick, remaining)
        hbt.close()
        result[f"{config}/code"] = np.int64(code)  # 1: the end of the data; else its error
        result[f"{config}/status"] = status
        result[f"{config}/time"] = time
        result[f"{config}/tick"] = tick
        result[f"{config}/remaining"] = remaining / lot_size
        result[f"{config}/position"] = np.float64(position / lot_size)
    np.savez_compressed(target, **result)


if __name__ == "__main__":
    main(*sys.argv[1:])
