"""Fits: against other programs, and known exponents found again."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import LinearConstraint, minimize, minimize_scalar

from mrcore.market import SyntheticMarket
from mrtrade.errors import DataError
from mrtrade.execution import (
    Cancellations,
    OrderLog,
    Probes,
    cancellations,
    draw_probes,
    fit_power,
    fit_table,
)
from mrtrade.execution.fit import fixed_log_likelihood, log_probabilities
from tests.oracle.orders import cancelling_level

# p(F, B) as they are published, for the reader's eye
FORMULAS = {
    "log": lambda f, b, n: np.log(1 + b) / (np.log(1 + b) + np.log(1 + f)),
    "log2": lambda f, b, n: np.log(1 + b) / np.log(1 + b + f),
    "power": lambda f, b, n: b**n / (b**n + f**n),
    "power2": lambda f, b, n: b**n / (b + f) ** n,
    "power3": lambda f, b, n: 1 - (f / (f + b)) ** n,
}
# the place before which a cancellation falls with probability v: 1 - p(x) = v, solved for x
INVERSES = {
    "power": lambda n: lambda v: 1.0 / (1.0 + ((1.0 - v) / v) ** (1.0 / n)) if v > 0 else 0.0,
    "power2": lambda n: lambda v: 1.0 - (1.0 - v) ** (1.0 / n),
    "power3": lambda n: lambda v: v ** (1.0 / n),
}


def drawn(n, seed, p):
    """Cancellations that stood behind with probability p(x), of lognormal sizes."""
    draw = np.random.default_rng(seed)
    front = draw.integers(1, 500, n)
    back = draw.integers(1, 500, n)
    behind = draw.random(n) < p(front / (front + back))
    lots = np.maximum(1, draw.lognormal(3.0, 1.0, n).astype(np.int64))
    return Cancellations(np.arange(n), front, back, lots, behind)


@pytest.mark.parametrize("model", FORMULAS)
@pytest.mark.parametrize("n", [0.5, 1.0, 3.0])
def test_probabilities_are_those_of_the_formulas(model, n):
    front, back = np.array([0.5, 3.0, 200.0, 7.0]), np.array([4.0, 3.0, 1.5, 900.0])
    behind, before = log_probabilities(model, front, back, n)
    np.testing.assert_allclose(np.exp(behind), FORMULAS[model](front, back, n), rtol=1e-12)
    np.testing.assert_allclose(np.exp(before), 1 - FORMULAS[model](front, back, n), rtol=1e-9)


def test_the_power_is_a_logistic_regression():
    """p = 1 / (1 + exp(-n ln(B / F))): n, its standard errors and the likelihood by statsmodels."""
    seen = drawn(4000, 1, lambda x: 1 - x)
    mine = fit_power(seen, "power", "orders")
    logit = sm.Logit(seen.behind.astype(float), np.log(seen.back / seen.front)).fit(disp=0)
    robust = sm.Logit(seen.behind.astype(float), np.log(seen.back / seen.front)).fit(
        disp=0, cov_type="HC0"
    )
    assert mine.power == pytest.approx(logit.params[0], rel=1e-6)
    assert mine.se_information == pytest.approx(logit.bse[0], rel=1e-5)
    assert mine.se == pytest.approx(robust.bse[0], rel=1e-5)
    assert mine.log_likelihood == pytest.approx(logit.llf / len(seen), rel=1e-9)
    assert mine.low < mine.power < mine.high
    assert np.log(mine.high / mine.low) == pytest.approx(2 * 1.96 * mine.se / mine.power, rel=1e-4)


def test_sizes_are_weights():
    """A cancellation of k lots counts as k of one lot; its square, not k, in the standard error."""
    seen = drawn(3000, 2, lambda x: 1 - x)
    times = seen.lots
    spread = Cancellations(
        *(np.repeat(c, times) for c in (seen.time, seen.front, seen.back)),
        np.ones(times.sum(), np.int64),
        np.repeat(seen.behind, times),
    )
    for fit in (fit_power, lambda seen, _, weight: fit_table(seen, 5, weight)):
        by_size, by_lots = fit(seen, "power", "size"), fit(spread, "power", "orders")
        assert by_size.log_likelihood == pytest.approx(by_lots.log_likelihood, rel=1e-7)
    a, b = fit_power(seen), fit_power(spread, weight="orders")
    assert a.power == pytest.approx(b.power, rel=1e-6)
    assert a.se > 2 * b.se  # lots of one order are not independent
    by_hand = sm.GLM(
        seen.behind.astype(float), np.log(seen.back / seen.front),
        family=sm.families.Binomial(), freq_weights=times,
    ).fit()  # fmt: skip
    assert a.power == pytest.approx(by_hand.params[0], rel=1e-6)


@pytest.mark.parametrize("model", ["power", "power2", "power3"])
@pytest.mark.parametrize("weight", ["size", "orders"])
def test_the_maximum_is_scipys(model, weight):
    seen = drawn(2000, 3, lambda x: (1 - x) ** 2)
    w = seen.lots if weight == "size" else np.ones(len(seen))

    def loss(n):
        p = FORMULAS[model](seen.front, seen.back, n)
        return -(w * np.log(np.where(seen.behind, p, 1 - p))).sum() / w.sum()

    best = minimize_scalar(loss, bounds=(0.05, 10.0), method="bounded", options={"xatol": 1e-10})
    mine = fit_power(seen, model, weight)
    assert mine.power == pytest.approx(best.x, rel=1e-5)
    assert mine.log_likelihood == pytest.approx(-best.fun, rel=1e-9)


@pytest.mark.parametrize("shape", ["line", "steps", "not falling"])
def test_the_table_is_the_constrained_maximum(shape):
    p = {
        "line": lambda x: 1 - x,
        "steps": lambda x: np.where(x < 0.4, 0.9, 0.1),
        "not falling": lambda x: np.where((x > 0.4) & (x < 0.6), 0.8, 0.5),
    }[shape]
    seen = drawn(1500, 4, p)
    mine = fit_table(seen, 6)
    x = 5 * seen.front / (seen.front + seen.back)
    left = np.minimum(x.astype(int), 4)
    hat = np.zeros((len(x), 6))
    hat[np.arange(len(x)), left] = 1 - (x - left)
    hat[np.arange(len(x)), left + 1] = x - left
    w = seen.lots / seen.lots.sum()

    def loss(inner):
        p = hat @ np.concatenate([[1.0], inner, [0.0]])
        return -(w * np.log(np.where(seen.behind, p, 1 - p))).sum()

    falling = LinearConstraint(np.eye(4)[:-1] - np.eye(4)[1:], 0.0, 1.0)
    best = minimize(
        loss, [0.8, 0.6, 0.4, 0.2], method="trust-constr", constraints=[falling],
        bounds=[(1e-6, 1 - 1e-6)] * 4, options={"gtol": 1e-9},
    )  # fmt: skip
    assert mine.table[0] == 1.0
    assert mine.table[-1] == 0.0
    assert (np.diff(mine.table) <= 0.0).all()
    assert mine.log_likelihood >= -best.fun - 1e-6
    np.testing.assert_allclose(mine.table[1:-1], best.x, atol=2e-3)


def test_errors_by_size_are_those_of_many_samples():
    fits = [fit_power(drawn(2000, seed, lambda x: 1 - x)) for seed in range(60)]
    z = np.array([(fit.power - 1.0) / fit.se for fit in fits])
    assert abs(z.mean()) < 4 / np.sqrt(60)
    assert 0.75 < z.std() < 1.3


def test_errors_of_the_table_are_those_of_many_samples():
    fits = [fit_table(drawn(3000, seed, lambda x: 1 - x), 6) for seed in range(60)]
    tables = np.array([fit.table for fit in fits])[:, 1:-1]
    se = np.array([fit.se for fit in fits])[:, 1:-1]
    z = (tables - np.array([0.8, 0.6, 0.4, 0.2])) / se
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(60)
    assert ((0.75 < z.std(axis=0)) & (z.std(axis=0) < 1.3)).all()


def test_a_table_may_end_in_certainties():
    """Where nothing was ever behind (before), the estimate is 0 (1), with no error to tell."""
    seen = drawn(2000, 5, lambda x: np.where(x < 0.5, 1.0, 0.0))
    fit = fit_table(seen, 11)
    assert fit.table[2] == pytest.approx(1.0, abs=1e-3)
    assert fit.table[-3] == pytest.approx(0.0, abs=1e-3)
    assert np.isfinite(fit.se).all()


def level(model, n, seed):
    """What probes see in a level that is cancelled by a model's own law with exponent n."""
    draw = np.random.default_rng(seed)
    log = OrderLog(cancelling_level(6000, 40, INVERSES[model](n), draw))
    time = np.arange(200, 5900, 20)
    same = np.ones(len(time), np.int64)
    return cancellations(log, Probes(time, same, 100 * same, 0 * same, 0 * same), 10**9)


