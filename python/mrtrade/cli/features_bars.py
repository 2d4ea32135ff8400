"""Where the commands of ``mrtrade features`` take bars from: a store, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="Parquet, not a store: candles with their start, or bars."),
]
StoreOption = Annotated[str, typer.Option(help="Folder, or address, of the store.")]
ExchangeOption = Annotated[str | None, typer.Option(help="Such as BINANCE_FUTURES.")]
SymbolOption = Annotated[str | None, typer.Option(help="Such as BTC/USDT-PERP.")]
OtherOption = Annotated[str | None, typer.Option(help="Second asset, for its features.")]
IntervalOption = Annotated[
    str | None, typer.Option(help="Length of a bar, such as 5min; default: 1s.", show_default=False)
]
StartOption = Annotated[str | None, typer.Option(help="First time, UTC.")]
EndOption = Annotated[str | None, typer.Option(help="Time after the last, UTC.")]
FeaturesOption = Annotated[
    str, typer.Option("--features", help="all, or families and names, with commas between.")
]


def split(text: str) -> list[str]:
    """Return the words of a list with commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def names_of(features: str) -> list[str]:
    """Return the names that ``--features`` stands for."""
    from mrtrade.features import select

    if not split(features):
        raise typer.BadParameter("names no feature", param_hint="--features")
    return select(split(features))


def load(
    file: Path | None,
    store: str,
    exchange: str | None,
    symbol: str | None,
    other: str | None,
    interval: str | None,
    start: str | None,
    end: str | None,
) -> pd.DataFrame:
    """Return bars."""
    if file is not None:
        given = {"exchange": exchange, "symbol": symbol, "other": other, "interval": interval}
        for name, value in given.items():
            if value is not None:
                raise typer.BadParameter("is for a store, not for a file", param_hint=f"--{name}")
        return _read(file, start, end)
    if exchange is None or symbol is None:
        raise typer.BadParameter(
            "say --exchange and --symbol of what is in the store, or --file",
            param_hint="--exchange" if exchange is None else "--symbol",
        )
    from contextlib import closing

    from mrtrade.data.stores import open_store
    from mrtrade.features.market import load_bars

    with closing(open_store(store)) as opened:
        return load_bars(opened, exchange, symbol, interval or "1s", start, end, other=other)


def tell_missing(console: Console, bars: pd.DataFrame, values: pd.DataFrame, *, each: bool) -> None:
    """Print how many features, or which, have no value at all, by what the bars lack."""
    from rich.padding import Padding
    from rich.text import Text

    from mrtrade.features import COLUMNS, get
    from mrtrade.features.compute import plan

    faults = {what: bars.attrs.get(what, 0) for what in ("missing", "bad", "late")}
    if any(faults.values()):
        told = ", ".join(f"{count:,} {what}" for what, count in faults.items() if count)
        console.print(f"candles: {told}; these bars are not there or have no prices", markup=False)
    lacking: dict[str, list[str]] = {}
    for name in map(str, values.columns[values.isna().all()]):
        absent = [one for one in plan([name])[1] if one != "time" and one not in bars]
        origins = sorted({COLUMNS[one].origin for one in absent})
        if absent:
            why = f"the bars have no {' and no '.join(origins)}"
        elif get(name).warmup >= len(bars):
            why = "its first would come after the last of these bars"
        else:
            why = "no bar has one"
        lacking.setdefault(why, []).append(name)
    for why, names in lacking.items():
        console.print(f"{len(names)} without a value: {why}", markup=False)
        if each:
            console.print(Padding(Text(", ".join(names), "dim"), (0, 0, 0, 2)))


def _read(file: Path, start: str | None, end: str | None) -> pd.DataFrame:
    import pandas as pd

    from mrtrade.clock import from_ns, to_ns
    from mrtrade.errors import DataError
    from mrtrade.features.candles import candle_bars

    if not file.is_file():
        raise DataError("no such file", file=file)
    try:
        frame = pd.read_parquet(file)
    except Exception as error:
        raise DataError(f"is not Parquet: {error}", file=file) from error
    if frame.empty:
        raise DataError("holds no rows", file=file)
    if "time" in frame:
        frame = frame.set_index("time")
    if "mid" in frame:
        frame = frame.set_axis(from_ns(to_ns(frame.index)).rename("time"))
    else:
        frame = candle_bars(frame)
    time = to_ns(frame.index)
    first, last = time.searchsorted(
        [to_ns(start) if start else time[0] if len(time) else 0, to_ns(end) if end else 2**63 - 1]
    )
    if first >= last:
        span = f"{frame.index[0]} to {frame.index[-1]}"
        raise DataError("holds no bars of this time", file=file, expected=f"some of {span}")
    return frame.iloc[first:last]
