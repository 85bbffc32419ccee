"""Zogy: proper image subtraction, each image filtered with what the PSF of the other asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from diapipe.errors import InputError, PsfUndefinedError, UsageError
from diapipe.images.box import Box
from diapipe.images.cells import cells_of, nearest_known, sky_variance
from diapipe.images.exposure import Exposure
from diapipe.images.fields import ChebyshevField, ImageField
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import UNUSABLE_DIFFERENCE
from diapipe.images.psf import ConvolvedPsf, Psf
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.proper import ProperFilters, gaussian_centroid, proper_filters, tapered
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.steps.subtract.agreement import agreement
from diapipe.steps.subtract.base import AbstractSubtractor, Pair, Subtracted
from diapipe.steps.subtract.convolve import KernelAt, filtered_difference, variance_through
from diapipe.steps.subtract.filtered_stamps import Side
from diapipe.steps.subtract.masks import combined_mask
from diapipe.steps.subtract.matched import Matched, matched_target, template_as_matched, with_error
from diapipe.steps.subtract.uneven import variance_for_fluxes

DFT_SIDE = 128
"""Side of the DFT that the filters are computed on, for PSFs of the usual sizes."""

REACH_SIGMAS = 11.0
LEAST_HALF_PX, LARGEST_HALF_PX = 16, 48
"""Half-size of the filters, in sigma of the wider PSF and its limits: with 24 px at a sigma of 2.2 no false detection
is left around bright stars, with 16 px there are 70 on a frame.
"""


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
        ``stars``: what the stars of the match say that the two PSF models lack is added to the filters, half to each.
        ``models``: both PSF models as they are; the match tells flux ratio and background alone.
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
    V_D = A² ⊗ V_S + B² ⊗ V_T, P_D = A ⊗ P_S. What an image lacks is filled with what the match makes of the other, so
    that the filters carry nothing out of it; an error f of the match or of the filters adds f² (K ⊗ T)² to the
    variance of the image that K ⊗ T is matched to.

    What the fields of LSST's ZogyConfig (SPEC E) are here: ``maxPsfCentroidDist`` is ``max_psf_offset_px``;
    ``scaleByCalibration`` is ``Recipe.pixel_unit``; ``scienceFluxScaling`` over ``templateFluxScaling`` is the flux
    ratio, told by the stars, or given as ``ModelPsf.flux_scale``; ``ignoreMaskPlanes`` are `UNUSABLE`;
    ``correctBackground`` is done always, by the match and the level of the difference; ``doSpatialGrid`` and
    ``gridInnerSize`` are ``cells`` and ``order``; ``doTrimKernels`` is ``filter_half_px``. ``padSize`` and
    ``doFilterPsfs`` have nothing to do: there are no periodic edges, and the PSF models no noisy borders.
    """

    may_be_zero = ("order",)

    psfs: Literal["stars", "models"] = "stars"
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
        box, filters = pair.science.box, self.filters(pair)
        matched = matched_target(replace(pair, relative_error=0.0), n_threads=n_threads)
        reference = pair.reference.masked_image.image.copy()
        reference.reshape(-1)[matched.bad] = matched.pixels.reshape(-1)[matched.bad]
        of_template = pair.convolved == "template"
        science, template = (reference, matched.filled) if of_template else (matched.filled, reference)
        filters, relative_error = self._agreed(pair, filters, science, template, matched.bad)
        variance = variance_through(_inputs(pair, matched, filters, relative_error), n_threads=n_threads)
        mask = combined_mask(
            pair.science.masked_image,
            pair.template.masked_image,
            pair.kernel,
            convolved=pair.convolved,
            filled=matched.filled,
            variance=variance if of_template else variance * np.float32(pair.kernel.sum**2),
        )
        assert pair.science.psf is not None
        psf = ConvolvedPsf(pair.science.psf, filters.of_science)
        inputs = _inputs(pair, matched, filters, relative_error=0.0)
        variance = variance_for_fluxes(variance, inputs, psf, n_threads=n_threads)
        # the filters reach farther than the mask: where an image has nothing to say, they are given two that agree
        np.copyto(reference, matched.pixels, where=(mask & np.int32(int(UNUSABLE_DIFFERENCE))) != 0)
        pixels = filtered_difference(
            (science, filters.of_science),
            (template, filters.of_template),
            box,
            n_threads=n_threads,
        )
        pixels -= _background_of_science(pair, filters).over(box)
        return Subtracted(
            pixels=pixels,
            mask=mask,
            variance=variance,
            bad=matched.bad,
            psf=psf,
            matched_template=template_as_matched(pair, matched.pixels),
            whitening=filters.of_science,
            template_filter=filters.of_template,
            relative_error=relative_error,
        )

    def filters(self, pair: Pair) -> Filters:
        """The two filters all over the image, from the PSF models.

        Raises
        ------
        PsfUndefinedError
            If an image has no PSF, or both have one nowhere.
        InputError
            If a PSF model is not centred.
        """
        cells, half = cells_of(pair.science.box, self.cells), self._half(pair)
        found = [self._filters_in(cell, pair, half) for cell in cells]
        if all(f is None for f in found):
            raise PsfUndefinedError(
                f"{pair.science.name} and {pair.template.name} have PSF and noise in no common place"
            )
        return self._fields([[None if f is None else f[k] for f in found] for k in range(2)], cells, pair.science.box)

    def _fields(self, samples: Sequence[Sequence[FloatArray | None]], cells: list[Box], box: Box) -> Filters:
        """Smooth filters through those in the middle of every cell, given for science and for template."""
        x, y = np.array([cell.x_center for cell in cells]), np.array([cell.y_center for cell in cells])
        order = self.order if self.cells > 1 else 0
        while n_terms(order) > len(cells):
            order -= 1
        fields = (
            ImageField.fitted(nearest_known(list(images), x, y), x=x, y=y, order=order, box=box) for images in samples
        )
        return Filters(*(SpatialKernel(field) for field in fields))

    def _agreed(
        self, pair: Pair, filters: Filters, science: Float32Array, template: Float32Array, bad: IntArray
    ) -> tuple[Filters, float]:
        """The filters with which the images agree about the stars, and the relative error that is left."""
        if self.psfs == "models" or pair.stars is None:
            return filters, pair.relative_error
        box = pair.science.box
        good = np.ones(box.shape, dtype=np.bool_)
        good.reshape(-1)[bad] = False
        widths = sorted(_psf(e).sigma_at(x=box.x_center, y=box.y_center) for e in (pair.science, pair.template))
        science_side, template_side = (
            Side(pixels, e.masked_image.variance, kernel, e.noise_correlation)
            for pixels, e, kernel in zip((science, template), (pair.science, pair.template), filters, strict=True)
        )
        x, y = pair.stars
        found = agreement((science_side, template_side), good, box, x=x, y=y, sharper_px=widths[0], wider_px=widths[1])
        if found is None:
            return filters, pair.relative_error
        return self._corrected(filters, found.kernel, box), found.relative_error

    def _corrected(self, filters: Filters, kernel: SpatialKernel | None, box: Box) -> Filters:
        """A ⊗ (δ - κ/2) and B ⊗ (δ + κ/2), the first of unit sum again."""
        if kernel is None:
            return filters
        cells = cells_of(box, self.cells)
        of_science, of_template = (
            [_through(image, kernel, sign, x=cell.x_center, y=cell.y_center) for cell in cells]
            for image, sign in zip(filters, (-0.5, 0.5), strict=True)
        )
        scale = len(cells) / sum(float(image.sum()) for image in of_science)
        return self._fields([[scale * image for image in images] for images in (of_science, of_template)], cells, box)

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
            science_psf, template_psf = (self._centred(e, x, y) for e in (pair.science, pair.template))
        except PsfUndefinedError:
            return None
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
        image = _psf(exposure).kernel_image(x=x, y=y)
        width = float(np.sqrt(1.0 / (4.0 * np.pi * (image**2).sum())))
        offset = gaussian_centroid(image, sigma=width)
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


