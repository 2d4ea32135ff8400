import doctest
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mrtrade.errors import ConfigError
from mrtrade.features import FEATURES, get
from mrtrade.features.registry import scratch
from mrtrade.strategies import (
    STRATEGIES,
    Context,
    Rules,
    Strategy,
    StrategyParams,
    Target,
    base,
    find_strategy,
    make_strategy,
)


class Scripted(Strategy):
    """Events as they stand in the frame."""

    features = ("long", "short", "exit_long", "exit_short", "size", "stop", "hold")

    def rules(self, row):
        flags = [row[name] > 0 for name in self.features[:4]]
        return Rules(*flags, size=row["size"], stop_bps=row["stop"], hold_s=row["hold"])


def stream(strategy: Strategy, frame: pd.DataFrame) -> pd.DataFrame:
    """Targets decided one at a time, None repeated."""
    held, rows = Target(0.0), []
    for time, row in frame.iterrows():
        decided = strategy.on_decision(Context(time.value, row.to_dict()))
        held = held if decided is None else decided
        rows.append((held.target, held.stop_bps, held.hold_s))
    return pd.DataFrame(
        rows, columns=["target", "stop_bps", "hold_s"], index=frame.index, dtype=float
    )


def slow(frame: pd.DataFrame) -> list[float]:
    """The rules of `Rules`, said as a loop."""
    side, size, out = 0, 0.0, []
    for _, row in frame.iterrows():
        sized = row["size"] > 0
        if row["long"] > 0 and sized:
            new = 1
        elif row["short"] > 0 and sized:
            new = -1
        elif (side == 1 and row["exit_long"] > 0) or (side == -1 and row["exit_short"] > 0):
            new = 0
        else:
            new = side
        if new != side:
            side, size = new, min(row["size"], 1.0)
        out.append(side * size if side else 0.0)
    return out


def frame_of(values: np.ndarray, names) -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=len(values), freq="1s", tz="UTC").as_unit("ns")
    return pd.DataFrame(values, columns=list(names), index=index)


@settings(max_examples=150, deadline=None)
@given(
    events=hnp.arrays(
        np.int8, st.tuples(st.integers(0, 40), st.just(4)), elements=st.integers(0, 1)
    ),
    seed=st.integers(0, 9),
)
def test_held_from_entry_to_exit(events, seed):
    rng = np.random.default_rng(seed)
    terms = rng.choice([-1.0, 0.0, 0.3, 0.5, 2.0, np.nan], (len(events), 3))
    frame = frame_of(np.hstack([events, terms]), Scripted.features)
    targets = Scripted().targets(frame)
    assert targets["target"].tolist() == slow(frame)
    pd.testing.assert_frame_equal(targets, stream(Scripted(), frame), check_exact=True)
    flat = targets["target"] == 0
    assert targets.loc[flat, ["stop_bps", "hold_s"]].isna().all(axis=None)


def test_terms_are_those_of_the_entry():
    events = [[1, 0, 0, 0, 0.5, 10, 3], [1, 0, 1, 0, 0.9, 20, 4], [0, 1, 0, 0, 0.8, 30, 5]]
    targets = Scripted().targets(frame_of(np.array(events, float), Scripted.features))
    assert targets["target"].tolist() == [0.5, 0.5, -0.8]
    assert targets["stop_bps"].tolist() == [10, 10, 30]
    assert targets["hold_s"].tolist() == [3, 3, 5]


class OneSided(Strategy):
    """Never short: what never happens is said once."""

    features = ("x",)

    def rules(self, row):
        return Rules(row["x"] < -1, False, row["x"] > 0, np.False_, size=2)


def test_what_never_happens_is_said_once():
    frame = frame_of(np.array([[0.0], [-2.0], [-1.0], [0.5], [5.0]]), ["x"])
    targets = OneSided().targets(frame)
    assert targets["target"].tolist() == [0, 1, 1, 0, 0]
    pd.testing.assert_frame_equal(targets, stream(OneSided(), frame), check_exact=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enter_long", np.array([np.nan, 1.0, 0.0])),  # NaN counts as true
        ("exit_short", np.array([True, False])),
        ("size", np.ones((3, 1))),
        ("hold_s", np.array(["1"] * 3)),
    ],
)
def test_rules_that_are_none_are_told(name, value, monkeypatch):
    strategy, said = Scripted(), Rules(*[np.zeros(3, dtype=bool)] * 4)
    monkeypatch.setattr(strategy, "rules", lambda row: replace(said, **{name: value}))
    with pytest.raises(ConfigError, match=f"Scripted.rules gives no such {name}.*of 3 rows"):
        strategy.targets(frame_of(np.zeros((3, 7)), Scripted.features))


EDGES = [-3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 50.0, np.nan]


