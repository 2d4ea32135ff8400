"""hftbacktest's answer to a feed and to requests. Runs under its own python.

    python run.py INPUT.npz OUTPUT.npz [INPUT.npz OUTPUT.npz ...]

INPUT holds (times in ns, prices in ticks, sizes in lots)
    delta_time, delta_side, delta_tick, delta_lots      side 0 clears the book
    trade_time, trade_side, trade_tick, trade_lots
or, of an order-level feed, event_time, _kind (of EVENTS), _order_id, _side, _tick, _lots; and
    tick_size, lot_size, feed_latency
    latency             (3, n): sent, at the exchange, answered; interpolated, constant if n = 1
    configs             names "<model>/<whole|partial>[/<what for>]"
and for each config its requests by local time
    <config>/time, kind, order, tick, lots (float64)    kind 0 new, 1 cancel, 2 modify,
                                                        3 modify though known to be gone
    <config>/side, tif                                  one an order; TIFS below
OUTPUT holds for each config one row an order, as last known at the end
    <config>/status     1 new, 2 expired, 3 filled, 4 cancelled, 5 partly filled
    <config>/time       exchange time of the last change
    <config>/tick, remaining        the order's own; remaining in lots, float64
    <config>/executed, executed_tick, maker             its last execution; executed in lots
and <config>/position, the local position in lots, and <config>/code, how the run ended.
"""

import os
import sys

os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(sys.prefix, "numba-cache"))

import numpy as np
from hftbacktest.binding import event_dtype
from hftbacktest.order import FOK, IOC
from numba import njit

from hftbacktest import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    FILL_EVENT,
    GTC,
    GTX,
    LIMIT,
    LOCAL_EVENT,
    MARKET,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)

TIFS = np.array([GTC, GTX, IOC, GTC, FOK])  # in the order of mrcore.exchange.TIFS
TYPES = np.array([LIMIT, LIMIT, LIMIT, MARKET, LIMIT])
# in the order of mrcore.l3.KINDS
EVENTS = np.array([0, ADD_ORDER_EVENT, CANCEL_ORDER_EVENT, FILL_EVENT, MODIFY_ORDER_EVENT])
NEW, CANCEL, MODIFY, MODIFY_ANYHOW = range(4)
POWER = 3.0
MODELS = {
    "risk_averse": lambda asset: asset.risk_adverse_queue_model(),
    "log": lambda asset: asset.log_prob_queue_model(),
    "log2": lambda asset: asset.log_prob_queue_model2(),
    "power": lambda asset: asset.power_prob_queue_model(POWER),
    "power2": lambda asset: asset.power_prob_queue_model2(POWER),
    "power3": lambda asset: asset.power_prob_queue_model3(POWER),
    "fifo": lambda asset: asset.l3_fifo_queue_model(),
}
LATENCY_DTYPE = np.dtype([(name, "i8") for name in ("req_ts", "exch_ts", "resp_ts", "_padding")])
OUTCOME_DTYPE = np.dtype(
    [
        ("status", "i1"),
        ("time", "i8"),
        ("tick", "i8"),
        ("remaining", "f8"),
        ("executed", "f8"),
        ("executed_tick", "i8"),
        ("maker", "?"),
    ]
)


def order_rows(data) -> np.ndarray:
    """An order-level feed as hftbacktest's 64-byte rows."""
    out = np.zeros(len(data["event_time"]), event_dtype)
    party = np.where(data["event_side"] > 0, BUY_EVENT, SELL_EVENT)
    out["ev"] = EXCH_EVENT | LOCAL_EVENT | party | EVENTS[data["event_kind"]]
    out["exch_ts"] = data["event_time"]
    out["local_ts"] = data["event_time"] + int(data["feed_latency"])
    out["px"] = data["event_tick"] * float(data["tick_size"])
    out["qty"] = data["event_lots"] * float(data["lot_size"])
    out["order_id"] = data["event_order_id"]
    return out


