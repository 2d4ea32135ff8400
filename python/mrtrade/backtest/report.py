"""The HTML report: one file that needs nothing else, no network, no fonts, no scripts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mrtrade.backtest import tables
from mrtrade.clock import from_ns

if TYPE_CHECKING:
    from mrtrade.backtest.pair_result import PairResult
    from mrtrade.backtest.result import Result

TRIPS = {
    "entry_time": "Entry (UTC)",
    "exit_time": "Exit (UTC)",
    "side": "Side",
    "quantity": "Quantity",
    "entry_price": "Entry price",
    "exit_price": "Exit price",
    "gross": "Gross",
    "fees": "Fees",
    "funding": "Funding",
    "pnl": "Net PnL",
    "return_bps": "bps",
    "hold_s": "Held",
    "fills": "Fills",
}
SHOWN_TRIPS = 10

CSS = """
:root{--ink:#1b2430;--soft:#5b6675;--grid:#dde2e9;--page:#f5f7fa;--card:#fff;--good:#15803d;--bad:#c53030}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#9aa6b5;--grid:#343d4a;--page:#12171e;
--card:#1b222c;--good:#4ade80;--bad:#f87171}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:14px/1.5 "DejaVu Sans",system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 48px}
h1{font-size:24px;margin:0 0 2px}h2{font-size:16px;margin:0 0 10px}
.sub{color:var(--soft);margin:0 0 20px}
section{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:16px 18px;
margin-bottom:16px;overflow-x:auto}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px;margin-bottom:16px}
.tile{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:10px 12px}
.tile span{display:block;color:var(--soft);font-size:12px}.tile b{font-size:16px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(380px,1fr));gap:16px}
.pair section{margin:0}.pair{margin-bottom:16px}
.stack{display:grid;gap:16px;align-content:start;min-width:0}.pair>section{min-width:0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}
th,td{padding:4px 8px;border-bottom:1px solid var(--grid);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--soft);font-weight:600}
tr:last-child td{border-bottom:0}tr.net td{font-weight:700}
.pos{color:var(--good)}.neg{color:var(--bad)}.note{color:var(--soft);font-size:13px}
svg{width:100%;height:auto;display:block}
svg text{font-family:"DejaVu Sans",system-ui,sans-serif!important}
details summary{cursor:pointer;color:var(--soft)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px;margin:8px 0 0}
"""


def html(result: Result) -> str:
    """Render the whole report as one HTML page.

    The same result gives the same bytes: it carries no date of its making. Without matplotlib the
    plots give way to a line that says what to install.
    """
    name = tables.title(result)
    about = result.manifest
    data = about["data"]
    sub = f"{data['start']} to {data['end']} · {data['deltas']:,} book changes, "
    sub += f"{data['trades']:,} trades · run {about['run_id']}"
    halted = result.notes.get("Account")
    body = [
        f"<h1>{escape(name)}</h1><p class=sub>{escape(sub)}</p>",
        f"<p class=neg>The account was {escape(halted)}.</p>" if halted else "",
        _tiles(result),
        *_plots(result),
        "<div class=pair>",
        section("Result", _stats(result)),
        "<div class=stack>",
        section("Costs", _costs(result)),
        _presets(result),
        "</div></div>",
        _trips(result),
        section("How this run was made", made(result)),
    ]
    return page(name, body)


def page(name: str, body: Iterable[str], css: str = "") -> str:
    """Put parts of a report on a page; `css` is added to that of all reports."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(name)}</title>\n<style>{CSS}{css}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def summary(result: Result) -> str:
    """Key stats and costs as plain HTML tables, for a notebook."""
    key = tables.key_stats(result)
    heading = f"<p><b>{escape(tables.title(result))}</b></p>"
    return f"{heading}{table(('', ''), key)}{_costs(result)}{_answers(result)}"


def section(heading: str, content: str) -> str:
    """Return a card with a heading."""
    return f"<section><h2>{escape(heading)}</h2>{content}</section>"


