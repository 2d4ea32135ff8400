"""One run: tape, bars, features, targets, replay with orders, result."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.backtest import manifest as manifests
from mrtrade.backtest.ledger import check_books, round_trips
from mrtrade.backtest.metrics import summarise
from mrtrade.backtest.result import Result
from mrtrade.backtest.waterfall import waterfall
from mrtrade.clock import NS_PER_SECOND, from_ns, to_ns
from mrtrade.config import BacktestConfig, load_config
from mrtrade.errors import ConfigError, RunError
from mrtrade.instruments import Instrument

if TYPE_CHECKING:
    from mrcore.replay import Replay
    from mrtrade.data.loader import Tape
    from mrtrade.strategies.base import Strategy, Target

SLICES = 100
"""Progress is told about this often; the slicing changes no result."""

_BOUNDLESS = 2.0**62  # ns are 146 years: a limit that never binds, and no clock can show

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Progress(NamedTuple):
    """How far a run is.

    Attributes
    ----------
    fraction
        Of the span replayed, 0..1.
    events, events_per_s
        Book changes and trades replayed, and their rate on the wall clock.
    equity, position
        Quote currency at the local mid; base units.
    elapsed_s
        Wall seconds since the replay began.
    """

    fraction: float
    events: int
    events_per_s: float
    equity: float
    position: float
    elapsed_s: float


@dataclass(frozen=True)
class Decisions:
    """Target positions as the executor takes them; a row for each change of target.

    Attributes
    ----------
    time
        Local clock, ns.
    lots
        Signed position to hold.
    stop_ticks
        Loss, in ticks from the entry, that closes the position; 0: none.
    hold_ns
        Longest time to hold it; 0: no limit.
    """

    time: Ints
    lots: Ints
    stop_ticks: Ints
    hold_ns: Ints


def run(
    config: BacktestConfig | str | PathLike[str] | Mapping[str, Any],
    progress: Callable[[Progress], None] | None = None,
    *,
    streaming: bool = False,
    strategy_file: str | None = None,
) -> Result:
    """Run one backtest.

    Parameters
    ----------
    config
        A configuration, or what `load_config` takes.
    progress
        Called about a hundred times while the tape is replayed.
    streaming
        Ask the strategy decision by decision, as live does, instead of once for all bars; a
        strategy that has only `on_decision` is always asked so. Both give the same result.
    strategy_file
        Where the strategy's file lies, if the configuration names a file; by default where it says,
        seen from the working directory.

    Notes
    -----
    Decisions are made at the end of each bar, on what had been received by then. A target is sent
    to the executor when it changes, and not repeated: a position that its stop or its holding time
    has closed stays closed until the strategy's target changes again. The run ends with the last
    whole bar; a position still open is marked at the mid, and no cost of closing it is charged.
    """
    from mrtrade.data.loader import find_instrument, load_tape
    from mrtrade.data.parquet import ParquetStore
    from mrtrade.features import compute
    from mrtrade.features.bars import build_bars
    from mrtrade.strategies import make_strategy

    wall, cpu = time.perf_counter(), time.process_time()
    if not isinstance(config, BacktestConfig):
        config = load_config(config)
    store = ParquetStore(config.store)
    terms = find_instrument(store, config.exchange, config.symbol, **config.instrument_overrides())
    if terms.inverse:
        raise ConfigError(
            "inverse contracts are not simulated",
            key="symbol",
            value=config.symbol,
            expected="a spot pair or a linear perpetual",
            remedy="choose one that is margined in the quote currency",
        )
    strategy = make_strategy(_lying_at(config.strategy.name, strategy_file), config.strategy.params)
    tape = load_tape(store, terms, config.start, config.end)
    bars = build_bars(tape, config.bar_ns, config.latency.feed_ns)
    features = compute(bars, strategy.features)
    max_lots = _max_lots(config, terms, bars["mid"].to_numpy(np.float64))

    replay, clock = _replay(config, terms, tape, to_ns(bars.index)), time.perf_counter()
    if streaming or _streaming_only(strategy):
        steps = _step(replay, strategy, features, bars, config, terms, max_lots)
    else:
        targets = strategy.targets(features)
        _schedule(replay, decisions(targets, bars["mid"], max_lots, terms.tick_size), config)
        steps = _advance(replay, to_ns(bars.index), SLICES if progress else 1)
    events = 0
    for fraction, more in steps:
        events += more
        if progress is not None:
            elapsed = time.perf_counter() - clock
            progress(_progress(replay, fraction, events, elapsed, config, terms))

    result = _result(config, terms, strategy, tape, replay, to_ns(bars.index))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    result.timing.update(
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        wall_s=wall,
        cpu_s=cpu,
        events=events,
        events_per_s=events / wall,
    )
    return result


def _lying_at(name: str, file: str | None) -> str:
    """Name of a strategy, with its file replaced if it is one."""
    place, colon, kind = name.partition(":")
    return f"{file}{colon}{kind}" if file and place.endswith(".py") else name


def decisions(
    targets: pd.DataFrame, mid: pd.Series[Any], max_lots: int, tick_size: float
) -> Decisions:
    """Turn a frame of targets into the executor's rows, one where the target changes.

    Parameters
    ----------
    targets
        ``target`` in -1..1 (NaN: as before), ``stop_bps``, ``hold_s`` (NaN: none), at decision
        times. Before there is any mid a position with a stop is held back until there is one.
    mid
        Mid at the same times, price units: what a stop in bps is a distance from. While there is
        none, the last one counts.
    max_lots
        Lots of a target of 1.
    tick_size
        Price units.
    """
    from mrtrade.strategies.base import Target

    share = targets["target"].to_numpy(np.float64)
    stop_bps = targets["stop_bps"].to_numpy(np.float64)
    hold_s = targets["hold_s"].to_numpy(np.float64)
    wrong = np.flatnonzero((np.abs(share) > 1.0) | (stop_bps < 0.0) | (hold_s < 0.0))
    if len(wrong):
        at = wrong[0]
        raise _bad_target(targets.index[at], Target(share[at], stop_bps[at], hold_s[at]))
    latest = np.maximum.accumulate(np.where(np.isnan(share), -1, np.arange(len(share))))
    asked = np.maximum(latest, 0)
    price = mid.ffill().to_numpy(np.float64)
    held_back = (latest < 0) | _held_back(stop_bps[asked], price)
    lots = np.where(held_back, 0.0, np.rint(share[asked] * max_lots)).astype(np.int64)
    row = np.flatnonzero(np.diff(lots, prepend=0) != 0)
    return Decisions(
        time=to_ns(targets.index)[row],
        lots=lots[row],
        stop_ticks=_stop_ticks(stop_bps[asked[row]], price[row], tick_size),
        hold_ns=_hold_ns(hold_s[asked[row]]),
    )


def _bad_target(when: pd.Timestamp, asked: Target) -> RunError:
    name, value, expected = "target", asked.target, "a share of the largest position, -1..1"
    if asked.stop_bps < 0.0:
        name, value, expected = "stop_bps", asked.stop_bps, "bps >= 0, or NaN for none"
    elif asked.hold_s < 0.0:
        name, value, expected = "hold_s", asked.hold_s, "seconds >= 0, or NaN for none"
    return RunError(
        f"{name} at {when} out of range",
        value=float(value),
        expected=expected,
        remedy="mend the strategy",
    )


def _held_back(stop_bps: Floats, mid: Floats) -> npt.NDArray[np.bool_]:
    """Whether a stop is asked for that cannot be placed: there was no mid yet."""
    return np.isfinite(stop_bps) & np.isnan(mid)


def _stop_ticks(stop_bps: Floats, mid: Floats, tick_size: float) -> Ints:
    """Whole ticks of a stop, at least one: rounding must not turn a tight stop into none."""
    ticks = np.maximum(np.rint(1e-4 * stop_bps * mid / tick_size), 1.0)
    return np.where(ticks < _BOUNDLESS, ticks, 0.0).astype(np.int64)


def _hold_ns(hold_s: Floats) -> Ints:
    limit = np.maximum(np.rint(hold_s * NS_PER_SECOND), 1.0)
    return np.where(limit < _BOUNDLESS, limit, 0.0).astype(np.int64)


def _max_lots(config: BacktestConfig, terms: Instrument, mid: Floats) -> int:
    """Lots of the largest position: as configured, or what the capital buys at the first mid."""
    size = config.max_position
    if size is None:
        known = mid[np.isfinite(mid)]
        if len(known) == 0:
            raise RunError(
                f"{terms.exchange} {terms.symbol} has no mid price in any bar",
                remedy="choose another span, or ingest the book's snapshot",
            )
        size = config.capital / (float(known[0]) * terms.multiplier)
    # A hair more than the quotient: 0.3 / 0.1 is below 3 in floats.
    lots = math.floor(size / terms.lot_size * (1.0 + 1e-12))
    if lots < 1:
        raise ConfigError(
            "the largest position is less than one lot",
            key="max_position" if config.max_position else "capital",
            value=size,
            expected=f"at least the lot size, {terms.lot_size:g} base units",
            remedy="raise it",
        )
    return lots


def _streaming_only(strategy: Strategy) -> bool:
    from mrtrade.strategies.base import Strategy

    kind = type(strategy)
    return kind.targets is Strategy.targets and kind.rules is Strategy.rules


def _replay(config: BacktestConfig, terms: Instrument, tape: Tape, times: Ints) -> Replay:
    from mrcore.replay import Replay

    replay = Replay(
        terms.tick_size,
        terms.lot_size,
        sample_times=times,
        queue_model=config.queue.model,
        queue_power=config.queue.power,
        partial_fills=config.partial_fills,
        entry_latency_ns=config.latency.entry_ns,
        response_latency_ns=config.latency.response_ns,
        feed_latency_ns=config.latency.feed_ns,
        maker_fee=terms.maker_fee,
        taker_fee=terms.taker_fee,
        multiplier=terms.multiplier,
    )
    replay.feed(tape.deltas, tape.trades)
    return replay


def _schedule(replay: Replay, plan: Decisions, config: BacktestConfig) -> None:
    n = len(plan.time)
    replay.schedule(
        plan.time,
        plan.lots,
        np.full(n, config.execution.mode == "aggressive"),
        plan.stop_ticks,
        plan.hold_ns,
        np.full(n, config.execution.timeout_ns, dtype=np.int64),
        np.full(n, config.execution.on_timeout == "give_up"),
    )


def _advance(replay: Replay, times: Ints, slices: int) -> Iterator[tuple[float, int]]:
    """Replay to the last of the times; yields (fraction done, events of the slice)."""
    slices = min(slices, len(times))
    for i in range(1, slices + 1):
        yield i / slices, replay.advance(int(times[len(times) * i // slices - 1]))


def _step(
    replay: Replay,
    strategy: Strategy,
    features: pd.DataFrame,
    bars: pd.DataFrame,
    config: BacktestConfig,
    terms: Instrument,
    max_lots: int,
) -> Iterator[tuple[float, int]]:
    """Replay bar by bar and ask the strategy at the end of each one."""
    from mrtrade.strategies.base import Context, Target

    times = to_ns(features.index)
    names = list(features.columns)
    rows = features.to_numpy(np.float64)
    bid, ask = (bars[name].to_numpy(np.float64) for name in ("bid", "ask"))
    last_mid = bars["mid"].ffill().to_numpy(np.float64)
    known = _KnownCash(replay, config.latency.response_ns)
    asked = Target(0.0)
    lots = events = 0
    every = max(1, len(times) // SLICES)
    for i, now in enumerate(times):
        events += replay.advance(int(now))
        mid = 0.5 * (bid[i] + ask[i])
        held = replay.position_lots * terms.lot_size
        target = strategy.on_decision(
            Context(
                time_ns=int(now),
                features=dict(zip(names, rows[i].tolist(), strict=True)),
                bid=float(bid[i]),
                ask=float(ask[i]),
                position=held,
                equity=_value(config.capital + known.cash(int(now)), held, mid, terms),
            )
        )
        if target is not None:
            if abs(target.target) > 1.0 or target.stop_bps < 0.0 or target.hold_s < 0.0:
                raise _bad_target(features.index[i], target)
            asked = asked if math.isnan(target.target) else target
        stop_bps, price = np.array([asked.stop_bps]), last_mid[i : i + 1]
        # Rounded half to even, as np.rint does.
        wanted = 0 if _held_back(stop_bps, price)[0] else round(asked.target * max_lots)
        if wanted != lots:
            lots = wanted
            replay.set_target(
                lots,
                aggressive=config.execution.mode == "aggressive",
                stop_ticks=int(_stop_ticks(stop_bps, price, terms.tick_size)[0]),
                hold_ns=int(_hold_ns(np.array([asked.hold_s]))[0]),
                timeout_ns=config.execution.timeout_ns,
                give_up=config.execution.on_timeout == "give_up",
            )
        if (i + 1) % every == 0:
            yield (i + 1) / len(times), events
            events = 0
    yield 1.0, events


class _KnownCash:
    """Cash of the fills whose responses have arrived: the replay's own is the exchange's."""

    def __init__(self, replay: Replay, response_ns: int) -> None:
        self.replay, self.response_ns = replay, response_ns
        self.exchange = self.known = 0.0
        self.on_the_way = False

    def cash(self, now: int) -> float:
        if self.replay.cash != self.exchange or self.on_the_way:
            fills = self.replay.fills()
            arrived = int(np.searchsorted(fills["time"] + self.response_ns, now, side="right"))
            self.known = float(fills["cash"][arrived - 1]) if arrived else 0.0
            self.on_the_way = arrived < len(fills)
            self.exchange = self.replay.cash
        return self.known


def _value(cash: float, position: float, mid: float, terms: Instrument) -> float:
    """Account value, quote; without a mid only a flat account has one."""
    return cash + position * mid * terms.multiplier if position else cash


def _progress(
    replay: Replay,
    fraction: float,
    events: int,
    elapsed: float,
    config: BacktestConfig,
    terms: Instrument,
) -> Progress:
    position = replay.exchange_position_lots * terms.lot_size
    return Progress(
        fraction=fraction,
        events=events,
        events_per_s=events / elapsed if elapsed > 0.0 else 0.0,
        equity=_value(config.capital + replay.cash, position, replay.mid, terms),
        position=position,
        elapsed_s=elapsed,
    )


def _result(
    config: BacktestConfig,
    terms: Instrument,
    strategy: Strategy,
    tape: Tape,
    replay: Replay,
    times: Ints,
) -> Result:
    """Gather the replay's logs, check that the books balance, and measure."""
    equity = _equity_frame(replay.samples(), times, config, terms)
    fills = _fills_frame(replay.fills(), config, terms)
    orders = _orders_frame(replay.order_events(), terms)
    check_books(fills, equity, config.capital, terms.multiplier)
    mid = equity["mid"].to_numpy(np.float64)[-1]
    # Without any mid nothing was traded, so there is nothing to mark.
    last_mid = float(mid) if math.isfinite(mid) else 0.0
    trades = round_trips(fills, last_mid, terms.multiplier)
    stats, notes = summarise(equity, fills, orders, trades, config.capital, terms.multiplier)
    return Result(
        fills=fills,
        orders=orders,
        equity=equity,
        trades=trades,
        stats=stats,
        notes=notes,
        costs=waterfall(fills, last_mid, terms.multiplier),
        manifest=_manifest(config, terms, strategy, tape, replay),
        timing={},
    )


