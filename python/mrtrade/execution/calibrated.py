"""What was measured of a market for the cost model: numbers with intervals, kept as JSON."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mrtrade.errors import ConfigError


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Kept):
    """A number with its interval.

    Attributes
    ----------
    value : float, optional
        None where there is too little to say it.
    low, high : float, optional
        95 % interval.
    n : int
        Observations behind it.
    unit, method : str
    note : str
        Why there is no value, or what to beware of.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    unit: str
    method: str
    note: str = ""

    @property
    def determined(self) -> bool:
        """Whether the data say that it is above 0: all of its interval is."""
        return self.low is not None and self.low > 0.0


class Markouts(_Kept):
    """What the mid did against a maker after a fill, by the flow's toxicity before it.

    Attributes
    ----------
    horizons_s : tuple of float
        Times after the fill, seconds, rising.
    edges : tuple of float
        Levels of VPIN between the rows of the table, rising.
    adverse_bps, se_bps : tuple of tuple of float, optional
        Mean move of the mid against the maker and its standard error, one row a bin of VPIN, one
        column a horizon, basis points; None where there was no fill.
    p_alike : tuple of float, optional
        For each horizon how likely means as different as those of the bins are, were they all one;
        None where there are too few fills to ask. From 1 % on, and where nothing can be said, all
        rows have the mean of all fills.
    n : tuple of int
        Bars with fills in each bin.
    """

    horizons_s: tuple[float, ...]
    edges: tuple[float, ...]
    adverse_bps: tuple[tuple[float | None, ...], ...]
    se_bps: tuple[tuple[float | None, ...], ...]
    p_alike: tuple[float | None, ...]
    n: tuple[int, ...]


class Calibration(_Kept):
    """What the cost model takes from data where its configuration says ``auto``.

    Attributes
    ----------
    exchange, symbol, start, end : str
        What it was measured on.
    bars : int
    bar_s : float
        Their length, seconds.
    kyle_lambda : Estimate
        Basis points per quote unit of signed volume.
    book_slope : Estimate
        Temporary impact of a market order, beyond half the spread: basis points for 1 % of V, the
        daily volume.
    square_root_y : Estimate
        Constant of the square-root law.
    daily_volume : float, optional
        Quote units a day.
    spread_bps, realized_vol : float, optional
        Means over the sample: quoted spread; annualised volatility, a fraction.
    spread_by_hour : dict
        Mean quoted spread by hour of the UTC day, basis points.
    markouts : Markouts, optional
    notes : tuple of str
        What to beware of.
    """

    exchange: str
    symbol: str
    start: str
    end: str
    bars: int
    bar_s: float
    kyle_lambda: Estimate
    book_slope: Estimate
    square_root_y: Estimate
    daily_volume: float | None = None
    spread_bps: float | None = None
    realized_vol: float | None = None
    spread_by_hour: dict[int, float] = {}
    markouts: Markouts | None = None
    notes: tuple[str, ...] = ()

    def save(self, file: str | Path) -> Path:
        """Write it as JSON."""
        path = Path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8", newline="\n")
        return path

    @classmethod
    def load(cls, file: str | Path) -> Calibration:
        """Read what `save` wrote.

        Raises
        ------
        ConfigError
            If the file cannot be read, or is no calibration.
        """
        try:
            return cls.model_validate_json(Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            what = str(error).splitlines()
            raise ConfigError(
                f"not a calibration: {' '.join(line.strip() for line in what[:3])}",
                file=file,
                remedy="write one with `mrtrade costs calibrate`",
            ) from None
