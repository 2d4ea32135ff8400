"""Small data sets whose every number can be worked out by hand."""

from pathlib import Path

import numpy as np
import pandas as pd

from mrtrade.clock import to_ns
from mrtrade.ml.dataset import Dataset, no_funding
from mrtrade.validation.settings import WalkForwardConfig

RULES = Path(__file__).with_name("rules.py")
HOUR_NS = 3600 * 10**9


def index(rows, start="2024-01-01 01:00"):
    times = to_ns(start) + HOUR_NS * np.arange(rows)
    return pd.DatetimeIndex(times, name="time").tz_localize("UTC")


def dataset(
    rows=24 * 40, *, symbol="X/USDT-PERP", seed=0, mid=None, spread=0.0, second=False, **features
):
    """Bars of an hour whose open is the close before, and columns as features."""
    rng = np.random.default_rng(seed)
    if mid is None:
        mid = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, rows)))
    bars = prices(mid, spread)
    frame = pd.DataFrame({name: np.asarray(x, float) for name, x in features.items()}, bars.index)
    other = prices(50.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, len(mid)))), spread)
    return Dataset(symbol, bars, frame, no_funding(), other if second else None)


def prices(mid, spread):
    opened = np.r_[mid[0], mid[:-1]]
    return pd.DataFrame(
        {
            "mid": mid,
            "mid_open": opened,
            "mid_high": np.maximum(opened, mid),
            "mid_low": np.minimum(opened, mid),
            "notional": 1e7,
            "spread_mean_bps": spread,
        },
        index=index(len(mid)),
    )


FREE = {
    "maker_fee_bps": 0,
    "taker_fee_bps": 0,
    "second_maker_fee_bps": 0,
    "second_taker_fee_bps": 0,
}


def settings(strategies=None, **changes):
    """Folds of 5 days of training, 5 of test; nothing costs anything but the spread."""
    return WalkForwardConfig.model_validate(
        {
            "strategies": strategies or {"follow": {"name": f"{RULES}:Follow"}},
            "folds": {"train": "5D", "test": "5D", "step": "5D", "embargo": "1D"},
            "model": {"horizon": 2},
            "costs": FREE,
            **changes,
        }
    )
