"""The report as one HTML page that needs nothing else: no network, no fonts, no scripts."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape

from mrtrade.clock import from_ns
from mrtrade.data.quality.findings import Finding
from mrtrade.data.quality.report import Report, SeriesReport
from mrtrade.data.quality.rules import RULES, span_text
from mrtrade.data.quality.timeline import picture
from mrtrade.errors import ConfigError

_CSS = """
:root{--ink:#1b2430;--soft:#5b6675;--grid:#dde2e9;--page:#f5f7fa;--card:#fff;
--good:#15803d;--warn:#b45309;--bad:#c53030}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#9aa6b5;--grid:#343d4a;--page:#12171e;
--card:#1b222c;--good:#4ade80;--warn:#fbbf24;--bad:#f87171}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:14px/1.5 "DejaVu Sans",system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 48px}
h1{font-size:24px;margin:0 0 2px}h2{font-size:16px;margin:0 0 10px}
.sub{color:var(--soft);margin:0 0 20px;overflow-wrap:anywhere}
section{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:16px 18px;
margin-bottom:16px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}
th,td{padding:4px 8px;border-bottom:1px solid var(--grid);text-align:left;vertical-align:top}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right}td.n{white-space:nowrap}
td.k{white-space:nowrap}tr:last-child td{border-bottom:0}
.PASS{color:var(--good);font-weight:700}.WARN,.warning{color:var(--warn);font-weight:700}
.FAIL,.error{color:var(--bad);font-weight:700}.info{color:var(--soft)}
.picture{background:#fff}img{max-width:100%;display:block}
details summary{cursor:pointer;color:var(--soft)}.note{color:var(--soft);font-size:13px}
"""

_ORDER = {"error": 0, "warning": 1, "info": 2}


def page(report: Report) -> str:
    """Render a report; the same report gives the same bytes."""
    counted = {name: sum(one.verdict == name for one in report.series) for name in _VERDICTS}
    parts = ", ".join(f"{count} {name}" for name, count in counted.items())
    findings = sorted(report.findings, key=lambda one: _ORDER[one.severity])
    told = [one for one in findings if one.severity != "info"]
    measured = [one for one in findings if one.severity == "info"]
    body = [
        f"<h1>Data quality: <span class={report.verdict}>{report.verdict}</span></h1>",
        f"<p class=sub>{escape(report.source)} · {len(report.series)} series: {parts}</p>",
        section("Findings", _findings(told) if told else "<p>None.</p>"),
        section("Series", _series(report)),
        _gaps(report),
        _quarantined(report),
        _picture(report),
        section("Measurements", _details(f"{len(measured)} measurements", _findings(measured))),
        section("Rules", _details("What each rule asks", _rules())),
    ]
    if report.skipped:
        text = escape(", ".join(report.skipped))
        body.append(section("Passed over", f"<p class=note>{text}</p>"))
    return document(f"Data quality: {report.verdict}", body)


def document(title: str, parts: Iterable[str]) -> str:
    """Return parts of HTML as a whole page; empty ones are left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style></head>\n"
        "<body><main>\n" + "\n".join(part for part in parts if part) + "\n</main></body></html>\n"
    )


_VERDICTS = ("PASS", "WARN", "FAIL")


def section(heading: str, content: str) -> str:
    """Return a part of a page; the content is HTML already."""
    return f"<section><h2>{escape(heading)}</h2>{content}</section>"


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def table(header: Iterable[tuple[str, str]], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of cells that are HTML already; a column is its name and class."""
    columns = list(header)
    head = "".join(f"<th class={kind}>{escape(name)}</th>" for name, kind in columns)
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td class={kind}>{cell}</td>" for cell, (_, kind) in zip(row, columns, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _series(report: Report) -> str:
    names = ("", "k"), ("Table", "k"), ("Exchange", "k"), ("Symbol", "k"), ("From (UTC)", "k")
    numbers = "Days", "Rows", "Covers", "Longest pause", "Median delay", "95 %"
    rows = []
    for one in report.series:
        summary = one.summary
        rows.append(
            (
                f"<span class={one.verdict}>{one.verdict}</span>",
                escape(one.table),
                escape(one.exchange),
                escape(one.symbol),
                _time(summary["first_ns"]) if summary else "",
                str(len(summary.get("days", []))),
                f"{one.rows:,}",
                *one.cells(),
            )
        )
    return table([*names, *((name, "n") for name in numbers)], rows)


def _findings(findings: list[Finding]) -> str:
    rows = (
        (
            f"<span class={one.severity}>{one.severity}</span>",
            escape(f"{one.table} {one.exchange} {one.symbol}"),
            escape(one.rule),
            escape(one.text),
            _time(one.start_ns) if one.start_ns else "",
        )
        for one in findings
    )
    names = ("", "k"), ("Series", "k"), ("Rule", "k"), ("What was found", "t"), ("From (UTC)", "k")
    return table(names, rows)


def _gaps(report: Report) -> str:
    rows = [
        (_name(one), _time(start), _time(end), span_text(end - start))
        for one in report.series
        for start, end in one.summary.get("gaps", [])
    ]
    names = ("Series", "k"), ("From (UTC)", "k"), ("To (UTC)", "k"), ("Length", "n")
    content = table(names, rows) if rows else "<p>No pause above ten minutes.</p>"
    return section("Gaps", content)


def _quarantined(report: Report) -> str:
    rows = [
        (escape(" ".join(where)), escape(reason), f"{count:,}")
        for where, reasons in report.quarantined.items()
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1])
    ]
    if not rows:
        return ""
    return section("Quarantined", table((("Series", "k"), ("Reason", "t"), ("Rows", "n")), rows))


def _picture(report: Report) -> str:
    try:
        data = b64encode(picture(report)).decode()
    except ConfigError as error:
        return section("Rows by time", f"<p class=note>{escape(str(error))}</p>")
    note = (
        "<p class=note>A strip a day; the darker, the more rows; red where none came for a "
        "minute. Days of less than two hours are shown from their first row to their last.</p>"
    )
    image = f'<img alt="rows by time" src="data:image/png;base64,{data}">'
    return section("Rows by time", f"{note}<div class=picture>{image}</div>")


def _rules() -> str:
    rows = ((escape(name), escape(text)) for name, text in RULES.items())
    return table((("Rule", "k"), ("What it asks", "t")), rows)


def _name(one: SeriesReport) -> str:
    return escape(f"{one.table} {one.exchange} {one.symbol}")


def _time(ns: int) -> str:
    return f"{from_ns(ns):%Y-%m-%d %H:%M:%S}"
