"""dp_bad: the default cut. Every threshold stands here, with its reason; every quantity is a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """When a source is taken for a residual of the subtraction rather than a change of the sky.

    Attributes
    ----------
    sharpness
        A single pixel more significant than the whole PSF fit by this many sigma is a cosmic ray. For a point source of
        S/N 5 on a PSF of FWHM 4 px it is expected 3.4 below; undersampled PSFs need the margin.
    chi2_excess
        Scatters of χ² above its expectation that noise does not reach.
    chi2_model_error
        Fractional error of the PSF model, which adds (error x S/N)² to the χ² allowed.
    template_ratio
        Below this part of the light under it a change cannot be told from an error of the PSF match.
    dipole_template_ratio
        The same for one with a lobe of opposite sign beside it, as misregistration leaves.
    star_ratio
        The same relative to the total flux of a star near by: its wings beyond the kernel.
    saturated_distance
        Half-widths of a saturated star within which its surroundings do not subtract.
    """

    sharpness: float = 2.0
    chi2_excess: float = 8.0
    chi2_model_error: float = 0.1
    template_ratio: float = 0.015
    dipole_template_ratio: float = 0.1
    star_ratio: float = 0.001
    saturated_distance: float = 2.0


def is_residual(columns: Mapping[str, NDArray[np.generic]], *, cuts: Cuts) -> BoolArray:
    """Whether each source shows what a residual shows; a quantity that is NaN accuses nobody."""
    value = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items() if column.dtype.kind != "U"}
    with np.errstate(invalid="ignore"):
        allowed = cuts.chi2_excess + (cuts.chi2_model_error * value["snr"]) ** 2
        return np.asarray(
            (value["dp_sharpness"] > cuts.sharpness)
            | (value["dp_chi2Excess"] > allowed)
            | (value["dp_templateRatio"] < cuts.template_ratio)
            | ((value["dp_partnerRatio"] > 0) & (value["dp_templateRatio"] < cuts.dipole_template_ratio))
            | (value["dp_starRatio"] < cuts.star_ratio)
            | (value["dp_saturatedDistance"] < cuts.saturated_distance)
        )
