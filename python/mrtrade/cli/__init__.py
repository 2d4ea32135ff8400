"""The command `mrtrade`: one file a group of commands.

Nothing heavy is imported before a command runs, so that ``--help`` and a typing error answer at
once; each command imports its part of the package itself.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mrtrade.cli import (
    backtest,
    costs,
    db,
    demo,
    download,
    features,
    fills,
    gate,
    ingest,
    migrate_questdb,
    models,
    poc,
    runs,
    sql,
    strategies,
    validate,
    walk_forward,
)
from mrtrade.errors import ConfigError, DataError, MrTradeError, SourceError, StoreError

OK, FAILED, USAGE, BAD_DATA = 0, 1, 2, 3

EPILOG = """\b
Exit codes:
  0  done
  1  failed: an unexpected error, a run that is not possible or not bit-equal
  2  usage: wrong arguments or configuration
  3  data: invalid, damaged or missing
  4  reserved
  5  reserved: halted by a risk limit
Those of `poc` and `gate` are those of a verdict: 0 GO, 1 NO-GO, 2 not judged."""

app = typer.Typer(
    help="From recorded order books to a backtest report.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing rich for it costs more than all the rest
)
# In the list of commands a line is cut where the screen of 80 columns ends: 58 characters.
app.command(short_help="A synthetic market, ingested and backtested, with reports.")(demo.demo)
app.command(short_help="Check recorded files and bring them into the store.")(ingest.ingest)
app.command(short_help="Bring Crypto Lake's data into the store.")(download.download)
app.command(short_help="Hold recorded data against the rules.")(validate.validate)
app.command(short_help="List the rows that were refused, and why.")(validate.quarantine)
app.command(short_help="Copy a QuestDB into the store.")(migrate_questdb.migrate_questdb)
app.command()(sql.sql)
app.command(short_help="Run a backtest.")(backtest.backtest)
app.command(short_help="Gate 0: a week of one symbol to a verdict.")(poc.poc)
app.command(short_help="Compute a saved run again, compare it bit by bit.")(runs.rerun)
app.command()(runs.runs)
app.command(short_help="Choose and train on the past, trade what follows.")(
    walk_forward.walk_forward
)
app.add_typer(features.app, name="features", short_help="Compute, examine and check features.")
app.add_typer(strategies.app, name="strategies", short_help="What strategies there are.")
app.add_typer(db.app, name="db")
app.add_typer(models.app, name="models", short_help="Saved models and their stages.")
app.add_typer(fills.app, name="fills", short_help="How far simulated fills can be trusted.")
app.add_typer(costs.app, name="costs", short_help="What orders cost: expected, measured, compared.")
app.add_typer(gate.app, name="gate", short_help="GO, NO-GO or NOT JUDGED, by recorded criteria.")


@app.callback()
def _root(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")
    ] = False,
) -> None:
    pass


@app.command()
def version() -> None:
    """Print the version."""
    from mrtrade import __version__

    typer.echo(f"mrtrade {__version__}")


def main() -> None:
    """Run the command line; ends the process with an exit code, see `EPILOG`."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(args=arguments, prog_name="mrtrade")
    except Exception as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        sys.exit(_complain(error))


def _complain(error: Exception) -> int:
    """Print one message on stderr, return the exit code."""
    if not isinstance(error, MrTradeError):
        what = f"unexpected {type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.filename is not None:
            what = f"{error.filename}: {error.strerror}"
        print(f"error: {what}\n(--debug shows where it came from)", file=sys.stderr)
        return FAILED
    print(f"error: {error}", file=sys.stderr)
    if isinstance(error, ConfigError):
        return USAGE
    return BAD_DATA if isinstance(error, DataError | SourceError | StoreError) else FAILED
