"""Configuration of a backtest: a YAML file, checked whole before anything runs.

Every key is described in ``config/backtesting.yaml``.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from mrtrade.clock import NS_PER_MS, NS_PER_SECOND, duration_ns, from_ns, to_ns
from mrtrade.errors import ConfigError, MrTradeError

# More than an hour, or a year, is a slip of unit.
Latency = Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)]
Timeout = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FeeBps = Annotated[float, Field(gt=-1_000, lt=1_000, allow_inf_nan=False)]

# Integers below this cannot be a date in nanoseconds (1973): 20240808 is a slip, not a time.
_FIRST_SANE_NS = 10**17


class Section(BaseModel):
    """A part of the configuration; what it does not know it refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StrategyConfig(Section):
    """Which strategy runs, with which parameters (checked by the strategy itself)."""

    name: str
    params: dict[str, Any] = {}


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
    """Constant latencies."""

    feed_ms: Latency = 5.0
    entry_ms: Latency = 5.0
    response_ms: Latency = 5.0

    @property
    def feed_ns(self) -> int:
        """From the exchange's event to our knowing it, nanoseconds."""
        return round(self.feed_ms * NS_PER_MS)

    @property
    def entry_ns(self) -> int:
        """From our sending an order to the exchange's matching it, nanoseconds."""
        return round(self.entry_ms * NS_PER_MS)

    @property
    def response_ns(self) -> int:
        """From the exchange's answer to our knowing it, nanoseconds."""
        return round(self.response_ms * NS_PER_MS)


class QueueConfig(Section):
    """Where a resting order stands in its queue."""

    model: Literal["power", "risk_averse", "strict"] = "power"
    power: Positive = 3.0


class CostsConfig(Section):
    """Fees that replace those of the instrument table; None keeps the table's."""

    maker_fee_bps: FeeBps | None = None
    taker_fee_bps: FeeBps | None = None


class InstrumentConfig(Section):
    """Steps and terms that replace those of the instrument table; None keeps the table's."""

    tick_size: Positive | None = None
    lot_size: Positive | None = None
    multiplier: Positive | None = None
    inverse: bool | None = None


class BacktestConfig(Section):
    """One backtest, in full."""

    store: Path = Path("store")
    exchange: str
    symbol: str
    start: int | None = None
    end: int | None = None
    strategy: StrategyConfig
    bar: str = "1s"
    capital: Positive = 100_000.0
    max_position: Positive | None = None
    execution: ExecutionConfig = ExecutionConfig()
    latency: LatencyConfig = LatencyConfig()
    queue: QueueConfig = QueueConfig()
    partial_fills: bool = True
    transaction_costs: CostsConfig = CostsConfig()
    instrument: InstrumentConfig = InstrumentConfig()
    seed: int = Field(default=0, ge=0)

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

    def instrument_overrides(self) -> dict[str, Any]:
        """Return what `mrtrade.instruments.instrument` takes as overrides, fees as fractions."""
        terms = self.instrument.model_dump(exclude_none=True)
        fees = self.transaction_costs.model_dump(exclude_none=True)
        return terms | {name.removesuffix("_bps"): bps / 10_000 for name, bps in fees.items()}


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
        return BacktestConfig.model_validate(content)
    except ValidationError as error:
        faults = [_describe(fault, lines) for fault in error.errors()]
    raise ConfigError(
        faults[0] if len(faults) == 1 else "\n  ".join([f"{len(faults)} faults", *faults]),
        file=file,
        remedy="see config/backtesting.yaml, where every key is described",
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


def _describe(fault: ErrorDetails, lines: Mapping[str, int]) -> str:
    path = [str(part) for part in fault["loc"]]
    key = ".".join(path)
    line = next((lines[k] for k in (key, ".".join(path[:-1])) if k in lines), None)
    where = f"line {line}, {key}" if line else key
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(path[-1], _fields(path[:-1]), n=1, cutoff=0)
        return f"{where}: unknown key; the nearest is {'.'.join([*path[:-1], near[0]])}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{where}: not given; it has no default"
    if not key:  # a fault of the whole, such as start after end
        return message
    return f"{where}: {message[0].lower()}{message[1:]}, was {fault['input']!r}"


def _fields(path: list[str]) -> list[str]:
    model: type[BaseModel] = BacktestConfig
    for part in path:
        inner = model.model_fields[part].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)
