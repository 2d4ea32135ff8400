"""Grids of parameters: what is varied, and every combination of it or some drawn at random."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mrtrade.config import read_yaml
from mrtrade.errors import ConfigError

Axes = Mapping[str, Sequence[Any]]

MOST = 1_000_000
"""More combinations than this are not listed: a sample of them has to be asked for."""


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """Read ``key=v1,v2``; the values are YAML.

    Raises
    ------
    ConfigError
        If it has no such form.
    """
    key, equals, values = text.partition("=")
    try:
        listed = yaml.safe_load(f"[{values}]")
    except yaml.YAMLError:
        listed = None
    if not (key.strip() and equals and listed):
        raise ConfigError(
            "not an axis of a grid",
            value=text,
            expected="KEY=VALUE,VALUE,... such as strategy.params.entry_z=1.5,2,2.5",
        )
    return key.strip(), listed


def read_axes(path: Path) -> list[tuple[str, Any]]:
    """Read the axes of a YAML file: a list of values by key.

    Raises
    ------
    ConfigError
        If the file cannot be read or holds no lists by key.
    """
    content, lines = read_yaml(path)
    for key, values in content.items():
        if not isinstance(values, list):
            raise ConfigError(
                "no list of values to vary it over",
                file=path,
                key=f"line {lines[key]}, {key}",
                value=values,
                expected="a list, such as [1.5, 2, 2.5]",
            )
    return list(content.items())


def make_axes(given: Iterable[tuple[str, Sequence[Any]]]) -> dict[str, list[Any]]:
    """Check axes: each named once, with at least one value and none twice."""
    axes: dict[str, list[Any]] = {}
    for key, values in given:
        if key in axes:
            raise ConfigError("varied twice", key=key, remedy="give all its values at once")
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ConfigError("no values to vary it over", key=key, value=values)
        if len({repr(value) for value in values}) < len(values):
            raise ConfigError("a value is there twice", key=key, value=list(values))
        axes[key] = list(values)
    return axes


def size(axes: Axes) -> int:
    """Return the number of combinations."""
    return math.prod(len(values) for values in axes.values())


def combinations(axes: Axes, sample: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """Return combinations of the values of all axes.

    Parameters
    ----------
    axes : mapping of str to sequence
        Values by key.
    sample : int, optional
        So many different ones, drawn without replacement; all, if there are no more.
    seed : int
        Of the draw.

    Returns
    -------
    list of dict
        A value by key in each, in the order of the grid: the last axis moves fastest.

    Raises
    ------
    ConfigError
        If there are more than `MOST` and no sample is asked for, or the sample is not positive.
    """
    total = size(axes)
    if sample is not None and sample < 1:
        raise ConfigError("too few to draw", key="sample", value=sample, expected="at least 1")
    if min(total, sample or total) > MOST:
        raise ConfigError(
            "too many combinations", value=total, expected=f"at most {MOST}", remedy="draw a sample"
        )
    if sample is None or sample >= total:
        chosen = np.arange(total)
    else:
        chosen = np.sort(np.random.default_rng(seed).choice(total, sample, replace=False))
    picked = {}
    for key in reversed(list(axes)):
        chosen, at = np.divmod(chosen, len(axes[key]))
        picked[key] = [axes[key][i] for i in at.tolist()]
    return [{key: picked[key][row] for key in axes} for row in range(len(chosen))]
