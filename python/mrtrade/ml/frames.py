"""Features as LightGBM is given them, the same in training, in a backtest and live."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from mrtrade.errors import DataError

Matrix = npt.NDArray[np.float32]


def matrix(frame: pd.DataFrame, names: Sequence[str]) -> Matrix:
    """Return columns by name as float32; what is not finite is missing (NaN).

    Parameters
    ----------
    frame : pandas.DataFrame, shape (n, ...)
    names : sequence of str, m of them

    Returns
    -------
    numpy.ndarray of float32, shape (n, m), C order

    Raises
    ------
    DataError
        If features are missing, are there twice, or hold no numbers; names them.
    """
    columns = frame.columns.astype(str)
    lacking = sorted(set(names) - set(columns))
    if lacking:
        shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if lacking[5:] else "")
        raise DataError(
            "features that the model reads are missing",
            value=shown,
            expected=f"all {len(names)} of them among the columns, in any order",
            remedy="compute them: mrtrade features compute",
        )
    if not columns.is_unique:
        twice = sorted(set(columns[columns.duplicated()]) & set(names))
        if twice:
            raise DataError("a feature is there twice", key=twice[0], remedy="drop one of them")
    chosen = frame.take(columns.get_indexer_for(pd.Index(names)), axis=1)
    try:
        with np.errstate(over="ignore"):  # beyond 3e38: infinite, and so missing
            values = np.ascontiguousarray(chosen.to_numpy(dtype=np.float32, na_value=np.nan))
    except (TypeError, ValueError) as error:
        raise DataError(f"features that are no numbers: {error}") from error
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.float32("nan"))
