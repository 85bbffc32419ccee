"""The verb: every DIA source with the probability that it is a change of the sky."""

from __future__ import annotations

import numpy as np
from astropy.table import Column, Table

from diapipe.images import Difference, Exposure
from diapipe.images.triplets import cut_triplets, half_width
from diapipe.steps.classify.base import AbstractClassifier
from diapipe.steps.classify.trees import BoostedTrees

RELIABILITY, RELIABILITY_VERSION = "reliability", "reliabilityVersion"

_DEFAULT = BoostedTrees()
_CHUNK = 256


def classify(
    difference: Difference, dia_sources: Table, *, science: Exposure, algorithm: AbstractClassifier = _DEFAULT
) -> Table:
    """The table with a score; flags and everything else in it stay as they are.

    Parameters
    ----------
    difference
        With its PSF.
    dia_sources
        Found on it.
    science
        The image it was made of.
    algorithm
        Member of `CLASSIFIERS`.

    Returns
    -------
    Table
        With `RELIABILITY` (NaN where it cannot be told) and `RELIABILITY_VERSION`, which is in its ``meta`` too.

    Raises
    ------
    PsfUndefinedError
        If the difference has no PSF.
    ReadError
        If the model cannot be read.
    """
    x, y = (np.asarray(dia_sources[axis], dtype=np.float64) for axis in "xy")
    score = np.full(len(dia_sources), np.nan, np.float32)
    placed, version = np.flatnonzero(np.isfinite(x) & np.isfinite(y)), algorithm.version
    half = half_width(difference, reach_fwhm=algorithm.reach_fwhm)
    for first in range(0, len(placed), _CHUNK):
        some = placed[first : first + _CHUNK]
        score[some] = algorithm.classify(cut_triplets(difference, science, x=x[some], y=y[some], half=half))
    scored = dia_sources.copy(copy_data=False)
    scored[RELIABILITY] = Column(score, description="Probability that the source is a change of the sky")
    scored[RELIABILITY_VERSION] = Column(np.full(len(score), version), description="Model that reliability comes from")
    scored.meta[RELIABILITY_VERSION] = version
    return scored
