"""Features of the book's shape, of the orders that come and go, and of the trades."""

from mrtrade.features.microstructure import book, liquidity, orders, trades  # register

__all__ = ["book", "liquidity", "orders", "trades"]
