"""Impact against the published tables, and the optimum against a numerical one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from mrtrade.errors import ConfigError
from mrtrade.execution.impact import (
    Coefficients,
    Liquidation,
    equity_impact,
    spread_rule,
    square_root,
)

# Almgren & Chriss (2000), section 4: a spread of 1/8, five million shares a day.
PAPER = Liquidation(1e6, 5.0, 5, 0.95, Coefficients(0.0625, 2.5e-6, 2.5e-7))
LAMBDA = 1e-6


def test_the_rule_gives_the_coefficients_of_the_paper():
    assert spread_rule(0.125, 5e6) == pytest.approx(PAPER.coefficients, rel=1e-15)


def test_the_published_example():
    assert PAPER.kappa(LAMBDA) == pytest.approx(0.60708, abs=5e-6)
    assert 1.0 / PAPER.kappa(LAMBDA) == pytest.approx(1.647, abs=5e-4)
    # As printed: 0.61 a day, 1.6 days.
    assert round(PAPER.kappa(LAMBDA), 2) == 0.61
    assert round(1.0 / PAPER.kappa(LAMBDA), 1) == 1.6
    best = PAPER.trajectory(LAMBDA)
    np.testing.assert_allclose(best, [1e6, 541956, 289854, 147897, 62142, 0], atol=0.5)
    assert PAPER.expected_cost(best) == pytest.approx(911_227, abs=0.5)
    assert PAPER.variance(best) ** 0.5 == pytest.approx(603_431, abs=0.5)


def test_the_optimum_is_the_closed_form_of_the_paper():
    """Equations 19 and 20 of Almgren & Chriss (2000), section 2.3, as they are printed."""
    x, t, n, sigma, (epsilon, eta, gamma) = 1e6, 5.0, 5, 0.95, PAPER.coefficients
    tau = t / n
    rest = eta - gamma * tau / 2
    for risk_aversion in (1e-7, LAMBDA, 2e-6):
        k = PAPER.kappa(risk_aversion)
        # What kappa is defined by.
        assert 2 / tau**2 * (math.cosh(k * tau) - 1) == pytest.approx(
            risk_aversion * sigma**2 / rest, rel=1e-12
        )
        expected = (
            0.5 * gamma * x**2
            + epsilon * x
            + rest * x**2 * math.tanh(0.5 * k * tau)
            * (tau * math.sinh(2 * k * t) + 2 * t * math.sinh(k * tau))
            / (2 * tau**2 * math.sinh(k * t) ** 2)
        )  # fmt: skip
        variance = (
            0.5 * sigma**2 * x**2
            * (tau * math.sinh(k * t) * math.cosh(k * (t - tau)) - t * math.sinh(k * tau))
            / (math.sinh(k * t) ** 2 * math.sinh(k * tau))
        )  # fmt: skip
        best = PAPER.trajectory(risk_aversion)
        assert PAPER.expected_cost(best) == pytest.approx(expected, rel=1e-12)
        assert PAPER.variance(best) == pytest.approx(variance, rel=1e-12)


def test_all_at_once():
    # The least variance: epsilon X + eta X^2 / tau, no risk.
    at_once = [1e6, 0, 0, 0, 0, 0]
    assert PAPER.expected_cost(at_once) == pytest.approx(0.0625e6 + 2.5e-6 * 1e12, rel=1e-12)
    assert PAPER.variance(at_once) == 0.0


def test_the_straight_line():
    line = PAPER.trajectory(0.0)
    np.testing.assert_array_equal(line, [1e6, 8e5, 6e5, 4e5, 2e5, 0])
    assert PAPER.expected_cost(line) == pytest.approx(662_500, rel=1e-12)
    assert PAPER.variance(line) ** 0.5 == pytest.approx(1_040_673, abs=0.5)


def utility(plan, left, risk_aversion):
    return plan.expected_cost(left) + risk_aversion * plan.variance(left)


@pytest.mark.parametrize("risk_aversion", [1e-8, LAMBDA, 1e-5])
def test_an_optimiser_finds_nothing_better(risk_aversion):
    def objective(inner):
        return utility(PAPER, 1e6 * np.concatenate([[1.0], inner, [0.0]]), risk_aversion) / 1e5

    found = minimize(objective, np.linspace(0.8, 0.2, 4), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(found.x, PAPER.trajectory(risk_aversion)[1:-1] / 1e6, atol=1e-6)


plans = st.builds(
    lambda x, days, n, sigma, spread: Liquidation(
        x, days, n, sigma, spread_rule(spread, 5e6 * max(days / n, 0.21))
    ),
    st.floats(1.0, 1e7), st.floats(0.1, 5.0), st.integers(1, 40), st.floats(0.01, 10.0),
    st.floats(0.01, 1.0),
)  # fmt: skip


@given(plans, st.floats(1e-12, 1e-2), st.integers(0, 2**32 - 1))
def test_every_other_trajectory_is_worse(plan, risk_aversion, seed):
    best = plan.trajectory(risk_aversion)
    assert best[0] == plan.quantity
    assert best[-1] == 0.0
    assert np.isfinite(best).all()
    assert (np.diff(best) <= 0.0).all()
    other = best.copy()
    inner = other[1:-1]
    inner += 0.1 * plan.quantity * np.random.default_rng(seed).normal(size=len(inner))
    assert utility(plan, best, risk_aversion) <= utility(plan, other, risk_aversion) * (1 + 1e-12)


def test_a_small_aversion_keeps_its_digits():
    # cosh(x) - 1 by itself would lose them: kappa^2 -> lambda sigma^2 / (eta - gamma tau / 2)
    slope = 2.5e-6 - 0.5 * 2.5e-7
    expected = (1e-22 * 0.95**2 / slope) ** 0.5
    assert PAPER.kappa(1e-22) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("company", "permanent", "temporary", "cost"),
    [
        ((6.561e6, 1728e6, 157.0), 20, (22, 15, 8), (32, 25, 18)),  # IBM
        ((1.929e6, 168e6, 226.0), 22, (32, 21, 12), (43, 32, 23)),  # DRI
    ],
)
def test_the_table_of_2005(company, permanent, temporary, cost):
    volume, outstanding, sigma = company
    for days, k, j in zip((0.1, 0.2, 0.5), temporary, cost, strict=True):
        got = equity_impact(0.1 * volume, volume, outstanding, sigma, days)
        assert (round(got.permanent), round(got.temporary), round(got.cost)) == (permanent, k, j)
        sold = equity_impact(-0.1 * volume, volume, outstanding, sigma, days)
        assert sold == tuple(-one for one in got)


def test_the_square_root_law():
    assert square_root(300.0, 1e6, 1e8, 0.5) == pytest.approx(15.0, rel=1e-15)
    np.testing.assert_allclose(square_root(300.0, np.array([1.0, 4.0, 9.0]), 1e4), [3.0, 6.0, 9.0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Liquidation(1e6, 0.0, 5, 0.95, PAPER.coefficients),
        lambda: Liquidation(1e6, 5.0, 0, 0.95, PAPER.coefficients),
        lambda: Liquidation(1e6, 5.0, 1, 0.95, Coefficients(0.0, 1e-7, 2.5e-7)),
        lambda: PAPER.kappa(-1.0),
        lambda: PAPER.expected_cost([1e6, 5e5, 0.0]),
        lambda: PAPER.variance([9e5, 8e5, 6e5, 4e5, 2e5, 0.0]),
        lambda: equity_impact(1.0, 0.0, 1.0, 1.0, 1.0),
    ],
)
def test_what_cannot_be_is_refused(make):
    with pytest.raises(ConfigError):
        make()
