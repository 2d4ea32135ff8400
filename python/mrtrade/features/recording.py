"""A recording made up, whose messages arrive late, and the same with another future."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrcore.market import SyntheticMarket
from mrtrade.clock import NS_PER_SECOND, from_ns, to_ns
from mrtrade.data.streams import LocalEvents
from mrtrade.data.tape import Tape
from mrtrade.features.bars import build_bars
from mrtrade.features.joins import with_perpetual, with_second_asset
from mrtrade.features.market import tick_mids
from mrtrade.instruments import instrument

Ints = npt.NDArray[np.int64]

#: The first settlement, s after the start, and the time between two.
SETTLED_S, PERIOD_S = 20, 60


@dataclass(frozen=True)
class Recording:
    """What was received of a market, of a second one, and of a perpetual.

    Attributes
    ----------
    tape, other : Tape
        With local times.
    funding, open_interest, liquidations : DataFrame
        By receipt, as `mrtrade.features.joins.with_perpetual` takes them.
    """

    tape: Tape
    other: Tape
    funding: pd.DataFrame
    open_interest: pd.DataFrame
    liquidations: pd.DataFrame

    def bars(self, interval_ns: int) -> pd.DataFrame:
        """Return bars with everything that had been received at their ends."""
        frame = build_bars(self.tape, interval_ns)
        frame = with_second_asset(frame, tick_mids(self.other), own=tick_mids(self.tape))
        return with_perpetual(
            frame,
            funding=self.funding,
            open_interest=self.open_interest,
            liquidations=self.liquidations,
        )

    def after(self, time_ns: int, seed: int = 0) -> Recording:
        """Return it with other events, later and fewer, for all that is received after a time.

        When they happened stays as it is: some had happened before that time.
        """
        rng = np.random.default_rng(seed)
        return replace(
            self,
            tape=_other_tape(self.tape, time_ns, rng),
            other=_other_tape(self.other, time_ns, rng),
            **{
                name: _other_rows(getattr(self, name), time_ns, rng)
                for name in ("funding", "open_interest", "liquidations")
            },
        )


def make_recording(seconds: float, seed: int = 0) -> Recording:
    """Record two synthetic markets, whose messages take a tenth of a second and more to arrive."""
    rng = np.random.default_rng(seed)
    tape = _tape(seconds, seed)
    times = tape.start_ns + (np.arange(2 * int(seconds)) * NS_PER_SECOND) // 2
    rows = len(times)
    received = from_ns(times + rng.integers(10**7, 4 * 10**8, rows)).rename("time")
    since = (times - tape.start_ns) // NS_PER_SECOND - SETTLED_S
    due = tape.start_ns + ((since // PERIOD_S + 1) * PERIOD_S + SETTLED_S) * NS_PER_SECOND
    price = 6e4 * (1.0 + 1e-4 * rng.normal(size=rows))
    funding = pd.DataFrame(
        {
            "rate": 1e-4 + 1e-5 * rng.normal(size=rows),
            "mark_price": price,
            "index_price": price * (1.0 - 2e-4 + 1e-5 * rng.normal(size=rows)),
            "next_funding_time": from_ns(due),
        },
        index=received,
    )
    interest = pd.DataFrame(
        {"open_interest": 1e4 * np.exp(np.cumsum(1e-3 * rng.normal(size=rows)))}, index=received
    )
    forced = pd.DataFrame(
        {"side": rng.choice(["buy", "sell"], rows), "quantity": rng.exponential(2.0, rows)},
        index=received,
    )
    return Recording(tape, _tape(seconds, seed + 1), funding, interest, forced)


def _tape(seconds: float, seed: int) -> Tape:
    market = SyntheticMarket(
        seed,
        market_rate=10.0,
        cancel_rate=0.5,
        latency_ns=1e8,
        latency_sigma=0.8,
        snapshot_levels=50,
    )
    run = market.run(seconds)
    deltas, trades = run.tape()
    first, received = run.snapshot["received_time"][:1], run.deltas["received_time"]
    snapshot = len(deltas[0]) - len(received)
    traded = instrument(
        "SYNTHETIC",
        "BTC/USDT",
        tick_size=run.tick_size,
        lot_size=run.lot_size,
        maker_fee=0.0,
        taker_fee=0.0,
    )
    return Tape(
        traded,
        _known(deltas, np.concatenate([np.repeat(first, snapshot), received])),
        _known(trades, run.trades["received_time"]),
        int(deltas[0][0]),
        int(deltas[0][-1]),
        seeded=True,
        stats={},
        fingerprint="",
    )


def _known(events: tuple[Any, ...], received: Ints) -> LocalEvents:
    time, side, tick, lots = events
    local = np.maximum.accumulate(np.maximum(received, time + 1))
    return LocalEvents(time, side, tick, lots, local)


# ---- another future


def _other_tape(tape: Tape, time_ns: int, rng: np.random.Generator) -> Tape:
    return replace(
        tape,
        deltas=_other_events(tape.deltas, time_ns, rng),
        trades=_other_events(tape.trades, time_ns, rng),
    )


def _other_events(events: Any, time_ns: int, rng: np.random.Generator) -> LocalEvents:
    late = events.local > time_ns
    count = int(late.sum())
    tick, lots = events.tick.copy(), events.lots.copy()
    tick[late] += rng.integers(-3, 4, count).astype(tick.dtype)
    lots[late] = np.where(events.side[late] == 0, 0, rng.integers(1, 10**5, count))
    local = _later(events.local, late, rng)
    kept = ~late | (rng.random(len(late)) < 0.5)
    kept[-1:] = True  # as many bars as before, at least
    columns = (events.time, events.side, tick, lots, local)
    return LocalEvents(*(column[kept] for column in columns))


def _other_rows(rows: pd.DataFrame, time_ns: int, rng: np.random.Generator) -> pd.DataFrame:
    received = to_ns(rows.index)
    late = received > time_ns
    count = int(late.sum())
    out = rows.set_axis(from_ns(_later(received, late, rng)).rename("time"))
    for name in map(str, out.select_dtypes("number")):
        out.loc[late, name] *= rng.lognormal(0.0, 1.0, count)
    if "side" in out:
        out.loc[late, "side"] = rng.choice(["buy", "sell"], count)
    return out


def _later(received: Ints, late: npt.NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    out = received.copy()
    out[late] += rng.exponential(1e9, int(late.sum())).astype(np.int64)
    return np.maximum.accumulate(out)
