"""Columns of mrcore.bars, worked out by hand or by another library on logs that are known."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from mrcore.bars import BAR_COLUMNS, MarketBars
from mrcore.replay import Replay
from tests.oracle import bars as oracle
from tests.oracle.book import OracleBook
from tests.oracle.flow import ofi as touch_flow

from .feeds import LOT, MS, TICK, columns, market_tape

BOOK = [(0, s, 100 - s * (k + 1), 10) for s in (1, -1) for k in range(12)]  # 99 to 88, 101 to 112


def bars_of(deltas, trades, **options):
    bars = MarketBars(TICK, LOT, **options)
    bars.feed(deltas, trades)
    bars.finish()
    return bars.rows()


def one_bar(deltas, trades, end=1_000, **options):
    """The columns of one bar from before the book to `end` ms; times are in ms."""
    rows = [
        [(t * MS, *row) for t, *row in [*first, *more]]
        for first, more in ((BOOK, deltas), ([], trades))
    ]
    bars = MarketBars(1.0, 1.0, size=end * MS, first_ns=end * MS, **options)
    bars.feed(*(columns(r) for r in rows))
    bars.advance(end * MS)
    times, [values] = bars.rows()
    assert times.tolist() == [end * MS]
    return dict(zip(BAR_COLUMNS, values.tolist(), strict=True))


def test_adds_cancels_and_trades_of_a_log():
    """Times in ms, a match within 250 ms; a buy takes asks."""
    row = one_bar(
        [
            (100, 1, 95, 14),  # 4 more
            (110, 1, 99, 3),  # 7 less: a trade of 5 comes 40 ms later, so 2 were cancelled
            (230, -1, 101, 8),  # 2 less: the trade came before
            (300, -1, 105, 0),  # 10 less: cancelled, as the trade comes too late
            (900, -1, 106, 0),  # not known yet at 1000
        ],
        [(150, -1, 99, 5), (200, 1, 101, 3), (551, 1, 105, 10)],
    )
    assert row["bid_adds"] == 4
    assert row["ask_adds"] == 0
    assert row["bid_cancels"] == 2
    assert row["ask_cancels"] == 10
    assert row["unmatched_trades"] == 1 + 10


@pytest.mark.parametrize(("wait", "cancelled"), [(-250, 0), (-251, 4), (250, 0), (251, 4)])
def test_a_match_is_up_to_250_ms_either_way(wait, cancelled):
    row = one_bar([(400, 1, 99, 6)], [(400 + wait, -1, 99, 4)])
    assert row["bid_cancels"] == cancelled
    assert row["unmatched_trades"] == cancelled


def test_the_oldest_reduction_is_claimed_first():
    """Of 4 and then 5 less a trade of 6 takes all of the first: what is left is the second's."""
    deltas = [(100, 1, 99, 6), (300, 1, 99, 1)]
    trades = [(310, -1, 99, 6)]
    assert one_bar(deltas, trades, end=500)["bid_cancels"] == 0
    assert one_bar(deltas, trades, end=550)["bid_cancels"] == 3


def test_a_cancel_is_known_when_the_time_for_a_trade_is_over():
    deltas = [(400, 1, 99, 6)]
    assert one_bar(deltas, [], end=649)["bid_cancels"] == 0
    assert one_bar(deltas, [], end=650)["bid_cancels"] == 4


def test_levels_that_share_a_place_in_the_table():
    """Two asks 4096 ticks apart: while the first waits the second is settled at once."""
    few = [(0, 1, 99, 5), (0, -1, 101, 5), (0, -1, 101 + 4096, 5)]
    deltas = columns(
        [
            (t * MS, *row)
            for t, *row in [*few, (100, -1, 101, 3), (110, -1, 4197, 1), (120, 1, 99, 4)]
        ]
    )
    trades = columns([(200 * MS, 1, 101, 2), (210 * MS, 1, 4197, 4)])
    bars = MarketBars(1.0, 1.0, size=300 * MS, first_ns=300 * MS)
    bars.feed(deltas, trades)
    bars.advance(600 * MS)
    _, values = bars.rows()
    found = {
        name: values[:, BAR_COLUMNS.index(name)].tolist()
        for name in ("ask_cancels", "unmatched_trades", "bid_cancels")
    }
    assert found == {"ask_cancels": [4, 0], "unmatched_trades": [4, 0], "bid_cancels": [0, 1]}


