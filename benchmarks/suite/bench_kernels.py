"""Every kernel whose instructions are counted, by the clock and by the CPU.

Divide by the number of events: `Cpu.track_events`.
"""

import time

from .kernels import kernels

N = 200_000


class Wall:
    params = list(kernels(100))
    param_names = ["kernel"]
    number = 1  # a replay runs to its end once
    rounds = 1
    repeat = (3, 7, 2.0)
    warmup_time = 0

    def setup(self, kernel):
        self.events, self.run = kernels(N)[kernel]

    def time_kernel(self, kernel):
        self.run()


class Cpu(Wall):
    timer = time.process_time

    def track_events(self, kernel):
        return self.events
