from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

@final
class DeltaAudit:
    def __new__(
        cls,
        tick_size: float,
        lot_size: float,
        *,
        max_gap_ns: int,
        frozen_ns: int,
        frozen_messages: int,
    ) -> Self: ...
    def feed(
        self,
        origin: NDArray[np.int64],
        received: NDArray[np.int64],
        sequence: NDArray[np.int64],
        side_is_bid: NDArray[np.uint8],
        price: NDArray[np.float64],
        size: NDArray[np.float64],
    ) -> NDArray[np.int64]: ...
    def finish(self) -> NDArray[np.int64]: ...
    def snapshot(
        self,
        side: NDArray[np.int8],
        tick: NDArray[np.int32],
        lots: NDArray[np.int64],
        received: int,
        sequence: int = -1,
    ) -> None: ...
    @property
    def counts(self) -> dict[str, Any]: ...
