"""Labelled sources: what the pipeline itself found on fields of known truth, and which of it is real."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack
from numpy.typing import NDArray

from diapipe.catalogs.injections import HOSTED, HOSTLESS, VARIABLE
from diapipe.errors import DiapipeError
from diapipe.flow import DifferenceResult, difference_pair
from diapipe.images.triplets import Triplets, cut_triplets, half_width
from diapipe.numerics.arrays import BoolArray, IntArray
from diapipe.steps.validate import SEEN_SNR, near_pairs, seen_on, truth_table
from diapipe.training.fields import Field, random_field

REAL, FALSE, UNSURE = 1, 0, -1
_MADE_SNR, _MADE_SHARE = 3.0, 0.4
"""What makes a source has this S/N at the least, and this part of its."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Sources of one field.

    Attributes
    ----------
    triplets
        Their cut-outs.
    label
        `REAL`, `FALSE`, or `UNSURE` where something true is there that does not explain the source.
    kind
        Of what made it; "" for none.
    sources
        Rows of the table of DIA sources.
    """

    triplets: Triplets
    label: IntArray
    kind: NDArray[np.str_]
    sources: Table


def examples_of(seed: int, index: int) -> Examples | None:
    """Sources of the field of a seed and number; None where no difference could be made of it."""
    try:
        field = random_field(np.random.default_rng([seed, index]))
        result = difference_pair(field.science, field.template, recipe=field.recipe)
    except DiapipeError:
        return None
    return labelled(field, result)


def labelled(field: Field, result: DifferenceResult) -> Examples | None:
    """The sources of a result with what made them."""
    sources, difference = result.dia_sources, result.difference
    if len(sources) == 0:
        return None
    x, y = (np.asarray(sources[axis], dtype=np.float64) for axis in "xy")
    triplets = cut_triplets(difference, result.science.exposure, x=x, y=y, half=half_width(difference))
    psf = result.science.exposure.psf
    assert psf is not None
    fwhm = psf.fwhm_at(x=difference.box.x_center, y=difference.box.y_center)
    label, kind = _matched(sources, _truth(field, result), fwhm=fwhm)
    return Examples(triplets, label, kind, sources)


def _truth(field: Field, result: DifferenceResult) -> Table:
    """All that changed: what was simulated and what was added."""
    assert result.validation is not None  # sources are added to every field
    parts = [result.validation.truth]
    parts += [] if field.changes is None else [_simulated(field.changes, result)]
    columns = ["x", "y", "kind", "snr_true", "is_usable", "trail_length"]
    plain = [Table({name: np.asarray(part[name]) for name in columns}) for part in parts]
    return vstack(plain, metadata_conflicts="silent")


def _simulated(changes: Table, result: DifferenceResult) -> Table:
    """What was simulated to change, as it is seen."""
    changes = Table(changes, copy=True)
    point = np.where(np.asarray(changes["on_host"]), HOSTED, HOSTLESS)
    changes["kind"] = np.where(np.asarray(changes["kind"]) == VARIABLE, VARIABLE, point)
    seen = seen_on(result.difference, truth_table(changes, result.difference, name="the truth"))
    seen["trail_length"] = np.zeros(len(seen))
    return seen


def _matched(sources: Table, truth: Table, *, fwhm: float) -> tuple[IntArray, NDArray[np.str_]]:
    """Label of each source, and of what kind it is."""
    snr, true = np.asarray(sources["snr"], dtype=np.float64), np.asarray(truth["snr_true"], dtype=np.float64)
    near = near_pairs(truth, sources, fwhm_px=fwhm)
    near = near.select(np.abs(true[near.first]) > SEEN_SNR)
    made: BoolArray = np.asarray(
        (true[near.first] * snr[near.second] > 0.0)
        & (np.abs(true[near.first]) > np.maximum(_MADE_SNR, _MADE_SHARE * np.abs(snr[near.second])))
    )
    label = np.full(len(sources), FALSE)
    label[near.second] = UNSURE
    label[near.second[made]] = REAL
    kind = np.full(len(sources), "", "U16")
    kind[near.second[made]] = np.asarray(truth["kind"])[near.first[made]]
    return label, kind
