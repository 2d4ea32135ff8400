"""Settings of selection, training and search, as `config/ml_optimization.yaml` describes them."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mrtrade.clock import duration_ns
from mrtrade.config import Positive, Section, Share, load_section
from mrtrade.errors import MrTradeError

Count = Annotated[int, Field(ge=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Leaves = Annotated[int, Field(ge=2, le=255)]

DESCRIBED = "config/ml_optimization.yaml"


class SelectionParams(Section):
    """How features are chosen inside a training span; see `mrtrade.ml.selection`."""

    max_features: Count = 40
    min_features: Count = 30
    max_missing: Share = 0.3
    max_same: Share = 0.998
    max_correlation: OpenShare = 0.95
    max_rows: Annotated[int, Field(ge=100)] = 6_000
    boruta_rounds: Annotated[int, Field(ge=0)] = 20
    boruta_rows: Annotated[int, Field(ge=100)] = 2_500
    boruta_alpha: OpenShare = 0.05

    @model_validator(mode="after")
    def _ordered(self) -> SelectionParams:
        if self.min_features > self.max_features:
            raise ValueError(
                f"min_features {self.min_features} is above max_features {self.max_features}"
            )
        return self


class ForecastParams(Section):
    """How a forecast is trained; see `mrtrade.ml.training`."""

    task: Literal["regression", "classification"] = "regression"
    intercept: Literal["zero", "mean"] = "zero"
    learning_rate: OpenShare = 0.05
    num_leaves: Leaves = 8
    min_leaf_share: OpenShare = 0.01
    feature_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    bagging_fraction: Annotated[float, Field(gt=0, le=1)] = 0.7
    lambda_l2: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    max_bin: Annotated[int, Field(ge=3, le=255)] = 63
    max_rounds: Count = 300
    patience: Count = 30
    folds: Count = 3
    holdout: Annotated[float, Field(ge=0, le=0.5)] = 0.25
    embargo: str | int = 0
    rows_per_label: Count = 3
    max_rows: Annotated[int, Field(ge=100)] = 20_000
    selection: SelectionParams | None = SelectionParams()

    @field_validator("embargo")
    @classmethod
    def _length(cls, value: str | int) -> str | int:
        _embargo_ns(value)
        return value

    @property
    def embargo_ns(self) -> int:
        """Pause between the labels of training rows and the first row of a fold, nanoseconds."""
        return _embargo_ns(self.embargo)


def _embargo_ns(value: str | int) -> int:
    try:
        return duration_ns(value, zero=True)
    except MrTradeError as error:
        raise ValueError(f"{error.what}; expected {error.expected}") from error


class SearchParams(Section):
    """What a search tries, from lowest to highest; see `mrtrade.ml.search`."""

    trials: Count = 30
    study: str = "default"
    learning_rate: tuple[OpenShare, OpenShare] = (0.01, 0.1)
    num_leaves: tuple[Leaves, Leaves] = (4, 31)
    min_leaf_share: tuple[OpenShare, OpenShare] = (0.003, 0.05)
    feature_fraction: tuple[OpenShare, OpenShare] = (0.2, 0.8)
    lambda_l2: tuple[Positive, Positive] = (0.1, 100.0)

    @model_validator(mode="after")
    def _rising(self) -> SearchParams:
        for name in ForecastParams.model_fields.keys() & type(self).model_fields.keys():
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} falls from {low} to {high}")
        return self


class MlConfig(Section):
    """All of `config/ml_optimization.yaml`."""

    seed: Annotated[int, Field(ge=0)] = 0
    selection: SelectionParams | None = SelectionParams()
    forecast: ForecastParams = ForecastParams()
    search: SearchParams = SearchParams()

    @model_validator(mode="after")
    def _one_selection(self) -> MlConfig:
        if "selection" in self.forecast.model_fields_set:
            raise ValueError("selection has a section of its own, not one within forecast")
        return self

    def forecast_params(self) -> ForecastParams:
        """Return the settings of training, those of selection within."""
        return self.forecast.model_copy(update={"selection": self.selection})


def load_ml_config(
    source: str | PathLike[str] | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> MlConfig:
    """Read and check a configuration of models, as `mrtrade.config.load_config` does.

    Raises
    ------
    ConfigError
        One error that lists every fault, with key, line and remedy.
    """
    return load_section(MlConfig, source, overrides, described=DESCRIBED)
