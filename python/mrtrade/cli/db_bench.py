"""``mrtrade db bench``: how fast a store is here, whatever kind it is."""

from __future__ import annotations

from typing import Annotated

import typer


def bench(
    store: Annotated[str, typer.Option(help="Address of the store.")] = "timescale",
    rows: Annotated[int, typer.Option(min=1_000, help="Rows of the synthetic day.")] = 1_000_000,
    runs: Annotated[int, typer.Option(min=1, help="Medians are taken over these.")] = 3,
) -> None:
    """Write, replace, read and verify a synthetic day of deltas; it is removed again."""
    from contextlib import closing

    from rich.table import Table

    from mrtrade.cli.console import make_console
    from mrtrade.data.bench import bench as run
    from mrtrade.data.stores import open_store

    console = make_console()
    with closing(open_store(store)) as opened, console.status("making a day") as status:
        timings = run(opened, rows, runs, status.update)
        title = f"{opened.url}, median of {runs}"
    table = Table("", title=title)
    for name in ("rows", "seconds", "CPU here", "CPU server", "rows/s"):
        table.add_column(name, justify="right")
    for one in timings:
        server = "" if one.server_s is None else f"{one.server_s:.2f}"
        rate = f"{one.rows / one.wall_s:,.0f}"
        table.add_row(
            one.name, f"{one.rows:,}", f"{one.wall_s:.2f}", f"{one.cpu_s:.2f}", server, rate
        )
    console.print(table)
