"""Simulated pairs as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from diapipe.cli.landing import is_made_by
from diapipe.images import Exposure, MaskedImage
from diapipe.io import write_exposure, write_parquet
from diapipe.simulate import PairSpec, SimulatedPair, simulate_pair

TRUTH_FILES = ("science.fits", "template.fits", "truth.parquet", "stars.parquet")
"""What `write_truth` leaves in a folder."""
MADE_BY = "diapipe simulate"
"""How its table of the truth says that diapipe made the pair."""


def simulated(*, size: int, seed: int, **changes: float) -> SimulatedPair:
    """A pair of the default sky, cut to a square."""
    return simulate_pair(PairSpec.small(size, **changes), rng=np.random.default_rng(seed))


def is_earlier_pair(folder: Path) -> bool:
    """Whether `write_truth` filled the folder: its table of the truth says so."""
    return is_made_by(folder / "truth.parquet", MADE_BY)


def write_truth(pair: SimulatedPair, folder: Path) -> None:
    """Write the images and the tables of a pair."""
    write_exposure(pair.science, folder / "science.fits")
    write_exposure(pair.template, folder / "template.fits")
    write_parquet(pair.transients, folder / "truth.parquet", metadata={"made_by": MADE_BY})
    write_parquet(pair.stars, folder / "stars.parquet")


def bare(exposure: Exposure) -> Exposure:
    """The exposure as a single image would bring it: without variance and mask, with gain and read noise."""
    planes = exposure.masked_image
    return replace(
        exposure, masked_image=MaskedImage.from_planes(planes.image, box=planes.box), has_variance=False, has_mask=False
    )


def halves(exposure: Exposure) -> tuple[Exposure, Exposure]:
    """Two parts of an exposure, left and right, that overlap in the middle."""
    box = exposure.box
    quarter = box.width // 8
    left = replace(box, x1=box.x0 + box.width // 2 + quarter)
    return exposure[left], exposure[replace(box, x0=box.x0 + box.width // 2 - quarter)]
