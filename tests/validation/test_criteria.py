import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrtrade.errors import ConfigError, DataError
from mrtrade.validation.criteria import (
    HEADER,
    Criterion,
    Verdict,
    judge,
    read_verdict,
    write_json,
)

GOOD = judge("Sharpe ratio", 1.2, ">", 1.0, "365 days")
BAD = judge("Drawdown", 25.0, "<", 20.0, unit="%")
OPEN = judge("Fill rate", None, ">", 0.5, reason="no orders")


@pytest.mark.parametrize(
    ("criteria", "decision", "code"),
    [
        ((GOOD,), "GO", 0),
        ((GOOD, GOOD), "GO", 0),
        ((GOOD, BAD), "NO-GO", 1),
        ((BAD, OPEN), "NO-GO", 1),
        ((GOOD, BAD, OPEN), "NO-GO", 1),
        ((GOOD, OPEN), "NOT JUDGED", 2),
        ((OPEN,), "NOT JUDGED", 2),
        ((), "NOT JUDGED", 2),
    ],
)
def test_decisions(criteria, decision, code):
    verdict = Verdict("it", criteria)
    assert (verdict.decision, verdict.exit_code) == (decision, code)
    assert verdict.sentence.startswith(decision + ":")


@pytest.mark.parametrize(
    ("measured", "comparison", "threshold", "passed"),
    [
        (1.0, ">", 1.0, False),
        (1.0, ">=", 1.0, True),
        (1.0, "<", 1.0, False),
        (1.0, "<=", 1.0, True),
        (0.0, "==", 0.0, True),
        (1.0, "==", 0.0, False),
        (math.nextafter(1.0, 2.0), ">", 1.0, True),
    ],
)
def test_a_threshold_is_met_as_it_says(measured, comparison, threshold, passed):
    assert judge("it", measured, comparison, threshold).passed is passed


@pytest.mark.parametrize("measured", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_not_judged(measured):
    one = judge("it", measured, ">", 0.0, reason="too short")
    assert (one.measured, one.passed, one.note) == (None, None, "too short")
    assert judge("it", measured, ">", 0.0).note == "not measured"


def test_a_number_with_a_reason_against_it_is_shown_and_not_judged():
    one = judge("it", 5.0, ">", 0.0, "12 trades", reason="fewer than 100 trades")
    assert (one.measured, one.passed) == (5.0, None)
    assert one.note == "fewer than 100 trades; 12 trades"


def test_nobody_can_talk_a_judgement_up():
    with pytest.raises(ConfigError, match="not what the numbers say"):
        Criterion("it", 0.5, 1.0, ">", True)
    with pytest.raises(ConfigError, match="not what the numbers say"):
        Criterion("it", None, 1.0, ">", True)
    with pytest.raises(ConfigError, match="not what the numbers say"):
        Criterion("it", 1.5, 1.0, ">", False)
    with pytest.raises(ConfigError, match="without a reason"):
        Criterion("it", None, 1.0, ">", None)
    with pytest.raises(ConfigError, match="no number"):
        Criterion("it", math.nan, 1.0, ">", None, "why")
    with pytest.raises(ConfigError, match="comparison"):
        Criterion("it", 1.0, 1.0, "!=", True)


@given(st.lists(st.sampled_from([GOOD, BAD, OPEN]), max_size=6), st.sampled_from([BAD, OPEN]))
def test_one_more_that_is_not_met_makes_nothing_better(criteria, one):
    order = ["GO", "NOT JUDGED", "NO-GO"]
    before = Verdict("it", tuple(criteria)).decision
    after = Verdict("it", (*criteria, one)).decision
    if criteria:
        assert order.index(after) >= order.index(before)
    assert after != "GO"


def test_the_sentence_names_what_failed_and_what_was_left_open():
    sentence = Verdict("it", (GOOD, BAD, OPEN)).sentence
    assert sentence == (
        "NO-GO: 1 of 3 criteria was not met: Drawdown. 1 of 3 criteria could not be judged."
    )


@pytest.mark.parametrize(
    ("measured", "threshold", "unit", "said"),
    [
        (0.0, 0, "", "0"),  # equal, and not only when rounded
        (4, 4, "", "4"),
        (1.00004, 1.0, "", "1.00004"),
        (2.2e-7, 95.0, "%", "0.00%"),
        (-2e-9, 95.0, "%", "-0.00%"),
        (0.0123456, 95.0, "%", "0.01235%"),
    ],
)
def test_numbers_are_told_as_a_trader_reads_them(measured, threshold, unit, said):
    one = judge("it", measured, "<=", threshold, unit=unit)
    assert Verdict("it", (one,)).rows()[0][1] == said


def test_json_there_and_back(tmp_path):
    verdict = Verdict("gate 1", (GOOD, BAD, OPEN), {"trials": 12})
    verdict.to_json(tmp_path / "new" / "verdict.json")
    assert read_verdict(tmp_path / "new" / "verdict.json") == verdict
    content = json.loads((tmp_path / "new" / "verdict.json").read_text())
    assert list(content) == [
        *("schema", "subject", "decision", "exit_code", "sentence", "criteria", "about"),
    ]
    assert content["criteria"][2] == {
        "name": "Fill rate",
        "measured": None,
        "comparison": ">",
        "threshold": 0.5,
        "unit": "",
        "passed": None,
        "note": "no orders",
    }
    assert os.listdir(tmp_path / "new") == ["verdict.json"]


def test_a_file_that_was_talked_up_is_refused(tmp_path):
    path = tmp_path / "verdict.json"
    content = Verdict("it", (BAD,)).to_dict()
    for change, match in [
        ({"decision": "GO"}, "not what the criteria make"),
        ({"criteria": [{**content["criteria"][0], "passed": True}]}, "no verdict"),
        ({"schema": "other/1"}, "another format"),
    ]:
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(DataError, match=match):
            read_verdict(path)
    path.write_text("{")
    with pytest.raises(DataError, match="no verdict"):
        read_verdict(path)
    with pytest.raises(DataError, match="no verdict"):
        read_verdict(tmp_path / "none.json")


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "verdict.json"
    Verdict("old", (GOOD,)).to_json(path)
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"x": math.nan})
    assert read_verdict(path).subject == "old"
    assert os.listdir(tmp_path) == ["verdict.json"]


def test_rows_of_a_table():
    rows = Verdict("it", (GOOD, BAD, OPEN)).rows()
    assert [len(row) for row in rows] == [len(HEADER)] * 3
    assert rows[0] == ("Sharpe ratio", "1.2", "> 1", "passed", "365 days")
    assert rows[1] == ("Drawdown", "25%", "< 20%", "FAILED", "")
    assert rows[2] == ("Fill rate", "not measured", "> 0.5", "not judged", "no orders")


def test_a_number_that_would_be_rounded_to_the_threshold_is_shown_in_full():
    row = Verdict("it", (judge("it", 0.99999, ">", 1.0),)).rows()[0]
    assert row[1] == "0.99999"
    assert row[3] == "FAILED"
