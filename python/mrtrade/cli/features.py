"""``mrtrade features``."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="The registered features.", no_args_is_help=True)


@app.callback()
def _group() -> None:  # with a callback a lone command keeps its name
    pass


@app.command("list")
def show(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
) -> None:
    """List them: unit, earlier bars that count, bars without a value, formula and source."""
    from rich.table import Table
    from rich.text import Text

    from mrtrade.cli.console import make_console
    from mrtrade.errors import ConfigError
    from mrtrade.features import FEATURES

    families = list(dict.fromkeys(one.family for one in FEATURES.values()))
    if family is not None and family not in families:
        raise ConfigError(f"no family {family!r}", expected=f"one of {', '.join(families)}")
    console = make_console()
    for name in [family] if family else families:
        table = Table("name", "unit", title=Text(name))
        table.add_column("lookback", justify="right")
        table.add_column("warm-up", justify="right")
        table.add_column("formula; source", ratio=1)
        for one in FEATURES.values():
            if one.family == name:
                back = "all" if one.lookback is None else str(one.lookback)
                about = f"{one.formula}; {one.source}"
                # Text, not markup: a bracket in a formula is a bracket.
                cells = (one.name, one.unit, back, str(one.warmup), about)
                table.add_row(*(Text(cell) for cell in cells))
        console.print(table)
    console.print("windows are in bars; any other length is found by name, such as zscore_45")
