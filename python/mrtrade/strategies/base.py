"""What a strategy is: rules that say when to enter and when to leave, row by row.

A strategy states its rules for single rows, without a memory; `Strategy` adds the memory (a
position is held from an entry until its exit) in two forms, for a whole frame without a loop and
for one decision at a time, which give the same targets. So one class runs in backtest and live.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from mrtrade.errors import ConfigError

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Row = Mapping[str, Array]
Mode = Literal["passive", "aggressive"]

FORECAST = "forecast_bps"
"""Name of a model's forecast among a strategy's features. It is not in the register: whoever runs
the strategy puts the column there (log return over the model's horizon, bps)."""


class StrategyParams(BaseModel):
    """Base of a strategy's parameters: validated, frozen, unknown names refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Rules:
    """What to do at each row, whatever was done before.

    Where entry and exit come together the entry counts, and long comes before short. Comparisons
    with NaN are false, so a feature without a value neither enters nor leaves.

    Attributes
    ----------
    enter_long, enter_short : ndarray of bool, or bool
        Take the position, unless it is held already. False: never.
    exit_long, exit_short : ndarray of bool, or bool
        Leave it, if it is held.
    size : ndarray or float
        Share of the largest position for entries at this row, clipped to 0..1; 0 or NaN: no entry.
    stop_bps : ndarray or float
        Loss at which the position is closed, bps of the entry price; NaN: none.
    hold_s : ndarray or float
        Seconds after which the position is closed; NaN: no limit.
    """

    enter_long: Mask | bool
    enter_short: Mask | bool
    exit_long: Mask | bool
    exit_short: Mask | bool
    size: Array | float = 1.0
    stop_bps: Array | float = np.nan
    hold_s: Array | float = np.nan


FLAGS = ("enter_long", "enter_short", "exit_long", "exit_short")
TERMS = ("size", "stop_bps", "hold_s")


@dataclass(frozen=True, slots=True)
class Target:
    """A position to hold from now on.

    Attributes
    ----------
    target : float
        Share of the largest position, -1 (short) to 1 (long).
    stop_bps, hold_s : float
        As in `Rules`; NaN when flat.
    """

    target: float
    stop_bps: float = np.nan
    hold_s: float = np.nan


@dataclass(frozen=True, slots=True)
class Context:
    """What a strategy sees at a decision.

    Attributes
    ----------
    time_ns : int
        Local clock.
    features : Mapping of str to float
        The strategy's features at this time.
    bid, ask : float
        Top of the book.
    position : float
        Base units.
    equity : float
        Quote currency.
    """

    time_ns: int
    features: Mapping[str, float]
    bid: float = np.nan
    ask: float = np.nan
    position: float = 0.0
    equity: float = np.nan


class Strategy:
    """Base class: give `features`, `Params` and `rules`.

    Parameters
    ----------
    params : Params or Mapping, optional
        Defaults where nothing is given. A mapping may name one of `presets` under ``preset``: its
        values then stand for the defaults.

    Attributes
    ----------
    features : tuple of str
        Features that `rules` reads, see :mod:`mrtrade.features`. A class attribute, or set where
        they hang on the parameters. ``forecast_bps`` among them is a model's forecast, which
        whoever runs the strategy supplies.
    legs : tuple of str
        What a target is held in. Of two legs a target t holds t of the first and -t of the second,
        in the same base units.
    entry_mode, exit_mode : {"passive", "aggressive"} or None
        How targets other than flat, and flat ones, become orders; None: as the configuration says.
        Stops and holding limits cross the spread always.
    presets : Mapping
        Sets of parameters by name, as for bars of another length.

    Notes
    -----
    With ``execution.on_timeout: give_up`` a passive order that timed out is not sent again. This
    applies to exits too: a position whose exit timed out stays until its stop, its holding time or
    the next target.

    Examples
    --------
    >>> from mrtrade.strategies import Rules, Strategy, StrategyParams
    >>> class FadeImbalance(Strategy):
    ...     features = ("imbalance_5",)
    ...
    ...     class Params(StrategyParams):
    ...         entry: float = 0.6
    ...
    ...     def rules(self, row):
    ...         x = row["imbalance_5"]
    ...         return Rules(x < -self.params.entry, x > self.params.entry, x >= 0, x <= 0)
    """

    class Params(StrategyParams):
        """No parameters."""

    features: tuple[str, ...] = ()
    legs: tuple[str, ...] = ("instrument",)
    entry_mode: Mode | None = None
    exit_mode: Mode | None = None
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, params: BaseModel | Mapping[str, Any] | None = None) -> None:
        given = params.model_dump() if isinstance(params, BaseModel) else dict(params or {})
        if self.presets and "preset" in given:
            given = _preset(type(self), given.pop("preset")) | given
        try:
            self.params: Any = self.Params.model_validate(given)
        except ValidationError as error:
            raise ConfigError(_explain(type(self), error)) from None
        self._held = Target(0.0)

    def rules(self, row: Row) -> Rules:
        """State the rules for rows of features.

        Parameters
        ----------
        row : Mapping of str to ndarray
            The features: a whole frame's columns, or arrays of one value. The result may depend on
            each row's own values only.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rules")

    def targets(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the target at each row of a frame that starts flat.

        Parameters
        ----------
        features : DataFrame
            Columns `features` at decision times.

        Returns
        -------
        DataFrame
            ``target`` in -1..1, ``stop_bps`` and ``hold_s`` as of the entry (NaN: none), on the
            same index.
        """
        row = {name: features[name].to_numpy(dtype=np.float64) for name in self.features}
        flags, terms = self._evaluate(row, len(features))
        side = _held_side(*flags)
        # The terms of a position are those of the row at which its run of one side began.
        begins = np.diff(side, prepend=np.int8(0)) != 0
        terms = terms[:, np.maximum(_latest(begins), 0)]
        terms[:, side == 0] = np.array([[0.0], [np.nan], [np.nan]])
        return pd.DataFrame(
            {"target": side * terms[0], "stop_bps": terms[1], "hold_s": terms[2]},
            index=features.index,
        )

    def on_decision(self, ctx: Context) -> Target | None:
        """Return the target from now on, or None where it stays what it was (flat at first)."""
        row = {name: np.array([ctx.features[name]], dtype=np.float64) for name in self.features}
        flags, terms = self._evaluate(row, 1)
        enter_long, enter_short, exit_long, exit_short = (flag[0] for flag in flags)
        held = np.sign(self._held.target)
        if enter_long:
            side = 1
        elif enter_short:
            side = -1
        elif (held > 0 and exit_long) or (held < 0 and exit_short):
            side = 0
        else:
            return None
        if side == held:
            return None
        size, stop_bps, hold_s = (float(term) for term in terms[:, 0])
        self._held = Target(side * size, stop_bps, hold_s) if side else Target(0.0)
        return self._held

    def crosses(self, configured: Mode) -> tuple[bool, bool]:
        """Whether targets other than flat, and flat ones, cross the spread at once.

        Parameters
        ----------
        configured : {"passive", "aggressive"}
            What holds where the strategy does not say, see `entry_mode`.

        Raises
        ------
        ConfigError
            If the strategy names a mode that there is not.
        """
        modes = self.entry_mode or configured, self.exit_mode or configured
        for name, mode in zip(("entry_mode", "exit_mode"), modes, strict=True):
            if mode not in get_args(Mode):
                raise ConfigError(
                    f"{type(self).__name__} orders in no known way",
                    key=name,
                    value=mode,
                    expected=" or ".join(get_args(Mode)),
                )
        return modes[0] == "aggressive", modes[1] == "aggressive"

    def _evaluate(self, row: Row, rows: int) -> tuple[list[Mask], Array]:
        """Return entries, of one side and with a size only, and exits; size, stop and limit."""
        with np.errstate(divide="ignore", invalid="ignore"):  # a ratio with nothing below is NaN
            rules = self.rules(row)
        flags = [self._column(rules, name, rows) for name in FLAGS]
        terms = np.empty((3, rows))
        for i, name in enumerate(TERMS):
            terms[i] = self._column(rules, name, rows)
        np.clip(terms[0], 0.0, 1.0, out=terms[0])
        sized = terms[0] > 0.0
        long = flags[0] & sized
        return [long, flags[1] & sized & ~long, *flags[2:]], terms

    def _column(self, rules: Rules, name: str, rows: int) -> npt.NDArray[Any]:
        """Return what the rules say by a name: a value for each row."""
        value = np.asarray(getattr(rules, name))
        kinds, expected = ("b", "bool") if name in FLAGS else ("fiu", "numbers")
        if value.dtype.kind not in kinds or value.shape not in ((), (rows,)):
            raise ConfigError(
                f"{type(self).__name__}.rules gives no such {name}",
                value=f"{value.dtype} of shape {value.shape}",
                expected=f"{expected}, one for each of {rows} rows or one for all",
                remedy="mend the strategy",
            )
        return value if value.ndim else np.full(rows, value)


def _latest(events: Mask) -> npt.NDArray[np.int64]:
    """Row of the latest event at or before each row; -1: none."""
    return np.maximum.accumulate(np.where(events, np.arange(len(events)), -1))


def _held_side(
    enter_long: Mask, enter_short: Mask, exit_long: Mask, exit_short: Mask
) -> npt.NDArray[np.int8]:
    """Side held after each row: that of the latest entry, unless an exit came after it."""
    long, short = _latest(enter_long), _latest(enter_short)
    is_long = (long > short) & (_latest(exit_long) <= long)
    is_short = (short > long) & (_latest(exit_short) <= short)
    return is_long.astype(np.int8) - is_short.astype(np.int8)


def _preset(strategy: type[Strategy], name: Any) -> dict[str, Any]:
    """Return the parameters of a preset."""
    if name not in strategy.presets:
        raise ConfigError(
            f"{strategy.__name__} has no preset {name!r}",
            key="preset",
            expected=f"one of {', '.join(strategy.presets)}",
            remedy="leave it out for the defaults",
        )
    return dict(strategy.presets[name])


def _explain(strategy: type[Strategy], error: ValidationError) -> str:
    """Return what is wrong with parameters, a line each."""
    known = strategy.Params.model_fields
    lines = []
    for fault in error.errors():
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}"
            lines.append(f"{strategy.__name__} has no parameter {name!r}; {hint}")
        else:
            at = f"parameter {name!r} of {strategy.__name__}" if name else strategy.__name__
            was = f", was {fault['input']!r}" if name else ""
            lines.append(f"{at}: {fault['msg']}{was}")
    return "\n".join(lines)
