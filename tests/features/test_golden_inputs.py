"""The golden numbers are whole, and those that our own test packages give are given again."""

import numpy as np
import pytest

from tests.features.golden import HERE, TOPICS, golden, series
from tests.features.golden.inputs import every
from tests.features.golden.make import ask_python
from tests.features.golden.topics import TOPICS as ASKED

# the others are asked by hand, where they are installed
AT_HAND = {"pandas", "scipy", "statsmodels"}
AGAIN = [topic for topic in ASKED if topic.modules and set(topic.modules) <= AT_HAND]


def test_every_topic_has_its_file():
    assert [topic.name for topic in sorted(ASKED, key=lambda topic: topic.name)] == TOPICS


def test_the_folder_stays_small():
    assert sum(path.stat().st_size for path in HERE.glob("*.json")) < 400_000


def test_the_series_are_those_of_the_generator():
    made = every()
    assert {name: list(columns) for name, columns in made.items()} == {
        name: list(columns) for name, columns in series().items()
    }
    for name, columns in made.items():
        for key, values in columns.items():
            np.testing.assert_allclose(values, series()[name][key], rtol=1e-12, err_msg=key)
            assert np.isfinite(values).all()


@pytest.mark.parametrize("topic", TOPICS)
def test_an_entry_says_whom_it_asked_what(topic):
    inputs, expected, oracle = golden(topic)
    assert all(oracle[key] for key in ("name", "version", "call"))
    assert list(oracle["call"]) == list(expected)
    for name, values in inputs.items():
        assert np.isfinite(values).all(), name
    for name, values in expected.items():
        known = np.isfinite(np.atleast_1d(values))
        # no value before the warm-up is over, one in every row after it
        assert known[-1], name
        assert known[known.argmax() :].all(), name


@pytest.mark.parametrize("topic", AGAIN, ids=lambda topic: topic.name)
def test_the_oracle_says_so_again(topic):
    inputs, expected, _ = golden(topic.name)
    for name, values in ask_python(topic, inputs).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-9, atol=1e-15, err_msg=name)
