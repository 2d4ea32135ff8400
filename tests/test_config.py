from pathlib import Path

import pytest

from mrtrade.config import PRESETS, BacktestConfig, load_config
from mrtrade.errors import ConfigError

MINIMAL = {"exchange": "BINANCE", "symbol": "BTC/USDT", "strategy": {"name": "X"}}


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "backtest.yaml"
        path.write_text(text)
        return path

    return write


def test_documented_file_is_valid_complete_and_shows_the_defaults():
    path = Path(__file__).parents[1] / "config" / "backtesting.yaml"
    shown = load_config(path)
    assert shown == load_config(
        {
            "exchange": "BINANCE",
            "symbol": "BTC/USDT",
            "strategy": {"name": "StatisticalMeanReversion"},
        }
    )
    import yaml

    def keys(tree, prefix=""):
        for key, value in tree.items():
            yield prefix + key
            if isinstance(value, dict):
                yield from keys(value, f"{prefix}{key}.")

    in_file = set(keys(yaml.safe_load(path.read_text())))
    in_model = set(keys(BacktestConfig.model_validate(MINIMAL).model_dump()))
    assert in_file == in_model


def test_every_key_of_the_documented_file_has_a_comment():
    lines = (Path(__file__).parents[1] / "config" / "backtesting.yaml").read_text().splitlines()
    commented = False
    sections = {"exchange:", "symbol:", "start:", "end:", "strategy:", "latency:"}
    for line in lines:
        if not line.strip():
            commented = False
        elif "#" in line:
            commented = True
        else:
            assert commented or line.split()[0] in sections, line


def test_installed_files_are_the_ones_users_see():
    from importlib.resources import files

    shown = Path(__file__).parents[1] / "config"
    installed = files("mrtrade") / "config_files"
    assert {one.name for one in installed.iterdir()} == {one.name for one in shown.iterdir()}
    for one in shown.iterdir():
        assert (installed / one.name).read_bytes() == one.read_bytes()


def test_units():
    config = load_config(
        {
            **MINIMAL,
            "start": "2024-08-08T23:54:13Z",
            "bar": "500ms",
            "latency": {"feed_ms": 1.5},
            "execution": {"timeout_s": 0.25},
            "transaction_costs": {"maker_fee_bps": -0.5},
            "instrument": {"tick_size": 0.5},
        }
    )
    assert config.start == 1_723_161_253 * 10**9
    assert config.bar_ns == 500_000_000
    assert config.latency.feed_ns == 1_500_000
    assert config.latency.entry_ns == 5_000_000
    assert config.execution.timeout_ns == 250_000_000
    assert config.instrument_overrides() == {"maker_fee": -0.00005, "tick_size": 0.5}


@pytest.mark.parametrize(
    "change",
    [
        {"start": "2024-08-08", "end": "2024-08-09"},
        {"queue": {"model": "table", "table": [1.0, 0.5, 0.0], "compare": False}},
        {"latency": {"orders": "lognormal", "sigma": 0.5, "cancel_ms": 2}},
        {"latency": {"orders": "table", "table": "orders.csv"}},
        {"transaction_costs": {"tiers": [[0, 2, 5], [1e6, 1, 4]], "volume_30d": 2e6}},
        {"account": {"initial_margin": 0.1, "maintenance_margin": 0.05}},
    ],
)
def test_dump_loads_again(change):
    config = load_config({**MINIMAL, **change})
    assert load_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("queue", "chosen", "behind"),
    [
        ({}, "queue", "power"),
        ({"model": "log2"}, "queue", "log2"),
        ({"model": "strict"}, "strict", "power"),
        ({"model": "log", "preset": "optimistic"}, "optimistic", "log"),
        ({"model": "strict", "preset": "strict"}, "strict", "power"),
    ],
)
def test_which_answer_a_run_goes_by(queue, chosen, behind):
    config = load_config({**MINIMAL, "queue": queue}).queue
    assert config.chosen == chosen
    assert [config.model_of(preset) for preset in PRESETS] == [
        "optimistic",
        behind,
        "risk_averse",
        "strict",
    ]


@pytest.mark.parametrize(
    "text", ["[1, 0.5, 0]", "table:\n- 1\n- 0.5\n- 0\n", '{"table": [1, 0.5, 0]}']
)
def test_a_table_from_a_file(tmp_path, text):
    (tmp_path / "table").write_text(text)
    queue = {"model": "table", "table": str(tmp_path / "table")}
    assert load_config({**MINIMAL, "queue": queue}).queue.table == [1.0, 0.5, 0.0]


