from typing import Any, Final, Self, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from mrcore.exchange import FILL_DTYPE as FILL_DTYPE
from mrcore.exchange import ORDER_DTYPE as ORDER_DTYPE
from mrcore.exchange import ORDER_EVENT_DTYPE as ORDER_EVENT_DTYPE
from mrcore.exchange import QUEUE_MODELS as QUEUE_MODELS
from mrcore.exchange import TIFS as TIFS
from mrcore.latency import Latency

SAMPLE_COLUMNS: Final[tuple[str, ...]]

# time, side, tick, lots
_Columns: TypeAlias = tuple[
    NDArray[np.int64], NDArray[np.int8], NDArray[np.int32], NDArray[np.int64]
]

@final
class Replay:
    def __new__(
        cls,
        tick_size: float,
        lot_size: float,
        *,
        sample_times: NDArray[np.int64] | None = None,
        vpin_bucket: float = 0.0,
        vpin_buckets: int = 50,
        vpin_calibration: int = 500,
        kyle_window: int = 60,
        queue_model: str = "power",
        queue_power: float = 3.0,
        partial_fills: bool = True,
        latency: Latency | None = None,
        entry_latency_ns: int = 0,
        response_latency_ns: int = 0,
        feed_latency_ns: int = 0,
        maker_fee: float = 0.0,
        taker_fee: float = 0.0,
        multiplier: float = 1.0,
        window: int = ...,
    ) -> Self: ...
    def feed(self, deltas: _Columns, trades: _Columns) -> None: ...
    def advance(self, until_ns: int) -> int: ...
    def finish(self) -> int: ...
    def set_target(
        self,
        lots: int,
        *,
        aggressive: bool = False,
        stop_ticks: int = 0,
        hold_ns: int = 0,
        timeout_ns: int = 0,
        give_up: bool = False,
    ) -> None: ...
    def schedule(
        self,
        time_ns: NDArray[np.int64],
        lots: NDArray[np.int64],
        aggressive: NDArray[np.bool_],
        stop_ticks: NDArray[np.int64],
        hold_ns: NDArray[np.int64],
        timeout_ns: NDArray[np.int64],
        give_up: NDArray[np.bool_],
    ) -> None: ...
    def submit(self, side: int, tick: int, lots: int, tif: str = "gtc") -> int: ...
    def cancel(self, order_id: int) -> None: ...
    @property
    def time_ns(self) -> int | None: ...
    @property
    def bid_tick(self) -> int | None: ...
    @property
    def ask_tick(self) -> int | None: ...
    @property
    def position_lots(self) -> int: ...
    @property
    def exchange_position_lots(self) -> int: ...
    @property
    def cash(self) -> float: ...
    @property
    def fees(self) -> float: ...
    @property
    def mid(self) -> float: ...
    @property
    def counters(self) -> dict[str, int]: ...
    def samples(self) -> NDArray[np.float64]: ...
    def orders(self) -> NDArray[Any]: ...
    def order_events(self) -> NDArray[Any]: ...
    def fills(self) -> NDArray[Any]: ...
