"""Backtests: run one, look at its result, keep it, run it again."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mrtrade.backtest.engine import Progress, run
    from mrtrade.backtest.pair import run_pair
    from mrtrade.backtest.pair_result import PairResult
    from mrtrade.backtest.result import Result
    from mrtrade.backtest.runs import list_runs, rerun, save_run

# Imported when asked for: listing runs needs neither pandas nor the core.
_HOMES = {
    "Progress": "engine",
    "run": "engine",
    "run_pair": "pair",
    "PairResult": "pair_result",
    "Result": "result",
    "list_runs": "runs",
    "rerun": "runs",
    "save_run": "runs",
}

__all__ = [
    "PairResult",
    "Progress",
    "Result",
    "list_runs",
    "rerun",
    "run",
    "run_pair",
    "save_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
