"""Crypto Lake: its bucket, read without holes and in bounded memory."""

from mrtrade.data.providers.lake.files import LakeFile
from mrtrade.data.providers.lake.objects import (
    EVENT_TABLES,
    LAKE_TABLES,
    LakeDay,
    LakeObject,
    UnknownSeriesError,
)
from mrtrade.data.providers.lake.provider import CryptoLakeProvider, cache_folder
from mrtrade.data.providers.lake.reading import LakeGap, LakeStream

__all__ = [
    "EVENT_TABLES",
    "LAKE_TABLES",
    "CryptoLakeProvider",
    "LakeDay",
    "LakeFile",
    "LakeGap",
    "LakeObject",
    "LakeStream",
    "UnknownSeriesError",
    "cache_folder",
]
