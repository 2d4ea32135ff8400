import copy
import math
import pickle

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.rolling import RollingOLS as StatsmodelsOLS

from mrcore.flow import OFI, VPIN, BulkVPIN, KyleLambda, imbalance, microprice

from ..oracle import flow as oracle
from ..oracle import rolling as rolling_oracle

INF, NAN = math.inf, math.nan


def bits(result):
    return np.asarray(result, dtype=float).tobytes()


# One maker of random events for each streaming object: name -> (object, columns).
def ofi_events(rng, n):
    bid = 100.0 + rng.integers(0, 3, n) * 0.1
    return [bid, rng.random(n), bid + 0.1 * rng.integers(1, 3, n), rng.random(n)]


def trade_events(rng, n):
    return [rng.choice(np.array([1, -1], np.int8), n), rng.lognormal(size=n)]


def bar_events(rng, n):
    volume = rng.lognormal(size=n) * (rng.random(n) < 0.8)
    return [60_000.0 + np.cumsum(rng.normal(size=n)), volume]


def kyle_events(rng, n):
    dmid = rng.normal(size=n)
    dmid[rng.random(n) < 0.05] = np.nan
    return [dmid, rng.normal(size=n)]


STREAMS = {
    "ofi": (OFI, ofi_events),
    "vpin": (lambda: VPIN(2.0, 7), trade_events),
    "vpin of tiny buckets": (lambda: VPIN(0.01, 6), trade_events),
    "vpin, calibrated": (lambda: VPIN(0.0, 3, 20, 10.0), trade_events),
    "bulk vpin": (lambda: BulkVPIN(3.0, 4, 5), bar_events),
    "kyle": (lambda: KyleLambda(6), kyle_events),
}
streams = pytest.mark.parametrize("stream", STREAMS)


@streams
@given(seed=st.integers(0, 2**32), data=st.data())
def test_any_split_gives_the_same_bits(stream, seed, data):
    make, events = STREAMS[stream]
    n = data.draw(st.integers(0, 80))
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=4)))
    columns = events(np.random.default_rng(seed), n)
    whole = make().batch(*columns)
    parts, single = make(), make()
    chunks = zip(*(np.split(c, cuts) for c in columns), strict=True)
    assert bits(np.concatenate([parts.batch(*chunk) for chunk in chunks])) == bits(whole)
    assert bits([single.update(*e) for e in zip(*columns, strict=True)]) == bits(whole)
    assert bits(parts.value) == bits(single.value)
    if n:
        assert bits(whole[-1]) == bits(single.value)


@streams
@pytest.mark.parametrize("seen", [0, 1, 15, 60])
def test_a_saved_state_goes_on_with_the_same_bits(stream, seen):
    make, events = STREAMS[stream]
    columns = events(np.random.default_rng(8), 100)
    live = make()
    live.batch(*(c[:seen] for c in columns))
    saved = pickle.dumps(live)
    want = copy.copy(live).batch(*(c[seen:] for c in columns))
    other = pickle.loads(saved)
    assert bits(other.value) == bits(live.value)
    assert bits(other.batch(*(c[seen:] for c in columns))) == bits(want)


@streams
def test_read_only_empty_and_unequal_columns(stream):
    make, events = STREAMS[stream]
    columns = events(np.random.default_rng(9), 40)
    want = make().batch(*columns)
    for c in columns:
        c.flags.writeable = False
    assert bits(make().batch(*columns)) == bits(want)
    assert make().batch(*(c[:0] for c in columns)).shape == (0,)
    for i in range(1, len(columns)):
        unequal = [c[:-1] if k == i else c for k, c in enumerate(columns)]
        with pytest.raises(ValueError, match="differ in length: 40 and 39"):
            make().batch(*unequal)
    with pytest.raises(TypeError):
        make().batch(*[None] * len(columns))


# Imbalance and micro-price -----------------------------------------------------------


