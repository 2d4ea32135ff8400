"""Many independent tasks at once: on the cores of this machine, or on a cluster.

Tasks take paths and small values, not data: a worker reads what it needs from storage that all
share. Results come in the order of the tasks and do not depend on where they were made: a task has
one thread wherever it runs, since sums of many threads differ in their last digits by their number
(and threads of many workers would be in each other's way). ``docs/scaling.md`` has an example.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from mrtrade.errors import ConfigError, MrTradeError, RunError

Backend = Literal["loky", "threading", "dask", "ray"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workers:
    """Who does the work.

    Attributes
    ----------
    jobs : int
        Tasks at once; 1: in this process. A cluster that is named by its scheduler has as many as
        it has workers.
    backend : str
        ``loky`` (processes), ``threading``, ``dask`` or ``ray``.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, or of a Ray head. Without one
        these backends start `jobs` workers on this machine and end them afterwards.
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

PATIENCE = "10s"
"""How long a scheduler has to answer."""


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

    Raises
    ------
    MrTradeError
        The first task, in order, that failed, named by its number and its arguments: of the kind
        that it raised, or a `RunError` for what is not an error of ours. The rest is given up.
    """
    named = ((function, number, task) for number, task in enumerate(tasks))
    if workers.jobs == 1 and workers.backend in ("loky", "threading"):
        return _collect((_call(*one) for one in named), done, each)
    import joblib

    with _cluster(workers):
        parallel = joblib.Parallel(
            n_jobs=-1 if workers.scheduler is not None else workers.jobs,
            # Ray's backend gives all results at once, and so tells nothing before.
            return_as="list" if workers.backend == "ray" else "generator",
            batch_size=1,
        )
        results = parallel(joblib.delayed(_call)(*one) for one in named)
        try:
            return _collect(results, done, each)
        except BaseException:
            if isinstance(results, Generator):
                results.close()
            if workers.backend == "loky":
                _end_processes()
            raise


def _call(function: Callable[..., T], number: int, task: tuple[Any, ...]) -> T:
    """Do one task; what it raises says which one it was."""
    try:
        with _one_thread():
            return function(*task)
    except Exception as error:
        what = f"task {number}, {function.__name__}({', '.join(map(_brief, task))}): "
        if isinstance(error, MrTradeError):
            raise type(error)(f"{what}{error}") from error
        raise RunError(f"{what}{type(error).__name__}: {error}") from error


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


#: The limit that holds BLAS, once for each task that this process is at.
_LIMITS: list[Any] = []
_LIMITS_LOCK = threading.Lock()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, where threadpoolctl is there to do it.

    OpenMP has a number of threads for each thread that asks, BLAS has one for the process: of
    tasks side by side the first one limits it, and the last one that ends gives it back.
    """
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ModuleNotFoundError:  # it comes with scikit-learn; without, few use threads
        yield
        return
    found = ThreadpoolController()
    blas = found.select(user_api="blas")
    with found.select(user_api="openmp").limit(limits=1):
        with _LIMITS_LOCK:
            _LIMITS.append(_LIMITS[0] if _LIMITS else blas.limit(limits=1))
        try:
            yield
        finally:
            with _LIMITS_LOCK:
                limit = _LIMITS.pop()
                if not _LIMITS:
                    limit.restore_original_limits()


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


def _end_processes() -> None:
    """End the processes of this machine with what they are at: nobody waits for it any more."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextmanager
def _cluster(workers: Workers) -> Iterator[None]:
    """Set joblib's backend; what was started for it is ended."""
    import joblib

    with ExitStack() as stack:
        options: dict[str, Any] = {}
        if workers.backend == "dask":
            options["client"] = stack.enter_context(_dask(workers))
        elif workers.backend == "ray":
            stack.enter_context(_ray(workers))
        elif workers.backend == "loky":
            options["inner_max_num_threads"] = 1
        stack.enter_context(joblib.parallel_config(workers.backend, **options))
        # joblib 1.5 has renamed what the backends of Dask and Ray implement, and they have not.
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "`apply_async` is deprecated", DeprecationWarning)
        yield


@contextmanager
def _dask(workers: Workers) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError as error:
        raise _missing("dask") from error
    with ExitStack() as stack:
        address: Any = workers.scheduler
        if address is None:
            own = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers.jobs, threads_per_worker=1, dashboard_address="127.0.0.1:0"
            )
            address = stack.enter_context(own)
        try:
            client = Client(address, set_as_default=False, timeout=PATIENCE)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"no Dask scheduler answers there: {error}",
                value=workers.scheduler,
                remedy="start one by `dask scheduler`, and workers by `dask worker ADDRESS`",
            ) from error
        yield stack.enter_context(client)


@contextmanager
def _ray(workers: Workers) -> Iterator[None]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ModuleNotFoundError as error:
        raise _missing("ray") from error
    started = not ray.is_initialized()
    if started:
        cpus = workers.jobs if workers.scheduler is None else None
        ray.init(
            address=workers.scheduler, num_cpus=cpus, include_dashboard=False, log_to_driver=False
        )
    try:
        register_ray()
        yield
    finally:
        if started:
            ray.shutdown()


def _missing(backend: str) -> ConfigError:
    extra = "'mrtrade[distributed]'" if backend == "dask" else "'ray[default]'"
    return ConfigError(f"the backend {backend} is not installed", remedy=f"pip install {extra}")
