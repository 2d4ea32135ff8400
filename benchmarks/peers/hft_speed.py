"""hftbacktest's speed on a feed of `feed.py`: its fastest book, quotes on both sides.

    python hft_speed.py FEED.npz RUNS QUOTES_A_SIDE

Runs under the python of hftbacktest's environment and prints JSON. Post-only quotes stand at
the touch and behind it on each side and are sent anew every 100 ms; risk-averse queue, whole fills,
1 ms latencies.
The rows (64 bytes an event) lie in memory before the clock starts, and the strategy is compiled.
"""

import json
import os
import sys
import time

os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(sys.prefix, "numba-cache"))

import numpy as np
from hftbacktest.binding import event_dtype
from numba import njit

from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTX,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)

LATENCY = 1_000_000


def rows(data) -> np.ndarray:
    trades, deltas = len(data["trade_time"]), len(data["delta_time"])
    when = np.concatenate([data["trade_time"], data["delta_time"]])
    order = np.argsort(when, kind="stable")
    side = np.concatenate([data["trade_side"], data["delta_side"]])
    event = np.concatenate([np.full(trades, TRADE_EVENT), np.full(deltas, DEPTH_EVENT)])
    event = event | EXCH_EVENT | LOCAL_EVENT | np.where(side > 0, BUY_EVENT, SELL_EVENT)
    out = np.zeros(len(order), event_dtype)
    out["ev"] = event[order]
    out["exch_ts"] = when[order]
    out["local_ts"] = out["exch_ts"] + LATENCY
    tick = np.concatenate([data["trade_tick"], data["delta_tick"]])
    lots = np.concatenate([data["trade_lots"], data["delta_lots"]])
    out["px"] = tick[order] * float(data["tick_size"])
    out["qty"] = lots[order] * float(data["lot_size"])
    return out


@njit
def quote(hbt, quantity, levels, tick_size):
    sent = 0
    while hbt.elapse(100_000_000) == 0:
        orders, depth = hbt.orders(0), hbt.depth(0)
        for k in range(max(0, sent - 2 * levels), sent):
            if orders.get(k + 1).cancellable:
                hbt.cancel(0, k + 1, False)
        hbt.clear_inactive_orders(0)
        bid, ask = depth.best_bid, depth.best_ask
        for k in range(levels):
            hbt.submit_buy_order(0, sent + 1, bid - k * tick_size, quantity, GTX, LIMIT, False)
            hbt.submit_sell_order(0, sent + 2, ask + k * tick_size, quantity, GTX, LIMIT, False)
            sent += 2
    return sent


def main(source: str, runs: str, levels: str) -> None:
    data = dict(np.load(source))
    feed = rows(data)
    tick_size, lot_size = float(data["tick_size"]), float(data["lot_size"])
    seconds = []
    for run in range(int(runs) + 1):
        asset = BacktestAsset().data(feed[:100_000] if run == 0 else feed).linear_asset(1.0)
        asset.tick_size(tick_size).lot_size(lot_size).trading_value_fee_model(-5e-5, 7e-4)
        asset.constant_order_latency(LATENCY, LATENCY).risk_adverse_queue_model()
        asset.no_partial_fill_exchange()
        asset.roi_lb(int(data["low"]) * tick_size).roi_ub(int(data["high"]) * tick_size)
        hbt = ROIVectorMarketDepthBacktest([asset])
        started = time.process_time()
        sent = quote(hbt, 10 * lot_size, int(levels), tick_size)
        if run:  # the first one compiles
            seconds.append(time.process_time() - started)
        fills = hbt.state_values(0).num_trades
        hbt.close()
    json.dump(
        {
            "ns": [s / len(feed) * 1e9 for s in seconds],
            "sent": int(sent),
            "fills": int(fills),
            "bytes": feed.itemsize,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
