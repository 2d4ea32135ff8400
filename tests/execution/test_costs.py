"""The cost model: each part by hand, and what must hold of all of them."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import erfc

from mrtrade.errors import ConfigError, DataError
from mrtrade.execution.calibrated import Calibration, Estimate, Markouts
from mrtrade.execution.costs import PARTS, DynamicTransactionCostModel
from mrtrade.execution.market_state import kyle_bps, market_of_bars
from mrtrade.instruments import Contract, instrument

MODEL = DynamicTransactionCostModel()
STATE = {"spread_bps": 5.0, "vpin": 0.4, "kyle_lambda": 1e-4, "realized_vol": 0.6}
ORDER = {"symbol": "BTC/USDT", "quantity_usd": 100_000.0}
NOTHING = dict.fromkeys(PARTS, 0.0)


def cost(urgency=1.0, model=MODEL, quantity=1e5, symbol="BTC/USDT", **state):
    return model.estimate_cost(
        symbol=symbol, quantity_usd=quantity, urgency=urgency, market_state=STATE | state
    )


# ---- the example of docs/costs.md, worked by hand there


def test_the_example_taken():
    # 1e5 in 300 s is 2.88e7 a day, 1.5 % of 1.92e9: 1.5 spreads of 5; 1e-4 x 1e5 / 2 = 5.
    parts = {
        "commission_bps": 5.0,
        "spread_bps": 2.5,
        "temporary_impact_bps": 7.5,
        "permanent_impact_bps": 5.0,
    }
    assert cost("aggressive") == pytest.approx({**NOTHING, **parts, "expected_cost_bps": 20.0})


def test_the_example_waiting():
    second = 0.6e4 / math.sqrt(365 * 86_400)
    reached = erfc(2.5 / (second * math.sqrt(2 * 10)))
    informed = (0.4 - 0.206) / (1 - 0.206)
    adverse = informed * second * math.sqrt(30) * math.sqrt(2 / math.pi)
    parts = {
        "commission_bps": 2.0,
        "spread_bps": -reached * 2.5,
        "adverse_selection_bps": reached * adverse,
        "opportunity_bps": reached * 2.5,  # a mid without a drift gives nothing away
    }
    assert reached == pytest.approx(0.459, abs=1e-3)
    got = cost("passive")
    assert got == pytest.approx({**NOTHING, **parts, "expected_cost_bps": sum(parts.values())})
    assert got["expected_cost_bps"] == pytest.approx(2.524, abs=1e-3)


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC-USDT", "BTC/USDT-PERP"])
@pytest.mark.parametrize(("urgency", "low", "high"), [("aggressive", 10, 30), ("passive", 2, 10)])
def test_the_ranges_that_are_asked_for(symbol, urgency, low, high):
    assert low <= cost(urgency, symbol=symbol)["expected_cost_bps"] <= high


def test_half_and_half():
    both = cost(0.5)
    # Half the order is taken: at half the rate, and it is half of the whole.
    assert both["temporary_impact_bps"] == pytest.approx(cost(1.0)["temporary_impact_bps"] / 4)
    assert both["permanent_impact_bps"] == pytest.approx(cost(1.0)["permanent_impact_bps"] / 4)
    for name in ("commission_bps", "spread_bps", "adverse_selection_bps", "opportunity_bps"):
        assert both[name] == pytest.approx(0.5 * (cost(0.0)[name] + cost(1.0)[name]))


# ---- against simulation: the formula of waiting is that of a Brownian mid


@pytest.mark.simulation
def test_waiting_against_simulated_mids():
    half, vol, patience = 1.5, 0.6, 10.0
    sigma = vol * 1e4 / math.sqrt(365 * 86_400)
    rng = np.random.default_rng(3)
    steps, paths = 1_000, 20_000
    reached = np.zeros(paths, bool)
    mid = np.zeros(paths)
    scale = sigma * math.sqrt(patience / steps)
    barrier = -half + 0.5826 * scale  # Broadie, Glasserman & Kou: seen in steps, it is farther off
    for _ in range(steps):
        mid += scale * rng.normal(size=paths)
        reached |= mid <= barrier
    missed = np.where(reached, 0.0, mid)
    got = cost(0.0, spread_bps=2 * half, vpin=0.0)
    error = 4 / math.sqrt(paths)
    assert -got["spread_bps"] / half == pytest.approx(reached.mean(), abs=error)
    assert got["opportunity_bps"] == pytest.approx(missed.mean(), abs=error * missed.std())


def test_a_fill_probability_that_is_known():
    unknown, known = cost(0.0), cost(0.0, fill_probability=0.8)
    assert known["spread_bps"] == pytest.approx(-0.8 * 2.5)
    q = -unknown["spread_bps"] / 2.5
    assert known["opportunity_bps"] == pytest.approx(0.2 * 2.5 * q / (1 - q))


def test_no_spread_is_the_limit_of_a_small_one():
    near, at = (cost(0.0, spread_bps=s, fill_probability=0.3) for s in (1e-7, 0.0))
    assert at == pytest.approx(near, abs=1e-6)
    assert at["opportunity_bps"] > 1.0


# ---- what must hold everywhere

amount, spread = st.floats(0.0, 1e8), st.floats(0.0, 100.0)
level, slope, vol = st.floats(0.0, 1.0), st.floats(-1e-4, 1e-2), st.floats(0.0, 5.0)
models = st.builds(
    DynamicTransactionCostModel,
    impact_model=st.sampled_from(["almgren_chriss", "square_root"]),
    adverse_selection_model=st.sampled_from(["vpin_based", "break_even"]),
)
states = st.fixed_dictionaries(
    {"spread_bps": spread, "realized_vol": vol},
    optional={"vpin": level, "kyle_lambda": slope, "fill_probability": level,
              "daily_volume": st.floats(1e3, 1e11)},
)  # fmt: skip


@given(models, states, amount, level)
def test_the_parts_are_the_whole(model, state, quantity, urgency):
    got = model.cost_bps(quantity, urgency, state, symbol="BTC/USDT")
    whole = 0.0
    for name in PARTS:
        whole += float(got[name])
    assert whole == float(got["expected_cost_bps"])
    assert np.isfinite(whole)


@given(models, states, amount, level, st.sampled_from(["quantity", "realized_vol", "vpin",
       "kyle_lambda"]), st.floats(1.0, 10.0))  # fmt: skip
def test_costs_rise(model, state, quantity, urgency, what, factor):
    if what == "quantity":
        more, now = factor * quantity, state
    else:
        assume(what in state and state[what] >= 0.0)
        raised = min(1.0, state[what] * factor) if what == "vpin" else state[what] * factor
        more, now = quantity, {**state, what: raised}
    before = model.cost_bps(quantity, urgency, state, symbol="BTC/USDT")["expected_cost_bps"]
    after = model.cost_bps(more, urgency, now, symbol="BTC/USDT")["expected_cost_bps"]
    assert after >= before - 1e-9 * (1.0 + abs(before))


@given(models, states, amount, st.floats(1.0, 10.0))
def test_a_taker_pays_more_for_a_wider_spread(model, state, quantity, factor):
    wide = {**state, "spread_bps": factor * state["spread_bps"]}
    before, after = (
        model.cost_bps(quantity, 1.0, one, symbol="BTC/USDT")["expected_cost_bps"]
        for one in (state, wide)
    )
    assert after >= before - 1e-9 * (1.0 + abs(before))


def test_impact_is_linear_or_a_square_root():
    sizes = np.array([1e3, 4e3, 9e3])
    root = DynamicTransactionCostModel(impact_model="square_root")
    linear = MODEL.cost_bps(sizes, 1.0, STATE, symbol="BTC/USDT")
    for name in ("temporary_impact_bps", "permanent_impact_bps"):
        np.testing.assert_allclose(linear[name] / linear[name][0], [1.0, 4.0, 9.0], rtol=1e-14)
    concave = root.cost_bps(sizes, 1.0, STATE, symbol="BTC/USDT")
    shape = concave["temporary_impact_bps"] / concave["temporary_impact_bps"][0]
    np.testing.assert_allclose(shape, [1.0, 2.0, 3.0], rtol=1e-14)
    np.testing.assert_array_equal(concave["permanent_impact_bps"], 0.0)  # it is in the law
    # 2/3 of 1 x 0.6e4 / sqrt(365) x sqrt(1e3 / 1.92e9)
    assert concave["temporary_impact_bps"][0] == pytest.approx(0.15109, abs=1e-5)


def test_many_at_once_are_one_by_one():
    rng = np.random.default_rng(1)
    n = 40
    market = {
        "spread_bps": rng.uniform(0, 10, n), "realized_vol": rng.uniform(0, 2, n),
        "vpin": rng.uniform(0, 1, n), "kyle_lambda": rng.uniform(-1e-5, 1e-4, n),
    }  # fmt: skip
    sizes, shares = rng.uniform(0, 1e6, n), rng.choice([0.0, 0.3, 1.0], n)
    many = MODEL.cost_bps(sizes, shares, market, symbol="ETH/USDT")
    for i in range(n):
        one = MODEL.estimate_cost(
            symbol="ETH/USDT", quantity_usd=sizes[i], urgency=float(shares[i]),
            market_state={name: float(values[i]) for name, values in market.items()},
        )  # fmt: skip
        assert one == {name: float(values[i]) for name, values in many.items()}


def test_shapes_broadcast_and_nothing_given_is_changed():
    market = {name: np.full(3, value) for name, value in STATE.items()}
    for values in market.values():
        values.flags.writeable = False
    got = MODEL.cost_bps(np.array([[1e3], [1e4]]), 1.0, market, symbol="BTC/USDT")
    assert {values.shape for values in got.values()} == {(2, 3)}
    assert MODEL.cost_bps(1e3, 0.0, pd.DataFrame(market), symbol="BTC/USDT")[
        "expected_cost_bps"
    ].shape == (3,)


# ---- what is not known


@pytest.mark.parametrize("name", ["spread_bps", "realized_vol", "vpin", "kyle_lambda"])
def test_what_is_not_known_has_no_cost_where_it_counts(name):
    market = {key: np.array([value, value]) for key, value in STATE.items()}
    market[name][1] = np.nan
    needed = {0.0: {"spread_bps", "realized_vol", "vpin"}, 1.0: {"spread_bps", "kyle_lambda"}}
    for urgency, names in needed.items():
        got = MODEL.cost_bps(1e4, urgency, market, symbol="BTC/USDT")["expected_cost_bps"]
        np.testing.assert_array_equal(np.isnan(got), [False, name in names])
    with pytest.raises(DataError, match=f"market_state.{name}"):
        cost(**{name: math.nan})


@pytest.mark.parametrize(
    ("name", "value"),
    [("spread_bps", -1.0), ("realized_vol", -0.1), ("vpin", 1.1), ("vpin", -0.1),
     ("daily_volume", 0.0), ("fill_probability", 1.5), ("spread_bps", math.inf)],
)  # fmt: skip
def test_what_cannot_be_is_not_known(name, value):
    with pytest.raises(DataError, match=f"market_state.{name}"):
        cost(**{name: value})
    state = STATE | {name: value}
    assert np.isnan(MODEL.cost_bps(1e4, 0.5, state, symbol="BTC/USDT")["expected_cost_bps"])


def test_a_lambda_below_0_is_noise():
    assert cost(kyle_lambda=-1e-4)["permanent_impact_bps"] == 0.0


def test_a_target_that_is_not_known_has_no_cost():
    got = MODEL.cost_bps(np.array([1e3, np.nan]), 1.0, STATE, symbol="BTC/USDT")
    np.testing.assert_array_equal(np.isnan(got["expected_cost_bps"]), [False, True])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"urgency": "fast"}, "passive or aggressive"),
        ({"urgency": 1.5}, "passive"),
        ({"urgency": math.nan}, "not a share"),
        ({"quantity_usd": -1.0}, "below 0"),
        ({"quantity_usd": math.nan}, "not a notional"),
        ({"symbol": "DOGE/USDT"}, "daily volume of DOGE/USDT is not known"),
        ({"symbol": "BTC"}, "not a symbol"),
        ({"market_state": {"spread_bps": 1.0}}, "realized_vol"),
        ({"market_state": {**STATE, "spreads_bps": 1.0}}, "did you mean spread_bps"),
    ],
)
def test_an_order_that_cannot_be_is_refused(change, said):
    with pytest.raises(ConfigError, match=said):
        MODEL.estimate_cost(**{**ORDER, "urgency": 1.0, "market_state": STATE, **change})


@pytest.mark.parametrize(
    "options",
    [{"impact_model": "none"}, {"adverse_selection_model": "vpin"}, {"horizon_s": 0.0},
     {"eta": -1.0}, {"kyle_lambda": math.nan}, {"vpin_null": 1.0}, {"patience_s": math.inf}],
)  # fmt: skip
def test_a_model_that_cannot_be_is_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        DynamicTransactionCostModel(**options)


def test_a_maker_needs_no_volume_and_a_taker_may_give_it():
    quiet = {**ORDER, "symbol": "DOGE/USDT", "market_state": STATE}
    assert MODEL.estimate_cost(**quiet, urgency=0.0)["temporary_impact_bps"] == 0.0
    state = STATE | {"daily_volume": 1.92e9}
    given_it = MODEL.estimate_cost(**{**quiet, "market_state": state}, urgency=1.0)
    assert given_it == cost(1.0)


# ---- where numbers come from


def test_fees_of_an_instrument_and_of_tiers():
    spot = DynamicTransactionCostModel.of(instrument("BINANCE", "BTC/USDT"))
    assert (spot.maker_fee_bps, spot.taker_fee_bps) == (10.0, 10.0)
    assert spot.daily_volume("BTC/USDT") == 1.92e9
    with pytest.raises(ConfigError, match="BINANCE DOGE/USDT"):
        spot.daily_volume("DOGE/USDT")
    tiers = ((0.0, 2.0, 5.0), (1e6, 1.6, 4.0), (1e7, 1.4, 3.5))
    for volume, fees in ((0.0, (2.0, 5.0)), (1e6, (1.6, 4.0)), (5e7, (1.4, 3.5))):
        model = DynamicTransactionCostModel(tiers=tiers, volume_30d=volume)
        assert (cost(0.0, model)["commission_bps"], cost(1.0, model)["commission_bps"]) == (
            pytest.approx(fees)
        )


def estimate(value):
    return Estimate(value=value, unit="", method="")


CALIBRATION = Calibration(
    exchange="X", symbol="BTC/USDT", start="", end="", bars=100, bar_s=1.0,
    kyle_lambda=estimate(2e-5), book_slope=estimate(3.0),
    square_root_y=estimate(0.4), daily_volume=1e9,
    markouts=Markouts(horizons_s=(1.0, 30.0), edges=(0.2, 0.4), n=(5, 6, 0),
                      adverse_bps=((0.1, 0.2), (0.3, 0.5), (0.4, None)),
                      se_bps=((0.1, 0.1), (0.1, 0.1), (0.1, None)), p_alike=(0.0, 0.0)),
)  # fmt: skip


def test_a_calibration_stands_in_for_what_is_not_given():
    state = {"spread_bps": 5.0, "realized_vol": 0.6}
    model = DynamicTransactionCostModel(calibration=CALIBRATION)
    got = model.estimate_cost(**ORDER, urgency=1.0, market_state=state)
    assert got["permanent_impact_bps"] == pytest.approx(0.5 * 2e-5 * 1e5)
    assert got["temporary_impact_bps"] == pytest.approx(3.0 * (1e5 / 1e9) / 0.01)
    told = {**state, "kyle_lambda": 1e-4, "daily_volume": 2e9}
    got = model.estimate_cost(**ORDER, urgency=1.0, market_state=told)
    assert got["permanent_impact_bps"] == pytest.approx(5.0)
    assert got["temporary_impact_bps"] == pytest.approx(3.0 * (1e5 / 2e9) / 0.01)
    fixed = DynamicTransactionCostModel(calibration=CALIBRATION, kyle_lambda=3e-5, eta=1.0)
    got = fixed.estimate_cost(**ORDER, urgency=1.0, market_state=told)
    assert got["permanent_impact_bps"] == pytest.approx(1.5)
    assert got["temporary_impact_bps"] == pytest.approx(5.0 * (1e5 * 288 / 2e9) / 0.01)
    root = DynamicTransactionCostModel(calibration=CALIBRATION, impact_model="square_root")
    got = root.estimate_cost(**ORDER, urgency=1.0, market_state=state)
    law = 0.4 * 6_000 / math.sqrt(365) * math.sqrt(1e5 / 1e9)
    assert got["temporary_impact_bps"] == pytest.approx(2 / 3 * law)


def test_without_a_lambda_it_is_a_spread_for_a_tenth_of_the_volume():
    got = MODEL.estimate_cost(
        **ORDER, urgency=1.0, market_state={"spread_bps": 5.0, "realized_vol": 0.6}
    )
    assert got["permanent_impact_bps"] == pytest.approx(0.5 * 5.0 * 1e5 / 1.92e8)


def test_measured_mark_outs_stand_in_for_the_formula():
    model = DynamicTransactionCostModel(calibration=CALIBRATION)
    for vpin, adverse in ((0.1, 0.2), (0.2, 0.5), (0.399, 0.5)):
        got = cost(0.0, model, vpin=vpin, fill_probability=0.5)
        assert got["adverse_selection_bps"] == pytest.approx(0.5 * adverse)
    state = STATE | {"vpin": 0.9}  # nothing was filled there
    assert np.isnan(model.cost_bps(1e3, 0.0, state, symbol="BTC/USDT")["expected_cost_bps"])
    # At 5 s nothing was measured: the formula.
    other = DynamicTransactionCostModel(calibration=CALIBRATION, markout_s=5.0)
    plain = DynamicTransactionCostModel(markout_s=5.0)
    assert cost(0.0, other) == cost(0.0, plain)


def test_a_mark_out_below_0_is_noise():
    table = CALIBRATION.markouts.model_copy(
        update={"adverse_bps": ((-1.0, -1.0), (0.3, 0.5), (0.4, None))}
    )
    model = DynamicTransactionCostModel(
        calibration=CALIBRATION.model_copy(update={"markouts": table})
    )
    assert cost(0.0, model, vpin=0.1)["adverse_selection_bps"] == 0.0


def test_without_vpin_a_maker_breaks_even():
    got = MODEL.estimate_cost(
        **ORDER, urgency=0.0, market_state={"spread_bps": 5.0, "realized_vol": 0.6}
    )
    assert got["adverse_selection_bps"] == -got["spread_bps"]
    assert cost(0.0, vpin=0.2)["adverse_selection_bps"] == 0.0  # nobody is informed


def test_a_calibration_is_a_file(tmp_path):
    file = CALIBRATION.save(tmp_path / "new" / "btc.json")
    assert Calibration.load(file) == CALIBRATION
    model = DynamicTransactionCostModel(calibration=file)
    assert cost(0.5, model, vpin=0.1) == cost(
        0.5, DynamicTransactionCostModel(calibration=CALIBRATION), vpin=0.1
    )
    for text in ("{", '{"exchange": "X"}', "[]"):
        file.write_text(text)
        with pytest.raises(ConfigError, match="mrtrade costs calibrate"):
            Calibration.load(file)
    with pytest.raises(ConfigError, match="gone"):
        DynamicTransactionCostModel(calibration=tmp_path / "gone.json")


# ---- the state of the market from bars


def bars_of(n=200, seed=0, step_s=1.0):
    rng = np.random.default_rng(seed)
    mid = 6e4 * np.exp(np.cumsum(1e-5 * rng.normal(size=n)))
    index = pd.date_range("2024-01-01", periods=n, freq=f"{step_s}s", tz="UTC").as_unit("us")
    return pd.DataFrame(
        {
            "mid": mid, "bid": mid - 1.5, "ask": mid + 1.5, "notional": rng.exponential(1e5, n),
            "vpin": rng.uniform(size=n), "kyle_lambda": rng.normal(size=n),
        },
        index=index,
    )  # fmt: skip


def test_the_state_by_an_obvious_twin():
    bars = bars_of()
    got = market_of_bars(bars, over="60s")
    np.testing.assert_allclose(got["spread_bps"], 3.0 / bars["mid"] * 1e4)
    returns = np.log(bars["mid"]).diff()
    for i in (20, 29, 30, 61, 150, 199):
        last = returns.iloc[max(1, i - 59) : i + 1]
        if len(last) < 30:
            assert np.isnan(got["realized_vol"][i])
            assert np.isnan(got["daily_volume"][i])
            continue
        a_year = math.sqrt((last**2).mean() * 365 * 86_400)
        assert got["realized_vol"][i] == pytest.approx(a_year, rel=1e-9)
    assert got["daily_volume"][150] == pytest.approx(bars["notional"].iloc[91:151].mean() * 86_400)
    np.testing.assert_array_equal(got["vpin"], bars["vpin"])
    np.testing.assert_allclose(got["kyle_lambda"], 1e4 * bars["kyle_lambda"] / bars["mid"] ** 2)


def test_the_state_does_not_know_the_future():
    bars = bars_of()
    whole = market_of_bars(bars, over="60s")
    for rows in (35, 100):
        part = market_of_bars(bars.iloc[:rows], over="60s")
        for name, values in part.items():
            np.testing.assert_array_equal(values, whole[name][:rows], err_msg=name)


def test_what_bars_lack_is_left_out_or_said():
    candles = bars_of().drop(columns=["bid", "ask", "vpin", "kyle_lambda"])
    with pytest.raises(DataError, match="no spread"):
        market_of_bars(candles)
    state = market_of_bars(candles, spread_bps=2.0)
    assert set(state) == {"spread_bps", "realized_vol", "daily_volume"}
    costs = MODEL.cost_bps(1e4, 1.0, state, symbol="BTC/USDT")["expected_cost_bps"]
    assert np.isnan(costs[:30]).all()
    assert np.isfinite(costs[30:]).all()


def test_lambda_in_the_unit_of_the_model():
    # 2 dollars a coin at 50,000: 0.4 bps for 50,000 dollars.
    assert kyle_bps(2.0, 5e4) == pytest.approx(0.4 / 5e4)
    assert kyle_bps(2.0, 5e4, Contract(0.1)) == pytest.approx(0.4 / 5e3)
    # A contract of 100 dollars that moves the price by 2: 0.4 bps for 100 dollars.
    assert kyle_bps(2.0, 5e4, Contract(100.0, inverse=True)) == pytest.approx(0.4 / 100)


def test_a_calibration_of_another_market_is_refused():
    model = DynamicTransactionCostModel(calibration=CALIBRATION)
    with pytest.raises(ConfigError, match="measured on another market, was 'X BTC/USDT'"):
        cost(model=model, symbol="ETH/USDT")
    with pytest.raises(ConfigError, match="one of X ETH/USDT"):
        model.daily_volume("ETH/USDT")
    elsewhere = DynamicTransactionCostModel(calibration=CALIBRATION, exchange="Y")
    for urgency in (0.0, 1.0):
        with pytest.raises(ConfigError, match="one of Y BTC/USDT"):
            cost(urgency, elsewhere)


def test_terms_say_what_the_formulas_were_filled_with():
    def origins(urgency, model=MODEL, **change):
        market = {k: v for k, v in (STATE | change).items() if v is not None}
        found = model.terms(urgency, market, symbol="BTC/USDT")
        return {name: term.origin for name, term in found.items()}

    assert origins(1.0) == {
        "V": "config/costs.yaml", "lambda": "the market's state", "eta": "default",
    }  # fmt: skip
    assert origins(0.0) == {
        "p": "Brownian mid, 10 s", "A": "VPIN, 30 s", "D": "Brownian mid, 10 s",
    }  # fmt: skip
    assert list(origins(0.5)) == ["V", "lambda", "eta", "p", "A", "D"]
    measured = DynamicTransactionCostModel(calibration=CALIBRATION)
    assert origins(1.0, measured, kyle_lambda=None) == {
        "V": "calibration", "lambda": "calibration", "k": "calibration",
    }  # fmt: skip
    assert origins(0.0, measured)["A"] == "calibration, 30 s"
    assert origins(1.0, kyle_lambda=None, daily_volume=1e9)["lambda"] == "rule, S / (0.1 V)"
    assert origins(0.0, vpin=None, fill_probability=0.5) == {
        "p": "the market's state", "A": "break even, S / 2", "D": "Brownian mid, 10 s",
    }  # fmt: skip
    root = DynamicTransactionCostModel(impact_model="square_root", square_root_y=0.5)
    assert origins(1.0, root) == {"V": "config/costs.yaml", "Y": "given"}
    fixed = DynamicTransactionCostModel(eta=2.0, kyle_lambda=1e-5, calibration=CALIBRATION)
    assert origins(1.0, fixed) == {"V": "calibration", "lambda": "given", "eta": "given"}

    # And by them the parts are the formulas of the class's notes.
    u, size = 0.5, 2e5
    t = {name: float(term.value) for name, term in MODEL.terms(u, STATE, symbol="BTC/USDT").items()}
    got = cost(u, quantity=size)
    rate = u * size / (300 / 86_400 * t["V"])
    assert got["temporary_impact_bps"] == pytest.approx(u * t["eta"] * 5.0 * rate / 0.01)
    assert got["permanent_impact_bps"] == pytest.approx(u * t["lambda"] * u * size / 2)
    assert got["spread_bps"] == pytest.approx(u * 2.5 - (1 - u) * t["p"] * 2.5)
    assert got["adverse_selection_bps"] == pytest.approx((1 - u) * t["p"] * t["A"])
    assert got["opportunity_bps"] == pytest.approx((1 - u) * (1 - t["p"]) * t["D"])
