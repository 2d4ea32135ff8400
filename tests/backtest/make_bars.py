"""Bars and targets made by hand, for the tests of runs on bars."""

import math

import numpy as np
import pandas as pd

from mrtrade.backtest.bar_costs import SpreadCost
from mrtrade.backtest.bar_run import run_bars
from mrtrade.clock import NS_PER_SECOND, from_ns

from .make import START

MINUTE = 60 * NS_PER_SECOND
NAN = math.nan


def frames(columns, targets):
    index = from_ns(np.array(columns["time"], dtype=np.int64)).rename("time")
    bars = pd.DataFrame({k: v for k, v in columns.items() if k != "time"}, index=index)
    names = ["target", "stop_bps", "hold_s"]
    return bars, pd.DataFrame(targets, columns=names, index=index, dtype=float)


FREE = SpreadCost()


def grid(mids, opens=None, **more):
    made = {"time": [START + i * MINUTE for i in range(len(mids))], "mid": list(map(float, mids))}
    if opens is not None:
        made["mid_open"] = list(map(float, opens))
    return made | more


def held(shares, stop_bps=NAN, hold_s=NAN):
    return [(share, stop_bps if share else NAN, hold_s if share else NAN) for share in shares]


def play(made, targets, costs=FREE, **more):
    return run_bars(*frames(made, targets), costs=costs, **more)


def rates(*rows):
    frame = pd.DataFrame(rows, columns=["time", "rate", "mark"], dtype=float)
    frame["time"] = [int(row[0]) for row in rows]
    return frame
