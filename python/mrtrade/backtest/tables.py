"""A result as text: the rows that console, notebook and report all show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mrtrade.backtest import presets
from mrtrade.backtest.text import decimals, number, spell
from mrtrade.config import QueueConfig

if TYPE_CHECKING:
    from rich.console import Group

    from mrtrade.backtest.pair_result import PairResult
    from mrtrade.backtest.result import Result

KEY_STATS = (
    "Net PnL [settlement]",
    "Net PnL by the cost model [settlement]",
    "Return on capital [%]",
    "Max drawdown [%]",
    "Longest time below peak [s]",
    "Sharpe, 365 days",
    "Round trips",
    "Win rate [%]",
    "Mean hold time [s]",
    "Turnover [settlement]",
    "Maker share [%]",
    "Orders",
    "Orders filled [%]",
    "Last position [units]",
)


def stat(result: Result | PairResult, name: str) -> tuple[str, str]:
    """Label and text of one of the stats: unit written out, or the reason why it is not shown."""
    label, _, unit = name.partition(" [")
    unit = unit.rstrip("]")
    value = result.stats[name]
    if value is None:
        return label, result.notes[name]
    if unit in ("s", "days"):
        return label, spell(value * (1e9 if unit == "s" else 86_400e9))
    if name == "Sharpe, 365 days":
        return label, f"{value:.2f} ± {result.stats['Sharpe standard error, Lo 2002 iid']:.2f}"
    terms = result.instrument
    unit = {"settlement": terms.currency, "units": terms.size_unit, "x capital": "x"}.get(
        unit, unit
    )
    return label, f"{number(value)} {unit}".rstrip()


def key_stats(result: Result) -> list[tuple[str, str]]:
    """Label and text of those of `KEY_STATS` that the run has."""
    return [stat(result, name) for name in KEY_STATS if name in result.stats]


def costs(result: Result) -> list[tuple[str, float, float | None]]:
    """Rows of the cost waterfall: name, signed amount, bps of the turnover."""
    turnover = result.stats["Turnover [settlement]"]
    return [
        # + 0.0: a cost of nothing is 0, not -0
        (name, amount + 0.0, 1e4 * amount / turnover + 0.0 if turnover else None)
        for name, amount in result.costs.steps()
    ]


def title(result: Result) -> str:
    """Strategy, symbol, exchange and span in one line."""
    about = result.manifest
    span = spell(result.stats["Span [days]"] * 86_400e9)
    return (
        f"{about['config']['strategy']['name']} · {about['instrument']['symbol']} · "
        f"{about['instrument']['exchange']} · {span}"
    )


def cost_cells(result: Result, more: int = 0) -> list[tuple[str, str, str]]:
    """Rows of the cost waterfall as text, with `more` decimals than the amounts need."""
    rows = costs(result)
    places = decimals(max(abs(amount) for _, amount, _ in rows)) + more
    return [
        (name, f"{amount:,.{places}f}", "" if bps is None else f"{bps:.{2 + more // 2}f}")
        for name, amount, bps in rows
    ]


def own_preset(result: Result) -> str:
    """Preset that filled the run itself."""
    return QueueConfig.model_validate(result.manifest["config"]["queue"]).chosen


def preset_header(result: Result) -> tuple[str, ...]:
    """Headings of `preset_cells`."""
    unit = result.instrument.currency
    return ("Resting orders", f"Net, {unit}", "Costs", "Filled", "Maker", "Fills")


def preset_cells(result: Result) -> list[tuple[str, ...]]:
    """Rows of the presets as text; the run's own is marked."""
    rows = presets.records(result.presets)
    own = own_preset(result)
    places = decimals(max((abs(row["net"]) for row in rows), default=0.0))
    cells: list[tuple[str, ...]] = []
    for row in rows:
        name = f"queue ({row['model']})" if row["preset"] == "queue" else row["preset"]
        filled, made = row["rested_filled_pct"], row["maker_pct"]
        cells.append(
            (
                f"{name} ◂" if row["preset"] == own else name,
                f"{row['net'] + 0.0:,.{places}f}",
                f"{row['costs'] + 0.0:,.{places}f}",
                "none rested" if filled is None else f"{filled:.1f} %",
                "no fills" if made is None else f"{made:.1f} %",
                f"{row['fills']:,}",
            )
        )
    return cells


def console(result: Result) -> Group:
    """Lay out key stats and cost waterfall side by side, below them the presets; 25 lines."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title(result)), box=box.SIMPLE_HEAD)
    table.add_column("Result", no_wrap=True)
    table.add_column("", justify="right")
    table.add_column("Costs", no_wrap=True)
    table.add_column(result.instrument.currency, justify="right", no_wrap=True)
    table.add_column("bps", justify="right", no_wrap=True)
    right = cost_cells(result)
    rows = key_stats(result)
    right += [("", "", "")] * (len(rows) - len(right))
    for left, cost in zip(rows, right, strict=True):
        # Text, not markup: a bracket in a name is a bracket.
        table.add_row(*(Text(cell) for cell in (*left, *cost)))
    answers = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        caption=Text(f"◂ this run, {result.manifest['run_id']}"),
    )
    for i, name in enumerate(preset_header(result)):
        answers.add_column(name, justify="right" if i else "left", no_wrap=True)
    for cells in preset_cells(result):
        answers.add_row(*(Text(cell) for cell in cells))
    return Group(table, answers)


def frame_rows(frame: Any, columns: dict[str, str]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of some columns of a frame; `columns` maps a name to its heading."""
    cells = []
    for name in columns:
        values = frame[name].tolist()
        if name.endswith("time"):
            cells.append(["open" if v is None or v != v else f"{v:%m-%d %H:%M:%S}" for v in values])
        elif name == "side":
            cells.append(["long" if v > 0 else "short" for v in values])
        elif name == "hold_s":
            cells.append([spell(v * 1e9) for v in values])
        elif name.endswith("price"):
            cells.append([f"{v:.8g}" for v in values])
        else:
            cells.append([number(v) for v in values])
    return list(columns.values()), [list(row) for row in zip(*cells, strict=True)]
