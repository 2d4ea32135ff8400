"""What the commands share of the screen. Without a terminal: no colours, no moving bars."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from mrtrade.errors import ConfigError

if TYPE_CHECKING:
    from mrtrade.backtest import Progress as RunState

#: Columns of output that goes to a file or a pipe.
PLAIN_WIDTH = 100


def make_console() -> Console:
    """Return a console; rich itself honours NO_COLOR and COLUMNS."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    return console


def refuse_unwritable(place: Path, *, folder: bool = False) -> None:
    """Complain of where an answer is to go before the work for it, which may take long.

    Parameters
    ----------
    place : pathlib.Path
        A file to be written in a folder that is there; or a folder, made if it is not there.
    folder : bool

    Raises
    ------
    ConfigError
        If nothing can be written there.
    """
    above = place if folder else place.parent
    while folder and not above.exists() and above != above.parent:
        above = above.parent
    writable = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
    if not writable or (place.is_dir() and not folder):
        raise ConfigError(
            "nothing can be written there",
            file=place,
            remedy="name a place in a folder that is there and yours to write to",
        )


class RunProgress:
    """Shows how far a backtest is: a bar, or without a terminal a line at each 10 %.

    Parameters
    ----------
    console : Console
    label : str
    capital : float
        Equity at the start, settlement currency.
    """

    def __init__(self, console: Console, label: str, capital: float) -> None:
        self._console = console
        self._label = label
        self._capital = capital
        self._tenths = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=1.0, state="reading")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, state: RunState) -> None:
        """Take the state of the run."""
        from mrtrade.backtest.text import signed

        left = state.elapsed_s * (1.0 - state.fraction) / max(state.fraction, 1e-9)
        text = (
            f"{state.events_per_s / 1e6:.2f} M events/s  ETA {left:.0f} s  "
            f"PnL {signed(state.equity - self._capital)}  position {state.position:g}"
        )
        if self._console.is_terminal:
            self._bar.update(self._task, completed=state.fraction, state=text)
            return
        tenths = int(10.0 * state.fraction + 1e-9)
        if tenths > self._tenths:
            self._tenths = tenths
            self._console.print(f"{self._label} {10 * tenths:3d}%  {text}")


class CountProgress:
    """Shows how many tasks are done: a bar, or without a terminal a line at each 10 %.

    Parameters
    ----------
    console : Console
    label : str
    total : int
    """

    def __init__(self, console: Console, label: str, total: int) -> None:
        self._console, self._label, self._tenths = console, label, 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int | None = None) -> None:
        """Take the number of tasks so far, and of all where that is known only now."""
        if total is not None:
            self._bar.update(self._task, total=total)
        self._bar.update(self._task, completed=done)
        tenths = 10 * done // int(self._bar.tasks[0].total or 1)
        if not self._console.is_terminal and tenths > self._tenths:
            self._tenths = tenths
            told = f"{done} of {self._bar.tasks[0].total:.0f}"
            self._console.print(f"{self._label} {10 * tenths:3d}%  {told}")
