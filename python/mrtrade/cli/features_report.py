"""``mrtrade features report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrtrade.cli.features_bars import (
    EndOption,
    ExchangeOption,
    FeaturesOption,
    FileOption,
    IntervalOption,
    OtherOption,
    StartOption,
    StoreOption,
    SymbolOption,
    load,
    names_of,
    split,
    tell_missing,
)

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from mrtrade.features import FeatureCorrelations

#: Most findings on the screen.
MAX_FINDINGS = 24


def report(
    file: FileOption = None,
    store: StoreOption = "store",
    exchange: ExchangeOption = None,
    symbol: SymbolOption = None,
    other: OtherOption = None,
    interval: IntervalOption = None,
    features: FeaturesOption = "all",
    start: StartOption = None,
    end: EndOption = None,
    horizons: Annotated[
        str, typer.Option(help="Bars ahead that returns are measured over.")
    ] = "1,5,12,60",
    cut: Annotated[
        str | None,
        typer.Option("--split", help="Where the second period of drift begins. Default: halfway."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Correlations to show.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Show every finding.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Write a heat map of rank ICs, PNG.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
) -> None:
    """Examine features for gaps, constants, outliers and drift, and hold them against returns.

    Correlations (IC, rank IC) are those with the log return of the mid from the end of a bar on;
    their t statistics know that returns overlap, and p-values how many tests were made. Needs
    pip install 'mrtrade[research]'.
    """
    from mrtrade.cli.console import make_console, refuse_unwritable
    from mrtrade.features import analyze_feature_correlations, compute, forward_returns
    from mrtrade.features.doctor import diagnose

    names = names_of(features)
    ahead = _bars(horizons)
    for place in filter(None, (picture, html)):
        refuse_unwritable(place)
    console = make_console()
    with console.status("reading bars") as status:
        bars = load(file, store, exchange, symbol, other, interval, start, end)
        status.update(f"{len(names)} features of {len(bars):,} bars")
        values = compute(bars, names)
        status.update("looking for gaps, outliers and drift")
        diagnosis = diagnose(values, split=cut)
        status.update(f"returns {horizons} bars ahead")
        live = values.loc[:, values.notna().any()]
        found = analyze_feature_correlations(live, forward_returns(bars["mid"], ahead))
    tell_missing(console, bars, values, each=False)
    _findings(console, diagnosis.loc[list(live)], None if everything else MAX_FINDINGS)
    _correlations(console, found, top)
    if picture is not None:
        found.heatmap(picture)
        console.print(f"picture  {picture}", soft_wrap=True)
    if html is not None:
        from mrtrade.features.page import page

        source = str(file) if file is not None else f"{exchange} {symbol}, bars of {interval}"
        html.write_text(page(f"Features of {source}", diagnosis, found), encoding="utf-8")
        console.print(f"html  {html}", soft_wrap=True)


def _bars(text: str) -> list[int]:
    numbers = [int(one) for one in split(text) if one.isdecimal()]
    if len(numbers) != len(split(text)) or not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"{text!r} are not numbers of bars", param_hint="--horizons")
    return list(dict.fromkeys(numbers))


def _findings(console: Console, diagnosis: pd.DataFrame, limit: int | None) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    told = diagnosis.loc[diagnosis["finding"] != "", "finding"]
    if len(told):
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("feature", no_wrap=True)
        table.add_column("finding")
        for name, text in told.iloc[:limit].items():
            table.add_row(str(name), Text(text))
        console.print(table)
    if limit is not None and len(told) > limit:
        console.print(f"{len(told) - limit} more: --all shows them, and --html FILE")
    console.print(f"{len(told)} of {len(diagnosis)} features have findings\n")


def _correlations(console: Console, found: FeatureCorrelations, top: int) -> None:
    from rich import box
    from rich.table import Table

    from mrtrade.features.page import HEADS, cells

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in HEADS:
        table.add_column(
            name, justify="left" if name == HEADS[0] else "right", no_wrap=True, overflow="fold"
        )
    for row in found.summary(top).to_dict("records"):
        table.add_row(*cells(row))
    console.print(table)
    p = found.table["rank_ic_p_adj"]
    console.print(
        f"{int((p < 0.05).sum())} of {int(p.notna().sum())} rank ICs have an adjusted p below 5 %; "
        "t is theirs"
    )