def _inputs(pair: Pair, matched: Matched, filters: Filters, relative_error: float) -> list[tuple[Exposure, KernelAt]]:
    """Both images, the error of the match among the noise of the reference, each with its filter."""
    reference = pair.reference
    if relative_error:
        light = matched.pixels - pair.background.over(reference.box)
        reference = with_error(reference, light, relative_error)
    of_template = pair.convolved == "template"
    science, template = (reference, pair.template) if of_template else (pair.science, reference)
    return [(science, _at(filters.of_science)), (template, _at(filters.of_template))]


def _through(filter_: SpatialKernel, kernel: SpatialKernel, part: float, *, x: float, y: float) -> FloatArray:
    """A filter at a position ⊗ (δ + ``part`` of a kernel), on the support of the filter."""
    image, small = filter_.image_at(x=x, y=y), part * kernel.image_at(x=x, y=y)
    inner = slice(kernel.half, kernel.half + filter_.size)
    return image + convolved_in_full(image, small)[inner, inner]


def _at(kernel: SpatialKernel) -> KernelAt:
    """The images of a kernel by position."""
    return lambda x, y: kernel.image_at(x=x, y=y)


def _flux_ratio(pair: Pair) -> float:
    """Science counts for one count of the template."""
    return pair.kernel.sum if pair.convolved == "template" else 1.0 / pair.kernel.sum


def _background_of_science(pair: Pair, filters: Filters) -> ChebyshevField:
    """What the match found of reference above target, seen through the filters, in counts of the science image."""
    if pair.convolved == "template":
        return pair.background
    return replace(pair.background, coefficients=-filters.of_template.sum * pair.background.coefficients)
