"""``mrtrade features compute``."""

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
    tell_missing,
)

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def compute(
    out: Annotated[Path, typer.Option(help="Parquet file to write, a column a feature.")],
    file: FileOption = None,
    store: StoreOption = "store",
    exchange: ExchangeOption = None,
    symbol: SymbolOption = None,
    other: OtherOption = None,
    interval: IntervalOption = None,
    features: FeaturesOption = "all",
    start: StartOption = None,
    end: EndOption = None,
) -> None:
    """Compute features of what a store holds, or of candles, and write them to a Parquet file.

    Its index ``time`` is the end of the bar: when the values were known. The file is written
    beside its place and renamed, so that it is whole or not there.
    """
    from mrtrade.cli.console import make_console, refuse_unwritable
    from mrtrade.data.parquet.files_local import LocalFiles
    from mrtrade.features import compute as compute_features

    names = names_of(features)
    refuse_unwritable(out)
    console = make_console()
    with console.status("reading bars") as status:
        bars = load(file, store, exchange, symbol, other, interval, start, end)
        status.update(f"{len(names)} features of {len(bars):,} bars")
        values = compute_features(bars, names)
        status.update(f"writing {out}")
        with LocalFiles(out.parent).write(out.name) as temporary:
            values.to_parquet(temporary)
    console.print(_overview(values))
    tell_missing(console, bars, values, each=True)
    if len(bars):
        console.print(f"{len(bars):,} bars from {bars.index[0]} to {bars.index[-1]}")
    console.print(f"written {out}", soft_wrap=True)


def _overview(values: pd.DataFrame) -> Table:
    from rich import box
    from rich.table import Table

    from mrtrade.features import FAMILIES, get

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("family")
    for name in ("features", "with values", "bars that have one"):
        table.add_column(name, justify="right")
    shares = values.notna().mean()
    of = {name: get(name).family for name in map(str, values)}
    for family in dict.fromkeys((*FAMILIES, *of.values())):
        mine = shares[[one == family for one in of.values()]]
        if len(mine):
            some = mine[mine > 0.0]
            share = f"{some.mean():.1%}" if len(some) else ""
            table.add_row(family, str(len(mine)), str(len(some)), share)
    return table
