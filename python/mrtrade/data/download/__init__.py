"""From Crypto Lake's bucket into a store: planned first, in parallel, resumed by running it again.

Nothing is done twice. A day that the store has, in the version that the bucket has, is passed over;
an object in the cache is not fetched again; a day is written whole or not at all. So whatever ends
a download (Ctrl-C, a power cut, a full disk), the same call goes on from there.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from mrtrade.clock import Scalar
from mrtrade.data.download.plan import (
    PERPETUAL_TABLES,
    SPOT_TABLES,
    DownloadPlan,
    Need,
    PlannedDay,
    make_plan,
)
from mrtrade.data.download.quality import Quality
from mrtrade.data.download.report import DayReport, DownloadReport, Gap
from mrtrade.data.download.run import Download, Progress, State
from mrtrade.data.providers.lake import CryptoLakeProvider
from mrtrade.data.store import Store
from mrtrade.data.stores import open_store
from mrtrade.errors import ConfigError

__all__ = [
    "PERPETUAL_TABLES",
    "SPOT_TABLES",
    "DayReport",
    "Download",
    "DownloadPlan",
    "DownloadReport",
    "Gap",
    "Need",
    "PlannedDay",
    "Quality",
    "State",
    "download",
    "prepare",
]


def download(
    symbol: str,
    start: Scalar,
    end: Scalar | None = None,
    *,
    exchange: str = "binance",
    tables: Sequence[str] | None = None,
    store: Store | str = "store",
    provider: CryptoLakeProvider | None = None,
    jobs: int = 4,
    keep_cache: bool = True,
    progress: Progress | None = None,
) -> DownloadReport:
    """Bring what Crypto Lake has of a symbol into a store.

    Bad rows go to the table `quarantine`, each with its reason; a day that cannot be had or not be
    read is reported, and does not stop the others.

    Parameters
    ----------
    symbol : str
        As users write it: ``BTC/USDT``, ``BTC/USDT-PERP``.
    start, end : time
        UTC days, those that hold these times; `end` is not of the span, and without one the last
        whole day is the last.
    exchange : str
    tables : sequence of str, optional
        Without it `SPOT_TABLES` or, of a perpetual, `PERPETUAL_TABLES`, as far as the bucket has
        them.
    store : Store or str
        A store, or the address of one.
    provider : CryptoLakeProvider, optional
        Where to read; without it Crypto Lake's bucket, with the keys of the environment.
    jobs : int
        Days fetched at a time.
    keep_cache : bool
        Whether fetched objects stay in the cache once their rows are in the store.
    progress : callable, optional
        Called with a `State`, from several threads, but never by two at a time.

    Returns
    -------
    DownloadReport
        ``report.is_complete``, ``report.gaps("trades")``, ``report.failed``.

    Raises
    ------
    ConfigError
        If the symbol, a table or the span is none.
    SourceError
        If the bucket cannot be read, or has nothing of all this.
    StoreError
        If the store cannot be opened, or there is not enough room on its disk or the cache's.
    KeyboardInterrupt
        The store holds whole days only.
    """
    with ExitStack() as open_stores:
        if isinstance(store, str):
            store = open_store(store)
            open_stores.callback(store.close)
        task = prepare(
            symbol,
            start,
            end,
            exchange=exchange,
            tables=tables,
            store=store,
            provider=provider or CryptoLakeProvider(),
            jobs=jobs,
            keep_cache=keep_cache,
            progress=progress,
        )
        task.plan.check_room()
        return task.run()


def prepare(
    symbol: str,
    start: Scalar,
    end: Scalar | None,
    *,
    exchange: str,
    tables: Sequence[str] | None,
    store: Store,
    provider: CryptoLakeProvider,
    jobs: int,
    keep_cache: bool,
    progress: Progress | None,
) -> Download:
    """Plan a download and return it; `download` tells of the parameters."""
    if jobs < 1:
        raise ConfigError("too few", key="jobs", value=jobs, expected="at least 1")
    plan = make_plan(
        symbol,
        start,
        end,
        exchange=exchange,
        tables=tables,
        store=store,
        provider=provider,
        jobs=jobs,
        keep_cache=keep_cache,
    )
    return Download(plan, store, provider, jobs=jobs, keep_cache=keep_cache, progress=progress)
