import pytest

from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.params import ForecastParams, SearchParams
from mrtrade.ml.search import search
from mrtrade.ml.trials import TrialLedger
from tests.ml.planted import planted

BASE = ForecastParams(selection=None, max_rounds=30)
FOUR = SearchParams(trials=4, study="leaves")


def test_every_trial_is_counted_and_the_same_search_finds_the_same(tmp_path):
    X, labels = planted(600)
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    ledger.record("sweep", {"a": 1})  # of another study
    found = search(X, labels, ledger, base=BASE, settings=FOUR, data="ab", seed=3)
    assert set(ledger.frame("leaves")["data"]) == {"ab"}
    assert found.made == len(found.trials) == found.counted == ledger.count("leaves") == 4
    assert found.r2 == found.trials["r2"].max()
    again = search(X, labels, ledger, base=BASE, settings=FOUR, data="ab", seed=3)
    assert again.params == found.params
    assert again.counted == 4  # the same trials
    search(X, labels, ledger, base=BASE, settings=FOUR, data="ab", seed=4)
    assert ledger.count("leaves") == 8


def test_a_trial_that_says_nothing_is_counted_too(tmp_path):
    X, labels = planted(600)
    labels["label_bps"] = 0.0
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    with pytest.raises(Exception, match="no trial could be judged"):
        search(X, labels, ledger, base=BASE, settings=FOUR)
    assert ledger.count("leaves") == 4


def test_a_trial_that_fails_was_counted_before(tmp_path):
    X, labels = planted(600)
    ledger = TrialLedger(tmp_path / "trials.jsonl")
    with pytest.raises(DataError, match="too few labels"):
        search(X[:50], labels[:50], ledger, base=BASE, settings=FOUR)
    assert ledger.count("leaves") == 1


def test_a_search_needs_a_part_held_out(tmp_path):
    X, labels = planted(600)
    base = BASE.model_copy(update={"holdout": 0.0})
    with pytest.raises(ConfigError, match="holdout"):
        search(X, labels, TrialLedger(tmp_path / "trials.jsonl"), base=base)
