"""Features of how far the mid has gone from where it was, and how fast such gaps close."""

from mrtrade.features.mean_reversion import fair_value, reversion, scores, walk  # register
from mrtrade.features.mean_reversion.fair_value import calculate_fair_value_deviations
from mrtrade.features.mean_reversion.half_life import HalfLife, calculate_half_life

__all__ = [
    "HalfLife",
    "calculate_fair_value_deviations",
    "calculate_half_life",
    "fair_value",
    "reversion",
    "scores",
    "walk",
]
