"""Recorded runs made by hand: a backtest, and a run that is like it."""

import numpy as np
import pandas as pd

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, from_ns, to_ns
from mrtrade.validation.expectation import Expectation
from mrtrade.validation.session_writer import SessionWriter
from mrtrade.validation.sessions import SWITCHES, Incident, Manifest, Strategy

START = to_ns("2025-03-01")
DAYS, CAPITAL = 40, 100_000.0
HOUR = 3600 * NS_PER_SECOND
MARK = 600 * NS_PER_SECOND
MARKS_A_DAY = 144


def manifest(**changes):
    content = {
        "session": "march",
        "stage": "paper",
        "strategy": Strategy(name="Fade", params={"entry": 2.0}),
        "symbols": ("BTC/USDT",),
        "features": ("zscore_300", "ofi_20"),
        "capital": CAPITAL,
        "mark_s": 600.0,
        "start_ns": START,
        "expected": "run-1",
        "expected_sha256": expectation().sha256(),
    }
    return Manifest(**{**content, **changes})


def expectation(**changes):
    rng = np.random.default_rng(1)
    index = from_ns(to_ns("2025-01-01") + np.arange(1000, dtype=np.int64) * HOUR)
    content = {
        "source": "run-1",
        "daily": rng.normal(0.001, 0.004, 300),
        "slippage_bps": 2.0,
        "fill_rate": 0.5,
        "features": pd.DataFrame(rng.normal(size=(1000, 2)), index, ["zscore_300", "ofi_20"]),
    }
    return Expectation(**{**content, **changes})


def equity(days=DAYS, mean=0.001, fraction=1.0, seed=2):
    rng = np.random.default_rng(seed)
    n = MARKS_A_DAY * days + 1
    gain = rng.normal(mean / MARKS_A_DAY, 0.004 / MARKS_A_DAY**0.5, n) * CAPITAL * fraction
    gain[0] = 0.0
    return pd.DataFrame(
        {
            "time_ns": START + np.arange(n, dtype=np.int64) * MARK,
            "equity": CAPITAL + np.cumsum(gain),
            "exposure": 0.5 * CAPITAL * fraction,
            "flow": 0.0,
        }
    )


def trades(count=240, slippage_bps=2.0):
    """Orders of which each second one is filled."""
    time = START + (1 + np.arange(count, dtype=np.int64)) * 3 * HOUR
    side = np.where(np.arange(count) % 4 < 2, 1, -1).astype(np.int8)
    base = pd.DataFrame(
        {"time_ns": time, "symbol": "BTC/USDT", "order_id": [f"o{i}" for i in range(count)]}
    )
    orders = base.assign(side=side, event="submitted", price=60_000.0, quantity=0.1)
    fills = base.assign(
        side=side,
        fill_id=[f"f{i}" for i in range(count)],
        price=60_000.0 * (1.0 + 1e-4 * slippage_bps * side),
        quantity=0.1,
        fee=1.0,
        is_maker=False,
        decision_mid=60_000.0,
    )
    return orders, fills[::2]


def features(rows=900, shift=0.0):
    rng = np.random.default_rng(3)
    values = rng.normal(shift, 1.0, (rows, 2))
    return pd.DataFrame(
        {
            "time_ns": START + np.arange(rows, dtype=np.int64) * HOUR,
            "symbol": "BTC/USDT",
            "zscore_300": values[:, 0],
            "ofi_20": values[:, 1],
        }
    )


def record(folder, *, tables=None, incidents=(), ended=True, expected=None, **changes):
    """Write a run; `tables` replaces some of its tables."""
    kept = expectation() if expected is None else expected
    about = manifest(expected_sha256=kept.sha256(), **changes)
    writer = SessionWriter(folder, about)
    orders, fills = trades()
    content = {
        "equity": equity(fraction=about.fraction),
        "orders": orders,
        "fills": fills,
        "features": features(),
        **(tables or {}),
    }
    for name, frame in content.items():
        writer.append(name, frame)
    for one in incidents:
        writer.incident(one)
    if ended:
        writer.finish(START + DAYS * NS_PER_DAY)
    kept.save(folder)
    return writer


def drills():
    return [
        Incident(START + i * HOUR, "kill_switch", switch=one, drill=True, worked=True)
        for i, one in enumerate(SWITCHES)
    ]