def rows(data) -> np.ndarray:
    """The feed as hftbacktest's 64-byte rows; at one time trades before deltas."""
    time = np.concatenate([data["trade_time"], data["delta_time"]])
    place = np.empty(len(time), np.int64)
    place[np.argsort(time, kind="stable")] = np.arange(len(time))
    out = np.zeros(len(time), event_dtype)
    n_trades = len(data["trade_time"])
    for kind, at in (("trade", place[:n_trades]), ("delta", place[n_trades:])):
        side = data[f"{kind}_side"]
        event = (
            np.where(side == 0, DEPTH_CLEAR_EVENT, DEPTH_EVENT) if kind == "delta" else TRADE_EVENT
        )
        party = np.where(side > 0, BUY_EVENT, np.where(side < 0, SELL_EVENT, 0))
        out["ev"][at] = EXCH_EVENT | LOCAL_EVENT | party | event
        out["exch_ts"][at] = data[f"{kind}_time"]
        out["local_ts"][at] = data[f"{kind}_time"] + int(data["feed_latency"])
        out["px"][at] = data[f"{kind}_tick"] * float(data["tick_size"])
        out["qty"][at] = data[f"{kind}_lots"] * float(data["lot_size"])
    return out


@njit(cache=True)
def play(hbt, time, kind, order, side, price, quantity, tif, order_type):
    code = hbt.elapse(0)  # sets the clock to the first row
    for k in range(len(time)):
        if code == 0:
            code = hbt.elapse(time[k] - hbt.current_timestamp)
        if code != 0:
            return code
        i = order[k]
        if kind[k] == NEW:
            if side[i] > 0:
                code = hbt.submit_buy_order(
                    0, i, price[k], quantity[k], tif[i], order_type[i], False
                )
            else:
                code = hbt.submit_sell_order(
                    0, i, price[k], quantity[k], tif[i], order_type[i], False
                )
        # Not of one that is known to be gone: the rejection would count its fill once more.
        elif kind[k] == MODIFY_ANYHOW or hbt.orders(0).get(i).cancellable:
            if kind[k] == CANCEL:
                code = hbt.cancel(0, i, False)
            else:
                code = hbt.modify(0, i, price[k], quantity[k], False)
    while code == 0:
        code = hbt.elapse(1_000_000_000)
    return code


@njit(cache=True)
def outcomes(hbt, out):
    orders = hbt.orders(0)
    for i in range(len(out)):
        order = orders.get(i)
        if order is not None:
            row = out[i]
            row.status = order.status
            row.time = order.exch_timestamp
            row.tick = order.price_tick
            row.remaining = order.leaves_qty
            row.executed = order.exec_qty
            row.executed_tick = order.exec_price_tick
            row.maker = order.arr[0].maker
    return hbt.position(0)


def main(source: str, target: str) -> None:
    with np.load(source) as file:
        data = dict(file)
    feed = order_rows(data) if "event_time" in data else rows(data)
    for name in [name for name in data if name.startswith(("delta_", "trade_", "event_"))]:
        del data[name]
    tick_size, lot_size = float(data["tick_size"]), float(data["lot_size"])
    sent, arrived, answered = data["latency"]
    table = np.zeros(len(sent), LATENCY_DTYPE)
    table["req_ts"], table["exch_ts"], table["resp_ts"] = sent, arrived, answered
    result = {}
    for config in data["configs"].tolist():
        model, exchange = config.split("/")[:2]
        asset = BacktestAsset().data(feed).linear_asset(1.0).tick_size(tick_size).lot_size(lot_size)
        asset.trading_value_fee_model(0.0, 0.0)
        if len(table) == 1:
            asset.constant_order_latency(int(arrived[0] - sent[0]), int(answered[0] - arrived[0]))
        else:
            asset.intp_order_latency(table)
        MODELS[model](asset)
        if exchange == "partial":
            asset.partial_fill_exchange()
        else:
            asset.no_partial_fill_exchange()
        hbt = HashMapMarketDepthBacktest([asset])
        mine = {
            name: data[f"{config}/{name}"]
            for name in ("time", "kind", "order", "tick", "lots", "side", "tif")
        }
        code = play(
            hbt,
            mine["time"],
            mine["kind"],
            mine["order"],
            mine["side"],
            mine["tick"] * tick_size,
            mine["lots"] * lot_size,
            TIFS[mine["tif"]],
            TYPES[mine["tif"]],
        )
        out = np.zeros(len(mine["side"]), OUTCOME_DTYPE)
        position = outcomes(hbt, out)
        hbt.close()
        out["remaining"] /= lot_size
        out["executed"] /= lot_size
        result[f"{config}/code"] = np.int64(code)  # 1: the end of the data; else its error
        result[f"{config}/position"] = np.float64(position / lot_size)
        result |= {f"{config}/{name}": out[name] for name in OUTCOME_DTYPE.names}
    np.savez_compressed(target, **result)


if __name__ == "__main__":
    for source, target in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        main(source, target)