def test_a_level_that_may_flicker_keeps_its_place_in_the_table():
    far = 101 + 4096
    deltas = [(10, -1, far, 9), (100, -1, 101, 50), (200, -1, far, 4), (300, -1, 101, 10)]
    row = one_bar(deltas, [], end=560)
    assert row["ask_flicker"] == 40
    assert one_bar(deltas, [], end=220)["ask_cancels"] == 5  # at once
    late = [*deltas[:2], (1_101, -1, far, 4)]  # its time is over
    assert one_bar(late, [], end=1_350)["ask_cancels"] == 0
    assert one_bar(late, [], end=1_351)["ask_cancels"] == 5


@pytest.mark.parametrize(
    ("more", "left", "gone", "trade", "counted"),
    [
        (30, 10, 1_000, None, 30),  # came and went within a second
        (29, 10, 1_000, None, 0),  # less than three times the mean of 10
        (30, 25, 1_000, None, 30),  # half of it went
        (30, 26, 1_000, None, 0),
        (30, 10, 1_101, None, 0),  # stood for longer
        (30, 10, 1_000, 500, 0),  # was traded
        (30, 10, 1_000, 1_250, 0),  # was traded, as a late message says
        (30, 10, 1_000, 1_251, 30),
        (30, 10, 1_000, 99, 30),  # a trade before
        (30, 10, 1_000, 100, 0),  # who knows which was first
    ],
)
def test_flickers(more, left, gone, trade, counted):
    deltas = [(100, 1, 95, 10 + more), (gone, 1, 95, left)]
    trades = [] if trade is None else [(trade, -1, 95, 1)]
    assert one_bar(deltas, trades, end=1_500)["bid_flicker"] == counted
    assert one_bar(deltas, trades, end=1_249)["bid_flicker"] == 0


def test_flickers_need_ten_levels_and_lie_among_them():
    behind = [(100, 1, 89, 1_000), (200, 1, 89, 10)]  # the eleventh
    assert one_bar(behind, [])["bid_flicker"] == 0
    few = [(50, 1, 88 + k, 0) for k in range(3)]
    assert one_bar([*few, (100, 1, 99, 1_000), (200, 1, 99, 10)], [])["bid_flicker"] == 0


def test_injected_spoofs_are_found_and_nothing_else_is():
    """Large orders in an ordinary book: those withdrawn at once, not those that stay or trade."""
    rng = np.random.default_rng(5)
    deltas, trades, spoofed = [], [], 0
    for k in range(60):
        start, side = 2_000 * (k + 1), int(rng.choice([1, -1]))
        tick = 100 - side * int(rng.integers(1, 11))
        more = int(rng.integers(40, 90))
        deltas += [(start - 500, side, tick, 10), (start, side, tick, 10 + more)]
        for _ in range(5):  # small changes of the other side
            other = 100 + side * int(rng.integers(1, 11))
            deltas.append((start + 100, -side, other, int(rng.integers(8, 13))))
        gone = start + (int(rng.integers(200, 900)), 1_200, 310)[k % 3]
        deltas.append((gone, side, tick, 10))
        if k % 3 == 0:
            spoofed += more
        elif k % 3 == 2:
            trades.append((start + 300, -side, tick, more))
    row = one_bar(deltas, trades, end=200_000)
    assert row["bid_flicker"] + row["ask_flicker"] == spoofed > 1_000
    assert row["unmatched_trades"] == 0


@pytest.mark.parametrize(
    ("change", "flow"),
    [
        ((1, 99, 13), 3),  # bid grows
        ((1, 99, 7), -3),  # bid shrinks
        ((1, 100, 4), 4),  # bid goes up
        ((1, 99, 0), -10),  # bid goes down
        ((-1, 101, 14), -4),  # ask grows
        ((-1, 101, 7), 3),  # ask shrinks
        ((-1, 101, 0), 10),  # ask goes up
    ],
)
def test_the_seven_cases_of_order_flow(change, flow):
    """Cont, Kukanov and Stoikov 2014; at the touch a level's own flow is theirs."""
    row = one_bar([(10, *change)], [])
    assert row["ofi"] == row["ofi5"] == row["ofi10"] == flow


@pytest.mark.parametrize(
    ("tick", "lots", "five", "ten"),
    [
        (95, 12, 2, 2),  # the fifth
        (94, 12, 0, 2),
        (90, 12, 0, 2),
        (89, 12, 0, 0),
        (95, 0, -10, -10),  # goes; the sixth, now fifth, has not changed
        (100, 3, 3, 3),  # comes; the fifth, now sixth, has not changed
    ],
)
def test_flow_of_levels_goes_by_price(tick, lots, five, ten):
    row = one_bar([(10, 1, tick, lots)], [])
    assert (row["ofi5"], row["ofi10"]) == (five, ten)


