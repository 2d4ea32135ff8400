"""``python -m tests.servers NAME``: start a server, say how to reach it, stop it at Ctrl-C."""

import signal
import sys

from .start import SERVERS

names = ", ".join(SERVERS)
if len(sys.argv) != 2 or sys.argv[1] not in SERVERS:
    sys.exit(f"usage: python -m tests.servers NAME, NAME one of {names}")
signal.signal(signal.SIGTERM, signal.default_int_handler)
with SERVERS[sys.argv[1]]() as server:
    sys.stdout.write(f"{server.label}\n{server.how_to_reach()}\nCtrl-C ends it and its data.\n")
    sys.stdout.flush()
    try:
        signal.pause()
    except KeyboardInterrupt:
        pass
