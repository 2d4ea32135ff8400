"""``mrtrade migrate-questdb``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrtrade.cli.ingest import OnBad

if TYPE_CHECKING:
    from rich.table import Table

    from mrtrade.data.questdb import Migration

#: Longest table of windows: the whole output fits a screen.
MAX_ROWS = 24


def migrate_questdb(
    source: Annotated[
        str,
        typer.Argument(
            help="http://host:9000, postgresql://user@host:8812/qdb, or a folder of exported files."
        ),
    ],
    exchange: Annotated[str, typer.Option(help="Of all symbols there, such as BINANCE.")],
    store: Annotated[str, typer.Option(help="Folder, or address, of the store.")] = "store",
    tables: Annotated[
        list[str] | None,
        typer.Option("--table", help="Ours=theirs, such as trades=my_trades; repeatable."),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="Such as trades.quantity=amount; repeatable."),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--value", help="Such as trades.side.B=buy; repeatable."),
    ] = None,
    symbols: Annotated[
        list[str] | None,
        typer.Option("--symbol", help="Theirs=ours, such as BTCUSDT=BTC/USDT; repeatable."),
    ] = None,
    symbol_column: Annotated[str, typer.Option(help="Their column with the symbol.")] = "symbol",
    start: Annotated[str | None, typer.Option(help="From this UTC day.")] = None,
    end: Annotated[str | None, typer.Option(help="Up to the day before this.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing: read both sides and compare.")
    ] = False,
    on_bad: Annotated[
        OnBad, typer.Option(help="Stop at a wrong row, or set it aside and go on.")
    ] = OnBad.error,
    report: Annotated[Path | None, typer.Option(help="Write every window to this JSON.")] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Allow unencrypted HTTP to another machine.")
    ] = False,
) -> None:
    """Copy a QuestDB into the store, a symbol and a day at a time; again to go on, or to verify."""
    from contextlib import closing
    from dataclasses import asdict

    from mrtrade.cli.console import make_console
    from mrtrade.data.questdb import Mapping, migrate, open_transport
    from mrtrade.data.stores import open_store

    mapping = Mapping.parse(tables or (), columns or (), values or (), symbols or (), symbol_column)
    console = make_console()
    with (
        closing(open_transport(source, plain_http=plain_http)) as transport,
        closing(open_store(store)) as opened,
        console.status("asking") as status,
    ):
        done = migrate(
            transport,
            opened,
            exchange,
            mapping,
            start=start,
            end=end,
            verify=verify,
            on_bad=on_bad.value,
            progress=lambda window: status.update(
                f"{window.table} {window.symbol} {window.day}: {window.status}"
            ),
        )
    if report is not None:
        report.write_text(json.dumps([asdict(window) for window in done.windows], indent=1) + "\n")
    console.print(_table(done))
    for note in done.notes:
        console.print(f"note: {note}", soft_wrap=True)
    counts = [f"{sum(w.rows for w in done.windows):,} rows in {len(done.windows)} windows"]
    for kind in ("copied", "unchanged", "equal", "differs"):
        number = sum(window.status == kind for window in done.windows)
        counts += [f"{number} {kind}"] if number else []
    console.print(", ".join(counts), soft_wrap=True)
    if not done.is_whole:
        raise typer.Exit(3)


def _table(done: Migration) -> Table:
    from rich.table import Table

    table = Table("table", "exchange", "symbol", "day", title="windows")
    for name in ("there", "stored"):
        table.add_column(name, justify="right")
    table.add_column("")
    # What differs comes first: it must not be cut off.
    windows = sorted(done.windows, key=lambda window: window.status != "differs")
    for one in windows[:MAX_ROWS]:
        state = f"{one.status}: {one.why}" if one.why else one.status
        table.add_row(
            *(one.table, one.exchange, one.symbol, one.day),
            *(f"{one.rows:,}", f"{one.stored:,}", state),
        )
    rest = windows[MAX_ROWS:]
    if rest:
        table.add_row(f"{len(rest)} more", "", "", "", f"{sum(w.rows for w in rest):,}", "", "")
    return table
