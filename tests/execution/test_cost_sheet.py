"""The sheet of an order: its formulas, filled with what it says, give its numbers."""

import math

import pytest

from mrtrade.execution.calibrated import Calibration, Estimate
from mrtrade.execution.cost_sheet import MEANINGS, cost_sheet
from mrtrade.execution.costs import PARTS, DynamicTransactionCostModel

STATE = {"spread_bps": 5.0, "vpin": 0.4, "kyle_lambda": 1e-4, "realized_vol": 0.6}


def estimate(value):
    return Estimate(value=value, unit="", method="")


MEASURED = Calibration(
    exchange="X", symbol="BTC/USDT", start="", end="", bars=1, bar_s=1.0, daily_volume=1e9,
    kyle_lambda=estimate(2e-5), book_slope=estimate(3.0), square_root_y=estimate(0.4),
)  # fmt: skip
MODELS = {
    "rule": DynamicTransactionCostModel(),
    "book": DynamicTransactionCostModel(calibration=MEASURED),
    "square root": DynamicTransactionCostModel(impact_model="square_root"),
    "measured root": DynamicTransactionCostModel(
        impact_model="square_root", calibration=MEASURED, adverse_selection_model="break_even"
    ),
}


def filled(formula, values):
    """Compute a formula as it is written, with the letters as it is said what they are."""
    if formula.startswith("none"):
        return 0.0
    text = formula.replace("1 %", "0.01").replace("(1 - u) p", "(1 - u) * p")
    text = text.replace("u 2/3", "u * 2/3").replace("u Q", "u * Q").replace("T V", "T * V")
    text = text.replace("lambda", "lam")
    for pair in ("u taker", "(1 - u) maker", "u S", "p S", "u eta", "eta S", "S (", "u lam",
                 "lam u", "u k", "k (", "3 Y", "Y sigma_D", "sigma_D sqrt", "p A",
                 "(1 - u) (", "(1 - p) D"):  # fmt: skip
        text = text.replace(pair, " * ".join(pair.rsplit(" ", 1)))
    nothing = dict.fromkeys(MEANINGS, 0.0)  # letters that do not count at this urgency
    known = nothing | {"lam": values.get("lambda", 0.0), "sqrt": math.sqrt} | values
    del known["lambda"]
    return eval(text, {"__builtins__": {}}, known)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("urgency", ["passive", 0.3, "aggressive"])
def test_the_formulas_filled_in_are_the_numbers(name, urgency):
    order = {"symbol": "BTC/USDT", "quantity_usd": 2e5, "urgency": urgency, "market_state": STATE}
    sheet = cost_sheet(MODELS[name], **order)
    told = MODELS[name].estimate_cost(**order)
    values = {one.letter: one.value for one in sheet.fillings}
    *lines, total = sheet.lines
    assert [line.part for line in lines] == [p[:-4].replace("_", " ") for p in PARTS]
    for line, part in zip(lines, PARTS, strict=True):
        assert line.bps == told[part]
        assert line.money == pytest.approx(20.0 * line.bps, rel=1e-14)
        if line.bps:
            assert filled(line.formula, values) == pytest.approx(line.bps, rel=1e-12), part
    assert (total.part, total.bps) == ("expected cost", told["expected_cost_bps"])
    assert total.money == pytest.approx(20.0 * total.bps)
    assert all(one.origin and one.meaning for one in sheet.fillings)
    content = sheet.to_dict()
    assert content["expected_cost_bps"] == total.bps
    assert {part["formula"] for part in content["parts"]} == {line.formula for line in lines}
    assert content["currency"] == "USDT"


def test_it_says_where_a_number_came_from():
    order = {"symbol": "BTC/USDT", "quantity_usd": 1e5, "urgency": 0.5, "market_state": STATE}
    origins = {one.letter: one.origin for one in cost_sheet(MODELS["book"], **order).fillings}
    assert origins["k"] == origins["V"] == "calibration"
    assert origins["lambda"] == origins["S"] == "the market's state"
    assert origins["u"] == "the order"
    units = {one.letter: one.unit for one in cost_sheet(MODELS["rule"], **order).fillings}
    assert units["lambda"] == "bps / USDT"
    assert units["V"] == "USDT a day"
