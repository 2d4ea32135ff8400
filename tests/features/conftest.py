import pandas as pd
import pytest

from mrtrade.features.example import example_bars


@pytest.fixture(scope="session")
def bars() -> pd.DataFrame:
    """Enough of them for the longest default window."""
    return example_bars(4000)
