"""What a validation found, series by series, and the verdict that follows from it."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mrtrade.data.quality.findings import Finding
from mrtrade.data.quality.rules import RULES, span_text
from mrtrade.data.quality.times import GAP_SEVERITY

Verdict = Literal["PASS", "WARN", "FAIL"]


def verdict_of(findings: list[Finding]) -> Verdict:
    """Return FAIL for an error, else WARN for a warning, else PASS."""
    severities = {finding.severity for finding in findings}
    if "error" in severities:
        return "FAIL"
    return "WARN" if "warning" in severities else "PASS"


@dataclass
class SeriesReport:
    """What was found in one series.

    Parameters
    ----------
    table, exchange, symbol : str
        `symbol` as users write it.
    rows : int
    summary : dict
        First and last time, days, coverage, gaps, delays; see `mrtrade.data.quality.times`.
    counts : dict
        Of the deltas' audit; empty for other tables.
    findings : list of Finding
    seconds : dict
        UTC day -> rows in each of its seconds.
    """

    table: str
    exchange: str
    symbol: str
    rows: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """PASS, WARN or FAIL."""
        return verdict_of(self.findings)

    def cells(self) -> tuple[str, str, str, str]:
        """Return time covered, longest pause, median and 95th percentile of the delay, as text.

        Empty where they say nothing: when rows should come is not known, or there is one clock.
        """
        if not self.summary:
            return "", "", "", ""
        streams = self.table in GAP_SEVERITY
        delay = self.summary["delay_ms"] or {"median": 0.0, "p95": 0.0}
        one_clock = self.table == "book_seed" or not any(delay.values())
        return (
            "" if self.table == "book_seed" else span_text(self.summary["covered_ns"]),
            span_text(self.summary["longest_pause_ns"]) if streams else "",
            "" if one_clock else _milliseconds(delay["median"]),
            "" if one_clock else _milliseconds(delay["p95"]),
        )


@dataclass
class Report:
    """What was found in a store, or in files.

    Parameters
    ----------
    source : str
        Address of the store, or path of the files.
    series : list of SeriesReport
    quarantined : dict
        (table, exchange, symbol) -> reason -> rows.
    skipped : list of str
        What was passed over.
    """

    source: str
    series: list[SeriesReport] = field(default_factory=list)
    quarantined: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """All findings, in the order of the series."""
        return [finding for series in self.series for finding in series.findings]

    @property
    def verdict(self) -> Verdict:
        """The worst of the series."""
        return verdict_of(self.findings)

    def of(self, table: str, exchange: str, symbol: str) -> SeriesReport:
        """Return what is said of a series; of one without rows too."""
        for one in self.series:
            if (one.table, one.exchange, one.symbol) == (table, exchange, symbol):
                return one
        self.series.append(SeriesReport(table, exchange, symbol))
        return self.series[-1]

    def to_json(self) -> str:
        """Return it as JSON text: everything but the timelines; NaN is null."""
        return json.dumps(
            {
                "source": self.source,
                "verdict": self.verdict,
                "series": [
                    {
                        "table": one.table,
                        "exchange": one.exchange,
                        "symbol": one.symbol,
                        "verdict": one.verdict,
                        "rows": one.rows,
                        **_plain(one.summary),
                        "counts": one.counts,
                        "findings": [asdict(finding) for finding in one.findings],
                    }
                    for one in self.series
                ],
                "quarantined": [
                    {"table": t, "exchange": e, "symbol": s, "reason": reason, "rows": rows}
                    for (t, e, s), reasons in self.quarantined.items()
                    for reason, rows in reasons.items()
                ],
                "skipped": self.skipped,
                "rules": dict(RULES),
            },
            indent=1,
            allow_nan=False,
        )


def _milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if abs(value) >= 100 else f"{value:.1f} ms"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
