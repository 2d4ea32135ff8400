"""The report on features as one HTML page that needs nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from mrtrade.data.quality.page import document, section, table
from mrtrade.errors import ConfigError
from mrtrade.features.correlations import FeatureCorrelations
from mrtrade.features.pictures import heat_maps

#: Rows of the table of correlations, and features of the picture.
TOP, PICTURED = 25, 40


def page(title: str, diagnosis: pd.DataFrame, found: FeatureCorrelations) -> str:
    """Render what `diagnose` and `analyze_feature_correlations` found.

    Without matplotlib the picture gives way to a line that says what to install.
    """
    nothing = diagnosis["distinct"] == 0
    told = diagnosis[(diagnosis["finding"] != "") & ~nothing]
    tests = found.table["rank_ic_p_adj"]
    sub = (
        f"{len(diagnosis)} features, {int(nothing.sum())} without a value, {len(told)} with "
        f"findings · {int(tests.notna().sum())} rank correlations with the returns after them, "
        f"{int((tests < 0.05).sum())} of them with an adjusted p below 5 %"
    )
    return document(
        title,
        [
            f"<h1>{escape(title)}</h1><p class=sub>{escape(sub)}</p>",
            section("Returns after features: the largest t", _correlations(found)),
            _picture(found),
            section("Findings", _findings(told) if len(told) else "<p>None.</p>"),
            _folded("Without a value", _findings(diagnosis[nothing])) if nothing.any() else "",
            _folded("All that was measured", _doctor(diagnosis[~nothing])),
        ],
    )


def _folded(heading: str, content: str) -> str:
    return section(heading, f"<details><summary>The table</summary>{content}</details>")


def cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return the cells of a row of correlations, for a screen or a page."""

    def number(name: str, form: str) -> str:
        return format(row[name], form) if np.isfinite(row[name]) else ""

    return (
        str(row["feature"]),
        str(row["horizon"]),
        f"{row['n']:,}",
        number("ic", "+.3f"),
        number("rank_ic", "+.3f"),
        number("rank_ic_t", "+.1f"),
        number("rank_ic_p_adj", ".2g"),
        number("sign_stability", ".0%"),
    )


HEADS = ("feature", "bars", "pairs", "IC", "rank IC", "t", "p adj.", "months")


def _correlations(found: FeatureCorrelations) -> str:
    rows = (map(escape, cells(row)) for row in found.summary(TOP).to_dict("records"))
    note = (
        "<p class=note>t: of the rank IC, corrected for returns that overlap; p: adjusted for all "
        "tests made; months: share of the months with the sign of the whole.</p>"
    )
    kinds = ("k", *"n" * (len(HEADS) - 1))
    return table(zip(HEADS, kinds, strict=True), rows) + note


def _picture(found: FeatureCorrelations) -> str:
    try:
        data = b64encode(heat_maps(found, PICTURED)).decode()
    except ConfigError as error:
        return section("Rank IC", f"<p class=note>{escape(str(error))}</p>")
    image = f'<img alt="rank IC by horizon and month" src="data:image/png;base64,{data}">'
    return section("Rank IC", f"<div class=picture>{image}</div>")


def _findings(told: pd.DataFrame) -> str:
    rows = ((escape(str(name)), escape(text)) for name, text in told["finding"].items())
    return table((("feature", "k"), ("finding", "t")), rows)


def _doctor(diagnosis: pd.DataFrame) -> str:
    numbers = diagnosis.drop(columns="finding")
    rows = ((escape(str(name)), *map(_cell, row)) for name, *row in numbers.itertuples())
    return table([("feature", "k"), *((str(name), "n") for name in numbers)], rows)


def _cell(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if pd.isna(value):
        return ""
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:.4g}"
