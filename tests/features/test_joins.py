"""Joins by receipt: what was known at the end of each bar, by hand, and nothing that came later."""

import numpy as np
import pandas as pd
import pytest

from mrcore.leadlag import LeadLag
from mrtrade.clock import from_ns, to_ns
from mrtrade.features import COLUMNS, compute
from mrtrade.features.joins import LAGS_NS, with_perpetual, with_second_asset

NAN = np.nan
S = 1_000_000_000
HOUR = 3600 * S
START = to_ns("2024-08-08T00:00:00Z")


def at(seconds) -> pd.DatetimeIndex:
    return from_ns(START + (np.asarray(seconds, float) * S).astype(np.int64)).rename("time")


def bars_at(*seconds, **columns) -> pd.DataFrame:
    return pd.DataFrame({"mid": 100.0, **columns}, index=at(seconds))


def mids(*rows) -> pd.Series:
    time, price = zip(*rows, strict=True)
    return pd.Series(np.array(price, float), at(time))


def funding_rows(*rows) -> pd.DataFrame:
    """Rows of (seconds of receipt, rate, seconds of settlement, mark, index)."""
    received, rate, due, mark, index = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "origin_time": at(received),
            "mark_price": np.array(mark, float),
            "rate": np.array(rate, float),
            "next_funding_time": at(due),
            "index_price": np.array(index, float),
        },
        index=at(received),
    )


def holds(frame, **expected):
    for name, values in expected.items():
        assert name in COLUMNS
        np.testing.assert_allclose(frame[name], values, rtol=1e-12, atol=1e-12, err_msg=name)


# A second asset ---------------------------------------------------------------------


def test_the_last_mid_received_and_its_age():
    other = mids((0.5, 50.0), (2.0, 51.0), (2.0, 52.0), (2.5, NAN), (3.5, 53.0))
    got = with_second_asset(bars_at(0, 1, 2, 3, 4), other)
    holds(
        got,
        other_mid=[NAN, 50.0, 52.0, 52.0, 53.0],
        other_age_s=[NAN, 0.5, 0.0, 1.0, 0.5],
    )
    assert list(got) == ["mid", "other_mid", "other_age_s"]


def test_a_mid_that_is_stale_is_none():
    other = mids((0, 50.0), (1000, 51.0))
    got = with_second_asset(bars_at(600, 600.5, 1000, 1700), other)
    holds(got, other_mid=[50.0, NAN, 51.0, NAN], other_age_s=[600.0, NAN, 0.0, NAN])
    held = with_second_asset(bars_at(600.5), other, max_age="20min")
    holds(held, other_mid=[50.0], other_age_s=[600.5])


def test_bars_of_a_second_asset_are_known_at_their_ends():
    holds(with_second_asset(bars_at(1, 2, 3), bars_at(2, 3)), other_mid=[NAN, 100.0, 100.0])


def test_without_any_mid_there_is_no_value():
    nothing = mids((0, 1.0)).iloc[:0]
    got = with_second_asset(bars_at(1, 2), nothing, own=nothing)
    assert got.iloc[:, 1:].isna().all(axis=None)
    assert got.shape == (2, 7)


