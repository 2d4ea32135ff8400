"""Datasets of candles: a perpetual (or a spot), its spot, its funding and a leading asset."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrtrade import __version__
from mrtrade.clock import from_ns, to_ns
from mrtrade.data.funding import SAME_SETTLEMENT_NS
from mrtrade.errors import DataError
from mrtrade.features.candles import candle_bars
from mrtrade.features.compute import compute, definitions
from mrtrade.features.joins import with_perpetual, with_second_asset
from mrtrade.features.registry import FEATURES
from mrtrade.ml.dataset import Dataset, digest_of, no_funding

#: Spread that is assumed where candles tell none, bps of the mid. The recorded books of Binance's
#: perpetuals stood at 0.02 to 0.1 bps (BTC, ETH) in quiet minutes; these leave room for others.
SPREAD_BPS = {
    "BTC/USDT-PERP": 1.0,
    "ETH/USDT-PERP": 1.0,
    "SOL/USDT-PERP": 2.0,
    "BTC/USDT": 1.0,
    "ETH/USDT": 1.0,
    "SOL/USDT": 2.0,
}

#: The same for any other symbol.
OTHER_SPREAD_BPS = 5.0


def candle_dataset(
    symbol: str,
    candles: pd.DataFrame,
    *,
    spot: pd.DataFrame | None = None,
    funding: pd.DataFrame | None = None,
    leader: pd.DataFrame | None = None,
    spread_bps: float | None = None,
    names: Iterable[str] | None = None,
    start: str | int | None = None,
    end: str | int | None = None,
    cache: Path | str | None = None,
) -> Dataset:
    """Make a dataset of candles.

    Parameters
    ----------
    symbol : str
        What is traded.
    candles : DataFrame
        Its candles, see `mrtrade.features.candles.candle_bars`.
    spot : DataFrame, optional
        Candles of the underlying: the index that the basis is measured from, and the second leg.
    funding : DataFrame, optional
        History of settled rates: ``funding_time`` (ns or time), ``rate`` (fraction), ``mark`` where
        it is known. A rate is known from its settlement on; what was announced before is not in it.
    leader : DataFrame, optional
        Candles of the asset that leads, such as BTC.
    spread_bps : float, optional
        Spread, bps of the mid, which candles do not tell; default: of `SPREAD_BPS`.
    names : iterable of str, optional
        Features; default: all that are registered and can be computed of these bars.
    start, end : str or int, optional
        Span of the dataset, by the ends of bars, half-open; what is before it serves as warm-up.
    cache : path, optional
        Folder in which datasets lie by their fingerprints; one that is there is loaded.

    Returns
    -------
    Dataset
        ``bars`` with ``spread_mean_bps`` (assumed) and, where `spot` is given, ``index``;
        ``features`` with ``spread_mean_bps`` too; ``second``: bars of the spot with the same
        spread. A settlement without a mark has the last mid before it.

    Raises
    ------
    DataError
        If candles cannot be used, or none lie in the span.
    """
    spread = SPREAD_BPS.get(symbol, OTHER_SPREAD_BPS) if spread_bps is None else spread_bps
    wanted = list(FEATURES) if names is None else list(dict.fromkeys(names))
    span = [None if x is None else to_ns(x) for x in (start, end)]
    given = {"candles": candles, "spot": spot, "funding": funding, "leader": leader}
    frames = {name: frame for name, frame in given.items() if frame is not None}
    what = (symbol, spread, span, names is None, definitions(wanted), __version__)
    fingerprint = digest_of(what, frames)
    place = None if cache is None else Path(cache) / f"{_plain(symbol)}-{fingerprint[:16]}"
    if place is not None and place.exists():
        return Dataset.load(place)

    settled = no_funding() if funding is None else _settlements(funding)
    bars, second = _bars(candles, spot, None if funding is None else settled, leader)
    features = compute(bars, [name for name in wanted if name != "spread_mean_bps"])
    absent = features.attrs.pop("reasons")
    features = features.drop(columns=list(absent))
    bars = bars.assign(spread_mean_bps=spread)
    if names is None or "spread_mean_bps" in wanted:
        features = features.assign(spread_mean_bps=spread)
    time = to_ns(bars.index)
    first, last = time.searchsorted(
        [span[0] if span[0] is not None else time[0], span[1] or time[-1] + 1]
    )
    if first >= last:
        raise DataError(
            "no bars in the span",
            value=symbol,
            expected=f"some of {bars.index[0]} to {bars.index[-1]}",
        )
    dataset = Dataset(
        symbol=symbol,
        bars=bars.iloc[first:last],
        features=features.iloc[first:last],
        funding=_marked(settled, bars["mid"], time[first], time[last - 1]),
        second=None if second is None else second.assign(spread_mean_bps=spread).iloc[first:last],
        fingerprint=fingerprint,
        about={
            "spread_bps": spread,
            "first": str(from_ns(int(time[first]))),
            "last": str(from_ns(int(time[last - 1]))),
            "interval_ns": bars.attrs["interval_ns"],
            "missing": bars.attrs["missing"],
            "spot_bars": 0 if second is None else int(second["mid"].iloc[first:last].count()),
            "leader_bars": int(bars["other_mid"].iloc[first:last].count())
            if leader is not None
            else 0,
            "absent": absent,
        },
    )
    if place is not None:
        return Dataset.load(dataset.save(place))
    return dataset


def _plain(symbol: str) -> str:
    return symbol.replace("/", "-")


def _bars(
    candles: pd.DataFrame,
    spot: pd.DataFrame | None,
    settled: pd.DataFrame | None,
    leader: pd.DataFrame | None,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return bars with what else was known, and those of the second leg on their index."""
    bars = candle_bars(candles)
    attrs = bars.attrs
    second = None
    if settled is not None or spot is not None:
        index = None if spot is None else candle_bars(spot, attrs["interval_ns"])
        bars = with_perpetual(
            bars,
            funding=None if settled is None else settled.set_index("time"),
            spot=None if index is None else index["mid"],
        )
        second = None if index is None else index.reindex(bars.index)
    if leader is not None:
        bars = with_second_asset(bars, candle_bars(leader, attrs["interval_ns"]))
    empty = [name for name in bars if bars[name].isna().all()]  # a history tells no mark
    bars = bars.drop(columns=empty)
    bars.attrs = attrs
    return bars, second


