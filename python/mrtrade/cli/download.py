"""``mrtrade download``."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mrtrade.data.download import State

#: Exit codes: days that failed, or gaps; ended by Ctrl-C.
INCOMPLETE, INTERRUPTED = 3, 130


def download(
    symbol: Annotated[
        str | None, typer.Option(help="BTC/USDT, BTC/USDT-PERP.", show_default=False)
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="First UTC day, e.g. 2022-11-14.", show_default=False)
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="UTC day after the last one.", show_default="today")
    ] = None,
    exchange: Annotated[
        str | None, typer.Option(help="E.g. binance, coinbase.", show_default="binance")
    ] = None,
    tables: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: book_delta_v2, trades, book, candles, funding, open_interest, "
            "liquidations, level_1.",
            show_default="all but the last, as far as there are",
        ),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", "--store", help="parquet (the folder store), timescale, or a store's address."
        ),
    ] = "parquet",
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Days fetched at a time.")] = 4,
    keep_cache: Annotated[
        bool,
        typer.Option(
            "--keep-cache/--drop-cache", help="Whether fetched files stay when they are stored."
        ),
    ] = True,
    sample: Annotated[bool, typer.Option("--sample", help="The free sample: no keys.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, do nothing.")] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="List what there is, of --symbol or of all.")
    ] = False,
    allow_gaps: Annotated[
        bool, typer.Option("--allow-gaps", help="Exit 0 although days are missing or failed.")
    ] = False,
) -> None:
    """Bring order books, trades and more from Crypto Lake into the store.

    Keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the cache's folder from
    MRTRADE_LAKE_CACHE. Running it again goes on where it ended, fetches what was corrected, and
    does nothing twice. Exit code 3: a day failed, or a table lacks 1 % of its time or rows; 130:
    ended by Ctrl-C.
    """
    from contextlib import closing

    from mrtrade.cli.console import make_console
    from mrtrade.cli.download_text import offered, plan_lines, summary_lines
    from mrtrade.data.download import prepare
    from mrtrade.data.providers.lake import CryptoLakeProvider
    from mrtrade.data.stores import open_store

    console = make_console()
    provider = CryptoLakeProvider(sample=sample)
    chosen = None if tables is None else [one.strip() for one in tables.split(",")]
    if list_:
        for part in offered(provider, chosen, exchange, symbol):
            console.print(part, soft_wrap=True)
        return
    symbol, start = _given("--symbol", symbol), _given("--start", start)
    target = "store" if to == "parquet" else to
    with closing(open_store(target)) as store:
        bars = Bars(console)
        task = prepare(
            symbol,
            start,
            end,
            exchange=exchange or "binance",
            tables=chosen,
            store=store,
            provider=provider,
            jobs=jobs,
            keep_cache=keep_cache,
            progress=bars,
        )
        for part in plan_lines(task.plan, store.url):
            console.print(part, soft_wrap=True)
        if not dry_run:
            task.plan.check_room()
        if dry_run:
            return
        try:
            with bars:
                report = task.run()
        except KeyboardInterrupt:
            report = task.report
            allow_gaps = False
        for part in summary_lines(report):
            console.print(part, soft_wrap=True)
    if report.stopped == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if report.stopped or not (report.is_complete or allow_gaps):
        raise typer.Exit(INCOMPLETE)


def _given(name: str, value: str | None) -> str:
    from mrtrade.errors import ConfigError

    if value is None:
        raise ConfigError(
            "not given",
            key=name,
            expected="mrtrade download --symbol BTC/USDT --start 2022-11-14",
            remedy=f"give {name}, or --list to see what there is",
        )
    return value


class Bars:
    """Shows how far a download is: two bars, or without a terminal a line at each 10 %.

    Parameters
    ----------
    console : Console
    """

    def __init__(self, console: Console) -> None:
        from time import monotonic

        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = console
        self._clock = monotonic
        self._began = monotonic()
        self._tenths = 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[doing]}", style="dim"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=600.0,  # a day may take minutes to write
        )
        self._fetch, self._write = (
            self._bars.add_task(name, total=None, state="", doing="") for name in ("fetch", "write")
        )

    def __enter__(self) -> Self:
        self._began = self._clock()
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, state: State) -> None:
        """Take how far it is."""
        from mrtrade.cli.download_text import day_line, length, size

        passed = max(self._clock() - self._began, 1e-9)
        fetched = f"{size(state.fetched)} of {size(state.size)}, {size(state.fetched / passed)}/s"
        written = f"{state.done} of {state.days} partitions"
        self._bars.update(self._fetch, completed=state.fetched, total=state.size, state=fetched)
        self._bars.update(
            self._write,
            completed=state.settled,
            total=state.size,
            state=written,
            doing=state.doing,
        )
        if state.finished is None:
            return
        self._console.print(day_line(state.finished), soft_wrap=True)
        tenths = 10 * state.done // state.days
        if tenths > self._tenths and not self._console.is_terminal:
            self._tenths = tenths
            left = passed * (state.size - state.settled) / max(state.settled, 1)
            self._console.print(
                f"{10 * tenths}%: {written}, fetched {fetched}, ETA {length(int(left * 1e9))}",
                soft_wrap=True,
            )
