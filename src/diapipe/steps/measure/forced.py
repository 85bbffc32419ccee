"""Forced photometry: PSF fluxes at the sources' places on the images beneath the difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from diapipe.images import UNUSABLE, Difference, Exposure, MaskedImage
from diapipe.images.photometry import PsfFits, fit_psf
from diapipe.images.planes import Planes
from diapipe.images.psf import ConvolvedPsf
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.matched_filter import cropped
from diapipe.numerics.whitening import noise_covariance
from diapipe.steps.measure.dipole_images import kernels_of
from diapipe.steps.measure.sources import Sources

_NOISE_KEPT = 1e-3
"""Covariances below this part of the variance are taken for none."""


def science_columns(
    science: Exposure, lattice: PsfLattice, sources: Sources, planes: Planes, *, half: int, n_threads: int
) -> dict[str, NDArray[np.generic]]:
    """PSF fluxes on the science image."""
    cut = science[planes.box] if science.box != planes.box else science
    fits = _fluxes(cut, lattice, sources, half, n_threads)
    return {
        "scienceFlux": fits.flux,
        "scienceFluxErr": fits.flux_err,
        "forced_PsfFlux_flag": fits.is_poor,
        "forced_PsfFlux_flag_edge": fits.is_at_edge,
        "forced_PsfFlux_flag_noGoodPixels": fits.no_pixels,
    }


def template_columns(
    template: Exposure, lattice: PsfLattice, sources: Sources, *, half: int, n_threads: int
) -> dict[str, NDArray[np.generic]]:
    """PSF fluxes on the matched template; ``template`` as `matched_template` gives it."""
    fits = _fluxes(template, lattice, sources, half, n_threads)
    return {
        "templateFlux": fits.flux,
        "templateFluxErr": fits.flux_err,
        "forced_template_PsfFlux_flag": fits.is_poor,
        "forced_template_PsfFlux_flag_edge": fits.is_at_edge,
        "forced_template_PsfFlux_flag_noGoodPixels": fits.no_pixels,
    }


def _fluxes(image: Exposure, lattice: PsfLattice, sources: Sources, half: int, n_threads: int) -> PsfFits:
    """PSF fluxes at fixed positions on an image of the difference's box."""
    return fit_psf(
        Planes.of(image.masked_image),
        lattice,
        x=sources.x,
        y=sources.y,
        bits=UNUSABLE,
        half=half,
        correlation=image.noise_correlation,
        n_threads=n_threads,
    )


def matched_template(
    difference: Difference, science: Exposure, template: MaskedImage | Exposure | None
) -> Exposure | None:
    """The template that was subtracted, with the PSF and the noise that it has after the match; None without one.

    An Exposure with a PSF is taken as it is. Otherwise the variance plane is that of before the match: the noise is
    n' = γ ⊗ n, with γ the matching kernel where the template was convolved and 1/ΣK where the science image was, so its
    variance is V Σγ² and its correlation γ ⋆ γ / Σγ², that of n being taken as white. The PSF is that of the science
    image, through the kernel where that was convolved.
    """
    if isinstance(template, Exposure) and template.psf is not None:
        return template
    static = difference.matched_template if template is None else template
    if static is None or science.psf is None:
        return None
    exposure = static if isinstance(static, Exposure) else Exposure(name="template", masked_image=static)
    gamma = kernels_of(difference).gamma
    gain = float((gamma**2).sum())
    pixels = exposure.masked_image
    return replace(
        exposure,
        masked_image=replace(pixels, variance=(pixels.variance * np.float32(gain))),
        psf=science.psf
        if difference.convolved == "template"
        else ConvolvedPsf(science.psf, difference.kernel.normalized),
        noise_correlation=_autocorrelation(gamma),
    )


def _autocorrelation(kernel: FloatArray) -> FloatArray | None:
    """Correlation of white noise after a kernel, out to where it matters; None where it stays white."""
    covariance = noise_covariance(kernel, None)
    middle = covariance.shape[0] // 2
    rho = covariance / covariance[middle, middle]
    rows, columns = np.nonzero(np.abs(rho) > _NOISE_KEPT)
    reach = int(max(np.abs(rows - middle).max(), np.abs(columns - middle).max()))
    return None if reach == 0 else cropped(rho, reach)
