"""What a backtest of two legs hands back, and how it is kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest import manifest as manifests
from mrtrade.backtest.folders import (
    put_back,
    read_parquet,
    replace_folder,
    write_parquet,
    write_text,
)
from mrtrade.backtest.metrics import summarise
from mrtrade.backtest.result import OWN_FILES, Result
from mrtrade.backtest.waterfall import Waterfall
from mrtrade.clock import to_ns
from mrtrade.errors import RunError
from mrtrade.instruments import Instrument

if TYPE_CHECKING:
    from rich.console import Group

FRAMES = ("equity", "exposure", "targets", "trades")
FILES = (*(f"{name}.parquet" for name in FRAMES), "stats.json", "report.html")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairResult:
    """The outcome of one backtest of two legs.

    Sizes are in base units, money in the quote currency.

    Attributes
    ----------
    legs
        The result of each leg by its name, the first leg first: fills, orders, costs and a report
        of its own.
    equity
        Marks at the decision times (local clock, UTC): ``mid`` and ``other_mid`` (quote),
        ``position`` and ``other_position`` (base units), ``unhedged`` (their sum), ``fees`` and
        ``funding`` paid so far, ``equity``: the capital and what both legs have earned.
    exposure
        A row for each fill of either leg: ``time`` (exchange clock, UTC), ``position``,
        ``other_position`` and ``unhedged`` (base units) after all fills of that time,
        ``unhedged_value`` (quote, at the fill's price).
    targets
        Of the pair at the decision times: ``target`` and ``closed_by``, see
        `mrtrade.backtest.pair.held_together`.
    trades
        Round trips of the pair, those of the legs that overlap taken as one: ``entry_time``,
        ``exit_time`` (missing while open), ``side`` of the first leg, ``gross, fees, funding, pnl``
        (quote), ``hold_s``, ``legs`` that took part, ``is_open``.
    stats, notes
        As in `mrtrade.backtest.Result`, of both legs together. ``Last position [units]`` is the
        first leg's. In addition ``Funding paid [settlement]``; ``Largest unhedged exposure`` in
        units and at its price; ``Time unhedged [%]`` of the span; ``Unhedged at the end [units]``.
    costs
        The cost waterfall of both.
    manifest
        As in `mrtrade.backtest.Result`; ``data`` has a fingerprint of both legs, and each leg's
        under ``legs``.
    timing
        Differs every time.
    """

    legs: dict[str, Result]
    equity: pd.DataFrame
    exposure: pd.DataFrame
    targets: pd.DataFrame
    trades: pd.DataFrame
    stats: pd.Series[Any]
    notes: dict[str, str]
    costs: Waterfall
    manifest: dict[str, Any]
    timing: dict[str, Any]

    @property
    def instrument(self) -> Instrument:
        """What the first leg traded."""
        return Instrument.model_validate(self.manifest["instrument"])

    @property
    def fills(self) -> pd.DataFrame:
        """Fills of both legs in order of time, with a column ``leg``."""
        parts = [leg.fills.assign(leg=name) for name, leg in self.legs.items()]
        return _joined(parts).sort_values("time", kind="stable", ignore_index=True)

    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML report; without matplotlib it has tables only."""
        from mrtrade.backtest.pair_report import html

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, html(self))
        return path

    def save(self, folder: str | Path) -> Path:
        """Write the pair's tables and report, and each leg in a folder of its own within.

        An older run in the folder is replaced, see `mrtrade.backtest.folders.replace_folder`.

        Returns
        -------
        pathlib.Path
            The folder.
        """
        return replace_folder(Path(folder), self._write, {*OWN_FILES, *_own(self.legs)})

    def _write(self, folder: Path) -> None:
        outputs: dict[str, str] = {}
        for name, leg in self.legs.items():
            (folder / name).mkdir()
            written = leg.write(folder / name)
            outputs |= {f"{name}/{file}": digest for file, digest in written.items()}
        for name in FRAMES:
            write_parquet(getattr(self, name), folder / f"{name}.parquet")
        figures = {"stats": self.stats.to_dict(), "notes": self.notes, "costs": asdict(self.costs)}
        write_text(folder / "stats.json", manifests.to_json(figures))
        self.report(folder / "report.html")
        outputs |= {name: manifests.sha256(folder / name) for name in FILES}
        write_text(
            folder / "manifest.json", manifests.to_json({**self.manifest, "outputs": outputs})
        )
        write_text(folder / "timing.json", manifests.to_json(self.timing))

    @classmethod
    def load(cls, folder: str | Path) -> PairResult:
        """Read a saved result."""
        from mrtrade.backtest.runs import read_manifest

        folder = Path(folder)
        put_back(folder)
        manifest = read_manifest(folder)
        manifest.pop("outputs", None)
        try:
            names = list(manifest["data"]["legs"])
            figures = json.loads((folder / "stats.json").read_text(encoding="utf-8"))
            timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
            frames = {name: read_parquet(folder / f"{name}.parquet") for name in FRAMES}
        except (OSError, ValueError, KeyError) as error:
            raise RunError(
                f"not a complete run of two legs: {error}",
                file=folder,
                remedy="run the backtest again",
            ) from None
        for name in ("equity", "targets"):
            frames[name] = frames[name].set_index("time")
        return cls(
            **frames,
            legs={name: Result.load(folder / name) for name in names},
            stats=pd.Series(figures["stats"], dtype=object, name="stats"),
            notes=figures["notes"],
            costs=Waterfall(**figures["costs"]),
            manifest=manifest,
            timing=timing,
        )

    def __rich__(self) -> Group:
        """Show tables in a rich console."""
        from mrtrade.backtest.pair_report import console

        return console(self)


