from collections.abc import Sequence
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

KINDS: Final[tuple[str, str, str, str]]

def power_law_rates(nearest: float, power: float, depth: int) -> NDArray[np.float64]: ...

@final
class MarketRun:
    @property
    def start_ns(self) -> int: ...
    @property
    def end_ns(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def tick_size(self) -> float: ...
    @property
    def lot_size(self) -> float: ...
    @property
    def snapshot(self) -> dict[str, NDArray[Any]]: ...
    @property
    def deltas(self) -> dict[str, NDArray[Any]]: ...
    @property
    def trades(self) -> dict[str, NDArray[Any]]: ...
    @property
    def orders(self) -> dict[str, NDArray[Any]]: ...
    @property
    def fair(self) -> dict[str, NDArray[Any]]: ...
    @property
    def probe_ids(self) -> NDArray[np.int64]: ...
    def tape(self) -> tuple[tuple[NDArray[Any], ...], tuple[NDArray[Any], ...]]: ...

@final
class SyntheticMarket:
    @property
    def start_ns(self) -> int: ...
    @property
    def tick_size(self) -> float: ...
    @property
    def lot_size(self) -> float: ...
    @property
    def snapshot_levels(self) -> int: ...
    def __new__(
        cls,
        seed: int = 0,
        *,
        tick_size: float = 0.1,
        lot_size: float = 0.001,
        start_ns: int = 1_704_067_200_000_000_000,
        fair_price: float = 60_000.0,
        fair_sd_ticks: float = 20.0,
        half_life_s: float = 60.0,
        fair_step_ns: int = 10_000_000,
        limit_rates: Sequence[float] | NDArray[np.float64] | None = None,
        market_rate: float = 40.0,
        cancel_rate: float = 1.5,
        withdraw_rate: float = 10.0,
        informed_share: float | Sequence[tuple[float, float]] = 0.0,
        order_lots: tuple[float, float] = (50.0, 1.0),
        market_lots: tuple[float, float] = (100.0, 1.0),
        latency_ns: float = 5_000_000.0,
        latency_sigma: float = 0.0,
        snapshot_levels: int = 1000,
    ) -> Self: ...
    def run(
        self,
        seconds: float | None = None,
        *,
        n_deltas: int | None = None,
        probes: Sequence[tuple[int, int, int]] = (),
    ) -> MarketRun: ...
