"""Who took liquidity in a trade, for feeds that do not say: buyer or seller.

=============  =======================================================  =======================
rule           a trade was a buy where                                  source
=============  =======================================================  =======================
``tick``       the last change of the price was upwards                 Lee & Ready (1991), I.A
``quote``      its price was above the middle of the quotes             Hasbrouck (1988)
``lee_ready``  `quote`; in the middle `tick`                            Lee & Ready (1991), III
``emo``        its price was the ask; between the quotes `tick`         Ellis, Michaely & O'Hara
                                                                        (2000)
``clnv``       its price was in the upper 30 % of the spread; in the    Chakrabarty, Li, Nguyen &
               middle 40 %, and outside of the quotes, `tick`           Van Ness (2007)
=============  =======================================================  =======================

and a sell where the mirror image holds. Where a rule says nothing (before the first change of the
price, without quotes) the side is 0: unknown, never a guess.

`bulk_volume` does not look at trades at all: it splits the volume of a bar by how far the price
went in it (Easley, López de Prado & O'Hara 2012).

How often each is right, on recordings that say who took, is told in ``docs/aggressor.md``;
`measure` tells it for your own.
"""

import math
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.compute as pc

from mrtrade.clock import Scalar, duration_ns
from mrtrade.data.store import Store
from mrtrade.errors import ConfigError, StoreError

Rule = Literal["tick", "quote", "lee_ready", "emo", "clnv"]

RULES: tuple[Rule, ...] = get_args(Rule)

Floats = npt.NDArray[np.float64]
Signs = npt.NDArray[np.int8]

_CLNV_SHARE = 0.3  # of the spread, at either end of it
_REACH = 1e-9  # of the price: a share of the spread is no multiple of a tick


class Aggressor:
    """Classifies trades in order, a batch at a time; how they are cut into batches is the same.

    Parameters
    ----------
    rule : str
        One of `RULES`.

    Raises
    ------
    ConfigError
        If there is no such rule.
    """

    def __init__(self, rule: Rule) -> None:
        if rule not in RULES:
            raise ConfigError(
                "no rule for the aggressor", value=rule, expected=f"one of {', '.join(RULES)}"
            )
        self.rule = rule
        self._price = math.nan
        self._tick = 0

    @property
    def needs_quotes(self) -> bool:
        """Whether the rule looks at the best bid and ask."""
        return self.rule != "tick"

    def __call__(
        self,
        price: npt.ArrayLike,
        bid: npt.ArrayLike | None = None,
        ask: npt.ArrayLike | None = None,
    ) -> Signs:
        """Return the sides of the next trades.

        Parameters
        ----------
        price : float64 array
            In the order of the trades.
        bid, ask : float64 array, optional
            Best prices just before each trade, see `prevailing`; NaN where unknown. Not for `tick`.

        Returns
        -------
        int8 array
            +1 the buyer took, -1 the seller took, 0 unknown.
        """
        prices = np.asarray(price, dtype=np.float64)
        tick = self._ticks(prices)
        if not self.needs_quotes:
            return tick
        if bid is None or ask is None:
            raise ConfigError(
                f"the rule {self.rule} needs quotes",
                key="bid, ask",
                remedy="give the best prices before each trade, or use the rule tick",
            )
        bids, asks = np.asarray(bid, np.float64), np.asarray(ask, np.float64)
        if not len(prices) == len(bids) == len(asks):
            raise ValueError(f"{len(prices)} trades, but {len(bids)} bids and {len(asks)} asks")
        known = bids < asks  # neither crossed nor NaN
        if self.rule in ("quote", "lee_ready"):
            side = np.sign(np.where(known, 2.0 * prices - (bids + asks), 0.0)).astype(np.int8)
        elif self.rule == "emo":
            side = _where(known & (prices == asks), known & (prices == bids))
        else:
            reach = _CLNV_SHARE * (asks - bids)
            slack = _REACH * prices
            side = _where(
                known & (prices <= asks) & (prices >= asks - reach - slack),
                known & (prices >= bids) & (prices <= bids + reach + slack),
            )
        return side if self.rule == "quote" else np.where(side == 0, tick, side)

    def _ticks(self, prices: Floats) -> Signs:
        if not len(prices):
            return np.empty(0, np.int8)
        moves = np.sign(np.diff(prices, prepend=self._price))  # NaN before the first trade of all
        moved = np.flatnonzero(np.nan_to_num(moves))
        # Each trade takes the sign of the last move up to it.
        last = np.searchsorted(moved, np.arange(len(prices)), side="right") - 1
        tick = np.full(len(prices), self._tick, np.int8)
        has = last >= 0
        tick[has] = moves[moved[last[has]]]
        self._price, self._tick = float(prices[-1]), int(tick[-1])
        return tick


def _where(buy: npt.NDArray[np.bool_], sell: npt.NDArray[np.bool_]) -> Signs:
    return buy.astype(np.int8) - sell.astype(np.int8)


def prevailing(
    trade_time: npt.NDArray[np.int64],
    quote_time: npt.NDArray[np.int64],
    bid: Floats,
    ask: Floats,
    lag_ns: int = 0,
) -> tuple[Floats, Floats]:
    """Return the quotes that stood before each trade.

    Parameters
    ----------
    trade_time, quote_time : int64 array
        Nanoseconds by one clock; `quote_time` never falls.
    bid, ask : float64 array
        Quotes.
    lag_ns : int
        A quote counts for trades later than it by more than this. Quotes that a trade made can be
        stamped earlier than the trade where they come by another stream.

    Returns
    -------
    bid, ask : float64 array
        Of the length of `trade_time`; NaN before the first quote.
    """
    at = np.searchsorted(quote_time, trade_time - lag_ns, side="left") - 1
    known = at >= 0
    at = np.maximum(at, 0)
    if not len(quote_time):
        none = np.full(len(trade_time), np.nan)
        return none, none.copy()
    return np.where(known, bid[at], np.nan), np.where(known, ask[at], np.nan)


