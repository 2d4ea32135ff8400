"""What a run on bars hands back: profit by row and part, trades, and what they are worth."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest.bar_costs import PARTS
from mrtrade.backtest.bar_fills import REASONS, Fills, by_row, held_after
from mrtrade.backtest.ledger import round_trips
from mrtrade.clock import NS_PER_DAY, from_ns
from mrtrade.errors import ConfigError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BarResult:
    """The outcome of `mrtrade.backtest.bar_run.run_bars`. All money is a share of the capital.

    The capital is what it was at the start: notionals are fixed and returns add up, so the equity
    is 1 plus the sum of the returns so far.

    Attributes
    ----------
    time : ndarray of int64, shape (rows,)
        Ends of the bars, ns.
    fills : Fills
        Changes of the position, in units of the largest one.
    marks : tuple of ndarray
        Price of each leg that a position is marked at in each row.
    scale : float
        Notional of a target of 1.
    capital : float
        USD.
    traded : tuple of ndarray, shape (fills,)
        Notional that each fill traded, of each leg.
    charged : tuple of Mapping of str to ndarray, shape (fills,)
        What that cost, of each leg, by the columns of `mrtrade.backtest.bar_costs.PARTS`.
    gross, funding : ndarray, shape (rows,)
        Profit before costs and funding, and funding paid (> 0) or received.
    settled : DataFrame
        Settlements that met a position: ``time`` (ns), ``paid``.
    """

    time: Ints
    fills: Fills
    marks: tuple[Floats, ...]
    scale: float
    capital: float
    traded: tuple[Floats, ...]
    charged: tuple[Mapping[str, Floats], ...]
    gross: Floats
    funding: Floats
    settled: pd.DataFrame

    def at_cost(self, multiple: float) -> BarResult:
        """Return the same run with all charges multiplied; fills do not hang on them."""
        if not (math.isfinite(multiple) and multiple >= 0.0):
            raise ConfigError("not a multiple of costs", value=multiple, expected="a number >= 0")
        charged = tuple(
            {name: multiple * paid for name, paid in leg.items()} for leg in self.charged
        )
        return replace(self, charged=charged)

    @cached_property
    def costs(self) -> dict[str, Floats]:
        """What was charged by row, for each of the columns of `PARTS`."""
        rows = len(self.time)
        return {
            name: by_row(self.fills.row, sum(leg[name] for leg in self.charged), rows)
            for name in PARTS
        }

    @cached_property
    def returns(self) -> pd.Series[Any]:
        """Net profit of each row."""
        paid = sum((sum(leg.values()) for leg in self.charged), np.zeros(len(self.fills.row)))
        net = self.gross - self.funding - by_row(self.fills.row, paid, len(self.time))
        return pd.Series(net, index=self._index, name="net")

    @cached_property
    def before_costs(self) -> pd.Series[Any]:
        """Profit of each row after funding and before what is charged."""
        return pd.Series(self.gross - self.funding, index=self._index, name="before_costs")

    @cached_property
    def _index(self) -> pd.DatetimeIndex:
        return from_ns(self.time).rename("time")

    @cached_property
    def position(self) -> Floats:
        """What is held after each row, as it was bought: target times the notional of 1."""
        return self.scale * held_after(self.fills.row, self.fills.share, len(self.time))

    @property
    def rows_held(self) -> int:
        """Rows after which a position is held."""
        lives = np.diff(self.fills.row, append=len(self.time))
        return int(lives[self.fills.share != 0.0].sum())

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a bar: ``position``, and the parts of its profit.

        ``gross`` less ``commission, spread, impact, adverse, opportunity`` and ``funding`` (costs
        are positive where paid) is ``net``.
        """
        columns = {
            "position": self.position,
            "gross": self.gross,
            **self.costs,
            "funding": self.funding,
            "net": self.returns.to_numpy(),
        }
        return pd.DataFrame(columns, index=self._index)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Round trips, a row each; see `mrtrade.backtest.ledger.round_trips`.

        ``quantity`` and prices are those of the first leg, money that of all legs together, in
        shares of the capital (``quantity`` times ``entry_price`` is the share that was entered);
        ``fees`` are all charges. ``reason`` says what closed it: ``target``, ``stop``, ``hold``, or
        ``open`` where nothing did.
        """
        trades = self._trips(0)
        if len(self.marks) > 1:
            other = self._trips(1)
            for name in ("gross", "fees", "pnl"):
                trades[name] += other[name]
            trades["return_bps"] = (
                1e4 * trades["pnl"] / (trades["quantity"] * trades["entry_price"])
            )
        share = self.fills.share
        before = np.concatenate(([0.0], share[:-1]))
        closes = (before != 0.0) & (before * share <= 0.0)
        reason = [REASONS[code] for code in self.fills.reason[closes]]
        if len(share) and share[-1] != 0.0:
            reason.append("open")
        return trades.drop(columns=["maker_share"]).assign(reason=reason)

    def _trips(self, leg: int) -> pd.DataFrame:
        held = self.scale * self.fills.quantity[leg]
        change = np.diff(held, prepend=0.0)
        moved = change != 0.0  # another notional at another price may be the same quantity
        fills = pd.DataFrame(
            {
                "time": from_ns(self.fills.time),
                "side": np.sign(change),
                "price": self.fills.price[leg],
                "quantity": np.abs(change),
                "is_maker": False,
                "fee": sum(self.charged[leg].values()),
                "position": held,
            }
        )[moved]
        settled = self.settled.assign(time=from_ns(self.settled["time"].to_numpy()))
        last = float(self.marks[leg][-1]) if len(self.time) else math.nan
        return round_trips(fills, last, funding=settled if leg == 0 else None)

    @cached_property
    def _days(self) -> Ints:
        """Day that each bar, which ends with its row, lies in."""
        return (self.time - 1) // NS_PER_DAY

    def daily(self, returns: pd.Series[Any] | None = None) -> pd.Series[Any]:
        """Return the profit of each whole UTC day, at the end of the day.

        Days of the calendar, so that those of several runs can be laid side by side. A day of which
        the bars hold a part only is left out; one without bars between others has 0.

        Parameters
        ----------
        returns : Series, optional
            By row; default: `returns`, net of costs.
        """
        net = (self.returns if returns is None else returns).to_numpy(np.float64)
        if len(self.time) < 2:
            return pd.Series([], index=from_ns(np.empty(0, np.int64)), dtype=np.float64, name="net")
        day = self._days
        length = int(np.median(np.diff(self.time[:1000])))
        first = int(day[0]) + (self.time[0] - length > day[0] * NS_PER_DAY)
        last = int(day[-1]) + (self.time[-1] == (day[-1] + 1) * NS_PER_DAY)
        sums = np.bincount(day - day[0], net)[first - day[0] : max(last, first) - day[0]]
        ends = (np.arange(first, max(last, first)) + 1) * NS_PER_DAY
        return pd.Series(sums, index=from_ns(ends).rename("time"), name="net")

    @cached_property
    def stats(self) -> dict[str, float | int | None]:
        """Measures by name; None where one cannot be judged, and `notes` says why."""
        return self._measured[0]

    @cached_property
    def notes(self) -> dict[str, str]:
        """Why a measure is None, by its name."""
        return self._measured[1]

    @cached_property
    def _measured(self) -> tuple[dict[str, float | int | None], dict[str, str]]:
        from mrtrade.backtest.bar_stats import measure

        return measure(self)

    def save(self, path: str | Path) -> Path:
        """Write `frame` as Parquet: the whole file or none of it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pandas(self.frame.reset_index(), preserve_index=False)
        descriptor, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        try:
            pq.write_table(table.replace_schema_metadata(None), part, compression="zstd")
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
        return path
