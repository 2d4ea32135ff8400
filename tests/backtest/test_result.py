import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mrtrade.backtest import plots, report
from mrtrade.backtest.result import FRAMES, OUTPUTS, Result
from mrtrade.errors import RunError

from .make import equity_of, fills_of, random_result, result_of

NOTHING = fills_of([])
IDLE = result_of(NOTHING, equity_of(NOTHING, [100.0, 101.0, 99.0]))


def assert_same(a, b):
    for name in (*FRAMES, "presets"):
        pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name))
    pd.testing.assert_series_equal(a.stats, b.stats)
    assert (a.notes, a.costs, a.manifest, a.timing) == (b.notes, b.costs, b.manifest, b.timing)


@pytest.mark.parametrize("result", [random_result(), IDLE], ids=["trades", "idle"])
def test_what_is_saved_is_what_is_loaded(tmp_path, result):
    folder = result.save(tmp_path / "exchange=x" / "run")
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        [*OUTPUTS, "manifest.json", "timing.json"]
    )
    assert_same(Result.load(folder), result)


def test_saving_again_gives_the_same_bytes(tmp_path):
    a = random_result().save(tmp_path / "a")
    b = replace(random_result(), timing={"finished": "later"}).save(tmp_path / "b")
    for name in (*OUTPUTS, "manifest.json"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    assert (a / "timing.json").read_bytes() != (b / "timing.json").read_bytes()


def test_a_run_replaces_a_run_and_nothing_else(tmp_path):
    folder = random_result(seed=1).save(tmp_path / "run")
    assert_same(Result.load(random_result(seed=2).save(folder)), random_result(seed=2))
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"notes\.txt"):
        random_result(seed=3).save(folder)
    with pytest.raises(RunError, match="mine"):
        random_result().save(_file(tmp_path / "mine"))
    assert (folder / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "run"]


def _file(path):
    path.write_text("")
    return path


