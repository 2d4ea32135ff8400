import numpy as np
from numpy.typing import NDArray

class GridError(ValueError):
    index: int
    value: float
    step: float
    def __init__(self, what: str, index: int, value: float, step: float) -> None: ...

def to_ticks(price: NDArray[np.float64], tick_size: float) -> NDArray[np.int32]: ...
def to_lots(size: NDArray[np.float64], lot_size: float) -> NDArray[np.int64]: ...
