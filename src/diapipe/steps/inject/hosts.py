"""Where transients are in galaxies: as often as there is light."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from diapipe.images import Box, MaskedImage
from diapipe.numerics.arrays import FloatArray

REACH_FWHM = 4.0
"""Half-width of the cut-out in which a galaxy's light is looked at."""
_LIGHT_SIGMA = 2.0
"""Pixels fainter than this above the sky are not taken for the galaxy's."""
_TOUCHING = np.ones((3, 3))
"""Pixels that touch at a corner hang together."""


def on_light(
    planes: MaskedImage, *, x: FloatArray, y: FloatArray, fwhm: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """A place in each galaxy, drawn with the probability of its light.

    The light is that of the image, as its PSF has it: of the pixels that hang together with the middle above twice the
    noise, without what a neighbour has there. Where the middle itself is fainter the place is the middle.

    Parameters
    ----------
    planes
        Its sky subtracted.
    x, y
        Middles of galaxies, parent pixels, shape (n,).
    fwhm
        Of the PSF, pixels.
    rng
        Of the places.

    Returns
    -------
    tuple
        Two arrays of shape (n,): anywhere within the pixels that were drawn.
    """
    half = int(np.ceil(REACH_FWHM * fwhm))
    places = [_place(planes, float(at_x), float(at_y), half, rng) for at_x, at_y in zip(x, y, strict=True)]
    found: FloatArray = np.array(places, dtype=np.float64).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def _place(planes: MaskedImage, x: float, y: float, half: int, rng: np.random.Generator) -> tuple[float, float]:
    """One place; as many numbers are drawn for every galaxy, so that one without light moves no other."""
    drawn = rng.uniform(size=3)
    box = Box.around(x=x, y=y, half=half)
    light = _own_light(planes, box)
    islands, _ = ndimage.label(light > 0, structure=_TOUCHING)
    if not islands[half, half]:
        return x, y
    rows, columns = np.nonzero(islands == islands[half, half])
    total = np.cumsum(light[rows, columns])
    at = int(np.searchsorted(total, drawn[0] * total[-1]))
    return box.x0 + columns[at] - 0.5 + float(drawn[1]), box.y0 + rows[at] - 0.5 + float(drawn[2])


def _own_light(planes: MaskedImage, box: Box) -> FloatArray:
    """Light in a box around a galaxy, 0 where it is fainter than twice the noise.

    It is the lesser of each pixel and its mirror image about the middle, so that a neighbour on one side has no part
    (the symmetry by which SDSS deblends).
    """
    light, bright = np.full(box.shape, np.nan), np.zeros(box.shape, np.bool_)
    inside = box.intersect(planes.box)
    if inside is not None:
        cut, at = planes[inside], inside.slices_in(box)
        good = cut.usable() & (cut.variance > 0)
        light[at] = np.where(good, cut.image, np.nan)
        bright[at] = good & (cut.image > _LIGHT_SIGMA * np.sqrt(np.where(good, cut.variance, 1.0)))
    own = np.fmin(light, light[::-1, ::-1])
    return np.where(bright, np.maximum(own, 0.0), 0.0)
