"""Funding arbitrage: signs of funding, settlements in and out, costs, terms, all by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from mrtrade.strategies import make_strategy
from mrtrade.strategies.funding import Funding

from .test_families import decide, one_row

HOUR = 3600.0
NOTHING = {"adx": 10.0, "vol_percentile": 0.5, "basis_vol": 0.05}


def coming(rate_bps, due_s, interval_s=8 * HOUR):
    return Funding(*(np.array([float(x)]) for x in (rate_bps, due_s, interval_s)))


@pytest.mark.parametrize(
    ("hold_s", "count"),
    [
        (HOUR - 1e-6, 0),  # out before the settlement
        (HOUR, 1),  # held at its instant
        (9 * HOUR - 1e-6, 1),
        (9 * HOUR, 2),
        (25 * HOUR, 4),
    ],
)
def test_settlements_met(hold_s, count):
    assert coming(1.0, HOUR).settlements(np.array([hold_s])).tolist() == [count]
    unknown = coming(1.0, HOUR, math.nan).settlements(np.array([hold_s]))
    assert unknown.tolist() == [min(count, 1)]


@pytest.mark.parametrize(
    ("side", "rate", "carry"),
    [
        (1, 2.0, -4.0),  # a long pays a positive rate, at the two settlements of its longest time
        (-1, 2.0, 2.0),  # a short receives it, at the one of its likely time
        (1, -2.0, 2.0),
        (-1, -2.0, -4.0),
        (1, 0.0, 0.0),
    ],
)
def test_signs_of_carry(side, rate, carry):
    likely, longest = np.array([2 * HOUR]), np.array([10 * HOUR])
    assert coming(rate, HOUR).carry_bps(side, likely, longest) == pytest.approx([carry])


def test_an_unknown_rate_is_an_unknown_carry():
    assert np.isnan(coming(math.nan, HOUR).carry_bps(1, np.array([1.0]), np.array([1.0])))


def funding(**params):
    given = {"cost_bps": 6.0, "max_half_life_s": 7200.0, "target_half_life_s": 7200.0}
    return make_strategy("funding", given | {"target_vol": 0.05} | params)


def announced(rate, due_s, share=None):
    share = due_s / (8 * HOUR) if share is None else share
    return {"funding_bps": rate, "funding_due_s": due_s, "funding_due_share": share, **NOTHING}


def basis(z, deviation, half_life=HOUR):
    return {"basis_z": z, "basis_dev_bps": deviation, "basis_half_life": half_life}


FAR = announced(0.5, 7.9 * HOUR)


def test_a_rich_perpetual_is_sold_against_its_spot():
    strategy = funding()
    assert strategy.legs == ("perpetual", "spot")
    # 10 bps rich: stop at 20 bps of the basis, three half-lives
    target, stop_bps, hold_s = decide(strategy, **basis(2.5, 10.0), **FAR)
    assert (target, stop_bps, hold_s) == (-1.0, 20.0, 3 * HOUR)
    assert decide(strategy, **basis(-2.5, -10.0), **FAR)[0] == 1.0
    # the exit at z 1.25 leaves 5 bps, which do not pay 6
    assert decide(funding(exit_z=1.25), **basis(2.5, 10.0), **FAR)[0] == 0.0
    assert decide(strategy, **basis(1.9, 10.0), **FAR)[0] == 0.0
    for half_life in (0.5, 7201.0, math.nan):
        assert decide(strategy, **basis(2.5, 10.0, half_life), **FAR)[0] == 0.0


def test_size_by_volatility_and_half_life_of_the_basis():
    strategy = funding(target_half_life_s=HOUR)
    assert decide(strategy, **basis(2.5, 10.0), **FAR)[0] == -1.0
    wild = FAR | {"basis_vol": 0.1}
    assert decide(strategy, **basis(2.5, 10.0), **wild)[0] == pytest.approx(-0.5)
    slow = funding(target_half_life_s=HOUR / 4)
    assert decide(slow, **basis(2.5, 10.0), **FAR)[0] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("side", "rate", "enters"),
    [
        # 5 bps of reversion and costs of 6: the rate that is received decides
        (-1, 1.0, True),
        (-1, 0.9, False),
        (-1, -1.0, False),
        (1, -1.0, True),
        (1, 1.0, False),
    ],
)
def test_expected_funding_enters_with_its_sign(side, rate, enters):
    near = announced(rate, HOUR)  # within one half-life
    target = decide(funding(window_s=0), **basis(-side * 2.5, -side * 5.0), **near)[0]
    assert target == (side if enters else 0.0)


def test_a_rate_that_is_paid_keeps_out_of_a_reversion():
    # 8 bps of reversion pay 6, not 6 and the 3 that a long pays if it is held to its limit
    strategy, cheap = funding(window_s=0), basis(-2.5, -8.0)
    assert decide(strategy, **cheap, **announced(3.0, 2.9 * HOUR))[0] == 0.0
    assert decide(strategy, **cheap, **announced(3.0, 3.1 * HOUR))[0] == 1.0  # out before it


@pytest.mark.parametrize(
    ("rate", "due_s", "target"),
    [
        (6.0, 1800.0, -1.0),  # shorts receive: the perpetual is sold
        (-6.0, 1800.0, 1.0),
        (5.9, 1800.0, 0.0),  # less than the costs
        (6.0, 1801.0, 0.0),  # not yet
        (6.0, 60.0, -1.0),
        (6.0, 59.0, 0.0),  # too late to be filled
    ],
)
def test_pre_funding_window(rate, due_s, target):
    strategy = funding(extreme_bps=100.0)
    got = decide(strategy, **basis(0.0, 0.0), **announced(rate, due_s))
    assert got[0] == target
    if target:  # held until a minute after the settlement; stop at twice the receipt
        assert got[1:] == (12.0, due_s + 60.0)


def test_extreme_funding_is_faded_for_some_settlements():
    strategy = funding()
    target, stop_bps, hold_s = decide(strategy, **basis(0.0, 0.0), **announced(5.0, 4 * HOUR))
    assert (target, stop_bps, hold_s) == (-1.0, 30.0, 20 * HOUR + 60.0)  # three of 5 bps
    assert decide(strategy, **basis(0.0, 0.0), **announced(-5.0, 4 * HOUR))[0] == 1.0
    assert decide(strategy, **basis(0.0, 0.0), **announced(4.9, 4 * HOUR))[0] == 0.0
    for due_s, target in ((60.0, -1.0), (59.0, 0.0)):  # too late to be filled
        assert decide(strategy, **basis(0.0, 0.0), **announced(8.0, due_s))[0] == target
    # where the interval is not known only the coming one counts, and 5 do not pay 6
    once = announced(5.0, 4 * HOUR, math.nan)
    assert decide(strategy, **basis(0.0, 0.0), **once)[0] == 0.0
    once = announced(7.0, 4 * HOUR, math.nan)
    assert decide(strategy, **basis(0.0, 0.0), **once) == (-1.0, 14.0, 4 * HOUR + 60.0)
    # not against a basis that is stretched the other way
    for z in (-2.0, -2.5):
        assert decide(strategy, **basis(z, -1.0), **announced(5.0, 4 * HOUR))[0] == 0.0
    assert decide(strategy, **basis(-1.9, -1.0), **announced(5.0, 4 * HOUR))[0] == -1.0


@pytest.mark.parametrize("half_life", [7200.0, 1e6, math.nan])
def test_a_half_life_that_is_not_known_counts_as_the_longest(half_life):
    strategy = funding(target_half_life_s=1800.0)  # a quarter of it: half the size
    row = basis(0.0, 0.0, half_life) | announced(5.0, 4 * HOUR)
    assert decide(strategy, **row)[0] == pytest.approx(-0.5)


def course(strategy, *rows):
    frame = pd.concat([one_row(strategy, **row) for row in rows])
    return strategy.targets(frame)["target"].tolist()


def test_left_when_basis_is_back_and_no_funding_speaks_for_staying():
    rich, back = basis(2.5, 10.0), basis(-0.1, -0.4)
    assert course(funding(), rich | FAR, back | FAR) == [-1.0, 0.0]
    # the short still receives 2 bps a settlement: it stays; a long would not
    assert course(funding(), rich | FAR, back | announced(2.0, 7 * HOUR)) == [-1.0, -1.0]
    cheap, above = basis(-2.5, -10.0), basis(0.1, 0.4)
    assert course(funding(), cheap | FAR, above | announced(2.0, 7 * HOUR)) == [1.0, 0.0]
    # what pays the costs by itself, though it is not extreme, is waited for once it is near
    cheap_costs = funding(cost_bps=1.0)
    for due_s, held in ((59.0, -1.0), (1800.0, -1.0), (1801.0, 0.0)):
        assert course(cheap_costs, rich | FAR, back | announced(1.0, due_s)) == [-1.0, held]
    # entered for a settlement, left once it is past and the next is far and small
    before, after = announced(7.0, 600.0), announced(0.5, 8 * HOUR)
    assert course(funding(), back | before, back | after) == [-1.0, 0.0]


def test_of_reasons_for_both_sides_there_is_none():
    # cheap enough to buy, although the rate says sell: the rate lowers it to nothing or wins alone
    row = basis(-2.5, -30.0) | announced(8.0, 600.0)
    assert course(funding(), row) == [1.0]  # 30 - 8 bps of reversion pay; no fade against it
    assert course(funding(cost_bps=23.0), row) == [0.0]


def test_settled_rates_take_the_grid():
    strategy = funding(rate="settled", extreme_bps=100.0)
    assert "funding_bps" not in strategy.features

    def at(clock, rate=7.0):
        return basis(0.0, 0.0) | NOTHING | {"funding_settled_bps": rate, "funding_clock": clock}

    half_hour = 1.0 - 0.5 / 8.0
    assert decide(strategy, **at(half_hour))[0] == -1.0
    assert decide(strategy, **at(half_hour, -7.0))[0] == 1.0
    assert decide(strategy, **at(half_hour - 1e-6))[0] == 0.0
    assert decide(strategy, **at(0.0))[0] == 0.0  # just settled: the next is 8 h away


def test_one_leg_and_no_funding():
    strategy = make_strategy("funding", {"two_legs": False, "rate": "none", "target_vol": 0.5})
    assert strategy.legs == ("perpetual",)
    assert not [name for name in strategy.features if name.startswith("funding")]
    row = {"adx": 10.0, "vol_percentile": 0.5, "realized_vol": 1.0}
    target, stop_bps, _ = decide(strategy, **basis(2.5, 20.0, 30.0), **row)
    assert (target, stop_bps) == (pytest.approx(-0.5), 40.0)
