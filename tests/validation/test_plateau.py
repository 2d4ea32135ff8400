import math
from itertools import product

import numpy as np
import pandas as pd
import pytest

from mrtrade.errors import ConfigError, DataError
from mrtrade.validation.plateau import plateau


def grid(value, entry=(1.0, 1.5, 2.0, 2.5, 3.0), hold=(10, 20, 40, 80, 160)):
    rows = [
        {"entry": a, "hold": b, "sharpe": value(i, j)}
        for (i, a), (j, b) in product(enumerate(entry), enumerate(hold))
    ]
    return pd.DataFrame(rows).sample(frac=1.0, random_state=1)  # the order does not matter


def hill(i, j):
    return 2.0 - 0.1 * ((i - 2) ** 2 + (j - 2) ** 2)


def spike(i, j):
    return 3.0 if (i, j) == (3, 1) else hill(i, j) - 1.5


def test_a_hill_is_a_plateau():
    found = plateau(grid(hill), ["entry", "hold"])
    assert found.at(found.best) == {"entry": 2.0, "hold": 40}
    row = found.table.iloc[found.best]
    assert (row["value"], row["neighbours"], row["within"], row["positive"]) == (2.0, 4, 1.0, 1.0)
    assert row["smoothed"] == pytest.approx((2.0 + 4 * 1.9) / 5)
    assert found.smoothed_best == found.best
    assert found.edges == ()
    assert found.criterion().passed is True


def test_a_spike_is_not_and_the_smoothed_best_is_elsewhere():
    found = plateau(grid(spike), ["entry", "hold"])
    assert found.at(found.best) == {"entry": 2.5, "hold": 20}
    assert found.table["within"].iloc[found.best] == 0.0
    one = found.criterion()
    assert (one.measured, one.passed) == (0.0, False)
    narrow = plateau(grid(lambda i, j: hill(i, j) + 1.2 * ((i, j) == (4, 4))), ["entry", "hold"])
    assert narrow.at(narrow.best) == {"entry": 3.0, "hold": 160}
    assert narrow.at(narrow.smoothed_best) == {"entry": 2.0, "hold": 40}
    assert narrow.edges == ("entry", "hold")
    assert "at the edge of the grid in entry, hold" in narrow.criterion().note


def test_neighbours_are_one_step_along_one_axis():
    found = plateau(grid(hill), ["entry", "hold"]).table
    count = found.set_index(["entry", "hold"])["neighbours"]
    assert count[(1.0, 10)] == 2
    assert count[(1.0, 20)] == 3
    assert count[(1.5, 20)] == 4


def test_sets_that_were_not_tried_have_no_say_and_those_that_failed_do():
    table = grid(hill)
    missing = table[~((table["entry"] == 1.5) & (table["hold"] == 40))]
    found = plateau(missing, ["entry", "hold"])
    assert found.table["neighbours"].iloc[found.best] == 3
    failed = table.copy()
    failed.loc[(table["entry"] == 1.5) & (table["hold"] == 40), "sharpe"] = np.nan
    found = plateau(failed, ["entry", "hold"])
    assert found.table["neighbours"].iloc[found.best] == 4
    assert found.table["within"].iloc[found.best] == 0.75
    lost = found.table[found.table["value"].isna()]
    assert lost["smoothed"].isna().all()


def test_an_axis_of_text_or_flags_has_no_steps():
    rows = [
        {"mode": mode, "fast": fast, "hold": hold, "sharpe": 1.0 + 0.01 * hold}
        for mode in ("passive", "aggressive")
        for fast in (False, True)
        for hold in (1, 2, 3)
    ]
    found = plateau(pd.DataFrame(rows), ["mode", "fast", "hold"])
    assert found.table["neighbours"].tolist() == [1, 2, 1] * 4
    assert found.edges == ("hold",)


def test_too_little_around_it_is_not_judged():
    one = plateau(pd.DataFrame({"a": [1.0], "sharpe": [2.0]}), ["a"]).criterion()
    assert one.passed is None
    assert "0 neighbours" in one.note
    losing = plateau(grid(lambda i, j: -1.0 - i), ["entry", "hold"])
    assert losing.criterion().passed is None
    assert "no positive Sharpe ratio" in losing.criterion().note
    assert math.isnan(losing.table["within"].iloc[losing.best])


def test_the_grid_is_not_changed():
    table = grid(hill)
    before = table.copy()
    plateau(table, ["entry", "hold"])
    pd.testing.assert_frame_equal(table, before)


def test_refuses_what_is_no_grid():
    table = grid(hill)
    with pytest.raises(ConfigError, match="no such column"):
        plateau(table, ["exit"])
    with pytest.raises(ConfigError, match="no such column"):
        plateau(table, [])
    with pytest.raises(ConfigError, match="fraction"):
        plateau(table, ["entry", "hold"], fraction=0.0)
    with pytest.raises(DataError, match="twice"):
        plateau(pd.concat([table, table.iloc[:1]]), ["entry", "hold"])
    with pytest.raises(DataError, match="no set has a value"):
        plateau(table.assign(sharpe=np.nan), ["entry", "hold"])


def test_half_of_the_neighbours_are_too_few():
    grid = pd.DataFrame({"z": [1.0, 2.0, 3.0], "sharpe": [0.5, 1.0, 0.9]})
    one = plateau(grid, ["z"]).criterion()
    assert (one.measured, one.passed) == (50.0, False)