@given(seed=st.integers(0, 10**6))
def test_the_rule_for_one_level_is_the_touch_flow(seed):
    """Row by row; the slow pass counts levels by the rule that this holds for one of them."""
    rng = np.random.default_rng(seed)
    book, quotes, flows = OracleBook(), [], []
    for side, tick in [(1, 99), (-1, 101)]:
        book.update(side, tick, 5)
    for _ in range(100):
        quotes.append(
            tuple(x for s in (1, -1) for x in (book.best(s), book.levels[s][book.best(s)]))
        )
        side = int(rng.choice([1, -1]))
        room = quotes[-1][2] - quotes[-1][0]
        away = int(rng.integers(-1, 3)) if room > 1 else int(rng.integers(0, 3))
        tick, lots = book.best(side) - side * away, int(rng.integers(0, 4))
        if lots == 0 and len(book.levels[side]) == 1:
            lots = 1
        change = lots - book.levels[side].get(tick, 0)
        flows.append(side * change * oracle.among(book, side, tick, lots, 1))
        book.update(side, tick, lots)
    quotes.append(tuple(x for s in (1, -1) for x in (book.best(s), book.levels[s][book.best(s)])))
    assert touch_flow(quotes)[1:] == flows


def test_stale_levels_leave_without_a_trace_in_flows():
    """A bid at 103 shows that the asks at 101 to 103 are gone: nine are left, from 104 on."""
    cross = [(100, 1, 103, 5)]
    more = [(200, -1, 108, 11), (210, -1, 109, 11)]  # the fifth and the sixth
    large = [(300, -1, 105, 99), (400, -1, 105, 10)]
    row = one_bar([*cross, *more], [])
    assert (row["bid"], row["ask"], row["ask_depth_20"]) == (103, 104, 92)
    assert (row["ofi5"], row["ofi10"]) == (5 - 1, 5 - 2)
    assert (row["bid_adds"], row["ask_adds"], row["ask_cancels"]) == (5, 2, 0)
    assert (row["ask_emptied"], row["ask_depleted"]) == (1, 10)  # the touch is seen as it is
    assert one_bar([*cross, *large], [])["ask_flicker"] == 0  # needs ten levels
    assert one_bar([*cross, (150, -1, 120, 10), *large], [])["ask_flicker"] == 89


def test_what_trades_cost():
    """Mid 100 before, 101.5 five seconds after: a buy of 2 at 101 and a sell of 3 at 99."""
    deltas = [(400, -1, 101, 0), (400, -1, 102, 0), (400, 1, 100, 1)]
    trades = [(100, 1, 101, 2), (200, -1, 99, 3)]
    row = one_bar(deltas, trades, end=5_150)
    assert row["eff_spread"] == 2 * 1 * 2 + 2 * 1 * 3
    assert row["eff_volume"] == 5
    assert row["realized_spread"] == 2 * (101 - 101.5) * 2  # the sell's is not known yet
    assert row["price_impact"] == 2 * 1.5 * 2
    assert row["matured_spread"] == 4
    assert row["matured_volume"] == 2
    row = one_bar(deltas, trades, end=5_200)
    assert row["realized_spread"] == -2 + -2 * (99 - 101.5) * 3
    assert row["price_impact"] == 6 + -2 * 1.5 * 3
    assert row["matured_spread"] == row["eff_spread"]


def test_what_is_paid_is_what_is_kept_and_what_moves():
    """Over all bars: every trade whose horizon has come is in, and no other."""
    deltas, trades = market_tape(n_deltas=5_000)
    _, values = bars_of(deltas, trades, size=100 * MS, horizon_ns=300 * MS)
    column = {name: values[:, i] for i, name in enumerate(BAR_COLUMNS)}
    assert (column["matured_spread"] == column["realized_spread"] + column["price_impact"]).all()
    time, side, tick, lots = trades
    last = deltas[0][-1] // (100 * MS) * 100 * MS
    book = Replay(TICK, LOT, sample_times=np.unique(time) - 1)
    book.feed(deltas, trades)
    book.finish()
    touch = book.samples()[np.searchsorted(np.unique(time), time)]
    cost = 2 * side * (tick * TICK - 0.5 * (touch[:, 0] + touch[:, 2])) * lots * LOT
    come = time + 300 * MS <= last
    assert 0 < come.sum() < len(come)
    assert column["matured_spread"].sum() == pytest.approx(cost[come].sum(), rel=1e-12)
    assert column["matured_volume"].sum() == pytest.approx(lots[come].sum() * LOT)
    assert column["eff_spread"].sum() == pytest.approx(cost[time <= last].sum(), rel=1e-12)


