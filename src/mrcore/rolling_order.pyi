from typing import Self, final

from mrcore.rolling_column import Column

@final
class RollingQuantile(Column):
    def __new__(cls, window: int, q: float) -> Self: ...
    @property
    def q(self) -> float: ...

@final
class RollingRank(Column):
    def __new__(cls, window: int) -> Self: ...

@final
class RollingMedianMad(Column):
    def __new__(cls, window: int) -> Self: ...
