from typing import Self, final

from mrcore.rolling_column import Column

@final
class RollingAR(Column):
    def __new__(cls, window: int) -> Self: ...

@final
class RollingADF(Column):
    def __new__(cls, window: int, lags: int = 1) -> Self: ...
    @property
    def lags(self) -> int: ...

@final
class RollingVarianceRatio(Column):
    def __new__(cls, window: int, q: int) -> Self: ...
    @property
    def q(self) -> int: ...