def test_a_gap_drops_what_waits():
    gap = [(300, 0, 0, 0)] + [(300, *row[1:]) for row in BOOK]
    deltas = [(100, 1, 99, 40), (200, 1, 99, 3), (210, -1, 101, 4)]
    trades = [(220, 1, 102, 9), (230, 1, 101, 6)]
    row = one_bar([*deltas, *gap], trades, end=6_000)
    for name in (
        "bid_cancels",
        "ask_cancels",
        "unmatched_trades",
        "bid_flicker",
        "matured_volume",
        "realized_spread",
        "price_impact",
    ):
        assert row[name] == 0, name
    assert row["eff_volume"] == 15
    assert row["bid_adds"] == 30  # the snapshot adds nothing
    assert row["ofi5"] == 30 - 37 + 6
    assert row["bid_depleted"] == 37
    assert row["bid_emptied"] == 0


def test_depletion_of_the_touch():
    deltas = [
        (100, 1, 99, 4),  # 6 less
        (200, 1, 99, 0),  # 4 less, and the best is 98
        (300, 1, 99, 2),  # a better one is no loss
        (400, 1, 99, 7),
        (500, -1, 101, 0),
        (500, -1, 102, 0),  # one message: the best of before is lost
    ]
    row = one_bar(deltas, [])
    assert (row["bid_depleted"], row["bid_emptied"]) == (10, 1)
    assert (row["ask_depleted"], row["ask_emptied"]) == (10, 1)
    assert row["n_mid_changes"] == 3
    # (qb - qa) / (qb + qa): 0 for 100 ms, -6/14 for 100, 0 for 100, -8/12 for 100, -3/17
    wanted = (-6 / 14 * 100 - 8 / 12 * 100 - 3 / 17 * 600) / 1_000
    assert row["touch_imbalance_mean"] == pytest.approx(wanted)


def test_the_shape_of_the_book():
    """Twelve levels of 10 a side, the k-th k ticks from a mid of 100: 100 bps a tick."""
    row = one_bar([(10, 1, 98, 0)], [], band_bps=250)
    assert row["ask_slope"] == pytest.approx(np.mean([10 * k / (100 * k) for k in range(1, 11)]))
    away = [1, *range(3, 12)]
    assert row["bid_slope"] == pytest.approx(
        np.mean([10 * (k + 1) / (100 * d) for k, d in enumerate(away)])
    )
    assert row["ask_weighted"] == pytest.approx(10 * sum(math.exp(-k / 2) for k in range(10)))
    assert (row["band_bid_depth"], row["band_ask_depth"]) == (10, 20)


@pytest.mark.parametrize("bps", [3, 7, 10, 200])
def test_the_band_has_its_edges_on_both_sides(bps):
    """Levels at the very distance: 999 and 1001 are both 10 bps from 1000."""
    mid = 10_000
    book = columns([(0, s, mid - s * (bps + k), 5) for s in (1, -1) for k in range(2)])
    _, [values] = bars_of(book, columns([]), size=MS, band_bps=bps)
    found = dict(zip(BAR_COLUMNS, values.tolist(), strict=True))
    assert (found["band_bid_depth"], found["band_ask_depth"]) == (5 * LOT, 5 * LOT)


def test_trades_of_a_log():
    trades = [(100, 1, 101, 2), (200, 1, 102, 7), (300, -1, 99, 1), (400, 1, 101, 1)]
    row = one_bar([], trades, hawkes_half_life_ns=100 * MS, end=500)
    assert (row["n_buys"], row["n_sells"], row["max_trade"]) == (3, 1, 7)
    assert (row["signed_runs"], row["n_sign_pairs"]) == (1 - 1 - 1, 3)
    # steps 1, -3, 2
    assert (row["roll_xy"], row["roll_x"], row["roll_y"], row["roll_n"]) == (-9, -1, -2, 2)
    beta = math.log(2) / 0.1
    assert row["hawkes_buy"] == pytest.approx(beta * (2**-4 + 2**-3 + 2**-1))
    assert row["hawkes_sell"] == pytest.approx(beta * 2**-2)


def test_intensity_before_1970():
    """Nothing has decayed from a time that was never reached."""
    start = -(10**18)
    bars = MarketBars(1.0, 1.0, size=1_000 * MS, hawkes_half_life_ns=1_000 * MS)
    bars.feed(columns([]), columns([(start, 1, 100, 1)]))
    bars.advance(start + 1_000 * MS)
    beta, (_, values) = math.log(2), bars.rows()
    column = {name: values[:, i].tolist() for i, name in enumerate(BAR_COLUMNS)}
    assert column["hawkes_buy"] == pytest.approx([beta, beta / 2])
    assert column["hawkes_sell"] == [0, 0]


