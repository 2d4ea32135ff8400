"""Features of a perpetual, by hand."""

import numpy as np
import pandas as pd
import pytest

from mrtrade.features import compute

NAN = np.nan


def frame_of(freq="1h", **columns) -> pd.DataFrame:
    length = len(next(iter(columns.values())))
    index = pd.date_range("2024-01-01", periods=length, freq=freq, tz="UTC").as_unit("ns")
    return pd.DataFrame({name: np.asarray(x, float) for name, x in columns.items()}, index=index)


def holds(frame, expected):
    got = compute(frame, expected)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-9, atol=1e-9, err_msg=name)


def test_rates_by_hand():
    # 1 bp each 8 h is 3 x 365 bps a year, and 4 h make twice that
    frame = frame_of(
        funding_rate=[1e-4, 1e-4, NAN],
        funding_settled=[3e-4, -1e-4, -1e-4],
        funding_interval_s=[8 * 3600, 4 * 3600, 4 * 3600],
        funding_due_s=[4 * 3600, 900, NAN],
    )
    holds(
        frame,
        {
            "funding_bps": [1.0, 1.0, NAN],
            "funding_settled_bps": [3.0, -1.0, -1.0],
            "funding_change_bps": [-2.0, 2.0, NAN],
            "funding_annual": [0.1095, 0.219, NAN],
            "funding_due_s": [14400.0, 900.0, NAN],
            "funding_due_share": [0.5, 0.0625, NAN],
            # longs pay at a rate above 0, and sell before: below 0
            "pre_funding_pressure": [-np.exp(-16.0), -np.exp(-1.0), NAN],
        },
    )


def test_rates_against_those_before():
    frame = frame_of(funding_settled=[1e-4, 2e-4, 3e-4, 3e-4, 3e-4], funding_rate=[5e-4] * 5)
    sd = (2.0 / 3.0) ** 0.5  # of 1 2 3
    holds(
        frame,
        {
            "funding_z_3": [NAN, NAN, 1.0 / sd, (1.0 / 3.0) / (2.0 / 9.0) ** 0.5, NAN],
            "funding_surprise_z_3": [NAN, NAN, 3.0 / sd, (7.0 / 3.0) / (2.0 / 9.0) ** 0.5, NAN],
        },
    )


def test_what_was_paid_hangs_on_the_interval_and_not_on_the_length_of_a_bar():
    # 8 bps each 8 h for two hours, then 4 bps each 2 h
    frame = frame_of(
        funding_settled=[8e-4, 8e-4, 8e-4, 4e-4, 4e-4],
        funding_interval_s=np.array([8, 8, 8, 2, 2]) * 3600,
    )
    holds(frame, {"funding_paid_bps_2": [NAN, NAN, 2.0, 3.0, 4.0]})
    halves = frame_of("30min", **{c: np.repeat(frame[c], 2) for c in frame})
    got = compute(halves, ["funding_paid_bps_4"])["funding_paid_bps_4"]
    assert got.iloc[5] == pytest.approx(2.0)
    assert got.iloc[9] == pytest.approx(4.0)


def test_basis_by_hand():
    frame = frame_of(
        mid=[100.2, 100.1, 100.0],
        mark=[100.1, 100.1, NAN],
        index=[100.0, 100.0, 100.0],
        funding_rate=[3e-4, 12e-4, 0.0],
        funding_interval_s=[8 * 3600] * 3,
    )
    holds(
        frame,
        {
            "basis_bps": [20.0, 10.0, 0.0],
            "mark_basis_bps": [10.0, 10.0, NAN],
            "mark_dev_bps": [1e4 * (100.2 / 100.1 - 1), 0.0, NAN],
            "basis_annual": [2.19, 1.095, 0.0],
            "funding_parity_bps": [7.0, -2.0, NAN],
            "basis_change_bps_2": [NAN, NAN, -20.0],
            "basis_z_3": [NAN, NAN, -((3.0 / 2.0) ** 0.5)],
            "basis_dev_bps_3": [NAN, NAN, -10.0],
            # 0.1 % an hour, of 8,760 in a year
            "basis_vol_2": [NAN, NAN, 1e-3 * 8_760**0.5],
        },
    )


def test_liquidations_by_hand():
    frame = frame_of(
        mid=100.0 * np.exp([0.0, 1e-3, 3e-3, 3e-3]),
        volume=[10.0, 10.0, 30.0, 0.0],
        long_liquidations=[1.0, 0.0, 0.0, 0.0],
        short_liquidations=[1.0, 3.0, 0.0, 0.0],
        open_interest=[1000.0] * 4,
    )
    holds(
        frame,
        {
            "long_liq_2": [NAN, 1.0, 0.0, 0.0],
            "short_liq_2": [NAN, 4.0, 3.0, 0.0],
            "liq_imbalance_2": [NAN, 0.6, 1.0, NAN],
            "liq_share_2": [NAN, 5.0 / 20.0, 3.0 / 40.0, 0.0],
            # returns 1 and 2: moved by 3, sd 0.5 sqrt 2; then 2 and 0: by 2, sd 1 sqrt 2
            "liq_risk_2": [NAN, NAN, 30.0 * (1.0 + 3.0 * 2**0.5), 0.0],
        },
    )


def test_open_interest_by_hand():
    frame = frame_of(
        mid=100.0 * np.exp([0.0, 1e-3, -1e-3, -1e-3, 1e-3]),
        open_interest=100.0 * np.exp([0.0, 2e-3, 1e-3, 1e-3, 3e-3]),
    )
    holds(
        frame,
        {
            "oi_change_bps_2": [NAN, NAN, 10.0, -10.0, 20.0],
            # fell while positions were opened, fell while they were closed, rose while opened
            "oi_price_bps_2": [NAN, NAN, -10.0, 10.0, 20.0],
        },
    )
    assert np.isnan(compute(frame.iloc[:4], ["oi_price_bps_3"]).iloc[:3]).all(axis=None)
    tied = frame.assign(open_interest=1e4 / frame["mid"])
    assert compute(tied, ["oi_price_corr_3"]).iloc[-1, 0] == pytest.approx(-1.0)
    steps = frame_of(open_interest=[1.0, 2.0, 3.0, 3.0, 3.0])
    holds(steps, {"oi_z_3": [NAN, NAN, 1.5**0.5, 0.5**0.5, NAN]})


def test_a_spot_market_has_no_funding_and_is_told_why():
    out = compute(frame_of(mid=[1.0, 2.0]), ["funding_bps", "basis_z_60"])
    assert "funding_rate" in out.attrs["reasons"]["funding_bps"]
    assert "index" in out.attrs["reasons"]["basis_z_60"]
