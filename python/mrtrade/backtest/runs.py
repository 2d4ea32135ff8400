"""Runs on disk: saved under their id, listed, and computed again to the bit.

``runs/<run_id>/`` holds the tables of the result, ``stats.json``, ``report.html`` and
``manifest.json`` with the sha256 of each. ``timing.json`` lies beside them but outside of that
list: how long a run took is the one thing that differs every time.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrtrade.backtest import manifest
from mrtrade.errors import RunError
from mrtrade.instruments import Instrument

if TYPE_CHECKING:
    from mrtrade.backtest.pair_result import PairResult
    from mrtrade.backtest.result import Result


def save_run(result: Result | PairResult, folder: str | Path = "runs") -> Path:
    """Save a result under its run id, replacing an earlier copy of the same run.

    Returns
    -------
    pathlib.Path
        ``folder/<run_id>``.
    """
    return result.save(Path(folder) / result.manifest["run_id"])


def list_runs(folder: str | Path = "runs") -> list[dict[str, Any]]:
    """Summaries of the runs in a folder, newest first.

    Returns
    -------
    list of dict
        ``run_id, finished`` (UTC), ``exchange, symbol, strategy, net_pnl``, ``currency`` of that,
        ``net_by_preset`` (see `mrtrade.backtest.presets`), ``span_days``, ``path``. A folder
        without a manifest is not a run and is passed over.
    """
    runs = []
    for path in sorted(Path(folder).glob("[!.]*/manifest.json")):  # not one half saved
        about = read_manifest(path.parent)
        figures = _read_json(path.parent / "stats.json", "stats")
        stats = figures["stats"]
        runs.append(
            {
                "run_id": about["run_id"],
                "finished": _read_json(path.parent / "timing.json", "finished")["finished"],
                "exchange": about["instrument"]["exchange"],
                "symbol": about["instrument"]["symbol"],
                "strategy": about["config"]["strategy"]["name"],
                "net_pnl": stats["Net PnL [settlement]"],
                "currency": Instrument.model_validate(about["instrument"]).currency,
                "net_by_preset": {row["preset"]: row["net"] for row in figures.get("presets", [])},
                "span_days": stats["Span [days]"],
                "path": str(path.parent),
            }
        )
    return sorted(runs, key=lambda run: str(run["finished"]), reverse=True)


def rerun(run_dir: str | Path) -> Result | PairResult:
    """Compute a saved run again from its manifest and compare every file with it, bit by bit.

    Parameters
    ----------
    run_dir
        Folder of a saved run. It is only read.

    Returns
    -------
    Result or PairResult
        The new result, equal to the saved one.

    Raises
    ------
    RunError
        A saved file is not the one the manifest describes, or a file computed again differs; the
        message names it and what changed since: data, versions or code.
    """
    from mrtrade.backtest.engine import run
    from mrtrade.backtest.pair import run_pair

    run_dir = Path(run_dir)
    old = read_manifest(run_dir)
    for name, digest in old["outputs"].items():
        file = run_dir / name
        if not file.is_file():
            raise RunError("missing", file=file, remedy="restore it, or run the backtest again")
        if manifest.sha256(file) != digest:
            raise RunError(
                "not the file that the run wrote",
                file=file,
                expected=f"sha256 {digest}",
                remedy="restore it, or run the backtest again",
            )
    again = run_pair if old["config"].get("hedge") else run
    result = again(old["config"], strategy_file=old.get("strategy_file"))
    with tempfile.TemporaryDirectory() as folder:
        new = read_manifest(result.save(Path(folder) / "again"))
    differing = sorted(
        name
        for name in old["outputs"].keys() | new["outputs"].keys()
        if old["outputs"].get(name) != new["outputs"].get(name)
    )
    if differing:
        why = manifest.differences(old, new) or [
            "data, versions, code and configuration are the same: please report it"
        ]
        raise RunError(f"not bit-equal: {', '.join(differing)}; {'; '.join(why)}", file=run_dir)
    return result


def read_manifest(run_dir: str | Path) -> dict[str, Any]:
    """Read ``manifest.json`` of a run folder."""
    path = Path(run_dir) / "manifest.json"
    return _read_json(path, "run_id", "instrument", "outputs", *manifest.IDENTITY)


def _read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Read an object that has these keys."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            "no such file, so this is not the folder of a run",
            file=path,
            remedy="see `mrtrade runs` for the runs there are",
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"damaged: {error}", file=path, remedy="run the backtest again") from None
    if not isinstance(content, dict):
        raise RunError("damaged: not an object", file=path, remedy="run the backtest again")
    missing = set(keys) - content.keys()
    if missing:
        raise RunError(
            f"damaged: no {', '.join(sorted(missing))}", file=path, remedy="run the backtest again"
        )
    return content
