"""The look-ahead detector: it finds what is planted, where it is, and nothing where nothing is."""

import sys

import numpy as np
import pandas as pd
import pytest

from mrtrade.clock import to_ns
from mrtrade.errors import ConfigError
from mrtrade.features import COLUMNS, FEATURES, column, feature
from mrtrade.features.example import example_bars
from mrtrade.features.lookahead import check
from mrtrade.features.recording import make_recording
from mrtrade.features.registry import scratch
from mrtrade.features.users import load

ABOUT = {"family": "temporal", "unit": "1", "formula": "-", "edge": "-", "source": "-"}
BARS = ("truncate", "scramble", "blank")


def leaks(function, bars=None):
    (verdict,) = check([function], bars)
    return {leak.test: leak for leak in verdict.leaks}


@pytest.mark.simulation
@pytest.mark.parametrize("family", sorted({one.family for one in FEATURES.values()}))
def test_registered_features_are_clean(family):
    names = [name for name, one in FEATURES.items() if one.family == family]
    for verdict in check(names):
        assert verdict.clean, verdict
        assert {*BARS, "stream"} <= set(verdict.passed), verdict
        # on the recording: all but what a minute of a quiet market has no value of
        assert set(verdict.skipped.items()) <= {("received", "no value on 595 bars")}, verdict


def test_the_recording_has_every_column():
    bars = make_recording(60.0).bars(100_000_000)
    assert set(COLUMNS) - {"time"} <= set(bars)
    assert bars.notna().any().all()


def test_honest_functions_are_clean():
    def momentum(bars):
        return np.log(bars["mid"]).diff(5)

    def smooth(bars):
        return (bars["mid"] - bars["mid"].ewm(span=30).mean()).to_numpy()

    def carried(bars):
        return bars["trade_high"].ffill()

    for function in (momentum, smooth, carried):
        (verdict,) = check([function])
        assert verdict.passed == (*BARS, "received"), verdict
        assert verdict.name == function.__name__


def test_the_mean_of_all():
    def centre(bars):
        return bars["mid"] - bars["mid"].mean()

    found = leaks(centre)
    assert set(found) == {*BARS, "received"}
    bars = example_bars(1200)
    leak = found["truncate"]
    assert (leak.row, leak.time, leak.ahead) == (0, bars.index[0], 1199)
    assert leak.with_future == pytest.approx(bars["mid"].iloc[0] - bars["mid"].mean())
    assert leak.without == 0.0
    assert "row 0 (2024-08-08 22:00:00.000000) is 0.0582" in str(leak)
    assert str(leak).endswith("with the future and 0 without it; it looked 1199 bars ahead")


def test_a_centred_window():
    found = leaks(lambda bars: bars["mid"].rolling(21, center=True).mean())
    for name in BARS:
        assert (found[name].row, found[name].ahead) == (10, 10)
    assert np.isnan(found["truncate"].without)


@pytest.mark.parametrize("steps", [1, 7])
def test_a_shift_back(steps):
    found = leaks(lambda bars: bars["mid"].shift(-steps))
    for name in BARS:
        assert (found[name].row, found[name].ahead) == (0, steps)


def test_a_fill_from_behind():
    """Rare gaps are enough."""
    rare = example_bars(1200)
    rare["trade_high"] = rare["trade_high"].ffill().where(np.arange(1200) != 1000)
    leak = leaks(lambda bars: bars["trade_high"].bfill(), rare)["truncate"]
    assert (leak.row, leak.ahead) == (1000, 1)
    assert leak.with_future == rare["trade_high"].iloc[1001]


def test_a_quantile_of_all():
    found = leaks(lambda bars: (bars["mid"] > bars["mid"].quantile(0.9)).astype(float))
    assert {"truncate", "scramble", "received"} <= set(found)


def test_a_sort_by_the_future_is_seen_in_any_column():
    assert set(example_bars(3)) == set(COLUMNS) - {"time"}
    rare = ["trade_high", "other_mid", "funding_settled", "funding_interval_s", "long_liquidations"]
    for name in rare:
        found = leaks(lambda bars, name=name: bars[name].ffill().shift(-2))
        assert {"truncate", "scramble"} <= set(found), name


def test_an_error_without_the_future_is_no_value():
    def greedy(bars):
        if len(bars) < 1200:
            raise ValueError("I want them all")
        return bars["mid"]

    leak = leaks(greedy)["truncate"]
    assert leak.note == "ValueError: I want them all"
    assert "I want them all" in str(leak)


def test_calls_that_hang_on_data():
    with scratch():

        @feature("moody", inputs=("mid",), **ABOUT)
        def moody(bars, roll):
            if len(bars["mid"]) and bars["mid"][-1] > 100.0:
                return roll.mean(bars["mid"] * 2.0, 5)
            return roll.mean(bars["mid"] * 3.0, 9)

        found = leaks("moody")
    assert "stream" in found
    assert found["stream"].ahead is None
    assert " at once and " in str(found["stream"])


def test_a_mean_of_the_chunk():
    with scratch():
        feature("chunky", inputs=("mid",), **ABOUT)(lambda bars, roll: bars["mid"] - bars["mid"][0])
        found = leaks("chunky")
    assert set(found) == {"stream"}
    assert found["stream"].row == 1


def trades_before(ends, times, tape):
    count = np.searchsorted(times, ends, side="right")
    return np.r_[0, np.cumsum(tape.trades.lots)][count].astype(float)


