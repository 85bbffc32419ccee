"""dp_bad: the default cut. Every threshold stands here, with its reason; every quantity is a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts(Limited):
    """When a source is taken for a residual of the subtraction rather than a change of the sky.

    Attributes
    ----------
    sharpness
        A single pixel this many sigma above what the PSF gives it is a cosmic ray; noise and real sources stay below 3.
    sharpness_model_error
        Error of the PSF's peak relative to sqrt(ΣP²), which adds this part of the S/N to the limit.
    chi2_excess
        Scatters of χ² above its expectation; noise and real sources stay below 4.
    chi2_model_error
        Adds (this x S/N)² to the limit: a PSF model wrong by the fraction e of its norm adds (0.2 e S/N)² on stamps of
        400 pixels.
    template_ratio
        Below this part of the light under it a change cannot be told from an error of the PSF match.
    psf_mismatch
        Times dp_psfMismatch it adds to ``template_ratio``: what the leaps of a coadd's PSF leave of a star, with room
        for the errors of the PSF models.
    static_error, largest_static_error
        The first times `Difference.static_error`, what this difference leaves of its stars, is added, too: of each
        star 4% where a template must be sharpened. Of no more than the second: a scatter beyond it is that of changes.
    dipole_template_ratio
        The same for one with a lobe of opposite sign beside it, as misregistration leaves.
    star_ratio
        The same relative to the total flux of a star near by: its wings beyond the kernel.
    saturated_distance
        Half-widths of a saturated region within which its surroundings do not subtract; the mask already reaches as far
        as what the kernel carries out of the core can matter.
    saturated_sigma
        A source is believed even there if its S/N is this many times the scatter of the score in these surroundings.
    least_line
        Score from which on the row or column of a saturated star is a line; noise makes one of a place in 10,000.
    line_sigma
        On a line a source is believed if its S/N is by this much above the line's: as a detection is above noise.
    """

    may_be_zero = (
        "sharpness",
        "sharpness_model_error",
        "chi2_excess",
        "chi2_model_error",
        "template_ratio",
        "psf_mismatch",
        "static_error",
        "largest_static_error",
        "dipole_template_ratio",
        "star_ratio",
        "saturated_distance",
        "saturated_sigma",
        "least_line",
        "line_sigma",
    )

    sharpness: float = 5.0
    sharpness_model_error: float = 0.05
    chi2_excess: float = 6.0
    chi2_model_error: float = 0.05
    template_ratio: float = 0.02
    psf_mismatch: float = 2.0
    static_error: float = 1.0
    largest_static_error: float = 0.1
    dipole_template_ratio: float = 0.1
    star_ratio: float = 0.0015
    saturated_distance: float = 1.2
    saturated_sigma: float = 6.0
    least_line: float = 1.0
    line_sigma: float = 5.0


def residual_reasons(
    columns: Mapping[str, NDArray[np.generic]], *, cuts: Cuts, static_error: float = 0.0
) -> dict[str, BoolArray]:
    """For each reason, by its column, which sources show it; a quantity that is NaN accuses nobody.

    ``static_error`` is what the difference leaves of its stars.
    """

    def value(name: str) -> FloatArray:
        return np.asarray(columns[name], dtype=np.float64)

    snr, light, line = np.abs(value("snr")), value("dp_templateRatio"), np.abs(value("dp_lineScore"))
    left = cuts.psf_mismatch * value("dp_psfMismatch")
    left += cuts.static_error * float(np.clip(static_error, 0.0, cuts.largest_static_error))
    with np.errstate(invalid="ignore"):
        return {
            "dp_residual_sharp": value("dp_sharpness") > cuts.sharpness + cuts.sharpness_model_error * snr,
            "dp_residual_shape": value("dp_chi2Excess") > cuts.chi2_excess + (cuts.chi2_model_error * snr) ** 2,
            "dp_residual_static": light < cuts.template_ratio + left,
            "dp_residual_dipole": (value("dp_partnerRatio") > 0) & (light < cuts.dipole_template_ratio),
            "dp_residual_star": value("dp_starRatio") < cuts.star_ratio,
            "dp_residual_saturated": (value("dp_saturatedDistance") < cuts.saturated_distance)
            & ~(snr > cuts.saturated_sigma * value("dp_saturatedScatter")),
            "dp_residual_line": (line > cuts.least_line) & (snr < line + cuts.line_sigma),
        }