def test_roll_sums_give_the_covariance_over_any_bars():
    """Against numpy, over the trades of all bars but the first."""
    deltas, trades = market_tape(n_deltas=5_000)
    times, values = bars_of(deltas, trades, size=500 * MS)
    column = {name: values[1:, i] for i, name in enumerate(BAR_COLUMNS)}
    n = column["roll_n"].sum()
    covariance = (
        column["roll_xy"].sum() / n - column["roll_x"].sum() * column["roll_y"].sum() / n**2
    )
    steps = np.diff(trades[2] * TICK)
    inside = (trades[0][2:] > times[0]) & (trades[0][2:] <= times[-1])
    expected = np.cov(steps[1:][inside], steps[:-1][inside], ddof=0)[0, 1]
    assert n == inside.sum()
    assert covariance == pytest.approx(expected, rel=1e-9)


def test_t_of_kyles_lambda():
    """Against statsmodels 0.15 OLS(...).fit().tvalues[1]."""
    deltas, trades = market_tape(n_deltas=5_000)
    _, values = bars_of(deltas, trades, size=500 * MS, kyle_window=20)
    column = {name: values[:, i] for i, name in enumerate(BAR_COLUMNS)}
    change = 0.5 * (column["bid"] + column["ask"]) - column["mid_open"]
    volume = column["buy_volume"] - column["sell_volume"]
    assert np.isnan(column["kyle_t"][:20]).all()
    for i in range(20, len(change), 7):
        part = slice(i - 19, i + 1)
        fit = sm.OLS(change[part], sm.add_constant(volume[part])).fit()
        assert column["kyle_t"][i] == pytest.approx(fit.tvalues[1], rel=1e-8)
        assert column["kyle_lambda"][i] == pytest.approx(fit.params[1], rel=1e-8)


# Bars by what is traded --------------------------------------------------------------------


def test_bars_of_trades_end_with_the_nanosecond_and_begin_at_zero():
    trades = columns(
        [
            (1, 1, 10, 3),
            (2, 1, 10, 4),
            (2, -1, 20, 9),
            (2, 1, 10, 1),
            (5, 1, 10, 5),
            (9, -1, 10, 2),
            (9, 1, 10, 1),
        ]
    )
    deltas = columns([(0, 1, 9, 5), (0, -1, 11, 5), (2, 1, 9, 6), (7, 1, 9, 8)])
    sizes = {"tick": (2, [2, 9]), "volume": (5, [2, 5]), "dollar": (50, [2, 5])}
    for kind, (size, wanted) in sizes.items():
        bars = MarketBars(1.0, 1.0, kind=kind, size=size)
        bars.feed(deltas, trades)
        bars.finish()
        times, values = bars.rows()
        assert times.tolist() == wanted, kind
        column = {name: values[:, i].tolist() for i, name in enumerate(BAR_COLUMNS)}
        assert column["bid_size"] == [6, 8 if kind == "tick" else 6]  # messages of the end too
        assert column["n_trades"] == [4, 3 if kind == "tick" else 1]
        assert column["buy_volume"][0] == 8


@pytest.mark.parametrize("kind", ["volume", "dollar"])
def test_a_size_that_is_reached_by_sums_of_fractions(kind):
    """Three times 0.1 is no less than 0.3, nor are three times 1 * 0.1."""
    bars = MarketBars(0.1, 0.1, kind=kind, size=0.3)
    bars.feed(columns([]), columns([(k, 1, 10, 1) for k in range(6)]))
    bars.finish()
    assert bars.rows()[0].tolist() == [2, 5]


@pytest.mark.parametrize("end", [1_000, 1_050, 1_100, 1_200, 1_500])
def test_what_waits_is_kept_when_there_is_more_of_it(end):
    """A few reductions a ms for a while, then so many that the room for them grows."""
    deltas, left = [(1, 1, 99, 10**6), (1, 1, 98, 10**6)], {98: 10**6, 99: 10**6}
    for now in (*range(100, 700, 2), *(t for t in range(700, 1_400) for _ in range(2))):
        tick = 98 + len(deltas) % 2
        left[tick] -= 1 + len(deltas) % 7
        deltas.append((now, 1, tick, left[tick]))
    before, gone = dict.fromkeys(left, 10**6), 0
    for now, _, tick, lots in deltas[2:]:
        gone += (before[tick] - lots) * (now <= end - 300)
        before[tick] = lots
    assert one_bar(deltas, [], match_ns=300 * MS, end=end)["bid_cancels"] == gone
