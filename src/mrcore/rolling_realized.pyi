from typing import Self, final

from mrcore.rolling_column import Column

@final
class RollingKernelVariance(Column):
    def __new__(
        cls, window: int, max_lag: int, bandwidth: int | None = None, sparse: int = 20
    ) -> Self: ...

@final
class RollingJump(Column):
    def __new__(cls, window: int) -> Self: ...
