"""The guard over instruction counts fails when it should. Counting itself is not done here."""

from importlib import import_module
from pathlib import Path

import pytest

BOOK, IMBALANCE = "book, integer columns", "depth imbalance, 5 levels"
RECORDED = {"machine": "x86_64", "compiler": "gcc 12.2.0", "python": "3.11"}


@pytest.fixture
def guard(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1])
    return import_module("benchmarks.instructions")


def compare(guard, before, now, **here):
    return guard.compare(RECORDED | {"kernels": before}, RECORDED | here, now)


@pytest.mark.parametrize(("now", "failed"), [(102.9, []), (103.1, [BOOK]), (90.0, [])])
def test_more_than_three_percent_fails(guard, now, failed, capsys):
    assert compare(guard, {BOOK: 100.0, IMBALANCE: 50.0}, {BOOK: now, IMBALANCE: 50.0}) == failed
    table = capsys.readouterr().out
    assert f"100.00 {now:9.2f} {now - 100:+7.1f}%" in table
    assert ("instructions-record" in table) == (now < 97)


def test_a_kernel_on_one_side_only_fails(guard):
    assert compare(guard, {BOOK: 100.0}, {BOOK: 100.0, IMBALANCE: 50.0}) == [IMBALANCE]
    assert compare(guard, {BOOK: 100.0, IMBALANCE: 50.0}, {BOOK: 100.0}) == [IMBALANCE]


def test_another_interpreter_is_not_held_to_its_own_instructions(guard):
    call = guard.kernels.PYTHON
    before, now = {BOOK: 100.0, call: 500.0}, {BOOK: 100.0, call: 600.0}
    assert compare(guard, before, now) == [call]
    assert compare(guard, before, now, python="3.13") == []


def test_without_valgrind_it_says_what_to_install(guard, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="Debian: valgrind"):
        guard.counted()


def test_the_record_holds_every_kernel(guard):
    recorded = guard.json.loads(guard.RECORD.read_text())
    assert set(recorded["kernels"]) == set(guard.kernels.kernels(100))
    assert set(guard.made_by()) == set(RECORDED) == set(recorded) - {"kernels"}
