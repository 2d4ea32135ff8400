"""Numbers of foreign programs on our own seeded series: the oracles of the feature tests.

Each `<topic>.json` holds what was asked (`call`, an expression of the oracle's own language for
each value), of whom (`name`, `version`), on which columns of `inputs.json`, and the answers.
Where a topic asks of windows, ``rows`` are the last rows of the windows and a value has one
number a row; otherwise a value has one number a row of the input. `make.py` writes the files.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
TOPICS = sorted(path.stem for path in HERE.glob("*.json") if path.stem != "inputs")


class Golden(NamedTuple):
    """Inputs and expected values by name, and the oracle's name, version, setup and calls."""

    inputs: dict[str, np.ndarray]
    expected: dict[str, Any]
    oracle: dict[str, Any]


@cache
def series() -> dict[str, dict[str, list]]:
    """All columns of `inputs.json`, by series and name."""
    return json.loads((HERE / "inputs.json").read_text())


def column(name: str) -> np.ndarray:
    """One column, as ``"bars/close"``: int64 for times, else float64."""
    group, _, key = name.partition("/")
    return np.array(series()[group][key])


def golden(topic: str) -> Golden:
    """What the oracle of `topic` was asked and answered.

    A value is a float64 array (NaN where the oracle has none, as in its warm-up) or a float.
    """
    entry = json.loads((HERE / f"{topic}.json").read_text())
    inputs = {
        name: column(value) if isinstance(value, str) else np.array(value)
        for name, value in entry["input"].items()
    }
    expected = {
        name: np.array(value, float) if isinstance(value, list) else float(value)
        for name, value in entry["expected"].items()
    }
    return Golden(inputs, expected, entry["oracle"])
