"""What a backtest hands back, and how it is kept on disk."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mrtrade.backtest import manifest as manifests
from mrtrade.backtest import presets, tables
from mrtrade.backtest.waterfall import Waterfall
from mrtrade.errors import RunError
from mrtrade.instruments import Instrument

if TYPE_CHECKING:
    from rich.console import Group

FRAMES = ("fills", "orders", "equity", "trades", "funding")
OUTPUTS = (*(f"{name}.parquet" for name in FRAMES), "stats.json", "report.html")
"""Files of a saved result that a rerun must give again, bit by bit."""


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

        The files are written beside the folder and moved into place. An older run in the folder is
        replaced: it is set aside as ``.old-<name>`` for the moment between two renames, and should
        the process end just then, `load` or the next `save` puts it back. A folder that holds
        anything else is left alone.

        Returns
        -------
        pathlib.Path
            The folder.
        """
        folder = Path(folder)
        _put_back(folder)
        _refuse_foreign(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder.parent) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            self._write(new)
            old = _set_aside(folder)
            if old.exists():  # a save ended after its renames
                shutil.rmtree(old)
            if folder.exists():
                folder.rename(old)
            try:
                new.rename(folder)
            finally:
                _put_back(folder)
            if old.exists():
                shutil.rmtree(old)
        return folder

    def _write(self, folder: Path) -> None:
        for name in FRAMES:
            _write_parquet(getattr(self, name), folder / f"{name}.parquet")
        figures = {
            "stats": self.stats.to_dict(),
            "notes": self.notes,
            "costs": asdict(self.costs),
            "presets": presets.records(self.presets),
        }
        _write_text(folder / "stats.json", manifests.to_json(figures))
        self.report(folder / "report.html")
        outputs = {name: manifests.sha256(folder / name) for name in OUTPUTS}
        _write_text(
            folder / "manifest.json", manifests.to_json({**self.manifest, "outputs": outputs})
        )
        _write_text(folder / "timing.json", manifests.to_json(self.timing))

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """Read a saved result."""
        from mrtrade.backtest.runs import read_manifest

        folder = Path(folder)
        _put_back(folder)
        manifest = read_manifest(folder)
        manifest.pop("outputs", None)
        try:
            figures = json.loads((folder / "stats.json").read_text(encoding="utf-8"))
            timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
            frames = {name: _read_parquet(folder / f"{name}.parquet") for name in FRAMES}
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


def _set_aside(folder: Path) -> Path:
    """Where an older run lies while a new one takes its place."""
    return folder.with_name(f".old-{folder.name}")


def _put_back(folder: Path) -> None:
    """Put an older run back that no new one has replaced."""
    old = _set_aside(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)


def _refuse_foreign(folder: Path) -> None:
    """Raise if replacing the folder would delete anything that is not a run's own file."""
    if not folder.exists():
        return
    own = {*OUTPUTS, "manifest.json", "timing.json"}
    foreign = sorted(set(os.listdir(folder)) - own) if folder.is_dir() else [folder.name]
    if foreign:
        raise RunError(
            "would be replaced, but it is not a run's own",
            file=folder / foreign[0] if folder.is_dir() else folder,
            remedy="save the run in a folder of its own",
        )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if frame.index.name is not None:
        frame = frame.reset_index()
    # Without pandas' own metadata: it names the pandas version, which is not the data's affair.
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, path, compression="zstd")


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    # ParquetFile, not read_table: a path such as exchange=x/ must not add columns.
    with pq.ParquetFile(path) as file:
        frame: pd.DataFrame = file.read().to_pandas()
    return frame
