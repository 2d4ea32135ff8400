"""Splits in time whose train and test rows share no label: walk-forward, purged, combinatorial.

**What a row is.** Row i is known at ``start_ns[i]``, and its label is made of what happens in the
half-open interval ``[start_ns[i], end_ns[i])``: at ``end_ns[i]`` the label is known. Rows are in
the order of their starts; several may share one (symbols side by side).

**Overlap.** Two labels overlap if ``start_i < end_j`` and ``start_j < end_i``. Labels that touch
(one ends when the other begins) share nothing and do not overlap.

**Segment.** A run of consecutive test rows. A combinatorial split has several. What lies between
two segments is purged at its edges only.

**Purge** (Lopez de Prado 2018, AFML, section 7.4.1): a train row goes whose label overlaps that of
any test row.

**Embargo** (AFML, section 7.4.2): a train row goes that starts at or after a test row and before
the end of that row's label + embargo. So after a segment whose last label ends at E the first train
row is the first that starts at E + embargo or later. Features of train rows after a test segment
reach back into it; an embargo as long as the longest window of a feature excludes that.

Walk-forward trains on the past only, so its rule is one line; see `WalkForward`.

The splitters follow scikit-learn's interface without importing it, and hold their spans themselves,
since ``RFECV`` and others hand plain arrays to ``split``. Row numbers are flat, ascending arrays.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.clock import NS_PER_DAY, duration_ns, to_ns
from mrtrade.errors import ConfigError, DataError

Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Split = tuple[Rows, Rows]
Segments = Sequence[tuple[int, int]]
"""First row of a run of test rows, and the one after its last."""


class Window(NamedTuple):
    """The times of one walk-forward split, int64 ns UTC, each pair half-open.

    Train rows start in ``[train_begin_ns, train_end_ns)``, and their labels end by
    ``train_end_ns``; test rows start in ``[test_begin_ns, test_end_ns)``.
    """

    train_begin_ns: int
    train_end_ns: int
    test_begin_ns: int
    test_end_ns: int


class _Splitter:
    """What all splitters share: the spans of labels, and what scikit-learn asks for."""

    def __init__(
        self, embargo: str | int, start_ns: Any, end_ns: Any, horizon: str | int | None
    ) -> None:
        self.embargo = embargo
        self.horizon = horizon
        self.start_ns: Ints | None = None if start_ns is None else to_ns(start_ns)
        self.end_ns: Ints | None = None if end_ns is None else to_ns(end_ns)
        self._embargo_ns = duration_ns(embargo, zero=True)
        if end_ns is not None and horizon is not None:
            raise ConfigError(
                "both the ends of labels and their length",
                key="horizon",
                value=horizon,
                remedy="give end_ns where lengths differ, else horizon",
            )
        if self.end_ns is not None and self.start_ns is None:
            raise ConfigError("ends of labels without starts", key="start_ns", remedy="give both")
        if self.start_ns is not None:
            self._check(self.start_ns, self._ends(self.start_ns))

    def __repr__(self) -> str:
        shown = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                shown.append(f"{name}=<{len(value)} times>")
            elif value is not None and value != parameter.default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def split(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Make the splits, one after the other.

        Parameters
        ----------
        X : array or DataFrame (n, ...), optional
            Its length is compared with that of the spans. Where the splitter was given none, rows
            start at the times of its DatetimeIndex.
        y, groups
            Not looked at.

        Yields
        ------
        train, test : ndarray of int (n_train,), (n_test,)
            Numbers of rows, ascending.

        Raises
        ------
        ConfigError
            Spans and rows do not fit, or nothing is left to train on.
        """
        start, end = self._spans(X)
        return self._split(start, end)

    def _split(self, start: Ints, end: Ints) -> Iterator[Split]:
        raise NotImplementedError

    def _spans(self, X: Any) -> tuple[Ints, Ints]:
        if self.start_ns is not None:
            self._same_length(X, len(self.start_ns))
            return self.start_ns, self._ends(self.start_ns)
        index = getattr(X, "index", None)
        if not isinstance(index, pd.DatetimeIndex):
            raise ConfigError(
                "nothing says when rows start and when their labels end",
                key="start_ns",
                remedy="give the splitter start_ns and end_ns; scikit-learn hands on plain arrays",
            )
        start = to_ns(index)
        end = self._ends(start)
        self._check(start, end)
        return start, end

    def _same_length(self, X: Any, spans: int) -> None:
        rows = spans if X is None else X.shape[0] if hasattr(X, "shape") else len(X)
        if rows != spans:
            raise ConfigError(
                "the spans of labels are not those of these rows",
                key="start_ns",
                value=f"{spans} spans",
                expected=f"one for each of {rows} rows",
                remedy="make the splitter of the rows that it is to split, e.g. after rows "
                "without a label have been dropped",
            )

    def _ends(self, start: Ints) -> Ints:
        if self.end_ns is not None:
            return self.end_ns
        if self.horizon is not None:
            return start + duration_ns(self.horizon)
        return self._unknown_ends(start)

    def _unknown_ends(self, start: Ints) -> Ints:
        raise ConfigError(
            "nothing says when labels end, so nothing can be purged",
            key="end_ns",
            remedy="give end_ns, or horizon if all labels are equally long",
        )

    @staticmethod
    def _check(start: Ints, end: Ints) -> None:
        if len(start) != len(end):
            raise ConfigError(
                "as many starts as ends of labels",
                key="end_ns",
                value=len(end),
                expected=str(len(start)),
            )
        for wrong, what, expected in (
            (np.diff(start) < 0, "rows are not in the order of time", "starts that ascend"),
            (end <= start, "a label ends before it has begun", "end_ns > start_ns"),
        ):
            if wrong.any():
                raise DataError(what, row=int(np.argmax(wrong)), expected=expected)


