"""``mrtrade db backup`` and ``mrtrade db restore``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mrtrade.data.timescale.backup import Backup

Address = Annotated[str, typer.Option("--store", help="Address of the database.")]


def backup(
    folder: Annotated[Path, typer.Argument(help="Folder to make.", show_default=False)],
    store: Address = "timescale",
) -> None:
    """Back a database up into a new folder; writers may go on. Needs pg_dump. Run as the owner."""
    from mrtrade.cli.console import make_console
    from mrtrade.data.timescale import load_settings
    from mrtrade.data.timescale.backup import backup as run

    console = make_console()
    with console.status("pg_dump runs"):
        found = run(load_settings(store), folder)
    console.print(f"{folder}: {_told(found)}, {found.size / 1e6:,.1f} MB", soft_wrap=True)


def restore(
    folder: Annotated[Path, typer.Argument(help="What db backup made.", show_default=False)],
    store: Address = "timescale",
) -> None:
    """Fill a new, empty database from a backup, and verify all of it. Needs pg_restore."""
    from mrtrade.cli.console import make_console
    from mrtrade.data.timescale import load_settings
    from mrtrade.data.timescale.backup import restore as run

    console = make_console()
    settings = load_settings(store)
    with console.status("pg_restore runs, then every partition is verified"):
        found = run(settings, folder)
    console.print(f"{settings.url}: {_told(found)}, every checksum verified", soft_wrap=True)


def _told(found: Backup) -> str:
    return f"{found.partitions:,} partitions, {found.rows:,} rows as of {found.taken}"