def table(header: Iterable[str], rows: Iterable[Iterable[str]], last: str = "") -> str:
    """HTML table of text cells; `last` is the class of the last row."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = ["".join(f"<td{_tone(cell)}>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(
        f"<tr class={last}>{line}</tr>" if last and i == len(lines) - 1 else f"<tr>{line}</tr>"
        for i, line in enumerate(lines)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _tone(cell: str) -> str:
    """Negative numbers are red: what starts with a minus and a digit."""
    return " class=neg" if cell[:1] == "-" and cell[1:2].isdigit() else ""


def _tiles(result: Result) -> str:
    names = (
        "Net PnL [settlement]",
        "Return on capital [%]",
        "Max drawdown [%]",
        "Sharpe, 365 days",
        "Round trips",
        "Win rate [%]",
        "Maker share [%]",
    )
    return f"<div class=tiles>{''.join(tile(result, name) for name in names)}</div>"


def tile(result: Result | PairResult, name: str) -> str:
    """Return one of the stats as a tile."""
    label, text = tables.stat(result, name)
    if result.stats[name] is None:
        text = result.notes[name]
    size = ' style="font-size:13px"' if result.stats[name] is None else ""
    value = f"<b{_tone(text)}{size}>{escape(text)}</b>"
    return f"<div class=tile><span>{escape(label)}</span>{value}</div>"


def _plots(result: Result) -> list[str]:
    if find_spec("matplotlib") is None:
        return [
            "<section><p class=note>Plots need matplotlib: "
            "<code>pip install 'mrtrade[report]'</code>, then write the report again.</p></section>"
        ]
    from mrtrade.backtest.plots import draw

    return [f"<section aria-label='{escape(name)}'>{svg}</section>" for name, svg in draw(result)]


def _stats(result: Result) -> str:
    rows = [tables.stat(result, name) for name in result.stats.index]
    return table(("Measure", "Value"), rows)


def _costs(result: Result) -> str:
    note = (
        "<p class=note>Gross: every trade at the mid its decision saw, the last position at the "
        "last mid. Slippage: how far the mid moved between decision and fill. Spread: fill price "
        f"against the mid just before; positive when earned. Funding: {_funding(result)}. Basis "
        "points are of the turnover.</p>"
    )
    rows = tables.cost_cells(result, more=2)
    return table(("Step", result.instrument.currency, "bps"), rows, last="net") + note


def _funding(result: Result) -> str:
    """Say what the row `Funding` is made of."""
    if not result.instrument.is_perpetual:
        return "none, it is no perpetual"
    if not result.manifest["config"]["transaction_costs"]["funding"]:
        return "left out, as configured"
    times = result.manifest["data"]["settlements"]
    if not times:
        return "no settlement is recorded in the span"
    return f"{len(result.funding)} payments at {times} settlements"


def _answers(result: Result) -> str:
    return table(tables.preset_header(result), tables.preset_cells(result))


def _presets(result: Result) -> str:
    note = (
        "<p class=note>What fills a resting order is not in the data: sizes at a price do not say "
        "which orders left. Optimistic: whatever trades at its price. Queue: what trades after the "
        "size it found, less the cancellations ahead that the model assumes. Risk-averse: all "
        "cancellations are behind it. Strict: and no fill is more than what traded. Filled: of the "
        "orders that came to rest, those with a fill. Profit that only the first row shows is not "
        "there to be made. ◂ marks this run.</p>"
    )
    return section("What if the queue were longer?", _answers(result) + note)


def _trips(result: Result) -> str:
    trades = result.trades
    if len(trades) == 0:
        return section("Round trips", "<p class=note>No position was opened.</p>")
    columns = {k: v for k, v in TRIPS.items() if k != "funding" or len(result.funding)}
    # A stable sort: rows of equal profit stay in time order, on every platform.
    ranked = trades.sort_values("pnl", ascending=False, kind="stable")
    if len(ranked) <= 2 * SHOWN_TRIPS:
        parts = [(f"Round trips ({len(ranked)}), best first", ranked)]
    else:
        parts = [
            (f"Best {SHOWN_TRIPS} of {len(ranked)} round trips", ranked.head(SHOWN_TRIPS)),
            (f"Worst {SHOWN_TRIPS}", ranked.tail(SHOWN_TRIPS).iloc[::-1]),
        ]
    return "\n".join(
        section(heading, table(*tables.frame_rows(frame, columns))) for heading, frame in parts
    )


def made(result: Result | PairResult) -> str:
    """Show what the run was made from, but for the store's path: that is not the data."""
    about = result.manifest
    config = {k: v for k, v in about["config"].items() if k != "store"}
    parts = {
        "Configuration": config,
        "Instrument": about["instrument"],
        "Data": about["data"],
        "Code (sha256)": about["code"],
        "Versions": about["versions"],
    }
    return "".join(
        f"<details{' open' if name == 'Configuration' else ''}><summary>{escape(name)}</summary>"
        f"{table(('Key', 'Value'), flat(content))}</details>"
        for name, content in parts.items()
    )


def flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """List a nested mapping as rows of dotted key and value."""
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        else:
            if key in ("start", "end") and isinstance(value, int):
                value = f"{from_ns(value):%Y-%m-%d %H:%M:%S.%f} UTC"
            rows.append((f"{prefix}{key}", "none" if value is None else str(value)))
    return rows
