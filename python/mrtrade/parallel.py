"""Many independent tasks at once: on the cores of this machine, or on a cluster.

Tasks take paths and small values, not data: a worker reads what it needs from storage that all
share. Results come in the order of the tasks and do not depend on where they were made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from mrtrade.errors import ConfigError

Backend = Literal["loky", "threading", "dask", "ray"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work.

    Attributes
    ----------
    jobs : int
        Tasks at once; 1: in this process. A cluster has as many as it has workers.
    backend : str
        ``loky`` (processes), ``threading``, ``dask`` or ``ray``.
    scheduler : str, optional
        Address of a Dask scheduler or a Ray head.
    """

    jobs: int = 1
    backend: Backend = "loky"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ConfigError("too few jobs", value=self.jobs, expected="at least 1")
        if self.backend not in get_args(Backend):
            raise ConfigError(
                "no such backend", value=self.backend, expected=", ".join(get_args(Backend))
            )
        if self.scheduler is not None and self.backend not in ("dask", "ray"):
            raise ConfigError(
                "a scheduler is for a cluster",
                value=self.scheduler,
                remedy="name the backend: dask or ray",
            )


ALONE = Workers()


def run(
    function: Callable[..., T],
    tasks: Iterable[tuple[Any, ...]],
    workers: Workers = ALONE,
    done: Callable[[int], None] | None = None,
    each: Callable[[T], None] | None = None,
) -> list[T]:
    """Call a function with each tuple of arguments.

    Parameters
    ----------
    function : callable
        Of a module, so that a worker can import it.
    tasks : iterable of tuple
        Its arguments.
    workers : Workers
    done : callable, optional
        Told the number of results so far after each, in order.
    each : callable, optional
        Given each result as soon as it and those before it are there.

    Returns
    -------
    list
        In the order of the tasks.
    """
    if workers.jobs == 1 and workers.backend in ("loky", "threading"):
        results = (function(*task) for task in tasks)
        return _collect(results, done, each)
    import joblib

    with _cluster(workers):
        parallel = joblib.Parallel(
            n_jobs=workers.jobs if workers.scheduler is None else -1, return_as="generator"
        )
        return _collect(parallel(joblib.delayed(function)(*task) for task in tasks), done, each)


def _collect(
    results: Iterable[T],
    done: Callable[[int], None] | None,
    each: Callable[[T], None] | None,
) -> list[T]:
    out = []
    for result in results:
        out.append(result)
        if each is not None:
            each(result)
        if done is not None:
            done(len(out))
    return out


def _cluster(workers: Workers) -> AbstractContextManager[Any]:
    import joblib

    options: dict[str, Any] = {}
    if workers.backend == "dask":
        from distributed import Client

        options["client"] = Client(workers.scheduler, set_as_default=False)  # type: ignore[no-untyped-call]
    elif workers.backend == "ray":
        from ray.util.joblib import register_ray

        register_ray()
    config: AbstractContextManager[Any] = joblib.parallel_config(workers.backend, **options)
    return config
