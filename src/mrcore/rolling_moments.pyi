from typing import Self, final

from mrcore.rolling_column import Column

@final
class RollingMoments(Column):
    def __new__(cls, window: int) -> Self: ...

@final
class RollingShape(Column):
    def __new__(cls, window: int) -> Self: ...
