"""A finding: one thing that is to be said about recorded rows."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
"""An error makes a verdict FAIL, a warning WARN; info is a measurement, or worth knowing."""


@dataclass(frozen=True)
class Finding:
    """What a rule found in one series.

    Parameters
    ----------
    rule : str
        Name of the rule, e.g. ``crossed_book``.
    severity : "error", "warning" or "info"
    table, exchange, symbol : str
        `symbol` as users write it.
    start_ns, end_ns : int
        When, by `received_time`: of the first and of the last row concerned.
    count : int
        Rows, messages or spans concerned, as the text says.
    text : str
        One clause, with the measured value and its unit.
    """

    rule: str
    severity: Severity
    table: str
    exchange: str
    symbol: str
    start_ns: int
    end_ns: int
    count: int
    text: str