def test_the_fees_are_those_of_the_tier_that_the_volume_reaches():
    costs = {"tiers": [[0, 2, 5], [1e6, 1, 4], [1e7, -0.5, 3]], "volume_30d": 1e6}
    config = load_config({**MINIMAL, "transaction_costs": costs})
    assert config.instrument_overrides() == {"maker_fee": 0.0001, "taker_fee": 0.0004}
    assert config.transaction_costs.tier_fractions()[2] == (1e7, -0.00005, 0.0003)


def test_yaml_dates_and_overrides(written):
    path = written(
        "exchange: BINANCE\nsymbol: BTC/USDT\nstart: 2024-08-08\n"
        "strategy: {name: X}\nlatency: {feed_ms: 9}\n"
    )
    config = load_config(path, {"latency.feed_ms": 1, "queue.power": 2, "end": "2024-08-09"})
    assert config.start == 1_723_075_200 * 10**9
    assert config.latency.feed_ms == 1
    assert config.queue.power == 2
    assert load_config(path).latency.feed_ms == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lattency": {}}, "lattency: unknown key; the nearest is latency"),
        (
            {"latency": {"fed_ms": 1}},
            "latency.fed_ms: unknown key; the nearest is latency.feed_ms",
        ),
        ({"latency": {"feed_ms": -1}}, "latency.feed_ms: input should be greater than or equal"),
        ({"latency": {"feed_ms": float("nan")}}, "latency.feed_ms: input should be a finite"),
        ({"latency": {"feed_ms": 1e14}}, "latency.feed_ms: input should be less than or equal"),
        ({"execution": {"timeout_s": 1e12}}, "execution.timeout_s: input should be less than"),
        ({"capital": 0}, "capital: input should be greater than 0, was 0"),
        ({"execution": {"mode": "pasive"}}, "execution.mode: input should be 'passive' or"),
        ({"bar": "1.5s"}, "bar: not a length of time"),
        ({"start": "soon"}, "start: not a time"),
        ({"start": 20240808}, "start: not a time"),
        ({"start": "2024-08-09", "end": "2024-08-08"}, "is not before end"),
        ({"strategy": {}}, "strategy.name: not given"),
        ({"transaction_costs": {"maker_fee_bps": 2_000}}, "transaction_costs.maker_fee_bps"),
        ({"store": 7}, "store: input should be a valid string"),
        ({"queue": {"model": "table"}}, "queue: model is 'table', but table is not given"),
        ({"queue": {"table": [1, 0]}}, "queue: table is given, but model is 'power'"),
        ({"queue": {"model": "table", "table": [1, 2]}}, "queue.table.1: input should be less"),
        ({"queue": {"model": "table", "table": "none"}}, "queue.table: cannot be read"),
        ({"queue": {"model": "fifo"}}, "queue.model: input should be 'power', "),
        (
            {"queue": {"model": "strict", "preset": "optimistic"}},
            "queue: preset is 'optimistic', but model is 'strict'",
        ),
        ({"latency": {"table": "x"}}, "latency: table is given, but orders is 'constant'"),
        ({"latency": {"orders": "table"}}, "latency: orders is 'table', but table is not given"),
        ({"latency": {"sigma": 1}}, "latency: sigma is given, but orders is 'constant'"),
        (
            {"latency": {"orders": "table", "table": "x", "cancel_ms": 1}},
            "latency: cancel_ms is given, but orders is 'table'; cancel_ms is for 'constant' or",
        ),
        ({"latency": {"orders": "feed"}}, "latency: orders is 'feed', but feed is 'constant'"),
        (
            {"transaction_costs": {"tiers": [[0, 1, 2]], "taker_fee_bps": 1}},
            "transaction_costs: both tiers and a fee",
        ),
        ({"transaction_costs": {"tiers": [[5, 1, 2]]}}, "begin at 0 and rise, was [5.0]"),
        ({"transaction_costs": {"volume_30d": 1}}, "volume_30d is given, but no tiers"),
        ({"account": {"maintenance_margin": 0.1}}, "above initial_margin"),
    ],
)
def test_faults_name_the_key(change, message):
    with pytest.raises(ConfigError) as caught:
        load_config({**MINIMAL, **change})
    assert message in str(caught.value)


def test_one_error_lists_all_faults_with_lines(written):
    path = written(
        "exchange: BINANCE\nlatency:\n  feed_ms: fast\n  fed_ms: 1\nstrategy: {name: X}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert str(path) in message
    assert "3 faults" in message
    assert "symbol: not given" in message
    assert "line 3, latency.feed_ms" in message
    assert "line 4, latency.fed_ms: unknown key" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a configuration"),
        ("- 1\n", "not a configuration"),
        ("a: [1\n", "not YAML"),
        ("bar: 1s\nbar: 2s\n", "bar: given twice, on lines 1 and 2"),
    ],
)
def test_broken_files(written, text, message):
    path = written(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "no.yaml")
