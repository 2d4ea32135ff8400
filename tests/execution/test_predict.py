"""Predictions: probes do not know of each other, and models are read as they are written."""

import numpy as np
import pytest

from mrcore.market import SyntheticMarket
from mrcore.replay import Replay
from mrtrade.errors import ConfigError
from mrtrade.execution import (
    NEVER,
    OrderLog,
    draw_probes,
    parse_model,
    predicted_waits,
    read_table,
    true_waits,
)
from mrtrade.execution.predict import Model

SECOND = 10**9
HORIZON = 5 * SECOND


@pytest.fixture(scope="module")
def market():
    """A short market, and so many probes that dozens wait at one price."""
    sizes = {"order_lots": (5, 0.5), "market_lots": (3, 0.5)}  # trades smaller than the probes
    run = SyntheticMarket(11, fair_sd_ticks=2.0, market_rate=40.0, **sizes).run(25.0)
    log = OrderLog(run.orders)
    probes = draw_probes(log, 2000, 3, start_ns=run.start_ns, end_ns=run.end_ns - HORIZON)
    return run, log, probes


TABLE = Model("table", table=np.array([1.0, 0.7, 0.2, 0.0]), label="table")


@pytest.mark.parametrize(
    "model",
    [parse_model("strict"), parse_model("risk_averse"), parse_model("power(2)"), TABLE],
    ids=lambda model: model.name,
)
def test_each_probe_is_alone(market, model):
    run, log, probes = market
    together = predicted_waits(log.tape, probes, model, HORIZON, run.lot_size)
    assert (together < NEVER).sum() > 500
    for k in range(0, len(probes), 40):
        one = probes.part(np.arange(len(probes)) == k)
        alone = predicted_waits(log.tape, one, model, HORIZON, run.lot_size)
        assert alone[0] == together[k]


def test_the_models_are_in_their_order(market):
    """Nothing is earlier than optimistic or later than strict; risk-averse is never too early."""
    run, log, probes = market
    truth = true_waits(log, probes, HORIZON)
    waits = {
        name: predicted_waits(log.tape, probes, parse_model(name), HORIZON, run.lot_size)
        for name in ("optimistic", "power(3)", "risk_averse", "strict")
    }
    assert (waits["optimistic"] <= truth).all()
    assert (waits["optimistic"] <= waits["power(3)"]).all()
    assert (waits["risk_averse"] >= truth).all()
    assert (waits["strict"] >= waits["risk_averse"]).all()
    for one in waits.values():
        hit = one < NEVER
        assert ((one[hit] > 0) & (one[hit] <= HORIZON)).all()


def test_a_flat_table_is_a_power_of_one(market):
    run, log, probes = market
    line = Model("table", table=np.array([1.0, 0.0]), label="line")
    a, b = (
        predicted_waits(log.tape, probes, model, HORIZON, run.lot_size)
        for model in (line, parse_model("power(1)"))
    )
    assert (a == b).mean() > 0.999  # but for the last digit of a position


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("strict", Model("strict", label="strict")),
        ("power", Model("power", 3.0, label="power(3)")),
        (" power2( 1.5 ) ", Model("power2", 1.5, label="power2(1.5)")),
        ("power3(fit)", Model("power3", label="power3(fit)")),
        ("table", Model("table", label="table(fit)")),
        ("table(fit)", Model("table", label="table(fit)")),
    ],
)
def test_models_are_read(text, model):
    assert parse_model(text) == model
    assert model.unfitted == ("fit" in model.label)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fifo", "no queue model 'fifo'"),
        ("kernel", "no queue model"),
        ("power(", "no queue model"),
        ("strict(2)", "strict has no parameter"),
        ("power(x)", "no exponent"),
        ("power(-1)", "no exponent"),
        ("power(inf)", "no exponent"),
        ("table(nowhere.yaml)", r"nowhere\.yaml: no table"),
    ],
)
def test_what_is_no_model_is_refused(text, told):
    with pytest.raises(ConfigError, match=told):
        parse_model(text)


@pytest.mark.parametrize(
    "text", ["", "[1, 0]", "table: 3", "table: [1]", "table: [1, 2]", "table: {"]
)
def test_what_is_no_table_is_refused(text, tmp_path):
    (tmp_path / "queue.yaml").write_text(text)
    with pytest.raises(ConfigError, match="no table"):
        read_table(tmp_path / "queue.yaml")


def test_the_core_given_the_orders_themselves_is_the_truth(market):
    """`fifo` in a replay of order-level data: another way to the same fills, to the nanosecond.

    It shares what was filled among own orders; in finer lots there is enough for all probes.
    """
    run, log, probes = market
    orders = [run.orders[c] for c in ("time", "kind", "order_id", "side", "tick", "lots")]
    orders[-1] = orders[-1] * len(probes)
    replay = Replay(1.0, run.lot_size / len(probes), queue_model="fifo")
    replay.feed_orders(tuple(orders))
    n = len(probes)
    times = np.concatenate([probes.time, probes.time + HORIZON])
    ids = [0] * n
    for i in np.argsort(times, kind="stable").tolist():
        replay.advance(int(times[i]))
        if i < n:
            ids[i] = replay.submit(int(probes.side[i]), int(probes.tick[i]), 1, "post_only")
        else:
            replay.cancel(ids[i - n])
    replay.finish()
    fills = replay.fills()
    waits = np.full(n, NEVER)
    at = np.searchsorted(ids, fills["order_id"])
    waits[at] = fills["time"] - probes.time[at]
    assert waits.tolist() == true_waits(log, probes, HORIZON).tolist()
