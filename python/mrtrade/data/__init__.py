"""Get market data, check it, keep it."""
