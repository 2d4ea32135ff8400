"""``mrtrade costs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrtrade.cli import costs_calibrate, costs_compare
from mrtrade.cli.costs_options import BarOption, JsonOption, StoreOption, plain_table, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from mrtrade.backtest.recorded_costs import RecordedState
    from mrtrade.execution.cost_sheet import CostSheet

app = typer.Typer(
    help="What trading costs: an order beforehand, a market measured, a run afterwards.",
    no_args_is_help=True,
)


@app.command(short_help="What one order is expected to cost, part by part.")
def estimate(
    symbol: Annotated[str, typer.Option(help="Such as BTC/USDT-PERP.")],
    size: Annotated[float, typer.Option(help="Notional, quote units, such as 100000.")],
    side: Annotated[str, typer.Option(help="buy or sell.")] = "buy",
    urgency: Annotated[
        str, typer.Option(help="aggressive, passive, or the share taken at once, 0 to 1.")
    ] = "aggressive",
    exchange: Annotated[
        str | None,
        typer.Option(help="Such as BINANCE: its fees and volumes. Default: Binance's futures."),
    ] = None,
    spread_bps: Annotated[float | None, typer.Option(help="Quoted spread.")] = None,
    vol: Annotated[float | None, typer.Option(help="Annual volatility, such as 0.6.")] = None,
    vpin: Annotated[float | None, typer.Option(help="0 to 1.")] = None,
    kyle_lambda: Annotated[float | None, typer.Option(help="bps per quote unit.")] = None,
    daily_volume: Annotated[float | None, typer.Option(help="Quote units a day.")] = None,
    fill_probability: Annotated[
        float | None, typer.Option(help="Of an order that waits, 0 to 1.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="The market as recorded at this time, UTC; options above win."),
    ] = None,
    store: StoreOption = "store",
    bar: BarOption = "1s",
    calibration: Annotated[
        Path | None, typer.Option(help="What `mrtrade costs calibrate` wrote.")
    ] = None,
    impact_model: Annotated[
        str, typer.Option(help="almgren_chriss or square_root.")
    ] = "almgren_chriss",
    adverse_model: Annotated[str, typer.Option(help="vpin_based or break_even.")] = "vpin_based",
    json: JsonOption = None,
) -> None:
    """Estimate an order's cost: every part with its formula and what that is filled with.

    The market is told by options, of which --spread-bps and --vol are needed, or by a recording in
    the store at some time. Basis points are of the notional, against the mid; > 0 is paid. The
    model does not tell a buy from a sell; the price that is expected does.
    """
    from mrtrade.cli.console import make_console, refuse_unwritable
    from mrtrade.execution.cost_sheet import cost_sheet
    from mrtrade.execution.costs import URGENCIES, DynamicTransactionCostModel
    from mrtrade.instruments import instrument

    if side not in ("buy", "sell"):
        raise typer.BadParameter(f"{side!r} is neither buy nor sell", param_hint="--side")
    if json is not None:
        refuse_unwritable(json)
    given = {
        "spread_bps": spread_bps,
        "realized_vol": vol,
        "vpin": vpin,
        "kyle_lambda": kyle_lambda,
        "daily_volume": daily_volume,
        "fill_probability": fill_probability,
    }
    market = {name: value for name, value in given.items() if value is not None}
    options: dict[str, Any] = {
        "calibration": calibration,
        "impact_model": impact_model,
        "adverse_selection_model": adverse_model,
    }
    found = None if at is None else _recorded(store, exchange, symbol, at, bar)
    if found is not None:
        market = {**found.market, **market}
        model = DynamicTransactionCostModel.of(found.instrument, **options)
    elif exchange is not None:
        model = DynamicTransactionCostModel.of(instrument(exchange, symbol), **options)
    else:
        model = DynamicTransactionCostModel(**options)
    for name, option in (("spread_bps", "--spread-bps"), ("realized_vol", "--vol")):
        if name not in market:
            raise typer.BadParameter(
                "say what it is, or --at a time of a recording that tells it", param_hint=option
            )
    sheet = cost_sheet(
        model,
        symbol=symbol,
        quantity_usd=size,
        urgency=_share(urgency),
        market_state=market,
    )
    console = make_console()
    where = "" if model.exchange is None else f" on {model.exchange}"
    how = urgency if urgency in URGENCIES else f"{urgency} of it at once"
    console.print(f"[bold]{side} {size:,.10g} {sheet.quote} of {sheet.symbol}{where}, {how}[/]\n")
    console.print(_parts(sheet))
    console.print()
    console.print(_fillings(sheet))
    told: dict[str, Any] = {"side": side, "urgency": urgency, **sheet.to_dict()}
    if found is not None:
        sign = 1.0 if side == "buy" else -1.0
        price = found.mid * (1.0 + sign * 1e-4 * told["expected_cost_bps"])
        told |= {"time": str(found.time), "mid": found.mid, "price_with_costs": price}
        console.print(f"\nmid {found.mid:.8g} at {found.time}; with costs {price:.8g}")
    write_json(console, json, told)


def _recorded(store: str, exchange: str | None, symbol: str, at: str, bar: str) -> RecordedState:
    from contextlib import closing

    from mrtrade.backtest.recorded_costs import recorded_state
    from mrtrade.data.stores import open_store

    if exchange is None:
        raise typer.BadParameter("needed with --at", param_hint="--exchange")
    with closing(open_store(store)) as opened:
        return recorded_state(opened, exchange, symbol, at, bar=bar)


def _share(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _parts(sheet: CostSheet) -> Table:
    table = plain_table("part", "formula", "bps", sheet.quote, left=(0, 1))
    last = len(sheet.lines) - 1
    for i, line in enumerate(sheet.lines):
        cells = (line.part, line.formula, f"{line.bps:.3f}", f"{line.money:,.2f}")
        table.add_row(*cells, end_section=i >= last - 1, style="bold" if i == last else None)
    return table


def _fillings(sheet: CostSheet) -> Table:
    table = plain_table("", "with", "value", "unit", "from", left=(0, 1, 3, 4))
    for one in sheet.fillings:
        table.add_row(one.letter, one.meaning, f"{one.value:,.6g}", one.unit, one.origin)
    return table


app.command(short_help="Measure a recorded market for the cost model.")(costs_calibrate.calibrate)
app.command(short_help="A run's simulated costs beside the model's.")(costs_compare.compare)
