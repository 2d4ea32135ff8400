"""Trade a model's forecast where it is larger than what trading costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from mrtrade.strategies.base import FORECAST, Mode, Row, Rules, Strategy, StrategyParams


class Forecast(Strategy):
    """Hold the side of the model's forecast while it is worth it.

    Enters where the forecast return is `entry_bps` or more in size, which should be above the costs
    of a round trip. Leaves where it is below `exit_bps` on the side that is held, or after
    `horizon_s`, the time that the model forecasts over; after that it enters anew only once the
    forecast has been below `exit_bps`, or is of the other side. Full size up to `target_vol`, less
    above it. The stop is `stop_forecasts` times the forecast of the entry.

    The forecast (column ``forecast_bps``) comes from whoever runs the strategy: in a backtest from
    the model folder that ``strategy.model`` names, in a walk-forward from the fold's model.
    """

    class Params(StrategyParams):
        """The defaults suit bars of one second."""

        entry_bps: float = Field(6.0, gt=0, description="enter at this forecast, bps")
        exit_bps: float = Field(0.0, description="leave below this forecast, on the entry's side")
        horizon_s: float = Field(60.0, gt=0, description="holding limit: the model's horizon, s")
        stop_forecasts: float = Field(2.0, gt=0, description="stop, forecasts of the entry")
        vol_window: int = Field(15, ge=2, description="window of volatility, bars")
        target_vol: float = Field(0.5, gt=0, description="full size up to it, 1/sqrt(year)")
        entry_mode: Mode | None = Field(
            None, description="how entries are ordered; none: as configured"
        )
        exit_mode: Mode | None = Field(
            None, description="how exits are ordered; none: as configured"
        )

        @model_validator(mode="after")
        def _ordered(self) -> Forecast.Params:
            if not self.exit_bps < self.entry_bps:
                raise ValueError(f"exit_bps {self.exit_bps} must be < entry_bps {self.entry_bps}")
            return self

    params: Params
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "minutes": {"entry_bps": 12.0, "horizon_s": 3_600.0, "vol_window": 12}
    }

    def __init__(self, params: Params | Mapping[str, Any] | None = None) -> None:
        super().__init__(params)
        p = self.params
        self.entry_mode, self.exit_mode = p.entry_mode, p.exit_mode
        self.features = (FORECAST, f"realized_vol_{p.vol_window}")

    def rules(self, row: Row) -> Rules:
        """State entries, exits and terms, see the class."""
        p = self.params
        forecast, vol = (row[name] for name in self.features)
        return Rules(
            enter_long=forecast >= p.entry_bps,
            enter_short=forecast <= -p.entry_bps,
            exit_long=forecast < p.exit_bps,
            exit_short=forecast > -p.exit_bps,
            size=p.target_vol / vol,
            stop_bps=p.stop_forecasts * np.abs(forecast),
            hold_s=p.horizon_s,
        )