def test_imbalance_by_hand():
    bid = np.array([3.0, 0.0, 2.0, 0.0, np.nan])
    ask = np.array([1.0, 5.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(imbalance(bid, ask), [0.5, -1.0, 1.0, NAN, NAN])


def test_microprice_by_hand():
    bid, ask = np.array([100.0, 100.0, 100.0, NAN, 100.0]), np.array([100.1, 100.1, INF, 1.0, 1.0])
    bid_size, ask_size = np.array([30.0, 10, 5, 0, NAN]), np.array([10.0, 30, 0, 4, 1])
    np.testing.assert_allclose(
        microprice(bid, bid_size, ask, ask_size), [100.075, 100.025, NAN, NAN, NAN], rtol=1e-15
    )


@given(st.integers(0, 2**32))
def test_microprice_lies_between_the_quotes_and_is_mid_plus_half_spread_imbalance(seed):
    bid, bid_size, ask, ask_size = ofi_events(np.random.default_rng(seed), 50)
    got = microprice(bid, bid_size, ask, ask_size)
    assert ((bid <= got) & (got <= ask)).all()
    want = (bid + ask) / 2 + (ask - bid) * imbalance(bid_size, ask_size) / 2
    np.testing.assert_allclose(got, want, rtol=1e-14)


@pytest.mark.parametrize(("function", "count"), [(imbalance, 2), (microprice, 4)])
def test_array_functions_take_read_only_and_refuse_unequal(function, count):
    x = np.ones(3)
    x.flags.writeable = False
    assert function(*[x] * count).shape == (3,)
    assert function(*[x[:0]] * count).shape == (0,)
    for i in range(1, count):
        with pytest.raises(ValueError, match="differ in length: 3 and 2"):
            function(*[x[:2] if k == i else x for k in range(count)])


# Order-flow imbalance ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("quotes", "e"),
    [
        ((100.0, 13.0, 101.0, 10.0), 3.0),  # bid size up
        ((100.0, 7.0, 101.0, 10.0), -3.0),  # bid size down
        ((100.5, 4.0, 101.0, 10.0), 4.0),  # bid up: the new queue
        ((99.5, 4.0, 101.0, 10.0), -10.0),  # bid down: the queue that was
        ((100.0, 10.0, 101.0, 14.0), -4.0),  # ask size up
        ((100.0, 10.0, 100.5, 3.0), -3.0),  # ask down
        ((100.0, 10.0, 101.5, 3.0), 10.0),  # ask up
        ((NAN, 0.0, 101.0, 10.0), -10.0),  # the bid goes
        ((100.0, 10.0, INF, 0.0), 10.0),  # the ask goes
        ((100.0, 10.0, 101.0, 10.0), 0.0),  # nothing
    ],
)
def test_ofi_by_hand(quotes, e):
    ofi = OFI()
    assert ofi.update(100.0, 10.0, 101.0, 10.0) == 0.0
    assert ofi.update(*quotes) == e
    assert ofi.value == e


def test_ofi_of_a_side_that_comes_back():
    ofi = OFI()
    ofi.update(NAN, NAN, 101.0, 10.0)
    assert ofi.update(NAN, 0.0, 101.0, 10.0) == 0.0
    assert ofi.update(100.0, 6.0, 101.0, 10.0) == 6.0


def test_ofi_after_a_reset_starts_anew():
    ofi = OFI()
    ofi.update(100.0, 1.0, 101.0, 1.0)
    ofi.reset()
    assert ofi.update(90.0, 5.0, 91.0, 5.0) == 0.0
    assert ofi.update(90.0, 7.0, 91.0, 5.0) == 2.0


@given(st.integers(0, 2**32))
def test_ofi_against_the_oracle(seed):
    columns = ofi_events(np.random.default_rng(seed), 60)
    columns[1] = np.round(columns[1] * 8)
    columns[3] = np.round(columns[3] * 8)
    np.testing.assert_array_equal(
        OFI().batch(*columns), oracle.ofi(list(zip(*columns, strict=True)))
    )


def test_ofi_moves_the_mid_of_a_book_of_constant_depth():
    """Cont, Kukanov, Stoikov: with depth D at each level, mid = OFI / 2D to within a tick."""
    depth, rng, n = 50, np.random.default_rng(11), 200_000
    flow = np.cumsum(rng.choice([-1, 0, 1], (2, n)), axis=1)  # one lot comes or goes
    bid, bid_size = np.divmod(flow[0], depth)
    ask, ask_size = np.divmod(flow[1], depth)
    columns = [bid, bid_size + 1, 1000 - ask, ask_size + 1]
    ofi = np.cumsum(OFI().batch(*(c.astype(float) for c in columns)))
    mid = (columns[0] + columns[2]) / 2
    assert np.ptp(mid) > 5
    assert np.abs(mid - mid[0] - ofi / (2 * depth)).max() <= 1.0


# VPIN --------------------------------------------------------------------------------

sizes = st.one_of(st.integers(1, 9), st.integers(1, 200))
trades = st.lists(st.tuples(st.sampled_from([1, -1, 0]), sizes), max_size=40)


@given(trades, st.integers(1, 30), st.integers(1, 6), st.sampled_from([1.0, 0.125]))
def test_vpin_against_the_oracle(rows, bucket, n, lot):
    side = np.array([r[0] for r in rows], np.int8)
    size = np.array([r[1] for r in rows], float) * lot
    got = VPIN(bucket * lot, n).batch(side, size)
    want = oracle.vpin(side.tolist(), size, bucket * lot, n)
    np.testing.assert_allclose(got, want, rtol=1e-15)
    assert ((got >= 0) & (got <= 1) | np.isnan(got)).all()


def test_vpin_by_hand():
    vpin = VPIN(10.0, 2)
    assert math.isnan(vpin.update(1, 6.0))
    assert math.isnan(vpin.update(-1, 8.0))  # 6 buy + 4 sell; 4 sell begin the next
    assert vpin.buckets_closed == 1
    assert vpin.update(1, 6.0) == (0.2 + 0.2) / 2  # 4 sell + 6 buy: full, so closed
    assert vpin.update(-1, 9.0) == 0.2  # an open bucket does not count
    assert vpin.update(-1, 1.0) == (0.2 + 1.0) / 2


def test_one_trade_fills_several_buckets():
    vpin = VPIN(10.0, 3)
    vpin.update(-1, 5.0)
    assert vpin.update(1, 32.0) == (0.0 + 1.0 + 1.0) / 3
    assert vpin.buckets_closed == 3
    vpin.update(-1, 3.0)  # 7 left of the large trade, 3 sold
    assert vpin.value == (1.0 + 1.0 + 0.4) / 3
    assert vpin.update(1, 1e300) == 1.0
    assert VPIN(1e-300, 3).update(-1, 1e300) == 1.0


def test_vpin_ignores_sizes_that_are_none():
    vpin, clean = VPIN(2.0, 2), VPIN(2.0, 2)
    for size in (1.5, NAN, 2.0, -4.0, 0.5, INF, 0.0, 3.0):
        vpin.update(1, size)
        if 0 < size < INF:
            clean.update(1, size)
    assert bits(vpin.value) == bits(clean.value)
    assert vpin.buckets_closed == clean.buckets_closed == 3


def test_calibrated_vpin_is_that_of_the_bucket_it_found():
    rng = np.random.default_rng(12)
    side, size = trade_events(rng, 500)
    calibrated = VPIN(n_buckets=4, calibrate_trades=100, calibrate_buckets=20.0)
    assert math.isnan(calibrated.bucket_volume)
    got = calibrated.batch(side, size)
    bucket = calibrated.bucket_volume
    assert bucket == pytest.approx(size[:100].sum() / 20, rel=1e-14)
    assert np.isnan(got[:100]).all()
    assert bits(got[100:]) == bits(VPIN(bucket, 4).batch(side[100:], size[100:]))
    # What comes after the calibration cannot change it.
    again = VPIN(n_buckets=4, calibrate_trades=100, calibrate_buckets=20.0)
    again.batch(side[:100], size[:100])
    assert again.bucket_volume == bucket


def test_no_drift_over_a_million_trades():
    """Against integer arithmetic on the two running totals, cut at the borders."""
    rng, n, bucket, count = np.random.default_rng(13), 1_000_000, 977, 50
    side = rng.choice(np.array([1, -1], np.int8), n)
    lots = rng.integers(1, 60, n)
    total, net = np.cumsum(lots), np.cumsum(side * lots)
    borders = np.arange(bucket, total[-1] + 1, bucket)
    at = np.searchsorted(total, borders)
    net_at = net[at] - side[at] * (total[at] - borders)
    last = np.abs(np.diff(net_at, prepend=0))[-count:]
    vpin = VPIN(float(bucket), count)
    vpin.batch(side, lots.astype(float))
    assert vpin.buckets_closed == len(borders)
    assert vpin.value == pytest.approx(last.sum() / (count * bucket), rel=1e-15)
    # The same in base units of 0.001, where no size is exact in binary.
    base = VPIN(bucket * 0.001, count)
    base.batch(side, lots * 0.001)
    assert base.buckets_closed == vpin.buckets_closed
    assert base.value == pytest.approx(vpin.value, rel=1e-6)


def test_vpin_of_random_signs_has_its_known_level():
    """E |S_100| / 100 of a fair walk is C(100, 50) / 2^100 = 0.0796."""
    rng, n = np.random.default_rng(14), 1_000_000
    vpin = VPIN(100.0, n // 100)
    vpin.batch(rng.choice(np.array([1, -1], np.int8), n), np.ones(n))
    level = math.comb(100, 50) / 2**100
    assert vpin.value == pytest.approx(level, abs=4 * math.sqrt((0.01 - level**2) / (n / 100)))


def test_vpin_rises_with_the_share_of_informed_trades():
    rng, values = np.random.default_rng(15), []
    for informed in (0.0, 0.1, 0.3, 0.6):
        news = np.repeat(rng.choice([1, -1], 400), 250)  # the informed side, a while each
        noise = rng.choice([1, -1], news.size)
        side = np.where(rng.random(news.size) < informed, news, noise).astype(np.int8)
        vpin = VPIN(50.0, 1000)
        vpin.batch(side, rng.lognormal(size=news.size))
        values.append(vpin.value)
    assert values == sorted(values)
    assert values[-1] > 2 * values[0]


# Bulk volume classification ----------------------------------------------------------


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(2, 8))
def test_bulk_vpin_against_the_oracle(seed, n, sigma_bars):
    rng = np.random.default_rng(seed)
    price, volume = bar_events(rng, 50)
    volume = np.ceil(volume * 8) / 8  # exact, so that borders are
    price = np.round(price, 1)
    price[rng.random(50) < 0.1] = np.nan
    got = BulkVPIN(2.5, n, sigma_bars).batch(price, volume)
    want = oracle.bulk_vpin(price.tolist(), volume.tolist(), 2.5, n, sigma_bars)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_bulk_vpin_changes_are_from_the_last_bar_that_traded():
    price, volume = bar_events(np.random.default_rng(16), 60)
    traded = volume > 0
    price[~traded] = -1e9  # never looked at
    got = BulkVPIN(3.0, 2, 4).batch(price, volume)
    assert bits(got[traded]) == bits(BulkVPIN(3.0, 2, 4).batch(price[traded], volume[traded]))


def test_bulk_vpin_of_a_still_price_is_half_and_half():
    price = np.full(50, 60_000.1)
    price[30] += 5.0  # nothing to measure it by
    vpin = BulkVPIN(1.0, 3, 5)
    got = vpin.batch(price[:31], np.ones(31))
    assert (got[~np.isnan(got)] == 0.0).all()
    assert vpin.buckets_closed == 25  # 1 bar has no change, 5 no sigma


@pytest.mark.parametrize(("bars", "level"), [(1, 0.5), (5, 0.206), (20, 0.103)])
def test_bulk_vpin_of_a_random_walk_has_its_known_level(bars, level):
    """Gaussian changes, bars of equal volume: E |mean of k uniforms on [-1, 1]|."""
    n = 200_000
    price = 60_000.0 + np.cumsum(np.random.default_rng(bars).normal(size=n))
    count = (n - 1001) // bars  # the first 1001 have no sigma yet
    vpin = BulkVPIN(float(bars), count, 1000)
    vpin.batch(price, np.ones(n))
    spread = math.sqrt(max(1 / (3 * bars) - level**2, 0.0) / count)
    assert vpin.value == pytest.approx(level, abs=4 * spread + 0.002)


@streams
def test_the_future_changes_nothing_before_it(stream):
    make, events = STREAMS[stream]
    columns = events(np.random.default_rng(17), 200)
    want = make().batch(*columns)[:120]
    for c in columns:
        c[120:] = c[:80] if c.dtype == np.int8 else c[120:] * 1e6
    assert bits(make().batch(*columns)[:120]) == bits(want)


# Kyle's lambda -----------------------------------------------------------------------


@pytest.mark.parametrize("window", [3, 60, 300])
def test_kyle_against_statsmodels(window):
    rng = np.random.default_rng(18)
    volume = rng.normal(0, 100, 2000) + 30.0
    dmid = 1e-3 * volume + rng.normal(0, 0.2, 2000)
    fit = StatsmodelsOLS(dmid, sm.add_constant(volume), window=window).fit()
    kyle = KyleLambda(window)
    got = kyle.batch(dmid, volume)
    np.testing.assert_allclose(got, fit.params[:, 1], rtol=1e-10, atol=1e-13)
    assert kyle.tstat == pytest.approx(fit.tvalues[-1, 1], rel=1e-9)
    assert kyle.window == window


@given(st.integers(0, 2**32), st.integers(3, 10))
def test_kyle_against_fractions(seed, window):
    dmid, volume = kyle_events(np.random.default_rng(seed), 40)
    kept = ~np.isnan(dmid)
    kyle = KyleLambda(window)
    got = kyle.batch(dmid, volume)
    want = rolling_oracle.ols(volume[kept], dmid[kept], window)
    np.testing.assert_allclose(got[kept], [w[0] for w in want], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(kyle.tstat, want[-1][3], rtol=1e-7, atol=1e-12)


def test_kyle_of_bars_without_volume_is_nan():
    kyle = KyleLambda(4)
    assert np.isnan(kyle.batch(np.array([0.1, -0.2, 0.3, 0.1, 0.2]), np.zeros(5))).all()
    assert math.isnan(kyle.tstat)
    assert math.isfinite(kyle.update(0.1, 2.0))


def test_kyle_recovers_the_equilibrium_of_1985():
    """One-period model: lambda = sigma_v / (2 sigma_u), half the value's variance is told."""
    rng, n = np.random.default_rng(19), 200_000
    sigma_v, sigma_u = 0.5, 120.0
    value, noise = rng.normal(0, sigma_v, n), rng.normal(0, sigma_u, n)
    flow = value * sigma_u / sigma_v + noise
    kyle = KyleLambda(n)
    kyle.batch(value, flow)
    error = sigma_v * math.sqrt(0.5) / (math.sqrt(2) * sigma_u * math.sqrt(n))
    assert kyle.value == pytest.approx(sigma_v / (2 * sigma_u), abs=4 * error)
    told = value - kyle.value * flow
    assert told.var() / value.var() == pytest.approx(0.5, abs=0.01)


# Arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VPIN(-1.0), "bucket_volume must be > 0 and finite, was -1.0"),
        (lambda: VPIN(NAN), "bucket_volume must be > 0 and finite, was nan"),
        (lambda: VPIN(INF), "bucket_volume must be > 0 and finite, was inf"),
        (lambda: VPIN(1.0, 0), "n_buckets must be >= 1, was 0"),
        (lambda: VPIN(0.0, 5, 0), "calibrate_trades must be >= 1, was 0"),
        (lambda: VPIN(0.0, 5, 5, 0.0), "calibrate_buckets must be > 0, was 0.0"),
        (lambda: BulkVPIN(0.0), "bucket_volume must be > 0 and finite, was 0.0"),
        (lambda: BulkVPIN(1.0, 0), "n_buckets must be >= 1, was 0"),
        (lambda: BulkVPIN(1.0, 5, 1), "sigma_bars must be >= 2, was 1"),
        (lambda: KyleLambda(2), "window must be >= 3, was 2"),
        (lambda: VPIN(1.0, 3).__setstate__(VPIN(1.0, 4).__reduce__()[2]), "another number"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
