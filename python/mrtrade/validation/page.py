"""The validation page: one HTML file that needs nothing else, no network, no fonts, no scripts.

It is written for a trader who has never seen the code: the verdict comes first, in a sentence; each
section says what it asks, what was measured, and how to read it; what was not measured is listed
with its reason; the last section explains the words.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterable
from html import escape
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from mrtrade.backtest.report import flat, section, table
from mrtrade.backtest.report import page as document
from mrtrade.backtest.text import number
from mrtrade.clock import from_ns
from mrtrade.validation import bootstrap
from mrtrade.validation.criteria import HEADER, Verdict, write_whole
from mrtrade.validation.page_text import ABOUT, EXPLAINED, GLOSSARY
from mrtrade.validation.report import SECTIONS, Fold, ValidationReport

MORE_CSS = """
.verdict{border-left:8px solid var(--soft)}.verdict b{font-size:30px;display:block;line-height:1.2}
.verdict p{font-size:16px;margin:6px 0 0}.go{border-left-color:var(--good)}.go b{color:var(--good)}
.nogo{border-left-color:var(--bad)}.nogo b{color:var(--bad)}
:root{--warn:#a16207}@media(prefers-color-scheme:dark){:root{--warn:#facc15}}
.open{border-left-color:var(--warn)}.open b{color:var(--warn)}
.criteria th:last-child{text-align:left}
td.wrap{white-space:normal;text-align:left;min-width:180px}td.judge{font-weight:700}
td.passed{color:var(--good)}td.failed{color:var(--bad)}td.unjudged{color:var(--warn)}
.half{display:grid;grid-template-columns:repeat(auto-fit,minmax(430px,1fr));gap:16px;margin-bottom:16px}
.half>section{margin:0;min-width:0}.half td:first-child{white-space:normal}.ask{margin:0 0 10px}
dt{font-weight:700;margin-top:8px}dd{margin:0}
img{max-width:100%;height:auto;background:#fff;border-radius:4px}figure{margin:0 0 12px}
figcaption{color:var(--soft);font-size:13px}
.half svg{max-width:600px;margin:0 auto}
.shown{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:4px 16px}
.shown figure:first-child{grid-column:1/-1}
.noted th:last-child,.noted td:last-child{white-space:normal;text-align:left}
@media(max-width:520px){.half,.shown{grid-template-columns:1fr}}
"""
TONES = {"GO": "go", "NO-GO": "nogo", "NOT JUDGED": "open"}
JUDGED = {"passed": "passed", "FAILED": "failed", "not judged": "unjudged"}


def html(report: ValidationReport) -> str:
    """Render the page; the same report gives the same bytes.

    Without matplotlib the pictures give way to a line that says what to install.
    """
    pictures = _pictures(report)
    cards = {name: _card(report, name, pictures.get(name, "")) for name in _CARDS}
    body = [
        f"<h1>{escape(report.title)}</h1><p class=sub>{escape(report.subtitle)}</p>",
        _verdict(report.verdict),
        _criteria(report.verdict),
        _notes(report),
        *(cards[name] for name in ("equity", "folds")),
        _pair(_worth(report), cards["overfitting"]),
        _pair(cards["costs"], cards["regimes"]),
        _pair(cards["plateau"], cards["noise"]),
        cards["transfers"],
        _shown(report),
        *(section(name, frame_table(frame)) for name, frame in report.tables.items()),
        _absent(report),
        section("What the words mean", _glossary()),
        _made(report),
    ]
    if find_spec("matplotlib") is None:
        body.insert(3, f"<section><p class=note>{ABOUT['matplotlib']}</p></section>")
    return document(report.title, [one for one in body if one], MORE_CSS)


def write_page(report: ValidationReport, path: str | Path) -> Path:
    """Write the page, whole or not at all."""
    path = Path(path)
    write_whole(path, html(report).encode())
    return path


def _pictures(report: ValidationReport) -> dict[str, str]:
    if find_spec("matplotlib") is None:
        return {}
    from mrtrade.validation.page_plots import draw

    return draw(report)


def _pair(*cards: str) -> str:
    inside = "".join(cards)
    return f"<div class=half>{inside}</div>" if inside else ""


def _card(report: ValidationReport, name: str, svg: str) -> str:
    """Return one section: what it asks, its picture, its numbers; empty where it is missing."""
    content = getattr(report, name)
    if content is None or (isinstance(content, tuple | list) and not content):
        return ""
    ask = f"<p class=ask>{escape(EXPLAINED[name])}</p>" if name in EXPLAINED else ""
    picture = ""
    if svg:
        picture = f"<div role=img aria-label='{escape(_alt(report, name), quote=True)}'>{svg}</div>"
    return section(SECTIONS[name], ask + picture + _CARDS[name](report))


def _alt(report: ValidationReport, name: str) -> str:
    """Say in words what a picture shows."""
    if name == "equity" and report.equity is not None:
        last = 100.0 * float(report.equity.iloc[-1])
        return f"Profit out of sample over {len(report.folds)} folds, at the end {last:.2f}%"
    if name == "overfitting" and report.overfitting is not None:
        return f"Histogram of logits, {report.overfitting.pbo:.0%} at or below 0"
    if name == "costs" and report.costs is not None:
        table_ = report.costs.table.to_dict("records")
        text = ", ".join(f"{row['sharpe']:.2f} at {row['multiple']:g}x" for row in table_)
        return f"Sharpe ratio by multiple of the costs: {text}"
    if name == "regimes" and report.regimes is not None:
        rows = report.regimes.table.to_dict("records")
        return "Sharpe ratio by volatility: " + ", ".join(
            f"{row['regime']} {_ratio(row['sharpe'])}" for row in rows
        )
    if name == "plateau" and report.plateau is not None:
        return f"Sharpe ratios around the best set, {_set(report, report.plateau.best)}"
    return SECTIONS[name]


# ---- the verdict


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return (
            "<section class='verdict open'><b>NOT JUDGED</b><p>There is no verdict.</p></section>"
        )
    grounds = verdict.sentence.partition(": ")[2]
    return (
        f"<section class='verdict {TONES[verdict.decision]}'><b>{verdict.decision}</b>"
        f"<p>{escape(ABOUT[verdict.decision])}</p>"
        f"<p>{escape(grounds[:1].upper() + grounds[1:])}</p>"
        f"<p class=note>{escape(verdict.subject)}</p></section>"
    )


def _criteria(verdict: Verdict | None) -> str:
    if verdict is None or not verdict.criteria:
        return ""
    head = "".join(f"<th>{cell}</th>" for cell in HEADER)
    rows = []
    for name, measured, needed, judgement, note in verdict.rows():
        rows.append(
            f"<tr><td class=wrap>{escape(name)}</td><td>{escape(measured)}</td>"
            f"<td>{escape(needed)}</td><td class='judge {JUDGED[judgement]}'>{judgement}</td>"
            f"<td class=wrap>{escape(note)}</td></tr>"
        )
    body = f"<table class=criteria><thead><tr>{head}</tr></thead><tbody>"
    body += f"{''.join(rows)}</tbody></table>"
    return section("What was asked, and what was measured", body)


def _notes(report: ValidationReport) -> str:
    if not report.notes:
        return ""
    items = "".join(f"<li>{escape(one)}</li>" for one in report.notes)
    return section("Read this first", f"<ul>{items}</ul>")


# ---- sections


def _equity(report: ValidationReport) -> str:
    equity = report.equity
    if equity is None or not len(equity):
        return ""
    text = f"At the end {100.0 * float(equity.iloc[-1]):.2f}% after costs"
    if report.gross is not None and len(report.gross):
        text += f", {100.0 * float(report.gross.iloc[-1]):.2f}% before"
    span = f"{equity.index[0]:%Y-%m-%d} to {equity.index[-1]:%Y-%m-%d}"
    return f"<p class=note>{escape(text)}; {span}. Profits are not put back to work.</p>"


def _folds(report: ValidationReport) -> str:
    header = ("Fold", "Trained on", "Tested on", "Net", "Sharpe", "Trades", "Drawdown", "Features")
    noted = any(fold.note for fold in report.folds)
    rows = [_fold(fold, noted) for fold in report.folds]
    if not noted:
        return table(header, rows)
    return f"<div class=noted>{table((*header, 'Note'), rows)}</div>"


def _fold(fold: Fold, noted: bool) -> tuple[str, ...]:
    cells = (
        str(fold.number),
        _span(fold.train_start_ns, fold.train_end_ns),
        _span(fold.test_start_ns, fold.test_end_ns),
        f"{100.0 * fold.net:.2f}%",
        _ratio(fold.sharpe, fold.sharpe_se),
        f"{fold.trades:,}",
        f"{100.0 * fold.drawdown:.2f}%",
        "no model" if fold.features is None else str(fold.features),
    )
    return (*cells, fold.note) if noted else cells


def _span(start: int, end: int) -> str:
    """Dates of a half-open span: the last day is the last that is in it."""
    return f"{from_ns(start):%Y-%m-%d} to {from_ns(end - 1):%Y-%m-%d}"


def _ratio(value: float, se: float = math.nan) -> str:
    if not math.isfinite(value):
        return "none"
    return f"{value:.2f}" + (f" ± {se:.2f}" if math.isfinite(se) else "")


def _worth(report: ValidationReport) -> str:
    """Return the Sharpe ratio with all that says how much of it is luck."""
    rows: list[tuple[str, str]] = []
    one = report.sharpe
    if one is not None:
        if one.reason:
            rows.append(("Sharpe ratio, annual", f"none: {one.reason}"))
        else:
            rows += [
                ("Sharpe ratio, annual ± standard error", _ratio(one.annual, one.annual_se)),
                ("The same, adjusted for autocorrelation", f"{one.annual_ar1:.2f}"),
                ("Chance that it is above 0 (PSR, 2012)", _chance(one.psr_2012)),
                ("The same by the version of 2025", _chance(one.psr_2025)),
                ("Record needed to show it at 95% (MinTRL)", _years(one.min_track_record_years)),
                ("Days measured", f"{one.observations:,}"),
            ]
    rows += _interval("Sharpe ratio", report.interval, 1.0, "")
    rows += _interval("Deepest drawdown", report.drawdown, 100.0, "%")
    rows += _deflated(report)
    if not rows:
        return ""
    return section(
        "Sharpe ratio, and how much of it may be luck",
        f"<p class=ask>{escape(EXPLAINED['sharpe'])}</p>" + table(("Measure", "Value"), rows),
    )


def _deflated(report: ValidationReport) -> list[tuple[str, str]]:
    one = report.deflated
    if one is None:
        return []
    rows = [("Trials, all that were ever made", f"{one.trials:,.0f}")]
    if report.effective_trials is not None:
        rows.append(("Of them different from each other", f"{report.effective_trials:,}"))
    if one.reason:
        return [*rows, ("Deflated Sharpe ratio (DSR)", f"none: {one.reason}")]
    year = math.sqrt(365.0)
    return [
        *rows,
        ("Best that so many worthless trials show, annual", f"{year * one.benchmark:.2f}"),
        (
            f"Chance that it is above that (DSR, by the PSR of {one.version})",
            _chance(one.probability),
        ),
    ]


def _interval(
    name: str, one: bootstrap.Interval | None, scale: float, unit: str
) -> list[tuple[str, str]]:
    if one is None:
        return []
    label = f"{name}, {one.level:.0%} bootstrap interval"
    if one.reason:
        return [(label, f"none: {one.reason}")]
    return [(label, f"{scale * one.low:.2f}{unit} to {scale * one.high:.2f}{unit}")]


def _chance(value: float) -> str:
    return f"{100.0 * value:.1f}%" if math.isfinite(value) else "none"


def _years(value: float) -> str:
    if math.isinf(value):
        return "no record is long enough"
    if value > 1000.0:
        return "over 1,000 years"
    return f"{value:.2f} years" if math.isfinite(value) else "none"


def _overfitting(report: ValidationReport) -> str:
    one = report.overfitting
    if one is None:
        return ""
    if one.reason:
        return f"<p class=note>None: {escape(one.reason)}.</p>"
    spread = f"{one.offsets.min():.0%} to {one.offsets.max():.0%}"
    rows = [
        ("At or below the median (PBO)", f"{100.0 * one.pbo:.1f}%"),
        ("With the edges of the blocks moved", spread),
        ("No gain out of sample", f"{100.0 * one.loss:.1f}%"),
        ("Slope: out of sample by in sample", f"{one.slope:.2f}"),
        (
            "Configurations, blocks, splits",
            f"{one.configurations:,}, {one.blocks}, {len(one.logits):,}",
        ),
    ]
    return table(("Of all splits", "Value"), rows)


def _costs(report: ValidationReport) -> str:
    one = report.costs
    if one is None:
        return ""
    rows = [
        (
            f"{row['multiple']:g}x",
            f"{100.0 * row['net']:.2f}%",
            _ratio(row["sharpe"], row["sharpe_se"]),
        )
        for row in one.table.to_dict("records")
    ]
    if math.isnan(one.break_even):
        text = "It loses money before costs: no lower costs would help."
    elif math.isinf(one.break_even):
        text = "No costs were paid."
    else:
        text = f"Nothing is left at {one.break_even:.2f} times the assumed costs."
    parts = f"Gross {100.0 * one.gross:.2f}%, costs {100.0 * one.cost:.2f}%, "
    parts += f"funding {100.0 * one.funding:+.2f}% of capital."
    reason = f" No Sharpe ratios: {one.reason}." if one.reason else ""
    return table(("Costs", "Net", "Sharpe ± se"), rows) + (
        f"<p class=note>{escape(f'{text} {parts}{reason}')}</p>"
    )


def _regimes(report: ValidationReport) -> str:
    one = report.regimes
    if one is None:
        return ""
    rows = [
        (
            row["regime"],
            f"{row['rows']:,}",
            f"{100.0 * row['net']:.2f}%",
            row["reason"] or _ratio(row["sharpe"], row["sharpe_se"]),
        )
        for row in one.table.to_dict("records")
    ]
    note = f"Boundaries: {one.boundaries}. In no regime: {one.unknown:,} returns."
    return table(("Volatility", "Returns", "Net", "Sharpe ± se"), rows) + (
        f"<p class=note>{escape(note)}</p>"
    )


def _transfers(report: ValidationReport) -> str:
    rows = []
    for one in report.transfers:
        interval = (
            "none"
            if one.ratio.reason
            else (f"{100.0 * one.ratio.low:.0f}% to {100.0 * one.ratio.high:.0f}%")
        )
        ratio = "none" if math.isnan(one.ratio.value) else f"{100.0 * one.ratio.value:.0f}%"
        rows.append(
            (
                f"{one.trained} to {one.tested}",
                f"{one.days:,}",
                f"{one.trained_sharpe:.2f}",
                f"{one.tested_sharpe:.2f}",
                ratio,
                interval,
                f"> {100.0 * one.share:.0f}%",
            )
        )
    header = ("Trained on, to", "Days", "Sharpe there", "Sharpe here", "Share", "95%", "Needed")
    return table(header, rows)


def _plateau(report: ValidationReport) -> str:
    one = report.plateau
    if one is None:
        return ""
    best, smooth = one.table.iloc[one.best], one.table.iloc[one.smoothed_best]
    within = "none" if math.isnan(best["within"]) else f"{100.0 * best['within']:.0f}%"
    rows = [
        ("Best set", f"{_set(report, one.best)}: {best['value']:.2f}"),
        (
            f"Neighbours that reach {one.fraction:.0%} of it",
            f"{within} of {int(best['neighbours'])}",
        ),
        (
            "Best with its neighbours",
            f"{_set(report, one.smoothed_best)}: {smooth['smoothed']:.2f}",
        ),
        ("Sets tried", f"{len(one.table):,}"),
    ]
    if one.edges:
        rows.append(("At the edge of the grid in", ", ".join(one.edges)))
    return table(("", ""), rows)


def _set(report: ValidationReport, row: int) -> str:
    if report.plateau is None:
        return ""
    return ", ".join(f"{name} {value}" for name, value in report.plateau.at(row).items())


def _noise(report: ValidationReport) -> str:
    one = report.noise
    if one is None:
        return ""
    rate = 100.0 * one.false_go / one.runs if one.runs else math.nan
    rows = [
        (
            "Worthless data called GO",
            f"{one.false_go} of {one.runs}" + (f" ({rate:.1f}%)" if one.runs else ""),
        ),
        ("95% interval of that rate", f"{100.0 * one.low:.1f}% to {100.0 * one.high:.1f}%"),
        *((f"Of them {kind}", f"{wrong} of {runs}") for kind, (wrong, runs) in one.kinds.items()),
    ]
    note = f"<p class=note>{escape(one.note)}</p>" if one.note else ""
    return table(("", ""), rows) + note


def _shown(report: ValidationReport) -> str:
    if not report.pictures:
        return ""
    figures = "".join(
        f"<figure><img alt='{escape(caption, quote=True)}' src='data:image/png;base64,"
        f"{b64encode(content).decode()}'><figcaption>{escape(caption)}</figcaption></figure>"
        for caption, content in report.pictures.items()
    )
    ask = f"<p class=ask>{escape(EXPLAINED['pictures'])}</p>"
    return section(SECTIONS["pictures"], f"{ask}<div class=shown>{figures}</div>")


def frame_table(frame: pd.DataFrame) -> str:
    """Return a frame as an HTML table, its columns as they are, numbers as people read them."""
    rows = (
        tuple(number(cell) if isinstance(cell, int | float) else str(cell) for cell in row)
        for row in frame.itertuples(index=False, name=None)
    )
    return table([str(name) for name in frame.columns], rows)


def _absent(report: ValidationReport) -> str:
    absent = report.absent()
    unjudged = () if report.verdict is None else report.verdict.unjudged
    rows: Iterable[tuple[str, str]] = (
        *absent.items(),
        *((one.name, one.note) for one in unjudged),
    )
    lines = "".join(
        f"<tr><td class=wrap>{escape(what)}</td><td class=wrap>{escape(why)}</td></tr>"
        for what, why in rows
    )
    if not lines:
        return section("What was not judged", "<p class=note>Everything was.</p>")
    head = "<thead><tr><th>What</th><th style='text-align:left'>Why</th></tr></thead>"
    return section("What was not judged, and why", f"<table>{head}<tbody>{lines}</tbody></table>")


def _glossary() -> str:
    return (
        "<dl>"
        + "".join(
            f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in GLOSSARY.items()
        )
        + "</dl>"
    )


def _made(report: ValidationReport) -> str:
    if not report.made:
        return ""
    rows = flat(dict(report.made))
    inside = table(("Key", "Value"), rows)
    return section(
        "How this was made", f"<details><summary>All settings</summary>{inside}</details>"
    )


_CARDS: dict[str, Callable[[ValidationReport], str]] = {
    "equity": _equity,
    "folds": _folds,
    "overfitting": _overfitting,
    "costs": _costs,
    "regimes": _regimes,
    "transfers": _transfers,
    "plateau": _plateau,
    "noise": _noise,
}