def _equity_frame(
    samples: Floats, times: Ints, config: BacktestConfig, terms: Instrument
) -> pd.DataFrame:
    from mrcore.replay import SAMPLE_COLUMNS

    column = {name: samples[:, i] for i, name in enumerate(SAMPLE_COLUMNS)}
    mid = pd.Series(0.5 * (column["bid"] + column["ask"])).ffill().to_numpy()
    position = _on_grid(column["position"], terms.lot_size)
    cash = config.capital + column["cash"]
    value = np.where(position == 0.0, 0.0, position * mid * terms.multiplier)
    return pd.DataFrame(
        {
            "mid": mid,
            "position": position,
            "cash": cash,
            "fees": column["fees"],
            "equity": cash + value,
        },
        index=from_ns(times).rename("time"),
    )


def _on_grid(values: npt.NDArray[Any], step: float) -> Floats:
    """Round to the decimals that the step is written with: 3 * 0.1 becomes 0.3."""
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    return np.round(values, max(0, -int(exponent)))


def _fills_frame(log: npt.NDArray[Any], config: BacktestConfig, terms: Instrument) -> pd.DataFrame:
    tick, lot = terms.tick_size, terms.lot_size
    return pd.DataFrame(
        {
            "time": from_ns(log["time"]),
            "order_id": log["order_id"],
            "side": log["side"],
            "price": _on_grid(log["tick"] * tick, tick),
            "quantity": _on_grid(log["lots"] * lot, lot),
            "is_maker": log["maker"],
            "fee": log["fee"],
            "mid": log["mid"],
            "decision_mid": log["decision_mid"],
            "position": _on_grid(log["position_lots"] * lot, lot),
            "cash": config.capital + log["cash"],
        }
    )


