"""What tells a change of the sky from the residual of a subtraction: the ``dp_*`` quantities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from diapipe.catalogs.stars import StarList
from diapipe.images import UNUSABLE_DIFFERENCE, Exposure, MaskedImage
from diapipe.images.photometry import PsfFits
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics import surroundings
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.stats import median, thinned
from diapipe.steps.measure.options import Measure
from diapipe.steps.measure.readout_lines import line_scores
from diapipe.steps.measure.saturated_stars import saturated_columns
from diapipe.steps.measure.sources import Sources

type Columns = dict[str, NDArray[Any]]

_SKY_SAMPLES = 100_000


def evidence_columns(
    planes: Planes,
    found: Sources,
    fits: PsfFits,
    lattice: PsfLattice,
    columns: Columns,
    *,
    score: Float32Array,
    static: MaskedImage | Exposure | None,
    stars: StarList | None,
    fwhm: float,
    noise_gain: float,
    options: Measure,
) -> Columns:
    """The ``dp_*`` quantities that the default cut looks at; ``noise_gain`` is the variance of a PSF flux over what it
    would be were the noise white, in which pixels are judged.
    """
    snr = columns["snr"] * np.sqrt(noise_gain)
    image = static.masked_image if isinstance(static, Exposure) else static
    height, norm = lattice.peaks()
    return {
        **light_columns(planes, found, snr=snr, peak_share=height / norm, radius=options.sign_fwhm * fwhm),
        "dp_chi2Excess": chi2_excess(columns["psfChi2"], columns["psfNdata"]),
        "dp_templateRatio": template_ratio(
            image, found, fits, difference=planes.image, peak=height, radius=options.core_fwhm * fwhm
        ),
        "dp_starRatio": star_ratio(stars, found, planes, fits, radius=options.star_fwhm * fwhm),
        **saturated_columns(
            planes, found, score, reach=options.cuts.saturated_distance, own_radius=options.own_fwhm * fwhm
        ),
        "dp_lineScore": line_scores(
            planes, found, score, near=options.line_from_fwhm * fwhm, far=options.line_to_fwhm * fwhm
        ),
    }


def light_columns(
    planes: Planes,
    sources: Sources,
    *,
    snr: FloatArray,
    peak_share: FloatArray,
    radius: float,
    noise_n_sigma: float = 2.0,
) -> dict[str, FloatArray]:
    """dp_sharpness and dp_negativeFraction; ``peak_share`` is the central pixel's part of a centred PSF's S/N, which is
    that in white noise.
    """
    found = surroundings.examine(
        *planes.arrays,
        bits=int(UNUSABLE_DIFFERENCE),
        x=sources.x,
        y=sources.y,
        signs=sources.sign,
        radius=radius,
        n_sigma=noise_n_sigma,
    )
    return {"dp_sharpness": found[:, 0] - peak_share * np.abs(snr), "dp_negativeFraction": found[:, 1]}


def chi2_excess(chi2: FloatArray, n_data: FloatArray) -> FloatArray:
    """(χ² - ν) / sqrt(2 ν) with ν = n - 3 degrees of freedom; NaN without any."""
    freedom = np.where(n_data > 3, n_data - 3.0, np.nan)
    return (chi2 - freedom) / np.sqrt(2.0 * freedom)


def template_ratio(
    template: MaskedImage | None,
    sources: Sources,
    fits: PsfFits,
    *,
    difference: Float32Array,
    peak: FloatArray,
    radius: float,
) -> FloatArray:
    """Height of each source over the highest light of the static sky within ``radius`` pixels.

    The static sky is the image that does not hold the source: the template, or science (template plus difference) for
    what has faded. ``peak`` is the PSF's height for unit flux. The sky level is the median of the template. Infinite
    where no light is.
    """
    if template is None:
        return np.full(len(sources), np.nan)
    image, faded = template.image, sources.sign < 0
    brightest = surroundings.brightest_around(image, x=sources.x, y=sources.y, radius=radius)
    brightest[faded] = surroundings.brightest_around(
        image, x=sources.x[faded], y=sources.y[faded], radius=radius, plus=difference
    )
    light = brightest - median(thinned(image, _SKY_SAMPLES))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(light > 0, np.abs(fits.flux) * peak / light, np.where(np.isnan(light), np.nan, np.inf))


def star_ratio(stars: StarList | None, sources: Sources, planes: Planes, fits: PsfFits, *, radius: float) -> FloatArray:
    """|Flux| of each source over that of the brightest star within ``radius`` pixels; NaN without one."""
    ratio = np.full(len(sources), np.nan)
    if stars is None or len(stars) == 0 or len(sources) == 0:
        return ratio
    tree = KDTree(np.stack([stars.x, stars.y], axis=1))
    near = tree.query_ball_point(np.stack([sources.x + planes.box.x0, sources.y + planes.box.y0], axis=1), radius)
    for k, members in enumerate(near):
        brightest = max((float(stars.flux[i]) for i in members), default=0.0)
        if brightest > 0:
            ratio[k] = abs(fits.flux[k]) / brightest
    return ratio
