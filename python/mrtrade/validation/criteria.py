"""Criteria, and the verdict that they make: GO, NO-GO or NOT JUDGED.

One criterion that failed is NO-GO, even where others could not be judged; where none failed, one
that could not be judged is NOT JUDGED, and only all passed is GO. Without criteria there is nothing
to go by: NOT JUDGED. A NO-GO is a result and no error; nothing here rounds a number in favour of
anyone.

The JSON of a verdict, ``mrtrade.verdict/1``:

============  ==================================================================================
key           value
============  ==================================================================================
schema        ``mrtrade.verdict/1``
subject       what was judged
decision      ``GO``, ``NO-GO`` or ``NOT JUDGED``
exit_code     0, 1 or 2
sentence      the decision and its grounds in words
criteria      list of objects: ``name``, ``measured`` (number or null), ``comparison``,
              ``threshold``, ``unit``, ``passed`` (true, false or null) and ``note``
about         object: what was judged by the caller's account; dates, data, trials
============  ==================================================================================
"""

from __future__ import annotations

import json
import math
import operator
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from mrtrade.errors import ConfigError, DataError

Comparison = Literal[">", ">=", "<", "<=", "=="]
Decision = Literal["GO", "NO-GO", "NOT JUDGED"]

SCHEMA = "mrtrade.verdict/1"
EXIT_CODES: dict[Decision, int] = {"GO": 0, "NO-GO": 1, "NOT JUDGED": 2}
HEADER = ("Criterion", "Measured", "Needed", "Judgement", "Note")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that was asked, what was measured, and whether that is enough.

    Attributes
    ----------
    name : str
        What is asked, as a trader would say it.
    measured : float, optional
        None: not measured, and `note` says why.
    threshold : float
    comparison : {">", ">=", "<", "<=", "=="}
        Of the measured number with the threshold: passed where it holds.
    passed : bool, optional
        None: it could not be judged, and `note` says why.
    note : str
        What else there is to say: an interval, a number of trades, a reason.
    unit : str
        Of the number and the threshold, such as ``%``; may be empty.

    Raises
    ------
    ConfigError
        If `passed` is not what the comparison says, or nothing says why it is None.
    """

    name: str
    measured: float | None
    threshold: float
    comparison: Comparison
    passed: bool | None
    note: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        if self.comparison not in get_args(Comparison):
            raise ConfigError("no such comparison", key=self.name, value=self.comparison)
        known = self.measured is not None
        if known and not math.isfinite(self.measured or 0.0):
            raise ConfigError("measured, and no number", key=self.name, value=self.measured)
        if self.passed is None:
            if not self.note:
                raise ConfigError(
                    "not judged without a reason", key=self.name, remedy="say why in `note`"
                )
        elif self.measured is None or self.passed != holds(
            self.measured, self.comparison, self.threshold
        ):
            raise ConfigError(
                "the judgement is not what the numbers say",
                key=self.name,
                value=self.passed,
                remedy="use mrtrade.validation.criteria.judge",
            )


def holds(measured: float, comparison: str, threshold: float) -> bool:
    """Say whether a measured number stands in that relation to a threshold."""
    return bool(COMPARE[comparison](measured, threshold))


def judge(
    name: str,
    measured: float | None,
    comparison: Comparison,
    threshold: float,
    note: str = "",
    *,
    reason: str = "",
    unit: str = "",
) -> Criterion:
    """Make a criterion, judged.

    Parameters
    ----------
    name, comparison, threshold, note, unit
        As in `Criterion`.
    measured : float, optional
        None or NaN: could not be measured; then `reason` has to say why. An infinite one is of no
        use for a judgement either.
    reason : str
        Why it could not be judged, whatever was measured; empty where it could.
    """
    number = None if measured is None or not math.isfinite(measured) else float(measured)
    if number is None or reason:
        why = "; ".join(one for one in (reason or "not measured", note) if one)
        return Criterion(name, number, threshold, comparison, None, why, unit)
    passed = holds(number, comparison, threshold)
    return Criterion(name, number, threshold, comparison, passed, note, unit)


@dataclass(frozen=True)
class Verdict:
    """The criteria of a gate and the decision that they make.

    Attributes
    ----------
    subject : str
        What was judged, such as ``gate 1: StatisticalMeanReversion on BTC/USDT``.
    criteria : tuple of Criterion
    about : Mapping
        What it was judged on: JSON types only.
    """

    subject: str
    criteria: tuple[Criterion, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[Criterion, ...]:
        """Criteria that were judged and not met."""
        return tuple(one for one in self.criteria if one.passed is False)

    @property
    def unjudged(self) -> tuple[Criterion, ...]:
        """Criteria that could not be judged."""
        return tuple(one for one in self.criteria if one.passed is None)

    @property
    def decision(self) -> Decision:
        """GO, NO-GO or NOT JUDGED."""
        if self.failed:
            return "NO-GO"
        return "NOT JUDGED" if self.unjudged or not self.criteria else "GO"

    @property
    def exit_code(self) -> int:
        """0 for GO, 1 for NO-GO, 2 for NOT JUDGED."""
        return EXIT_CODES[self.decision]

    @property
    def sentence(self) -> str:
        """The decision and its grounds in words."""
        count, failed, unjudged = len(self.criteria), len(self.failed), len(self.unjudged)
        if count == 0:
            return "NOT JUDGED: nothing was measured."
        if self.decision == "GO":
            return f"GO: all {count} criteria were met."
        left = f"{unjudged} of {count} criteria could not be judged"
        if self.decision == "NOT JUDGED":
            return f"NOT JUDGED: {left}; the others were met."
        which = "; ".join(one.name for one in self.failed)
        more = f" {left[0].upper()}{left[1:]}." if unjudged else ""
        were = "was" if failed == 1 else "were"
        return f"NO-GO: {failed} of {count} criteria {were} not met: {which}.{more}"

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Rows of text under `HEADER`: name, measured, needed, judgement, note."""
        return [_row(one) for one in self.criteria]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        return {
            "schema": SCHEMA,
            "subject": self.subject,
            "decision": self.decision,
            "exit_code": self.exit_code,
            "sentence": self.sentence,
            "criteria": [
                {
                    "name": one.name,
                    "measured": one.measured,
                    "comparison": one.comparison,
                    "threshold": one.threshold,
                    "unit": one.unit,
                    "passed": one.passed,
                    "note": one.note,
                }
                for one in self.criteria
            ],
            "about": dict(self.about),
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the verdict as JSON, whole or not at all; the format is told above."""
        write_json(Path(path), self.to_dict())


def read_verdict(path: str | os.PathLike[str]) -> Verdict:
    """Read what `Verdict.to_json` wrote.

    Raises
    ------
    DataError
        If it is no such file, or its decision is not what its criteria make.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise DataError("another format", file=path, value=content["schema"], expected=SCHEMA)
        criteria = tuple(Criterion(**one) for one in content["criteria"])
        verdict = Verdict(content["subject"], criteria, content["about"])
        claimed = content["decision"]
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise DataError(f"no verdict: {error}", file=path, expected=SCHEMA) from error
    if claimed != verdict.decision:
        raise DataError(
            "the decision is not what the criteria make",
            file=path,
            value=claimed,
            expected=verdict.decision,
        )
    return verdict


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all; NaN and infinity, which are no JSON, are refused."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, text.encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all: a reader meets the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def spell(value: float | None, unit: str = "") -> str:
    """Spell a measured number or a threshold."""
    if value is None:
        return "not measured"
    if value == round(value) and abs(value) < 1e15:
        text = f"{value:,.0f}"
    elif unit == "%" and abs(value) < 0.005:
        text = f"{value:.2f}"
    else:
        text = f"{value:,.4g}"
    return text + (unit if unit in ("", "%", "x") else f" {unit}")


def _row(one: Criterion) -> tuple[str, str, str, str, str]:
    judgement = {True: "passed", False: "FAILED", None: "not judged"}[one.passed]
    measured = spell(one.measured, one.unit)
    needed = f"{one.comparison} {spell(one.threshold, one.unit)}"
    rounded = measured == spell(one.threshold, one.unit) and one.measured != one.threshold
    if one.passed is not None and rounded:
        # Rounded they look equal: digits enough to see which is larger.
        measured = f"{one.measured!r} {one.unit}".strip()
    return one.name, measured, needed, judgement, one.note
