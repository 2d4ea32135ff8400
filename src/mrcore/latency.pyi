from collections.abc import Sequence
from typing import Final, Self, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

KINDS: Final[tuple[str, str, str, str]]

_Nanos: TypeAlias = NDArray[np.integer] | Sequence[int]

@final
class Latency:
    def __new__(cls) -> Self: ...
    @staticmethod
    def constant(
        submit_ns: int,
        response_ns: int,
        cancel_ns: int | None = None,
        replace_ns: int | None = None,
    ) -> Latency: ...
    @staticmethod
    def recorded(request_ns: _Nanos, exchange_ns: _Nanos, response_ns: _Nanos) -> Latency: ...
    @staticmethod
    def from_feed(
        time_ns: _Nanos,
        received_ns: _Nanos,
        *,
        request: float = 1.0,
        response: float = 1.0,
        least_ns: int = 0,
        every_ns: int = 1_000_000_000,
    ) -> Latency: ...
    @staticmethod
    def sampled(
        submit_ns: _Nanos,
        response_ns: _Nanos,
        cancel_ns: _Nanos | None = None,
        replace_ns: _Nanos | None = None,
        seed: int = 0,
    ) -> Latency: ...
    @staticmethod
    def lognormal(
        submit_ns: int,
        response_ns: int,
        sigma: float,
        cancel_ns: int | None = None,
        replace_ns: int | None = None,
        seed: int = 0,
    ) -> Latency: ...
    def requests(self, time_ns: _Nanos, kind: str = "submit") -> NDArray[np.int64]: ...
    def responses(self, time_ns: _Nanos) -> NDArray[np.int64]: ...
