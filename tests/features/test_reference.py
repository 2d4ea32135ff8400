"""The reference of features is what the register says."""

import re
from pathlib import Path

import pytest

from mrtrade.features import FAMILIES, FEATURES, get
from mrtrade.features.columns import COLUMNS
from mrtrade.features.reference import bars_text, write

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "features.md"


def test_the_committed_file_is_what_is_generated():
    assert COMMITTED.read_text(encoding="utf-8") == write(), "run `make reference`"


def rows(text):
    """Cells of all rows of tables; a bar within a cell is escaped."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\) \| ", line[2:-2]) for line in lines]


def test_every_feature_and_column_is_there_once():
    first = [cells[0] for cells in rows(write())]
    for one in {one.stem: one for one in FEATURES.values()}.values():
        name = one.stem if one.window is None else f"{one.stem}_n"
        starts = [cell for cell in first if cell.startswith(f"`{name}`<br>")]
        assert len(starts) == 1, name
        assert starts[0].endswith(f"<br>{one.unit}")
    for name in COLUMNS:
        assert first.count(f"`{name}`") == 1, name


def test_tables_are_whole():
    text = write()
    assert "{{" not in text
    widths = [len(cells) for cells in rows(text)]
    assert set(widths) == {3, 4, 5}
    for family in {one.family for one in FEATURES.values()}:
        assert f"\n### {family}\n" in text
        assert family in FAMILIES


@pytest.mark.parametrize(
    ("name", "what", "text"),
    [
        ("zscore_60", "lookback", "n - 1"),
        ("reversal_bps_10", "warmup", "n"),
        ("vol_ratio_60", "lookback", "10 n"),
        ("reversal_volume_10", "warmup", "10 n - 1"),
        ("ema_dev_bps_60", "lookback", "all"),
        ("spread_bps", "warmup", "0"),
    ],
)
def test_lookbacks_as_rules(name, what, text):
    assert bars_text(get(name), what) == text
