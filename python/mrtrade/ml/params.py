"""Settings of selection, training and search, as `config/ml_optimization.yaml` describes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mrtrade.clock import duration_ns
from mrtrade.config import Section, Share
from mrtrade.errors import MrTradeError

Count = Annotated[int, Field(ge=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]

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
    num_leaves: Annotated[int, Field(ge=2, le=255)] = 8
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
