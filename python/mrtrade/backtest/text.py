"""Numbers and spans of time as people read them."""

from __future__ import annotations

import math

_DAY_NS, _HOUR_NS, _MINUTE_NS = 86_400 * 10**9, 3_600 * 10**9, 60 * 10**9


def number(value: float) -> str:
    """Two decimals with thousands marks; four digits below one; rounding noise is zero."""
    if isinstance(value, int):
        return f"{value:,}"
    if 1e-9 <= abs(value) < 1e-4:  # satoshis, not 1.2e-05
        return f"{value:.{decimals(value)}f}"
    return f"{value:,.2f}" if abs(value) >= 1.0 or abs(value) < 1e-9 else f"{value:.4g}"


def signed(value: float) -> str:
    """Return `number` with its sign."""
    return number(value) if value < 0.0 else f"+{number(value)}"


def decimals(largest: float) -> int:
    """Decimals for a column of money whose largest amount this is: 2, or four digits below one."""
    if not 0.0 < abs(largest) < 1.0:
        return 2
    return min(12, 3 - math.floor(math.log10(abs(largest))))


def spell(ns: float) -> str:
    """Spell a time span in its natural unit: "5.7 minutes"."""
    for unit, size in (("days", _DAY_NS), ("hours", _HOUR_NS), ("minutes", _MINUTE_NS)):
        if ns >= 1.5 * size:
            return f"{ns / size:.1f} {unit}"
    return f"{ns / 1e9:.1f} seconds"
