"""A verdict on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from mrtrade.validation.criteria import Verdict

EPILOG = """\b
Exit codes:
  0  GO: every criterion is met
  1  NO-GO: at least one is not
  2  NOT JUDGED: none failed, some could not be judged; or wrong arguments
  3  data: invalid, damaged or missing"""
"""Ends the help of a command whose exit code is that of a verdict."""

COLOURS = {"passed": "green", "FAILED": "red", "not judged": "yellow"}
DECISIONS = {"GO": "green", "NO-GO": "red", "NOT JUDGED": "yellow"}


def show_verdict(console: Console, verdict: Verdict) -> None:
    """Print the criteria, what was measured and why it was judged so, and the decision."""
    from rich import box
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("criterion", overflow="fold")
    for name in ("measured", "needed", "judgement"):
        table.add_column(name, justify="right", no_wrap=True)
    last = ""
    for name, measured, needed, judgement, note in verdict.rows():
        told = Group(Text(name))
        if note:
            shown = "as above" if note == last else note
            told.renderables.append(Padding(Text(shown, "dim"), (0, 0, 0, 2)))
        table.add_row(told, measured, needed, Text(judgement, COLOURS[judgement]))
        last = note
    console.print(table)
    decision, _, grounds = verdict.sentence.partition(":")
    said = Text(decision, f"bold {DECISIONS[verdict.decision]}")
    console.print(said.append(f":{grounds}", "default"))
