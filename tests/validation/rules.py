"""Strategies that say exactly what they hold, for tests."""

import numpy as np
from pydantic import Field

from mrtrade.strategies import Rules, Strategy, StrategyParams


class Follow(Strategy):
    """Holds the side that a column says, or the other one."""

    features = ("signal",)

    class Params(StrategyParams):
        side: int = Field(1, ge=-1, le=1)

    def rules(self, row):
        x = self.params.side * np.nan_to_num(row["signal"])
        return Rules(x > 0, x < 0, x <= 0, x >= 0)


class Pair(Follow):
    """The same, of two legs."""

    legs = ("perpetual", "spot")


class Forecasting(Strategy):
    """Holds the side that the model forecasts."""

    features = ("forecast_bps",)

    class Params(StrategyParams):
        least: float = 0.0

    def rules(self, row):
        x = row["forecast_bps"]
        return Rules(x > self.params.least, x < -self.params.least, x <= 0, x >= 0)


class Peeking(Strategy):
    """Trades the next bar's move: rules that read other rows than their own look ahead."""

    features = ("zscore_60",)

    def rules(self, row):
        z = row["zscore_60"]
        ahead = np.append(z[1:] - z[:-1], 0.0)
        return Rules(ahead > 0.2, ahead < -0.2, ahead < 0, ahead > 0)
