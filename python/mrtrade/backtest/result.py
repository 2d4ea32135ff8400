"""What a backtest hands back, and how it is kept on disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mrtrade.backtest import manifest as manifests
from mrtrade.backtest import presets, tables
from mrtrade.backtest.folders import (
    put_back,
    read_parquet,
    replace_folder,
    write_parquet,
    write_text,
)
from mrtrade.backtest.waterfall import Waterfall
from mrtrade.errors import RunError
from mrtrade.instruments import Instrument

if TYPE_CHECKING:
    from rich.console import Group

FRAMES = ("fills", "orders", "equity", "trades", "funding")
OUTPUTS = (*(f"{name}.parquet" for name in FRAMES), "stats.json", "report.html")
"""Files of a saved result that a rerun must give again, bit by bit."""

OWN_FILES = frozenset({*OUTPUTS, "manifest.json", "timing.json"})
"""All files of a saved result."""


@dataclass(frozen=True, eq=False)
class Result:
    """The outcome of one backtest.

    Sizes are in base units or, where `instrument` says so, in contracts; money is in the currency
    that profit is paid in: quote, or base for an inverse contract.

    Attributes
    ----------
    fills
        One row a fill: ``time`` (exchange clock, UTC), ``order_id``, ``side`` (+1 buy, -1 sell),
        ``price``, ``quantity``, ``is_maker``, ``fee`` (> 0 paid), ``mid`` just before,
        ``decision_mid``, and ``position`` and ``cash`` after it.
    orders
        One row an order event: ``time, order_id, event, side, tif, price, quantity, remaining``.
    equity
        Marks at the decision times (local clock, UTC): ``mid, position, cash, fees, equity``.
    trades
        Round trips, see `mrtrade.backtest.ledger.round_trips`.
    funding
        Payments of a perpetual, see `mrtrade.backtest.ledger.funding_paid`.
    presets
        The run under each answer to what fills a resting order, see `mrtrade.backtest.presets`;
        its own alone where no comparison was asked for.
    stats
        Measures by readable name; None where one cannot be judged.
    notes
        Why a measure is None, by its name; under ``Account``, when it was liquidated.
    costs
        The cost waterfall.
    manifest
        What the run was made from; see `mrtrade.backtest.manifest`.
    timing
        ``finished`` (UTC), ``wall_s``, ``cpu_s``, ``events``, ``events_per_s``: differs every time.
    """

    fills: pd.DataFrame
    orders: pd.DataFrame
    equity: pd.DataFrame
    trades: pd.DataFrame
    funding: pd.DataFrame
    presets: pd.DataFrame
    stats: pd.Series[Any]
    notes: dict[str, str]
    costs: Waterfall
    manifest: dict[str, Any]
    timing: dict[str, Any]

    @property
    def instrument(self) -> Instrument:
        """What was traded."""
        return Instrument.model_validate(self.manifest["instrument"])

    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML report; without matplotlib it has tables only."""
        from mrtrade.backtest.report import html

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html(self), encoding="utf-8", newline="\n")
        return path

    def save(self, folder: str | Path) -> Path:
        """Write the tables, the report and the manifest; all of them or nothing.

        An older run in the folder is replaced, see `mrtrade.backtest.folders.replace_folder`.

        Returns
        -------
        pathlib.Path
            The folder.
        """
        return replace_folder(Path(folder), self.write, OWN_FILES)

    def write(self, folder: Path) -> dict[str, str]:
        """Write the files into a folder; returns the SHA-256 of each of `OUTPUTS`."""
        for name in FRAMES:
            write_parquet(getattr(self, name), folder / f"{name}.parquet")
        figures = {
            "stats": self.stats.to_dict(),
            "notes": self.notes,
            "costs": asdict(self.costs),
            "presets": presets.records(self.presets),
        }
        write_text(folder / "stats.json", manifests.to_json(figures))
        self.report(folder / "report.html")
        outputs = {name: manifests.sha256(folder / name) for name in OUTPUTS}
        write_text(
            folder / "manifest.json", manifests.to_json({**self.manifest, "outputs": outputs})
        )
        write_text(folder / "timing.json", manifests.to_json(self.timing))
        return outputs

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """Read a saved result."""
        from mrtrade.backtest.runs import read_manifest

        folder = Path(folder)
        put_back(folder)
        manifest = read_manifest(folder)
        manifest.pop("outputs", None)
        try:
            figures = json.loads((folder / "stats.json").read_text(encoding="utf-8"))
            timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
            frames = {name: read_parquet(folder / f"{name}.parquet") for name in FRAMES}
        except (OSError, ValueError) as error:
            raise RunError(
                f"not a complete run: {error}", file=folder, remedy="run the backtest again"
            ) from None
        frames["equity"] = frames["equity"].set_index("time")
        return cls(
            **frames,
            stats=pd.Series(figures["stats"], dtype=object, name="stats"),
            notes=figures["notes"],
            costs=Waterfall(**figures["costs"]),
            presets=presets.frame(figures["presets"]),
            manifest=manifest,
            timing=timing,
        )

    def __rich__(self) -> Group:
        """Show tables in a rich console."""
        return tables.console(self)

    def _repr_html_(self) -> str:
        """Show the same tables in a notebook."""
        from mrtrade.backtest.report import summary

        return summary(self)
