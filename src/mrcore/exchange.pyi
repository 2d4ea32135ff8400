from typing import Any, Final

import numpy as np

EVENTS: Final[tuple[str, ...]]
TIFS: Final[tuple[str, ...]]
REASONS: Final[tuple[str, ...]]
QUEUE_MODELS: Final[tuple[str, ...]]
SELF_TRADE_MODES: Final[tuple[str, ...]]
ORDER_DTYPE: Final[np.dtype[Any]]
ORDER_EVENT_DTYPE: Final[np.dtype[Any]]
FILL_DTYPE: Final[np.dtype[Any]]
