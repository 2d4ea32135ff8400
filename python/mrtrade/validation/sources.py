"""Datasets of the candles that a configuration names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mrtrade.errors import ConfigError, DataError
from mrtrade.ml.candles import candle_dataset
from mrtrade.validation.settings import CandleFiles, DataConfig


def dataset_folder(symbol: str, config: DataConfig) -> Path:
    """Make the dataset of a symbol, or find the one that was made of the same files.

    Returns
    -------
    path
        Its folder, in ``config.cache``.
    """
    if symbol not in config.symbols:
        raise ConfigError("no such symbol in the configuration", key="data.symbols", value=symbol)
    files: CandleFiles = config.symbols[symbol]
    given = {name: getattr(files, name) for name in ("spot", "funding", "leader")}
    frames = {
        name: None if file is None else _read(config.root / file) for name, file in given.items()
    }
    before = set(_folders(config.cache))
    data = candle_dataset(
        symbol,
        _read(config.root / files.candles),
        spot=frames["spot"],
        funding=frames["funding"],
        leader=frames["leader"],
        spread_bps=files.spread_bps,
        start=config.start,
        end=config.end,
        cache=config.cache,
    )
    for folder in (set(_folders(config.cache)) - before) or before:
        if folder.name.endswith(data.fingerprint[:16]):
            return folder
    raise DataError("the dataset is gone that was just made", file=config.cache)


def _folders(cache: Path) -> list[Path]:
    return [path for path in cache.glob("*") if path.is_dir()] if cache.is_dir() else []


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read: {error}", file=file, remedy="give data.root, or --root"
        ) from error
