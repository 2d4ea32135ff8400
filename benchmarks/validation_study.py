"""The tables of docs/validation-study.md, of what a walk-forward wrote.

    mrtrade walk-forward config/validation.yaml --root LAKE --jobs 2 --out walk-forward
    python -m benchmarks.validation_study walk-forward

Every table is of the folder's results and verdicts as they are; nothing is computed anew.
"""

import argparse
import math
from pathlib import Path

from mrtrade.backtest.metrics import sharpe
from mrtrade.validation.criteria import Verdict, read_verdict
from mrtrade.validation.walk_forward import RESULT, YEAR, WalkForwardResult

TOP = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path, help="what `mrtrade walk-forward --out` wrote")
    runs = parser.parse_args().runs
    results = [WalkForwardResult.load(file.parent) for file in sorted(runs.glob(f"*/*/*/{RESULT}"))]
    labels = list(results[0].manifest["config"]["strategies"])
    labels = [label for label in labels if any(one.label == label for one in results)]
    for label in labels:
        print(f"\n**{label}**\n")
        earned([one for one in results if one.label == label])
    verdicts = {
        label: read_verdict(file)
        for label in labels
        for file in runs.glob(f"*/{label}/gate-1.json")
    }
    print("\n## Gate 1\n")
    gates(verdicts)
    for one in results:
        if one.symbol == one.learnt_on and len(one.importance):
            print(f"\n## What {one.label} looks at on {one.symbol}\n")
            looked_at(one)
    print("\n## Every set of the grids\n")
    grids(labels, [one for one in results if one.symbol == one.learnt_on])


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


def head(*names: str, left: int = 1) -> None:
    row(*names)
    row(*["---"] * left, *["---:"] * (len(names) - left))


def coin(symbol: str) -> str:
    return symbol.partition("/")[0]


def ratio(value: float, form: str = "+.2f") -> str:
    return format(value, form) if math.isfinite(value) else ""


def earned(results: list[WalkForwardResult]) -> None:
    names = ("folds", "days", "trades", "IC", "gross", "cost", "funding", "net", "SR0", "SR")
    head("traded", *names)
    for one in sorted(results, key=lambda one: (coin(one.learnt_on), one.symbol != one.learnt_on)):
        stats = one.stats()
        own = one.symbol == one.learnt_on
        row(
            coin(one.symbol) if own else f"{coin(one.learnt_on)}>{coin(one.symbol)}",
            str(len(one.folds)),
            f"{stats['days']:.0f}",
            f"{stats['trades']:,.0f}",
            ratio(stats["ic"], "+.3f"),
            f"{100.0 * stats['gross']:+.1f}",
            f"{100.0 * stats['cost']:.1f}",
            f"{100.0 * stats['funding']:+.1f}",  # positive: paid
            f"{100.0 * stats['net']:+.1f}",
            ratio(stats["gross_sharpe"]),
            ratio(stats["net_sharpe"]),
        )


def gates(verdicts: dict[str, Verdict]) -> None:
    head("criterion", "needed", *verdicts)
    told = {label: {line[0]: line for line in one.rows()} for label, one in verdicts.items()}
    for name in dict.fromkeys(name for lines in told.values() for name in lines):
        lines = [lines.get(name) for lines in told.values()]
        needed = next(line[2] for line in lines if line)
        row(name, needed, *(_judged(line) for line in lines))
    row("**decision**", "", *(f"**{one.decision}**" for one in verdicts.values()))


def _judged(line: tuple[str, ...] | None) -> str:
    if line is None or line[3] == "not judged":
        return "not judged"
    return f"{line[1]} {line[3]}"


def looked_at(one: WalkForwardResult) -> None:
    ic = one.folds["ic"]
    print(
        f"IC {ic.mean():+.3f}, rank IC {one.folds['rank_ic'].mean():+.3f}; by fold "
        f"{ic.min():+.3f} to {ic.max():+.3f}.\n"
    )
    head("feature", "folds that kept it", "share of the gain", "mean contribution, bps")
    for name, folds, gain, shap in one.importance.head(TOP).itertuples(index=False):
        row(f"`{name}`", str(folds), f"{gain:.1%}", f"{shap:.2f}")


def grids(labels: list[str], own: list[WalkForwardResult]) -> None:
    symbols = sorted({one.symbol for one in own})
    head("strategy", "set", *(f"{coin(one)}: folds, net, SR" for one in symbols), left=2)
    found = {(one.label, one.symbol): one for one in own}
    for label in labels:
        first = next(one for one in own if one.label == label)
        grid = first.manifest["config"]["strategies"][label]["grid"]
        for number, params in enumerate(first.configurations):
            chosen = ", ".join(f"{name} {params[name]:g}" for name in grid)
            row(label, chosen, *(_set(found.get((label, one)), number) for one in symbols))


def _set(one: WalkForwardResult | None, number: int) -> str:
    if one is None:
        return ""
    net = one.grid.iloc[:, number].to_numpy()
    folds = int((one.folds["chosen"] == number).sum())
    return f"{folds}, {100.0 * net.sum():+.1f}, {ratio(YEAR * sharpe(net)) or '-'}"


if __name__ == "__main__":
    main()
