"""``mrtrade db``: the database behind `TimescaleStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mrtrade.cli import db_backup, db_bench

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mrtrade.data.timescale import Status

app = typer.Typer(
    help="Set up and look after a database that serves as a store.", no_args_is_help=True
)

app.command(short_help="Measure writes and reads of a synthetic day.")(db_bench.bench)
app.command(short_help="Back a database up into a new folder.")(db_backup.backup)
app.command(short_help="Fill an empty database from a backup, and verify it.")(db_backup.restore)

Address = Annotated[
    str,
    typer.Option(
        "--store", help="timescale, timescale:FILE.yaml or postgresql://user@host:port/database."
    ),
]


@app.command()
def init(store: Address = "timescale") -> None:
    """Set up a new database: tables, and what else its server offers. Run as its owner."""
    migrate(store)


@app.command()
def migrate(store: Address = "timescale") -> None:
    """Bring a database up to this version, and to its server's edition. Run as its owner."""
    from mrtrade.cli.console import make_console
    from mrtrade.data.timescale import load_settings, status
    from mrtrade.data.timescale import migrate as run

    console = make_console()
    settings = load_settings(store)
    for file in run(settings):
        console.print(f"applied {file}")
    found = status(settings)
    console.print(f"{found.url} is up to date: {found.edition}", soft_wrap=True)


@app.command(short_help="Show the server, what is stored and what is left to do.")
def status(store: Address = "timescale") -> None:
    """Show what the server offers, what is stored and what is left to do. Exit 1: a step lacks."""
    from mrtrade.cli.console import make_console
    from mrtrade.data.timescale import load_settings
    from mrtrade.data.timescale import status as look

    found = look(load_settings(store))
    console = make_console()
    console.print(_facts(found))
    if found.tables:
        console.print(_fitting(found, console))
    if found.pending:
        raise typer.Exit(1)


@app.command()
def roles(store: Address = "timescale") -> None:
    """Make the roles mrtrade_owner, mrtrade_ingest and mrtrade_read. Run as a superuser.

    Their passwords are taken from TIMESCALE_OWNER_PASSWORD, TIMESCALE_INGEST_PASSWORD and
    TIMESCALE_READ_PASSWORD, in the environment or in .env; run it again to change them.
    """
    from mrtrade.cli.console import make_console
    from mrtrade.data.timescale import load_settings, make_roles

    console = make_console()
    for name, has_password in make_roles(load_settings(store)).items():
        variable = f"TIMESCALE_{name.removeprefix('mrtrade_').upper()}_PASSWORD"
        said = "password set" if has_password else f"no password now: {variable} is not set"
        console.print(f"{name}  {said}")


@app.command()
def refresh(store: Address = "timescale") -> None:
    """Bring continuous aggregates up to date after writes by others. Run as the owner."""
    from contextlib import closing

    from mrtrade.cli.console import make_console
    from mrtrade.data.timescale import TimescaleStore

    with closing(TimescaleStore(store)) as opened:
        done = opened.refresh()
    make_console().print(f"{done} days brought up to date")


@app.command(short_help="List, or delete, old partitions.")
def retain(
    table: Annotated[str, typer.Argument(help="Table, as mrtrade calls it: trades.")],
    days: Annotated[int, typer.Option(min=1, help="Days that partitions are kept.")],
    delete: Annotated[bool, typer.Option(help="Delete them; without it they are listed.")] = False,
    store: Address = "timescale",
) -> None:
    """List, or delete, partitions whose rows are old and that were written as long ago.

    What was loaded since then stays, however old its rows are.
    """
    from contextlib import closing

    from mrtrade.cli.console import make_console
    from mrtrade.data.timescale import TimescaleStore
    from mrtrade.data.timescale.retention import expired, remove_expired

    console = make_console()
    found, what = (remove_expired, "deleted") if delete else (expired, "would delete")
    count = 0
    with closing(TimescaleStore(store)) as opened:
        for series, day in found(opened, table, days):
            console.print(f"{what} {' '.join(series)} {day}")
            count += 1
    more = "" if delete or not count else "; nothing is deleted without --delete"
    console.print(f"{count} partitions of {table} are older than {days} days{more}")


def _facts(found: Status) -> Table:
    from rich.table import Table

    edition = found.edition
    offers = {
        "plain": "tables; trade flow and book activity are computed when asked for",
        "apache": "hypertables; trade flow and book activity are computed when asked for",
        "community": "hypertables, columnstore, continuous aggregates",
    }[edition.kind]
    if edition.direct:
        offers += ", COPY straight into the columnstore"
    rights = "reads and writes, " if found.writes else "only reads, "
    tls = found.tls or "not encrypted"
    schema = f"{found.steps} of {found.steps} steps"
    if found.pending:
        new = len(found.pending) == found.steps
        rights = "" if new else rights
        command = "init" if new else "migrate"
        schema = f"[red]lacks {', '.join(found.pending)}[/]: run mrtrade db {command}"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("store", found.url)
    grid.add_row("server", str(edition))
    grid.add_row("offers", offers)
    grid.add_row("you", f"{found.user}, {rights}{tls}")
    grid.add_row("schema", schema)
    grid.add_row("on disk", _bytes(found.size))
    if found.refreshes:
        grid.add_row("waiting", f"{found.refreshes} days of aggregates: mrtrade db refresh")
    for warning in found.warnings:
        grid.add_row("[yellow]warning[/]", warning)
    return grid


def _fitting(found: Status, console: Console) -> Table:
    """Lay out the tables; a narrow screen lacks columns, never parts of a number."""
    from rich.measure import Measurement

    endless = console.options.update(max_width=1_000)
    for more in (("a row", "chunks", "columnar"), ("chunks", "columnar"), ()):
        table = _tables(found, more)
        if Measurement.get(console, endless, table).maximum <= console.width:
            break
    return table


def _tables(found: Status, more: tuple[str, ...]) -> Table:
    from rich import box
    from rich.table import Table

    known = {"a row"}
    if found.edition.timescale is not None:
        known |= {"chunks"}
    if found.edition.kind == "community":
        known |= {"columnar"}
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("SQL table", "series", "days", "rows", "first", "last", "on disk", *more):
        left = name in ("SQL table", "first", "last")
        if name in known or name not in more:
            table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for one in found.tables:
        row = [
            one.name,
            f"{one.series:,}",
            f"{one.partitions:,}",
            f"{one.rows:,}",
            one.first_day,
            one.last_day,
            _bytes(one.size),
        ]
        extra = {
            "a row": f"{one.size / one.rows:,.0f} B",
            "chunks": f"{one.chunks:,}",
            "columnar": f"{one.compressed:,}",
        }
        table.add_row(*row, *(extra[name] for name in more if name in known))
    return table


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:,.0f} {unit}" if unit in ("B", "kB") else f"{size:,.1f} {unit}"
        size /= 1_000
    return f"{size:,.1f} TB"
