"""Many independent tasks at once: on the cores of this machine, or on a cluster.

Tasks take paths and small values, not data: a worker reads what it needs from storage that all
share. A path that is not absolute begins in the folder of whoever asks: a worker goes there first,
so that one of a cluster must have it at the same place. Results come in the order of the tasks
and do not depend on where they were made: a task has one thread wherever it runs, since sums of
many threads differ in their last digits by their number (and threads of many workers would be in
each other's way). ``docs/scaling.md`` has an example.
"""

from __future__ import annotations

import json
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
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
        Tasks at once; one of them in this process. A cluster that is named by its scheduler has as
        many as it has workers.
    backend : str
        ``loky`` (processes), ``threading``, ``dask`` or ``ray``.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, or the ``.json`` file that it
        writes it to; or address of a Ray head. Without one these backends start `jobs` workers on
        this machine and end them afterwards.
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

IDLE_S = 60
"""How long a process waits for more before it ends, s."""

THREADS = tuple(f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR"))
"""What libraries read when they are loaded."""

PATIENCE = 30.0
"""How long a cluster has to come up, s: the scheduler's file, its answer, a first worker."""


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
    alone = workers.jobs == 1 and workers.backend in ("loky", "threading")
    # A process that is kept from an earlier call is where that was.
    folder = None if alone or workers.backend == "threading" else os.getcwd()
    named = ((function, number, task, folder) for number, task in enumerate(tasks))
    if alone:
        return _collect((_call(*one) for one in named), done, each)
    if workers.backend == "loky":
        results = _with_others(named, workers.jobs)
        try:
            return _collect(results, done, each)
        except BaseException as error:
            results.close()
            end_processes()
            if isinstance(error, BrokenExecutor):
                raise RunError(
                    "a process that worked was ended from outside, or crashed",
                    remedy="where memory ran out, ask for fewer jobs",
                ) from error
            raise
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
            raise


def _call(function: Callable[..., T], number: int, task: tuple[Any, ...], folder: str | None) -> T:
    """Do one task; what it raises says which one it was."""
    if folder is not None:
        _enter(folder)
    try:
        with _one_thread():
            return function(*task)
    except Exception as error:
        what = f"task {number}, {function.__name__}({', '.join(map(_brief, task))}): "
        if isinstance(error, MrTradeError):
            raise type(error)(f"{what}{error}") from error
        raise RunError(f"{what}{type(error).__name__}: {error}") from error


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise ConfigError(
            f"a worker cannot go to the folder that the work is in: {error.strerror}",
            file=folder,
            expected="a folder that all workers have at the same place",
            remedy="work in a folder of the storage that they share",
        ) from error


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


def _with_others(named: Iterable[tuple[Any, ...]], jobs: int) -> Generator[Any, None, None]:
    """Yield results in order; this process does its share, beside one fewer than `jobs` others.

    A process that is started takes a second to import what it needs. This one has it, and works on
    meanwhile. The others are joblib's (loky); whoever is done takes the next task.
    """
    from joblib.externals.loky import get_reusable_executor

    executor = get_reusable_executor(jobs - 1, timeout=IDLE_S, env=dict.fromkeys(THREADS, "1"))
    tasks, lock, begun = iter(named), threading.Lock(), deque[Future[Any]]()

    def hand_out(_: object = None) -> None:
        with lock:
            try:
                if (task := next(tasks, None)) is None:
                    return
                future = executor.submit(_call, *task)
            except Exception as error:  # said in its turn: what a callback raises is lost
                future = Future()
                future.set_exception(error)
                begun.append(future)
                return
            begun.append(future)
        future.add_done_callback(hand_out)

    try:
        for _ in range(jobs - 1):
            hand_out()
        while True:
            with lock:
                if (task := next(tasks, None)) is None:
                    break
                own: Future[Any] = Future()
                begun.append(own)
            try:
                own.set_result(_call(*task))
            except Exception as error:  # those before it are told first
                own.set_exception(error)
            while begun and begun[0].done():
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        with lock:
            tasks = iter(())


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


def end_processes() -> None:
    """End the processes that were started on this machine, with what they are at."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


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
        if workers.scheduler is None:
            own = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers.jobs, threads_per_worker=1, dashboard_address="127.0.0.1:0"
            )
            address: Any = stack.enter_context(own)
        else:
            address = _address(workers.scheduler)
        try:
            client = Client(address, set_as_default=False, timeout=PATIENCE)  # type: ignore[no-untyped-call]
            stack.enter_context(client)
            client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"no Dask scheduler with a worker answers there: {error}",
                value=workers.scheduler,
                remedy="start one by `dask scheduler`, and workers by `dask worker ADDRESS`",
            ) from error
        yield client


def _address(scheduler: str) -> str:
    """Return the address itself; a file that holds it may not have been written yet."""
    if not scheduler.endswith(".json"):
        return scheduler
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return str(json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            if time.monotonic() > until:
                raise ConfigError(
                    f"no file of a Dask scheduler: {error}",
                    file=scheduler,
                    remedy="start one by `dask scheduler --scheduler-file FILE`",
                ) from error
            time.sleep(0.05)


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
