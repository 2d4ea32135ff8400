import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from mrtrade import parallel
from mrtrade.errors import ConfigError, DataError, RunError
from mrtrade.parallel import Workers, _one_thread, run

TWO = [Workers(2), Workers(2, "threading")]


def work(seed, size):
    """Sums whose last digits hang on the order of summation, and on the threads of BLAS."""
    x = np.random.default_rng(seed).normal(size=(size, size))
    return hashlib.sha256((x @ x.T @ x).tobytes()).hexdigest(), float(np.exp(x).sum())


def threads(_):
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    return max(pool["num_threads"] for pool in threadpool_info())


def fails(number):
    if number == 3:
        raise DataError("spoiled", row=7)
    if number == 5:
        raise ValueError("not ours")
    return number


def paced(seconds):
    time.sleep(seconds)
    return seconds


def slow_first(number):
    time.sleep(0.2 if number == 0 else 0.0)
    return number


def ended(parent, number):
    if number and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)


TASKS = [(seed, 60) for seed in range(8)]


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("workers", TWO, ids=lambda w: w.backend)
def test_the_same_bits_and_order_whoever_works(workers):
    assert run(work, TASKS, workers) == run(work, TASKS) == [work(*task) for task in TASKS]
    assert run(slow_first, [(i,) for i in range(4)], workers) == [0, 1, 2, 3]


def test_the_same_bits_on_a_dask_cluster(cluster):
    workers = Workers(backend="dask", scheduler=cluster)
    seen = []
    assert run(work, TASKS, workers, seen.append) == run(work, TASKS)
    assert seen == list(range(1, 9))
    with pytest.raises(DataError, match=r"task 3, fails\(3\): row 7: spoiled"):
        run(fails, [(i,) for i in range(5)], workers)


def where(_):
    time.sleep(0.02)
    return os.getcwd()


def who(_):
    time.sleep(0.05)
    return os.getpid()


def test_this_process_does_its_share():
    pids = run(who, [(i,) for i in range(60)], Workers(2))
    assert pids[0] != os.getpid()  # handed out before this one begins
    assert os.getpid() in pids
    assert len(set(pids)) == 2


@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_a_path_begins_in_the_folder_of_who_asks(request, tmp_path, monkeypatch, backend):
    scheduler = request.getfixturevalue("cluster") if backend == "dask" else None
    workers = Workers(2, backend, scheduler)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(run(where, [(i,) for i in range(9)], workers)) == {str(tmp_path / name)}
    monkeypatch.setattr(os, "getcwd", lambda: str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="all workers have at the same place"):
        run(where, [(1,)], workers)


def test_a_dask_cluster_of_ones_own_is_ended():
    pytest.importorskip("distributed")
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    assert run(work, TASKS[:2], Workers(2, "dask")) == run(work, TASKS[:2])
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    assert not [c for c in left if "spawn_main" in " ".join(c.cmdline())]


@pytest.mark.parametrize("workers", [Workers(), *TWO], ids=["alone", "loky", "threading"])
def test_a_task_has_one_thread(workers):
    pytest.importorskip("threadpoolctl")
    assert run(threads, [(i,) for i in range(3)], workers) == [1, 1, 1]


def blas_threads():
    from threadpoolctl import threadpool_info

    return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


def beside(begun, go_on):
    with _one_thread():
        begun.set()
        assert go_on.wait(60)
        return blas_threads()


def test_a_task_that_ends_gives_no_threads_to_the_one_beside_it():
    pytest.importorskip("threadpoolctl")
    before, begun, go_on = blas_threads(), threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with _one_thread():
            other = pool.submit(beside, begun, go_on)
            assert begun.wait(60)
        go_on.set()
        assert other.result() == 1
    assert blas_threads() == before


@pytest.mark.parametrize("workers", [Workers(), *TWO], ids=["alone", "loky", "threading"])
def test_a_task_that_fails_is_named(workers):
    with pytest.raises(DataError, match=r"task 3, fails\(3\): row 7: spoiled"):
        run(fails, [(i,) for i in range(5)], workers)
    with pytest.raises(RunError, match=r"task 1, fails\(5\): ValueError: not ours"):
        run(fails, [(1,), (5,), (2,)], workers)
    assert run(fails, [(1,), (2,)], workers) == [1, 2]  # and the workers are of use again


@pytest.mark.parametrize("workers", [Workers(), *TWO], ids=["alone", "loky", "threading"])
def test_progress_is_told_in_order(workers):
    seen = []
    run(slow_first, [(i,) for i in range(4)], workers, seen.append)
    assert seen == [1, 2, 3, 4]


def test_tasks_that_cannot_be_made_are_not_left_out():
    """The other process takes the first, and looks for a third while this one is at the second."""

    def tasks():
        yield (0.0,)
        yield (0.5,)
        raise OSError("no more of them")

    run(paced, [(0.1,)] * 20, Workers(2))  # so that the other one is there
    with pytest.raises(OSError, match="no more of them"):
        run(paced, tasks(), Workers(2))


def test_a_process_that_is_killed_is_told():
    with pytest.raises(RunError, match="ended from outside, or crashed"):
        run(ended, [(os.getpid(), i) for i in range(100)], Workers(2))
    assert run(fails, [(1,), (2,)], Workers(2)) == [1, 2]


def test_nothing_to_do():
    assert run(work, []) == run(work, [], Workers(2)) == []


ENDLESS = """
import sys
from mrtrade.parallel import Workers, run
from tests.test_parallel import endless

run(endless, [(i,) for i in range(4)], Workers(2))
"""


def endless(number):
    Path(os.environ["STARTED"], str(number)).touch()
    time.sleep(600)


def test_an_interrupt_ends_the_workers(tmp_path):
    root = Path(__file__).parents[1]
    env = os.environ | {"STARTED": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=root, env=env, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            assert parent.poll() is None
            time.sleep(0.05)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
        parent.send_signal(signal.SIGINT)  # to the parent alone, as `kill -INT` does
        assert parent.wait(30) != 0
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
    finally:
        parent.kill()
        parent.wait()


def test_what_cannot_be():
    with pytest.raises(ConfigError, match="at least 1"):
        Workers(0)
    with pytest.raises(ConfigError, match="loky, threading, dask, ray"):
        Workers(2, "spark")
    with pytest.raises(ConfigError, match="a scheduler is for a cluster"):
        Workers(2, scheduler="tcp://127.0.0.1:1")


def test_a_scheduler_that_does_not_answer(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "PATIENCE", 1.0)
    with pytest.raises(ConfigError, match="dask worker"):
        run(work, TASKS, Workers(backend="dask", scheduler="127.0.0.1:1"))
    with pytest.raises(ConfigError, match=r"gone\.json: no file of a Dask scheduler"):
        run(work, TASKS, Workers(backend="dask", scheduler="gone.json"))


def test_a_scheduler_without_workers(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(parallel, "PATIENCE", 2.0)
    alone = distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0")
    with alone, pytest.raises(ConfigError, match="Dask scheduler with a worker"):
        run(work, TASKS, Workers(backend="dask", scheduler=alone.scheduler_address))
