"""Rows that come from no file, into a store: checked, each to the day of its `received_time`."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa

from mrtrade.clock import NS_PER_DAY, utc_day
from mrtrade.data.checks import Checker
from mrtrade.data.digest import Digest
from mrtrade.data.schemas import known_table
from mrtrade.data.store import Entry, Source, Store
from mrtrade.instruments import to_lake


def write_rows(
    store: Store, table: str, exchange: str, symbol: str, rows: pa.Table | pd.DataFrame
) -> list[Entry]:
    """Do what `Store.write` says, whatever the store.

    The rows' name as a source is their fingerprint, so that the same rows are known again.
    """
    if isinstance(rows, pd.DataFrame):
        rows = pa.Table.from_pandas(rows, preserve_index=False)
    where = f"<{table} {exchange} {symbol}>"
    known = known_table(table)
    checker = Checker(known, where, exchange.upper(), to_lake(symbol), rows.schema)
    checked = checker(rows)
    cuts, days = _split_days(checked)
    digest = Digest(known.schema)
    digest.add(checked)
    sha256 = digest.sha256().hex()
    source = Source(f"rows-{sha256[:16]}", digest.size, sha256, tuple(days))
    written = []
    with store.writing([(table, exchange, symbol)]):
        stored = {entry.day: entry for entry in store.entries(table, exchange, symbol)}
        for day, (a, b) in zip(days, cuts, strict=True):
            if day in stored and source in stored[day].sources:
                continue
            stream = (source, iter([checked.slice(a, b - a)]))
            entry = store.write_day(table, exchange, symbol, day, [stream], keep=day in stored)
            written.append(entry)
    return written


def _split_days(rows: pa.Table) -> tuple[list[tuple[int, int]], list[str]]:
    """Return the (first, end) rows of each UTC day of sorted rows, and the days."""
    received = rows["received_time"].to_numpy()
    days = np.unique(received // NS_PER_DAY)
    cuts = np.searchsorted(received, np.append(days, days[-1:] + 1) * NS_PER_DAY)
    spans = [(int(a), int(b)) for a, b in pairwise(cuts)]
    return spans, [utc_day(int(day) * NS_PER_DAY) for day in days]
