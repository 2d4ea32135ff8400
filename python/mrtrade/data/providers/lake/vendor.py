"""The vendor's own client, lakeapi, kept from doing harm.

What it does otherwise, and what is done about it: it makes a folder ``.lake_cache`` where the
process happens to stand (it gets one inside our cache); it keeps decoded frames and does not notice
that a day was corrected (it keeps none); it lists a whole table to find one day (it is shown one
series); it prints and warns (that goes to the log); it turns a refusal of S3 into a ValueError of
its code (it is told as what it was); its sample mode cannot be left again (it is set for a call and
put back); it leaves out days that it cannot read (each is asked for by itself, and missed).
"""

import datetime
import importlib.util
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mrtrade.data.checks import Checks
from mrtrade.data.providers.lake.access import REGION, Bucket
from mrtrade.data.providers.lake.objects import LakeDay
from mrtrade.errors import DataError, SourceError

TIMEOUT_S = 10

log = logging.getLogger(__name__)

# lakeapi keeps its settings in its modules: one call at a time.
_one_at_a_time = threading.RLock()


def installed() -> bool:
    """Whether lakeapi can be imported."""
    return importlib.util.find_spec("lakeapi") is not None


class Vendor:
    """lakeapi on one bucket, for one piece of work: between two of them it forgets all.

    Parameters
    ----------
    bucket : Bucket
        Whose session and spelling are used.
    folder : Path
        Where lakeapi may keep what it keeps.
    """

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self._bucket = bucket
        self._folder = folder
        self._in_use = False

    def rows(self, day: LakeDay, checks: Checks) -> Iterator[pa.Table]:
        """Yield the rows of a day as its table has them, by received_time.

        Raises
        ------
        DataError
            If lakeapi gives none, though the bucket lists them, or one is wrong.
        SourceError
            If it is refused.
        """
        frame = self._frame(day)
        if frame.empty or "received_time" not in frame:
            raise DataError(
                f"{day}: what Crypto Lake holds of this day cannot be read: lakeapi gives no rows",
                remedy="go on without this day, tell Crypto Lake, and load it again when corrected",
            )
        rows = pa.Table.from_pandas(_as_recorded(frame), preserve_index=False)
        checker = checks.checker(day.table, str(day), day.exchange, day.symbol, rows.schema)
        yield checker(rows)

    def used_data(self) -> dict[str, Any] | None:
        """Return what the subscription says was downloaded; None if it cannot be asked."""
        try:
            with self._lakeapi() as main:
                used = main.used_data(self._session())  # by name it fails
        except Exception as error:  # whatever it is: without an answer the work goes on
            log.info("used_data: %s", type(error).__name__)
            return None
        return used if isinstance(used, dict) else None

    def _frame(self, day: LakeDay) -> pd.DataFrame:
        start = datetime.datetime.fromisoformat(day.day)
        span = (start, start + datetime.timedelta(days=1))
        root = f"{self._bucket.name}/{self._bucket.root}"
        session = self._session()
        with self._lakeapi() as main:
            try:
                user, method = main._login(session, day.table)
                options = {"boto3_session": session, "use_threads": False, "cached": False}
                if method == "cloudfront":  # reads the table's list of contents by itself
                    series = ([day.symbol], [day.exchange])
                    frame: pd.DataFrame = main.load_data(day.table, *span, *series, **options)
                    return frame
                # Given a whole table it would list all that was ever recorded.
                place = f"{root}{day.table}/exchange={day.exchange}"
                name = f"symbol={day.symbol}"
                with _changed(main, _login=lambda session, table: (user, method)):
                    frame = main.load_data(name, *span, bucket=place, **options)
                return frame
            except Exception as error:
                fault = self._explained(day, error)
                if fault is None:
                    return pd.DataFrame()
                raise fault from error

    def _explained(self, day: LakeDay, error: Exception) -> Exception | None:
        """Return the error to raise; None where lakeapi found, or could read, nothing."""
        from botocore.exceptions import BotoCoreError, ClientError

        text = str(error)
        if type(error).__name__ == "NoFilesFound" or "No objects to concatenate" in text:
            return None
        if "outdated" in text:
            return SourceError(
                "Crypto Lake no longer serves this version of lakeapi",
                remedy='pip install -U lakeapi, or read without it (client="s3")',
            )
        cause = error.__context__ if isinstance(error, ValueError) else error
        if isinstance(cause, BotoCoreError | ClientError | OSError):
            return self._bucket.refusal(f"lakeapi cannot load {day}", cause)
        return SourceError(
            f"{day}: lakeapi failed ({type(error).__name__})",
            remedy='read without it (client="s3")',
        )

    def _session(self) -> Any:
        """Return a session whose clients do not wait for minutes."""
        import boto3
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config

        core = botocore.session.Session(profile=self._bucket.profile)
        core.set_default_client_config(
            Config(
                connect_timeout=TIMEOUT_S,
                read_timeout=TIMEOUT_S,
                signature_version=UNSIGNED if self._bucket.anonymous else None,
            )
        )
        return boto3.Session(botocore_session=core, region_name=REGION)

    @contextmanager
    def _lakeapi(self) -> Iterator[Any]:
        """Give lakeapi's module, set for this bucket, quiet, and with nothing remembered."""
        with _one_at_a_time, ExitStack() as stack:
            main = _imported(self._folder)
            for name, cache in (
                ("boto", main.cache),
                ("contents", main.contents_cache),
                ("login", main._login.cache),
                ("used_data", main.used_data.cache),
            ):
                # Someone else may have imported it before, in a folder of theirs.
                place = self._folder / ".lake_cache" / name
                place.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_changed(cache, path=place))
                if not self._in_use:  # what it remembers is of hours ago, and of whatever keys
                    cache.clear()
            self._in_use = True
            requests = main.requests
            quiet = SimpleNamespace(get=partial(requests.get, timeout=TIMEOUT_S))
            where = f"{self._bucket.name}/{self._bucket.root}".rstrip("/")
            stack.enter_context(_changed(main, requests=quiet, print=_said, default_bucket=where))
            stack.enter_context(_changed(main.tqdm.contrib.concurrent, thread_map=_map))
            stack.enter_context(_changed(main, is_anonymous_access=self._bucket.anonymous))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            yield main


