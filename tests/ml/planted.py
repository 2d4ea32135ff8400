"""Features of which it is known what they say of the label."""

import numpy as np
import pandas as pd

STEP_NS = 300_000_000_000


def planted(n=1_500, features=12, seed=0, *, horizon=1, noise=1.0, signal=1.0):
    """Label: linear in f00, an exclusive or of the signs of f03 and f07; the others are noise."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2023-01-01", periods=n, freq="5min", tz="UTC")
    names = [f"f{number:02d}" for number in range(features)]
    X = pd.DataFrame(rng.standard_normal((n, features)), columns=names, index=index)
    told = 0.7 * X["f00"] + 1.2 * np.sign(X["f03"]) * np.sign(X["f07"])
    label = signal * told + noise * rng.standard_normal(n)
    start = index.as_unit("ns").asi8
    labels = pd.DataFrame(
        {"label_bps": label, "start_ns": start, "end_ns": start + horizon * STEP_NS}, index=index
    )
    return X, labels
