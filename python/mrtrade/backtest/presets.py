"""One run under four answers to what fills a resting order.

Recorded sizes at a price do not say which orders left the queue, so a passive fill is an estimate.
The same targets on the same tape are replayed under each answer:

``optimistic``
    Nothing stands before the order: whatever trades at its price fills it.
``queue``
    It waits behind the size it found; cancellations move it forward as the configured
    probabilistic model says.
``risk_averse``
    It waits, and every cancellation is one behind it.
``strict``
    As `risk_averse`, and no fill is more than what traded.

Profit that only the first of them makes is not there to be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.waterfall import Waterfall
from mrtrade.instruments import Contract

COLUMNS = {
    "preset": str,
    "model": str,
    "net": np.float64,
    "gross": np.float64,
    "costs": np.float64,
    "rested": np.int64,
    "rested_filled_pct": np.float64,
    "maker_pct": np.float64,
    "fills": np.int64,
    "turnover": np.float64,
}
"""Columns of the frame and their types."""


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of `measure` as a frame; None is a share of nothing."""
    listed = list(rows)
    columns = {}
    for name, kind in COLUMNS.items():
        values = [row[name] for row in listed]
        columns[name] = pd.Series(values, dtype=object if kind is str else kind)
    return pd.DataFrame(columns)


def records(presets: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of such a frame as JSON knows them: NaN becomes None."""
    rows = presets.to_dict("records")
    return [{str(name): None if x != x else x for name, x in row.items()} for row in rows]


def measure(
    preset: str,
    model: str,
    fills: pd.DataFrame,
    events: npt.NDArray[Any],
    costs: Waterfall,
    contract: Contract,
) -> dict[str, Any]:
    """Measure a replay under one preset.

    Parameters
    ----------
    preset, model
        Its name, and the queue model behind it.
    fills
        As in `Result`.
    events
        As ``Replay.order_events()`` returns them.
    costs
        The waterfall of the fills.
    contract
        What a size unit is worth.

    Returns
    -------
    dict
        `COLUMNS`: money in the settlement currency; ``rested`` counts the orders that came to rest
        in the book, ``rested_filled_pct`` is the share of them that had any fill while they did;
        ``maker_pct`` is the share of the turnover that passive fills made.
    """
    from mrcore.exchange import EVENTS

    accepted = events["event"] == EVENTS.index("accepted")  # what only takes never is
    rested = len(np.unique(events["order_id"][accepted]))
    made = fills["is_maker"].to_numpy(bool)
    notional = fills["quantity"].to_numpy(np.float64)
    notional = notional * contract.notional(fills["price"].to_numpy(np.float64))
    turnover = float(notional.sum())
    filled = fills["order_id"][made].nunique()
    return {
        "preset": preset,
        "model": model,
        "net": costs.net,
        "gross": costs.gross,
        "costs": costs.slippage + costs.spread + costs.fees + costs.funding,
        "rested": rested,
        "rested_filled_pct": 100.0 * filled / rested if rested else None,
        "maker_pct": 100.0 * float(notional[made].sum()) / turnover if turnover else None,
        "fills": len(fills),
        "turnover": turnover,
    }
