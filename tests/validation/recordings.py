"""A small store with a synthetic recording, for the tests of gate 0."""

from pathlib import Path

from mrcore.market import SyntheticMarket, power_law_rates
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.synthetic import write_lake


def market_store(folder: Path, seconds: float = 4_500.0, informed: float = 0.5) -> Path:
    """Record a thin market with informed flow; returns the folder of its store."""
    pace = 0.05
    market = SyntheticMarket(
        7,
        fair_sd_ticks=300.0,
        half_life_s=30.0,
        fair_step_ns=100_000_000,
        limit_rates=power_law_rates(110.0 * pace, 1.4, 300),
        market_rate=40.0 * pace,
        cancel_rate=1.5 * pace,
        withdraw_rate=2.0,
        informed_share=informed,
        snapshot_levels=100,
    )
    write_lake(folder / "lake", market.run(seconds))
    ingest(folder / "lake", ParquetStore(folder / "store"))
    return folder / "store"
