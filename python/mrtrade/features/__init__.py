"""Causal features on a grid of bars: one register, one computation for batch and stream."""

from mrtrade.features import mean_reversion, microstructure, temporal, volatility  # register
from mrtrade.features.registry import FEATURES, Feature, FeatureStream, compute, feature, get

__all__ = [
    "FEATURES",
    "Feature",
    "FeatureStream",
    "compute",
    "feature",
    "get",
    "mean_reversion",
    "microstructure",
    "temporal",
    "volatility",
]
