"""What orders of a dataset are charged: the cost model, fed with what its bars say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.bar_costs import ModelCost
from mrtrade.clock import NS_PER_DAY, to_ns
from mrtrade.errors import DataError
from mrtrade.execution.costs import DynamicTransactionCostModel
from mrtrade.ml.dataset import Dataset
from mrtrade.validation.settings import ChargesConfig

Floats = npt.NDArray[np.float64]

YEAR_NS = 365 * NS_PER_DAY


@dataclass
class Charges:
    """Costs of a dataset's two legs, made when they are asked for.

    Parameters
    ----------
    data : Dataset
        Bars with ``spread_mean_bps``.
    config : ChargesConfig
    """

    data: Dataset
    config: ChargesConfig
    _states: dict[str, dict[str, Floats]] = field(default_factory=dict, init=False)

    def of(self, begin: int, end: int) -> tuple[ModelCost, ModelCost]:
        """Return the charges of both legs over some rows (of one leg: its own twice)."""
        data = self.data
        first = self._charge("first", data.bars, begin, end)
        if data.second is None:
            return first, first
        second = self._charge("second", data.second, begin, end)
        return first, second

    def _charge(self, leg: str, bars: pd.DataFrame, begin: int, end: int) -> ModelCost:
        config = self.config
        if leg not in self._states:
            self._states[leg] = market_state(bars, config.vol_window)
        state = {name: values[begin:end] for name, values in self._states[leg].items()}
        before = "" if leg == "first" else "second_"
        model = DynamicTransactionCostModel(
            maker_fee_bps=getattr(config, f"{before}maker_fee_bps"),
            taker_fee_bps=getattr(config, f"{before}taker_fee_bps"),
            impact_model=config.impact_model,
        )
        return ModelCost(model, state, symbol=self.data.symbol, scale=config.scale)


def market_state(bars: pd.DataFrame, vol_window: int) -> dict[str, Floats]:
    """Return what bars say of the market at their ends, as the cost model names it.

    Parameters
    ----------
    bars : DataFrame
        ``mid`` and ``spread_mean_bps``; ``notional`` where there is.
    vol_window : int
        Bars over which volatility is measured; at the beginning, those there are.

    Returns
    -------
    dict of ndarray
        ``spread_bps``; ``realized_vol`` (1/sqrt(year)): root of the mean squared log return a bar,
        0 in the first; ``daily_volume`` (quote a day), of the last day, or of what there is of it.
    """
    if "spread_mean_bps" not in bars:
        raise DataError(
            "bars do not say what the spread is",
            key="spread_mean_bps",
            remedy="assume one, as candle_dataset(..., spread_bps=) does",
        )
    time = to_ns(bars.index)
    step = int(np.median(np.diff(time))) if len(time) > 1 else NS_PER_DAY
    log = np.log(bars["mid"])
    squared = (log - log.shift(1)) ** 2
    mean = squared.rolling(vol_window, min_periods=1).mean()
    state: dict[str, Any] = {
        "spread_bps": bars["spread_mean_bps"].to_numpy(np.float64),
        "realized_vol": np.sqrt(mean.fillna(0.0).clip(lower=0.0) * (YEAR_NS / step)).to_numpy(
            np.float64
        ),
    }
    if "notional" in bars:
        a_day = max(NS_PER_DAY // step, 1)
        volume = bars["notional"].rolling(a_day, min_periods=1).mean() * a_day
        state["daily_volume"] = volume.to_numpy(np.float64)
    return state
