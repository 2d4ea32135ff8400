"""``mrtrade models``: list, show, verify, promote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RootOption = Annotated[Path, typer.Option("--root", "--folder", help="Folder of the models.")]
ModelArgument = Annotated[str, typer.Argument(help="A model's folder, or its name.")]

app = typer.Typer(
    help="Saved models: what they are, whether they are whole, which stage they are in.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(root: RootOption = Path("models")) -> None:
    """List the saved models, newest first."""
    from rich import box
    from rich.table import Table

    from mrtrade.cli.console import make_console
    from mrtrade.ml.models import list_models

    found = list_models(root)
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)  # `promote` wants it whole
    for name in ("symbol", "stage", "created"):
        table.add_column(name, overflow="fold")
    table.add_column("features", justify="right")
    table.add_column("rank IC", justify="right")
    for one in found:
        told = one.manifest
        ic = told["metrics"].get("rank_ic")
        table.add_row(
            one.id,
            told["symbol"],
            one.stage,
            told["created"][:10],
            str(len(told["features"])),
            "" if ic is None else f"{ic:+.3f}",
        )
    console = make_console()
    if found:
        console.print(table)
    console.print(f"{len(found)} models in {root}", soft_wrap=True)


@app.command()
def show(model: ModelArgument, root: RootOption = Path("models")) -> None:
    """Show a model: what it was trained on, what it is worth, its moves."""
    from mrtrade.cli.console import make_console
    from mrtrade.clock import from_ns
    from mrtrade.ml.models import history, open_model

    one = open_model(_place(model, root))
    told = one.manifest
    first, last = (f"{from_ns(ns):%Y-%m-%d %H:%M}" for ns in told["span_ns"])
    lines = {
        "model": one.id,
        "name": told["name"],
        "symbol": told["symbol"],
        "stage": one.stage,
        "trained on": f"{first} to {last} UTC, {told['rows']:,} rows, seed {told['seed']}",
        "features": f"{len(told['features'])}: {', '.join(told['features'])}",
        **{f"about {key}": str(value) for key, value in told["about"].items()},
        **{
            f"held out {key}": f"{value:.6g}" if isinstance(value, float) else str(value)
            for key, value in told["metrics"].items()
        },
        "versions": ", ".join(f"{key} {value}" for key, value in told["versions"].items()),
    }
    console = make_console()
    for key, text in lines.items():
        console.print(f"{key:<22} {text}", soft_wrap=True)
    for move in history(one.folder):
        before = move["from"] or "-"
        said = f"{before} -> {move['to']} by {move['who'] or '-'}: {move['why']}"
        console.print(f"{move['time'][:19]:<22} {said}", soft_wrap=True)


@app.command()
def verify(model: ModelArgument, root: RootOption = Path("models")) -> None:
    """Hold a model's files against their checksums; exit code 3: one differs."""
    from mrtrade.cli.console import make_console
    from mrtrade.ml.models import open_model

    one = open_model(_place(model, root))
    make_console().print(f"whole: {one.folder} ({one.stage})", soft_wrap=True)


@app.command()
def promote(
    model: ModelArgument,
    to: Annotated[str, typer.Argument(help="shadow, paper, live, candidate or retired.")],
    who: Annotated[str, typer.Option(help="Who decides it.")],
    why: Annotated[str, typer.Option(help="Why.")],
    root: RootOption = Path("models"),
) -> None:
    """Move a model to another stage; only one of a name and symbol can be live."""
    from mrtrade.cli.console import make_console
    from mrtrade.ml.models import promote as move

    one = move(_place(model, root), to, who=who, why=why)
    make_console().print(f"{one.id} is {one.stage}", soft_wrap=True)


def _place(model: str, root: Path) -> Path:
    return Path(model) if Path(model).is_dir() else root / model
