"""scale_of_difference: what a count of a difference is worth, by its visit's stars and by its template's."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import UNUSABLE_DIFFERENCE, Difference, Exposure, PhotoCalib, Psf
from diapipe.images.photometry import fit_psf, stamp_half
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.psf_overlap import psf_flux
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.steps.calibrate.robust_mean import robust_mean
from diapipe.steps.limits import Limited

CROWDED_FWHM = 2.5
"""Radius in FWHM within which sources are in each other's way: that of aperture corrections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelScale(Limited):
    """How the two scales are weighed against each other.

    Attributes
    ----------
    neighbour_error
        Relative error that a scale from stars has for each source that stands, on average, within
        `CROWDED_FWHM` of a place: the light of unseen neighbours, which all stars have in common, so that their scatter
        does not tell it.
    least_star_error, least_kernel_error
        Relative errors that a scale from stars, and one from a kernel, has at least.
    min_stars, max_stars
        Fewer stars do not tell what the kernel leaves of them; of more the brightest are taken.
    max_disagreement_sigma
        Scales farther apart than this, in units of their error, are of different zero points: the better known counts
        alone.
    stamp_fwhm
        Half-width of the stamp that the PSF is fitted on to what is left, in FWHM.
    """

    neighbour_error: float = 0.01
    least_star_error: float = 0.002
    least_kernel_error: float = 0.002
    min_stars: int = 3
    max_stars: int = 60
    max_disagreement_sigma: float = 5.0
    stamp_fwhm: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceScale:
    """Flux of a count in nJy with its error, thrice.

    Attributes
    ----------
    stars, stars_err
        By the calibration of the science image; the error with what the stars have in common.
    kernel, kernel_err
        By the template.
    mean, mean_err
        Of their logarithms, weighted by the errors.
    agree
        Whether both count; else they are of different zero points.
    """

    stars: float
    stars_err: float
    kernel: float
    kernel_err: float
    mean: float
    mean_err: float
    agree: bool = True

    def put_on(self, difference: Difference) -> Difference:
        """The difference with the mean as its calibration; how that varies over the image stays, and all is told."""
        exposure = difference.exposure
        field = None if exposure.photo_calib is None else exposure.photo_calib.field
        calib, told = PhotoCalib(self.mean, self.mean_err, field), {**exposure.metadata, **self.told()}
        return replace(difference, exposure=replace(exposure, photo_calib=calib, metadata=told))

    def told(self) -> dict[str, float]:
        """By the names that metadata have."""
        return {
            "nJyPerCountByStars": self.stars,
            "nJyPerCountByStarsErr": self.stars_err,
            "nJyPerCountByKernel": self.kernel,
            "nJyPerCountByKernelErr": self.kernel_err,
            "nJyPerCount": self.mean,
            "nJyPerCountErr": self.mean_err,
        }


def scale_of_difference(
    difference: Difference,
    template: Exposure,
    *,
    x: FloatArray,
    y: FloatArray,
    flux: FloatArray,
    n_sources: int,
    options: KernelScale | None = None,
) -> DifferenceScale | None:
    """Weigh the calibration of the science image against that of the template, which the kernel carries over.

    Parameters
    ----------
    difference
        In counts of the science image, with its ``photo_calib``.
    template
        Before the match, on the grid of the difference, with PSF and calibration.
    x, y, flux
        Places of stars, parent coordinates, and their fluxes on the science image.
    n_sources
        How many sources the science image has: that is how crowded its stars are.
    options
        Parameters; the defaults where left out.

    Returns
    -------
    DifferenceScale or None
        None where an image is not calibrated, the difference is in nJy already, the template has no PSF, or there are
        too few stars.

    Notes
    -----
    A star of 1 nJy on the template stands on the difference as A = ψ ⊗ K ⊗ P_T, or ψ ⊗ P_T / ΣK where the science image
    was convolved, or as the template's filter has it. As PSF fluxes are measured there, with the PSF P and the aperture
    correction a, that is a ΣAP / ΣP² counts, at the shift that makes it the largest; on the template it is a_T nJy. A
    count is worth a_T ΣP² / (a ΣAP): by the same models as the fluxes, in which it cancels what is wrong with them.
    What the kernel does not make of a star is left of it, a part m of its flux on the science image: it made 1 - m of
    what it should, and the count is worth less by as much. The scale is the mean of that over the stars.
    """
    options = options or KernelScale()
    calib, psf = difference.exposure.photo_calib, difference.exposure.psf
    if calib is None or psf is None or difference.exposure.unit == "nJy":
        return None
    brightest = np.argsort(-flux, kind="stable")[: options.max_stars]
    stars = x[brightest], y[brightest], flux[brightest]
    left, left_error = _left_of_stars(difference.exposure, psf, *stars, stamp_fwhm=options.stamp_fwhm)
    made = _by_kernel(difference, template, calib, psf, *stars[:2])
    found = robust_mean(np.log(made) - left, left_error)
    if found.n < options.min_stars:
        return None
    reach = CROWDED_FWHM * psf.fwhm_at(x=difference.box.x_center, y=difference.box.y_center)
    crowding = options.neighbour_error * n_sources * np.pi * reach**2 / difference.box.area
    errors = (
        float(np.linalg.norm([calib.error / calib.mean, options.least_star_error, crowding])),
        float(np.hypot(found.error, options.least_kernel_error)),
    )
    return _weighed(calib.mean, float(np.exp(found.value)), errors, options.max_disagreement_sigma)


