"""The reference of features, written from the register.

``python -m mrtrade.features.reference docs/features.md`` writes the file; `make reference` does. A
test holds the committed file to it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from mrtrade.features import COLUMNS, FAMILIES, FEATURES, Feature, get
from mrtrade.features.registry import DERIVED

#: Windows at which look-backs are compared to find their rule.
PROBES = (240, 480, 960)

ABOUT = {
    "microstructure": "What the book and the trades look like, and what it costs to trade.",
    "mean_reversion": "How far the price has gone from where it was, and whether it comes back.",
    "volatility": "How much it moves, in jumps or not, and in what regime. 365 days a year.",
    "cross_asset": "What a second asset says, as far as it had been received.",
    "funding": "Perpetuals: what holding costs, how far from the index, who is forced out.",
    "temporal": "The clock at the end of the bar.",
    "interactions": "Products of others: what one says depends on the other.",
}


def stems() -> dict[str, list[Feature]]:
    """Return the registered features by stem, each with its default windows."""
    found: dict[str, list[Feature]] = {}
    for one in FEATURES.values():
        found.setdefault(one.stem, []).append(one)
    return found


def bars_text(one: Feature, what: str) -> str:
    """Return a look-back or warm-up as a rule: ``n - 1``, ``10 n``, ``all`` or a number.

    Parameters
    ----------
    one : Feature
    what : str
        ``lookback`` or ``warmup``.
    """
    bars = getattr(one, what)
    if bars is None:
        return "all"
    if one.window is None:
        return str(bars)
    values = [getattr(get(f"{one.stem}_{window}"), what) for window in PROBES]
    slope = (values[1] - values[0]) / (PROBES[1] - PROBES[0])
    rest = values[0] - slope * PROBES[0]
    if slope == int(slope) and values[2] == slope * PROBES[2] + rest:
        return _line(int(slope), int(rest))
    return f"{bars} of {one.window}"


def _line(slope: int, rest: int) -> str:
    if slope == 0:
        return str(rest)
    text = "n" if slope == 1 else f"{slope} n"
    return text if rest == 0 else f"{text} {'-' if rest < 0 else '+'} {abs(rest)}"


def write() -> str:
    """Return the reference as Markdown."""
    every = stems()
    template = files("mrtrade.features").joinpath("reference.md").read_text(encoding="utf-8")
    counts = [
        (f"[{family}](#{family})", str(len(group)), str(sum(map(len, group))), ABOUT[family])
        for family in FAMILIES
        if (group := [ones for ones in every.values() if ones[0].family == family])
    ]
    parts = {
        "stems": str(len(every)),
        "features": str(len(FEATURES)),
        "counts": _table(("family", "features", "with windows", ""), counts),
        "families": "\n\n".join(_family(name, every) for name in FAMILIES).strip(),
        "columns": _columns(),
        "derived": _table(
            ("column", "unit", "from", "meaning"),
            (
                (_code(one.name), one.unit, _codes(one.inputs), _sentence(one.function.__doc__))
                for one in DERIVED.values()
            ),
        ),
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda match: parts[match[1]], template)


def _family(name: str, every: dict[str, list[Feature]]) -> str:
    group = [ones for ones in every.values() if ones[0].family == name]
    if not group:
        return ""
    head = ("feature", "what it says, and its formula", "reads", "bars", "borders; source")
    return f"### {name}\n\n{ABOUT[name]}\n\n{_table(head, (_row(ones) for ones in group))}"


def _row(ones: Sequence[Feature]) -> tuple[str, ...]:
    one = ones[0]
    name = _code(one.stem)
    if one.window is not None:
        name = f"{_code(one.stem + '_n')}<br>n: {', '.join(str(each.window) for each in ones)}"
    back, warm = (bars_text(one, what) for what in ("lookback", "warmup"))
    inputs = [
        name if one.window is None else re.sub(rf"_{one.window}$", "_n", name)
        for name in one.inputs
    ]
    borders = f"{one.edge}{'; may be missing' if one.sparse else ''}"
    return (
        f"{name}<br>{one.unit}",
        f"{one.about}<br>{_code(one.formula)}",
        _codes(inputs),
        back if back == warm else f"{back}; {warm}",
        borders if one.source == "definition" else f"{borders}<br>*{one.source}*",
    )


def _columns() -> str:
    origins = dict.fromkeys(one.origin for one in COLUMNS.values())
    return "\n\n".join(
        f"**From {origin}**\n\n"
        + _table(
            ("column", "unit", "meaning"),
            (
                (_code(name), one.unit, one.meaning)
                for name, one in COLUMNS.items()
                if one.origin == origin
            ),
        )
        for origin in origins
    )


def _sentence(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(map(_code, names))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(write(), encoding="utf-8")
