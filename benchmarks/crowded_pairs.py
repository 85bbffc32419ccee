"""Which way to associate tells objects apart that lie close together: simulated pairs of known truth.

``python -m benchmarks.crowded_pairs`` prints a Markdown table: for each separation the sources that were put to an
object of the other star, in percent, and how many objects were made of a true one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from diapipe.numerics.arrays import IntArray
from diapipe.steps.associate import (
    AbstractAssociator,
    Association,
    BipartiteAssociator,
    MultiMatchAssociator,
    SimpleAssociator,
    SourceBatch,
    associate,
)

ALGORITHMS: dict[str, AbstractAssociator] = {
    "bipartite": BipartiteAssociator(),
    "bipartite, no outliers": BipartiteAssociator(outlier_share=0.0),
    "simple, 0.5″": SimpleAssociator(),
    "simple, 1″": SimpleAssociator(tolerance_arcsec=1.0),
    "multimatch, 0.5″": MultiMatchAssociator(),
    "multimatch, 1″": MultiMatchAssociator(tolerance_arcsec=1.0),
}

IMAGES, SHOWN = 20, 0.7
"""Of each pair, and the share of them that show a star."""

ERRORS_ARCSEC, SYSTEMATIC_ARCSEC = (0.03, 0.25), 0.03
"""Errors of positions that stars have and say, evenly in the logarithm; what they don't say."""

OUTLIERS, OFF_ARCSEC = 0.01, 0.7
"""Share of positions that are off by up to so much along each axis, whatever their error."""


def main() -> None:
    """Measure some separations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000, help="pairs of each separation")
    parser.add_argument("--apart", type=float, nargs="+", default=[0.3, 0.5, 0.7, 1.0, 1.4, 5.0], help="arcsec")
    arguments = parser.parse_args()
    print("| | " + " | ".join(f"{apart:g}″" for apart in arguments.apart) + " |")
    print("|---|" + "---|" * len(arguments.apart))
    for name, algorithm in ALGORITHMS.items():
        cells = [measured(algorithm, apart, arguments.pairs) for apart in arguments.apart]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def measured(algorithm: AbstractAssociator, apart_arcsec: float, n_pairs: int) -> str:
    """Wrong joins in percent, and objects made of a true one."""
    images = pairs(np.random.default_rng(1), apart_arcsec=apart_arcsec, n_pairs=n_pairs)
    found = associate(images, algorithm=algorithm)
    return f"{100 * wrong_joins(found) / len(found.source_ids):.2f}; {len(found.objects) / (2 * n_pairs):.3f}"


def pairs(rng: np.random.Generator, *, apart_arcsec: float, n_pairs: int) -> Iterator[SourceBatch]:
    """Images of pairs of stars along the equator, half an arc minute from pair to pair."""
    x, angle = 30.0 * np.arange(n_pairs), rng.uniform(0.0, 2.0 * np.pi, n_pairs)
    ra = np.concatenate([x, x + apart_arcsec * np.cos(angle)])
    dec = np.concatenate([np.zeros(n_pairs), apart_arcsec * np.sin(angle)])
    error = np.exp(rng.uniform(*np.log(ERRORS_ARCSEC), 2 * n_pairs))
    for image in range(1, IMAGES + 1):
        on = np.flatnonzero(rng.random(2 * n_pairs) < SHOWN)
        off = rng.normal(size=(2, len(on))) * np.hypot(error[on], SYSTEMATIC_ARCSEC)
        outlier = rng.random(len(on)) < OUTLIERS
        off[:, outlier] = rng.uniform(-OFF_ARCSEC, OFF_ARCSEC, (2, int(outlier.sum())))
        degrees = np.stack([ra[on] + off[0], dec[on] + off[1], error[on], error[on]]) / 3600.0
        yield SourceBatch(image * 10**8 + on, *degrees)


def star_of(source_ids: IntArray) -> IntArray:
    """The number of the true star."""
    return source_ids % 10**8


def wrong_joins(found: Association) -> int:
    """Sources that are not of the star that most sources of their object are of."""
    star = star_of(found.source_ids)
    order = np.lexsort((star, found.object_ids))
    star, own = star[order], found.object_ids[order]
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(own) != 0) | (np.diff(star) != 0)]))
    counts, own = np.diff(np.append(begins, len(star))), own[begins]
    objects = np.flatnonzero(np.concatenate([[True], np.diff(own) != 0]))
    return int(len(star) - np.maximum.reduceat(counts, objects).sum())


if __name__ == "__main__":
    main()
