"""The ledger of trials: what counts as one, and that none is lost."""

import enum
import fcntl
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mrtrade.errors import ConfigError, DataError, RunError
from mrtrade.ml import trials
from mrtrade.ml.trials import FIELDS, Trial, TrialLedger, canonical

from .trial_worker import work


@pytest.fixture
def ledger(tmp_path):
    return TrialLedger(tmp_path / "work" / "trials.jsonl")


def lines(ledger) -> list[dict]:
    return [json.loads(line) for line in ledger.path.read_text().splitlines()]


def test_a_trial_is_one_line_with_all_that_was_said(ledger):
    assert ledger.record(
        "sweep",
        {"window": 20, "entry": 1.5},
        study="btc",
        data="ab12",
        sharpe=0.07,
        n_periods=731,
        period="1d",
        returns_digest="ff",
        returns_path=Path("runs/1.parquet"),
    )
    (line,) = lines(ledger)
    assert tuple(line) == FIELDS
    assert len(line.pop("key")) == 32
    told = datetime.fromisoformat(line.pop("time"))
    assert abs((datetime.now(UTC) - told).total_seconds()) < 3600
    assert line == {
        "study": "btc",
        "kind": "sweep",
        "params": {"entry": 1.5, "window": 20},
        "data": "ab12",
        "sharpe": 0.07,
        "n_periods": 731,
        "period_ns": 86_400_000_000_000,
        "returns_digest": "ff",
        "returns_path": "runs/1.parquet",
    }


def test_the_same_again_counts_once_whatever_run_it_is(ledger):
    assert ledger.record("sweep", {"a": 1, "b": 2}, data="x", sharpe=0.1)
    assert not ledger.record("sweep", {"b": 2.0, "a": np.int64(1)}, data="x", sharpe=0.1)
    assert not TrialLedger(ledger.path).record("sweep", {"b": 2, "a": 1}, data="x", sharpe=0.1)
    assert ledger.count() == len(lines(ledger)) == 1
    # each of these is another
    assert ledger.record("sweep", {"a": 1, "b": 3}, data="x")
    assert ledger.record("sweep", {"a": 1, "b": 2}, data="y")
    assert ledger.record("model", {"a": 1, "b": 2}, data="x")
    assert ledger.record("sweep", {"a": 1, "b": 2}, data="x", study="other")
    assert ledger.count() == 5
    assert ledger.count("default") == 4
    assert ledger.count("other") == 1
    assert ledger.count("nothing") == 0


def test_what_was_measured_last_holds_and_the_trial_keeps_its_place(ledger):
    ledger.record("m", {"a": 1})
    ledger.record("m", {"a": 2}, sharpe=0.2)
    assert not ledger.record("m", {"a": 1}, sharpe=0.5)
    assert len(lines(ledger)) == 3
    for one in (ledger, TrialLedger(ledger.path)):
        assert one.count() == 2
        assert one.frame()["sharpe"].tolist() == [0.5, 0.2]


def test_a_batch_is_one_write(ledger, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda file, real=os.fsync: calls.append(real(file)))
    ledger.record("m", {"a": 0})
    calls.clear()
    trials = [Trial("m", {"a": a % 700}, sharpe=a % 700) for a in range(1000)]
    assert ledger.record_many(trials) == 699 + 0  # 0 was there, and the last 300 came twice
    assert len(calls) == 1
    assert ledger.count() == 700
    assert ledger.record_many(trials) == 0
    assert len(calls) == 1
    assert ledger.record_many([]) == 0


def test_the_frame_and_what_it_is_for(ledger):
    assert len(ledger.frame()) == ledger.count() == 0
    assert list(ledger.frame().columns) == list(FIELDS)
    assert math.isnan(ledger.sharpe_variance())
    sharpes = [0.1, math.nan, 0.4, None, -0.2, math.inf]
    ledger.record_many(
        Trial("m", {"a": a}, study="one", sharpe=sharpe, n_periods=90)
        for a, sharpe in enumerate(sharpes)
    )
    ledger.record("m", {"a": 0}, study="two", sharpe=7.0)
    frame = ledger.frame("one")
    assert frame["params"].tolist() == [{"a": a} for a in range(6)]
    assert frame["time"].dtype == "datetime64[ns, UTC]"
    assert frame["n_periods"].tolist() == [90.0] * 6
    assert math.isnan(ledger.frame("two")["n_periods"][0])
    # a trial that came to nothing was tried all the same
    assert ledger.count("one") == 6
    np.testing.assert_array_equal(ledger.sharpes("one"), [0.1, 0.4, -0.2])
    assert ledger.sharpe_variance("one") == pytest.approx(np.var([0.1, 0.4, -0.2], ddof=1))
    assert math.isnan(ledger.sharpe_variance("two"))


