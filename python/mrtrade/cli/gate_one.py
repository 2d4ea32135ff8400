"""``mrtrade gate 1``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mrtrade.validation.walk_forward import WalkForwardResult

RunsArgument = Annotated[Path, typer.Argument(help="What `mrtrade walk-forward --out` wrote.")]
StrategyOption = Annotated[str | None, typer.Option(help="Of several the one to judge.")]
SymbolOption = Annotated[str | None, typer.Option(help="Learnt on which symbol, of several.")]
LedgerOption = Annotated[Path, typer.Option(help="File in which all trials were counted.")]
NoiseOption = Annotated[
    Path | None, typer.Option(help="JSON of `mrtrade validate --noise` of the same pipeline.")
]


def walked(
    runs: RunsArgument = Path("walk-forward"),
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    ledger: LedgerOption = Path("trials.jsonl"),
    noise: NoiseOption = None,
) -> None:
    """Judge a walk-forward that was saved; writes gate-1.json and report.html beside it."""
    from mrtrade.cli.console import make_console
    from mrtrade.cli.walk_forward import judge, place, show_gate
    from mrtrade.ml.trials import TrialLedger
    from mrtrade.validation.noise import NoiseReport

    result, across = _read(runs, strategy, symbol)
    control = None if noise is None else NoiseReport.from_json(noise).control()
    found = judge(result, across, TrialLedger(ledger), control, runs)
    console = make_console()
    show_gate(console, found)
    folder = place(runs, result.learnt_on, result.label, result.symbol).parent
    console.print(f"written {folder}/gate-1.json, report.html", soft_wrap=True, markup=False)
    raise typer.Exit(found.verdict.exit_code)


def _read(
    runs: Path, strategy: str | None, symbol: str | None
) -> tuple[WalkForwardResult, list[WalkForwardResult]]:
    """Return the result that is meant, and those of other symbols."""
    from mrtrade.errors import ConfigError, DataError
    from mrtrade.validation.walk_forward import RESULT, WalkForwardResult

    plain = None if symbol is None else symbol.replace("/", "-")
    found = [
        file.parent
        for file in sorted(runs.glob(f"*/*/own/{RESULT}"))
        if strategy in (None, file.parts[-3]) and plain in (None, file.parts[-4])
    ]
    if not found:
        there = ["/".join(one.parts[-4:-2]) for one in sorted(runs.glob(f"*/*/own/{RESULT}"))]
        raise DataError(
            "no such result of a walk-forward" if there else "no result of a walk-forward",
            file=runs,
            value=" ".join(one for one in (symbol, strategy) if one) or None,
            expected=f"one of {', '.join(there)}" if there else None,
            remedy="choose by --symbol and --strategy"
            if there
            else "name the folder that `mrtrade walk-forward --out` wrote",
        )
    if len(found) > 1:
        names = ", ".join("/".join(folder.parts[-3:-1]) for folder in found)
        raise ConfigError(
            "several results", file=runs, value=names, remedy="choose by --symbol and --strategy"
        )
    others = [
        file.parent
        for file in sorted(found[0].parent.glob(f"*/{RESULT}"))
        if file.parent != found[0]
    ]
    return WalkForwardResult.load(found[0]), [WalkForwardResult.load(one) for one in others]