class WalkForward(_Splitter):
    """Train on the past, test on what follows, go on by a step; as one would have traded.

    Split k = 0, 1, ... tests the rows that start in ``[T, T + test)`` with
    ``T = start of the first row + train + embargo + k * step``. It trains on the rows that start at
    or after ``T - embargo - train`` (`expanding`: on all from the first) and whose label ends at
    ``T - embargo`` or before. That bound purges: no label of the train rows was unknown, nor any
    bar of it seen, within `embargo` of the first test row.

    A test window that the data do not fill (up to the end of the last label + the usual step of
    rows) is no split. A window in which no row lies, of test or of train, is passed over.

    Parameters
    ----------
    train, test, step : str or int
        Lengths of time (`mrtrade.clock.duration_ns`). Calendar time, not rows: gaps count.
    embargo : str or int
        Time between the last train label's end and the first test row.
    expanding : bool
        Whether to keep all of the past; else the train window rolls.
    start_ns, end_ns : array of int64 (n,), optional
        Spans of the labels, ``[start, end)``, in the order of time. Without starts those of the
        DatetimeIndex of ``X`` are taken.
    horizon : str or int, optional
        Length of all labels, in place of `end_ns`. Without either, labels are taken to be shorter
        than the embargo, which then must not be 0.
    """

    def __init__(
        self,
        train: str | int = "90D",
        test: str | int = "30D",
        step: str | int = "30D",
        embargo: str | int = "1D",
        expanding: bool = True,
        *,
        start_ns: Any = None,
        end_ns: Any = None,
        horizon: str | int | None = None,
    ) -> None:
        self.train, self.test, self.step = train, test, step
        self.expanding = expanding
        self._lengths = duration_ns(train), duration_ns(test), duration_ns(step)
        super().__init__(embargo, start_ns, end_ns, horizon)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits: it follows from the times of the rows."""
        start, end = self._spans(X)
        return sum(1 for _ in self._split(start, end))

    def windows(self, X: Any = None) -> list[Window]:
        """Return the times of each split, in their order."""
        start, end = self._spans(X)
        return [window for window, _ in self._folds(start, end)]

    def _split(self, start: Ints, end: Ints) -> Iterator[Split]:
        for _, split in self._folds(start, end):
            yield split

    def _folds(self, start: Ints, end: Ints) -> Iterator[tuple[Window, Split]]:
        if not len(start):
            raise ConfigError("no rows to split")
        train, test, step = self._lengths
        begin = int(start[0])
        over = _over(start, end)
        first = begin + train + self._embargo_ns
        if first + test > over:
            raise ConfigError(
                "too short a time for one walk-forward split",
                value=f"{(over - begin) / NS_PER_DAY:.1f} days",
                expected=f"train + embargo + test = {(first + test - begin) / NS_PER_DAY:.1f} days",
            )
        for at in range(first, over - test + 1, step):
            bound = at - self._embargo_ns
            oldest = begin if self.expanding else bound - train
            window = Window(oldest, bound, at, at + test)
            split = _rows_of(window, start, end)
            if len(split[0]) and len(split[1]):
                yield window, split

    def _unknown_ends(self, start: Ints) -> Ints:
        return super()._unknown_ends(start) if self._embargo_ns == 0 else start + 1


def _over(start: Ints, end: Ints) -> int:
    """Return when the data are over: the end of the last label, and as long as rows usually stand.

    Rows whose labels would end later may have been dropped; the data do not end before them.
    """
    steps = np.diff(np.unique(start))
    return int(end.max()) + (int(np.median(steps)) if len(steps) else 0)


def _rows_of(window: Window, start: Ints, end: Ints) -> Split:
    low, high, first, last = np.searchsorted(start, window)
    train = low + np.flatnonzero(end[low:high] <= window.train_end_ns)
    return train, np.arange(first, last)


class _Blocks(_Splitter):
    """Splitters that cut rows into blocks of equal size, and test some of them."""

    _n_blocks: int

    def _tested(self) -> Iterator[tuple[int, ...]]:
        raise NotImplementedError

    def _cuts(self, n: int) -> Ints:
        """Return where blocks begin, and n; the first n % blocks have one row more."""
        if n < self._n_blocks:
            raise ConfigError(
                "fewer rows than blocks to cut them into", value=n, expected=f">= {self._n_blocks}"
            )
        size, more = divmod(n, self._n_blocks)
        block = np.arange(self._n_blocks + 1)
        return block * size + np.minimum(block, more)

    def _split(self, start: Ints, end: Ints) -> Iterator[Split]:
        cuts = self._cuts(len(start))
        for blocks in self._tested():
            segments = [(int(cuts[block]), int(cuts[block + 1])) for block in blocks]
            test = np.concatenate([np.arange(low, high) for low, high in segments])
            train = purged_train(start, end, segments, self._embargo_ns)
            if not len(train):
                raise ConfigError(
                    "purge and embargo leave no row to train on",
                    value=f"{len(test)} of {len(start)} rows tested",
                    remedy="shorter labels or embargo, fewer blocks, or more data",
                )
            yield train, test


def purged_train(start_ns: Ints, end_ns: Ints, segments: Segments, embargo_ns: int = 0) -> Rows:
    """Return the rows that may be trained on when some segments are tested.

    Parameters
    ----------
    start_ns, end_ns : ndarray of int64 (n,)
        Spans of labels, half-open; starts ascend.
    segments : sequence of (int, int)
        Runs of test rows: first row, and the one after the last.
    embargo_ns : int
        Time after the end of each segment's last label in which no train row starts.

    Returns
    -------
    ndarray of int (n_train,)
        Ascending. The rules are those that this module's docstring states.
    """
    keep = np.ones(len(start_ns), dtype=bool)
    for low, high in segments:
        keep[low:high] = False
        # Before it, rows start at or before its first label does: those overlap that end later.
        keep[:low] &= end_ns[:low] <= start_ns[low]
        over = int(end_ns[low:high].max()) + embargo_ns
        keep[high : max(high, int(np.searchsorted(start_ns, over)))] = False
    return np.flatnonzero(keep)


class PurgedKFold(_Blocks):
    """K-fold cross-validation of labels that last: Lopez de Prado (2018), AFML, section 7.4.

    The rows are cut, in the order of time, into `n_splits` blocks whose sizes differ by at most
    one; each is tested once. Train rows are all others but those that purge and embargo take.

    Parameters
    ----------
    n_splits : int
        At least 2.
    embargo : str or int
        Length of time after the end of the last test label.
    start_ns, end_ns : array of int64 (n,), optional
        Spans of the labels, ``[start, end)``, in the order of time. Without starts those of the
        DatetimeIndex of ``X`` are taken.
    horizon : str or int, optional
        Length of all labels, in place of `end_ns`.
    """

    def __init__(
        self,
        n_splits: int = 5,
        embargo: str | int = "0D",
        *,
        start_ns: Any = None,
        end_ns: Any = None,
        horizon: str | int | None = None,
    ) -> None:
        if n_splits < 2:
            raise ConfigError("too few folds", key="n_splits", value=n_splits, expected=">= 2")
        self.n_splits = self._n_blocks = n_splits
        super().__init__(embargo, start_ns, end_ns, horizon)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits."""
        return self.n_splits

    def _tested(self) -> Iterator[tuple[int, ...]]:
        return ((block,) for block in range(self.n_splits))


