"""When rows came: one line of blocks a day in the terminal, one strip a day in a picture.

A day that holds less than two hours of rows is shown from its first to its last: a strip of 24
hours would be empty.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mrtrade.data.quality.report import Report, SeriesReport
from mrtrade.errors import ConfigError

_SECONDS = 86_400
_ZOOM_SECONDS = 2 * 3_600
_RED_SECONDS = 60
_BLOCKS = " ▁▂▃▄▅▆▇█"

#: Streams whose rows should come all the time; the others say nothing by when they come.
SHOWN = ("book_delta_v2", "book", "level_1", "trades")


class Strip(NamedTuple):
    """Rows of a day by time.

    Parameters
    ----------
    day : str
    first, end : int
        Seconds of the day that it spans.
    rows : ndarray of int64
        In equal parts of that.
    """

    day: str
    first: int
    end: int
    rows: npt.NDArray[np.int64]

    @property
    def label(self) -> str:
        """The day and the span."""
        return f"{self.day} {_clock(self.first)}-{_clock(self.end)}"


def strips(series: SeriesReport, cells: int) -> Iterator[Strip]:
    """Yield a strip a day."""
    for day, seconds in sorted(series.seconds.items()):
        at = np.flatnonzero(seconds)
        first, end = 0, _SECONDS
        if at[-1] + 1 - at[0] < _ZOOM_SECONDS:
            first, end = int(at[0]), int(at[-1]) + 1
        parts = min(cells, end - first)
        edges = np.linspace(first, end, parts + 1).astype(np.int64)[:-1]
        rows = np.add.reduceat(seconds[:end], edges)
        yield Strip(day, first, end, rows)


def blocks(strip: Strip, width: int) -> str:
    """Return a strip as text: the higher a block, the more rows; a dot where none came between."""
    rows = np.repeat(strip.rows, -(-width // len(strip.rows)))
    if len(rows) != width:
        rows = rows[np.linspace(0, len(rows) - 1, width).astype(np.int64)]
    held = np.flatnonzero(rows)
    height = np.ceil(np.sqrt(rows / rows.max()) * (len(_BLOCKS) - 1)).astype(np.int64)
    text = [_BLOCKS[one] for one in height]
    for at in range(held[0], held[-1]):
        if not rows[at]:
            text[at] = "·"
    return "".join(text)


def picture(report: Report, *, most: int = 120) -> bytes:
    """Return the timelines as a PNG: a strip a day; red where none came for a minute.

    Raises
    ------
    ConfigError
        If matplotlib is not installed, or no series has a timeline.
    """
    try:
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError(
            "a picture needs matplotlib", remedy='pip install "mrtrade[report]"'
        ) from error

    rows = [
        (f"{one.table}  {one.exchange} {one.symbol}  {strip.label}", strip)
        for one in report.series
        if one.table in SHOWN
        for strip in strips(one, 240)
    ][:most]
    if not rows:
        raise ConfigError("nothing to draw", expected=f"rows of one of {', '.join(SHOWN)}")
    figure = Figure(figsize=(10.5, 0.5 + 0.17 * len(rows)), dpi=110)
    axes = figure.add_axes((0.42, 0.02, 0.565, 0.96))
    shades = np.linspace(0.85, 0.1, 254)
    blues = np.stack([shades * 0.75, shades * 0.9, 0.35 + shades * 0.6], axis=1)
    colours = ListedColormap(np.vstack([[[1, 1, 1], [0.85, 0.2, 0.2]], blues]))
    picture = np.zeros((len(rows), 240), np.uint8)
    for line, (_, strip) in enumerate(rows):
        wide = strip.rows[np.linspace(0, len(strip.rows), 240, endpoint=False).astype(np.int64)]
        shade = 2 + np.rint(np.sqrt(wide / wide.max()) * 253).astype(np.int64)
        picture[line] = np.where(wide > 0, shade, 0)
        held = np.flatnonzero(wide)
        cell = (strip.end - strip.first) / 240
        for before, after in pairwise(held.tolist()):
            if (after - before - 1) * cell >= _RED_SECONDS:
                picture[line, before + 1 : after] = 1
    axes.imshow(picture, aspect="auto", interpolation="nearest", cmap=colours, vmin=0, vmax=255)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=6.5)
    axes.set_xticks([])
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", axis="y", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
