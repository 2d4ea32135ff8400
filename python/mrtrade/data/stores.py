"""Stores by their address."""

import os

from mrtrade.data.store import Store


def open_store(url: str | os.PathLike[str]) -> Store:
    """Open a store by its address.

    Parameters
    ----------
    url : str or path
        =============================  =====================================================
        ``store``, ``/data/store``     `ParquetStore` in a folder, made at the first write
        ``s3://bucket/prefix``         `ParquetStore` on S3 or what speaks like it
        ``timescale``                  `TimescaleStore` as ``config/timescaledb.yaml`` says
        ``timescale:FILE.yaml``        the same from another file
        ``postgresql://user@host/db``  `TimescaleStore`; the password from the environment
        =============================  =====================================================

    Raises
    ------
    StoreError
        If there is no such store, or it cannot be reached.
    """
    text = os.fspath(url)
    scheme = text.partition(":")[0]
    if scheme in ("timescale", "postgresql", "postgres"):
        from mrtrade.data.timescale import TimescaleStore

        return TimescaleStore(text)
    from mrtrade.data.parquet import ParquetStore

    return ParquetStore(text)
