"""Splits by hand, against an obvious twin, and against another library."""

import pickle
from collections import Counter
from math import comb

import numpy as np
import pandas as pd
import purgedcv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.clock import NS_PER_DAY, from_ns
from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.splits import CombinatorialPurgedCV, PurgedKFold, WalkForward, Window

DAY = NS_PER_DAY


def equal(rows: int, lasting: int) -> dict[str, np.ndarray]:
    """Rows at 0, 1, ... whose labels last so long."""
    start = np.arange(rows)
    return {"start_ns": start, "end_ns": start + lasting}


@st.composite
def labels(draw, most: int = 40):
    """Spans of any length, some of them starting together."""
    rows = draw(st.integers(12, most))
    start = np.cumsum(draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))
    lasting = draw(st.lists(st.integers(1, 8), min_size=rows, max_size=rows))
    return {"start_ns": start, "end_ns": start + np.array(lasting)}


def brute(start, end, test, embargo) -> list[int]:
    """Each train row against each test row, as the module's docstring has it."""
    return [
        i
        for i in sorted(set(range(len(start))) - set(test))
        if not any(start[i] < end[j] and start[j] < end[i] for j in test)
        and not any(start[j] <= start[i] < end[j] + embargo for j in test)
    ]


def attempt(splitter, reason="leave no row to train on"):
    """Return the splits, or None if there are none for this reason."""
    try:
        return list(splitter.split())
    except ConfigError as error:
        if reason not in str(error):
            raise
        return None


def test_two_segments_purge_their_neighbours_and_not_what_lies_between():
    # Labels of two bars: 1 reaches into the test of 2, whose own label reaches over 3.
    splitter = CombinatorialPurgedCV(12, 2, **equal(12, 2))
    splits = {tuple(test): list(train) for train, test in splitter.split()}
    assert splits[2, 9] == [0, 4, 5, 6, 7, 11]
    # with an embargo of one, the row after each is gone too
    splitter = CombinatorialPurgedCV(12, 2, 1, **equal(12, 2))
    splits = {tuple(test): list(train) for train, test in splitter.split()}
    assert splits[2, 9] == [0, 5, 6, 7]
    # neighbours are one segment
    assert splits[2, 3] == [0, 6, 7, 8, 9, 10, 11]


def test_labels_that_touch_the_test_are_kept():
    splitter = PurgedKFold(3, **equal(9, 1))
    assert [list(train) for train, _ in splitter.split()] == [
        [3, 4, 5, 6, 7, 8],
        [0, 1, 2, 6, 7, 8],
        [0, 1, 2, 3, 4, 5],
    ]
    # a row that starts when the embargo ends is kept too
    middle = list(PurgedKFold(3, 2, **equal(9, 1)).split())[1]
    assert list(middle[0]) == [0, 1, 2, 8]


def test_blocks_differ_by_one_row_at_most_and_the_first_are_larger():
    tests = [list(test) for _, test in PurgedKFold(3, **equal(8, 1)).split()]
    assert tests == [[0, 1, 2], [3, 4, 5], [6, 7]]


@given(labels(), st.integers(2, 5), st.integers(0, 6))
def test_k_fold_purges_as_brute_force_does(spans, folds, embargo):
    splitter = PurgedKFold(folds, embargo, **spans)
    tests = np.array_split(np.arange(len(spans["start_ns"])), folds)
    slow = [(brute(*spans.values(), list(test), embargo), list(test)) for test in tests]
    made = attempt(splitter)
    if made is None:
        assert any(not train for train, _ in slow)
        return
    assert [(list(train), list(test)) for train, test in made] == slow
    assert splitter.get_n_splits() == folds
    for rows in (rows for split in made for rows in split):
        assert rows.ndim == 1
        assert rows.dtype == np.intp


@given(labels(24), st.integers(2, 6), st.data(), st.integers(0, 4))
def test_combinations_are_purged_as_by_brute_force(spans, groups, data, embargo):
    tested = data.draw(st.integers(1, groups - 1))
    splitter = CombinatorialPurgedCV(groups, tested, embargo, **spans)
    made = attempt(splitter)
    if made is None:
        return
    assert len(made) == splitter.get_n_splits() == comb(groups, tested)
    for train, test in made:
        assert list(train) == brute(*spans.values(), list(test), embargo)
        assert (np.diff(test) > 0).all()
    times_tested = Counter(row for _, test in made for row in test)
    assert set(times_tested.values()) == {splitter.n_paths}
    assert len(times_tested) == len(spans["start_ns"])