def _imported(folder: Path) -> Any:
    """Import lakeapi so that its folders lie in the one given."""
    folder.mkdir(parents=True, exist_ok=True)
    if not installed():
        raise SourceError(
            "lakeapi is not installed", remedy='pip install "mrtrade[lake]", or use client="s3"'
        )
    caches, joblib = map(importlib.import_module, ("cachetools_ext.fs", "joblib"))

    class Placed(caches.FSLRUCache):  # type: ignore[misc,name-defined]
        def __init__(self, maxsize: int, path: str, **options: Any) -> None:
            super().__init__(maxsize, folder / path, **options)

    def memory(location: str, *args: Any, **options: Any) -> Any:
        return store(os.path.join(folder, location), *args, **options)

    store = joblib.Memory
    with (
        warnings.catch_warnings(),
        _changed(caches, FSLRUCache=Placed),
        _changed(joblib, Memory=memory),
    ):
        warnings.simplefilter("ignore")
        import lakeapi.main
    # Without a handler of its own its warnings would go to the terminal.
    logging.getLogger("lakeapi").addHandler(logging.NullHandler())
    return lakeapi.main


def _as_recorded(frame: pd.DataFrame) -> pd.DataFrame:
    """Undo what lakeapi's conversion adds: float seconds are good to a microsecond, no better."""
    frame = frame.sort_values("received_time", kind="stable")
    if "next_funding_time" in frame:
        frame["next_funding_time"] = frame["next_funding_time"].dt.round("us")
    for name in frame.columns:
        column = frame[name]
        if name == "id" and column.dtype == np.float64 and column.isna().all():
            frame[name] = pd.array([pd.NA] * len(frame), dtype="Int64")
    return frame


@contextmanager
def _changed(module: Any, **values: Any) -> Iterator[None]:
    """Give names of a module other values for a while."""
    missing = object()
    before = {name: module.__dict__.get(name, missing) for name in values}
    module.__dict__.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is missing:
                del module.__dict__[name]
            else:
                module.__dict__[name] = value


def _said(*words: object, **_: object) -> None:
    log.info("lakeapi: %s", " ".join(map(str, words)))


def _map(call: Any, items: Any, **_: object) -> list[Any]:
    return list(map(call, items))
