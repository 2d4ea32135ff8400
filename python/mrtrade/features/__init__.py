"""Causal features on a grid of bars: one register, one computation for batch and stream."""

from mrtrade.features import (  # register
    basis,  # after those it builds on
    cross_asset,
    derived,
    funding,
    interactions,
    mean_reversion,
    microstructure,
    temporal,
    volatility,
)
from mrtrade.features.columns import COLUMNS, column
from mrtrade.features.compute import FeatureStream, compute
from mrtrade.features.correlations import (
    FeatureCorrelations,
    analyze_feature_correlations,
    forward_returns,
)
from mrtrade.features.registry import FAMILIES, FEATURES, Feature, feature, get, select

__all__ = [
    "COLUMNS",
    "FAMILIES",
    "FEATURES",
    "Feature",
    "FeatureCorrelations",
    "FeatureStream",
    "analyze_feature_correlations",
    "basis",
    "column",
    "compute",
    "cross_asset",
    "derived",
    "feature",
    "forward_returns",
    "funding",
    "get",
    "interactions",
    "mean_reversion",
    "microstructure",
    "select",
    "temporal",
    "volatility",
]