def test_sharpe_ratios_of_days_and_of_hours_do_not_mix(ledger):
    ledger.record("m", {"a": 1}, sharpe=0.1, period="1d")
    ledger.record("m", {"a": 2}, sharpe=0.1, period="24h")
    assert len(ledger.sharpes()) == 2
    ledger.record("m", {"a": 3}, sharpe=0.01, period="1h")
    with pytest.raises(DataError, match="different periods"):
        ledger.sharpe_variance()


class Colour(enum.Enum):
    RED = "red"


class Params(BaseModel):
    window: int = 3
    mode: Colour = Colour.RED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": (1, 2.0)}, {"a": [1, 2], "b": 1}),
        (np.float64(0.1), 0.1),
        (np.array([1.0, 2.5]), [1, 2.5]),
        (-0.0, 0),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ({3, 1, 2}, [1, 2, 3]),
        (Path("a") / "b", "a/b"),
        (date(2024, 1, 2), "2024-01-02"),
        (pd.Timestamp("2024-01-02T03:00Z"), "2024-01-02T03:00:00+00:00"),
        (Colour.RED, "red"),
        (Params(), {"mode": "red", "window": 3}),
        ([None, True, "x"], [None, True, "x"]),
    ],
)
def test_parameters_have_one_form(value, expected):
    found = canonical(value)
    assert json.dumps(found) == json.dumps(expected)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
)
json_values = scalars | st.lists(scalars | st.lists(scalars, max_size=2), max_size=2)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4), st.randoms())
def test_the_order_of_names_tells_nothing_apart(params, random):
    names = list(params)
    random.shuffle(names)
    other = {name: params[name] for name in names}
    assert Trial("m", params).entry()["key"] == Trial("m", other).entry()["key"]
    # what is read is what was written, so a ledger can be made again from its frame
    assert canonical(json.loads(json.dumps(canonical(params)))) == canonical(params)


def test_true_is_not_one_and_text_is_not_a_number():
    keys = {Trial("m", {"a": a}).entry()["key"] for a in (1, True, "1", None, [1], {"a": 1})}
    assert len(keys) == 6
    # no name of study, kind or data runs into the next
    keys = {Trial(k, {}, study=s, data=d).entry()["key"] for s, k, d in ("ab ", "a b", " ab")}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"a": object()}, "params.a"),
        ({"a": [1, {"b": len}]}, r"params\.a\[1\]\.b"),
        ({1: 2}, "params: a parameter's name that is not text"),
    ],
)
def test_what_cannot_be_written_down_is_said(ledger, params, place):
    with pytest.raises(ConfigError, match=place):
        ledger.record_many([Trial("m", {"fine": 1}), Trial("m", params)])
    assert ledger.count() == 0


@pytest.mark.parametrize("cut", [1, 20, 150])
def test_a_last_line_that_was_cut_short_is_taken_off_with_a_notice(ledger, caplog, cut):
    ledger.record_many(Trial("m", {"a": a}) for a in range(3))
    content = ledger.path.read_bytes()
    ledger.path.write_bytes(content[:-cut])
    for again in (ledger, TrialLedger(ledger.path)):
        caplog.clear()
        assert again.count() == 2
        assert "its last line was cut short" in caplog.text
    # reading leaves the file alone; writing puts it right
    assert ledger.path.read_bytes() == content[:-cut]
    assert ledger.record("m", {"a": 2})
    caplog.clear()
    assert TrialLedger(ledger.path).count() == ledger.count() == 3
    assert not caplog.text


@pytest.mark.parametrize("line", ["{}", '{"study": "x"', "17", '["study"]', "", "\r"])
def test_another_line_that_is_none_is_an_error(ledger, line):
    ledger.record("m", {"a": 1})
    with ledger.path.open("a") as file:
        file.write(line + "\n")
    for again in (ledger, TrialLedger(ledger.path)):
        with pytest.raises(DataError, match=r"trials\.jsonl, row 1: a line .* that is none"):
            again.count()
        with pytest.raises(DataError, match="row 1"):
            again.record("m", {"a": 2})


def test_a_ledger_that_others_replaced_or_took_away_is_read_anew(ledger, tmp_path):
    ledger.record_many(Trial("m", {"a": a}) for a in range(3))
    other = TrialLedger(tmp_path / "other.jsonl")
    ledger.count()
    other.record_many(Trial("n", {"a": a}) for a in range(5))
    os.replace(other.path, ledger.path)
    assert ledger.frame()["kind"].tolist() == ["n"] * 5
    ledger.path.unlink()
    assert ledger.count() == 0
    assert ledger.record("m", {"a": 1})
    assert ledger.count() == 1


