"""Every feature against a slow second version of itself (`tests.features.twins`)."""

import numpy as np
import pytest

from mrtrade.features import FEATURES, compute, get

from .twins import TWINS


def test_no_twin_is_left_over():
    assert set(TWINS) == {one.stem for one in FEATURES.values()}


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_twin(bars, name):
    one = get(name)
    short = bars.iloc[: max(1200, 2 * one.warmup + 300)]
    expected = TWINS[one.stem](short, one.window).to_numpy()
    got = compute(short, [name])[name].to_numpy()
    assert np.isfinite(expected[one.warmup :]).any()
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * np.nanstd(expected))