@pytest.mark.parametrize(("groups", "tested", "splits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9)])
def test_numbers_of_splits_and_paths_are_the_published_ones(groups, tested, splits, paths):
    splitter = CombinatorialPurgedCV(groups, tested, **equal(100, 1))
    assert splitter.get_n_splits() == len(list(splitter.split())) == splits
    assert splitter.n_paths == paths
    assert splitter.paths().shape == (paths, groups)


def test_the_paths_of_six_blocks_by_hand():
    # AFML, figure 12.2: the splits that test each block, one below the other
    assert CombinatorialPurgedCV(6, 2, horizon="1h").paths().tolist() == [
        [0, 0, 1, 2, 3, 4],
        [1, 5, 5, 6, 7, 8],
        [2, 6, 9, 9, 10, 11],
        [3, 7, 10, 12, 12, 13],
        [4, 8, 11, 13, 14, 14],
    ]


@pytest.mark.parametrize(("groups", "tested", "rows"), [(6, 2, 62), (5, 3, 23), (4, 1, 8)])
def test_paths_put_predictions_where_another_library_does(groups, tested, rows):
    splitter = CombinatorialPurgedCV(groups, tested, **equal(rows, 1))
    tests = [test for _, test in splitter.split()]
    made = [1000.0 * number + test for number, test in enumerate(tests)]
    paths = splitter.path_predictions(made)
    other = purgedcv.reconstruct_paths(made, tests, groups, tested, rows)
    np.testing.assert_array_equal(paths, other)
    # each path has each row once, from a split that tests it
    assert (paths % 1000 == np.arange(rows)).all()
    with pytest.raises(ConfigError, match="predictions of each split"):
        splitter.path_predictions(made[1:])
    with pytest.raises(ConfigError, match="predictions of split 0"):
        splitter.path_predictions([made[0][1:], *made[1:-1], np.append(made[-1], 0.0)])


@given(labels(), st.sampled_from([(5, None), (6, 2), (4, 3)]), st.integers(0, 5))
def test_another_library_makes_the_same_splits_but_for_the_end_of_the_embargo(
    spans, blocks, embargo
):
    """Hold `purgedcv` 0.1.11 beside it.

    Its labels are half-open as ours are, so that those that touch stay. Its embargo is closed,
    [end, end + embargo]: it drops a row that starts just when the embargo ends, which ours keeps.
    """
    groups, tested = blocks
    start, end = (from_ns(spans[name] * DAY) for name in ("start_ns", "end_ns"))
    options = {"prediction_times": start, "evaluation_times": end}
    options |= {"embargo": pd.Timedelta(embargo, "D")} if embargo else {}
    mine = {"start_ns": start, "end_ns": end, "embargo": f"{embargo}D"}
    if tested is None:
        ours, theirs = PurgedKFold(groups, **mine), purgedcv.PurgedKFold(groups, **options)
    else:
        ours = CombinatorialPurgedCV(groups, tested, **mine)
        theirs = purgedcv.CombinatorialPurgedCV(n_splits=groups, n_test_groups=tested, **options)
    made = attempt(ours)
    if made is None:
        return
    other = list(theirs.split(np.zeros((len(start), 1))))
    assert ours.get_n_splits() == theirs.get_n_splits() == len(other)
    for (train, test), (their_train, their_test) in zip(made, other, strict=True):
        np.testing.assert_array_equal(test, their_test)
        closes = set(spans["end_ns"][test] + embargo) if embargo else set()
        extra = sorted(set(train) - set(their_train))
        assert set(their_train) <= set(train)
        assert all(spans["start_ns"][row] in closes for row in extra)


def days(n: int, lasting: int = DAY) -> dict[str, np.ndarray]:
    start = np.arange(n) * DAY
    return {"start_ns": start, "end_ns": start + lasting}


def test_the_walk_is_the_one_of_the_specification():
    splitter = WalkForward(**days(181))
    windows = splitter.windows()
    assert windows[0] == Window(0, 90 * DAY, 91 * DAY, 121 * DAY)
    assert windows[1] == Window(0, 120 * DAY, 121 * DAY, 151 * DAY)
    assert [(list(train[[0, -1]]), list(test[[0, -1]])) for train, test in splitter.split()] == [
        ([0, 89], [91, 120]),
        ([0, 119], [121, 150]),
        ([0, 149], [151, 180]),
    ]
    rolling = WalkForward(expanding=False, **days(181))
    assert [list(train[[0, -1]]) for train, _ in rolling.split()] == [[0, 89], [30, 119], [60, 149]]
    # two years of days
    assert WalkForward(**days(731)).get_n_splits() == 21


def test_labels_that_end_within_the_embargo_before_the_test_are_not_trained_on():
    # Labels of 5 days: the last that is known a day before the test began at day 85.
    train, test = next(iter(WalkForward(**days(181, 5 * DAY)).split()))
    assert list(train[[0, -1]]) == [0, 85]
    assert list(test[[0, -1]]) == [91, 120]
    # without an embargo a label may end as the test begins
    train, test = next(iter(WalkForward(embargo="0D", **days(181)).split()))
    assert (train[-1], test[0]) == (89, 90)


def test_a_last_window_that_the_data_do_not_fill_is_no_split():
    assert WalkForward(**days(121)).get_n_splits() == 1
    assert WalkForward(**days(149)).get_n_splits() == 1
    # row 149 has a label, so there was a bar 150, the last of the second window
    assert WalkForward(**days(150)).get_n_splits() == 2
    with pytest.raises(ConfigError, match=r"121\.0 days"):
        WalkForward(**days(119)).get_n_splits()
    # rows at the end whose labels were not known were dropped; the data did not end there
    spans = {name: times[:116] for name, times in days(121, 5 * DAY).items()}
    assert WalkForward(**spans).get_n_splits() == 1


def test_windows_without_rows_are_passed_over():
    spans = {name: np.delete(times, range(115, 160)) for name, times in days(260).items()}
    windows = WalkForward(**spans).windows()
    assert [window.test_begin_ns // DAY for window in windows] == [91, 151, 181, 211]
    rolling = WalkForward(train="30D", expanding=False, **spans)
    # the 30 days before day 151 - 1 and the test of day 121 are not there
    begins = [window.test_begin_ns // DAY for window in rolling.windows()]
    assert begins == [31, 61, 91, 181, 211]
    assert rolling.get_n_splits() == len(list(rolling.split())) == len(begins)


@given(
    labels(),
    st.tuples(st.integers(1, 20), st.integers(1, 9), st.integers(1, 9), st.integers(0, 6)),
    st.booleans(),
)
def test_walk_forward_is_its_one_rule(spans, lengths, expanding):
    train, test, step, embargo = lengths
    start, end = spans.values()
    splitter = WalkForward(train, test, step, embargo, expanding, **spans)
    usual = np.median(np.diff(np.unique(start))) if len(set(start)) > 1 else 0
    slow = []
    for k in range(200):
        at = start[0] + train + embargo + k * step
        if at + test > end.max() + int(usual):
            break
        tested = [i for i in range(len(start)) if at <= start[i] < at + test]
        trained = [
            i
            for i in range(len(start))
            if end[i] <= at - embargo and (expanding or start[i] >= at - embargo - train)
        ]
        if tested and trained:
            slow.append((trained, tested))
    made = attempt(splitter, "too short a time") or []
    assert [(list(train), list(test)) for train, test in made] == slow
    for trained, tested in made:
        # the claim itself: nothing of a train label is within the embargo of a test row
        assert end[trained].max() + embargo <= start[tested].min()


def test_walk_forward_of_the_other_library_tests_the_same_rows():
    ours = WalkForward("10D", "5D", "5D", "0D", **days(40, 3 * DAY))
    theirs = purgedcv.WalkForwardSplit(
        6,
        test_size=5,
        window="expanding",
        prediction_times=from_ns(np.arange(40) * DAY),
        evaluation_times=from_ns((np.arange(40) + 3) * DAY),
    )
    other = list(theirs.split(np.zeros((40, 1))))
    for (train, test), (their_train, their_test) in zip(ours.split(), other, strict=True):
        np.testing.assert_array_equal(test, their_test)
        np.testing.assert_array_equal(train, their_train)


def test_spans_of_a_frame_are_its_index():
    index = pd.date_range("2024-01-01", periods=300, freq="1D", tz="UTC")
    for unit in ("ns", "us", "s"):
        X = pd.DataFrame({"x": range(300)}, index=index.as_unit(unit))
        given_times = WalkForward(start_ns=index, end_ns=index + pd.Timedelta("1h"))
        from_index = WalkForward(horizon="1h")
        assert from_index.get_n_splits(X) == given_times.get_n_splits() == 6
        for one, two in zip(from_index.split(X), given_times.split(X), strict=True):
            np.testing.assert_array_equal(one[0], two[0])
            np.testing.assert_array_equal(one[1], two[1])
    assert PurgedKFold(horizon="2d").get_n_splits(X) == 5
    first = next(iter(PurgedKFold(horizon="2d").split(X)))
    assert first[0][0] == 61  # the label of row 59 ends with day 60
    # within the embargo, no label is longer than a day: nothing else to know
    assert WalkForward().get_n_splits(X) == 6


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: PurgedKFold(1, **equal(9, 1)), ConfigError, "n_splits: too few folds"),
        (lambda: CombinatorialPurgedCV(4, 4), ConfigError, "n_test_groups"),
        (lambda: CombinatorialPurgedCV(4, 0), ConfigError, "n_test_groups"),
        (lambda: PurgedKFold(start_ns=[1, 2], end_ns=[2]), ConfigError, "as many starts as ends"),
        (lambda: PurgedKFold(end_ns=[2]), ConfigError, "ends of labels without starts"),
        (lambda: PurgedKFold(start_ns=[1]), ConfigError, "nothing says when labels end"),
        (lambda: WalkForward(embargo=0, start_ns=[1]), ConfigError, "nothing says when labels end"),
        (lambda: PurgedKFold(horizon="1h", **equal(9, 1)), ConfigError, "and their length"),
        (lambda: PurgedKFold(embargo="-1h"), ConfigError, "not a length of time"),
        (lambda: WalkForward(test=0), ConfigError, "not a length of time"),
        (
            lambda: PurgedKFold(start_ns=[1, 3, 2], end_ns=[9, 9, 9]),
            DataError,
            "row 1: rows are not in the order of time",
        ),
        (
            lambda: PurgedKFold(start_ns=[1, 3], end_ns=[2, 3]),
            DataError,
            "row 1: a label ends before it has begun",
        ),
        (
            lambda: list(PurgedKFold(5, **equal(4, 1)).split()),
            ConfigError,
            "fewer rows than blocks",
        ),
        (lambda: list(PurgedKFold(2, **equal(9, 20)).split()), ConfigError, "no row to train on"),
        (
            lambda: list(PurgedKFold(2).split(np.zeros((9, 1)))),
            ConfigError,
            "nothing says when rows",
        ),
        (lambda: WalkForward(start_ns=[], end_ns=[]).get_n_splits(), ConfigError, "no rows"),
        (
            lambda: list(PurgedKFold(2, **equal(9, 1)).split(np.zeros((8, 1)))),
            ConfigError,
            "start_ns: the spans of labels are not those of these rows, was '9 spans'; expected "
            "one for each of 8 rows",
        ),
        (lambda: WalkForward(**days(200)).get_n_splits([0] * 7), ConfigError, "each of 7 rows"),
    ],
)
def test_what_cannot_be_split_is_said(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("splitter", "text"),
    [
        (WalkForward(), "WalkForward()"),
        (
            WalkForward("60D", expanding=False, **days(200)),
            "WalkForward(train='60D', expanding=False, start_ns=<200 times>, end_ns=<200 times>)",
        ),
        (PurgedKFold(3, "1h", horizon="2h"), "PurgedKFold(n_splits=3, embargo='1h', horizon='2h')"),
        (
            CombinatorialPurgedCV(10, horizon=1),
            "CombinatorialPurgedCV(n_groups=10, horizon=1)",
        ),
    ],
)
def test_splitters_say_what_they_are_and_pickle(splitter, text):
    again = pickle.loads(pickle.dumps(splitter))
    assert repr(splitter) == repr(again) == text
    X = pd.DataFrame(index=pd.date_range("2024-01-01", periods=200, freq="1D", tz="UTC"))
    X["x"] = 0.0
    for one, two in zip(splitter.split(X), again.split(X), strict=True):
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], two[1])
