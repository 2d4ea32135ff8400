"""Strategies: rules on features that give target positions."""

from mrtrade.strategies.base import FORECAST, Context, Rules, Strategy, StrategyParams, Target
from mrtrade.strategies.forecast import Forecast
from mrtrade.strategies.funding import FundingArbitrage
from mrtrade.strategies.lookup import STRATEGIES, find_strategy, installed, make_strategy
from mrtrade.strategies.microstructure import MicrostructureMeanReversion
from mrtrade.strategies.statistical import StatisticalMeanReversion

__all__ = [
    "FORECAST",
    "STRATEGIES",
    "Context",
    "Forecast",
    "FundingArbitrage",
    "MicrostructureMeanReversion",
    "Rules",
    "StatisticalMeanReversion",
    "Strategy",
    "StrategyParams",
    "Target",
    "find_strategy",
    "installed",
    "make_strategy",
]
