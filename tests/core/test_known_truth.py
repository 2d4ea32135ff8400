"""What the synthetic market was made with is found again by the measures of the core."""

import numpy as np
import pytest

from mrcore.market import SyntheticMarket
from mrcore.replay import SAMPLE_COLUMNS, Replay

SECOND = 10**9


def measured(seed, informed_share, seconds=900):
    """Means over the run of VPIN and Kyle's lambda, and samples of the mid each second."""
    market = SyntheticMarket(seed=seed, informed_share=informed_share).run(seconds)
    r = Replay(
        market.tick_size, market.lot_size, vpin_bucket=2.0, vpin_buckets=50, kyle_window=300,
        sample_times=np.arange(market.start_ns + SECOND, market.end_ns, SECOND),
    )  # fmt: skip
    r.feed(*market.tape())
    r.finish()
    frame = dict(zip(SAMPLE_COLUMNS, r.samples().T, strict=True))
    return frame, np.nanmean(frame["vpin"]), np.nanmean(frame["kyle_lambda"])


@pytest.mark.parametrize("seed", [1, 2])
def test_vpin_and_lambda_rise_with_the_informed_share(seed):
    """Uninformed flow has VPIN 0.33 at this bucket; each step up must stand out by 0.01.

    The mean over 900 s has a standard deviation of about 0.003 between seeds.
    """
    shares = [0.0, 0.4, 0.6, 0.8]
    runs = [measured(seed, share) for share in shares]
    vpin = [run[1] for run in runs]
    assert (np.diff(vpin) > 0.01).all(), vpin
    impact = [run[2] for run in runs]
    assert impact[0] < 0.02 < min(impact[1:]), impact


def test_lambda_of_the_replay_is_the_regression_on_what_was_sampled():
    """Rolling lambda against one OLS over the same seconds, within 4 standard errors."""
    frame, _, _ = measured(3, 0.5)
    mid = (frame["bid"] + frame["ask"]) / 2
    x = (frame["buy_volume"] - frame["sell_volume"])[-300:]
    y = np.diff(mid)[-300:]
    slope, intercept = np.polyfit(x, y, 1)
    residual = y - slope * x - intercept
    se = np.sqrt(residual.var(ddof=2) / ((x - x.mean()) ** 2).sum())
    assert slope > 4 * se
    np.testing.assert_allclose(frame["kyle_lambda"][-1], slope, rtol=1e-9)
