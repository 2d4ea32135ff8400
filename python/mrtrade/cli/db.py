"""``mrtrade db``: the database behind `TimescaleStore`."""

from __future__ import annotations

from typing import Annotated

import typer

from mrtrade.cli import db_bench

app = typer.Typer(
    help="Set up and look after a database that serves as a store.", no_args_is_help=True
)

app.command()(db_bench.bench)

Address = Annotated[
    str,
    typer.Option(
        "--store", help="timescale, timescale:FILE.yaml or postgresql://user@host:port/database."
    ),
]


@app.command()
def init(store: Address = "timescale") -> None:
    """Set up a new database: tables, and what else its server offers. Run as its owner."""
    _migrate(store)


@app.command()
def migrate(store: Address = "timescale") -> None:
    """Bring a database up to this version. Run as its owner."""
    _migrate(store)


def _migrate(store: str) -> None:
    from mrtrade.cli.console import make_console
    from mrtrade.data.timescale import load_settings
    from mrtrade.data.timescale import migrate as run

    console = make_console()
    settings = load_settings(store)
    applied = run(settings)
    for file in applied:
        console.print(f"applied {file}")
    if not applied:
        console.print("nothing to do")
