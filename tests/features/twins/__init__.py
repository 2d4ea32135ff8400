"""A slow, obvious second version of each feature, in pandas, from the columns of bars.

`TWINS` maps the stem of a feature to ``f(bars, window)`` (window None where it has none), which
returns its values on the index of `bars`. ``tests/features/test_twins.py`` asks for one of every
feature that is registered, so none comes in without.
"""

from collections.abc import Callable

import pandas as pd

Twin = Callable[[pd.DataFrame, int | None], pd.Series]
TWINS: dict[str, Twin] = {}


def twin(*stems: str) -> Callable[[Callable], Callable]:
    """Register a twin; of several stems, it is called with the stem as third argument."""

    def register(function: Callable) -> Callable:
        for stem in stems:
            assert stem not in TWINS, f"{stem} has two twins"
            if len(stems) == 1:
                TWINS[stem] = function
            else:
                TWINS[stem] = lambda bars, window, stem=stem: function(bars, window, stem)
        return function

    return register


from . import (  # noqa: E402  (register)
    cross_asset,  # noqa: F401
    funding,  # noqa: F401
    interactions,  # noqa: F401
    mean_reversion,  # noqa: F401
    microstructure,  # noqa: F401
    temporal,  # noqa: F401
    volatility,  # noqa: F401
)
