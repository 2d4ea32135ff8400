"""The manifest: everything a run's numbers depend on, and the id made from it.

The id is a hash of that content and of nothing else. A clock in it would give a rerun another name;
so the same configuration on the same data with the same build is the same run, in the same folder.
The paths of the store, of a table of latencies, of a calibration of costs and of a model are left
out of the id: the data are known by their fingerprint, the model by its hash, wherever they lie. So
is ``strategy_file``, the absolute path of a user's strategy, as its content is known by its hash; a
rerun from another folder finds it there.
"""

from __future__ import annotations

import hashlib
import json
import sysconfig
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

PACKAGES = ("mrtrade", "numpy", "pandas", "pyarrow", "pydantic", "matplotlib")
"""Packages that can change a number or a byte of a run's files (matplotlib: the report's)."""

IDENTITY = ("config", "data", "code", "versions")


def build(
    config: Mapping[str, Any],
    instrument: Mapping[str, Any],
    data: Mapping[str, Any],
    strategy_file: Path | None = None,
    model_sha256: str | None = None,
) -> dict[str, Any]:
    """Make the manifest of a run.

    Parameters
    ----------
    config
        The resolved configuration, JSON types, every default filled in.
    instrument
        The resolved instrument, JSON types.
    data
        What was replayed; its ``fingerprint`` (sha256) enters the id.
    strategy_file
        The source file of a strategy that is not part of the package.
    model_sha256
        Of the model that the strategy is told a forecast by.
    """
    code = code_hashes(strategy_file)
    if model_sha256 is not None:
        code["model"] = model_sha256
    manifest: dict[str, Any] = {
        "run_id": "",
        "config": dict(config),
        "instrument": dict(instrument),
        "data": dict(data),
        "code": code,
        "strategy_file": None if strategy_file is None else str(strategy_file.absolute()),
        "versions": versions(),
        "git_commit": git_commit(Path.cwd()),
    }
    manifest["run_id"] = run_id(manifest)
    return manifest


def run_id(manifest: Mapping[str, Any]) -> str:
    """First 16 hex digits of the sha256 of what determines the run."""
    content = {key: manifest[key] for key in IDENTITY}
    content["config"] = {k: v for k, v in manifest["config"].items() if k != "store"}
    latency = {k: v for k, v in content["config"].get("latency", {}).items() if k != "table"}
    content["config"]["latency"] = latency
    strategy = {k: v for k, v in content["config"].get("strategy", {}).items() if k != "model"}
    content["config"]["strategy"] = strategy
    if "transaction_costs" in content["config"]:
        costs = content["config"]["transaction_costs"].items()
        content["config"]["transaction_costs"] = {k: v for k, v in costs if k != "calibration"}
    content["data"] = manifest["data"]["fingerprint"]
    canonical = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def to_json(content: Any) -> str:
    """Return JSON text in the order of the keys; NaN, which JSON does not know, is an error."""
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str | None]:
    """Versions of Python, the platform and of `PACKAGES`; None for one that is not installed."""
    found: dict[str, str | None] = {
        "python": python_version(),
        "platform": sysconfig.get_platform(),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def code_hashes(strategy_file: Path | None = None) -> dict[str, str]:
    """One sha256 over the installed files of each of our packages, and of a user's strategy.

    The version number alone would not do: between two releases the code changes and it does not.
    """
    import mrcore
    import mrtrade

    hashes = {}
    for package in (mrcore, mrtrade):
        digest = hashlib.sha256()
        files = {
            path.relative_to(root).as_posix(): path
            for root in map(Path, package.__path__)
            for pattern in ("**/*.py", "**/*.so", "**/*.pyd", "**/*.yaml", "**/*.sql")
            for path in root.glob(pattern)
        }
        for name in sorted(files):
            digest.update(f"{name}\0{sha256(files[name])}\n".encode())
        hashes[package.__name__] = digest.hexdigest()
    if strategy_file is not None:
        hashes["strategy"] = sha256(strategy_file)
    return hashes


def git_commit(folder: Path) -> str | None:
    """Commit checked out at `folder`, read from its .git; None outside of a checkout."""
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        if not (git / "HEAD").is_file():
            continue
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        ref = head.removeprefix("ref: ")
        if (git / ref).is_file():
            return (git / ref).read_text().strip()
        if (git / "packed-refs").is_file():
            for line in (git / "packed-refs").read_text().splitlines():
                if line.endswith(f" {ref}"):
                    return line.split()[0]
        return None
    return None


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in words what changed between two manifests of what determines a run."""
    found = []
    if old["data"]["fingerprint"] != new["data"]["fingerprint"]:
        found.append(
            f"the data changed (fingerprint {old['data']['fingerprint'][:12]} -> "
            f"{new['data']['fingerprint'][:12]})"
        )
    for key in ("versions", "code", "config"):
        a, b = old[key], new[key]
        for name in sorted((set(a) | set(b)) - {"store"}):
            if a.get(name) != b.get(name):
                was, now = (str(x.get(name))[:40] for x in (a, b))
                label = {"versions": "version of ", "code": "code of "}.get(key, "config ")
                found.append(f"{label}{name} changed ({was} -> {now})")
    return found