def test_events_that_had_happened_but_were_not_received():
    def peeks(bars, tape):
        return trades_before(to_ns(bars.index), tape.trades.time, tape)

    def waits(bars, tape):
        return trades_before(to_ns(bars.index), tape.trades.local, tape)

    found = leaks(peeks)
    assert set(found) == {"received"}
    tape = make_recording(60.0).tape
    row = found["received"].row
    end = found["received"].time.value
    unseen = (tape.trades.time <= end) & (tape.trades.local > end)
    assert unseen.any()
    assert found["received"].with_future == pytest.approx(
        tape.trades.lots[tape.trades.time <= end].sum()
    )
    delay = (tape.trades.local - tape.trades.time)[unseen].max() / 100e6
    assert 1 <= found["received"].ahead <= np.ceil(delay) + 1
    assert row >= 0
    (verdict,) = check([waits])
    assert verdict.passed == ("received",)
    assert verdict.clean


def test_a_number_of_events_that_were_not_received():
    def peeks(bars, tape):
        return np.searchsorted(tape.trades.time, to_ns(bars.index), "right").astype(float)

    def waits(bars, tape):
        return np.searchsorted(tape.trades.local, to_ns(bars.index), "right").astype(float)

    assert set(leaks(peeks)) == {"received"}
    assert not leaks(waits)


def test_what_cannot_be_tested_says_why():
    (verdict,) = check([lambda bars: np.full(len(bars), np.nan)])
    assert verdict.skipped == {"all": "no value on 1200 bars"}
    bars = example_bars(600).assign(signal=np.arange(600.0))
    (verdict,) = check([lambda bars: bars["signal"].diff()], bars)
    assert "on the recording it fails" in verdict.skipped["received"]
    assert "KeyError: 'signal'" in verdict.skipped["received"]
    (verdict,) = check(["spread_bps"], example_bars(50)[["mid"]])
    assert verdict.skipped == {"all": "the bars have no column 'bid' (best bid at the end)"}
    assert verdict.clean
    assert not verdict.passed


def test_columns_of_your_own_are_alive():
    with scratch():
        column("signal", "1", "what a vendor sells")
        feature("mine", inputs=("signal",), **ABOUT)(lambda bars, roll: roll.mean("signal", 3))
        (verdict,) = check(["mine"])
        assert verdict.passed == (*BARS, "stream")


@pytest.mark.parametrize("out", [lambda bars: 1.0, lambda bars: bars["mid"].iloc[::-1]])
def test_not_a_value_a_bar(out):
    with pytest.raises(ConfigError, match="does not return a value a bar"):
        check([out])


OWN = """
from mrtrade.features import feature

def plain(bars):
    return bars["mid"].shift(-3)

def broken(bars):
    wrong = bars["mid"]
    return wrong["no such row"]

@feature("own_gap", family="temporal", unit="quote", inputs=("bid", "ask"), formula="-", edge="-",
         source="-")
def own_gap(bars, roll):
    return bars["ask"] - bars["bid"]
"""


def test_a_file_of_a_users(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    modules = set(sys.modules)
    for _ in range(2):  # what it registered is forgotten, so it can be loaded again
        with load(str(file)) as found:
            assert found == ["own_gap"]
            assert check(found)[0].clean
        assert "own_gap" not in FEATURES
    with load(f"{file}:plain") as (plain,):
        assert leaks(plain)["truncate"].ahead == 3
    with (
        load(f"{file}:broken") as found,
        pytest.raises(
            ConfigError, match=r"own\.py:9: broken fails on bars: KeyError: 'no such row'"
        ),
    ):
        check(found)
    assert set(sys.modules) - modules <= {"mrtrade.features.users"}


def test_a_module_of_a_users(tmp_path, monkeypatch):
    (tmp_path / "my_own_features.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for _ in range(2):
        with load("my_own_features:plain") as (plain,):
            assert plain.__name__ == "plain"
        assert "own_gap" not in FEATURES
    with load("mrtrade.features.temporal") as found:
        assert set(found) == {n for n, one in FEATURES.items() if one.family == "temporal"}
    assert "hour_sin" in FEATURES


def test_words():
    with load("temporal") as found:
        assert "hour_sin" in found
    with load("zscore_45") as found:
        assert found == ["zscore_45"]
    with pytest.raises(ConfigError, match="no feature 'zscor'"), load("zscor"):
        pass


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("x = (1,\n", "", r"own\.py:1: cannot be loaded: SyntaxError: '\(' was never closed"),
        ("\nx = 1 / 0\n", "", r"own\.py:2: cannot be loaded: ZeroDivisionError"),
        ("import no_such_thing\n", "", r"own\.py:1: cannot be loaded: ModuleNotFoundError"),
        ("x = 1\n", "", r"own\.py: no feature is registered in it"),
        ("x = 1\n", ":x", r"own\.py: no function 'x'"),
        (None, "", "no such file"),
    ],
)
def test_a_users_error_names_file_and_line(tmp_path, text, name, says):
    file = tmp_path / "own.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=says), load(f"{file}{name}"):
        pass
    with pytest.raises(ConfigError, match=r"module 'no\.such' cannot be imported"), load("no.such"):
        pass


def test_the_bars_are_not_changed():
    bars = example_bars(400)
    before = bars.copy()

    def rude(frame):
        frame["mid"] = frame["mid"].shift(1)
        return frame["mid"]

    check([rude, "zscore_60"], bars)
    pd.testing.assert_frame_equal(bars, before)
