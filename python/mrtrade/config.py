"""Configuration of a backtest: a YAML file, checked whole before anything runs.

Every key is described in ``config/backtesting.yaml``.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from mrtrade.clock import NS_PER_MS, NS_PER_SECOND, duration_ns, from_ns, to_ns
from mrtrade.errors import ConfigError, MrTradeError
from mrtrade.instruments import BPS_PER_ONE

# More than an hour, or a year, is a slip of unit.
Latency = Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)]
Timeout = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
FeeBps = Annotated[float, Field(gt=-1_000, lt=1_000, allow_inf_nan=False)]
FeeTier = tuple[NotNegative, FeeBps, FeeBps]  # 30-day volume, maker, taker
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Margin = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Sigma = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]
Preset = Literal["optimistic", "queue", "risk_averse", "strict"]
QueueModel = Literal[
    "power", "power2", "power3", "log", "log2", "table", "optimistic", "risk_averse", "strict"
]

PRESETS: tuple[Preset, ...] = get_args(Preset)
"""Answers to what fills a resting order, from the kindest to the hardest."""

# Integers below this cannot be a date in nanoseconds (1973): 20240808 is a slip, not a time.
_FIRST_SANE_NS = 10**17


Model = TypeVar("Model", bound="Section")


def _ms_to_ns(ms: float) -> int:
    return round(ms * NS_PER_MS)


def _only_with(
    key: str,
    value: Any,
    chooser: str,
    choice: str,
    readers: tuple[str, ...],
    *,
    needed: bool = False,
) -> None:
    """Raise if a key is given without a choice that reads it, or not given with one."""
    if value is not None and choice not in readers:
        wanted = " or ".join(map(repr, readers))
        raise ValueError(f"{key} is given, but {chooser} is {choice!r}; {key} is for {wanted}")
    if value is None and needed and choice in readers:
        raise ValueError(f"{chooser} is {choice!r}, but {key} is not given")


class Section(BaseModel):
    """A part of the configuration; what it does not know it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StrategyConfig(Section):
    """Which strategy runs, with which parameters (checked by the strategy itself)."""

    name: str
    params: dict[str, Any] = {}
    model: Path | None = None


class ExecutionConfig(Section):
    """How a target position becomes orders."""

    mode: Literal["passive", "aggressive"] = "passive"
    timeout_s: Timeout = 10.0
    on_timeout: Literal["cross", "give_up"] = "cross"

    @property
    def timeout_ns(self) -> int:
        """Life of a passive order before `on_timeout`, nanoseconds."""
        return round(self.timeout_s * NS_PER_SECOND)


class LatencyConfig(Section):
    """Delays of the data on their way to us, and of orders there and back."""

    feed: Literal["constant", "recorded"] = "constant"
    feed_ms: Latency = 5.0
    orders: Literal["constant", "lognormal", "feed", "table"] = "constant"
    entry_ms: Latency = 5.0
    response_ms: Latency = 5.0
    cancel_ms: Latency | None = None
    replace_ms: Latency | None = None
    sigma: Sigma | None = None
    table: Path | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "LatencyConfig":
        _only_with("sigma", self.sigma, "orders", self.orders, ("lognormal",), needed=True)
        _only_with("table", self.table, "orders", self.orders, ("table",), needed=True)
        for name in ("cancel_ms", "replace_ms"):
            value = getattr(self, name)
            _only_with(name, value, "orders", self.orders, ("constant", "lognormal"))
        if self.orders == "feed" and self.feed == "constant":
            raise ValueError("orders is 'feed', but feed is 'constant': there is nothing to follow")
        return self

    @property
    def feed_ns(self) -> int:
        """From the exchange's event to our knowing it (recorded: at least), nanoseconds."""
        return _ms_to_ns(self.feed_ms)

    @property
    def entry_ns(self) -> int:
        """From our sending an order to the exchange's matching it (or its median), nanoseconds."""
        return _ms_to_ns(self.entry_ms)

    @property
    def response_ns(self) -> int:
        """From the exchange's answer to our knowing it (or its median), nanoseconds."""
        return _ms_to_ns(self.response_ms)

    @property
    def cancel_ns(self) -> int | None:
        """As `entry_ns` of a cancellation, where it differs."""
        return None if self.cancel_ms is None else _ms_to_ns(self.cancel_ms)

    @property
    def replace_ns(self) -> int | None:
        """As `entry_ns` of a replacement, where it differs."""
        return None if self.replace_ms is None else _ms_to_ns(self.replace_ms)


