"""hftbacktest itself runs only where it is asked for: `.ci/run` sets MRTRADE_HFTBACKTEST=1."""

import os

live = ["test_live.py", "test_faults.py", "test_order_level.py"]
collect_ignore = [] if os.environ.get("MRTRADE_HFTBACKTEST") else live
