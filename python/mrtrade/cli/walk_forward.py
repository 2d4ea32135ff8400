"""``mrtrade walk-forward``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mrtrade.cli.cluster import BackendOption, SchedulerOption, make_workers

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mrtrade.validation.folds import FoldResult
    from mrtrade.validation.gate_one import GateOne
    from mrtrade.validation.settings import WalkForwardConfig
    from mrtrade.validation.walk_forward import WalkForwardResult

ConfigArgument = Annotated[
    Path | None, typer.Argument(help="YAML file, as config/validation.yaml.")
]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of datasets, in place of candles.")
]
RootOption = Annotated[Path | None, typer.Option(help="Where the files of candles lie.")]
StrategiesOption = Annotated[
    str | None, typer.Option(help="Some of the configuration's, with commas between.")
]
SymbolsOption = Annotated[
    str | None, typer.Option(help="Some of the symbols, with commas between.")
]
JobsOption = Annotated[int, typer.Option(min=1, help="Folds at once.")]
OutOption = Annotated[Path, typer.Option(help="Folder for results, verdicts and pages.")]
LedgerOption = Annotated[Path, typer.Option(help="File in which all trials are counted.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any key of the configuration; repeatable."),
]


def walk_forward(
    config: ConfigArgument = None,
    data: DataOption = None,
    root: RootOption = None,
    strategies: StrategiesOption = None,
    symbols: SymbolsOption = None,
    jobs: JobsOption = 1,
    backend: BackendOption = "loky",
    scheduler: SchedulerOption = None,
    out: OutOption = Path("walk-forward"),
    ledger: LedgerOption = Path("trials.jsonl"),
    settings: SetOption = None,
) -> None:
    """Choose and train on the past, trade what follows, fold by fold; then judge it by gate 1.

    Results go to OUT/SYMBOL/STRATEGY. A NO-GO is a result: the exit code is 0. `mrtrade gate 1`
    judges again what was saved, and its exit code says what came of it.
    """
    from mrtrade.cli.backtest import _setting
    from mrtrade.cli.console import make_console, refuse_unwritable
    from mrtrade.ml.trials import TrialLedger
    from mrtrade.validation.settings import load_settings
    from mrtrade.validation.walk_forward import walk_forward as walk

    overrides = dict(_setting(text) for text in settings or ())
    if root is not None:
        overrides["data.root"] = str(root)
    workers = make_workers(jobs, backend, scheduler)
    chosen = _some(load_settings(config if config is not None else {}, overrides), strategies)
    refuse_unwritable(out, folder=True)
    console = make_console()
    with console.status("candles, bars, features", spinner="line"):
        folders = _folders(chosen, data, symbols)
    trials = TrialLedger(ledger)
    results: list[WalkForwardResult] = []
    begun = time.monotonic()
    for symbol, folder in folders.items():
        others = {
            one: folders[one]
            for one in (chosen.cross.test if symbol == chosen.cross.train else ())
            if one in folders
        }
        with Progress(console, symbol) as progress:
            study = walk(
                folder, chosen, others=others, workers=workers, ledger=trials, each=progress
            )
        for label, result in study.results.items():
            results += [result, *study.across[label].values()]
    console.print(f"{time.monotonic() - begun:.1f} s", style="dim")
    save(results, out)
    show(console, results)
    for result in results:
        if result.symbol == result.learnt_on and _judged(result.symbol, chosen):
            across = [one for one in results if _is_of(one, result)]
            show_gate(console, judge(result, across, trials, None, out))
    console.print(f"trials  {trials.count(chosen.project)} of {chosen.project} in {ledger}")
    console.print(f"results  {out}", soft_wrap=True)


def _some(config: WalkForwardConfig, strategies: str | None) -> WalkForwardConfig:
    from mrtrade.errors import ConfigError

    if strategies is None:
        return config
    wanted = [one.strip() for one in strategies.split(",") if one.strip()]
    if unknown := [one for one in wanted if one not in config.strategies]:
        raise ConfigError(
            "the configuration has no such strategy",
            key="--strategies",
            value=unknown[0],
            expected=f"one of {', '.join(config.strategies)}",
        )
    kept = {name: config.strategies[name] for name in wanted}
    return config.model_copy(update={"strategies": kept})


def _judged(symbol: str, config: WalkForwardConfig) -> bool:
    return config.cross.train in (None, symbol)


def _is_of(one: WalkForwardResult, result: WalkForwardResult) -> bool:
    """Whether a result is that of the same strategy, learnt there, on another symbol."""
    return (
        one.label == result.label and one.learnt_on == result.symbol and one.symbol != result.symbol
    )


def _folders(config: WalkForwardConfig, data: Path | None, symbols: str | None) -> dict[str, Path]:
    """Return the folders of the datasets by symbol, made of candles where they are not there."""
    from mrtrade.errors import ConfigError

    found = _stored(data) if data is not None else _made(config, symbols)
    wanted = list(found) if symbols is None else [one.strip() for one in symbols.split(",")]
    missing = [one for one in wanted if one not in found]
    if missing or not wanted:
        raise ConfigError(
            f"no data of {missing[0]}" if missing else "no data",
            value=None if data is None else str(data),
            expected="symbols in the configuration's data.symbols, or datasets in --data",
        )
    return {one: found[one] for one in wanted}


def _stored(data: Path) -> dict[str, Path]:
    from mrtrade.ml.dataset import MANIFEST

    files = sorted(data.glob(f"*/{MANIFEST}")) or sorted(data.glob(MANIFEST))
    return {json.loads(file.read_text(encoding="utf-8"))["symbol"]: file.parent for file in files}


def _made(config: WalkForwardConfig, symbols: str | None) -> dict[str, Path]:
    from mrtrade.validation.sources import dataset_folder

    wanted = config.data.symbols if symbols is None else symbols.split(",")
    return {
        symbol: dataset_folder(symbol, config.data)
        for symbol in (one.strip() for one in wanted)
        if symbol in config.data.symbols
    }


class Progress:
    """Shows how far the folds are, and a line for each that is done."""

    def __init__(self, console: Console, label: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._console = console
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=None)
        self._label = label
        self._told = False

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, fold: FoldResult, folds: int) -> None:
        """Take a fold that is done."""
        from mrtrade.clock import utc_day

        self._bar.update(self._task, total=folds, advance=1)
        nets = "  ".join(f"{100.0 * one.frame['net'].sum():+6.2f}" for one in fold.outcomes)
        if not self._told:
            self._told = True
            names = ", ".join(one.label for one in fold.outcomes)
            self._console.print(f"{self._label}: net % of {names}", markup=False)
        ic = "" if fold.model is None else f"  IC {fold.model.ic:+.3f}"
        self._console.print(
            f"  fold {fold.rows.number + 1:2d}/{folds}  {utc_day(fold.test_ns[0])}  {nets}{ic}",
            markup=False,
        )


def save(results: list[WalkForwardResult], out: Path) -> None:
    """Save results by the symbol they were learnt on, the strategy and the symbol traded."""
    for result in results:
        result.save(place(out, result.learnt_on, result.label, result.symbol))


def place(out: Path, learnt_on: str, label: str, symbol: str) -> Path:
    """Return the folder of a result."""
    folder = out / learnt_on.replace("/", "-") / label
    return folder / ("own" if symbol == learnt_on else symbol.replace("/", "-"))


def judge(
    result: WalkForwardResult,
    across: list[WalkForwardResult],
    trials: Any,
    noise: Any,
    out: Path,
) -> GateOne:
    """Judge a result by gate 1; write the verdict and the page beside it."""
    from mrtrade.validation.gate_one import gate_one
    from mrtrade.validation.page import write_page
    from mrtrade.validation.walk_report import report_of

    found = gate_one(
        result,
        across={one.symbol: one for one in across},
        ledger=trials,
        noise=noise,
    )
    folder = place(out, result.learnt_on, result.label, result.symbol).parent
    found.verdict.to_json(folder / "gate-1.json")
    write_page(report_of(result, found), folder / "report.html")
    return found


def show_gate(console: Console, found: GateOne) -> None:
    """Print a verdict."""
    from mrtrade.cli.verdicts import show_verdict

    console.print(f"\n[bold]{found.verdict.subject}[/]")
    show_verdict(console, found.verdict)


def show(console: Console, results: list[WalkForwardResult]) -> None:
    """Print what came of it, a table a strategy."""
    for label in dict.fromkeys(result.label for result in results):
        console.print(_table(label, [one for one in results if one.label == label]))
    console.print(
        "sums, % of capital, cost and fund(ing) positive where paid; SR a year, SR0 before costs; "
        "A>B: learnt on A, traded on B",
        style="dim",
    )


def _table(label: str, results: list[WalkForwardResult]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"\n{label}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("traded", no_wrap=True)
    for name in ("folds", "days", "trades", "IC", "gross", "cost", "fund", "net", "SR0", "SR"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        stats = result.stats()
        coin = result.symbol.partition("/")[0]
        source = result.learnt_on.partition("/")[0]
        table.add_row(
            coin if coin == source else f"{source}>{coin}",
            str(len(result.folds)),
            f"{stats['days']:.0f}",
            f"{stats['trades']:,.0f}",
            _number(stats["ic"], "+.3f"),
            *(f"{100.0 * stats[name]:+.1f}" for name in ("gross", "cost", "funding", "net")),
            _number(stats["gross_sharpe"], "+.2f"),
            _number(stats["net_sharpe"], "+.2f"),
        )
    return table


def _number(value: float, form: str) -> str:
    return format(value, form) if value == value else "-"
