"""A model is a folder that says all that its forecasts depend on, and whether it is still whole.

``model.txt``           LightGBM's text
``distribution.json``   each feature's values in training, for drift
``selection.json``      what became of every feature that was offered
``model.json``          features, parameters, seed, label, span, fingerprint of the data, versions,
                        metrics, the SHA-256 of each file above and of itself
``history.jsonl``       stages: a line a move, none is ever changed; the last one holds

A folder is written beside its place, brought to disk and renamed, so that it is whole or not there;
so is a history when a move is added.
Its name ends in the first 12 digits of a SHA-256 over what was trained; the same model again is the
same folder, whenever and on however many threads it was made.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, Literal, get_args

import pandas as pd

from mrtrade.data.disk import locks, sync
from mrtrade.errors import ConfigError, DataError, RunError
from mrtrade.ml.forecaster import Forecaster
from mrtrade.ml.params import ForecastParams
from mrtrade.ml.selection import COLUMNS

Stage = Literal["candidate", "shadow", "paper", "live", "retired"]
STAGES: tuple[Stage, ...] = get_args(Stage)

MOVES: Mapping[Stage, tuple[Stage, ...]] = {
    "candidate": ("shadow", "retired"),
    "shadow": ("paper", "candidate", "retired"),
    "paper": ("live", "shadow", "retired"),
    "live": ("paper", "retired"),
    "retired": (),
}
"""Where a model may go from each stage: up one step, down one step, or out for good."""

MANIFEST, HISTORY = "model.json", "history.jsonl"
#: Key of the manifest under which the SHA-256 of all else in it stands.
SEAL = "sha256"
FILES = ("model.txt", "distribution.json", "selection.json")
PACKAGES = ("mrtrade", "lightgbm", "numpy", "pandas", "scikit-learn", "scipy")
#: What the name of a folder is made from; the rest of the manifest says when and with what.
IDENTITY = (
    "name",
    "symbol",
    "features",
    "params",
    "seed",
    "span_ns",
    "rows",
    "class_returns",
    "about",
    "files",
)


@dataclass(frozen=True, slots=True)
class Model:
    """A saved model.

    Attributes
    ----------
    folder : pathlib.Path
    manifest : dict
        What ``model.json`` says.
    stage : str
    """

    folder: Path
    manifest: dict[str, Any]
    stage: Stage

    @property
    def id(self) -> str:
        """Name of the folder."""
        return self.folder.name


def save_model(
    forecaster: Forecaster, root: str | Path, *, name: str, symbol: str, who: str = ""
) -> Model:
    """Write a model into a folder of its own below `root`, as a candidate.

    Parameters
    ----------
    forecaster : Forecaster
        Its ``about`` should say the label and the data: ``label``, ``fingerprint``.
    root : path
    name, symbol : str
        Of all models of one name and symbol one can be live.
    who : str
        Who made it, for the history.

    Returns
    -------
    Model
        The same as before, stage and all, where it was saved already.
    """
    root = Path(root)
    contents = {
        "model.txt": forecaster.model,
        "distribution.json": _json(forecaster.distribution),
        "selection.json": _json(_selection_rows(forecaster.selection)),
    }
    manifest = _as_read(
        {
            "name": name,
            "symbol": symbol,
            "created": _now(),
            **_facts(forecaster),
            "versions": _versions(),
            "files": {key: _digest(text.encode()) for key, text in contents.items()},
        }
    )
    place = root / _folder_name(manifest)
    with _locked(root, make=True):
        if place.exists():
            return open_model(place)
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=root) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            for key, text in contents.items():
                _write(new / key, text)
            _write(new / MANIFEST, _json(manifest | {SEAL: _seal(manifest)}))
            _write(new / HISTORY, _move(None, "candidate", who, "saved"))
            sync(new)
            new.rename(place)
            sync(root)
    return open_model(place)


def open_model(folder: str | Path) -> Model:
    """Read a model's manifest and stage, and verify it.

    Raises
    ------
    DataError
        If a file is missing or not as it was written; names it.
    """
    folder = Path(folder)
    verify(folder)
    return Model(folder, _manifest(folder), stage_of(folder))


def load_model(folder: str | Path) -> Forecaster:
    """Verify a model and return its forecaster, which forecasts the same bits as when saved."""
    folder = Path(folder)
    verify(folder)
    told = _manifest(folder)
    rows = json.loads((folder / "selection.json").read_text(encoding="utf-8"))
    return Forecaster(
        features=tuple(told["features"]),
        model=(folder / "model.txt").read_bytes().decode(),
        params=ForecastParams.model_validate(told["params"]),
        seed=told["seed"],
        span_ns=(told["span_ns"][0], told["span_ns"][1]),
        rows=told["rows"],
        class_returns=tuple(told["class_returns"]),
        distribution=json.loads((folder / "distribution.json").read_text(encoding="utf-8")),
        selection=None if rows is None else pd.DataFrame(rows, columns=COLUMNS),
        metrics=told["metrics"],
        about=told["about"],
    )


def verify(folder: str | Path) -> None:
    """Hold a model's files against the SHA-256 that was written with them.

    Raises
    ------
    DataError
        Names the first file that is missing or differs.
    """
    folder = Path(folder)
    told = _manifest(folder)
    for key, digest in told["files"].items():
        try:
            found = _digest((folder / key).read_bytes())
        except OSError as error:
            raise _damaged(folder / key, f"cannot be read: {error.strerror}") from error
        if found != digest:
            raise _damaged(folder / key, "not the file that was saved")
    if _folder_name(told) != folder.name:
        raise _damaged(folder / MANIFEST, "does not agree with the name of its folder")


def list_models(root: str | Path) -> list[Model]:
    """Return all models below `root`, newest first, without reading their files through."""
    root = Path(root)
    if not root.is_dir():
        return []
    folders = [one.parent for one in sorted(root.glob(f"*/{MANIFEST}"))]
    found = [Model(one, _manifest(one), stage_of(one)) for one in folders]
    return sorted(found, key=lambda one: (one.manifest["created"], one.id), reverse=True)


def history(folder: str | Path) -> list[dict[str, Any]]:
    """Return the moves of a model, oldest first: ``time, from, to, who, why``."""
    place = Path(folder) / HISTORY
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
        moves = [json.loads(line) for line in lines]
        stages = [None, *(move["to"] for move in moves)]
        if not moves or [move["from"] for move in moves] != stages[:-1]:
            raise ValueError("a move is missing")
        if unknown := set(stages[1:]) - set(STAGES):
            raise ValueError(f"no such stage: {unknown.pop()}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(place, f"not a history of stages: {error}") from error
    return moves


def stage_of(folder: str | Path) -> Stage:
    """Return the stage that a model is in."""
    stage: Stage = history(folder)[-1]["to"]
    return stage


def promote(folder: str | Path, to: str, *, who: str, why: str) -> Model:
    """Move a model to another stage.

    Parameters
    ----------
    folder : path
    to : str
        One of `MOVES` from where it is.
    who, why : str
        For the history; neither may be empty.

    Raises
    ------
    ConfigError
        If the move is not legal, or another model of its name and symbol is live.
    DataError
        If the model is damaged.
    """
    folder = Path(folder)
    if not who.strip() or not why.strip():
        raise ConfigError("a move needs who made it, and why", remedy="give both")
    with _locked(folder.parent):
        model = open_model(folder)
        if to not in MOVES[model.stage]:
            legal = " or ".join(MOVES[model.stage]) or "nothing: it stays retired"
            raise ConfigError(
                f"a model that is {model.stage} cannot become {to}",
                file=folder,
                expected=legal,
            )
        if to == "live":
            _refuse_second(model)
        place, new = folder / HISTORY, folder / f".{HISTORY}"
        before = place.read_text(encoding="utf-8")
        _write(new, before + _move(model.stage, to, who, why))
        new.replace(place)
        sync(folder)
    return Model(folder, model.manifest, stage_of(folder))


def _refuse_second(model: Model) -> None:
    own = (model.manifest["name"], model.manifest["symbol"])
    for other in list_models(model.folder.parent):
        if other.stage == "live" and (other.manifest["name"], other.manifest["symbol"]) == own:
            raise ConfigError(
                f"another model of {own[0]} on {own[1]} is live",
                value=other.id,
                remedy=f"first: mrtrade models promote {other.id} retired --who NAME --why REASON",
            )


def _facts(forecaster: Forecaster) -> dict[str, Any]:
    return {
        "features": list(forecaster.features),
        "params": forecaster.params.model_dump(mode="json"),
        "seed": forecaster.seed,
        "span_ns": list(forecaster.span_ns),
        "rows": forecaster.rows,
        "class_returns": list(forecaster.class_returns),
        "metrics": dict(forecaster.metrics),
        "about": dict(forecaster.about),
    }


def _selection_rows(report: pd.DataFrame | None) -> list[list[Any]] | None:
    if report is None:
        return None
    rows = report.astype(object).where(report.notna(), None).to_numpy().tolist()
    return [list(row) for row in rows]


def _folder_name(manifest: Mapping[str, Any]) -> str:
    content = json.dumps({key: manifest[key] for key in IDENTITY}, sort_keys=True, allow_nan=False)
    words = f"{manifest['name']}-{manifest['symbol']}".lower()
    plain = "".join(one if one.isascii() and one.isalnum() else "-" for one in words)
    return f"{plain}-{_digest(content.encode())[:12]}"


def _manifest(folder: Path) -> dict[str, Any]:
    place = folder / MANIFEST
    if not place.exists():
        raise DataError("no model is there", file=folder, remedy="see: mrtrade models list")
    try:
        told: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
        seal = told.pop(SEAL)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise _damaged(place, f"not a manifest: {error!r}") from error
    if seal != _seal(told):
        raise _damaged(place, "not the file that was saved")
    return told


def _seal(manifest: Mapping[str, Any]) -> str:
    return _digest(json.dumps(manifest, sort_keys=True, allow_nan=False).encode())


def _as_read(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest as it is when it has been written and read again."""
    try:
        found: dict[str, Any] = json.loads(_json(manifest))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"what is said of the model cannot be written: {error}",
            key="about",
            expected="JSON types, and numbers that are finite",
        ) from error
    return found


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _move(before: str | None, to: str, who: str, why: str) -> str:
    entry = {"time": _now(), "from": before, "to": to, "who": who, "why": why}
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _damaged(file: Path, what: str) -> DataError:
    return DataError(
        what, file=file, remedy="remove the model's folder; take a copy of it, or train it again"
    )


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _locked(root: Path, *, make: bool = False) -> Iterator[None]:
    """Let one process at a time write below `root`: of two, both would find no other live."""
    fcntl = locks(root)
    try:
        if make:
            root.mkdir(parents=True, exist_ok=True)
        with (root / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise RunError(
            f"cannot be written: {error.strerror or error}; what was saved before is as it was",
            file=root,
            remedy="see to room and rights there",
        ) from error
