"""``mrtrade costs calibrate``."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrtrade.cli.costs_options import BarOption, StoreOption, plain_table

if TYPE_CHECKING:
    from rich.table import Table

    from mrtrade.execution.calibrated import Calibration, Markouts

NAMES = {
    "kyle_lambda": "Kyle's lambda",
    "book_slope": "book's slope",
    "square_root_y": "square-root Y",
}


def calibrate(
    exchange: Annotated[str, typer.Option(help="Such as BINANCE_FUTURES.")],
    symbol: Annotated[str, typer.Option(help="Such as BTC/USDT-PERP.")],
    store: StoreOption = "store",
    start: Annotated[str | None, typer.Option(help="First time, UTC.")] = None,
    end: Annotated[str | None, typer.Option(help="Time after the last, UTC.")] = None,
    bar: BarOption = "1s",
    bins: Annotated[int, typer.Option(min=1, help="Of VPIN, for the mark-outs.")] = 5,
    resamples: Annotated[int, typer.Option(min=99, help="Of each bootstrap.")] = 999,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Default: costs-EXCHANGE-SYMBOL.json.", show_default=False)
    ] = None,
) -> None:
    """Measure lambda, the square-root constant, the book's slope and mark-outs on a recording.

    The file is read by `transaction_costs: {calibration: FILE}` of a backtest, and by
    `mrtrade costs estimate --calibration FILE`. What the data do not determine is said, and the
    model goes by its rule there. Needs pip install 'mrtrade[research]'.
    """
    from contextlib import closing

    from mrtrade.backtest.recorded_costs import calibrate_recording
    from mrtrade.cli.console import make_console, refuse_unwritable
    from mrtrade.data.stores import open_store
    from mrtrade.instruments import to_lake, user_symbol, venue

    place = out or Path(f"costs-{venue(exchange, symbol)}-{to_lake(user_symbol(symbol))}.json")
    refuse_unwritable(place)
    console = make_console()
    with console.status("measuring"), closing(open_store(store)) as opened:
        found = calibrate_recording(
            opened, exchange, symbol, start, end,
            bar=bar, bins=bins, resamples=resamples, seed=seed,
        )  # fmt: skip
    span = f"{found.start[:19]} to {found.end[:19]}"
    console.print(f"[bold]{found.exchange} {found.symbol}[/], {found.bars:,} bars, {span} UTC")
    console.print(
        f"volume of a day {found.daily_volume:,.4g}, spread {found.spread_bps:,.3g} bps, "
        f"volatility {found.realized_vol:.3g} a year"
    )
    console.print()
    console.print(_estimates(found))
    console.print()
    if found.markouts is not None:
        console.print(_mark_outs(found.markouts))
        console.print()
    for note in found.notes:
        console.print(f"beware: {note}", markup=False)
    found.save(place)
    console.print(f"calibration  {place}", soft_wrap=True)


def _estimates(found: Calibration) -> Table:
    table = plain_table("", "value", "95 %", "unit", "determined", left=(0, 3, 4))
    for name, spelt in NAMES.items():
        one = getattr(found, name)
        if one.value is None:
            table.add_row(spelt, "", "", one.unit, f"no: {one.note}")
            continue
        told = "yes" if one.determined else "no: may be 0"
        interval = f"{one.low:.3g} to {one.high:.3g}"
        table.add_row(spelt, f"{one.value:.3g}", interval, one.unit, f"{told}; {one.note}")
    return table


def _mark_outs(found: Markouts) -> Table:
    """Lay out how far the mid went against makers, by VPIN; in one row where that tells nothing."""
    table = plain_table("mark-outs", "bars", *(f"{h:g} s after" for h in found.horizons_s))
    if all(row == found.adverse_bps[0] for row in found.adverse_bps):
        names, numbers = ["any VPIN"], [sum(found.n)]
    else:
        low, high = (f"{edge:.3g}" for edge in (found.edges[0], found.edges[-1]))
        between = (f"{a:.3g} to {b:.3g}" for a, b in pairwise(found.edges))
        names, numbers = [f"VPIN < {low}", *between, f"VPIN >= {high}"], list(found.n)
    for name, n, means, errors in zip(
        names, numbers, found.adverse_bps, found.se_bps, strict=False
    ):
        cells = (
            "" if m is None or se is None else f"{m:.2f} +- {se:.2f} bps"
            for m, se in zip(means, errors, strict=True)
        )
        table.add_row(name, f"{n:,}", *cells)
    return table
