import pytest
from typer.testing import CliRunner

from mrtrade.cli import app
from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.models import save_model
from mrtrade.ml.params import ForecastParams
from mrtrade.ml.training import train
from tests.ml.planted import planted


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    X, labels = planted(400)
    forecaster = train(X, labels, params=ForecastParams(selection=None, max_rounds=10))
    save_model(forecaster, root, name="fade", symbol="BTC/USDT", who="me")
    return root


def ask(*arguments):
    result = CliRunner().invoke(app, ["models", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_models_are_listed_shown_and_promoted(root):
    (folder,) = (one for one in root.iterdir() if one.is_dir())
    assert folder.name in ask("list", "--root", root)
    assert "1 models" not in ask("list", "--root", root)
    shown = ask("show", folder.name, "--root", root)
    assert "BTC/USDT" in shown
    assert "f00" in shown
    assert "candidate" in ask("verify", folder)
    assert "is shadow" in ask("promote", folder, "shadow", "--who", "ann", "--why", "tried")
    assert "candidate -> shadow by ann: tried" in ask("show", folder)
    with pytest.raises(ConfigError, match="cannot become live"):
        ask("promote", folder, "live", "--who", "ann", "--why", "tried")
    (folder / "model.txt").write_text("tree")
    with pytest.raises(DataError, match="not the file that was saved"):
        ask("verify", folder)


def test_a_folder_without_models_is_no_error(tmp_path):
    assert "0 models" in ask("list", "--root", tmp_path / "none")
