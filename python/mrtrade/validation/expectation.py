"""What a backtest says a paper or live run should look like, kept beside the record of the run.

It is copied when the run begins, so that nobody can choose afterwards what to be compared with.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mrtrade.backtest import metrics
from mrtrade.clock import from_ns, to_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.validation.criteria import write_json, write_whole
from mrtrade.validation.returns import Floats, finite

if TYPE_CHECKING:
    from mrtrade.backtest import Result

FOLDER = "expected"


@dataclass(frozen=True, eq=False)
class Expectation:
    """The backtest that a run is compared with.

    Attributes
    ----------
    source : str
        Its id.
    daily : ndarray
        Net returns of days in order, shares of the capital at full size.
    slippage_bps : float
        See `slippage_bps`; NaN without fills.
    fill_rate : float
        Share of the orders sent that were filled, in part at least; NaN without orders.
    features : DataFrame, optional
        What the strategy saw, indexed by time; with a column ``symbol`` where there are several.
    """

    source: str
    daily: Floats
    slippage_bps: float
    fill_rate: float
    features: pd.DataFrame | None = None

    def sha256(self) -> str:
        """Return what its numbers hash to, wherever they are kept."""
        digest = hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode())
        if self.features is not None:
            digest.update(to_ns(self.features.index).tobytes())
            for name, column in self.features.items():
                values = "\0".join(column).encode() if name == "symbol" else _bytes(column)
                digest.update(f"\0{name}\0".encode() + values)
        return digest.hexdigest()

    def _content(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "daily": finite(self.daily).tolist(),
            "slippage_bps": _number(self.slippage_bps),
            "fill_rate": _number(self.fill_rate),
        }

    def save(self, session: str | Path) -> None:
        """Write it into the folder of a session."""
        folder = Path(session) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        if self.features is not None:
            # The time is a column of its own: an index is pandas' affair.
            frame = self.features.reset_index(drop=True)
            frame.insert(0, "time_ns", to_ns(self.features.index))
            write_whole(folder / "features.parquet", _parquet(frame))
        write_json(folder / "expected.json", self._content())


def load_expectation(session: str | Path) -> Expectation:
    """Read the expectation in the folder of a session.

    Raises
    ------
    DataError
        If there is none, or it is of another form.
    """
    folder = Path(session) / FOLDER
    path = folder / "expected.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        daily = finite(content["daily"], "daily returns")
        slippage, rate = (
            math.nan if content[name] is None else float(content[name])
            for name in ("slippage_bps", "fill_rate")
        )
        if math.isinf(slippage) or not (math.isnan(rate) or 0.0 <= rate <= 1.0):
            raise ValueError(f"slippage_bps {slippage}, fill_rate {rate}")
        source = str(content["source"])
    except OSError as error:
        raise DataError(
            "no backtest to compare with",
            file=path,
            remedy="Expectation.save writes it when a run begins",
        ) from error
    except json.JSONDecodeError as error:
        raise DataError(f"no JSON: {error}", file=path) from error
    except (ValueError, KeyError, TypeError) as error:
        what = f"not what a backtest expects: {type(error).__name__}: {error}"
        raise DataError(what, file=path, expected="see docs/gates.md") from error
    return Expectation(source, daily, slippage, rate, _features(folder / "features.parquet"))


def expectation_of(result: Result, features: pd.DataFrame | None = None) -> Expectation:
    """Make the expectation of a backtest.

    Parameters
    ----------
    result : mrtrade.backtest.Result
    features : DataFrame, optional
        What its strategy saw, indexed by time.

    Raises
    ------
    ConfigError
        If the backtest is shorter than two days: there are no days to compare.
    """
    equity = result.equity
    capital = float(result.manifest["config"]["capital"])
    value = metrics.daily_values(to_ns(equity.index), equity["equity"].to_numpy(np.float64))
    daily = np.diff(value) / capital
    if len(daily) < 2:
        raise ConfigError(
            "too short a backtest to compare with", value=len(daily), expected="2 days or more"
        )
    return Expectation(
        result.manifest["run_id"],
        daily,
        slippage_bps(result.fills),
        fill_rate(result.orders, result.fills),
        features,
    )


def slippage_bps(fills: pd.DataFrame) -> float:
    """Mean distance of the fill prices from the mid that the decision saw, by notional, bps.

    Parameters
    ----------
    fills : DataFrame
        ``side, price, quantity, decision_mid``; fills without a mid are left out.

    Returns
    -------
    float
        > 0: paid; NaN without fills.
    """
    known = fills[fills["decision_mid"].notna()]
    price, mid = known["price"].to_numpy(np.float64), known["decision_mid"].to_numpy(np.float64)
    weight = price * known["quantity"].to_numpy(np.float64)
    if not weight.sum() > 0.0:
        return math.nan
    paid = 1e4 * known["side"].to_numpy(np.float64) * (price - mid) / mid
    return float((weight * paid).sum() / weight.sum())


def fill_rate(orders: pd.DataFrame, fills: pd.DataFrame) -> float:
    """Share of the orders that were sent and filled in part at least; NaN without orders."""
    sent = orders.loc[orders["event"] == "submitted", "order_id"].nunique()
    return len(filled_orders(orders, fills)) / sent if sent else math.nan


def filled_orders(orders: pd.DataFrame, fills: pd.DataFrame) -> set[str]:
    """Return the orders that were sent and filled in part at least; a fill alone is none."""
    return set(orders.loc[orders["event"] == "submitted", "order_id"]) & set(fills["order_id"])


def _features(path: Path) -> pd.DataFrame | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path) as file:
            frame: pd.DataFrame = file.read().to_pandas()
        frame.index = from_ns(frame.pop("time_ns").to_numpy(np.int64))
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise DataError(f"no features of a backtest: {error!r}", file=path) from error
    return frame


def _bytes(column: pd.Series[Any]) -> bytes:
    content: bytes = column.to_numpy(np.float64).tobytes()
    return content


def _parquet(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
