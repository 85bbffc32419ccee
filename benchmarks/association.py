"""What it costs to associate the sources of a survey, patch by patch, and how that grows.

``python -m benchmarks.association`` prints a Markdown table for 10⁴ to 10⁶ sources; ``--sources 10000000`` of as many.
A patch has 10,000 objects, of which each of up to 100 visits shows a tenth: first the visits grow in number, then the
patches. In memory are one patch's objects and one visit's sources; what these cost to make is not counted.

Growth is told against 10⁴ sources that are associated after each patch, in the same second: on a machine that others
use, the CPU time of one and the same work differs by a half from minute to minute.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.crowded_pairs import wrong_joins
from diapipe.steps.associate import ASSOCIATORS, AbstractAssociator, Association, SourceBatch, associate

OBJECTS, SHOWN, VISITS = 10_000, 0.1, 100
"""Of a patch; the share of them on a visit; visits at the most."""

SIDE_DEG = 0.2
"""Of a patch: 70 objects a square arc minute, 6% of them with another within the tolerance of 1 arcsec."""

REPEATS = 20
"""Patches that are associated at the least."""

FEW = 10_000
"""Sources that the others are compared with."""

HEADINGS = (
    "sources",
    "patches x visits",
    "CPU [s]",
    "of a source [µs]",
    "against 10⁴ sources",
    "memory [MB]",
    "wrong [%]",
)


@dataclass(slots=True)
class Patch:
    """Objects of one patch and what visits show of them; keeps the time that it takes to make that."""

    number: int
    spent_s: float = 0.0

    def visits(self, n: int) -> Iterator[SourceBatch]:
        """Sources of one visit after the other; the last eight digits of an identifier are the object's."""
        rng = np.random.default_rng(self.number)
        ra, dec = (self.number * SIDE_DEG) % 360.0 + SIDE_DEG * rng.random(OBJECTS), SIDE_DEG * rng.random(OBJECTS)
        error = np.exp(rng.uniform(np.log(0.02), np.log(0.2), OBJECTS)) / 3600.0
        for visit in range(1, n + 1):
            begun = time.process_time()
            on = np.flatnonzero(rng.random(OBJECTS) < SHOWN)
            off = rng.normal(size=(2, len(on))) * error[on]
            batch = SourceBatch(visit * 10**8 + on, ra[on] + off[0], dec[on] + off[1], error[on], error[on])
            self.spent_s += time.process_time() - begun
            yield batch


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of associating so many sources."""

    n_sources: int
    n_patches: int
    n_visits: int
    cpu_s: float
    each_of_few_s: float
    wrong: int

    def row(self) -> str:
        """A line of the table."""
        each, memory = self.cpu_s / self.n_sources, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return (
            f"| {self.n_sources} | {self.n_patches} x {self.n_visits} | {self.cpu_s:.3f} | {1e6 * each:.2f} "
            f"| {each / self.each_of_few_s:.2f} | {memory:.0f} | {100 * self.wrong / self.n_sources:.2f} |"
        )


def main() -> None:
    """Measure some sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="of all patches")
    parser.add_argument("--algorithm", choices=list(ASSOCIATORS), default=ASSOCIATORS.default)
    arguments = parser.parse_args()
    algorithm = ASSOCIATORS.make(arguments.algorithm)
    measured(algorithm, 2000)  # compiles
    write_line("| " + " | ".join(HEADINGS) + " |")
    write_line("|" + "---:|" * len(HEADINGS))
    for n_sources in arguments.sources:
        write_line(measured(algorithm, n_sources).row())


def measured(algorithm: AbstractAssociator, n_sources: int) -> Cost:
    """Associate about so many sources, patch after patch."""
    per_visit = int(OBJECTS * SHOWN)
    n_visits = min(VISITS, max(1, n_sources // per_visit))
    n_patches = max(1, n_sources // (per_visit * n_visits))
    n_repeats = -(-REPEATS // n_patches)
    cpu_s, few_s, n, n_few, wrong = 0.0, 0.0, 0, 0, 0
    for number in range(n_repeats * n_patches):
        spent_s, found = timed(algorithm, number, n_visits)
        cpu_s, n, wrong = cpu_s + spent_s, n + len(found.source_ids), wrong + wrong_joins(found)
        spent_s, found = timed(algorithm, number, FEW // per_visit)
        few_s, n_few = few_s + spent_s, n_few + len(found.source_ids)
    return Cost(
        n_sources=n // n_repeats,
        n_patches=n_patches,
        n_visits=n_visits,
        cpu_s=cpu_s / n_repeats,
        each_of_few_s=few_s / n_few,
        wrong=wrong // n_repeats,
    )


def timed(algorithm: AbstractAssociator, number: int, n_visits: int) -> tuple[float, Association]:
    """CPU seconds of associating a patch, and what is found."""
    patch = Patch(number)
    begun = time.process_time()
    found = associate(patch.visits(n_visits), algorithm=algorithm)
    return time.process_time() - begun - patch.spent_s, found


def write_line(line: str) -> None:
    """To the terminal, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
