"""What the commands of ``mrtrade costs`` share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

StoreOption = Annotated[str, typer.Option(help="Folder, or address, of the store.")]
BarOption = Annotated[str, typer.Option(help="Length of a bar, such as 1s.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write it as JSON too.")]


def plain_table(*columns: str, left: Collection[int] = (0,)) -> Table:
    """Return a table without a frame; numbers stand to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        text = number in left
        table.add_column(
            name, justify="left" if text else "right", no_wrap=not text, overflow="fold"
        )
    return table


def write_json(console: Console, file: Path | None, content: Mapping[str, Any]) -> None:
    """Write what a command tells, where it was asked to; NaN is null."""
    import json

    if file is not None:
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
        console.print(f"json  {file}", soft_wrap=True)