def combine(legs: Mapping[str, Result], targets: pd.DataFrame, capital: float) -> PairResult:
    """Put the results of two legs together, and measure them as one."""
    first, second = legs.values()
    equity = _equity(first, second, capital)
    exposure = _exposure(first, second)
    trades = _trips(first, second)
    fills = _joined([first.fills, second.fills]).sort_values("time", kind="stable")
    orders = _joined([first.orders, second.orders])
    stats, notes = summarise(equity, fills, orders, trades, capital)
    stats = pd.concat([stats, _exposed(exposure, equity, first, second)])
    for name, leg in legs.items():
        if "Account" in leg.notes:
            notes[f"Account, {name}"] = leg.notes["Account"]
    costs = {
        one.name: getattr(first.costs, one.name) + getattr(second.costs, one.name)
        for one in fields(Waterfall)
    }
    return PairResult(
        legs=dict(legs),
        equity=equity,
        exposure=exposure,
        targets=targets.rename_axis("time"),
        trades=trades,
        stats=stats.rename("stats"),
        notes=notes,
        costs=Waterfall(**costs),
        manifest=_manifest(legs),
        timing={},
    )


def _own(legs: Mapping[str, Result]) -> set[str]:
    return {*FILES, *legs}


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Join frames of the legs; orders get ids that are the pair's own."""
    first, second = parts
    beyond = int(first["order_id"].max()) + 1 if len(first) else 0
    second = second.assign(order_id=second["order_id"] + beyond)
    there = [part for part in (first, second) if len(part)]
    return pd.concat(there, ignore_index=True) if there else first


def _units(leg: Result) -> float:
    """Return the base units of a size unit."""
    return leg.instrument.multiplier


def _equity(first: Result, second: Result, capital: float) -> pd.DataFrame:
    """Return the pair's marks; the second leg's are at the same moments on its own clock."""
    one, other = first.equity, second.equity
    position = one["position"].to_numpy(np.float64) * _units(first)
    other_position = other["position"].to_numpy(np.float64) * _units(second)
    paid = np.concatenate(([0.0], np.cumsum(first.funding["paid"].to_numpy(np.float64))))
    before = np.searchsorted(to_ns(first.funding["time"]), to_ns(one.index), side="left")
    value = one["equity"].to_numpy(np.float64) + (other["equity"].to_numpy(np.float64) - capital)
    return pd.DataFrame(
        {
            "mid": one["mid"],
            "other_mid": other["mid"].to_numpy(np.float64),
            "position": position,
            "other_position": other_position,
            "unhedged": position + other_position,
            "fees": one["fees"].to_numpy(np.float64) + other["fees"].to_numpy(np.float64),
            "funding": paid[before],
            "equity": value,
        },
        index=one.index,
    )


