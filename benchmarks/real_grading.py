"""Grade a difference of real frames, of which nothing is known but that most stars are constant."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from diapipe.catalogs.stars import StarList
from diapipe.flow import DifferenceResult
from diapipe.images import UNUSABLE_DIFFERENCE, Exposure, MaskPlane
from diapipe.images.photometry import fit_psf, stamp_half
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics.stats import clipped_mean, robust_sigma

FOOTPRINT_FWHM = 1.5
"""Radius of a star's footprint."""

N_STARS = 100
"""Brightest stars in whose footprints χ² is taken."""

N_CONSTANT = 50
"""Brightest stars whose flux should not change."""

SATURATED_FWHM = 3.0
"""Stars nearer than this to a saturated pixel of either image are counted apart."""

type Array = NDArray[np.float64]
type Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RealGrade:
    """What the issue asks of real frames, in its order, and what explains it."""

    chi2_stars: float
    chi2_stars_median: float
    chi2_away_from_saturation: float
    detections: float
    detections_good: float
    score_sigma: float
    constant_stars: float
    constant_stars_rms: float
    sky: float
    blanked: float
    blanked_beyond_inputs: float
    coverage: float
    kernel_order: int
    n_stamps: int
    sharper: bool

    def row(self) -> dict[str, float]:
        """The values by name."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class StarResiduals:
    """What the difference holds at each of the brightest unsaturated stars; one entry each."""

    x: Array
    y: Array
    flux: Array
    peak: Array
    difference: Array
    error: Array
    chi2: Array
    is_near_saturation: Flags


def grade(result: DifferenceResult, *, known_variable: tuple[float, float] | None = None) -> RealGrade:
    """Grade one difference; ``known_variable`` (ra, dec in degrees) is left out of the constant stars."""
    exposure = result.difference.exposure
    good = exposure.masked_image.usable(UNUSABLE_DIFFERENCE)
    covered = result.aligned.exposure.masked_image.usable(MaskPlane.NO_DATA)
    inputs = covered & result.science.exposure.masked_image.usable() & result.aligned.exposure.masked_image.usable()
    stars = star_residuals(result, known_variable=known_variable)
    arcmin2 = _arcmin2_per_pixel(exposure) * good.sum()
    pulls = (stars.difference / stars.error)[:N_CONSTANT]
    free = ~stars.is_near_saturation
    return RealGrade(
        chi2_stars=_mean(stars.chi2),
        chi2_stars_median=_median(stars.chi2),
        chi2_away_from_saturation=_mean(stars.chi2[free]),
        detections=len(result.dia_sources) / arcmin2,
        detections_good=float(np.count_nonzero(~np.asarray(result.dia_sources["dp_bad"]))) / arcmin2,
        score_sigma=robust_sigma(result.detections.score.image[good]),
        constant_stars=robust_sigma(pulls),
        constant_stars_rms=float(np.sqrt(np.mean(pulls**2))) if len(pulls) else float("nan"),
        sky=sky_ratio(result),
        blanked=float((covered & ~good).sum() / covered.sum()),
        blanked_beyond_inputs=float((inputs & ~good).sum() / covered.sum()),
        coverage=float(covered.mean()),
        kernel_order=result.match.spatial_order,
        n_stamps=int(result.match.candidates.kept.sum()),
        sharper=result.match.convolved == "science",
    )


def _mean(values: Array) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _arcmin2_per_pixel(exposure: Exposure) -> float:
    return float(abs(np.linalg.det(exposure.wcs.pixel_scale_matrix)) * 3600.0)


def sky_ratio(result: DifferenceResult) -> float:
    """Scatter of the pixels between the stars over what the variance claims."""
    image = result.difference.exposure.masked_image
    light = result.difference.matched_template
    assert light is not None
    sigma = np.sqrt(result.science.exposure.masked_image.variance)
    bright = np.nan_to_num(ndimage.gaussian_filter(np.nan_to_num(light.image / sigma), 2.0), nan=9e9) > 1.0
    free = image.usable(UNUSABLE_DIFFERENCE) & ~bright
    pull = image.image[free] / np.sqrt(image.variance[free])
    return clipped_mean(pull, n_sigma=4.0).sigma


def star_residuals(result: DifferenceResult, *, known_variable: tuple[float, float] | None = None) -> StarResiduals:
    """Forced difference flux and χ² per pixel at the brightest unsaturated stars whose footprints are usable."""
    exposure, science = result.difference.exposure, result.science
    assert exposure.psf is not None
    image = exposure.masked_image
    box = image.box
    fwhm = science.exposure.psf.fwhm_at(x=box.x_center, y=box.y_center)
    good = image.usable(UNUSABLE_DIFFERENCE)
    saturated = (image.mask & int(MaskPlane.SAT | MaskPlane.SAT_TEMPLATE)) != 0
    far = ndimage.distance_transform_edt(~saturated) if saturated.any() else np.full(good.shape, np.inf)
    stars = _bright_stars(science.stars, exposure, known_variable)
    chosen, chi2, near = [], [], []
    for k in range(len(stars)):
        cut, disc = _disc(stars.x[k] - box.x0, stars.y[k] - box.y0, FOOTPRINT_FWHM * fwhm, image.shape)
        if len(chosen) == N_STARS or disc.sum() < 3.0 * fwhm**2 or not good[cut][disc].all():
            continue
        chosen.append(k)
        chi2.append(float(np.mean(image.image[cut][disc] ** 2 / image.variance[cut][disc])))
        near.append(bool(far[cut][disc].min() < SATURATED_FWHM * fwhm))
    kept = stars.select(np.array(chosen, dtype=np.intp))
    flux, error = forced_fluxes(exposure, kept.x, kept.y)
    return StarResiduals(
        x=kept.x, y=kept.y, flux=kept.flux, peak=kept.peak, difference=flux, error=error,
        chi2=np.array(chi2), is_near_saturation=np.array(near, dtype=bool),
    )  # fmt: skip


def _bright_stars(stars: StarList, exposure: Exposure, known_variable: tuple[float, float] | None) -> StarList:
    """Unsaturated sources, brightest first, without the known variable."""
    constant = ~stars.is_saturated
    if known_variable is not None:
        x, y = exposure.wcs.all_world2pix(*known_variable, 0)
        constant &= np.hypot(stars.x - x, stars.y - y) > 10.0
    return stars.select(constant)


def _disc(x: float, y: float, radius: float, shape: tuple[int, int]) -> tuple[tuple[slice, slice], Flags]:
    """A cut-out around a place and which of its pixels lie within the radius."""
    rows = slice(max(0, int(y - radius)), min(shape[0], int(y + radius) + 2))
    columns = slice(max(0, int(x - radius)), min(shape[1], int(x + radius) + 2))
    v, u = np.mgrid[rows, columns]
    return (rows, columns), np.asarray(np.hypot(u - x, v - y) <= radius)


def forced_fluxes(exposure: Exposure, x: Array, y: Array) -> tuple[Array, Array]:
    """PSF flux at given places (parent pixels) and its error."""
    planes = Planes.of(exposure.masked_image)
    assert exposure.psf is not None
    lattice = PsfLattice.around(exposure.psf, x=x, y=y, box=planes.box)
    fwhm = exposure.psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
    fits = fit_psf(
        planes, lattice, x=x - planes.box.x0, y=y - planes.box.y0, bits=UNUSABLE_DIFFERENCE,
        half=stamp_half(exposure.psf.size, fwhm, 2.0), correlation=exposure.noise_correlation, n_threads=1,
    )  # fmt: skip
    return fits.flux, fits.flux_err
