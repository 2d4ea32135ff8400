"""``mrtrade features``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mrtrade.cli import features_check, features_compute, features_report

if TYPE_CHECKING:
    from mrtrade.features import Feature

app = typer.Typer(
    help="Features: what there is, their values, and what is wrong with them.",
    no_args_is_help=True,
)


@app.command("list", short_help="List the registered features.")
def list_(
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
        table = Table(title=Text(name))
        table.add_column("name", no_wrap=True)  # to be copied, whatever has to wrap
        table.add_column("unit")
        table.add_column("lookback", justify="right")
        table.add_column("warm-up", justify="right")
        table.add_column("formula; source", ratio=1, overflow="fold")
        for one in FEATURES.values():
            if one.family == name:
                about = f"{one.formula}; {one.source}"
                # Text, not markup: a bracket in a formula is a bracket.
                cells = (one.name, one.unit, _lookback(one), str(one.warmup), about)
                table.add_row(*(Text(cell) for cell in cells))
        console.print(table)
    console.print("windows are in bars; any other length is found by name, such as zscore_45")


@app.command(short_help="Show all that is said of one feature.")
def show(
    name: Annotated[str, typer.Argument(help="Such as zscore_300; any window, such as zscore_45.")],
) -> None:
    """Show all that is said of one feature: formula, edges, inputs, source, docstring."""
    import inspect

    from rich.table import Table
    from rich.text import Text

    from mrtrade.cli.console import make_console
    from mrtrade.features import COLUMNS, get
    from mrtrade.features.compute import plan
    from mrtrade.features.registry import DERIVED

    one = get(name)
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(ratio=1)
    rows = {
        "name": one.name,
        "family": one.family,
        "unit": one.unit,
        "formula": one.formula,
        "edge": one.edge,
        "source": one.source,
        "lookback": f"{_lookback(one)} bars" if one.lookback else _none(one.lookback),
        "warm-up": f"{one.warmup} bars" if one.warmup else "none",
        "sparse": "yes: some bars have no value in any market" if one.sparse else "",
    }
    for key, value in rows.items():
        if value:
            grid.add_row(key, Text(value))
    for k, column in enumerate(one.inputs):
        known = COLUMNS.get(column) or DERIVED.get(column)
        about = f" ({known.unit})" if known else " (feature)"
        meaning = f": {COLUMNS[column].meaning}" if column in COLUMNS else ""
        grid.add_row("inputs" if k == 0 else "", Text(f"{column}{about}{meaning}"))
    columns = plan([one.name])[1]
    if set(columns) != set(one.inputs):
        grid.add_row("of bars", Text(", ".join(columns)))
    for key, value in one.params.items():
        shown = getattr(value, "__name__", str(value))
        grid.add_row("parameter", Text(f"{key} = {shown}"))
    console = make_console()
    console.print(grid)
    for paragraph in (inspect.getdoc(one.function) or "").split("\n\n"):
        console.print()
        console.print(Text(" ".join(paragraph.split())))


def _lookback(one: Feature) -> str:
    return "all" if one.lookback is None else str(one.lookback)


def _none(lookback: int | None) -> str:
    return "all earlier bars" if lookback is None else "none"


app.command(short_help="Compute features into a Parquet file.")(features_compute.compute)
app.command(short_help="Examine features, and hold them against returns.")(features_report.report)
app.command(short_help="Look for look-ahead, in features of your own too.")(features_check.check)
