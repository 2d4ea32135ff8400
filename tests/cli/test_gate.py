import json
import re
import shutil

import pytest
from typer.testing import CliRunner

from mrtrade.cli import app
from mrtrade.validation.criteria import read_verdict

from ..validation import make_session as make

runner = CliRunner()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_paper_run_that_passes(here):
    make.record(here / "march")
    result = runner.invoke(app, ["gate", "2", "march"])
    assert result.exit_code == 0, result.output
    assert "GO: all" in result.output
    verdict = read_verdict(here / "gate-2-march.json")
    assert verdict.decision == "GO"
    for one in verdict.criteria:
        assert one.name.split(",")[0] in result.output


def test_a_no_go_is_no_error(here):
    make.record(here / "march", tables={"equity": make.equity(days=5)})
    result = runner.invoke(app, ["gate", "2", "march", "--out", "verdict.json"])
    assert result.exit_code == 1
    assert "NO-GO" in result.output
    assert "error" not in result.output
    assert json.loads((here / "verdict.json").read_text())["exit_code"] == 1


def test_what_cannot_be_judged(here):
    make.record(here / "march", expected=make.expectation(features=None))
    result = runner.invoke(app, ["gate", "2", "march"])
    assert result.exit_code == 2
    assert "NOT JUDGED" in result.output


def test_a_live_run(here):
    make.record(here / "april", stage="live", fraction=0.01, incidents=make.drills())
    result = runner.invoke(app, ["gate", "3", "april"])
    assert result.exit_code == 0, result.output
    assert "Kill switches" in result.output


def test_what_is_wrong_with_a_run_is_said(here):
    def complaint(file, text):
        make.record(here / "march")
        (here / "march" / file).write_text(text)
        found = runner.invoke(app, ["gate", "2", "march"])
        shutil.rmtree(here / "march")
        return str(found.exception)

    missing = complaint("manifest.json", '{"schema": "mrtrade.session/1"}')
    assert re.search(
        r"session: Field required \(and \d+ more faults\); expected .*gates.md", missing
    )
    assert "no JSON: Expecting" in complaint("manifest.json", "{not")
    assert "no JSON: Expecting" in complaint("expected/expected.json", "{not")
    assert "KeyError: 'daily'" in complaint("expected/expected.json", "{}")


def test_the_exit_codes_are_in_the_help():
    for command in (["poc"], ["gate"], *(["gate", number] for number in "0123")):
        said = runner.invoke(app, [*command, "--help"], env={"COLUMNS": "80"}).output
        assert "2  NOT JUDGED: none failed, some could not be judged; or wrong arguments\n" in said
        assert "\\b" not in said


def test_the_wrong_gate_or_folder_is_an_error_of_data(here):
    from mrtrade.errors import DataError

    make.record(here / "march")
    assert isinstance(runner.invoke(app, ["gate", "3", "march"]).exception, DataError)
    assert isinstance(runner.invoke(app, ["gate", "2", "nowhere"]).exception, DataError)
    assert not list(here.glob("*.json"))
