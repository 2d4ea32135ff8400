import numpy as np

from . import twin

YEAR_S = 365 * 86400.0


def seconds(bars):
    return bars.index.to_series().diff().dt.total_seconds()


def returns(bars):
    return np.log(bars["mid"] / bars["mid"].shift())


@twin("realized_vol")
def realized_vol(bars, n):
    return np.sqrt((returns(bars) ** 2).rolling(n).mean() * YEAR_S / seconds(bars))


@twin("vol_ratio")
def vol_ratio(bars, n):
    squares = returns(bars) ** 2
    return np.sqrt(squares.rolling(n).mean() / squares.rolling(10 * n).mean())


@twin("parkinson_vol")
def parkinson_vol(bars, n):
    span = np.log(bars["mid_high"] / bars["mid_low"]) ** 2 / (4 * np.log(2))
    return np.sqrt(span.rolling(n).mean() * YEAR_S / seconds(bars)).iloc[1:].reindex(bars.index)
