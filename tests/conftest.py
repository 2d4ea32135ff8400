from pathlib import Path

import pytest
from hypothesis import settings

from .servers.plugin import *  # noqa: F403  (its fixtures and hooks)

# No test may depend on how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real recordings; tests that take it are marked `shared`."""
    if not SHARED.is_dir():
        pytest.skip(f"no recordings at {SHARED}")
    return SHARED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Fail a test on the recordings that is skipped although they are there."""
    report = yield
    if report.skipped and item.get_closest_marker("shared") and SHARED.is_dir():
        if not hasattr(report, "wasxfail"):
            report.outcome = "failed"
            report.longrepr = f"skipped although {SHARED} is there: {report.longrepr}"
    return report
