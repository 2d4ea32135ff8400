import json
import shutil

import pytest

from mrtrade.backtest import Result, list_runs, manifest, rerun, run, save_run
from mrtrade.errors import RunError


@pytest.fixture(scope="module")
def saved(market, tmp_path_factory):
    return save_run(run(market), tmp_path_factory.mktemp("runs"))


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / saved.name)


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_rerun_is_bit_equal(saved, tmp_path):
    again = save_run(rerun(saved), tmp_path)
    assert again.name == saved.name
    for file in saved.iterdir():
        if file.name != "timing.json":
            assert (again / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_strategy_file_is_found_from_any_folder(market, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    shutil.copy(market["strategy"]["name"], tmp_path / "here" / "mine.py")
    monkeypatch.chdir(tmp_path / "here")
    folder = save_run(run(market | {"strategy": {"name": "mine.py:Fade"}}), tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "there")
    again = rerun(folder)
    assert again.manifest == Result.load(folder).manifest
    assert again.manifest["config"]["strategy"]["name"] == "mine.py:Fade"
    assert again.manifest["strategy_file"] == str(tmp_path / "here" / "mine.py")


def test_a_run_is_listed(saved):
    (row,) = list_runs(saved.parent)
    result = Result.load(saved)
    assert row["run_id"] == saved.name == result.manifest["run_id"]
    assert row["strategy"].endswith("fade.py")
    assert row["symbol"] == "BTC/USDT"
    assert row["net_pnl"] == result.stats["Net PnL [settlement]"]
    assert list_runs(saved.parent / "none") == []


def test_runs_are_listed_newest_first(copy):
    older = shutil.copytree(copy, copy.parent / "older")
    edit(older / "timing.json", lambda t: t.update(finished="2020-01-01T00:00:00+00:00"))
    (copy.parent / "not-a-run").mkdir()
    assert [row["path"] for row in list_runs(copy.parent)] == [str(copy), str(older)]


def test_a_changed_file_is_named(copy):
    (copy / "fills.parquet").write_bytes(b"mended")
    with pytest.raises(RunError, match=r"fills\.parquet: not the file that the run wrote"):
        rerun(copy)
    (copy / "fills.parquet").unlink()
    with pytest.raises(RunError, match=r"fills\.parquet: missing"):
        rerun(copy)


def test_what_made_the_difference_is_named(copy):
    def other(content):
        content["outputs"]["stats.json"] = manifest.sha256(copy / "stats.json")
        content["data"]["fingerprint"] = "0" * 64
        content["versions"]["pandas"] = "1.0"
        content["code"]["mrcore"] = "0"

    edit(copy / "stats.json", lambda stats: stats["stats"].update(Fills=-1))
    edit(copy / "manifest.json", other)
    with pytest.raises(RunError) as caught:
        rerun(copy)
    for words in (
        "not bit-equal: ",
        "stats.json",
        "the data changed",
        "version of pandas changed (1.0 -> ",
        "code of mrcore",
    ):
        assert words in str(caught.value)
    assert "fills.parquet" not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_what_is_no_run_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RunError, match=r"manifest\.json"):
        rerun(tmp_path)


def test_a_damaged_manifest_is_an_error(copy):
    edit(copy / "manifest.json", lambda content: content.pop("config"))
    with pytest.raises(RunError, match="damaged"):
        rerun(copy)


def test_a_listing_names_a_damaged_file(copy):
    (copy / "stats.json").write_text("{}")
    with pytest.raises(RunError, match=r"stats\.json: damaged: no stats"):
        list_runs(copy.parent)
