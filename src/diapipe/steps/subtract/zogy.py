"""Zogy: proper image subtraction, each image filtered with what the PSF of the other asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from diapipe.errors import InputError, PsfUndefinedError, UsageError
from diapipe.images.box import Box
from diapipe.images.cells import cells_of, nearest_known, sky_variance
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField, ImageField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.psf import ConvolvedPsf, Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.proper import ProperFilters, gaussian_centroid, proper_filters, tapered, with_point
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.steps.subtract.base import AbstractSubtractor, Pair, Subtracted
from diapipe.steps.subtract.convolve import KernelAt, convolve_pixels, variance_through, without_holes
from diapipe.steps.subtract.masks import edge_width, grown, joined

DFT_SIDE = 128
"""Side of the DFT that the filters are computed on, for PSFs of the usual sizes."""

REACH_SIGMAS = 11.0
LEAST_HALF_PX, LARGEST_HALF_PX = 16, 48
"""Half-size of the filters, in sigma of the wider PSF and its limits: with 24 px at a sigma of 2.2 no false detection
is left around bright stars, with 16 px there are 70 on a frame.
"""


TOLERANCE = 1e-4
"""Norm of a local term of a filter that is left out: what each filter lacks is not made up for by the other."""


class Filters(NamedTuple):
    """D = A ⊗ S - B ⊗ T; the first has unit sum, the second the flux ratio."""

    of_science: SpatialKernel
    of_template: SpatialKernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Zogy(AbstractSubtractor):
    """Proper image subtraction (Zackay, Ofek & Gal-Yam 2016), its two filters smooth fields over the image.

    Attributes
    ----------
    psfs
        ``models``: both PSF models as they are; the match tells flux ratio and background alone. ``stars``: the wider
        is replaced by the matching kernel ⊗ the other, so that they agree about the stars that the match was fitted to.
    cells
        Positions per axis at which the filters are computed.
    order
        Polynomial order of the filters over the image.
    filter_half_px
        Half-size of the filters; None sizes it from the PSFs.
    max_psf_offset_px
        A PSF model that is farther off its middle pixel is refused: sources would be displaced on the difference.

    Notes
    -----
    V_D = A² ⊗ V_S + B² ⊗ V_T + f² (B ⊗ T)² ΣA², P_D = A ⊗ P_S, with f the relative error of the match.
    """

    may_be_zero = ("order",)

    psfs: Literal["models", "stars"] = "models"
    cells: int = 6
    order: int = 3
    filter_half_px: int | None = None
    max_psf_offset_px: float = 0.2

    whitens: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super(Zogy, self).__post_init__()
        if self.psfs not in ("stars", "models"):
            raise UsageError(f"psfs must be stars or models, not {self.psfs!r}")

    def subtracted(self, pair: Pair, *, whitening: SpatialKernel | None = None, n_threads: int = 1) -> Subtracted:
        """Filter both images and subtract; there is nothing left to whiten."""
        if whitening is not None:
            raise UsageError("a proper difference is white by itself; give no whitening kernel with it")
        filters, box = self.filters(pair), pair.science.box
        level = _background_of_science(pair).over(box)
        good = [exposure.masked_image.usable() for exposure in (pair.science, pair.template)]
        filled = [without_holes(e, g)[0] for e, g in zip((pair.science, pair.template), good, strict=True)]
        bad = np.flatnonzero(~(good[0] & good[1]))
        del good
        pixels, matched = (
            convolve_pixels(f, box, k, tolerance=TOLERANCE, n_threads=n_threads)
            for f, k in zip(filled, filters, strict=True)
        )
        variance = variance_through(
            [(pair.science, _at(filters.of_science)), (pair.template, _at(filters.of_template))], n_threads=n_threads
        )
        if pair.relative_error:
            # an error that differs from pixel to pixel goes through the filter as the noise of the science image does
            gain = float((filters.of_science.image_at(x=box.x_center, y=box.y_center) ** 2).sum())
            variance += np.float32(gain * pair.relative_error**2) * np.clip(matched, 0.0, None) ** 2
        matched += level
        pixels -= matched
        central = [np.abs(kernel.image_at(x=box.x_center, y=box.y_center)) for kernel in filters]
        planes = [
            grown(exposure.masked_image.mask, kernel, light, variance)
            for exposure, kernel, light in zip((pair.science, pair.template), central, filled, strict=True)
        ]
        assert pair.science.psf is not None
        return Subtracted(
            pixels=pixels,
            mask=joined(*planes, border=edge_width(np.abs(pair.kernel.image_at(x=box.x_center, y=box.y_center)))),
            variance=variance,
            bad=bad,
            psf=ConvolvedPsf(pair.science.psf, filters.of_science),
            matched_template=replace(pair.template.masked_image, image=matched),
            whitening=filters.of_science,
            template_filter=filters.of_template,
        )

    def filters(self, pair: Pair) -> Filters:
        """The two filters all over the image.

        Raises
        ------
        PsfUndefinedError
            If an image has no PSF, or both have one nowhere.
        InputError
            If a PSF model is not centred.
        """
        box = pair.science.box
        cells = cells_of(box, self.cells)
        half = self._half(pair)
        found = [self._filters_in(cell, pair, half) for cell in cells]
        if all(f is None for f in found):
            raise PsfUndefinedError(
                f"{pair.science.name} and {pair.template.name} have PSF and noise in no common place"
            )
        x, y = np.array([cell.x_center for cell in cells]), np.array([cell.y_center for cell in cells])
        order = self.order if self.cells > 1 else 0
        while n_terms(order) > len(cells):
            order -= 1
        fields = (
            ImageField.fitted(
                nearest_known([None if f is None else f[k] for f in found], x, y), x=x, y=y, order=order, box=box
            )
            for k in range(2)
        )
        return Filters(*(SpatialKernel(field) for field in fields))

    def _half(self, pair: Pair) -> int:
        """Half-size of the filters."""
        if self.filter_half_px is not None:
            return self.filter_half_px
        box = pair.science.box
        widths = [_psf(e).sigma_at(x=box.x_center, y=box.y_center) for e in (pair.science, pair.template)]
        return int(np.clip(np.ceil(REACH_SIGMAS * max(widths)), LEAST_HALF_PX, LARGEST_HALF_PX))

    def _filters_in(self, cell: Box, pair: Pair, half: int) -> ProperFilters | None:
        """The filters for the middle of a cell; None where a PSF or the noise is unknown."""
        x, y = cell.x_center, cell.y_center
        variances = [sky_variance(exposure.masked_image, cell) for exposure in (pair.science, pair.template)]
        if not np.isfinite(variances).all():
            return None
        try:
            science_psf, template_psf = (with_point(self._centred(e, x, y)) for e in (pair.science, pair.template))
        except PsfUndefinedError:
            return None
        if self.psfs == "stars":
            kernel = pair.kernel.image_at(x=x, y=y)
            kernel = kernel / kernel.sum()
            if pair.convolved == "template":
                science_psf = convolved_in_full(template_psf, kernel)
            else:
                template_psf = convolved_in_full(science_psf, kernel)
        found = proper_filters(
            science_psf,
            template_psf,
            flux_ratio=_flux_ratio(pair),
            science_variance=variances[0],
            template_variance=variances[1],
            science_correlation=pair.science.noise_correlation,
            template_correlation=pair.template.noise_correlation,
            n=max(DFT_SIDE, 2 * half + 2, *(2 * psf.shape[0] for psf in (science_psf, template_psf))),
        )
        return ProperFilters(*(tapered(image, half) for image in found))

    def _centred(self, exposure: Exposure, x: float, y: float) -> FloatArray:
        """The PSF of an exposure at a position."""
        psf = _psf(exposure)
        image = psf.kernel_image(x=x, y=y)
        offset = gaussian_centroid(image, sigma=psf.sigma_at(x=x, y=y))
        if not np.hypot(*offset) <= self.max_psf_offset_px:
            raise InputError(
                f"the PSF of {exposure.name} at ({x:.0f}, {y:.0f}) is ({offset[0]:+.2f}, {offset[1]:+.2f}) px off its "
                f"middle; ZOGY needs it within {self.max_psf_offset_px:g} px"
            )
        return image


def _psf(exposure: Exposure) -> Psf:
    """The PSF of an exposure that must have one."""
    if exposure.psf is None:
        raise PsfUndefinedError(f"{exposure.name} has no PSF; ZOGY needs those of both images")
    return exposure.psf


def _at(kernel: SpatialKernel) -> KernelAt:
    """The images of a kernel by position."""
    return lambda x, y: kernel.image_at(x=x, y=y)


def _flux_ratio(pair: Pair) -> float:
    """Science counts for one count of the template."""
    return pair.kernel.sum if pair.convolved == "template" else 1.0 / pair.kernel.sum


def _background_of_science(pair: Pair) -> ChebyshevField:
    """What the match found of science above template, in counts of the science image."""
    if pair.convolved == "template":
        return pair.background
    return replace(pair.background, coefficients=-pair.background.coefficients / pair.kernel.sum)
