"""``mrtrade strategies``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mrtrade.strategies import Strategy

app = typer.Typer(
    help="Strategies: what there is, and what each can be told.", no_args_is_help=True
)


@app.command("list", short_help="List the strategies there are.")
def list_() -> None:
    """List the built-in strategies and those of installed packages, by the names to give."""
    from rich.table import Table
    from rich.text import Text

    from mrtrade.cli.console import make_console
    from mrtrade.errors import ConfigError
    from mrtrade.strategies import STRATEGIES, find_strategy, installed

    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("from")
    table.add_column("legs")
    table.add_column("presets")
    table.add_column("what it does", ratio=1, overflow="fold")
    found = {name: "mrtrade" for name in STRATEGIES}
    for entry in installed():
        found.setdefault(entry.name, entry.dist.name if entry.dist else entry.value)
    for name, origin in found.items():
        try:
            kind = find_strategy(name)
            made = kind()
        except (ConfigError, NotImplementedError) as error:  # another's: the rest is listed
            table.add_row(Text(name), Text(origin), "", "", Text(f"not usable: {error}"))
            continue
        cells = (name, origin, ", ".join(made.legs), ", ".join(kind.presets), _first_line(kind))
        table.add_row(*(Text(cell) for cell in cells))
    console = make_console()
    console.print(table)
    console.print("your own: module:Class, or file.py[:Class]")


@app.command(short_help="Show what a strategy reads and can be told.")
def show(
    name: Annotated[str, typer.Argument(help="Such as statistical, module:Class or file.py.")],
    preset: Annotated[
        str | None, typer.Option(help="Values of this preset, such as minutes.")
    ] = None,
) -> None:
    """Show its parameters with their values, what it reads, and what it holds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mrtrade.cli.console import make_console
    from mrtrade.strategies import find_strategy

    kind = find_strategy(name)
    made = kind({} if preset is None else {"preset": preset})
    console = make_console()
    console.print(Text(f"{kind.__name__}: {_first_line(kind)}", style="bold"))
    for paragraph in _paragraphs(kind)[1:]:
        console.print()
        console.print(Text(paragraph))
    console.print()
    table = Table(title="parameters" + (f", preset {preset}" if preset else ""), box=box.SIMPLE)
    table.add_column("name", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("what it is", ratio=1, overflow="fold")
    for key, field in kind.Params.model_fields.items():
        cells = (key, _shown(getattr(made.params, key)), field.description or "")
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    console.print(Text(f"legs      {', '.join(made.legs)}"))
    console.print(Text(f"reads     {', '.join(made.features)}"))
    console.print(Text(f"presets   {', '.join(kind.presets) or 'none'}"))


def _first_line(kind: type[Strategy]) -> str:
    return _paragraphs(kind)[0]


def _paragraphs(kind: type[Strategy]) -> list[str]:
    """Return what a class says of itself, up to its first headed section."""
    import inspect

    text = inspect.cleandoc(kind.__doc__ or "no description")
    paragraphs = []
    for paragraph in text.split("\n\n"):
        if "\n---" in paragraph:
            break
        paragraphs.append(" ".join(paragraph.split()))
    return paragraphs


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
