"""The replay's logs as the frames of a `Result`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.ledger import position_value
from mrtrade.clock import from_ns
from mrtrade.instruments import Instrument

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def equity_frame(samples: Floats, times: Ints, capital: float, terms: Instrument) -> pd.DataFrame:
    """Frame `equity` of a `Result`, from the samples at the decision times."""
    from mrcore.replay import SAMPLE_COLUMNS

    column = {name: samples[:, i] for i, name in enumerate(SAMPLE_COLUMNS)}
    mid = pd.Series(0.5 * (column["bid"] + column["ask"])).ffill().to_numpy()
    position = on_grid(column["position"], terms.lot_size)
    cash = capital + column["cash"]
    return pd.DataFrame(
        {
            "mid": mid,
            "position": position,
            "cash": cash,
            "fees": column["fees"],
            "equity": cash + position_value(position, mid, terms.contract),
        },
        index=from_ns(times).rename("time"),
    )


def on_grid(values: npt.NDArray[Any], step: float) -> Floats:
    """Round to the decimals that the step is written with: 3 * 0.1 becomes 0.3."""
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    return np.round(values, max(0, -int(exponent)))


def fills_frame(log: npt.NDArray[Any], capital: float, terms: Instrument) -> pd.DataFrame:
    """Frame `fills` of a `Result`."""
    tick, lot = terms.tick_size, terms.lot_size
    return pd.DataFrame(
        {
            "time": from_ns(log["time"]),
            "order_id": log["order_id"],
            "side": log["side"],
            "price": on_grid(log["tick"] * tick, tick),
            "quantity": on_grid(log["lots"] * lot, lot),
            "is_maker": log["maker"],
            "fee": log["fee"],
            "mid": log["mid"],
            "decision_mid": log["decision_mid"],
            "position": on_grid(log["position_lots"] * lot, lot),
            "cash": capital + log["cash"],
        }
    )


def orders_frame(log: npt.NDArray[Any], terms: Instrument) -> pd.DataFrame:
    """Frame `orders` of a `Result`."""
    from mrcore.exchange import EVENTS, TIFS

    tick, lot = terms.tick_size, terms.lot_size
    market = log["tif"] == TIFS.index("market")
    return pd.DataFrame(
        {
            "time": from_ns(log["time"]),
            "order_id": log["order_id"],
            "event": np.array(EVENTS, dtype=object)[log["event"]],
            "side": log["side"],
            "tif": np.array(TIFS, dtype=object)[log["tif"]],
            # A market order has no price of its own.
            "price": np.where(market, np.nan, on_grid(log["tick"] * tick, tick)),
            "quantity": on_grid(log["lots"] * lot, lot),
            "remaining": on_grid(log["remaining"] * lot, lot),
        }
    )
