"""The embedded store: Parquet files, in a folder or on S3, that DuckDB, Polars and Spark read.

======================  ========================================================================
`store.ParquetStore`    the store, wherever its bytes lie
`layout`                where a partition lies, and what its manifest says
`parts`                 a partition as a Parquet file: encodings, row groups
`files`                 what the store asks of the place where the bytes lie
`files_local`, `files_s3`, `lease`   the two places, and the writers' lock on S3
======================  ========================================================================
"""

from mrtrade.data.parquet.store import ParquetStore

__all__ = ["ParquetStore"]
