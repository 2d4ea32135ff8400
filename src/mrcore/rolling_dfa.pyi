from collections.abc import Sequence
from typing import Self, final

from mrcore.rolling_column import Column

def default_scales(window: int) -> tuple[int, ...]: ...

@final
class RollingDFA(Column):
    def __new__(cls, window: int, scales: Sequence[int] | None = None) -> Self: ...
    @property
    def scales(self) -> tuple[int, ...]: ...
    @property
    def bias(self) -> float: ...
