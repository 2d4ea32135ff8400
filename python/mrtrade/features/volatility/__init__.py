"""Features of volatility and its regime. Annualised by 365 days: these markets do not close."""

from mrtrade.features.volatility import jumps, ranges, realized, regime  # register

__all__ = ["jumps", "ranges", "realized", "regime"]
