"""What score images have in common: pixels beyond the border, coverage, and what a source looks like on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.cells import cells_of, nearest_known
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.fields import ImageField
from diapipe.images.mask import UNUSABLE_DIFFERENCE, MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.images.psf import PolynomialPsf
from diapipe.numerics import convolution
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.matched_filter import core_half, cropped
from diapipe.numerics.polynomials import n_terms
from diapipe.numerics.whitening import noise_gain

CELLS = 6
"""Positions per axis at which images that vary over the frame are sampled."""

ORDER = 3
"""Order of the field through them."""

LEAST_COVERAGE = 0.5
"""A score is given where at least this part of the filter's weight ΣP² lies on usable pixels."""

LOST = 1e-3
"""Part of ΣP² that the filter of the coverage may lack."""


def field_through(
    image_at: Callable[[float, float], FloatArray], box: Box, *, cells: int = CELLS, order: int = ORDER
) -> ImageField:
    """A smooth field through images given by position; the nearest known one stands in where there is none.

    Raises
    ------
    PsfUndefinedError
        If there is none anywhere.
    """
    tiles = cells_of(box, cells)
    x, y = np.array([tile.x_center for tile in tiles]), np.array([tile.y_center for tile in tiles])
    samples: list[FloatArray | None] = []
    for place in zip(x, y, strict=True):
        try:
            samples.append(image_at(*place))
        except PsfUndefinedError:
            samples.append(None)
    if all(sample is None for sample in samples):
        raise PsfUndefinedError(f"the PSF is defined nowhere on {box}")
    while n_terms(order) > len(tiles):
        order -= 1
    return ImageField.fitted(nearest_known(samples, x, y), x=x, y=y, order=order, box=box)


def as_score(
    pixels: Float32Array,
    variance: Float32Array,
    difference: Difference,
    *,
    profile: FloatArray,
    response: ImageField,
    counted: FloatArray | None = None,
) -> Exposure:
    """A score image in its final form.

    Parameters
    ----------
    pixels, variance
        The difference correlated with its PSF, unusable pixels and what lies beyond the border counted as unchanged;
        and its variance from the noise of the inputs, where all pixels are usable. Used up.
    difference
        The difference itself, with its mask, and what it showed of noise beyond its inputs.
    profile
        Its PSF in the middle.
    response
        What a source of unit flux looks like on the score.
    counted
        The correlation of the difference's noise that ``variance`` has in it already; None for white noise.

    Notes
    -----
    The noise of the difference is about white, so the part of Σ P² that lies on usable pixels is the part of the
    variance that is left.
    """
    coverage = covered(difference.exposure.masked_image.usable(UNUSABLE_DIFFERENCE), profile)
    known = coverage >= LEAST_COVERAGE
    # of a difference that is not white the correlation that it shows is mostly what the variance contains already
    unexplained = None if difference.whitening is None else difference.exposure.noise_correlation
    more = noise_gain(profile, unexplained) / noise_gain(profile, counted)
    variance *= np.float32(difference.variance_factor * more)
    variance *= np.where(known, coverage, np.float32(1.0))
    pixels[~known] = np.nan
    mask = difference.exposure.masked_image.mask & ~np.int32(int(UNUSABLE_DIFFERENCE))
    mask[~known] = difference.exposure.masked_image.mask[~known] | np.int32(int(MaskPlane.NO_DATA))
    return replace(
        difference.exposure,
        name="score",
        masked_image=MaskedImage(pixels, mask, variance, difference.box),
        psf=PolynomialPsf(response),
        noise_correlation=None,
    )


def covered(good: BoolArray, profile: FloatArray) -> Float32Array:
    """Part of ΣP² around every pixel that lies on good ones; beyond the border none are."""
    squares = cropped(profile, core_half(profile, lost=LOST))[::-1, ::-1] ** 2
    margin = squares.shape[0] // 2
    wide = np.pad(good.astype(np.float32), margin)
    seen = convolution.convolve(wide, squares[None] / squares.sum(), lambda y, x: np.ones((1, y.size, x.size)))
    # sums of a Fourier transform are right to 1e-6
    inner = seen[margin : margin + good.shape[0], margin : margin + good.shape[1]]
    return np.clip(inner, np.float32(0.0), np.float32(1.0))
