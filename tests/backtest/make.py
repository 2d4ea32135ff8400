"""Small results made by hand for the tests of this folder."""

import numpy as np
import pandas as pd

from mrtrade.backtest import presets
from mrtrade.backtest.ledger import funding_paid, round_trips
from mrtrade.backtest.manifest import build
from mrtrade.backtest.metrics import summarise
from mrtrade.backtest.result import Result
from mrtrade.backtest.waterfall import waterfall
from mrtrade.clock import from_ns
from mrtrade.config import BacktestConfig
from mrtrade.instruments import LINEAR

START = 1_723_161_253_000_000_000  # 2024-08-08 23:54:13 UTC
SECOND = 10**9
CAPITAL = 10_000.0


def fills_of(rows, capital=CAPITAL, contract=LINEAR):
    """Fills from (second, side, price, quantity, is_maker, fee, mid, decision_mid)."""
    names = ["second", "side", "price", "quantity", "is_maker", "fee", "mid", "decision_mid"]
    frame = pd.DataFrame(rows, columns=names).astype(
        {"second": np.int64, "side": np.int8, "is_maker": bool}
        | dict.fromkeys(("price", "quantity", "fee", "mid", "decision_mid"), float)
    )
    signed = frame["side"] * frame["quantity"]
    paid = signed * contract.value(frame["price"]) + frame["fee"]
    frame.insert(0, "time", from_ns(START + frame.pop("second").to_numpy() * SECOND))
    frame.insert(1, "order_id", np.arange(1, len(frame) + 1))
    return frame.assign(position=signed.cumsum().round(9), cash=capital - paid.cumsum())


def equity_of(fills, mids, capital=CAPITAL, contract=LINEAR, step=1):
    """Marks every `step` seconds from the start at the given mids."""
    times = START + np.arange(len(mids)) * step * SECOND
    at = np.searchsorted(fills["time"].array.asi8, times, side="left")
    position = np.concatenate(([0.0], fills["position"]))[at]
    cash = np.concatenate(([capital], fills["cash"]))[at]
    fees = np.concatenate(([0.0], fills["fee"].cumsum()))[at]
    mids = np.asarray(mids, dtype=float)
    return pd.DataFrame(
        {
            "mid": mids,
            "position": position,
            "cash": cash,
            "fees": fees,
            "equity": cash + np.where(position == 0.0, 0.0, position * contract.value(mids)),
        },
        index=from_ns(times).rename("time"),
    )


def orders_of(fills):
    """One order a fill: submitted, then filled."""
    filled = fills[["time", "order_id", "side", "price", "quantity"]].assign(remaining=0.0)
    sent = filled.assign(remaining=filled["quantity"], event="submitted")
    both = pd.concat([sent, filled.assign(event="filled")]).assign(tif="post_only")
    columns = ["time", "order_id", "event", "side", "tif", "price", "quantity", "remaining"]
    return both.sort_values(["order_id", "event"], kind="stable", ignore_index=True)[columns]


def rates_of(rows):
    """Settlements from (second, rate, mark)."""
    frame = pd.DataFrame(rows, columns=["second", "rate", "mark"])
    frame.insert(0, "time", from_ns(START + frame.pop("second").to_numpy(np.int64) * SECOND))
    return frame.astype({"rate": float, "mark": float})


NO_RATES = rates_of([])


def manifest_of(**config):
    plain = BacktestConfig(
        store="/somewhere/store",
        exchange="BINANCE",
        symbol="BTC/USDT",
        strategy={"name": "statistical", "params": {"entry_z": 2.0}},
        capital=CAPITAL,
    ).model_dump(mode="json")
    instrument = {
        **{"exchange": "BINANCE", "symbol": "BTC/USDT", "tick_size": 0.1, "lot_size": 0.001},
        **{"multiplier": 1.0, "inverse": False, "maker_fee": 0.0, "taker_fee": 0.0},
    }
    data = {
        "fingerprint": "ab" * 32,
        "start": "2024-08-08 23:54:13 UTC",
        "end": "2024-08-09 00:05:03 UTC",
        "deltas": 1000,
        "trades": 20,
        "settlements": 0,
    }
    return build(plain | config, instrument, data)


def presets_of(net):
    """Four answers, the kinder the better."""
    names = ("optimistic", "queue", "risk_averse", "strict")
    return presets.frame(
        {
            **{"preset": name, "model": name.replace("queue", "power"), "net": net - i},
            **{"gross": net, "costs": float(i), "rested": 10, "rested_filled_pct": 80.0 - 10 * i},
            **{"maker_pct": None, "fills": 8 - i, "turnover": 0.0},
        }
        for i, name in enumerate(names)
    )


def result_of(fills, equity, **config):
    last = equity["mid"].iloc[-1]
    orders, trades = orders_of(fills), round_trips(fills, last)
    stats, notes = summarise(equity, fills, orders, trades, CAPITAL)
    return Result(
        fills=fills,
        orders=orders,
        equity=equity,
        trades=trades,
        funding=funding_paid(fills, NO_RATES),
        presets=presets_of(stats["Net PnL [settlement]"]),
        stats=stats,
        notes=notes,
        costs=waterfall(fills, last),
        manifest=manifest_of(**config),
        timing={"finished": "2024-08-09T00:06:00+00:00", "wall_s": 1.0, "cpu_s": 1.0},
    )


def random_result(n_fills=60, seconds=600, seed=1, **config):
    """A wandering price, taker and maker fills at the touch, a run of `seconds` seconds."""
    rng = np.random.default_rng(seed)
    mids = 60_000.0 + np.round(np.cumsum(rng.normal(0, 2, seconds)), 1)
    when = np.sort(rng.choice(seconds - 1, n_fills, replace=False))
    side = rng.choice([-1, 1], n_fills)
    maker = rng.random(n_fills) < 0.6
    quantity = np.round(rng.uniform(0.001, 0.02, n_fills), 3)
    price = mids[when] - np.where(maker, side, -side) * 0.5
    fee = np.where(maker, 2e-4, 5e-4) * price * quantity
    decision = mids[when] + rng.normal(0, 1, n_fills)
    rows = zip(when, side, price, quantity, maker, fee, mids[when], decision, strict=True)
    fills = fills_of(list(rows))
    return result_of(fills, equity_of(fills, mids), **config)
