from collections.abc import Callable
from typing import Any, Final, Literal, Self, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mrcore.account import Account
from mrcore.exchange import FILL_DTYPE as FILL_DTYPE
from mrcore.exchange import ORDER_DTYPE as ORDER_DTYPE
from mrcore.exchange import ORDER_EVENT_DTYPE as ORDER_EVENT_DTYPE
from mrcore.exchange import QUEUE_MODELS as QUEUE_MODELS
from mrcore.exchange import SELF_TRADE_MODES as SELF_TRADE_MODES
from mrcore.exchange import TIFS as TIFS
from mrcore.latency import Latency

SAMPLE_COLUMNS: Final[tuple[str, ...]]

# time, side, tick, lots, and perhaps the time it was received
_Columns: TypeAlias = (
    tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.int32], NDArray[np.int64]]
    | tuple[
        NDArray[np.int64], NDArray[np.int8], NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]
    ]
)

# time, kind, order_id, side, tick, lots, and perhaps the time it was received
_Orders: TypeAlias = tuple[NDArray[Any], ...]

@final
class Replay:
    def __new__(
        cls,
        tick_size: float,
        lot_size: float,
        *,
        sample_times: NDArray[np.int64] | None = None,
        sample_interval_ns: int = 0,
        vpin_bucket: float = 0.0,
        vpin_buckets: int = 50,
        vpin_calibration: int = 500,
        kyle_window: int = 60,
        queue_model: str = "power",
        queue_power: float = 3.0,
        queue_table: NDArray[np.float64] | None = None,
        queue_kernel: Any = None,
        partial_fills: bool = True,
        remember_taking: bool = True,
        self_trade: str = "allow",
        max_open_orders: int = 0,
        rate_limit: tuple[int, int] | None = None,
        latency: Latency | None = None,
        entry_latency_ns: int = 0,
        response_latency_ns: int = 0,
        feed_latency_ns: int = 0,
        maker_fee: float = 0.0,
        taker_fee: float = 0.0,
        multiplier: float = 1.0,
        inverse: bool = False,
        account: Account | None = None,
        depth: bool = False,
        window: int = ...,
    ) -> Self: ...
    @property
    def latency(self) -> Latency: ...
    def feed(self, deltas: _Columns, trades: _Columns) -> None: ...
    def feed_orders(self, orders: _Orders) -> None: ...
    def advance(self, until_ns: int) -> int: ...
    def wait_next(
        self, timeout_ns: int, *, feed: bool = False, fill: bool = True
    ) -> Literal["fill", "feed", "timeout", "end"]: ...
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
    def schedule_orders(
        self,
        time_ns: NDArray[np.int64],
        side: NDArray[np.int8],
        tick: NDArray[np.int64],
        lots: NDArray[np.int64],
        tif: NDArray[np.int8],
        cancel_ns: NDArray[np.int64],
    ) -> NDArray[np.int64]: ...
    def fund(self, time_ns: ArrayLike, rate: ArrayLike, mark: ArrayLike | None = None) -> None: ...
    def submit(
        self,
        side: int,
        tick: int,
        lots: int,
        tif: str = "gtc",
        *,
        stop_tick: int | None = None,
        reduce_only: bool = False,
    ) -> int: ...
    def replace(self, order_id: int, tick: int, lots: int) -> None: ...
    def cancel(self, order_id: int) -> None: ...
    def cancel_all(self) -> None: ...
    def quote(
        self,
        bid_tick: int | None,
        ask_tick: int | None,
        lots: int,
        *,
        levels: int = 1,
        step_ticks: int = 1,
        keep: bool = True,
    ) -> None: ...
    def run(
        self,
        until_ns: int,
        *,
        on_fill: Callable[[Replay], object] | None = None,
        on_feed: Callable[[Replay], object] | None = None,
        on_timer: Callable[[Replay], object] | None = None,
        every_ns: int = 0,
    ) -> None: ...
    @property
    def depth(self) -> bool: ...
    @property
    def time_ns(self) -> int | None: ...
    @property
    def bid_tick(self) -> int | None: ...
    @property
    def ask_tick(self) -> int | None: ...
    @property
    def bid_lots(self) -> int: ...
    @property
    def ask_lots(self) -> int: ...
    def levels(
        self, n: int = 10
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]: ...
    def lots_at(self, side: int, tick: int) -> int: ...
    @property
    def open_orders(self) -> int: ...
    @property
    def position_lots(self) -> int: ...
    @property
    def known_fills(self) -> int: ...
    @property
    def exchange_position_lots(self) -> int: ...
    @property
    def cash(self) -> float: ...
    @property
    def fees(self) -> float: ...
    @property
    def funding(self) -> float: ...
    @property
    def account(self) -> Account: ...
    @property
    def mid(self) -> float: ...
    @property
    def counters(self) -> dict[str, int]: ...
    def samples(self) -> NDArray[np.float64]: ...
    def orders(self) -> NDArray[Any]: ...
    def order_events(self) -> NDArray[Any]: ...
    def fills(self) -> NDArray[Any]: ...
    def drain(self) -> dict[str, NDArray[Any]]: ...
    def copy(self) -> Replay: ...

def restored(state: dict[str, Any]) -> Replay: ...
