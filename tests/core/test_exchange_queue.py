"""Models of the queue before an own order: tables, C functions, and what is refused."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from mrcore.exchange import QUEUE_MODELS
from mrcore.replay import Replay

from .feeds import LOT, TICK, columns, market_tape

BEHIND = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double, ctypes.c_double)
SOURCE = """
#include <math.h>
double behind(double front, double back, double n) { return 1.0 - pow(front / (front + back), n); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("models")
    (folder / "models.c").write_text(SOURCE)
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", "models.so", "models.c", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "models.so"))


@pytest.fixture(scope="module")
def tape():
    return market_tape(seed=11, n_deltas=20_000)


def fills(tape, **options):
    """What a quote a side at the touch, sent each 200 ms, fills."""
    r = Replay(0.1, 0.001, entry_latency_ns=10**6, **options)
    r.feed(*tape)
    ids = ()
    for now in range(int(tape[0][0][0]) + 10**9, int(tape[0][0][-1]), 2 * 10**8):
        r.advance(now)
        for order_id in ids:
            r.cancel(order_id)
        ids = [r.submit(1, r.bid_tick, 300), r.submit(-1, r.ask_tick, 300)]
    r.finish()
    assert len(r.fills()) > 20
    return r.fills()


@pytest.mark.parametrize("n", [1.0, 2.5])
def test_a_compiled_function_is_a_queue_model(library, tape, n):
    ours = fills(tape, queue_model="kernel", queue_kernel=library.behind, queue_power=n)
    np.testing.assert_array_equal(ours, fills(tape, queue_model="power3", queue_power=n))
    assert len(ours) != len(fills(tape, queue_model="risk_averse"))


def test_an_object_with_an_address_is_a_queue_model(library, tape):
    class Compiled:  # as numba's cfunc
        address = ctypes.cast(library.behind, ctypes.c_void_p).value

    ours = fills(tape, queue_model="kernel", queue_kernel=Compiled(), queue_power=2.0)
    np.testing.assert_array_equal(ours, fills(tape, queue_model="power3", queue_power=2.0))


def test_a_python_function_is_a_queue_model_too(tape):
    behind = BEHIND(lambda front, back, n: 1.0 - front / (front + back) if front + back else 1.0)
    ours = fills(tape, queue_model="kernel", queue_kernel=behind)
    np.testing.assert_array_equal(ours, fills(tape, queue_model="power3", queue_power=1.0))


def test_a_straight_table_is_power3_of_1(tape):
    # of two values: a longer one multiplies and adds differently in the last bit
    ours = fills(tape, queue_model="table", queue_table=np.array([1.0, 0.0]))
    np.testing.assert_array_equal(ours, fills(tape, queue_model="power3", queue_power=1.0))


def test_nothing_stands_before_an_optimistic_order():
    book = columns([(0, 1, 99, 8), (0, -1, 101, 8), (60, 1, 99, 20)])
    trades = columns([(50, -1, 99, 2), (70, -1, 99, 1), (80, -1, 99, 4)])
    r = Replay(TICK, LOT, queue_model="optimistic")
    r.feed(book, trades)
    r.advance(10)
    r.submit(1, 99, 5)
    r.finish()
    assert r.fills()["lots"].tolist() == [2, 1, 2]


def test_models_ordered_by_how_soon_they_fill(tape):
    lots = {
        model: fills(tape, queue_model=model)["lots"].sum()
        for model in QUEUE_MODELS
        if model not in ("table", "kernel", "fifo")
    }
    strict, risk_averse, optimistic = map(lots.pop, ("strict", "risk_averse", "optimistic"))
    assert strict < risk_averse < min(lots.values()) <= max(lots.values()) < optimistic
    assert len(set(lots.values())) == len(lots)


@pytest.mark.parametrize(
    "options",
    [
        {"queue_model": "fifth"},
        {"queue_power": float("inf")},
        {"queue_power": 0.0},
        {"queue_table": np.array([1.0, 0.0])},
        {"queue_table": None, "queue_model": "table"},
        {"queue_table": np.array([1.0]), "queue_model": "table"},
        {"queue_table": np.array([1.0, np.nan]), "queue_model": "table"},
        {"queue_table": np.array([1.0, 1.5]), "queue_model": "table"},
        {"queue_kernel": None, "queue_model": "kernel"},
        {"queue_kernel": BEHIND(lambda f, b, n: 0.0)},
    ],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Replay(TICK, LOT, **options)


@pytest.mark.parametrize("kernel", [lambda f, b, n: 0.0, 3.5, "power"])
def test_what_is_no_function(kernel):
    with pytest.raises(TypeError, match="ctypes function"):
        Replay(TICK, LOT, queue_model="kernel", queue_kernel=kernel)
