"""Deltas and the book they make, looked at in one pass."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mrcore.quality import DeltaAudit
from mrtrade.data.quality.findings import Finding, Severity
from mrtrade.data.quality.rules import (
    FROZEN_MESSAGES,
    FROZEN_NS,
    MAX_CROSSED_NS,
    MAX_CROSSED_SHARE,
    MAX_GAP_NS,
    Series,
    graded,
    share_text,
    span_text,
)
from mrtrade.data.quality.times import Times
from mrtrade.data.quality.touches import Extremes, Recorded
from mrtrade.data.snapshots import DELTA_COLUMNS, Snapshots, chunks_of
from mrtrade.data.store import Store
from mrtrade.instruments import Instrument

_FEW = 20  # messages that a share of them says nothing


class Deltas:
    """What was found in the deltas of an instrument.

    Parameters
    ----------
    store : Store
    instrument : Instrument
    low, high : int or None
        ``low <= received_time < high``.

    Attributes
    ----------
    times : Times
    counts : dict
        Of `mrcore.quality.DeltaAudit`.
    extremes : Extremes
    recorded : list of Recorded
        Best prices of other tables that the book was held against.
    """

    def __init__(
        self, store: Store, instrument: Instrument, low: int | None, high: int | None
    ) -> None:
        self.series = Series("book_delta_v2", instrument.exchange, instrument.symbol)
        self.times = Times(self.series, "messages")
        self.extremes = Extremes()
        self.recorded = [Recorded(store, table, instrument) for table in ("level_1", "book")]
        self._audit = DeltaAudit(
            instrument.tick_size,
            instrument.lot_size,
            max_gap_ns=MAX_GAP_NS,
            frozen_ns=FROZEN_NS,
            frozen_messages=FROZEN_MESSAGES,
        )
        self._starts_within = low is not None
        self._cold_since = self._cold_until = 0
        self._run(store, instrument, low, high)
        self.counts: dict[str, Any] = self._audit.counts

    def _run(self, store: Store, instrument: Instrument, low: int | None, high: int | None) -> None:
        # A snapshot before the span is of no use to it: what came since is not read.
        found = (
            one
            for one in Snapshots(store, instrument, low, high)
            if low is None or one.received >= low
        )
        snapshot = next(found, None)
        where = (instrument.exchange, instrument.symbol)
        for chunk in chunks_of(store, "book_delta_v2", where, low, high):
            columns = [chunk.rows[name].to_numpy() for name in DELTA_COLUMNS]
            columns[3] = columns[3].view(np.uint8)
            received, done = columns[1], 0
            self._cold_since = self._cold_since or int(received[0])
            while snapshot is not None and snapshot.received <= received[-1]:
                cut = int(np.searchsorted(received, snapshot.received))
                self._take(self._audit.feed(*(column[done:cut] for column in columns)))
                self._put(snapshot)
                snapshot, done = next(found, None), cut
            self._take(self._audit.feed(*(column[done:] for column in columns)))
        while snapshot is not None:  # received after the last delta
            self._put(snapshot)
            snapshot = next(found, None)
        self._take(self._audit.finish())

    def _put(self, snapshot: Any) -> None:
        self._take(self._audit.finish())
        # What it lacks came before it.
        parts = (snapshot.rows, snapshot.late)
        side, tick, lots = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("side", "tick", "lots")
        )
        self._cold_until = self._cold_until or snapshot.received
        sequence = snapshot.sequence
        if len(snapshot.late):
            sequence = max(sequence, int(snapshot.late.sequence[-1]))
        self._audit.snapshot(side, tick, lots, snapshot.received, sequence)

    def _take(self, messages: npt.NDArray[np.int64]) -> None:
        if messages.shape[1]:
            self.times.feed(messages[0], messages[1], messages[3])
            self.extremes.feed(messages)
            for recorded in self.recorded:
                recorded.feed(messages)

    # ---- what comes out

    def findings(self) -> Iterator[Finding]:
        """Yield what there is to say."""
        yield from self.times.findings()
        yield from self._row_findings()
        yield from self._sequence_findings()
        yield from self._book_findings()
        for recorded in self.recorded:
            yield from self._agreement(recorded)

    def _row_findings(self) -> Iterator[Finding]:
        one, counts = self.series.finding, self.counts
        span = (self.times.first, self.times.last)
        for name, what in (("bad_prices", "prices that are none"), ("bad_sizes", "sizes")):
            if counts[name]:
                text = f"{counts[name]:,} {what}: negative, zero, or no number"
                yield one("bad_rows", "error", *span, counts[name], text)
        off = {name: counts[f"off_{name}"] for name in ("tick", "lot")}
        if any(off.values()):
            text = f"{off['tick']:,} prices off the tick, {off['lot']:,} sizes off the lot size"
            yield one("off_grid", "error", *span, sum(off.values()), text)
        if counts["repeated_rows"]:
            text = f"{counts['repeated_rows']:,} rows repeat the row before them"
            severity = graded(counts["repeated_rows"] / counts["rows"], 0, 0.01)
            yield one("duplicates", severity, *span, counts["repeated_rows"], text)

    def _sequence_findings(self) -> Iterator[Finding]:
        one, counts, last = self.series.finding, self.counts, self.times.last
        span = (self.times.first, last)
        falls, repeats = counts["sequence_falls"], counts["sequence_repeats"]
        if falls:
            text = f"sequence_number falls {falls:,} times without a snapshot"
            yield one("sequence_falls", "error", counts["first_fall_at"], last, falls, text)
        if repeats:
            text = f"{repeats:,} messages repeat the sequence number of the one before"
            severity = graded(repeats / counts["messages"], 0, 0.01)
            yield one("duplicates", severity, *span, repeats, text)
        # Of what is stored only Bybit's numbers say that a message is missing: they grow by one.
        jumps = counts["sequence_jumps"] if self.series.exchange == "BYBIT" else 0
        if jumps:
            text = f"u jumps by more than 1 at {jumps:,} messages: those before are missing"
            yield one("sequence_hole", "error", *span, jumps, text)

    def _book_findings(self) -> Iterator[Finding]:
        one, counts, times = self.series.finding, self.counts, self.times
        span = (times.first, times.last)
        cold = (self._cold_until or times.last) - self._cold_since
        if not self._cold_until or cold > MAX_GAP_NS:
            text = (
                f"no snapshot in the first {span_text(cold)}"
                if self._cold_until
                else "no snapshot: levels are unknown until they change"
            )
            severity: Severity = "info" if self._starts_within else "warning"
            yield one("cold_book", severity, times.first, times.first + cold, 1, text)
        crossed = counts["crossed"]
        if crossed["messages"]:
            share = crossed["total_ns"] / max(times.covered_ns, 1)
            long = crossed["longest_ns"]
            text = (
                f"bid >= ask after {crossed['messages']:,} of {counts['messages']:,} messages, "
                f"{share_text(share)} of the time, for up to {span_text(long)}"
            )
            bad = share > MAX_CROSSED_SHARE or long > MAX_CROSSED_NS
            at = crossed["longest_at"] or times.first
            grade: Severity = "error" if bad else "warning"
            yield one("crossed_book", grade, at, at + long, crossed["messages"], text)
        frozen = counts["frozen"]
        if frozen["spells"]:
            text = (
                f"best prices and sizes stand still {frozen['spells']:,} times while messages "
                f"come, for up to {span_text(frozen['longest_ns'])}"
            )
            at = frozen["longest_at"]
            yield one(
                "frozen_book", "warning", at, at + frozen["longest_ns"], frozen["spells"], text
            )
        if counts["one_sided"]:
            share = counts["one_sided"] / counts["messages"]
            text = f"a side is empty after {counts['one_sided']:,} messages ({share_text(share)})"
            known = self._cold_until and counts["one_sided"] >= _FEW
            severity = graded(share, 0.01, 1) if known else "info"
            yield one("one_sided", severity, *span, counts["one_sided"], text)

    def _agreement(self, recorded: Recorded) -> Iterator[Finding]:
        found = recorded.agreement
        if not found.compared:
            return
        share = found.equal / found.compared
        severity = graded(1 - share, 0.001, 0.01)
        if found.compared < _FEW and severity == "error":
            severity = "warning"
        text = (
            f"best prices and sizes equal those of {recorded.table} at {found.equal:,} of "
            f"{found.compared:,} messages that both have ({share_text(share)})"
        )
        start = found.first_difference or self.times.first
        yield self.series.finding(
            "best_agrees", severity, start, self.times.last, found.compared, text
        )