class QueueConfig(Section):
    """What fills a resting order, and whether the other answers are shown beside it."""

    preset: Preset = "queue"
    model: QueueModel = "power"
    power: Positive = 3.0
    table: list[Share] | None = Field(default=None, min_length=2)
    compare: bool = True

    @field_validator("table", mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        """Read a table that is named by its file, so that a manifest holds the table itself."""
        if not isinstance(value, str | PathLike):
            return value
        try:
            content = yaml.safe_load(Path(value).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ValueError(f"cannot be read: {' '.join(str(error).split())}") from None
        return content["table"] if isinstance(content, Mapping) and "table" in content else content

    @model_validator(mode="after")
    def _one_model(self) -> "QueueConfig":
        _only_with("table", self.table, "model", self.model, ("table",), needed=True)
        if self.preset != "queue" and self.model in PRESETS and self.model != self.preset:
            raise ValueError(f"preset is {self.preset!r}, but model is {self.model!r}")
        return self

    @property
    def chosen(self) -> Preset:
        """The preset that the run itself is filled by."""
        if self.preset == "queue" and self.model in PRESETS:
            return self.model
        return self.preset

    def model_of(self, preset: Preset) -> QueueModel:
        """Model of the core behind a preset; `queue` is a probabilistic one, `power` by default."""
        if preset != "queue":
            return preset
        return "power" if self.model in PRESETS else self.model


ImpactModel = Literal["almgren_chriss", "square_root"]
AdverseModel = Literal["vpin_based", "break_even"]

COST_MODEL = ("model", "impact_model", "kyle_lambda", "adverse_selection_model", "calibration")
"""Keys of `CostsConfig` that say how the cost model is made; read where `model` is ``dynamic``."""


class CostsConfig(Section):
    """Fees that replace those of the instrument table (None keeps the table's), and funding.

    And the cost model, `mrtrade.execution.costs`, if a run is to be charged by it too.
    """

    model: Literal["fills", "dynamic"] = "fills"
    impact_model: ImpactModel = "almgren_chriss"
    kyle_lambda: NotNegative | Literal["auto"] = "auto"
    adverse_selection_model: AdverseModel = "vpin_based"
    calibration: Path | None = None
    maker_fee_bps: FeeBps | None = None
    taker_fee_bps: FeeBps | None = None
    tiers: list[FeeTier] | None = Field(default=None, min_length=1)
    volume_30d: NotNegative = 0.0
    funding: bool = True

    @model_validator(mode="after")
    def _one_schedule(self) -> "CostsConfig":
        if self.tiers is None:
            if self.volume_30d:
                raise ValueError("volume_30d is given, but no tiers that it chooses from")
            return self
        if self.maker_fee_bps is not None or self.taker_fee_bps is not None:
            raise ValueError("both tiers and a fee that does not depend on the volume are given")
        volumes = [tier[0] for tier in self.tiers]
        if volumes[0] != 0.0 or any(a >= b for a, b in pairwise(volumes)):
            raise ValueError(f"the volumes of tiers begin at 0 and rise, was {volumes}")
        return self

    def tier_fractions(self) -> list[tuple[float, float, float]] | None:
        """Tiers with fees as fractions of the notional."""
        if self.tiers is None:
            return None
        return [(v, maker / BPS_PER_ONE, taker / BPS_PER_ONE) for v, maker, taker in self.tiers]

    def fees(self) -> dict[str, float]:
        """Fees as fractions of the notional, where they are given: those the run begins with."""
        maker, taker = self.maker_fee_bps, self.taker_fee_bps
        if self.tiers is not None:
            _, maker, taker = [tier for tier in self.tiers if tier[0] <= self.volume_30d][-1]
        given = {"maker_fee": maker, "taker_fee": taker}
        return {name: bps / BPS_PER_ONE for name, bps in given.items() if bps is not None}


class AccountConfig(Section):
    """Margin, as fractions of the notional of the positions; 0: none is asked for."""

    initial_margin: Margin = 0.0
    maintenance_margin: Margin = 0.0
    liquidation_fee_bps: Annotated[float, Field(ge=0, lt=1_000, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _in_order(self) -> "AccountConfig":
        if self.maintenance_margin > self.initial_margin:
            raise ValueError("maintenance_margin is above initial_margin: nothing could be opened")
        return self


class InstrumentConfig(Section):
    """Steps and terms that replace those of the instrument table; None keeps the table's."""

    tick_size: Positive | None = None
    lot_size: Positive | None = None
    multiplier: Positive | None = None
    inverse: bool | None = None


class HedgeConfig(Section):
    """The second leg of a strategy that has two: its market, its costs and its terms."""

    exchange: str
    symbol: str
    transaction_costs: CostsConfig = CostsConfig()
    instrument: InstrumentConfig = InstrumentConfig()


class BacktestConfig(Section):
    """One backtest, in full."""

    store: str = "store"
    exchange: str
    symbol: str
    start: int | None = None
    end: int | None = None
    strategy: StrategyConfig
    hedge: HedgeConfig | None = None
    bar: str = "1s"
    capital: Positive = 100_000.0
    max_position: Positive | None = None
    execution: ExecutionConfig = ExecutionConfig()
    latency: LatencyConfig = LatencyConfig()
    queue: QueueConfig = QueueConfig()
    partial_fills: bool = True
    transaction_costs: CostsConfig = CostsConfig()
    account: AccountConfig = AccountConfig()
    instrument: InstrumentConfig = InstrumentConfig()
    seed: int = Field(default=0, ge=0)

    @field_validator("store", mode="before")
    @classmethod
    def _address(cls, value: Any) -> Any:
        return str(value) if isinstance(value, PathLike) else value

    @field_validator("start", "end", mode="before")
    @classmethod
    def _time(cls, value: Any) -> int | None:
        if value is None:
            return None
        try:
            ns: int = to_ns(value)
        except MrTradeError as error:
            raise ValueError(f"{error.what}; expected {error.expected}") from error
        if ns < _FIRST_SANE_NS:
            raise ValueError("not a time; expected text such as 2024-08-08T23:54:13Z")
        return ns

    @field_validator("bar")
    @classmethod
    def _bar(cls, value: str) -> str:
        try:
            duration_ns(value)
        except MrTradeError as error:
            raise ValueError(f"{error.what}; expected {error.expected}") from error
        return value

    @model_validator(mode="after")
    def _ordered(self) -> "BacktestConfig":
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"start {from_ns(self.start)} is not before end {from_ns(self.end)}")
        return self

    @property
    def bar_ns(self) -> int:
        """Length of a bar, nanoseconds."""
        return duration_ns(self.bar)

    def leg(self, hedge: HedgeConfig) -> "BacktestConfig":
        """Return the configuration of the second leg; how much it holds follows from the first."""
        other = {name: getattr(hedge, name) for name in type(hedge).model_fields}
        return self.model_copy(update={**other, "hedge": None, "max_position": None})

    def instrument_overrides(self) -> dict[str, Any]:
        """Return what `mrtrade.instruments.instrument` takes as overrides, fees as fractions."""
        return self.instrument.model_dump(exclude_none=True) | self.transaction_costs.fees()


def load_config(
    source: str | PathLike[str] | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
) -> BacktestConfig:
    """Read and check the configuration of a backtest.

    Parameters
    ----------
    source : path or mapping
        A YAML file, or its content.
    overrides : mapping, optional
        Values that win over the source, by dotted key: ``{"latency.feed_ms": 2}``.

    Raises
    ------
    ConfigError
        One error that lists every fault, with key, line and remedy.
    """
    return load_section(BacktestConfig, source, overrides, described="config/backtesting.yaml")


def load_section(
    model: type[Model],
    source: str | PathLike[str] | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    described: str,
) -> Model:
    """Read and check a configuration of any kind, as `load_config` does that of a backtest.

    Parameters
    ----------
    model : type of Section
    source : path or mapping
    overrides : mapping, optional
    described : str
        The file that describes every key, named in errors.
    """
    file: str | None = None
    lines: dict[str, int] = {}
    if isinstance(source, Mapping):
        content = dict(source)
    else:
        file = str(source)
        content, lines = _read_yaml(Path(source))
    for key, value in (overrides or {}).items():
        content = _with(content, key.split("."), value)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = [_describe(fault, lines, model) for fault in error.errors()]
    raise ConfigError(
        faults[0] if len(faults) == 1 else "\n  ".join([f"{len(faults)} faults", *faults]),
        file=file,
        remedy=f"see {described}, where every key is described",
    )


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(
            "cannot be read", file=path, value=error.strerror, remedy="check the path"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"not YAML: {' '.join(str(error).split())}", file=path, remedy="mend the syntax"
        ) from error
    if not isinstance(tree, yaml.MappingNode):
        raise ConfigError(
            "not a configuration", file=path, expected="a mapping of keys", remedy="add the keys"
        )
    lines: dict[str, int] = {}
    for key, line in _keys(tree):
        if key in lines:  # YAML would keep the last one and say nothing
            raise ConfigError(
                f"given twice, on lines {lines[key]} and {line}",
                file=path,
                key=key,
                remedy="remove one of them",
            )
        lines[key] = line
    return content, lines


def _keys(node: yaml.MappingNode, prefix: str = "") -> Iterator[tuple[str, int]]:
    for name, value in node.value:
        key = f"{prefix}{name.value}"
        yield key, name.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            yield from _keys(value, f"{key}.")


def _with(content: Mapping[str, Any], keys: list[str], value: Any) -> dict[str, Any]:
    if len(keys) == 1:
        return {**content, keys[0]: value}
    inner = content.get(keys[0])
    return {
        **content,
        keys[0]: _with(inner if isinstance(inner, Mapping) else {}, keys[1:], value),
    }


def _describe(fault: ErrorDetails, lines: Mapping[str, int], root: type[BaseModel]) -> str:
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path)
    line = next((lines[k] for k in (key, ".".join(path[:-1])) if k in lines), None)
    where = f"line {line}, {key}" if line else key
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(path[-1], _fields(path[:-1], root), n=1, cutoff=0)
        return f"{where}: unknown key; the nearest is {'.'.join([*path[:-1], near[0]])}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{where}: not given; it has no default"
    if not key:  # a fault of the whole, such as start after end
        return message
    if isinstance(fault["input"], Mapping):  # a fault of a section: its keys contradict each other
        return f"{where}: {message[0].lower()}{message[1:]}"
    return f"{where}: {message[0].lower()}{message[1:]}, was {fault['input']!r}"


def _fields(path: list[str], root: type[BaseModel]) -> list[str]:
    model = root
    for part in path:
        inner = model.model_fields[part].annotation
        for kind in (inner, *get_args(inner)):  # a section, or one that may be None
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
    return list(model.model_fields)
