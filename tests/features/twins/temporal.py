import numpy as np

from . import twin


@twin("hour_sin", "hour_cos")
def hour(bars, _, stem):
    at = bars.index.to_series()
    day = (at - at.dt.floor("D")).dt.total_seconds() / 86400
    return (np.sin if stem == "hour_sin" else np.cos)(2 * np.pi * day)
