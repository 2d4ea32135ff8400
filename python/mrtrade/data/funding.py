"""When a perpetual's funding was settled, at which rate and which mark.

Crypto Lake's table ``funding`` is a stream: each row gives the rate of the period that ends at
``next_funding_time`` as it stood then. The last row that names a time of settlement says at which
rate it was made; the payment itself happens on the exchange, so nothing is known too early. Times
that differ by less than a minute are one settlement (sources jitter by milliseconds). Rows without
``next_funding_time`` name none and are left out.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import NS_PER_DAY, NS_PER_SECOND, from_ns
from mrtrade.data.store import Store
from mrtrade.errors import DataError
from mrtrade.instruments import Instrument

SAME_SETTLEMENT_NS = 60 * NS_PER_SECOND
"""Times of settlement closer together than this are one: the shortest periods are an hour."""

_NONE = np.empty(0, dtype=np.int64)
_COLUMNS = ("mark_price", "rate", "next_funding_time")


def funding_rates(store: Store, instrument: Instrument, start_ns: int, end_ns: int) -> pd.DataFrame:
    """Return the settlements of a perpetual after `start_ns` and before `end_ns`.

    Parameters
    ----------
    store : Store
    instrument : Instrument
    start_ns, end_ns : int
        Exchange clock.

    Returns
    -------
    DataFrame
        ``time`` (UTC), ``rate`` (fraction of the notional that longs pay) and ``mark`` (price; NaN
        where none was recorded), in time order. Empty where no funding is stored, and for what is
        not a perpetual.

    Raises
    ------
    DataError
        If rates are stored in the span, but no row says when one is settled.
    """
    where = (instrument.exchange, instrument.symbol)
    if not instrument.is_perpetual or not store.days("funding", *where):
        return _frame(_NONE, np.empty(0), np.empty(0))
    # A rate stands from the settlement before on: at most a day.
    low, high = start_ns - NS_PER_DAY, end_ns + NS_PER_DAY
    rows = store.read("funding", *where, low, high, _COLUMNS)
    mark, rate, due = (rows[name].to_numpy() for name in _COLUMNS)
    if len(due) and not (due > 0).any():
        raise DataError(
            f"no row of the funding of {' '.join(where)} says when its rate is settled",
            key="next_funding_time",
            remedy="ingest it with that column, or set transaction_costs.funding to false",
        )
    by_time = np.argsort(due, kind="stable")
    first = np.flatnonzero(np.diff(due[by_time], prepend=-NS_PER_DAY) >= SAME_SETTLEMENT_NS)
    # Of each settlement the row received last; rows are stored in the order of receipt.
    last = np.maximum.reduceat(by_time, first) if len(first) else _NONE
    last = last[(due[last] > start_ns) & (due[last] < end_ns)]
    return _frame(due[last], rate[last], mark[last])


def _frame(
    time: npt.NDArray[np.int64], rate: npt.NDArray[np.float64], mark: npt.NDArray[np.float64]
) -> pd.DataFrame:
    return pd.DataFrame({"time": from_ns(time), "rate": rate, "mark": mark})
