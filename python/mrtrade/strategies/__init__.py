"""Strategies: rules on features that give target positions."""

from mrtrade.strategies.base import Context, Rules, Strategy, StrategyParams, Target
from mrtrade.strategies.lookup import STRATEGIES, find_strategy, make_strategy
from mrtrade.strategies.microstructure import MicrostructureMeanReversion
from mrtrade.strategies.statistical import StatisticalMeanReversion

__all__ = [
    "STRATEGIES",
    "Context",
    "MicrostructureMeanReversion",
    "Rules",
    "StatisticalMeanReversion",
    "Strategy",
    "StrategyParams",
    "Target",
    "find_strategy",
    "make_strategy",
]