@pytest.mark.parametrize("name", STRATEGIES)
@settings(max_examples=60, deadline=None)
@given(rows=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
@example(rows=60, seed=0)
def test_built_in_strategies_stream_as_they_batch(name, rows, seed):
    rng = np.random.default_rng(seed)
    strategy = make_strategy(name)
    values = rng.choice(EDGES, (rows, len(strategy.features)))
    frame = frame_of(values, strategy.features)
    targets = strategy.targets(frame)
    assert targets["target"].between(-1.0, 1.0).all()
    pd.testing.assert_frame_equal(targets, stream(strategy, frame), check_exact=True)


@pytest.mark.parametrize("name", STRATEGIES)
def test_targets_do_not_look_ahead(name):
    rng = np.random.default_rng(5)
    strategy = make_strategy(name)
    frame = frame_of(rng.choice(EDGES, (2000, len(strategy.features))), strategy.features)
    whole = strategy.targets(frame)
    assert (whole["target"] != 0).any()
    for t in (1, 500, 1500):
        pd.testing.assert_frame_equal(strategy.targets(frame.iloc[:t]), whole.iloc[:t])


class FadeImbalance(Strategy):
    """The user's class of the docs."""

    features = ("imbalance_5",)

    class Params(StrategyParams):
        entry: float = 0.6

    def rules(self, row):
        x = row["imbalance_5"]
        return Rules(x < -self.params.entry, x > self.params.entry, x >= 0, x <= 0)


def test_a_users_own_class():
    frame = frame_of(np.array([[0.0], [-0.7], [-0.1], [0.1], [np.nan], [0.9]]), ["imbalance_5"])
    assert FadeImbalance().targets(frame)["target"].tolist() == [0, 1, 1, 0, 0, -1]
    assert FadeImbalance({"entry": 0.8}).targets(frame)["target"].tolist() == [0, 0, 0, 0, 0, -1]
    assert stream(FadeImbalance(), frame)["target"].tolist() == [0, 1, 1, 0, 0, -1]


def test_the_example_runs():
    failed, tried = doctest.testmod(base)
    assert tried
    assert not failed


def test_a_way_to_order_is_the_strategys_or_as_configured():
    strategy = FadeImbalance()
    assert strategy.crosses("passive") == (False, False)
    strategy.exit_mode = "aggressive"
    assert strategy.crosses("passive") == (False, True)
    strategy.entry_mode = "fast"
    with pytest.raises(ConfigError, match="entry_mode: FadeImbalance orders in no known way"):
        strategy.crosses("passive")


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("statistical", {"entry_zz": 1}, "did you mean 'entry_z'"),
        ("statistical", {"entry_z": -1}, "'entry_z' of StatisticalMeanReversion: .*greater than 0"),
        ("statistical", {"entry_z": float("nan")}, "entry_z"),
        ("statistical", {"entry_z": 1, "exit_z": 1}, "exit_z 1.0 must be < entry_z 1.0"),
        ("statistical", {"lookback": 1}, "greater than or equal to 2"),
        ("microstructure", {"hold_s": "x"}, "valid number"),
    ],
)
def test_bad_parameters(name, params, says):
    with pytest.raises(ConfigError, match=says):
        make_strategy(name, params)


USER = """
from __future__ import annotations
from mrtrade.strategies import Rules, Strategy, StrategyParams

class Mine(Strategy):
    features = ("vpin",)
    class Params(StrategyParams):
        high: float = 0.9
    def rules(self, row):
        x = row["vpin"]
        return Rules(x > self.params.high, x < 0, x < 0.5, x < 0)
"""


def test_found_by_name_module_and_file(tmp_path, monkeypatch):
    assert find_strategy("StatisticalMeanReversion") is find_strategy("statistical")
    file = tmp_path / "my_own_strategy.py"
    file.write_text(USER)
    assert make_strategy(str(file), {"high": 0.8}).params.high == 0.8
    assert find_strategy(f"{file}:Mine").__name__ == "Mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_strategy("my_own_strategy:Mine").features == ("vpin",)


def test_a_file_with_a_feature_of_its_own_is_loaded_again(tmp_path):
    file = tmp_path / "with_feature.py"
    file.write_text(
        USER
        + """
from mrtrade.features import feature

@feature("own_mid", family="temporal", unit="quote", inputs=("mid",), formula="-", edge="-",
         source="-", windows=(5,))
def own_mid(bars, roll, *, window):
    return bars["mid"]
"""
    )
    with scratch():
        for _ in range(2):  # a run loads it to check the configuration, and again to trade
            assert find_strategy(str(file)).__name__ == "Mine"
        assert get("own_mid_5").function.__module__ == "mrtrade_user_with_feature"
        file.write_text(file.read_text().replace("(5,)", "(17,)"))
        find_strategy(str(file))
        assert "own_mid_17" in FEATURES
        assert "own_mid_5" not in FEATURES
        other = tmp_path / "other.py"
        other.write_text(file.read_text())
        with pytest.raises(ConfigError, match="registered twice"):
            find_strategy(str(other))


def test_what_is_not_found(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("1 / 0")
    two = tmp_path / "two.py"
    two.write_text(USER + "\nclass Other(Mine): pass\n")
    for name, says in (
        ("statistcal", "perhaps 'statistical'"),
        ("nothing.like:This", "cannot be imported: ModuleNotFoundError"),
        (str(tmp_path / "no.py"), "no such strategy file"),
        (str(bad), "ZeroDivisionError"),
        (str(two), "exactly one"),
        (f"{two}:Third", "no class 'Third'"),
        ("mrtrade.errors:ConfigError", "no class 'ConfigError'"),
    ):
        with pytest.raises(ConfigError, match=says):
            find_strategy(name)
