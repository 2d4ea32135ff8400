import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mrcore.market import KINDS, SyntheticMarket, power_law_rates

from ..oracle.market import Rebuilt

SECOND = 10**9
INTS = {
    "snapshot": ["origin_time", "received_time", "sequence_number", "side", "tick", "lots"],
    "deltas": ["origin_time", "received_time", "sequence_number", "side", "tick", "lots"],
    "trades": ["origin_time", "received_time", "trade_id", "side", "tick", "lots"],
    "orders": ["time", "order_id", "kind", "side", "tick", "lots"],
    "fair": ["time", "tick"],
}


def digest(run):
    """sha256 of all that is random, little-endian."""
    h = hashlib.sha256()
    for table, names in INTS.items():
        for name in names:
            column = getattr(run, table)[name]
            h.update(column.astype(column.dtype.newbyteorder("<")).tobytes())
    return h.hexdigest()


def rows(columns, *names):
    return list(zip(*(columns[name].tolist() for name in names), strict=True))


def mid_at(run, times):
    """Mid in ticks at given times, from the level changes."""
    (time, side, tick, lots), _ = run.tape()
    book, best, moves = {1: set(), -1: set()}, {}, []
    n_seed = len(run.snapshot["lots"])
    for i, (s, k, size) in enumerate(
        zip(side[1:].tolist(), tick[1:].tolist(), lots[1:].tolist(), strict=True)
    ):
        (book[s].add if size else book[s].discard)(k)
        if i < n_seed - 1:
            continue
        if s not in best or len(best) < 2:
            best = {1: max(book[1]), -1: min(book[-1])}
        elif (k - best[s]) * s > 0:
            best[s] = k
        elif k == best[s] and not size:
            best[s] = max(book[1]) if s > 0 else min(book[-1])
        moves.append((best[1] + best[-1]) / 2)
    return np.array(moves)[np.searchsorted(time[n_seed:], times, side="right") - 1]


def fair_at(run, times):
    return run.fair["tick"][np.searchsorted(run.fair["time"], times, side="right") - 1]


def half_life(x, step):
    """Half-life by the AR(1) regression of a series sampled each `step` seconds."""
    x = x - x.mean()
    return -np.log(2) * step / np.log((x[1:] @ x[:-1]) / (x[:-1] @ x[:-1]))


# ---- same bytes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "2cd8a7d3509dc113f5137609de859dd97794aa1679af4d24920e59793e45d24a"),
        (
            {"latency_sigma": 0.5, "informed_share": 0.3, "fair_price": 3.5, "tick_size": 0.0001},
            "5e24d9bc6b5777a571e4ea5f5af8d7b52fe52c99f9a76cae526d581c199e65d0",
        ),
    ],
)
def test_a_seed_means_the_same_bytes_everywhere(params, expected):
    assert digest(SyntheticMarket(7, **params).run(5.0)) == expected


def test_seeds_differ():
    assert len({digest(SyntheticMarket(seed).run(0.5)) for seed in (0, 1, 2**64 - 1)}) == 3


def test_latency_and_flow_leave_the_other_streams_alone():
    base = SyntheticMarket(3).run(5)
    slow = SyntheticMarket(3, latency_ns=1e8, latency_sigma=1).run(5)
    for name in INTS["orders"]:
        np.testing.assert_array_equal(base.orders[name], slow.orders[name])
    busy = SyntheticMarket(3, market_rate=80, order_lots=(10, 0)).run(5)
    np.testing.assert_array_equal(base.fair["tick"], busy.fair["tick"])


