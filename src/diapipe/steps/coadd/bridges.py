"""bridged: what narrow gaps of an image would show, before images of different seeing are averaged.

Where an image is left out of a mean, the others alone make the pixel. If their seeing is another, a bad column through
a star leaves a stripe of another star in it, of which no PSF tells: of three images of 5, 5 and 7 px FWHM one flux in
twenty. A gap of one or two pixels, between neighbours that know it, is closed to a few hundredths.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_opening

from diapipe.images import UNUSABLE, MaskedImage, MaskPlane
from diapipe.numerics.arrays import BoolArray
from diapipe.numerics.holes import fill_holes

WIDEST_PX = 2
"""Of a gap that is closed."""

_CLOSED = MaskPlane.BAD | MaskPlane.CR | MaskPlane.NO_DATA
"""What is wrong with pixels that are closed: not SAT, whose neighbours are no better, nor what ends an image."""


def bridged(pixels: MaskedImage, *, n_threads: int = 1) -> MaskedImage:
    """The image with bad columns, cosmic rays and the like interpolated where they are narrow, with INTRP.

    Parameters
    ----------
    pixels
        Any image; holes are its unusable pixels.
    n_threads
        Threads to run at once; the result does not depend on it.

    Returns
    -------
    MaskedImage
        Holes no wider than `WIDEST_PX` along a row or a column have a value, the variance of their neighbours, and
        INTRP in place of what was wrong; all others are as they were.
    """
    hole = ~pixels.usable()
    closed = _narrow(hole) & ((pixels.mask & int(UNUSABLE & ~_CLOSED)) == 0)
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


def _narrow(hole: BoolArray) -> BoolArray:
    """Pixels of gaps no wider than `WIDEST_PX` along an axis, with an image on both sides."""
    margin = WIDEST_PX + 1
    padded = np.pad(hole, margin, constant_values=True)
    inside = slice(margin, -margin)
    wide = [binary_opening(padded, np.ones(shape, np.bool_)) for shape in ((1, margin), (margin, 1))]
    return np.asarray(hole & ~(wide[0] & wide[1])[inside, inside])
