"""hftbacktest itself runs only where it is asked for: `.ci/run` sets MRTRADE_HFTBACKTEST=1."""

import os

collect_ignore = [] if os.environ.get("MRTRADE_HFTBACKTEST") else ["test_live.py"]
