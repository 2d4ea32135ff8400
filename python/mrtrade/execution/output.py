"""What a study or a fit leaves behind: tables as CSV, all of it as JSON, a fit as YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from mrtrade.execution.study import Fits, Plan, Study

TABLES = ("summary", "times", "groups", "cells")


def save_study(
    study: Study, plan: Plan, folder: str | Path, source: Mapping[str, Any], horizon_s: float
) -> list[Path]:
    """Write a study's tables as CSV, all of it as ``grade.json``, and a picture.

    The picture, ``grade.png``, needs matplotlib and is left out without it.

    Parameters
    ----------
    study : Study
    plan : Plan
    folder : path
        Made if need be; files of an earlier study are replaced.
    source : Mapping
        Where the orders came from; kept in the JSON.
    horizon_s : float
        Of the lower row of the picture, seconds.

    Returns
    -------
    list of Path
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "source": dict(source),
        "plan": asdict(plan),
        "models": [asdict(model) for model in study.models],
        "fits": None if study.fits is None else _fits(study.fits),
    }
    files = []
    for name in TABLES:
        table = getattr(study.grade, name)
        files.append(place / f"{name}.csv")
        table.to_csv(files[-1], index=False)
        content[name] = table.to_dict("records")
    files.append(place / "grade.json")
    files[-1].write_text(json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")
    if find_spec("matplotlib") is not None:
        from mrtrade.execution.plots import draw_study

        files.append(place / "grade.png")
        files[-1].write_bytes(draw_study(study, horizon_s))
    return files


def save_fits(fits: Fits, plan: Plan, file: str | Path, source: Mapping[str, Any]) -> list[Path]:
    """Write a fit as YAML that a backtest's ``queue.table`` and `read_table` read, and a PNG.

    Parameters
    ----------
    fits : Fits
    plan : Plan
    file : path
        ``.yaml``; the picture lies beside it, where matplotlib is installed.
    source : Mapping
        Where the orders came from.

    Returns
    -------
    list of Path
    """
    import yaml

    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "table": [round(p, 6) for p in fits.table.table.tolist()],
        "power": round(fits.powers["power"].power, 6),
        "fit": _fits(fits) | {"weight": plan.weight, "source": dict(source)},
    }
    head = (
        "# Share p of a cancelled quantity that stood behind an order: `mrtrade fills fit`.\n"
        "# table: p at equally spaced F / (F + B), 0 to 1. queue: {model: table, table: FILE}\n"
        "# power: n of p = B^n / (B^n + F^n).              queue: {model: power, power: n}\n"
    )
    path.write_text(head + yaml.safe_dump(_plain(content), sort_keys=False))
    files = [path]
    if find_spec("matplotlib") is not None:
        from mrtrade.execution.plots import draw_fits

        files.append(path.with_suffix(".png"))
        files[-1].write_bytes(draw_fits(fits, plan))
    return files


def _fits(fits: Fits) -> dict[str, Any]:
    return {
        "powers": {name: asdict(one) for name, one in fits.powers.items()},
        "table": asdict(fits.table),
        "log_likelihood": fits.fixed,
    }


def _plain(value: Any) -> Any:
    """Return it as JSON and YAML know it; what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