@given(seed=st.integers(0, 2**64 - 1), cut=st.integers(1, 99), by_deltas=st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_run_cut_in_two_is_the_same_market(seed, cut, by_deltas):
    whole = SyntheticMarket(seed).run(1.0)
    market = SyntheticMarket(seed)
    first = market.run(n_deltas=10 * cut) if by_deltas else market.run(cut / 100)
    second = market.run((whole.end_ns - first.end_ns) / SECOND)
    for table, time in (("deltas", "origin_time"), ("trades", "origin_time"), ("orders", "time")):
        for name in INTS[table]:
            a, b, c = (getattr(run, table) for run in (whole, first, second))
            np.testing.assert_array_equal(
                a[name], np.concatenate([b[name], c[name][c[time] > second.start_ns]])
            )


# ---- the log is the truth -------------------------------------------------------------------

markets = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**64 - 1),
        "market_rate": st.sampled_from([0.0, 5.0, 40.0, 200.0]),
        "cancel_rate": st.sampled_from([0.5, 1.5, 20.0]),
        "withdraw_rate": st.sampled_from([0.0, 10.0]),
        "informed_share": st.sampled_from([0.0, 0.5, 1.0]),
        "order_lots": st.sampled_from([(1, 0.0), (50, 1.0)]),
        "market_lots": st.sampled_from([(1, 0.0), (170, 0.7), (5000, 2.0)]),
        "fair_sd_ticks": st.sampled_from([0.0, 20.0, 500.0]),
        "limit_rates": st.sampled_from([[5.0], [0.0, 3.0], power_law_rates(110, 1.4, 500)]),
    }
)


