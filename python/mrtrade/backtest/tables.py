"""A result as text: the rows that console, notebook and report all show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mrtrade.backtest.metrics import spell

if TYPE_CHECKING:
    from rich.table import Table

    from mrtrade.backtest.result import Result

KEY_STATS = (
    "Net PnL [quote]",
    "Return on capital [%]",
    "Max drawdown [%]",
    "Longest time below peak [s]",
    "Sharpe, 365 days",
    "Round trips",
    "Win rate [%]",
    "Mean hold time [s]",
    "Turnover [quote]",
    "Maker share [%]",
    "Orders",
    "Orders filled [%]",
    "Last position [base]",
)


def number(value: float) -> str:
    """Two decimals with thousands marks; four digits below one; rounding noise is zero."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if abs(value) >= 1.0 or abs(value) < 1e-9 else f"{value:.4g}"


def symbols(symbol: str) -> tuple[str, str]:
    """Return base and quote currency of a symbol: ``BTC/USDT-PERP`` gives ``BTC``, ``USDT``."""
    base, _, rest = symbol.partition("/")
    return base, rest.replace(":", "-").split("-")[0]


def stat(result: Result, name: str) -> tuple[str, str]:
    """Label and text of one of the stats: unit written out, or the reason why it is not shown."""
    base, quote = symbols(result.manifest["instrument"]["symbol"])
    label, _, unit = name.partition(" [")
    unit = unit.rstrip("]")
    value = result.stats[name]
    if value is None:
        return label, result.notes[name]
    if unit in ("s", "days"):
        return label, spell(value * (1e9 if unit == "s" else 86_400e9))
    if name == "Sharpe, 365 days":
        return label, f"{value:.2f} ± {result.stats['Sharpe standard error, Lo 2002 iid']:.2f}"
    unit = {"quote": quote, "base": base, "%": "%", "x capital": "x"}.get(unit, unit)
    return label, f"{number(value)} {unit}".rstrip()


def costs(result: Result) -> list[tuple[str, float, float | None]]:
    """Rows of the cost waterfall: name, signed amount in quote, bps of the turnover."""
    turnover = result.stats["Turnover [quote]"]
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


def console(result: Result) -> Table:
    """Lay the key stats and the cost waterfall side by side; at most 25 lines."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    _, quote = symbols(result.manifest["instrument"]["symbol"])
    table = Table(
        title=Text(title(result)),
        caption=Text(f"run {result.manifest['run_id']}"),
        box=box.SIMPLE_HEAD,
    )
    table.add_column("Result", no_wrap=True)
    table.add_column("", justify="right")
    table.add_column("Costs", no_wrap=True)
    table.add_column(quote, justify="right", no_wrap=True)
    table.add_column("bps", justify="right", no_wrap=True)
    right: list[tuple[str, str, str]] = [
        (name, f"{amount:,.2f}", "" if bps is None else f"{bps:.2f}")
        for name, amount, bps in costs(result)
    ]
    rows = [stat(result, name) for name in KEY_STATS]
    right += [("", "", "")] * (len(rows) - len(right))
    for left, cost in zip(rows, right, strict=True):
        # Text, not markup: a bracket in a name is a bracket.
        table.add_row(*(Text(cell) for cell in (*left, *cost)))
    return table


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
