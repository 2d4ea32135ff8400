"""`mrtrade costs` as a user runs it."""

import json
import sys
from pathlib import Path

import pytest

from mrcore.market import SyntheticMarket
from mrtrade import cli
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.synthetic import write_lake
from mrtrade.execution.calibrated import Calibration
from mrtrade.execution.costs import DynamicTransactionCostModel
from tests.backtest.still import NOISE

STATE = ("--spread-bps", 5, "--vpin", 0.4, "--kyle-lambda", 1e-4, "--vol", 0.6)
ORDER = ("--symbol", "BTC/USDT", "--size", 100_000)
SPECIFIED = {"spread_bps": 5.0, "vpin": 0.4, "kyle_lambda": 1e-4, "realized_vol": 0.6}
MARKET = ("--exchange", "SYNTHETIC", "--symbol", "BTC/USDT", "--store", "store")


@pytest.fixture
def mrtrade(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mrtrade", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        code, (out, err) = end.value.code, capsys.readouterr()
        assert all(len(line) <= 80 for line in out.splitlines())
        assert "\x1b" not in out
        return code, out, err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a store of three minutes of a synthetic market."""
    place = tmp_path_factory.mktemp("costs")
    run = SyntheticMarket(7, half_life_s=10.0).run(180.0)
    write_lake(place / "lake", run)
    ingest(place / "lake", ParquetStore(place / "store"))
    (place / "noise.py").write_text(NOISE)
    return place


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def lines_of(out):
    return [line.split() for line in out.splitlines() if line.strip()]


# ---- estimate


def test_the_order_of_the_specification(mrtrade, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for urgency, low, high in (("aggressive", 10.0, 30.0), ("passive", 2.0, 10.0)):
        file = Path(f"{urgency}.json")
        code, out, err = mrtrade(
            "costs", "estimate", *ORDER, *STATE, "--urgency", urgency, "--json", file
        )
        assert (code, err) == (0, "")
        told = json.loads(file.read_text())
        expected = DynamicTransactionCostModel().estimate_cost(
            symbol="BTC/USDT", quantity_usd=1e5, urgency=urgency, market_state=SPECIFIED
        )
        assert low <= told["expected_cost_bps"] == expected["expected_cost_bps"] <= high
        assert told["expected_cost"] == pytest.approx(10.0 * told["expected_cost_bps"])
        rows = lines_of(out)
        for part in told["parts"]:
            name = part["part"].replace(" ", "_") + "_bps"
            assert part["bps"] == expected[name]
            row = next(
                row for row in rows if row[: len(part["part"].split())] == part["part"].split()
            )
            assert row[-2:] == [f"{part['bps']:.3f}", f"{part['money']:,.2f}"]
            assert part["formula"] in out
        assert "config/costs.yaml" in out or urgency == "passive"
        assert f"buy 100,000 USDT of BTC/USDT, {urgency}" in out


def test_fees_are_those_of_the_exchange(mrtrade, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, out, _ = mrtrade(
        "costs", "estimate", *ORDER, *STATE, "--exchange", "binance", "--json", "a.json"
    )
    assert json.loads((tmp_path / "a.json").read_text())["parts"][0]["bps"] == 10.0  # spot
    assert "on BINANCE" in out


def test_the_market_as_recorded(mrtrade, here):
    options = (*MARKET, "--size", 5_000, "--at", "2024-01-01 00:02", "--json", "a.json")
    code, out, err = mrtrade("costs", "estimate", *options, "--side", "sell")
    assert (code, err) == (0, "")
    sold = json.loads((here / "a.json").read_text())
    assert sold["time"] == "2024-01-01 00:02:00+00:00"
    cost = sold["expected_cost_bps"] * 1e-4 * sold["mid"]
    assert sold["price_with_costs"] == pytest.approx(sold["mid"] - cost)
    mrtrade("costs", "estimate", *options)
    bought = json.loads((here / "a.json").read_text())
    assert bought["price_with_costs"] == pytest.approx(sold["mid"] + cost)
    assert f"mid {sold['mid']:.8g} at 2024-01-01 00:02:00" in out
    # What is given wins over what was recorded.
    mrtrade("costs", "estimate", *options, "--spread-bps", 9)
    spread = {
        one["letter"]: one["value"]
        for one in json.loads((here / "a.json").read_text())["filled_with"]
    }
    assert spread["S"] == 9.0


# ---- calibrate


def test_a_market_is_measured_and_the_file_is_read(mrtrade, here):
    code, out, err = mrtrade("costs", "calibrate", *MARKET, "--resamples", 99)
    assert (code, err) == (0, "")
    file = here / "costs-SYNTHETIC-BTC-USDT.json"
    found = Calibration.load(file)
    assert "no: may be 0" in out  # the fair value of this market does not listen to trades
    assert not found.kyle_lambda.determined
    assert f"{found.book_slope.value:.3g}" in out
    assert f"{found.square_root_y.low:.3g} to {found.square_root_y.high:.3g}" in out
    assert "beware: 3.0 minutes are a small sample" in out
    text = file.read_text()
    mrtrade("costs", "calibrate", *MARKET, "--resamples", 99)
    assert file.read_text() == text
    mrtrade("costs", "calibrate", *MARKET, "--resamples", 99, "--seed", 1, "--out", "b.json")
    assert Calibration.load(here / "b.json").book_slope.low != found.book_slope.low

    code, out, _ = mrtrade(
        "costs", "estimate", *MARKET, "--size", 5_000, "--at", "2024-01-01 00:02",
        "--calibration", file, "--json", "c.json",
    )  # fmt: skip
    assert code == 0
    told = json.loads((here / "c.json").read_text())
    letters = {one["letter"]: one for one in told["filled_with"]}
    assert letters["k"]["value"] == found.book_slope.value
    assert letters["k"]["origin"] == "calibration"


# ---- compare


def test_a_run_is_compared(mrtrade, here):
    code, _, err = mrtrade(
        "backtest", *MARKET, "--strategy", "noise.py", "--mode", "aggressive", "--no-compare",
        "--max-position", "0.05", "--set", "transaction_costs.model=dynamic",
    )  # fmt: skip
    assert code == 0, err
    [run] = [path.name for path in (here / "runs").iterdir()]
    code, out, err = mrtrade("costs", "compare", run, "--json", "d.json", "--picture", "d.png")
    assert (code, err) == (0, "")
    told = json.loads((here / "d.json").read_text())
    stats = json.loads((here / "runs" / run / "stats.json").read_text())
    assert told["net_simulated"] == stats["costs"]["net"]
    assert told["net_model"] == stats["stats"]["Net PnL by the cost model [settlement]"]
    assert (here / "d.png").read_bytes().startswith(b"\x89PNG")
    row = next(row for row in told["by_role"] if (row["role"], row["size"]) == ("taker", "all"))
    shown = next(row for row in lines_of(out) if row[:2] == ["taker", "all"])
    assert shown[4:] == [
        f"{row[name]:.3f}" for name in ("simulated_mean", "model_mean", "bias", "rmse")
    ]
    # The path of the folder does as well as the id.
    assert mrtrade("costs", "compare", here / "runs" / run)[1] in out


# ---- what cannot be


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("estimate", *ORDER), 2, "--spread-bps"),
        (("estimate", *ORDER, "--spread-bps", 5), 2, "--vol"),
        (("estimate", *ORDER, *STATE, "--side", "long"), 2, "--side"),
        (("estimate", *ORDER, *STATE, "--urgency", "fast"), 2, "passive or aggressive"),
        (("estimate", *ORDER, *STATE, "--urgency", "2"), 2, "not a share"),
        (("estimate", *ORDER, *STATE, "--size", "-1"), 2, "below 0"),
        (("estimate", *ORDER, *STATE, "--size", "nan"), 2, "not a notional"),
        (("estimate", *ORDER, *STATE, "--vpin", "1.5"), 3, "market_state.vpin"),
        (("estimate", *ORDER, *STATE, "--symbol", "DOGE/USDT"), 2, "daily volume of DOGE/USDT"),
        (("estimate", *ORDER, *STATE, "--impact-model", "cubic"), 2, "almgren_chriss or square"),
        (("estimate", *ORDER, *STATE, "--adverse-model", "none"), 2, "vpin_based or break_even"),
        (("estimate", *ORDER, *STATE, "--exchange", "NOWHERE"), 2, "NOWHERE"),
        (("estimate", *ORDER, *STATE, "--calibration", "gone.json"), 2, "gone.json"),
        (
            ("estimate", *ORDER, *STATE, "--json", "no/such/folder.json"),
            2,
            "nothing can be written",
        ),
        (("estimate", *ORDER, "--at", "2024-01-01"), 2, "--exchange"),
        (("estimate", *ORDER, *MARKET, "--at", "noon"), 3, "noon"),
        (("estimate", *ORDER, *MARKET, "--at", "2025-01-01"), 3, "no book of SYNTHETIC"),
        (("estimate", *ORDER, *MARKET, "--at", "2024-01-01 00:00:05"), 2, "--vol"),
        (("estimate", *ORDER, *MARKET, "--at", "2024-01-01 00:20"), 3, "does not hold this time"),
        (("calibrate", *MARKET, "--symbol", "ETH/USDT"), 3, "ETH/USDT"),
        (("calibrate", *MARKET, "--end", "2024-01-01 00:00:10"), 3, "too few bars"),
        (("calibrate", *MARKET, "--bar", "soon"), 2, "not a length of time"),
        (("calibrate", *MARKET, "--bar", "1min"), 2, "too long a bar"),
        (("calibrate", *MARKET, "--bins", "0"), 2, "--bins"),
        (("calibrate", *MARKET, "--out", "no/such/folder.json"), 2, "nothing can be written"),
        (("compare", "nothing"), 1, "not the folder of a run"),
        (("compare", "nothing", "--picture", "no/such/folder.png"), 2, "nothing can be written"),
    ],
)
def test_what_cannot_be_is_one_clear_error(mrtrade, here, arguments, code, told):
    got, out, err = mrtrade("costs", *arguments)
    assert (got, out) == (code, "")
    assert told in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_what_is_not_installed_is_said_first(mrtrade, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.api", None)
    code, _, err = mrtrade("costs", "calibrate", *MARKET)
    assert code == 2
    assert "pip install 'mrtrade[research]'" in err