def test_a_save_that_fails_leaves_the_old_run(tmp_path, monkeypatch):
    folder = random_result(seed=1).save(tmp_path / "run")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(report, "html", full)
    with pytest.raises(OSError, match="no space"):
        random_result(seed=2).save(folder)
    assert_same(Result.load(folder), random_result(seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_save_that_cannot_move_into_place_leaves_the_old_run(tmp_path, monkeypatch):
    folder = random_result(seed=1).save(tmp_path / "run")
    rename = Path.rename

    def refuse(path, target):
        if path.name == "new":
            raise OSError("no such device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no such device"):
        random_result(seed=2).save(folder)
    assert_same(Result.load(folder), random_result(seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


KILLED = """
import os, sys
from pathlib import Path
from mrtrade.backtest import Result

result, rename = Result.load(sys.argv[1]), Path.rename

def killed(path, target):
    if path.name == "new":
        os._exit(9)
    rename(path, target)

Path.rename = killed
result.save(sys.argv[1])
"""


def test_a_save_killed_between_its_renames_leaves_the_old_run(tmp_path):
    folder = random_result(seed=1).save(tmp_path / "run")
    _save_and_be_killed(folder)
    assert not folder.exists()
    assert_same(Result.load(folder), random_result(seed=1))
    _save_and_be_killed(folder)
    random_result(seed=2).save(folder)
    assert_same(Result.load(folder), random_result(seed=2))
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".old")]


def _save_and_be_killed(folder):
    command = [sys.executable, "-c", KILLED, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 9, f"ended otherwise: {ended.returncode}\n{ended.stderr}"


@pytest.mark.parametrize("name", ["stats.json", "fills.parquet", "timing.json"])
def test_loading_half_a_run_is_an_error(tmp_path, name):
    folder = random_result().save(tmp_path / "run")
    (folder / name).write_bytes(b"half")
    with pytest.raises(RunError, match="not a complete run"):
        Result.load(folder)
    (folder / name).unlink()
    with pytest.raises(RunError, match="not a complete run"):
        Result.load(folder)


@pytest.mark.parametrize("result", [random_result(), IDLE], ids=["trades", "idle"])
def test_the_console_table_is_short(result):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(result)
    text = console.export_text()
    assert len(text.rstrip().splitlines()) <= 27
    for word in ("Net PnL", "Sharpe", "too short", "Gross", "Funding", "USDT", "strict"):
        assert word in text


class Balanced(HTMLParser):
    """Fails on a tag that is not closed, or closed out of turn."""

    VOID = ("meta", "br", "link")

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("result", [random_result(), IDLE], ids=["trades", "idle"])
def test_the_report_stands_alone(tmp_path, result):
    text = result.report(tmp_path / "new" / "r.html").read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", text)
    assert not re.search(r"@import|url\((?!#)|<script|<link", text)
    assert len(text.encode()) < 1_000_000
    assert "/somewhere/store" not in text  # where the data lie is not what they are
    svgs = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(svgs) == 3
    ids = []
    for svg in svgs:
        for element in ET.fromstring(svg.replace("xlink:", "")).iter():
            ids += [element.attrib["id"]] if "id" in element.attrib else []
            used = element.attrib.get("href", "#")
            assert used == "#" or f'id="{used[1:]}"' in svg
    assert len(ids) == len(set(ids))


def test_the_report_escapes_what_it_shows():
    nasty = "<script>alert('x')</script>&"
    result = random_result(strategy={"name": nasty, "params": {nasty: nasty}})
    for text in (report.html(result), result._repr_html_()):
        assert "<script" not in text
        assert "&lt;script&gt;" in text


def test_the_report_does_not_hang_on_the_users_matplotlib():
    import matplotlib

    plain = report.html(random_result())
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "lines.linewidth": 9}):
        assert report.html(random_result()) == plain
        assert matplotlib.rcParams["font.size"] == 30
    assert plain.count("<text") > 20


def test_without_matplotlib_the_report_has_tables_and_says_what_to_install(monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    text = report.html(random_result())
    assert "pip install &#x27;mrtrade[report]&#x27;" in text or "'mrtrade[report]'" in text
    assert "<svg" not in text
    assert "Round trips" in text


def test_a_long_run_gives_a_small_report():
    rng = np.random.default_rng(2)
    mids = 60_000 + np.cumsum(rng.normal(0, 1, 100_000))
    when = np.arange(0, 90_000, 9)
    rows = [(s, (-1) ** i, mids[s], 0.01, True, 0.1, mids[s], mids[s]) for i, s in enumerate(when)]
    fills = fills_of(rows)
    text = report.html(result_of(fills, equity_of(fills, mids)))
    assert len(text.encode()) < 1_000_000
    assert "of 10000 fills drawn" in text
    assert "Worst 10" in text


def test_thinning_keeps_the_extremes():
    x = np.random.default_rng(0).normal(size=50_000)
    x[12_345], x[23_456], x[34_567] = 99.0, -99.0, np.nan
    rows = plots.thin(x)
    assert len(rows) <= plots.MAX_POINTS + 2
    assert {0, 12_345, 23_456, len(x) - 1} <= set(rows.tolist())
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(plots.thin(x[:5]), np.arange(5))


def test_markout_by_hand():
    # Bought by a maker at 99 as the mid is 100, which then rises a point a second; sold by a taker
    # too late for a mark 10 s on.
    fills = fills_of(
        [(10, 1, 99.0, 1.0, True, 0.0, 100, 100), (55, -1, 100.0, 1.0, False, 0.0, 100, 100)]
    )
    mids = np.where(np.arange(60) < 10, 100.0, 100.0 + np.arange(60) - 10)
    horizons, curves = plots.markout(result_of(fills, equity_of(fills, mids)))
    assert horizons == [1, 2, 5, 10]
    rise = [101, 102, 105, 110]
    np.testing.assert_allclose(curves["maker"], [1e4 * (m - 99) / 99 for m in rise])
    assert np.isnan(curves["taker"][2:]).all()
    assert curves["taker"][0] < 0


def test_stats_json_holds_no_nan(tmp_path):
    folder = IDLE.save(tmp_path / "run")
    content = json.loads((folder / "stats.json").read_text(), parse_constant=pytest.fail)
    assert content["stats"]["Win rate [%]"] is None
    assert content["notes"]["Win rate [%]"] == "no round trip was closed"
