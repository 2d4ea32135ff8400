"""Bars made up so that every column is alive: to try features on, and to look for look-ahead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mrtrade.features.columns import COLUMNS
from mrtrade.features.rolling import Array

FUNDING_BARS = 97
"""A prime, so that settlements fall together with nothing else."""


def example_bars(rows: int, seed: int = 0, interval: str = "1s") -> pd.DataFrame:
    """Make bars with every column of `COLUMNS`.

    The mid reverts, on a grid of 0.01; a second asset leads it; flows are noise of a likely size.

    Parameters
    ----------
    rows, seed : int
    interval : str
        Length of a bar.

    Returns
    -------
    DataFrame
        Float64, on an index of ends of bars, UTC.
    """
    rng = np.random.default_rng(seed)
    common = 2e-3 * rng.normal(size=rows + 1)
    gap = np.zeros(rows)
    for row in range(1, rows):
        gap[row] = 0.9 * gap[row - 1] + rng.normal(0.0, 0.2) + 40.0 * common[row - 1]
    columns = _book(rng, np.round(100.0 + gap, 2))
    columns |= _trades(rng, columns)
    columns |= _orders(rng, rows)
    columns["other_mid"] = 50.0 * np.exp(np.cumsum(common[1:]) + 1e-3 * rng.normal(size=rows))
    columns |= {
        "other_age_s": rng.exponential(0.2, rows),
        "hy_corr": rng.uniform(-1.0, 1.0, rows),
        "hy_lead_s": rng.integers(-5, 6, rows) / 10.0,
        "hy_lead_corr": rng.uniform(-1.0, 1.0, rows),
        "hy_llr": rng.lognormal(0.0, 0.5, rows),
    }
    columns |= _perpetual(rng, columns["mid"])
    index = pd.date_range("2024-08-08 22:00", periods=rows, freq=interval, tz="UTC", name="time")
    frame = pd.DataFrame(columns, index=index.as_unit("ns"))
    return frame[[name for name in COLUMNS if name in frame]]


def _book(rng: np.random.Generator, bid: Array) -> dict[str, Any]:
    rows = len(bid)
    ask = bid + 0.01 * rng.integers(1, 4, rows)
    mid = 0.5 * (bid + ask)
    bid_size, ask_size = rng.integers(1, 500, (2, rows)) / 100.0
    opened = np.r_[mid[:1], mid[:-1]]
    return {
        "bid": bid,
        "bid_size": bid_size,
        "ask": ask,
        "ask_size": ask_size,
        **{f"imbalance_{levels}": rng.uniform(-1.0, 1.0, rows) for levels in (1, 5, 10, 20)},
        "bid_depth_5": 5.0 * bid_size,
        "ask_depth_5": 5.0 * ask_size,
        "bid_depth_20": 20.0 * bid_size + rng.uniform(0.0, 5.0, rows),
        "ask_depth_20": 20.0 * ask_size + rng.uniform(0.0, 5.0, rows),
        "microprice": (bid_size * ask + ask_size * bid) / (bid_size + ask_size),
        "mid": mid,
        "mid_open": opened,
        "mid_high": np.maximum(mid, opened) + 0.01 * rng.integers(0, 3, rows),
        "mid_low": np.minimum(mid, opened) - 0.01 * rng.integers(0, 3, rows),
        "spread_mean": ask - bid + rng.uniform(0.0, 0.005, rows),
        "spread_max": ask - bid + 0.01,
        "band_bid_depth": rng.uniform(1.0, 50.0, rows),
        "band_ask_depth": rng.uniform(1.0, 50.0, rows),
        "bid_slope": rng.uniform(0.1, 5.0, rows),
        "ask_slope": rng.uniform(0.1, 5.0, rows),
        "bid_weighted": rng.uniform(1.0, 5.0, rows),
        "ask_weighted": rng.uniform(1.0, 5.0, rows),
        "touch_imbalance_mean": rng.uniform(-1.0, 1.0, rows),
    }


def _trades(rng: np.random.Generator, book: dict[str, Any]) -> dict[str, Any]:
    bid, ask = book["bid"], book["ask"]
    rows = len(bid)
    buys, sells = rng.poisson(2.0, (2, rows)).astype(float)
    some = buys + sells > 0
    buy = np.where(buys > 0, rng.integers(1, 300, rows) / 100.0, 0.0)
    sell = np.where(sells > 0, rng.integers(1, 300, rows) / 100.0, 0.0)
    paid, impact = rng.normal(0.01, 0.02, (2, rows))
    matured = rng.uniform(0.0, 3.0, rows)
    return {
        "n_trades": buys + sells,
        "n_buys": buys,
        "n_sells": sells,
        "buy_volume": buy,
        "sell_volume": sell,
        "volume": buy + sell,
        "notional": buy * ask + sell * bid,
        "trade_high": np.where(some, ask, np.nan),
        "trade_low": np.where(some, bid, np.nan),
        "last_trade": bid,
        "max_trade": 0.5 * np.maximum(buy, sell),
        "signed_runs": np.maximum(buys, sells) - np.minimum(buys, sells),
        "n_sign_pairs": buys + sells,
        "roll_xy": -rng.uniform(0.0, 1e-4, rows) * (buys + sells),
        "roll_x": 1e-3 * rng.normal(size=rows),
        "roll_y": 1e-3 * rng.normal(size=rows),
        "roll_n": buys + sells,
        "eff_spread": (ask - bid) * (buy + sell),
        "eff_volume": buy + sell,
        "realized_spread": (paid - impact) * matured,
        "price_impact": impact * matured,
        "matured_spread": paid * matured,
        "matured_volume": matured,
        "unmatched_trades": 0.1 * buy,
        "vpin": rng.uniform(0.0, 1.0, rows),
        "kyle_lambda": rng.normal(0.0, 1e-3, rows),
        "kyle_t": rng.normal(0.0, 2.0, rows),
        "hawkes_buy": rng.uniform(0.1, 5.0, rows),
        "hawkes_sell": rng.uniform(0.1, 5.0, rows),
    }


def _orders(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    flows = ("adds", "cancels", "flicker", "depleted")
    return {
        "n_messages": rng.poisson(20.0, rows).astype(float),
        "n_mid_changes": rng.poisson(3.0, rows).astype(float),
        "ofi": rng.normal(0.0, 3.0, rows),
        "ofi5": rng.normal(0.0, 6.0, rows),
        "ofi10": rng.normal(0.0, 9.0, rows),
        **{
            f"{side}_{flow}": rng.gamma(2.0, 1.0, rows) for side in ("bid", "ask") for flow in flows
        },
        "bid_emptied": rng.poisson(1.0, rows).astype(float),
        "ask_emptied": rng.poisson(1.0, rows).astype(float),
    }


def _perpetual(rng: np.random.Generator, mid: Array) -> dict[str, Any]:
    rows = len(mid)
    period = np.arange(rows) // FUNDING_BARS
    rates = 1e-4 + 5e-5 * rng.normal(size=rows // FUNDING_BARS + 3)
    liquidations = np.where(rng.random((2, rows)) < 0.2, rng.exponential(2.0, (2, rows)), 0.0)
    return {
        "funding_rate": rates[period + 1] + 1e-6 * rng.normal(size=rows),
        "funding_due_s": (FUNDING_BARS - np.arange(rows) % FUNDING_BARS).astype(float),
        "funding_settled": rates[period],
        "funding_interval_s": np.full(rows, float(FUNDING_BARS)),
        "mark": mid * (1.0 + 1e-5 * rng.normal(size=rows)),
        "index": mid * (1.0 - 2e-4 + 1e-4 * rng.normal(size=rows)),
        "open_interest": 1e4 * np.exp(np.cumsum(1e-3 * rng.normal(size=rows))),
        "long_liquidations": liquidations[0],
        "short_liquidations": liquidations[1],
    }
