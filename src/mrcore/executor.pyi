from typing import Self, final

from mrcore.exchange import EVENTS as EVENTS
from mrcore.exchange import TIFS as TIFS

@final
class Executor:
    @property
    def tick_size(self) -> float: ...
    def __new__(cls, tick_size: float) -> Self: ...
    def set_target(
        self,
        now_ns: int,
        lots: int,
        *,
        aggressive: bool = False,
        stop_ticks: int = 0,
        hold_ns: int = 0,
        timeout_ns: int = 0,
        give_up: bool = False,
        mid: float = ...,
    ) -> None: ...
    def step(
        self, now_ns: int, bid_tick: int | None, ask_tick: int | None
    ) -> tuple[str, int] | tuple[str, int, int, int, str] | None: ...
    def sent(self, order_id: int) -> None: ...
    def on_response(self, now_ns: int, event: str, tick: int = 0, lots: int = 0) -> None: ...
    @property
    def position_lots(self) -> int: ...
    @property
    def timer_ns(self) -> int | None: ...