def _weighed(stars: float, kernel: float, errors: tuple[float, float], max_disagreement: float) -> DifferenceScale:
    """Both scales and their mean, by relative errors."""
    weights = np.array(errors) ** -2.0
    if abs(np.log(stars / kernel)) > max_disagreement * np.hypot(*errors):
        weights[np.argmax(errors)] = 0.0
    mean = float(np.exp(np.average(np.log([stars, kernel]), weights=weights)))
    return DifferenceScale(
        stars=stars,
        stars_err=stars * errors[0],
        kernel=kernel,
        kernel_err=kernel * errors[1],
        mean=mean,
        mean_err=mean * float(weights.sum()) ** -0.5,
        agree=bool(weights.all()),
    )


def _left_of_stars(
    exposure: Exposure, psf: Psf, x: FloatArray, y: FloatArray, flux: FloatArray, *, stamp_fwhm: float
) -> tuple[FloatArray, FloatArray]:
    """Fluxes of stars on the difference over those on the science image, and their errors; NaN for what tells none."""
    fwhm = psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
    fits = fit_psf(
        Planes.of(exposure.masked_image),
        PsfLattice.around(psf, x=x, y=y, box=exposure.box),
        x=x - exposure.box.x0,
        y=y - exposure.box.y0,
        bits=UNUSABLE_DIFFERENCE,
        half=stamp_half(psf.size, fwhm, stamp_fwhm),
        correlation=exposure.noise_correlation,
        n_threads=1,
    )
    known = np.where(~fits.is_poor & (flux > 0.0), np.where(flux > 0.0, flux, 1.0), np.nan)
    return fits.flux / known, fits.flux_err / known


def _by_kernel(
    difference: Difference, template: Exposure, calib: PhotoCalib, psf: Psf, x: FloatArray, y: FloatArray
) -> FloatArray:
    """The template's flux of a count at places, less what the calibration says of its variation; NaN for unknown."""
    njy = 1.0 if template.unit == "nJy" else None if template.photo_calib is None else template.photo_calib.mean
    found = np.full(len(x), np.nan)
    if njy is None or template.psf is None:
        return found
    varies = calib.at(x=x, y=y) / calib.mean
    for i, place in enumerate({"x": float(u), "y": float(v)} for u, v in zip(x, y, strict=True)):
        with suppress(PsfUndefinedError):
            star = _star_of_template(difference, template.psf.kernel_image(**place), **place)
            counts = psf_flux(star, psf.kernel_image(**place)) * _correction(difference.exposure, **place)
            found[i] = njy * _correction(template, **place) / (counts * varies[i])
    return found


def _star_of_template(difference: Difference, psf: FloatArray, *, x: float, y: float) -> FloatArray:
    """A star of one count of the template as it was subtracted."""
    if difference.template_filter is not None:
        return convolved_in_full(psf, difference.template_filter.image_at(x=x, y=y))
    if difference.convolved == "template":
        star = convolved_in_full(psf, difference.kernel.image_at(x=x, y=y))
    else:
        star = psf / difference.kernel.sum
    return star if difference.whitening is None else convolved_in_full(star, difference.whitening.image_at(x=x, y=y))


def _correction(exposure: Exposure, *, x: float, y: float) -> float:
    """Aperture correction of PSF fluxes; 1 where there is none."""
    correction = exposure.aperture_corrections.get("psfFlux")
    return 1.0 if correction is None else float(correction.at(x=x, y=y))
