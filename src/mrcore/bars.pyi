from typing import Any, Final, Literal, Self, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from mrcore.replay import SAMPLE_COLUMNS as SAMPLE_COLUMNS

BAR_COLUMNS: Final[tuple[str, ...]]
BAR_KINDS: Final[tuple[str, ...]]

# time, side, tick, lots, and perhaps the time it was received
_Columns: TypeAlias = (
    tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int32], NDArray[np.int64]]
    | tuple[
        NDArray[np.int64], NDArray[np.int8], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]
    ]
)

@final
class MarketBars:
    def __new__(
        cls,
        tick_size: float,
        lot_size: float,
        *,
        kind: Literal["time", "tick", "volume", "dollar"] = "time",
        size: float,
        first_ns: int | None = None,
        vpin_bucket: float = 0.0,
        vpin_buckets: int = 50,
        vpin_calibration: int = 500,
        kyle_window: int = 60,
        multiplier: float = 1.0,
        feed_latency_ns: int = 0,
        horizon_ns: int = 5_000_000_000,
        quote_lag_ns: int = 0,
        match_ns: int = 250_000_000,
        flicker_ns: int = 1_000_000_000,
        flicker_size: float = 3.0,
        hawkes_half_life_ns: int = 10_000_000_000,
        band_bps: float = 10.0,
        window: int = ...,
    ) -> Self: ...
    def feed(self, deltas: _Columns, trades: _Columns) -> None: ...
    def advance(self, until_ns: int) -> int: ...
    def finish(self) -> int: ...
    @property
    def time_ns(self) -> int | None: ...
    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...
    def drain(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...

def restored(state: dict[str, Any]) -> MarketBars: ...