def test_a_full_disk_leaves_the_file_as_it_was(ledger, monkeypatch):
    ledger.record("m", {"a": 1})
    before = ledger.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, b, real=os.write: real(file, b[: len(b) // 2]))
        with pytest.raises(RunError, match="cannot be locked, read or written"):
            ledger.record("m", {"a": 2})
    assert ledger.path.read_bytes() == before
    assert ledger.record("m", {"a": 2})
    assert ledger.count() == TrialLedger(ledger.path).count() == 2


def test_where_it_cannot_work_it_says_so(ledger, tmp_path, monkeypatch):
    ledger.record("m", {})
    with pytest.raises(RunError, match="cannot be locked, read or written"):
        TrialLedger(tmp_path).record("m", {})
    with pytest.raises(RunError, match="cannot be locked, read or written"):
        TrialLedger(ledger.path / "below").record("m", {})
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(RunError, match="file locks of POSIX"):
        ledger.record("m", {"a": 1})


def test_it_pickles_by_its_path(ledger):
    ledger.record("m", {"a": 1})
    again = pickle.loads(pickle.dumps(ledger))
    assert repr(again) == repr(ledger) == f"TrialLedger({str(ledger.path)!r})"
    assert again.count() == 1


def start(ledger, *args):
    worker = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("trial_worker.py"), ledger.path, *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout.readline() == "ready\n"
    return worker


def check(ledger, workers):
    for one in (ledger, TrialLedger(ledger.path)):
        kinds = one.frame()["kind"].value_counts().to_dict()
        kinds.pop("until killed", None)
        assert kinds == {"shared": 40, "own": 40 * workers, "batch": 100 * workers}
    assert len(lines(ledger)) == one.count()  # what others had tried was not written again


def test_many_processes_lose_nothing_and_one_that_is_killed_only_what_it_had_not_said(ledger):
    workers = [start(ledger, "0"), start(ledger, "1"), start(ledger, "2", "on")]
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    said = [int(workers[2].stdout.readline()) for _ in range(20)]
    workers[2].send_signal(signal.SIGKILL)
    for worker, code in zip(workers, (0, 0, -signal.SIGKILL), strict=True):
        rest, _ = worker.communicate()
        assert worker.returncode == code
    said += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    check(ledger, 2)
    frame = ledger.frame()
    found = [params["a"] for params in frame["params"][frame["kind"] == "until killed"]]
    assert found[: len(said)] == said
    assert len(found) <= len(said) + 1


@pytest.mark.parametrize("shared", [True, False])
def test_many_threads_lose_nothing(ledger, shared):
    each = [ledger if shared else TrialLedger(ledger.path) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(work, one, n) for n, one in enumerate(each)]
        seen = 0
        while not all(one.done() for one in done):
            before, seen = seen, ledger.count()  # a reader in between
            assert before <= seen <= len(ledger.frame())
        for one in done:
            one.result()
    check(ledger, 3)


def test_two_threads_of_a_ledger_do_not_read_the_same_lines_twice(ledger, monkeypatch):
    TrialLedger(ledger.path).record_many(Trial("m", {"a": a}) for a in range(3))
    inside, second = [], threading.Event()

    def entry(*line, real=trials._entry):
        inside.append(threading.get_ident())
        if len(set(inside)) > 1:
            second.set()
        second.wait(0.2)  # for another one to come in between
        return real(*line)

    monkeypatch.setattr(trials, "_entry", entry)
    with ThreadPoolExecutor(2) as pool:
        assert [one.result() for one in [pool.submit(ledger.count) for _ in range(2)]] == [3, 3]
    assert len(inside) == 3


def test_who_records_waits_for_all_who_read_and_who_reads_for_none_of_those(ledger):
    ledger.record("m", {"a": 1})
    with ThreadPoolExecutor(1) as pool, ledger.path.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert ledger.count() == 1
        other = pool.submit(ledger.record, "m", {"a": 2})
        assert not wait([other], timeout=0.3).done
        fcntl.flock(reader, fcntl.LOCK_UN)
        assert other.result()


def test_a_thread_that_counts_is_not_disturbed_by_one_that_records(ledger):
    class Study(str):
        """Another thread records while trials are held against it."""

        def __eq__(self, other):
            started.append(pool.submit(ledger.record, "m", {"a": len(started)}, study="two"))
            wait(started, timeout=0.2)
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    started = []
    ledger.record_many(Trial("m", {"a": a}) for a in range(2))
    with ThreadPoolExecutor(1) as pool:
        assert ledger.count(Study("default")) == 2
    assert ledger.count("two") == 2