def _orders_frame(log: npt.NDArray[Any], terms: Instrument) -> pd.DataFrame:
    from mrcore.exchange import EVENTS, TIFS

    tick, lot = terms.tick_size, terms.lot_size
    market = log["tif"] == TIFS.index("market")
    return pd.DataFrame(
        {
            "time": from_ns(log["time"]),
            "order_id": log["order_id"],
            "event": np.array(EVENTS, dtype=object)[log["event"]],
            "side": log["side"],
            "tif": np.array(TIFS, dtype=object)[log["tif"]],
            # A market order has no price of its own.
            "price": np.where(market, np.nan, _on_grid(log["tick"] * tick, tick)),
            "quantity": _on_grid(log["lots"] * lot, lot),
            "remaining": _on_grid(log["remaining"] * lot, lot),
        }
    )


def _manifest(
    config: BacktestConfig, terms: Instrument, strategy: Strategy, tape: Tape, replay: Replay
) -> dict[str, Any]:
    resolved = config.model_dump(mode="json")
    # So that a rerun finds the store from any folder; params with every default filled in.
    resolved["store"] = str(Path(config.store).absolute())
    resolved["strategy"]["params"] = strategy.params.model_dump(mode="json")
    data = {
        "fingerprint": tape.fingerprint,
        "start": f"{from_ns(tape.start_ns):%Y-%m-%d %H:%M:%S} UTC",
        "end": f"{from_ns(tape.end_ns):%Y-%m-%d %H:%M:%S} UTC",
        "deltas": len(tape.deltas[0]),
        "trades": len(tape.trades[0]),
        "seeded": tape.seeded,
        "loader": dict(tape.stats),
        "replay": dict(replay.counters),
    }
    return manifests.build(resolved, terms.model_dump(mode="json"), data, _own_file(type(strategy)))


def _own_file(kind: type) -> Path | None:
    """Source file of a user's strategy; None for one that came with the package."""
    if kind.__module__.partition(".")[0] == "mrtrade":
        return None
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:  # a class made at a prompt
        return None
    return Path(file) if file and Path(file).is_file() else None
