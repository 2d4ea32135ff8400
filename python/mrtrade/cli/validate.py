"""``mrtrade validate`` and ``mrtrade quarantine``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrtrade.cli.cluster import BackendOption, SchedulerOption, make_workers

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mrtrade.data.quality.findings import Finding
    from mrtrade.data.quality.report import Report, SeriesReport

FAILED_VERDICT = 3

#: Most lines of findings, gaps, timelines and quarantined rows on the screen.
MAX_LINES = 24

_COLOURS = {"FAIL": "red", "error": "red", "WARN": "yellow", "warning": "yellow", "PASS": "green"}
_BLOCKS = 52

OF_NOISE = frozenset(
    ("strategy", "interval", "days", "source", "planted", "jobs", "backend", "scheduler", "seed")
)
BOTH = frozenset(("noise", "json", "picture"))

#: Columns of the screen before a line of blocks.
_LABEL = len("    2024-08-08 23:54:13-24:00:00  ")

StoreOption = Annotated[str, typer.Option(help="Folder, or address, of the store.")]
ExchangeOption = Annotated[str | None, typer.Option(help="Only this exchange.")]
SymbolOption = Annotated[str | None, typer.Option(help="Only this symbol: BTC/USDT.")]
TableOption = Annotated[str | None, typer.Option(help="Only this table: book_delta_v2, trades.")]
StartOption = Annotated[str | None, typer.Option(help="First time, UTC.")]
EndOption = Annotated[str | None, typer.Option(help="Time after the last, UTC.")]


def validate(
    context: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(help="Files or a folder of any format; without it, what a store holds."),
    ] = None,
    store: StoreOption = "store",
    exchange: ExchangeOption = None,
    symbol: SymbolOption = None,
    table: TableOption = None,
    start: StartOption = None,
    end: EndOption = None,
    format: Annotated[
        str | None, typer.Option(help="Format of the files, where they do not show it.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A warning fails too.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Show measurements too, and every line.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write the timelines as PNG.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
    noise: Annotated[
        int | None, typer.Option(min=1, help="Noise control instead: so many data sets.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="Noise: a strategy, module:Class or file.py[:Class].")
    ] = None,
    interval: Annotated[str, typer.Option(help="Noise: length of bars.")] = "15min",
    days: Annotated[int, typer.Option(min=1, help="Noise: days of each data set.")] = 365,
    source: Annotated[
        Path | None, typer.Option("--from", help="Noise: your candles, their signs flipped.")
    ] = None,
    planted: Annotated[
        int, typer.Option(min=0, help="Noise: data sets of each size of a planted effect.")
    ] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Noise: data sets at once.")] = 1,
    backend: BackendOption = "loky",
    scheduler: SchedulerOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Noise: of the first data set.")] = 0,
) -> None:
    """Hold recorded data against the rules; exit code 3 where it fails.

    The verdict is PASS, WARN or FAIL. Files are brought into a store that is thrown away; for them
    --exchange and --symbol say what they do not say themselves.

    With --noise N the pipeline of features, models, walk-forward and gate 1 is tried on N data sets
    without a signal: how often does it say GO? Exit code 0 if in at most 5 %, else 1.
    """
    _refuse_others(context, noise=noise is not None)
    if noise is not None:
        from mrtrade.cli.noise import run_noise

        code = run_noise(
            noise,
            strategy,
            interval=interval,
            days=days,
            source=source,
            planted=planted,
            workers=make_workers(jobs, backend, scheduler),
            seed=seed,
            json=json,
            picture=picture,
        )
        raise typer.Exit(code)
    from contextlib import closing

    from mrtrade.cli.console import make_console, refuse_unwritable
    from mrtrade.data.quality.validate import validate_files, validate_store
    from mrtrade.data.stores import open_store

    for file in filter(None, (json, picture, html)):
        refuse_unwritable(file)
    console = make_console()
    with console.status("looking", spinner="line") as status:

        def tell(what: str, done: int, total: int) -> None:
            status.update(f"{what}  {done}/{total}")

        if path is None:
            with closing(open_store(store)) as opened:
                report = validate_store(
                    opened,
                    exchange=exchange,
                    symbol=symbol,
                    table=table,
                    start=start,
                    end=end,
                    progress=tell,
                )
        else:
            _refuse(path, table=table, start=start, end=end)
            hints = {"format": format, "exchange": exchange, "symbol": symbol}
            report = validate_files(path, progress=tell, **hints)
    show(console, report, None if everything else MAX_LINES)
    if json is not None:
        json.write_text(report.to_json() + "\n", encoding="utf-8")
        console.print(f"json  {json}", soft_wrap=True)
    if picture is not None:
        from mrtrade.data.quality import timeline

        picture.write_bytes(timeline.picture(report))
        console.print(f"picture  {picture}", soft_wrap=True)
    if html is not None:
        from mrtrade.data.quality.page import page

        html.write_text(page(report), encoding="utf-8")
        console.print(f"html  {html}", soft_wrap=True)
    failing = ("FAIL", "WARN") if strict else ("FAIL",)
    raise typer.Exit(FAILED_VERDICT if report.verdict in failing else 0)


def quarantine(
    store: StoreOption = "store",
    exchange: ExchangeOption = None,
    symbol: SymbolOption = None,
    table: TableOption = None,
    start: StartOption = None,
    end: EndOption = None,
    limit: Annotated[int, typer.Option(help="Most rows to list.", min=1)] = 100,
) -> None:
    """List the rows that were refused: where they came from, why, and what they said.

    One JSON object a line, for other programs to read.
    """
    import json
    from contextlib import closing

    from mrtrade.data.quality.validate import asked_span, held
    from mrtrade.data.stores import open_store

    low, high = asked_span(table, start, end)
    with closing(open_store(store)) as opened:
        listed = 0
        for name, *where in held(opened, exchange, symbol):
            if name != "quarantine":
                continue
            for chunk in opened.batches("quarantine", where[0], where[1], low, high):
                for row in chunk.rows.to_pylist():
                    if table not in (None, row["table"]):
                        continue
                    listed += 1
                    if listed <= limit:
                        said = {"exchange": where[0], "symbol": where[1], **row}
                        typer.echo(json.dumps(said, ensure_ascii=False))
    if not listed:
        typer.echo("no quarantined rows", err=True)
    elif listed > limit:
        typer.echo(f"{listed - limit:,} more: --limit {listed} lists them", err=True)


def _refuse_others(context: typer.Context, *, noise: bool) -> None:
    """Refuse options of the other kind of validation: passed over, they would mislead."""
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        if name in BOTH or (name in OF_NOISE) is noise:
            continue
        remedy = "is not for a noise control" if noise else "is for a noise control: say --noise N"
        raise typer.BadParameter(remedy, param_hint=f"'{parameter.opts[0]}'")


def _refuse(path: Path, **options: str | None) -> None:
    from mrtrade.errors import ConfigError

    for name, value in options.items():
        if value is not None:
            raise ConfigError(
                f"--{name} is for what a store holds, not for files",
                file=path,
                value=value,
                remedy="ingest the files, and validate the store",
            )


# ---- the screen


def show(console: Console, report: Report, limit: int | None) -> None:
    """Print a report; at most so many lines of a kind."""
    worth = [f for f in report.findings if limit is None or f.severity != "info"]
    order = {"error": 0, "warning": 1, "info": 2}
    worth.sort(key=lambda finding: order[finding.severity])
    console.print(_overview(report))
    if worth:
        _print_limited(console, "findings", [_finding(one, console.width) for one in worth], limit)
    gaps = [(one, gap) for one in report.series for gap in one.summary.get("gaps", [])]
    if gaps:
        _print_limited(console, "gaps (UTC)", [_gap(one, gap) for one, gap in gaps], limit)
    _print_limited(console, "rows by time (UTC)", _timelines(report, console.width), limit)
    if report.quarantined:
        lines = [
            f"{rows:>9,}  " + _wrapped(" ".join((*where, reason)), console.width, 13)
            for where, reasons in report.quarantined.items()
            for reason, rows in sorted(reasons.items(), key=lambda item: -item[1])
        ]
        _print_limited(console, "quarantined rows by reason", lines, limit)
    if report.skipped:
        console.print(f"passed over: {', '.join(report.skipped)}", soft_wrap=True, markup=False)
    counts = {name: sum(one.verdict == name for one in report.series) for name in _COLOURS}
    parts = ", ".join(f"{counts[name]} {name}" for name in ("PASS", "WARN", "FAIL"))
    colour = _COLOURS[report.verdict]
    console.print(f"[bold {colour}]{report.verdict}[/]  {len(report.series)} series: {parts}")


def _overview(report: Report) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in ("table", "exchange", "symbol"):
        table.add_column(name, overflow="fold")  # on a narrow screen: numbers are never cut
    for name in ("days", "rows", "covers", "pause", "delay"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in report.series:
        colour = _COLOURS[one.verdict]
        table.add_row(
            f"[{colour}]{one.verdict}[/]",
            one.table,
            one.exchange,
            one.symbol,
            str(len(one.summary.get("days", []))),
            f"{one.rows:,}",
            *one.cells()[:3],
        )
    return table


def _print_limited(console: Console, title: str, lines: list[str], limit: int | None) -> None:
    if not lines:
        return
    console.print(f"[bold]{title}[/]")
    for line in lines[:limit]:
        console.print(f"  {line}")
    if limit is not None and len(lines) > limit:
        console.print(f"  {len(lines) - limit} more: --all shows them, and --html FILE")
    console.print()


def _finding(finding: Finding, width: int) -> str:
    from rich.markup import escape

    colour = _COLOURS.get(finding.severity, "dim")
    where = f"{finding.table} {finding.exchange} {finding.symbol}"
    text = escape(_wrapped(f"{finding.rule}: {finding.text}", width, 10))
    return f"[{colour}]{finding.severity:7}[/] {where}\n{' ' * 10}{text}"


def _wrapped(text: str, width: int, indent: int) -> str:
    """Return text in lines that fit; all but the first are indented."""
    from textwrap import wrap

    return f"\n{' ' * indent}".join(wrap(text, width - indent - 1))


def _gap(one: SeriesReport, gap: list[int]) -> str:
    from mrtrade.clock import from_ns
    from mrtrade.data.quality.rules import span_text

    start, end = (f"{from_ns(edge):%Y-%m-%d %H:%M:%S}" for edge in gap)
    where = f"{one.table} {one.exchange} {one.symbol}"
    return f"{where:44} {start}  {end}  {span_text(gap[1] - gap[0]):>9}"


def _timelines(report: Report, width: int) -> list[str]:
    from mrtrade.data.quality.timeline import SHOWN, blocks, strips

    lines = []
    count = max(8, min(_BLOCKS, width - _LABEL))
    for one in report.series:
        if one.table in SHOWN:
            name = f"{one.table} {one.exchange} {one.symbol}"
            for strip in strips(one, count):
                lines.append(f"{name}")
                lines.append(f"  {strip.label}  {blocks(strip, count)}")
                name = ""
    return [line for line in lines if line]
