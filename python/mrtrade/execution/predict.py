"""What a queue model says of the same orders: they rest in `mrcore.replay` on the level feed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrcore.exchange import QUEUE_MODELS
from mrcore.replay import Replay
from mrtrade.errors import ConfigError
from mrtrade.execution.orders import Columns, Ints
from mrtrade.execution.truth import NEVER, Probes

Floats = npt.NDArray[np.float64]

POWERS = ("power", "power2", "power3")
"""Models with an exponent."""
GRADED = ("optimistic", "risk_averse", "strict", "log", "log2", *POWERS, "table")
"""Models that read a level feed alone, so that there is something to grade."""
FITTED = "fit"


@dataclass(frozen=True)
class Model:
    """A queue model and its parameter.

    Attributes
    ----------
    name : str
        One of `GRADED`.
    power : float, optional
        Exponent of the `POWERS`; None: to be fitted.
    table : ndarray, optional
        p(x) of "table" at equally spaced x in [0, 1]; None: to be fitted.
    label : str
        How it is shown.
    """

    name: str
    power: float | None = None
    table: Floats | None = None
    label: str = ""

    @property
    def unfitted(self) -> bool:
        """Whether its parameter is still to be fitted."""
        return (self.name in POWERS and self.power is None) or (
            self.name == "table" and self.table is None
        )


def parse_model(text: str) -> Model:
    """Read a model as the command line spells it.

    Parameters
    ----------
    text : str
        A name of `GRADED`; the powers with an exponent, as ``power(3)``; ``table(FILE)`` with a
        file that ``mrtrade fills fit`` wrote; ``power(fit)`` and ``table(fit)`` are fitted first.

    Returns
    -------
    Model

    Raises
    ------
    ConfigError
        There is no such model, or its parameter cannot be.
    """
    found = re.fullmatch(r"\s*(\w+)\s*(?:\(\s*(.*?)\s*\))?\s*", text)
    name, given = found.groups() if found else (text, None)
    if name not in GRADED or name not in QUEUE_MODELS:
        known = ", ".join(one for one in GRADED if one in QUEUE_MODELS)
        raise ConfigError(f"no queue model {text!r}", key="models", expected=f"one of {known}")
    if name == "table":
        if given is None or given == FITTED:
            return Model(name, label="table(fit)")
        return Model(name, table=read_table(given), label=f"table({Path(given).name})")
    if name in POWERS:
        if given == FITTED:
            return Model(name, label=f"{name}(fit)")
        return Model(name, _exponent(text, given or "3"), label=f"{name}({given or '3'})")
    if given is not None:
        raise ConfigError(f"{name} has no parameter", key="models", value=text)
    return Model(name, label=name)


def _exponent(text: str, given: str) -> float:
    try:
        power = float(given)
    except ValueError:
        power = np.nan
    if not 0.0 < power < np.inf:
        raise ConfigError("no exponent", key="models", value=text, expected="a number > 0, or fit")
    return power


def read_table(file: str | Path) -> Floats:
    """Read p(x) from a file that ``mrtrade fills fit`` wrote: YAML with a list `table`.

    Returns
    -------
    ndarray of float64
        At equally spaced x in [0, 1].
    """
    import yaml

    try:
        read = yaml.safe_load(Path(file).read_text())
        table = np.asarray(read["table"], np.float64)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"no table of a queue model: {error}", file=file) from error
    if table.ndim != 1 or len(table) < 2 or not ((table >= 0.0) & (table <= 1.0)).all():
        raise ConfigError(
            "no table of a queue model",
            file=file,
            key="table",
            expected="at least two numbers within [0, 1]",
        )
    return table


def predicted_waits(
    tape: tuple[Columns, Columns], probes: Probes, model: Model, horizon_ns: int, lot_size: float
) -> Ints:
    """Time from a probe's arrival to its fill, as a model has it.

    All probes are post-only orders without latency in one replay, each withdrawn at its horizon:
    own orders are in nobody's queue, so they do not know of each other.

    Parameters
    ----------
    tape : tuple
        Deltas and trades, `OrderLog.tape`.
    probes : Probes
    model : Model
        With its parameter.
    horizon_ns : int
        A probe is watched for so long, this very time included.
    lot_size : float
        Base units: the logarithmic models depend on it.

    Returns
    -------
    ndarray of int64
        Nanoseconds, `NEVER` where it was not filled within the horizon.
    """
    options: dict[str, Any] = {"queue_model": model.name}
    if model.power is not None:
        options["queue_power"] = model.power
    if model.table is not None:
        options["queue_table"] = model.table
    if model.name == "strict":
        tape, lot_size = _finer(tape, lot_size, len(probes))
    replay = Replay(1.0, lot_size, **options)
    replay.feed(*tape)
    n = len(probes)
    times = np.concatenate([probes.time, probes.time + horizon_ns])
    order = np.argsort(times, kind="stable")
    ids = [0] * n
    side, tick = probes.side.tolist(), probes.tick.tolist()
    for i, now in zip(order.tolist(), times[order].tolist(), strict=True):
        replay.advance(now)
        if i < n:
            ids[i] = replay.submit(side[i], tick[i], 1, "post_only")
        else:
            replay.cancel(ids[i - n])
    replay.finish()
    fills = replay.fills()
    waits = np.full(n, NEVER, np.int64)
    at = np.searchsorted(ids, fills["order_id"])
    waits[at] = fills["time"] - probes.time[at]
    return waits


def _finer(
    tape: tuple[Columns, Columns], lot_size: float, times: int
) -> tuple[tuple[Columns, Columns], float]:
    """Return the same sizes in finer lots.

    `strict` shares what a trade brought among all own orders. A probe stands for an order that is
    alone, so one finer lot of it must never miss what another took. Its positions in the queue are
    whole lots of the recording, so the finer lot changes nothing else.
    """
    deltas, trades = tape
    finer = (*deltas[:3], deltas[3] * times), (*trades[:3], trades[3] * times)
    return finer, lot_size / times
