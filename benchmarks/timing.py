"""CPU time of a call, and the yardstick that it is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft


@dataclass(frozen=True, slots=True)
class Timing:
    """Least CPU and wall time of several runs, in seconds."""

    name: str
    cpu_s: float
    wall_s: float

    def row(self, yardstick: Timing) -> str:
        """A line of a Markdown table: milliseconds, and in units of the yardstick."""
        ratio = self.cpu_s / yardstick.cpu_s
        return f"| {self.name} | {1e3 * self.cpu_s:.0f} | {1e3 * self.wall_s:.0f} | {ratio:.2f} |"


def timed(name: str, call: Callable[[], object], *, repeats: int = 5) -> Timing:
    """Least time of ``repeats`` runs after one that compiles and warms the caches."""
    call()
    cpu, wall = [], []
    for _ in range(repeats):
        begun_cpu, begun_wall = time.process_time(), time.perf_counter()
        call()
        cpu.append(time.process_time() - begun_cpu)
        wall.append(time.perf_counter() - begun_wall)
    return Timing(name, min(cpu), min(wall))


def yardstick(size: int) -> Timing:
    """A float32 real Fourier transform of ``size`` by ``size`` pixels, there and back, by scipy in one thread."""
    image = np.random.default_rng(1).normal(size=(size, size)).astype(np.float32)
    return timed(f"scipy rfft2 + irfft2, {size} x {size}", lambda: fft.irfft2(fft.rfft2(image), s=image.shape))