class CombinatorialPurgedCV(_Blocks):
    """Combinatorial purged cross-validation: Lopez de Prado (2018), AFML, section 12.4.

    The rows are cut, in the order of time, into N = `n_groups` blocks; each of the C(N, k) choices
    of k = `n_test_groups` of them is tested once, in lexicographic order. Every block is tested by
    C(N - 1, k - 1) splits, so that their predictions make as many paths through all rows. Paths
    share data and are not independent: their Sharpe ratios are no sample of that size.

    Parameters
    ----------
    n_groups : int
        At least 2.
    n_test_groups : int
        1 to `n_groups` - 1.
    embargo : str or int
        Length of time after the end of the last label of each test segment.
    start_ns, end_ns : array of int64 (n,), optional
        Spans of the labels, ``[start, end)``, in the order of time. Without starts those of the
        DatetimeIndex of ``X`` are taken.
    horizon : str or int, optional
        Length of all labels, in place of `end_ns`.
    """

    def __init__(
        self,
        n_groups: int = 6,
        n_test_groups: int = 2,
        embargo: str | int = "0D",
        *,
        start_ns: Any = None,
        end_ns: Any = None,
        horizon: str | int | None = None,
    ) -> None:
        if not 1 <= n_test_groups < n_groups:
            raise ConfigError(
                "blocks to test, of all blocks",
                key="n_test_groups",
                value=n_test_groups,
                expected=f"1 to n_groups - 1 = {n_groups - 1}",
            )
        self.n_groups = self._n_blocks = n_groups
        self.n_test_groups = n_test_groups
        super().__init__(embargo, start_ns, end_ns, horizon)

    @property
    def n_paths(self) -> int:
        """Number of paths: C(N - 1, k - 1) = k / N C(N, k)."""
        return comb(self.n_groups - 1, self.n_test_groups - 1)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits: C(N, k)."""
        return comb(self.n_groups, self.n_test_groups)

    def _tested(self) -> Iterator[tuple[int, ...]]:
        return combinations(range(self.n_groups), self.n_test_groups)

    def paths(self) -> Ints:
        """Return which split predicts each block of each path.

        Returns
        -------
        ndarray of int64 (n_paths, n_groups)
            Numbers of splits. Path p takes each block from the p-th of the splits that test it
            (AFML, figure 12.2).
        """
        tested: list[list[int]] = [[] for _ in range(self.n_groups)]
        for number, blocks in enumerate(self._tested()):
            for block in blocks:
                tested[block].append(number)
        return np.array(tested, dtype=np.int64).T

    def path_predictions(self, predictions: Sequence[npt.ArrayLike]) -> npt.NDArray[np.float64]:
        """Put what each split predicted together to paths through all rows.

        Parameters
        ----------
        predictions : sequence of array (n_test,)
            One of each split, in their order, for its test rows in their order.

        Returns
        -------
        ndarray of float64 (n_paths, n)
        """
        made = [np.asarray(one, dtype=np.float64) for one in predictions]
        if len(made) != self.get_n_splits():
            raise ConfigError(
                "predictions of each split", value=len(made), expected=str(self.get_n_splits())
            )
        # each block is tested by n_paths splits
        cuts = self._cuts(sum(map(len, made)) // self.n_paths)
        paths = self.paths()
        out = np.full((self.n_paths, int(cuts[-1])), np.nan)
        for number, blocks in enumerate(self._tested()):
            sizes = [int(cuts[block + 1] - cuts[block]) for block in blocks]
            if sum(sizes) != len(made[number]):
                raise ConfigError(
                    f"predictions of split {number}",
                    value=len(made[number]),
                    expected=f"one for each of its {sum(sizes)} test rows",
                )
            parts = np.split(made[number], np.cumsum(sizes)[:-1])
            for block, part in zip(blocks, parts, strict=True):
                path = int(np.flatnonzero(paths[:, block] == number)[0])
                out[path, cuts[block] : cuts[block + 1]] = part
        return out
