"""The blocks of commands in docs/scaling.md, as they stand."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mrcore.market import SyntheticMarket
from mrtrade.data.ingest import ingest
from mrtrade.data.parquet import ParquetStore
from mrtrade.data.synthetic import write_lake

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path):
    """A folder as `mrtrade demo` leaves it, a shorter market; commands are those of this Python."""
    market = SyntheticMarket(7, fair_sd_ticks=300.0, half_life_s=10.0).run(900.0)
    write_lake(tmp_path / "demo/lake", market, "SYNTHETIC", "BTC/USDT")
    ingest(tmp_path / "demo/lake", ParquetStore(tmp_path / "demo/store"))
    for name in ("mrtrade", "dask"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        command.chmod(0o755)
    return tmp_path


def test_a_local_cluster_gives_the_rows_of_one_job(folder):
    pytest.importorskip("distributed")
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs/scaling.md").read_text(), re.M | re.S)
    assert len(blocks) == 2
    here = map(os.path.abspath, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    env = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(here),
    }
    shell = subprocess.Popen(
        ["sh", "-eu", "-c", "".join(blocks)],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = shell.communicate(timeout=300)
        assert shell.returncode == 0, out + err
    finally:
        try:  # a block that failed has left its cluster behind
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert out.count("48 configurations by 16 replays") == 3
    assert out.count("48 new trials") == 1
    assert out.count(" 0 new trials") == 2
    frame = pd.read_csv(folder / "cluster.csv")
    assert len(frame) == 48
    assert (frame["fills"] > 0).sum() > 24  # bit-equal rows of nothing would show nothing
    assert {one for one in ("one", "two") if f"'{one}'" in err or one in err} == {"one", "two"}