def _exposure(first: Result, second: Result) -> pd.DataFrame:
    """Return what is left unhedged after each fill of either leg."""
    columns: list[Floats] = []
    times = [to_ns(leg.fills["time"]) for leg in (first, second)]
    order = np.argsort(np.concatenate(times), kind="stable")
    at = np.concatenate(times)[order]
    for leg, time in zip((first, second), times, strict=True):
        after = np.concatenate(([0.0], leg.fills["position"].to_numpy(np.float64) * _units(leg)))
        columns.append(after[np.searchsorted(time, at, side="right")])
    price = np.concatenate([leg.fills["price"].to_numpy(np.float64) for leg in (first, second)])
    unhedged = columns[0] + columns[1]
    fills = pd.concat([first.fills["time"], second.fills["time"]], ignore_index=True)
    return pd.DataFrame(
        {
            "time": fills.iloc[order].reset_index(drop=True),
            "position": columns[0],
            "other_position": columns[1],
            "unhedged": unhedged,
            "unhedged_value": unhedged * price[order],
        }
    )


def _exposed(
    exposure: pd.DataFrame, equity: pd.DataFrame, first: Result, second: Result
) -> pd.Series[Any]:
    """Measure what was unhedged, and for how long; less than half a lot is rounding."""
    lots = [leg.instrument.lot_size * _units(leg) for leg in (first, second)]
    unhedged = exposure["unhedged"].to_numpy(np.float64)
    open_ = np.abs(unhedged) > 0.5 * max(lots)
    at = to_ns(exposure["time"])
    begin, end = (int(time) for time in to_ns(equity.index[[0, -1]])) if len(equity) else (0, 0)
    lasted = np.diff(np.clip(at, begin, end), append=end)
    span = end - begin
    most = int(np.argmax(np.abs(unhedged))) if len(unhedged) else None
    value = exposure["unhedged_value"].to_numpy(np.float64)
    figures = {
        "Funding paid [settlement]": float(np.sum(first.funding["paid"].to_numpy(np.float64))),
        "Largest unhedged exposure [units]": 0.0 if most is None else float(abs(unhedged[most])),
        "Largest unhedged exposure [settlement]": float(np.abs(value).max(initial=0.0)),
        "Time unhedged [%]": 100.0 * float(lasted[open_].sum()) / span if span else 0.0,
        "Unhedged at the end [units]": float(unhedged[-1]) if len(unhedged) else 0.0,
    }
    return pd.Series(figures, dtype=object)


def _trips(first: Result, second: Result) -> pd.DataFrame:
    """Take the legs' round trips that overlap as one of the pair."""
    money = ["gross", "fees", "funding", "pnl"]
    parts = []
    for leg, sign in ((first, 1), (second, -1)):
        trips = leg.trades[["entry_time", "exit_time", "side", *money, "is_open"]]
        parts.append(trips.assign(side=sign * trips["side"].astype(np.int64), legs=1))
    there = [part for part in parts if len(part)]
    columns = ["entry_time", "exit_time", "side", *money, "hold_s", "legs", "is_open"]
    if not there:
        return pd.DataFrame({name: [] for name in columns})
    trips = pd.concat(there, ignore_index=True).sort_values("entry_time", kind="stable")
    entry = to_ns(trips["entry_time"])
    last = max(to_ns(leg.equity.index)[-1] for leg in (first, second))
    leave = np.where(trips["is_open"], max(last, entry.max()) + 1, 0)
    closed = ~trips["is_open"].to_numpy(bool)
    leave[closed] = to_ns(trips["exit_time"][closed])
    reach = np.maximum.accumulate(leave)
    number = np.cumsum(np.concatenate(([True], entry[1:] >= reach[:-1]))) - 1
    groups = trips.groupby(number)
    merged = groups[money].sum()
    is_open = groups["is_open"].any()
    merged["entry_time"] = groups["entry_time"].min()
    merged["exit_time"] = groups["exit_time"].max().where(~is_open)
    merged["side"] = groups["side"].first().astype(np.int8)
    ends = np.minimum(np.array([leave[number == one].max() for one in merged.index]), last)
    merged["hold_s"] = 1e-9 * (ends - to_ns(merged["entry_time"]))
    merged["legs"] = groups["legs"].sum()
    merged["is_open"] = is_open
    return merged[columns].reset_index(drop=True)


def _manifest(legs: Mapping[str, Result]) -> dict[str, Any]:
    """Return the first leg's manifest, with the data of both."""
    manifest = dict(next(iter(legs.values())).manifest)
    data = {name: leg.manifest["data"] for name, leg in legs.items()}
    prints = "".join(one["fingerprint"] for one in data.values())
    manifest["data"] = {
        **manifest["data"],
        "fingerprint": hashlib.sha256(prints.encode()).hexdigest(),
        "legs": {
            name: {**one, "instrument": legs[name].manifest["instrument"]}
            for name, one in data.items()
        },
    }
    manifest["run_id"] = manifests.run_id(manifest)
    return manifest
