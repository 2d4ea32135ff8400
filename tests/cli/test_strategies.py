"""`mrtrade strategies` as a user runs it, and strategies of installed packages."""

import sys

import pytest

from mrtrade import cli
from mrtrade.errors import ConfigError
from mrtrade.strategies import STRATEGIES, find_strategy, installed, make_strategy

PLUGIN = """
from mrtrade.strategies import Rules, Strategy, StrategyParams

class Mine(Strategy):
    \"\"\"Buy what leans.\"\"\"
    features = ("imbalance_5",)
    class Params(StrategyParams):
        entry: float = 0.6
    def rules(self, row):
        x = row["imbalance_5"]
        return Rules(x > self.params.entry, x < -9, x < 0, x < 0)
"""


@pytest.fixture
def mrtrade(capsys, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mrtrade", "strategies", *arguments])
        monkeypatch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return run


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with entry points, as pip leaves it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "plugged_strategy.py").write_text(PLUGIN)

    def install(name, **entries):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{key} = {value}" for key, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[mrtrade.strategies]", *lines, ""]))

    return install


def test_all_are_listed(mrtrade):
    code, out, _ = mrtrade("list")
    assert code == 0
    assert all(name in out for name in STRATEGIES)
    assert "perpetual, spot" in out


@pytest.mark.parametrize("name", STRATEGIES)
def test_all_is_shown_of_each(mrtrade, name):
    code, out, _ = mrtrade("show", name)
    assert code == 0
    for key, field in find_strategy(name).Params.model_fields.items():
        assert f" {key} " in out
        assert field.description, f"{name}.{key} has no description"
    for feature in make_strategy(name).features:
        assert feature in out


def test_a_preset_is_shown(mrtrade):
    _, out, _ = mrtrade("show", "statistical", "--preset", "minutes")
    assert "14400" in out
    code, _, err = mrtrade("show", "statistical", "--preset", "days")
    assert (code, "no preset 'days'" in err) == (2, True)


def test_a_package_offers_a_strategy(mrtrade, install):
    install("plugger", mine="plugged_strategy:Mine", statistical="plugged_strategy:Mine")
    assert [one.name for one in installed()] == ["mine"]  # a built-in name cannot be taken
    assert make_strategy("mine", {"entry": 0.5}).params.entry == 0.5
    assert find_strategy("statistical") is STRATEGIES["statistical"]
    _, out, _ = mrtrade("list")
    assert "plugger" in out
    assert "Buy what leans." in out
    _, out, _ = mrtrade("show", "mine")
    assert "imbalance_5" in out
    with pytest.raises(ConfigError, match="perhaps 'mine'"):
        find_strategy("mines")


def test_a_broken_package_does_not_hide_the_others(mrtrade, install):
    install("broken", bad="no_such_module:X", worse="plugged_strategy:PLUGGED")
    with pytest.raises(ConfigError, match="cannot be loaded from no_such_module:X"):
        find_strategy("bad")
    code, out, _ = mrtrade("list")
    assert code == 0
    assert "not usable" in out
    assert "microstructure" in out


def test_one_name_of_two_packages_is_none(install):
    install("one", mine="plugged_strategy:Mine")
    install("two", mine="plugged_strategy:Strategy")
    with pytest.raises(ConfigError, match="offered by several packages"):
        find_strategy("mine")
