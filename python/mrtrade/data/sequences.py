"""Whether messages are missing: the rules by which exchanges number what they send.

==================  ===========================================================================
Binance spot        a depth update's first id `U` is the last id `u` of the one before, plus 1
Binance futures     (USD-M, COIN-M) a depth update names the last id before it: ``pu`` is that `u`
Bybit               `u` grows by 1; a snapshot begins anew
Coinbase            `sequence_num` of a connection, over all its channels, grows by 1
trades              ids of Binance (`t`, aggregate `a`) grow by 1
OKX                 none of what is recorded: its checksums are not kept
==================  ===========================================================================

What is stored has only the last id of each message (`sequence_number`): of that no rule says more
than that it never falls. So holes are found where the messages themselves are read, at the door.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mrtrade.data.quality.findings import Finding, Severity
from mrtrade.instruments import from_lake


@dataclass(frozen=True)
class Hole:
    """A place where ids do not follow each other.

    Parameters
    ----------
    before, after : int
        Receive times of the messages on both sides, nanoseconds.
    expected, found : int
        Id that would have followed, and the one that came.
    """

    before: int
    after: int
    expected: int
    found: int

    @property
    def missing(self) -> int:
        """Ids that are missing; 0 or less where ids came again."""
        return self.found - self.expected


class Chain:
    """The ids of one stream, message by message.

    Attributes
    ----------
    holes : list of Hole
    seen : int
        Messages.
    last : int or None
        Last id of the last of them.
    """

    def __init__(self) -> None:
        self.holes: list[Hole] = []
        self.seen = 0
        self.last: int | None = None
        self._received = 0

    def restart(self) -> None:
        """Begin anew: after a snapshot, or on another connection."""
        self.last = None

    def follow(self, received: int, first: int, last: int) -> None:
        """See a message that says its own first and last id: they follow the one before."""
        if self.last is not None and first != self.last + 1:
            self.holes.append(Hole(self._received, received, self.last + 1, first))
        self._see(received, last)

    def follow_all(self, received: npt.NDArray[np.int64], ids: npt.NDArray[np.int64]) -> None:
        """See many messages of one id each."""
        if not len(ids):
            return
        before = ids[0] - 1 if self.last is None else self.last
        for at in np.flatnonzero(np.diff(ids, prepend=before) != 1).tolist():
            known = (int(received[at - 1]), int(ids[at - 1])) if at else (self._received, before)
            self.holes.append(Hole(known[0], int(received[at]), int(known[1]) + 1, int(ids[at])))
        self._see(int(received[-1]), int(ids[-1]))
        self.seen += len(ids) - 1

    def refer(self, received: int, previous: int, last: int) -> None:
        """See a message that names the last id before it, and its own last id."""
        if self.last is not None and previous != self.last:
            self.holes.append(Hole(self._received, received, self.last, previous))
        self._see(received, last)

    def _see(self, received: int, last: int) -> None:
        self.last = last
        self._received = received
        self.seen += 1

    def findings(self, table: str, exchange: str, symbol: str, ids: str) -> list[Finding]:
        """Return a finding a hole.

        Parameters
        ----------
        table, exchange, symbol : str
        ids : str
            What they are called, e.g. ``"pu"``.
        """
        severity: Severity = "error" if table == "book_delta_v2" else "warning"
        found = []
        for hole in self.holes:
            how = f": {hole.missing:,} ids missing" if hole.missing > 0 else ", or ids came again"
            text = f"{ids} was {hole.found}, expected {hole.expected}{how}"
            span = (hole.before, hole.after, max(hole.missing, 1))
            where = (table, exchange, from_lake(symbol))
            found.append(Finding("sequence_hole", severity, *where, *span, text))
        return found


def falls(sequence: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the rows whose stored sequence number is smaller than the one before; -1 is none.

    Parameters
    ----------
    sequence : numpy.ndarray of int64
        Of rows in the order in which they were received.
    """
    known = np.flatnonzero(sequence >= 0)
    return known[1:][np.diff(sequence[known]) < 0]


def steps(ids: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the rows whose id does not follow that of the row before by 1.

    Parameters
    ----------
    ids : numpy.ndarray
        Numbers, or text that is numbers. Ids of another kind have no order: none is returned.
    """
    try:
        numbers = np.asarray(ids).astype(np.int64)
    except (ValueError, OverflowError, TypeError):
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(np.diff(numbers) != 1) + 1
