"""``mrtrade features check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mrtrade.features.lookahead import Verdict

#: So many features are listed each, of more only those that did not pass every test.
MAX_LISTED = 24

LOOKS_AHEAD = 1


def check(
    module: Annotated[
        str,
        typer.Argument(
            metavar="MODULE",
            help="package.module or file.py with @feature; either with :function, of bars; or"
            " all, a family, a feature.",
        ),
    ],
    seed: Annotated[int, typer.Option(min=0, help="Of the market made up.")] = 0,
) -> None:
    """Look for look-ahead: does another future change what a feature says? Exit code 1: it does.

    On bars made up, the future is cut off, exchanged and emptied; on a recording made up, what
    had not been received is exchanged; and bar by bar it must say what it says of all at once. A
    function f(bars) gets a DataFrame, and returns a value a bar; f(bars, tape) also the events.
    """
    from mrtrade.cli.console import make_console
    from mrtrade.features.lookahead import check as look
    from mrtrade.features.users import load

    console = make_console()
    with load(module) as found, console.status("looking") as status:
        verdicts: list[Verdict] = []
        for one in found:
            status.update(f"{len(verdicts)}/{len(found)}  {getattr(one, '__name__', one)}")
            verdicts += look([one], seed=seed)
    _show(console, verdicts)
    if not all(one.clean for one in verdicts):
        raise typer.Exit(LOOKS_AHEAD)


def _show(console: Console, verdicts: list[Verdict]) -> None:
    from rich import box
    from rich.table import Table

    from mrtrade.features.lookahead import TESTS

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("feature", overflow="fold")
    for test in TESTS:
        table.add_column(test)
    listed = [one for one in verdicts if len(verdicts) <= MAX_LISTED or one.leaks or one.skipped]
    for one in listed:
        marks = dict.fromkeys(one.passed, "ok") | {leak.test: "[red]leak[/]" for leak in one.leaks}
        table.add_row(one.name, *(marks.get(test, "-") for test in TESTS))
    if listed:
        console.print(table)
    for one in verdicts:
        if one.leaks:
            console.print(f"[bold]{one.name}[/] looks ahead")
        for leak in one.leaks:
            console.print(f"  {leak}", markup=False)
    skipped: dict[str, int] = {}
    for one in verdicts:
        for test, why in one.skipped.items():
            text = f"{'not tested' if test == 'all' else f'not tested by {test}'}: {why}"
            skipped[text] = skipped.get(text, 0) + 1
    for text, count in skipped.items():
        console.print(f"{count} {text}", markup=False)
    bad = sum(not one.clean for one in verdicts)
    untested = sum(not one.passed and one.clean for one in verdicts)
    clean = len(verdicts) - bad - untested
    parts = f"{clean} clean, {bad} look ahead" + (f", {untested} not tested" if untested else "")
    console.print(f"{len(verdicts)} feature{'s' * (len(verdicts) != 1)}: {parts}")