@given(params=markets)
@settings(max_examples=60, deadline=None)
def test_levels_and_trades_are_those_of_the_order_log(params):
    market = SyntheticMarket(**params)
    start = market.start_ns
    probes = [(start + SECOND // 10, 1, 7), (start + SECOND // 5, -1, 90)]
    run = market.run(0.5, probes=probes)
    true = Rebuilt(run, run.probe_ids.tolist())
    assert rows(run.snapshot, "side", "tick", "lots") == true.snapshot
    assert rows(run.deltas, "origin_time", "side", "tick", "lots") == true.deltas
    assert rows(run.trades, "origin_time", "side", "tick", "lots") == true.trades
    assert len(run.probe_ids) == 2


def test_a_side_keeps_its_last_order():
    market = SyntheticMarket(1, limit_rates=[2.0], market_rate=20, market_lots=(10**6, 0))
    run = market.run(20)
    true = Rebuilt(run)  # fails if a side is ever empty
    assert run.dropped > 100
    assert true.trades


def test_messages():
    run = SyntheticMarket(5, latency_ns=3e6).run(5)
    deltas, trades = run.deltas, run.trades
    time, number = deltas["origin_time"], deltas["sequence_number"]
    assert time[0] > run.start_ns
    assert run.end_ns == run.start_ns + 5 * SECOND
    np.testing.assert_array_equal(np.diff(time) > 0, np.diff(number) == 1)
    assert set(np.diff(number).tolist()) == {0, 1}
    assert number[0] == run.snapshot["sequence_number"][0] + 1
    np.testing.assert_array_equal(deltas["received_time"], time + 3_000_000)
    np.testing.assert_array_equal(trades["received_time"], trades["origin_time"] + 3_000_000)
    np.testing.assert_array_equal(trades["trade_id"], np.arange(1, len(trades["trade_id"]) + 1))
    assert np.isin(trades["origin_time"], time).all()


def test_latency_is_lognormal_and_never_overtakes():
    run = SyntheticMarket(5, limit_rates=[1.0], market_rate=0, cancel_rate=0.5, latency_ns=2e6,
                          latency_sigma=0.5).run(4000)  # fmt: skip
    delay = run.deltas["received_time"] - run.deltas["origin_time"]
    assert (np.diff(run.deltas["received_time"]) >= 0).all()
    n = len(delay)
    assert n > 5000
    z = np.log(delay / 2e6) / 0.5  # messages are a second apart: hardly one waits for another
    assert abs(z.mean()) < 4 / np.sqrt(n) + 0.02
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * n) + 0.02


def test_columns():
    run = SyntheticMarket(5, tick_size=0.1, lot_size=0.001).run(1)
    for table in (run.snapshot, run.deltas, run.trades):
        for name, column in table.items():
            assert column.flags.c_contiguous, name
    deltas, trades = run.deltas, run.trades
    assert {name: column.dtype.str[1:] for name, column in deltas.items()} == {
        "origin_time": "i8", "received_time": "i8", "sequence_number": "i8", "side_is_bid": "b1",
        "price": "f8", "size": "f8", "side": "i1", "tick": "i4", "lots": "i8",
    }  # fmt: skip
    assert {name: column.dtype.str[1:] for name, column in trades.items()} == {
        "origin_time": "i8", "received_time": "i8", "side": "i1", "quantity": "f8", "price": "f8",
        "trade_id": "i8", "tick": "i4", "lots": "i8",
    }  # fmt: skip
    for price, tick in rows(trades, "price", "tick"):
        assert price == float(f"{tick // 10}.{tick % 10}")  # the decimal an exchange would send
    for size, lots in rows(deltas, "size", "lots"):
        assert size == float(f"{lots // 1000}.{lots % 1000:03}")
    odd = SyntheticMarket(5, tick_size=2.5).run(1)
    np.testing.assert_array_equal(odd.deltas["price"], odd.deltas["tick"] * 2.5)


def test_tape():
    run = SyntheticMarket(5).run(1)
    deltas, trades = run.tape()
    n = 1 + len(run.snapshot["lots"])
    assert [column.dtype.str[1:] for column in deltas + trades] == ["i8", "i1", "i4", "i8"] * 2
    assert [column[0] for column in deltas] == [run.start_ns, 0, 0, 0]
    assert (deltas[0][:n] == run.start_ns).all()
    assert (np.diff(deltas[0]) >= 0).all()
    np.testing.assert_array_equal(deltas[3][n:], run.deltas["lots"])
    np.testing.assert_array_equal(trades[0], run.trades["origin_time"])


def test_one_row_outlives_the_market():
    market = SyntheticMarket(5)
    run = market.run(n_deltas=1)
    before = {name: column.copy() for name, column in run.deltas.items()}
    market.run(5)
    del market
    for name, column in run.deltas.items():
        np.testing.assert_array_equal(column, before[name])


def test_snapshot_levels():
    whole = SyntheticMarket(5).run(1).snapshot
    top = SyntheticMarket(5, snapshot_levels=3).run(1).snapshot
    bids = int(whole["side_is_bid"].sum())
    np.testing.assert_array_equal(
        top["tick"], np.concatenate([whole["tick"][:3], whole["tick"][bids : bids + 3]])
    )


def test_probe_is_filled_when_the_queue_before_it_is_gone():
    market = SyntheticMarket(11, fair_sd_ticks=2)
    at = market.start_ns + SECOND
    run = market.run(60, probes=[(at, 1, 25), (at + 1, -1, 25)])
    log = run.orders
    for order_id, side in zip(run.probe_ids, (1, -1), strict=True):
        mine = log["order_id"] == order_id
        assert [KINDS[kind] for kind in log["kind"][mine]][:2] == ["add", "fill"]
        assert log["lots"][mine & (log["kind"] == 3)].sum() == 25
        added, filled = np.flatnonzero(mine)[[0, 1]]
        same = (log["tick"] == log["tick"][added]) & (log["side"] == side)
        ahead = 0  # orders standing before it when it joined
        live = set()
        for i in np.flatnonzero(same[:added]):
            if log["kind"][i] == 1:
                live.add(log["order_id"][i])
        for i in np.flatnonzero(same[:filled]):
            kind, lots = log["kind"][i], log["lots"][i]
            if log["order_id"][i] in live:
                ahead += lots if kind == 1 else -lots
        assert ahead == 0


# ---- the model's parameters -----------------------------------------------------------------


@pytest.fixture(scope="module")
def plain():
    """(run, rebuilt, rates): 200 s with all kinds of events."""
    rates = power_law_rates(60, 1.2, 40)
    market = SyntheticMarket(
        21,
        limit_rates=rates,
        market_rate=20,
        market_lots=(50, 0.7),
        cancel_rate=2,
        withdraw_rate=4,
    )
    run = market.run(200)
    return run, Rebuilt(run), rates


def within(count, expected):
    """Poisson count within 4 standard errors of its expectation."""
    return abs(count - expected) < 4 * np.sqrt(expected) + 1


def test_limit_orders_arrive_at_their_rates(plain):
    _, true, rates = plain
    for side in (1, -1):
        for i, rate in enumerate(rates, 1):
            assert within(true.quotes[side, i], 200 * rate), (side, i)
    assert within(true.quotes.total(), 400 * rates.sum())
    assert max(i for _, i in true.quotes) == 40


def test_market_orders_arrive_at_their_rate(plain):
    run, _, _ = plain
    time = run.trades["origin_time"]
    orders = time[np.diff(time, prepend=0) > 0]
    side = run.trades["side"][np.diff(time, prepend=0) > 0]
    assert run.dropped == 0
    assert within((side > 0).sum(), 200 * 20)
    assert within((side < 0).sum(), 200 * 20)
    assert stats.kstest(np.diff(orders) / 1e9, "expon", (0, 1 / 40)).pvalue > 1e-4


def test_orders_are_cancelled_at_their_rates(plain):
    _, true, _ = plain
    assert true.withdraw_exposure > 10
    assert within(true.cancels, 2 * true.exposure + 4 * true.withdraw_exposure)
    assert not within(true.cancels, 2 * true.exposure)


def test_sizes_are_lognormal(plain):
    run, _, _ = plain
    log = run.orders
    lots = log["lots"][(log["kind"] == 1) & (log["time"] > run.start_ns)]
    z = stats.norm.cdf(np.log((lots[:, None] + [-0.5, 0.5]) / 50))  # of the interval that rounds
    z[lots == 1, 0] = 0
    u = np.random.default_rng(1).uniform(*z.T)
    assert stats.kstest(u, "uniform").pvalue > 1e-4
    unit = SyntheticMarket(2, order_lots=(3, 0), market_lots=(2, 0)).run(5)
    added = (unit.orders["kind"] == 1) & (unit.orders["time"] > unit.start_ns)
    assert set(unit.orders["lots"][added].tolist()) == {3}
    assert unit.trades["lots"].max() == 2


def test_fair_value_steps_are_those_of_the_process():
    step = 0.01
    run = SyntheticMarket(4, fair_sd_ticks=30, half_life_s=2, limit_rates=[1.0], market_rate=0).run(
        600
    )
    x = run.fair["tick"] - 600_000
    decay = 0.5 ** (step / 2)
    noise = (x[1:] - decay * x[:-1]) / (30 * np.sqrt(1 - decay**2))
    assert stats.kstest(noise, "norm").pvalue > 1e-4
    n = len(noise)
    assert n == 60_000
    assert abs((noise[1:] * noise[:-1]).mean()) < 4 / np.sqrt(n)
    assert abs(stats.kurtosis(noise)) < 4 * np.sqrt(24 / n)
    np.testing.assert_array_equal(np.diff(run.fair["time"]), 10_000_000)


def test_fair_value_can_stand_still():
    run = SyntheticMarket(4, fair_sd_ticks=0).run(1)
    assert set(run.fair["price"].tolist()) == {60_000.0}


@pytest.fixture(scope="module")
def reverting():
    """An hour of a market with a half-life of 10 s, a fifth of the usual flow."""
    return SyntheticMarket(
        1, half_life_s=10, fair_sd_ticks=10, limit_rates=power_law_rates(22, 1.4, 100),
        market_rate=8, market_lots=(100, 0.7), cancel_rate=1.0,
    ).run(3600)  # fmt: skip


def test_half_life_is_recovered_from_fair_and_from_mid(reverting):
    """Within 4 standard errors: sqrt(2 / (kappa T)) of it, here 9%.

    On the mid at 5 s, for there its noise (about a tick) and its lag (about a second) are small
    against what fair moves.
    """
    run = reverting
    times = np.arange(run.start_ns, run.end_ns + 1, SECOND)
    fair, mid = fair_at(run, times), mid_at(run, times)
    error = 4 * np.sqrt(2 / (np.log(2) / 10 * 3600))
    assert abs(np.log(half_life(fair, 1) / 10)) < error
    assert abs(np.log(half_life(mid[::5], 5) / 10)) < error
    assert np.corrcoef(fair, mid)[0, 1] > 0.95
    assert abs(mid.mean() - 600_000) < 4 * 10 * np.sqrt(2 * 10 / np.log(2) / 3600)


def impact(run, step):
    """Kyle's lambda (ticks a 1000 lots), its standard error and R^2, mids sampled each `step`."""
    grid = np.arange(run.start_ns, run.end_ns + 1, step)
    flow = run.trades["side"] * run.trades["lots"] / 1000
    q, _ = np.histogram(run.trades["origin_time"], bins=grid, weights=flow)
    fit = stats.linregress(q, np.diff(mid_at(run, grid)))
    return fit.slope, fit.stderr, fit.rvalue**2


def test_informed_flow_moves_the_price_for_good():
    fits = []
    for share in (0.0, 0.15, 0.4):
        market = SyntheticMarket(
            5, half_life_s=10, fair_sd_ticks=10, withdraw_rate=4, informed_share=share
        )
        fits.append(impact(market.run(300), SECOND))
    for (low, low_error, low_r2), (high, high_error, high_r2) in pairwise(fits):
        assert high - low > 2 * np.hypot(low_error, high_error)
        assert high_r2 > low_r2
    assert fits[0][2] < 0.05 < 0.4 < fits[2][2]


def test_informed_orders_trade_towards_fair_and_can_be_switched():
    run = SyntheticMarket(9, informed_share=[(0, 1.0), (20, 0.0), (40, 1.0)]).run(60)
    time, side = run.trades["origin_time"], run.trades["side"]
    gain = side * (fair_at(run, time) - run.trades["tick"])
    first = np.diff(time, prepend=0) > 0
    second = (time - run.start_ns) / SECOND
    informed = (second < 20) | (second >= 40)
    assert (gain[first & informed] > 0).all()
    assert (gain[first & ~informed] < 0).mean() > 0.5
    assert first[informed].sum() > 100


def test_default_feed_is_like_a_liquid_one():
    """What the class docstring states, next to a liquid perpetual's recording."""
    run = SyntheticMarket(1).run(60)
    true = Rebuilt(run)
    n = len(run.deltas["lots"])
    assert 1000 < n / 60 < 1300
    assert 0.09 < (run.deltas["lots"] == 0).mean() < 0.13
    assert 1.15 < true.spread_ns / (60 * SECOND) < 1.35
    assert 0.07 < len(run.trades["lots"]) / n < 0.11


# ---- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tick_size": 0}, "tick_size must be > 0"),
        ({"lot_size": float("nan")}, "lot_size must be > 0"),
        ({"cancel_rate": 0}, "cancel_rate must be > 0"),
        ({"cancel_rate": 1e9}, "cancel_rate must be in"),
        ({"market_rate": -1}, "market_rate must be in"),
        ({"half_life_s": 0}, "half_life_s must be > 0"),
        ({"fair_step_ns": 0}, "fair_step_ns must be > 0"),
        ({"fair_sd_ticks": -1}, "fair_sd_ticks must be >= 0"),
        ({"fair_price": 10.0}, "fair_price must lie in"),
        ({"limit_rates": []}, "limit_rates must be a list of rates"),
        ({"limit_rates": [0.0]}, "limit_rates must sum to"),
        ({"limit_rates": [1.0, float("nan")]}, r"limit_rates\[1\] must be in"),
        ({"informed_share": 1.1}, "informed_share must be in"),
        ({"informed_share": [(5, 0.1), (5, 0.2)]}, "seconds must be >= 0 and rise"),
        ({"order_lots": (0, 1)}, "order_lots must be"),
        ({"market_lots": (10, 4)}, "market_lots must be"),
        ({"latency_sigma": -1}, "latency_sigma must be >= 0"),
        ({"snapshot_levels": 0}, "snapshot_levels must be > 0"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        SyntheticMarket(1, **params)


def test_bad_runs():
    market = SyntheticMarket(1)
    now = market.start_ns
    with pytest.raises(ValueError, match="either seconds or n_deltas"):
        market.run()
    with pytest.raises(ValueError, match="either seconds or n_deltas"):
        market.run(1, n_deltas=1)
    with pytest.raises(ValueError, match="seconds must be > 0"):
        market.run(0)
    with pytest.raises(ValueError, match="n_deltas must be > 0"):
        market.run(n_deltas=0)
    for probes in ([(now, 1, 1)], [(now + 5, 1, 1), (now + 5, 1, 1)], [(now + 2 * SECOND, 1, 1)]):
        with pytest.raises(ValueError, match="probe times must rise"):
            market.run(1, probes=probes)
    for probe in ((now + 1, 0, 1), (now + 1, 1, 0)):
        with pytest.raises(ValueError, match="a probe has side"):
            market.run(1, probes=[probe])


def test_rates_may_be_read_only():
    rates = power_law_rates(110, 1.4, 500)
    assert rates[0] == 110
    np.testing.assert_allclose(rates[[1, 499]], 110 / np.array([2, 500]) ** 1.4, rtol=1e-15)
    rates.flags.writeable = False
    assert digest(SyntheticMarket(7, limit_rates=rates).run(1)) == digest(SyntheticMarket(7).run(1))
