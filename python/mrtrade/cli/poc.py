"""``mrtrade poc``: gate 0."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mrtrade.validation.poc import Poc

#: Features on the screen.
TOP = 10

StoreOption = Annotated[str, typer.Option(help="Folder, or address, of the store.")]
ExchangeOption = Annotated[str, typer.Option(help="Such as BINANCE_FUTURES.")]
SymbolOption = Annotated[str, typer.Option(help="Such as BTC/USDT-PERP.")]
DaysOption = Annotated[int, typer.Option(min=1, help="At most so many days, the last ones stored.")]
BarOption = Annotated[str, typer.Option(help="Length of a bar, such as 10s.")]
HorizonOption = Annotated[int, typer.Option(min=1, help="Bars that are forecast over.")]
StartOption = Annotated[str | None, typer.Option(help="First day, in place of the last ones; UTC.")]
CapitalOption = Annotated[float, typer.Option(min=1, help="USD: the size of a position.")]
ModeOption = Annotated[str, typer.Option(help="aggressive or passive.")]
OutOption = Annotated[Path | None, typer.Option(help="JSON of the verdict.", show_default=False)]
JobsOption = Annotated[int, typer.Option(min=1, help="Threads that train.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the model.")]
FeeOption = Annotated[
    float | None,
    typer.Option(min=-999, max=999, help="In place of the exchange's.", show_default=False),
]
LedgerOption = Annotated[Path, typer.Option(help="File in which all trials are counted.")]


def poc(
    store: StoreOption = "store",
    exchange: ExchangeOption = "BINANCE",
    symbol: SymbolOption = "BTC/USDT",
    days: DaysOption = 7,
    bar: BarOption = "1s",
    horizon: HorizonOption = 10,
    start: StartOption = None,
    capital: CapitalOption = 10_000.0,
    mode: ModeOption = "aggressive",
    out: OutOption = None,
    jobs: JobsOption = 1,
    seed: SeedOption = 0,
    maker_fee_bps: FeeOption = None,
    taker_fee_bps: FeeOption = None,
    ledger: LedgerOption = Path("trials.jsonl"),
) -> None:
    """Gate 0: from raw deltas and trades to a verdict, in about a minute.

    Ten features and a small model, trained on the first 60 % of the recording, traded on the rest
    by simulated orders. The verdict is written as JSON too, by default poc-EXCHANGE-SYMBOL.json.
    Each configuration that was traded counts as a trial of its symbol: the more there were, the
    more a criterion asks for.
    """
    from contextlib import closing

    from mrtrade.cli.console import make_console, refuse_unwritable
    from mrtrade.data.stores import open_store
    from mrtrade.errors import ConfigError
    from mrtrade.instruments import to_lake, user_symbol
    from mrtrade.ml.trials import TrialLedger
    from mrtrade.validation.poc import prove
    from mrtrade.validation.poc_stage import PocSettings

    if mode not in ("aggressive", "passive"):
        raise ConfigError(
            "no such way to send orders", key="--mode", value=mode, expected="aggressive, passive"
        )
    settings = PocSettings(
        exchange=exchange,
        symbol=symbol,
        days=days,
        bar=bar,
        horizon=horizon,
        start=start,
        capital=capital,
        mode=mode,
        seed=seed,
        maker_fee_bps=maker_fee_bps,
        taker_fee_bps=taker_fee_bps,
    )
    place = out or Path(f"poc-{exchange.upper()}-{to_lake(user_symbol(symbol))}.json")
    refuse_unwritable(place)
    console = make_console()
    with (
        console.status("looking at the store", spinner="line") as status,
        closing(open_store(store)) as opened,
    ):
        found = prove(opened, settings, status.update, threads=jobs, ledger=TrialLedger(ledger))
    show(console, found)
    found.verdict.to_json(place)
    if "trials" in found.verdict.about:
        console.print(f"trials  {found.verdict.about['trials']} of this symbol in {ledger}")
    console.print(f"json  {place}", soft_wrap=True)
    raise typer.Exit(found.verdict.exit_code)


def show(console: Console, found: Poc) -> None:
    """Print the table of criteria and what is behind it."""
    from mrtrade.cli.verdicts import show_verdict

    about = found.verdict.about
    console.print(f"[bold]{found.verdict.subject}[/]")
    console.print(
        f"{about['recorded']} of the {about['days_asked']} days asked for, "
        f"{about['events']:,} events, {about['bars']:,} bars: "
        f"{about['train_bars']:,} train, {about['test_bars']:,} test; "
        f"forecasts over {about['horizon_bars']} bars",
        markup=False,
    )
    if len(found.features):
        console.print(_features(found))
        console.print(_money(found))
    show_verdict(console, found.verdict)


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right")
    return table


def _features(found: Poc) -> Table:
    table = _table("what moves the forecast", "SHAP, bps", "share", "direction")
    for row in found.features.head(TOP).itertuples(index=False):
        table.add_row(
            str(row.feature), f"{row.shap_bps:.3f}", f"{row.share:.0%}", f"{row.direction:+.2f}"
        )
    return table


def _money(found: Poc) -> Table:
    money = found.money
    steps = [str(name) for name in money.columns if name not in ("entries", "turnover")]
    if not money["funding"].any():
        steps.remove("funding")
    table = _table("model", "entries", "traded", *steps)
    table.caption = "traded: fills in multiples of capital; money in bps of capital"
    table.caption_justify = "left"
    for name, row in money.iterrows():
        table.add_row(
            str(name),
            f"{row['entries']:,.0f}",
            f"{row['turnover']:,.1f}x",
            *(f"{row[step]:+,.1f}" for step in steps),
        )
    return table
