"""Crypto Lake: its bucket, read without holes and in bounded memory."""

from mrtrade.data.providers.lake.objects import (
    EVENT_TABLES,
    LAKE_TABLES,
    LakeDay,
    LakeObject,
    UnknownSeriesError,
)
from mrtrade.data.providers.lake.provider import CryptoLakeProvider, cache_folder

__all__ = [
    "EVENT_TABLES",
    "LAKE_TABLES",
    "CryptoLakeProvider",
    "LakeDay",
    "LakeObject",
    "UnknownSeriesError",
    "cache_folder",
]
