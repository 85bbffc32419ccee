"""bridged: what narrow gaps of an image would show, before images of different seeing are averaged.

Where an image is left out of a mean, the others alone make the pixel. If their seeing is another, a bad column through
a star leaves a stripe of another star in it, of which no PSF tells: of three images of 5, 5 and 7 px FWHM one flux in
twenty. A gap of one or two pixels, between neighbours that know it, is closed to a few hundredths, if the PSF is wide
enough; in an image of two pixels FWHM the cubic misses a third of a star's peak, and the gap stays open.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_opening

from diapipe.images import UNUSABLE, MaskedImage, MaskPlane
from diapipe.numerics.arrays import BoolArray
from diapipe.numerics.holes import fill_holes

_CUBIC_ERRORS = (0.5, 1.5)
"""By what a cubic across one pixel, and across two, is off at the peak of a Gaussian: part of it times σ⁴ in pixels."""

_LARGEST_ERROR = 0.2
"""Of these parts: that of a one-pixel gap at 3.0 px FWHM, and of two at 3.9. In wider PSFs the flux of a star in a mean
of three images, whose seeing scatters by a tenth, is less wrong with the gap closed than with the image left out.
"""

_CLOSED = MaskPlane.BAD | MaskPlane.CR | MaskPlane.NO_DATA
"""What is wrong with pixels that are closed: not SAT, whose neighbours are no better, nor what ends an image."""


def widest_gap(sigma_px: float) -> int:
    """Pixels of the widest gap that is closed in an image of a PSF of this sigma; 0 where none is."""
    return sum(error <= _LARGEST_ERROR * sigma_px**4 for error in _CUBIC_ERRORS)


def bridged(pixels: MaskedImage, *, widest: int, n_threads: int = 1) -> MaskedImage:
    """The image with bad columns, cosmic rays and the like interpolated where they are narrow, with INTRP.

    Parameters
    ----------
    pixels
        Any image; holes are its unusable pixels.
    widest
        Pixels of the widest gap to close, as `widest_gap` tells for its PSF.
    n_threads
        Threads to run at once; the result does not depend on it.

    Returns
    -------
    MaskedImage
        Holes no wider than that along a row or a column have a value, the variance of their neighbours, and INTRP in
        place of what was wrong; all others are as they were.
    """
    if widest == 0:
        return pixels
    hole = ~pixels.usable()
    closed = _narrow(hole, widest) & ((pixels.mask & int(UNUSABLE & ~_CLOSED)) == 0)
    if not closed.any():
        return pixels
    image, variance = fill_holes(pixels.image, pixels.variance, hole, n_threads=n_threads)
    closed &= np.isfinite(image) & (variance > 0) & (variance < np.inf)
    return replace(
        pixels,
        image=np.where(closed, image, pixels.image),
        variance=np.where(closed, variance, pixels.variance),
        mask=np.where(closed, (pixels.mask & ~int(_CLOSED)) | int(MaskPlane.INTRP), pixels.mask).astype(np.int32),
    )


def _narrow(hole: BoolArray, widest: int) -> BoolArray:
    """Pixels of gaps no wider than this along an axis, with an image on both sides."""
    margin = widest + 1
    padded = np.pad(hole, margin, constant_values=True)
    inside = slice(margin, -margin)
    wide = [binary_opening(padded, np.ones(shape, np.bool_)) for shape in ((1, margin), (margin, 1))]
    return np.asarray(hole & ~(wide[0] & wide[1])[inside, inside])