def _settlements(history: pd.DataFrame) -> pd.DataFrame:
    """Settled rates in order, one a settlement."""
    if missing := [name for name in ("funding_time", "rate") if name not in history]:
        raise DataError(
            f"a history of funding without {missing[0]!r}", expected="funding_time, rate"
        )
    time = to_ns(history["funding_time"])
    order = np.argsort(time, kind="stable")
    if len(close := np.flatnonzero(np.diff(time[order]) < SAME_SETTLEMENT_NS)):
        raise DataError(
            "a settlement is there twice", value=str(from_ns(int(time[order][close[0]])))
        )
    columns: dict[str, Any] = {
        name: history[name].to_numpy(dtype=np.float64)[order]
        if name in history
        else np.full(len(order), np.nan)
        for name in ("rate", "mark")
    }
    return pd.DataFrame({"time": from_ns(time[order]), **columns})


def _marked(settled: pd.DataFrame, mid: pd.Series[float], first: int, last: int) -> pd.DataFrame:
    """Settlements after the first bar's end and not after the last's; a mark for each.

    It is NaN where no price was known before it.
    """
    time = to_ns(settled["time"])
    inside = (time > first) & (time <= last)
    row = to_ns(mid.index).searchsorted(time[inside], side="right") - 1
    mark = settled["mark"].to_numpy(np.float64)[inside]
    mark = np.where(np.isnan(mark), mid.ffill().to_numpy(np.float64)[row], mark)
    rate = settled["rate"].to_numpy(np.float64)[inside]
    return pd.DataFrame({"time": from_ns(time[inside]), "rate": rate, "mark": mark})
