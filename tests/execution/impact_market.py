"""A market whose impact is known: what trades move the mid by, and what the book holds."""

import numpy as np

from mrtrade.data.streams import Events
from mrtrade.data.tape import Tape
from mrtrade.instruments import BPS_PER_ONE, Instrument

SECOND = 1_000_000_000
START = 1_704_067_200 * SECOND  # 2024-01-01
MID, TICK, LOT = 600_000, 0.1, 0.001
LEVELS = 180
LINEAR = Instrument(
    exchange="SYNTHETIC", symbol="BTC/USDT", tick_size=TICK, lot_size=LOT, maker_fee=0, taker_fee=0
)
INVERSE = LINEAR.model_copy(
    update={"symbol": "BTC/USD-PERP", "lot_size": 1.0, "multiplier": 100.0, "inverse": True}
)


class ImpactMarket:
    """A trade a second; a millisecond later the mid has moved by `per_lot` times its signed lots.

    Parameters
    ----------
    terms : Instrument
    rising : bool
        Whether levels hold the more the farther off they are (the mean price of an order is then a
        square root of its size), or all the same (it is linear).
    per_lot : float
        Ticks a lot; besides it the mid moves at random.
    """

    def __init__(self, terms=LINEAR, *, rising=False, per_lot=0.01, seconds=1_200, seed=1):
        rng = np.random.default_rng(seed)
        self.terms = terms
        lots = rng.integers(1, 2_001, seconds) * rng.choice([-1, 1], seconds)
        moves = np.rint(per_lot * lots + rng.normal(0.0, 3.0, seconds)).astype(np.int64)
        self.mids = MID + np.concatenate([[0], np.cumsum(moves)])
        self.lots = lots
        # Lots of a level, so that an order of 3e-4 of the daily volume takes about 100 levels.
        largest = 3e-4 * 86_400 * np.abs(lots).mean()
        base = largest / 100.0**2 if rising else largest / 100.0
        self.base = np.maximum(1, base * np.exp(rng.normal(0.0, 0.15, seconds + 1))).astype(
            np.int64
        )
        place = np.arange(LEVELS)
        shape = 2 * place + 1 if rising else np.ones_like(place)
        trade_time = START + SECOND // 2 + SECOND * np.arange(seconds)
        book_time = np.concatenate([[START], trade_time + SECOND // 1_000])
        self.tape = Tape(
            instrument=terms,
            deltas=_books(book_time, self.mids, self.base, shape),
            trades=Events(
                trade_time,
                np.sign(lots).astype(np.int8),
                (self.mids[:-1] + np.sign(lots)).astype(np.int32),
                np.abs(lots),
            ),
            start_ns=START,
            end_ns=int(book_time[-1]),
            seeded=True,
            stats={},
            fingerprint="",
        )
        #: Quote units of a lot at the first mid.
        self.lot_quote = terms.lot_size * terms.multiplier
        if not terms.inverse:
            self.lot_quote *= MID * TICK
        #: A tick, bps of the mid.
        self.tick_bps = BPS_PER_ONE / MID
        #: What `calibrate` has to find: bps per quote unit.
        self.kyle_lambda = per_lot * self.tick_bps / self.lot_quote


def _books(times, mids, base, shape):
    """Books whose touch is a tick off the mid; of each what differs in range, as one message."""
    place, parts, gone = np.arange(LEVELS), [], None
    for time, mid, lots in zip(times, mids, base, strict=True):
        levels = {
            sign: dict(
                zip((mid - sign * (1 + place)).tolist(), (lots * shape).tolist(), strict=True)
            )
            for sign in (1, -1)
        }
        for sign, side in levels.items():
            left = {} if gone is None else dict.fromkeys(gone[sign].keys() - side.keys(), 0)
            ticks = left | side
            parts.append(
                (np.full(len(ticks), time), np.full(len(ticks), sign), [*ticks], [*ticks.values()])
            )
        gone = levels
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    kinds = (np.int64, np.int8, np.int32, np.int64)
    return Events(*(column.astype(kind) for column, kind in zip(columns, kinds, strict=True)))
