"""``mrtrade gate``: one command a gate, each ending with the exit code of its verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mrtrade.cli import poc
from mrtrade.cli.gate_one import walked
from mrtrade.cli.verdicts import EPILOG

if TYPE_CHECKING:
    from mrtrade.validation.criteria import Verdict
    from mrtrade.validation.expectation import Expectation
    from mrtrade.validation.sessions import Session

app = typer.Typer(
    help="Judge the recorded criteria of a gate: GO, NO-GO or NOT JUDGED.",
    epilog=EPILOG,
    no_args_is_help=True,
)

app.command("0", short_help="A week of one symbol, from raw data: mrtrade poc.", epilog=EPILOG)(
    poc.poc
)

SessionArgument = Annotated[Path, typer.Argument(help="Folder of the recorded run.")]
OutOption = Annotated[
    Path | None, typer.Option(help="JSON of the verdict.", show_default="gate-N-SESSION.json")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the bootstrap and of the shuffles.")]


app.command("1", short_help="A walk-forward: is it more than luck?", epilog=EPILOG)(walked)


@app.command("2", short_help="A paper run against its backtest.", epilog=EPILOG)
def paper(session: SessionArgument, out: OutOption = None, seed: SeedOption = 0) -> None:
    """Judge a paper run against the backtest that was kept beside it when it began."""
    from mrtrade.validation.session_gates import judge_paper

    _judge("2", judge_paper, session, out, seed)


@app.command("3", short_help="A live run against its backtest, and its risk.", epilog=EPILOG)
def live(session: SessionArgument, out: OutOption = None, seed: SeedOption = 0) -> None:
    """Judge a live run: as gate 2 on real fills; drawdown, kill switches and sizes besides."""
    from mrtrade.validation.session_gates import judge_live

    _judge("3", judge_live, session, out, seed)


def _judge(
    gate: str,
    judge: Callable[..., Verdict],
    folder: Path,
    out: Path | None,
    seed: int,
) -> NoReturn:
    from mrtrade.cli.console import make_console, refuse_unwritable
    from mrtrade.validation.expectation import load_expectation
    from mrtrade.validation.sessions import read_session

    place = out or Path(f"gate-{gate}-{folder.resolve().name}.json")
    refuse_unwritable(place)
    console = make_console()
    with console.status("reading the run, drawing what its backtest expects"):
        session: Session = read_session(folder)
        expected: Expectation = load_expectation(folder)
        verdict = judge(session, expected, seed=seed)
    finish(verdict, place)


def finish(verdict: Verdict, place: Path) -> NoReturn:
    """Show a verdict, write its JSON, and end with its exit code."""
    from mrtrade.cli.console import make_console
    from mrtrade.cli.verdicts import show_verdict

    console = make_console()
    console.print(verdict.subject, soft_wrap=True)
    show_verdict(console, verdict)
    verdict.to_json(place)
    console.print(f"written {place}", soft_wrap=True)
    raise typer.Exit(verdict.exit_code)