def bulk_volume(close: npt.ArrayLike, window: int = 50) -> Floats:
    r"""Return the share of a bar's volume that buyers took, from its prices alone.

    Parameters
    ----------
    close : float64 array
        Last price of each bar, bars in order.
    window : int
        Bars whose changes of price, before this one, say how large a change is; > 1.

    Returns
    -------
    float64 array
        :math:`\Phi(\Delta p / \sigma)`, 0 to 1; NaN until `window` changes are known. Where the
        price has not moved in all of them, 0, 1/2 or 1 by the sign of the change.

    Notes
    -----
    Easley, López de Prado & O'Hara (2012), equation 7, with a standard deviation (about zero) of
    past changes only: theirs is that of the whole sample, which a live strategy does not know.
    """
    prices = np.asarray(close, dtype=np.float64)
    if window < 2:
        raise ValueError(f"window must be > 1, was {window}")
    share = np.full(len(prices), np.nan)
    change = np.diff(prices)
    if len(change) <= window:
        return share
    # Not by differences of running sums: those forget small changes after large ones.
    squares = np.lib.stride_tricks.sliding_window_view(change**2, window)[:-1]
    sigma = np.sqrt(squares.mean(axis=1))
    now = change[window:]
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.where(sigma > 0, now / sigma, np.sign(now) * np.inf)
    score = np.where((sigma == 0) & (now == 0), 0.0, score)
    share[window + 1 :] = [0.5 * (1.0 + math.erf(one / math.sqrt(2.0))) for one in score]
    return share


def measure(
    store: Store,
    exchange: str,
    symbol: str,
    start: Scalar | None = None,
    end: Scalar | None = None,
    *,
    lag_ns: int = 0,
    bar: str = "10s",
) -> pd.DataFrame:
    """Say how often each rule is right on stored trades whose aggressor is known.

    Quotes are those of the table `level_1`, or the best of `book`, by `received_time`.

    Parameters
    ----------
    store : Store
    exchange, symbol : str
    start, end : time, optional
        ``start <= received_time < end``.
    lag_ns : int
        As in `prevailing`.
    bar : str
        Bars for `bulk_volume`, whose accuracy is Easley et al.'s: the volume that it gives the
        right side.

    Returns
    -------
    DataFrame
        One row a rule, index ``rule``: ``trades`` classified, ``accuracy`` (share of these that is
        right), ``accuracy_volume`` (weighted by quantity), ``unknown`` (share not classified).

    Raises
    ------
    StoreError
        If there are no trades or no quotes in the span.
    """
    where = (exchange, symbol)
    trades = store.read(
        "trades", *where, start, end, ("received_time", "side", "quantity", "price")
    )
    if not len(trades):
        raise StoreError(f"no trades of {exchange} {symbol} in the span")
    table = next((name for name in ("level_1", "book") if store.days(name, *where)), None)
    if table is None:
        raise StoreError(
            f"no quotes of {exchange} {symbol} in the store", expected="table level_1 or book"
        )
    top = ("received_time", "bid_0_price", "ask_0_price")
    quotes = store.read(table, *where, start, end, top)
    time, quantity, price = (
        trades[name].to_numpy() for name in ("received_time", "quantity", "price")
    )
    true = np.where(pc.equal(trades["side"], "buy").to_numpy(), 1, -1)
    known_at, bids, asks = (quotes[name].to_numpy() for name in top)
    bid, ask = prevailing(time, known_at, bids, asks, lag_ns)
    rows: dict[str, tuple[int, float, float, float]] = {}
    for rule in RULES:
        side = Aggressor(rule)(price, bid, ask)
        known = side != 0
        right = known & (side == true)
        rows[rule] = (
            int(known.sum()),
            right.sum() / max(known.sum(), 1),
            quantity[right].sum() / max(quantity[known].sum(), 1e-300),
            1.0 - known.mean(),
        )
    rows["bulk_volume"] = _bulk(time, price, quantity, true, duration_ns(bar))
    columns = ["trades", "accuracy", "accuracy_volume", "unknown"]
    return pd.DataFrame.from_dict(rows, "index", columns=columns).rename_axis("rule")


def _bulk(
    time: npt.NDArray[np.int64], price: Floats, quantity: Floats, true: Signs, bar_ns: int
) -> tuple[int, float, float, float]:
    starts = np.flatnonzero(np.diff(time // bar_ns, prepend=-1))
    volume = np.add.reduceat(quantity, starts)
    bought = np.add.reduceat(np.where(true > 0, quantity, 0.0), starts)
    share = bulk_volume(price[np.append(starts[1:], len(price)) - 1])
    known = np.isfinite(share)
    wrong = np.abs(share * volume - bought)[known].sum()
    total = volume[known].sum()
    in_bars = int(np.diff(np.append(starts, len(price)))[known].sum())
    accuracy = 1.0 - wrong / total if total else math.nan
    return in_bars, math.nan, accuracy, 1.0 - in_bars / len(price)
