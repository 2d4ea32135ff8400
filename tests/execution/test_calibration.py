"""What a market's impact is, and what calibration makes of it; how often its intervals hold it."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mrtrade.errors import ConfigError, DataError
from mrtrade.execution.book_walk import BookWalks, walk_book
from mrtrade.execution.calibration import (
    HORIZONS_S,
    Resampling,
    calibrate,
    kyle_newey_west,
    mark_outs,
    square_root_constant,
)
from mrtrade.features.bars import build_bars

from .impact_market import INVERSE, LINEAR, SECOND, ImpactMarket


def bars_of(tape, horizons=HORIZONS_S):
    return {h: build_bars(tape, SECOND, horizon_ns=round(h * SECOND)) for h in horizons}


def calibrated(market, **options):
    options = {"resamples": 199, "n_times": 200} | options
    return calibrate(bars_of(market.tape), market.tape, **options)


@pytest.fixture(scope="module", params=[LINEAR, INVERSE], ids=["linear", "inverse"])
def flat(request):
    market = ImpactMarket(request.param)
    return market, calibrated(market)


def within(estimate, truth):
    return estimate.low <= truth <= estimate.high


def test_lambda_is_that_of_the_market(flat):
    market, found = flat
    assert found.kyle_lambda.value == pytest.approx(market.kyle_lambda, rel=0.1)
    assert within(found.kyle_lambda, market.kyle_lambda)
    assert found.kyle_lambda.determined
    assert (found.exchange, found.symbol) == (market.terms.exchange, market.terms.symbol)


def test_volume_spread_and_volatility_are_those_of_the_market(flat):
    market, found = flat
    lots = np.abs(market.lots[:-1])
    assert found.daily_volume == pytest.approx(lots.mean() * market.lot_quote * 86_400, rel=0.01)
    assert found.spread_bps == pytest.approx(2 * market.tick_bps, rel=0.01)
    moves = np.diff(market.mids) * market.tick_bps
    a_year = math.sqrt((moves**2).mean() * 365 * 86_400) / 1e4
    assert found.realized_vol == pytest.approx(a_year, rel=0.02)
    assert found.notes == (
        "20.0 minutes are a small sample: volume and volatility of a day are those minutes' rate, "
        "and another hour may differ by more than the intervals say",
        "mark-outs at 30 s: less than 30 such spans with trades and a VPIN",
    )


def test_the_slope_of_a_flat_book(flat):
    market, found = flat
    # An order of Q goes Q / d levels deep and pays half of that on average.
    per_quote = 0.5 * market.tick_bps * (1.0 / (market.base * market.lot_quote)).mean()
    truth = per_quote * 0.01 * found.daily_volume
    assert found.book_slope.value == pytest.approx(truth, rel=0.03)
    assert found.book_slope.low < found.book_slope.value < found.book_slope.high


def test_the_constant_of_a_book_that_is_a_square_root():
    market = ImpactMarket(rising=True)
    found = calibrated(market)
    # Of levels d, 3 d, 5 d, ... an order of Q takes sqrt(Q / d) and pays two thirds of that.
    per_root = market.tick_bps * (1.0 / np.sqrt(market.base * market.lot_quote)).mean()
    sigma_day = found.realized_vol * 1e4 / math.sqrt(365)
    truth = per_root * math.sqrt(found.daily_volume) / sigma_day
    assert found.square_root_y.value == pytest.approx(truth, rel=0.04)  # levels are steps
    assert found.square_root_y.low < found.square_root_y.value < found.square_root_y.high
    # And it says which of the two laws the book is.
    assert float(found.square_root_y.note[4:]) > 0.95 > float(found.book_slope.note[4:])


def test_mark_outs_are_what_trades_move_the_mid_by(flat):
    market, found = flat
    lots = np.abs(market.lots).astype(float)
    truth = 0.01 * (lots**2).mean() / lots.mean() * market.tick_bps  # weighted by what is traded
    table = found.markouts
    assert table.horizons_s == (1.0, 5.0)
    assert set(table.adverse_bps) == {table.adverse_bps[0]}  # signs are random: VPIN tells nothing
    for mean, error in zip(table.adverse_bps[0], table.se_bps[0], strict=True):
        assert mean == pytest.approx(truth, abs=4 * error)
        assert error < 0.3 * truth


def frame_of(vpin, adverse, traded):
    """Bars of a second of which each trade is known a second later to have moved the mid."""
    n = len(vpin)
    index = pd.date_range("2024-01-01", periods=n, freq="1s", tz="UTC")
    mid = np.full(n, 100.0)
    columns = {"vpin": vpin, "mid": mid, "matured_volume": traded,
               "price_impact": 2e-4 * adverse * traded * mid}  # fmt: skip
    return pd.DataFrame(columns, index=index)


def test_mark_outs_are_told_apart_where_vpin_tells():
    rng = np.random.default_rng(0)
    n = 3_000
    vpin = rng.uniform(0.0, 1.0, n)
    traded = rng.exponential(1.0, n)
    before = np.r_[0.5, 0.5, vpin[:-2]]  # known before the bar of a trade that matures now
    for slope in (0.0, 3.0):
        adverse = 1.0 + slope * (before > 0.8) + rng.normal(0.0, 2.0, n)
        found = mark_outs({1.0: frame_of(vpin, adverse, traded)}, bins=5, draw=Resampling(199, 0))
        means = [row[0] for row in found.adverse_bps]
        assert (found.p_alike[0] < 0.01) == (slope > 0.0)
        if slope:
            np.testing.assert_allclose(means, [1.0, 1.0, 1.0, 1.0, 4.0], atol=0.5)
        else:
            assert len(set(means)) == 1
            assert means[0] == pytest.approx(1.0, abs=0.2)
    assert sum(found.n) == n - 2
    one = mark_outs({1.0: frame_of(vpin, adverse, traded)}, bins=1, draw=Resampling(199, 0))
    assert (one.edges, len(one.adverse_bps)) == ((), 1)


def test_too_few_trades_have_no_mark_outs():
    some = frame_of(np.full(40, 0.5), np.ones(40), np.ones(40))
    assert mark_outs({1.0: some}, bins=1, draw=Resampling(99, 0)).horizons_s == (1.0,)
    assert mark_outs({5.0: some}, bins=1, draw=Resampling(99, 0)) is None
    assert mark_outs({1.0: some.assign(vpin=np.nan)}, bins=1, draw=Resampling(99, 0)) is None


# ---- intervals hold the truth as often as they say


@pytest.mark.simulation
def test_the_interval_of_lambda_covers_it():
    """With errors that are correlated and whose variance goes by the volume, as in markets."""
    truth, n, runs = 3e-6, 600, 400
    hits = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        x = np.convolve(rng.standard_t(4, n + 2), [1.0, 0.5, 0.25], "valid") * 1e5
        noise = np.convolve(rng.normal(size=n + 2), [1.0, 0.5, 0.25], "valid")
        y = truth * x + 0.3 * noise * (0.5 + np.abs(x) / 1e5)
        hits += within(kyle_newey_west(y, x), truth)
    # The bars are not many: HAC errors are some points short of 95 % (Newey & West 1987).
    assert 0.90 <= hits / runs <= 0.97


@pytest.mark.simulation
def test_the_interval_of_the_square_root_constant_covers_it():
    truth, n, runs, sigma, volume = 0.6, 300, 150, 300.0, 1e9
    sizes = np.geomspace(1e3, 3e5, 6)
    law = 2.0 / 3.0 * sigma * np.sqrt(sizes / volume)
    hits = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        level = np.convolve(rng.exponential(1.0, n + 4), np.full(5, 0.2), "valid")  # mean 1
        walks = BookWalks(
            time=np.arange(n),
            spread_bps=np.ones(n),
            sizes=sizes,
            slippage_bps=truth * level[:, None, None] * law * np.ones((n, 2, 1)),
        )
        hits += within(square_root_constant(walks, volume, sigma, Resampling(299, seed)), truth)
    # The books depend on each other over five steps and their level is skewed: short of 95 %.
    assert 0.80 <= hits / runs <= 0.97


# ---- what the data do not determine


def test_what_is_not_determined_is_said():
    rng = np.random.default_rng(3)
    nothing = kyle_newey_west(rng.normal(size=300), rng.normal(size=300))
    assert nothing.value is not None
    assert not nothing.determined
    few = kyle_newey_west(np.ones(29), np.arange(29.0))
    assert (few.value, few.n, few.determined) == (None, 29, False)
    assert "too few bars" in few.note
    assert kyle_newey_west(rng.normal(size=99), np.ones(99)).value is None
    empty = np.full((40, 2, 1), np.nan)
    shallow = BookWalks(np.arange(40), np.ones(40), np.array([1e9]), empty)
    found = square_root_constant(shallow, 1e9, 1.0, Resampling(99, 0))
    assert (found.value, found.note) == (None, "the book does not hold such orders")


def test_sizes_that_only_deep_books_hold_are_left_out():
    """Of a large order only the cheap times would be left."""
    sizes = np.array([1e3, 1e4, 1e5])
    depth = np.resize([1.0, 2.0], 100)[:, None, None]
    slippage = sizes / depth * np.ones((100, 2, 1)) * 1e-4
    whole = BookWalks(np.arange(100), np.ones(100), sizes, slippage)
    thin = slippage.copy()
    thin[depth[:, 0, 0] == 1.0, :, 2] = np.nan
    part = BookWalks(np.arange(100), np.ones(100), sizes, thin)
    two = BookWalks(np.arange(100), np.ones(100), sizes[:2], slippage[..., :2])
    full, cut, short = (
        square_root_constant(one, 1e9, 1.0, Resampling(99, 0)) for one in (whole, part, two)
    )
    assert cut.value == short.value != full.value
    assert cut.note.endswith("the book holds orders of up to 1e+04 only")


def test_pairs_that_are_not_known_are_left_out():
    rng = np.random.default_rng(2)
    x = rng.normal(size=200)
    y = x + rng.normal(size=200)
    holes = np.r_[y, [np.nan, 1.0]], np.r_[x, [1.0, np.inf]]
    assert kyle_newey_west(*holes) == kyle_newey_west(y, x)


def test_what_cannot_be_calibrated_is_refused(flat):
    market, _ = flat
    tape, bars = market.tape, bars_of(market.tape, (1.0,))
    for options in ({"bins": 0}, {"resamples": 1}):
        with pytest.raises(ConfigError, match=f"{next(iter(options))}: too few"):
            calibrate(bars, tape, **options)
    with pytest.raises(DataError, match="too few bars, was 20"):
        calibrate({1.0: bars[1.0].iloc[:20]}, tape)
    with pytest.raises(DataError, match="nothing was traded"):
        calibrate({1.0: bars[1.0].assign(buy_volume=0.0, sell_volume=0.0)}, tape)
    with pytest.raises(DataError, match=r"not a multiple of the bars, was 1\.5"):
        calibrate({1.5: bars[1.0]}, tape)


def test_the_same_again(flat):
    market, found = flat
    assert calibrated(market) == found
    assert calibrated(market, seed=1).kyle_lambda == found.kyle_lambda
    assert calibrated(market, seed=1).book_slope != found.book_slope


# ---- walking a book by hand


def test_a_walk_by_hand():
    market = ImpactMarket(seconds=60)
    lots = int(market.base[-1])
    size = lots * LINEAR.lot_size * market.mids[-1] * 0.1  # quote units of a level
    walks = walk_book(market.tape, np.array([0.5, 1.0, 2.5, 179.9, 181.0]) * size, n_times=60)
    tick = 1e4 / market.mids[-1]
    # 2.5 levels: one at the touch, one a tick off, half of one two ticks off.
    expected = [0.0, 0.0, (1 + 0.5 * 2) / 2.5 * tick]
    for side in (0, 1):
        np.testing.assert_allclose(walks.slippage_bps[-1, side, :3], expected, rtol=1e-9)
        assert walks.slippage_bps[-1, side, 3] == pytest.approx(89.45 * tick, rel=1e-3)
        assert np.isnan(walks.slippage_bps[-1, side, 4])  # deeper than the book
    assert walks.spread_bps[-1] == pytest.approx(2 * tick)
    assert len(walks.time) == 60


def test_a_book_without_a_side_is_not_walked():
    tape = ImpactMarket(seconds=60).tape
    bids = tape.deltas.side >= 0
    deltas = type(tape.deltas)(*(column[bids] for column in tape.deltas))
    with pytest.raises(DataError, match="never has both sides"):
        walk_book(replace(tape, deltas=deltas), [1e3], n_times=10)
