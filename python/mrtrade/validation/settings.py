"""Settings of a walk-forward, as ``config/validation.yaml`` describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mrtrade.clock import NS_PER_DAY, duration_ns
from mrtrade.config import FeeBps, Positive, Section, load_section
from mrtrade.errors import MrTradeError
from mrtrade.ml.params import ForecastParams

DESCRIBED = "config/validation.yaml"

Count = Annotated[int, Field(ge=1)]
Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class FoldsConfig(Section):
    """How time is cut, see `mrtrade.ml.splits.WalkForward`; whole days, as results are of days."""

    train: str = "90D"
    test: str = "30D"
    step: str = "30D"
    embargo: str = "1D"
    expanding: bool = True

    @field_validator("train", "test", "step", "embargo")
    @classmethod
    def _length(cls, value: str, info: ValidationInfo) -> str:
        try:
            length = duration_ns(value, zero=info.field_name == "embargo")
        except MrTradeError as error:
            raise ValueError(f"{error.what}; expected {error.expected}") from error
        if length % NS_PER_DAY:
            raise ValueError("not whole days")
        return value

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if duration_ns(self.step) < duration_ns(self.test):
            raise ValueError("step is shorter than test: a day would be traded twice")
        return self


class ModelConfig(Section):
    """The forecast, trained in each fold if a strategy reads it."""

    horizon: Count = 12
    features: list[str] | None = None
    params: ForecastParams = ForecastParams()
    explain_rows: Annotated[int, Field(ge=0)] = 500


class ChargesConfig(Section):
    """What trading costs, and how much is traded."""

    capital: Size = 100_000.0
    size_usd: Positive | None = None
    mode: Literal["passive", "aggressive"] = "aggressive"
    impact_model: Literal["almgren_chriss", "square_root"] = "almgren_chriss"
    maker_fee_bps: FeeBps = 2.0
    taker_fee_bps: FeeBps = 5.0
    second_maker_fee_bps: FeeBps = 10.0
    second_taker_fee_bps: FeeBps = 10.0
    vol_window: Annotated[int, Field(ge=2)] = 12
    scale: Size = 1.0


class StrategyPlan(Section):
    """One strategy: what is fixed, and what each fold chooses on its training span."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)

    @field_validator("grid")
    @classmethod
    def _choices(cls, value: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, choices in value.items():
            if not choices:
                raise ValueError(f"{name} has nothing to choose from")
        return value

    def configurations(self) -> Iterator[dict[str, Any]]:
        """Give the parameters of every configuration; the last key of the grid changes first."""
        for choice in product(*self.grid.values()):
            yield self.params | dict(zip(self.grid, choice, strict=True))


class CandleFiles(Section):
    """Files of one symbol, below `DataConfig.root`."""

    candles: Path
    spot: Path | None = None
    funding: Path | None = None
    leader: Path | None = None
    spread_bps: Positive | None = None


class DataConfig(Section):
    """Where candles lie, and where the datasets made of them are kept."""

    root: Path = Path(".")
    cache: Path = Path("datasets")
    start: str | None = None
    end: str | None = None
    symbols: dict[str, CandleFiles] = Field(default_factory=dict)

    @field_validator("start", "end", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return None if value is None else str(value)  # YAML makes dates of dates


class CrossConfig(Section):
    """Trained on one symbol, tested on others."""

    train: str | None = None
    test: list[str] = Field(default_factory=list)


class WalkForwardConfig(Section):
    """A walk-forward in full."""

    project: str = "walk-forward"
    data: DataConfig = DataConfig()
    strategies: dict[str, StrategyPlan]
    folds: FoldsConfig = FoldsConfig()
    model: ModelConfig = ModelConfig()
    costs: ChargesConfig = ChargesConfig()
    cross: CrossConfig = CrossConfig()
    seed: Annotated[int, Field(ge=0)] = 0


def load_settings(
    source: str | PathLike[str] | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> WalkForwardConfig:
    """Read and check a configuration, see `mrtrade.config.load_config`."""
    return load_section(WalkForwardConfig, source, overrides, described=DESCRIBED)
