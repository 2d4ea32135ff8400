"""Features of the clock, UTC."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mrtrade.features.registry import feature
from mrtrade.features.rolling import Array, Bars, Rolling

DAY_NS = 86_400_000_000_000


def hour(bars: Bars, roll: Rolling, *, wave: Callable[[Array], Array]) -> Array:
    """Time of day on a circle, so that 23:59 lies beside 00:00."""
    return wave(2.0 * np.pi * (bars["time"] % DAY_NS) / DAY_NS)


for _name, _wave in (("sin", np.sin), ("cos", np.cos)):
    feature(
        f"hour_{_name}",
        family="temporal",
        unit="-1..1",
        inputs=("time",),
        formula=f"{_name}(2 pi time of day / 24 h), UTC",
        edge="always there",
        source="definition",
        params={"wave": _wave},
    )(hour)