def walks(seed=0, n=4000):
    """Mids at random times; the second asset's moves come to the first two seconds later."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(1e-4 * rng.normal(size=n))
    times = np.sort(rng.uniform(0.0, n / 10, (2, n)), axis=1)
    own, other = (
        np.exp(path[np.maximum((t * 10).astype(int) - lag, 0)])
        for t, lag in zip(times, (20, 0), strict=True)
    )
    return pd.Series(100.0 * own, at(times[0])), pd.Series(50.0 * other, at(times[1]))


def test_the_lead_is_that_of_the_core_and_the_planted_one():
    own, other = walks()
    bars = bars_at(*range(60, 400, 60))
    got = with_second_asset(bars, other, own=own)
    want = LeadLag(300 * S, LAGS_NS).batch(
        *(to_ns(other.index), np.log(other.to_numpy()), to_ns(own.index), np.log(own.to_numpy())),
        to_ns(bars.index),
    )
    names = ("hy_corr", "hy_lead_s", "hy_lead_corr", "hy_llr")
    holds(got, **dict(zip(names, want[1:], strict=True)))
    assert (np.abs(got["hy_lead_s"] - 2.0) <= 0.5).all()
    assert (got["hy_llr"] > 1.0).all()
    # and the other way round it follows
    assert (with_second_asset(bars, own, own=other)["hy_lead_s"] < -1.0).all()


# A perpetual ------------------------------------------------------------------------

EIGHT, SIXTEEN, TWENTY = 8 * 3600, 16 * 3600, 20 * 3600


def test_rates_as_they_were_known():
    rows = funding_rows(
        (EIGHT - 100, 1e-4, EIGHT, 100.5, 100.0),
        (EIGHT - 10, 2e-4, EIGHT, 100.6, 100.1),
        (EIGHT + 5, 5e-4, SIXTEEN, 100.7, 100.2),
        (SIXTEEN + 5, 6e-4, TWENTY, NAN, 100.3),  # four hours now
    )
    bars = bars_at(EIGHT - 101, EIGHT - 100, EIGHT - 5, EIGHT, EIGHT + 5, SIXTEEN + 1, SIXTEEN + 5)
    holds(
        with_perpetual(bars, funding=rows),
        funding_rate=[NAN, 1e-4, 2e-4, NAN, 5e-4, NAN, 6e-4],
        funding_due_s=[NAN, 100.0, 5.0, NAN, 8 * 3600 - 5.0, NAN, 4 * 3600 - 5.0],
        # settled at eight: the last that was announced for it
        funding_settled=[NAN, NAN, NAN, 2e-4, 2e-4, 5e-4, 5e-4],
        funding_interval_s=[NAN, NAN, NAN, NAN, 8 * 3600, 8 * 3600, 4 * 3600],
        mark=[NAN, 100.5, 100.6, 100.6, 100.7, NAN, NAN],  # ten minutes on there is none
        index=[NAN, 100.0, 100.1, 100.1, 100.2, NAN, 100.3],
    )


def test_a_history_of_settled_rates_is_known_at_settlement_and_not_before():
    due = funding_rows((EIGHT, 1e-4, EIGHT, NAN, NAN), (SIXTEEN, 3e-4, SIXTEEN, NAN, NAN))
    unnamed = due.drop(columns=["next_funding_time", "mark_price", "index_price"])
    bars = bars_at(EIGHT - 1, EIGHT, SIXTEEN - 1, SIXTEEN)
    for rows in (due, unnamed):
        got = with_perpetual(bars, funding=rows)
        holds(
            got,
            funding_rate=[NAN] * 4,
            funding_due_s=[NAN] * 4,
            funding_settled=[NAN, 1e-4, 1e-4, 3e-4],
            funding_interval_s=[NAN, NAN, NAN, 8 * 3600],
            mark=[NAN] * 4,
        )


def test_rows_that_come_late_or_jitter_or_are_corrupt():
    rows = funding_rows(
        (EIGHT - 9, 1e-4, EIGHT + 0.003, NAN, NAN),
        (EIGHT - 8, 2e-4, EIGHT - 0.002, NAN, NAN),  # the same settlement, and the later row
        (EIGHT + 1, 9e-4, EIGHT + 40 * 3600, NAN, NAN),  # no period is so long: no row at all
        (EIGHT + 2, 3e-4, EIGHT, NAN, NAN),  # late, and on the last settlement: it counts
        (EIGHT + 3, 4e-4, SIXTEEN, NAN, NAN),
        (SIXTEEN + 1, 8e-4, EIGHT, NAN, NAN),  # later still: another has been settled since
    )
    bars = bars_at(EIGHT - 8, EIGHT + 1, EIGHT + 2, EIGHT + 3, SIXTEEN + 1)
    holds(
        with_perpetual(bars, funding=rows),
        funding_rate=[2e-4, NAN, NAN, 4e-4, NAN],
        funding_settled=[NAN, 2e-4, 3e-4, 3e-4, 4e-4],
        funding_interval_s=[NAN, NAN, NAN, 8 * 3600, 8 * 3600],
    )


def test_an_interval_over_a_pause_of_the_recording_is_unknown():
    rows = funding_rows(
        (0, 1e-4, EIGHT, NAN, NAN),
        (EIGHT + 1, 1e-4, SIXTEEN, NAN, NAN),
        (SIXTEEN + 86_400, 1e-4, SIXTEEN + 86_400 + 3600, NAN, NAN),
    )
    holds(
        with_perpetual(bars_at(EIGHT + 1, SIXTEEN + 86_400), funding=rows),
        funding_interval_s=[8 * 3600, NAN],
    )


def test_the_spot_stands_in_for_an_index_that_is_not_recorded():
    rows = funding_rows((1, 1e-4, EIGHT, NAN, 100.0), (2, 1e-4, EIGHT, NAN, NAN))
    spot = mids((0, 99.0), (900, 98.0))
    bars = bars_at(0, 1, 602, 900)
    holds(with_perpetual(bars, spot=spot), index=[99.0, 99.0, NAN, 98.0])
    holds(with_perpetual(bars, funding=rows, spot=spot), index=[99.0, 100.0, NAN, 98.0])


def test_open_interest_and_liquidations():
    interest = pd.DataFrame({"open_interest": [10.0, 12.0]}, index=at([1, 3]))
    forced = pd.DataFrame(
        {
            "side": pd.Categorical(["sell", "buy", "buy", "sell"], categories=["buy", "sell"]),
            "quantity": [1.0, 2.0, 4.0, 8.0],
        },
        index=at([1.5, 3.0, 3.5, 4.0]),
    )
    bars = bars_at(1, 2, 3, 4, 5)
    holds(
        with_perpetual(bars, open_interest=interest, liquidations=forced),
        open_interest=[10.0, 10.0, 12.0, 12.0, 12.0],
        # one at the end of a bar is in it; a sell closes a long
        long_liquidations=[NAN, 1.0, 0.0, 8.0, 0.0],
        short_liquidations=[NAN, 0.0, 2.0, 4.0, 0.0],
    )
    # nothing is known before the first; of the first bar, not where it begins
    later = with_perpetual(bars, liquidations=forced.iloc[1:])
    holds(later, long_liquidations=[NAN, NAN, 0.0, 8.0, 0.0])
    none = with_perpetual(bars, liquidations=forced.iloc[:0])
    assert none["long_liquidations"].isna().all()


def test_tables_without_a_row():
    known = {name: rows.iloc[:0] for name, rows in streams(0).items()}
    got = joined(bars_at(1, 2), known)
    assert got.shape == (2, 16)
    assert got.drop(columns="mid").isna().all(axis=None)


def test_what_is_not_given_adds_no_column():
    assert list(with_perpetual(bars_at(1, 2))) == ["mid"]


# Look-ahead -------------------------------------------------------------------------


TABLES = ("funding", "open_interest", "liquidations", "spot", "own", "other")


def streams(seed):
    """Rows of all tables at random times."""
    rng = np.random.default_rng(seed)
    n = 300
    received = np.sort(rng.uniform(0, 100_000, n))
    rows = [
        (
            t,
            rng.normal(),
            EIGHT * (int(t) // EIGHT + 1) + rng.normal(0, 0.01),
            *(100 + rng.random(2)),
        )
        for t in received
    ]
    own, other = walks(seed)
    scale = 100_000 / 400
    slow = [
        pd.Series(mid.to_numpy(), at((to_ns(mid.index) - START) / S * scale))
        for mid in (own, other)
    ]
    return {
        "funding": funding_rows(*rows),
        "open_interest": pd.DataFrame({"open_interest": rng.random(n)}, index=at(received)),
        "liquidations": pd.DataFrame(
            {"side": rng.choice(["buy", "sell"], n), "quantity": rng.random(n)}, index=at(received)
        ),
        "spot": slow[0],
        "own": slow[0],
        "other": slow[1],
    }


def joined(bars, streams):
    given = {name: streams[name] for name in ("funding", "open_interest", "liquidations", "spot")}
    frame = with_perpetual(bars, **given)
    return with_second_asset(frame, streams["other"], own=streams["own"], window="6h")


@pytest.mark.parametrize(
    "name", ["funding", "open_interest", "liquidations", "spot", "own", "other"]
)
def test_what_is_received_later_changes_nothing_before(name):
    """Rows after t delayed, absent or spoilt: the bars up to t are the same bits."""
    known = streams(1)
    bars = bars_at(*range(600, 100_000, 600))
    whole = joined(bars, known)
    assert whole.notna().any().all()
    for t in (30_000, 57_600, 70_001):
        late = known[name].index > at([t])[0]
        rows = known[name]
        delayed = rows.set_axis(rows.index.where(~late, rows.index + pd.Timedelta("1h")))
        absent = rows[~late]
        spoilt = rows.copy()
        numbers = spoilt if rows.ndim == 1 else spoilt.select_dtypes("number")
        spoilt.loc[late, *([] if rows.ndim == 1 else [numbers.columns])] = 1e6
        up_to = bars.index <= at([t])[0]
        for other in (delayed, absent, spoilt):
            got = joined(bars, {**known, name: other})
            pd.testing.assert_frame_equal(got[up_to], whole[up_to], check_exact=True)
        assert not joined(bars, {**known, name: absent}).equals(whole)


def test_rows_in_any_order():
    known = streams(2)
    bars = bars_at(*range(600, 100_000, 6000))
    shuffled = {name: rows.sample(frac=1.0, random_state=1) for name, rows in known.items()}
    pd.testing.assert_frame_equal(joined(bars, shuffled), joined(bars, known))


def test_features_are_made_of_these_columns():
    got = compute(joined(bars_at(*range(600, 100_000, 600)), streams(1)))
    made = (
        "funding_bps",
        "funding_annual",
        "oi_change_bps_60",
        "basis_z_60",
        "hy_lead_s",
        "ratio_z_60",
    )
    assert got[list(made)].notna().any().all()
    assert not set(made) & set(got.attrs["reasons"])