@pytest.mark.parametrize(("model", "n"), [("power", 3.0), ("power", 0.7), ("power2", 2.0),
                                          ("power3", 1.5)])  # fmt: skip
def test_a_known_exponent_is_found_again(model, n):
    """In 12 levels that cancel by exponent n: no bias, and errors as large as told."""
    fits = [fit_power(level(model, n, seed), model, "orders") for seed in range(12)]
    z = np.array([(fit.power - n) / fit.se for fit in fits])
    assert 1.6 < (z**2).sum() < 32.9  # chi-square of 12, 0.1% on each side
    assert abs(z.mean()) < 3.3 / np.sqrt(12)
    mean = np.mean([fit.power for fit in fits])
    assert mean == pytest.approx(n, abs=4 * np.mean([fit.se for fit in fits]) / np.sqrt(12))
    assert np.mean([fit.se / fit.se_information for fit in fits]) == pytest.approx(1.0, abs=0.15)


def test_orders_cancelled_at_random_make_an_exponent_of_one():
    """The synthetic market's rule. By size p = B / (F + B) exactly; by orders only about."""
    run = SyntheticMarket(21, fair_sd_ticks=2.0).run(120.0)
    log = OrderLog(run.orders)
    horizon = 10 * 10**9
    probes = draw_probes(log, 4000, 1, start_ns=run.start_ns, end_ns=run.end_ns - horizon)
    seen = cancellations(log, probes, horizon)
    assert len(seen) > 10_000
    for model in ("power", "power2", "power3"):
        fit = fit_power(seen, model)
        assert abs(fit.power - 1.0) < 3.3 * fit.se
        assert fit.se < 0.04
    table = fit_table(seen, 6)
    z = (table.table - np.linspace(1.0, 0.0, 6))[1:-1] / table.se[1:-1]
    assert np.abs(z).max() < 3.5
    best = fit_power(seen).log_likelihood
    # the logarithms have no exponent to turn; with lots of 0.001 their p is nearly B / (F + B)
    assert fixed_log_likelihood(seen, "log", 0.001) < best
    assert fixed_log_likelihood(seen, "log", 1.0) < fixed_log_likelihood(seen, "log", 0.001)


def test_what_tells_nothing_is_said_to():
    seen = drawn(100, 6, lambda x: np.ones_like(x))
    with pytest.raises(DataError, match="nothing to fit"):
        fit_power(seen)
    rising = drawn(2000, 7, lambda x: x)
    with pytest.raises(DataError, match="do not tell the exponent of 'power'"):
        fit_power(rising)
    for wrong in ({"model": "log"}, {"weight": "lots"}):
        with pytest.raises(ValueError, match="must be one of"):
            fit_power(drawn(100, 8, lambda x: 1 - x), **wrong)
    with pytest.raises(ValueError, match="knots"):
        fit_table(drawn(100, 8, lambda x: 1 - x), 2)
