"""Delays of orders, from their configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mrtrade.config import BacktestConfig
from mrtrade.data.streams import LocalEvents
from mrtrade.errors import ConfigError

if TYPE_CHECKING:
    from mrcore.latency import Latency
    from mrtrade.data.tape import Tape

TABLE_COLUMNS = ("request_ns", "exchange_ns", "response_ns")
"""Columns of a table of measured orders."""


def order_latency(config: BacktestConfig, tape: Tape) -> Latency:
    """Return the delays of requests and responses that a configuration asks for."""
    from mrcore.latency import Latency

    given = config.latency
    if given.orders == "table" and given.table is not None:
        return _measured(given.table)
    if given.orders == "feed" and isinstance(tape.deltas, LocalEvents):
        return Latency.from_feed(tape.deltas.time, tape.deltas.local)
    if given.orders == "lognormal" and given.sigma is not None:
        return Latency.lognormal(
            given.entry_ns,
            given.response_ns,
            given.sigma,
            given.cancel_ns,
            given.replace_ns,
            config.seed,
        )
    return Latency.constant(given.entry_ns, given.response_ns, given.cancel_ns, given.replace_ns)


def _measured(path: Path) -> Latency:
    """Read the table of orders that were measured."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    from mrcore.latency import Latency

    try:
        if path.suffix == ".csv":
            table = pc.read_csv(path)
        else:
            with pq.ParquetFile(path) as file:
                table = file.read()
        columns = [table[name].to_numpy() for name in TABLE_COLUMNS]
        return Latency.recorded(*columns)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise ConfigError(
            f"not a table of latencies: {str(error).strip(chr(39))}",
            file=path,
            key="latency.table",
            expected=f"a CSV or Parquet file with the columns {', '.join(TABLE_COLUMNS)}, integers",
            remedy="mend the file, or name another",
        ) from None
