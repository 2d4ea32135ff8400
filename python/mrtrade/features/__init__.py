"""Causal features on a grid of bars: one register, one computation for batch and stream."""

from mrtrade.features import (  # register
    derived,
    interactions,
    mean_reversion,
    microstructure,
    temporal,
    volatility,
)
from mrtrade.features.columns import COLUMNS, column
from mrtrade.features.compute import FeatureStream, compute
from mrtrade.features.registry import FAMILIES, FEATURES, Feature, feature, get, select

__all__ = [
    "COLUMNS",
    "FAMILIES",
    "FEATURES",
    "Feature",
    "FeatureStream",
    "column",
    "compute",
    "derived",
    "feature",
    "get",
    "interactions",
    "mean_reversion",
    "microstructure",
    "select",
    "temporal",
    "volatility",
]
