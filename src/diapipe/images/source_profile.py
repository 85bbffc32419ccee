"""What a source of unit flux looks like on an image: a point, or a point that moved along a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from diapipe.images.box import Box
from diapipe.images.mask import UNUSABLE_DIFFERENCE
from diapipe.images.masked_image import MaskedImage
from diapipe.images.psf import Psf
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.whitening import noise_gain

_STEPS_PER_FWHM = 4
"""Points drawn along a trail for each FWHM: their sum is as smooth as the trail to 1e-6 of its peak."""


class SourceProfile(NamedTuple):
    """Pixels of a source of unit flux.

    Attributes
    ----------
    box
        Where they lie in parent coordinates.
    values
        Shape ``box.shape``, of unit sum but for what the PSF leaves out.
    """

    box: Box
    values: FloatArray

    def within(self, box: Box) -> SourceProfile | None:
        """The part that lies in a box; None where there is none."""
        there = self.box.intersect(box)
        return None if there is None else SourceProfile(there, self.values[there.slices_in(self.box)])


def source_profile(psf: Psf, *, x: float, y: float, length: float = 0.0, angle_deg: float = 0.0) -> SourceProfile:
    """A source whose middle is at ``(x, y)``; a trail of ``length`` pixels is equally bright from end to end.

    Parameters
    ----------
    psf
        Of the image; taken at the middle.
    x, y
        Parent pixel coordinates.
    length, angle_deg
        Of the path, and its direction from x towards y.

    Raises
    ------
    PsfUndefinedError
        If the PSF is not defined there.
    """
    if not length:
        return SourceProfile(Box.around(x=x, y=y, half=psf.size // 2), psf.image_at(x=x, y=y))
    n = 1 + int(np.ceil(_STEPS_PER_FWHM * length / psf.fwhm_at(x=x, y=y)))
    along = length * ((np.arange(n) + 0.5) / n - 0.5)
    turn = np.radians(angle_deg)
    places = [(x + step * np.cos(turn), y + step * np.sin(turn)) for step in along]
    reach = psf.size // 2 + int(np.ceil(0.5 * length)) + 1
    box = Box.around(x=x, y=y, half=reach)
    values = np.zeros(box.shape)
    for at_x, at_y in places:
        stamp = Box.around(x=at_x, y=at_y, half=psf.size // 2)
        values[stamp.slices_in(box)] += psf.image_at(x=at_x, y=at_y) / n
    return SourceProfile(box, values)


def source_profiles(psf: Psf, sources: Table) -> list[SourceProfile]:
    """Those of a table: ``x``, ``y``, and ``trail_length``, ``trail_angle`` (pixels, degrees) where something moved."""
    still = np.zeros(len(sources))
    length, angle = (
        np.asarray(sources[name], dtype=np.float64) if name in sources.colnames else still
        for name in ("trail_length", "trail_angle")
    )
    rows = zip(np.asarray(sources["x"]), np.asarray(sources["y"]), length, angle, strict=True)
    return [source_profile(psf, x=float(x), y=float(y), length=float(n), angle_deg=float(a)) for x, y, n, a in rows]


def static_light(
    planes: MaskedImage, profiles: Sequence[SourceProfile], *, correlation: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """What an image has at places already, and how well a faint source there can be measured.

    Parameters
    ----------
    planes
        The image.
    profiles
        Of sources of unit flux.
    correlation
        Autocorrelation of the noise; None for white noise.

    Returns
    -------
    light
        ΣPI / ΣP² over usable pixels, shape (n,); NaN where there is none.
    error
        √(G / Σ(P²/V)), of the flux of a source that adds no noise of its own, with G what the correlation makes of the
        noise of such a fit, 1 where it is white; infinite where there is no usable pixel.
    """
    light, error = np.full(len(profiles), np.nan), np.full(len(profiles), np.inf)
    for i, whole in enumerate(profiles):
        part = whole.within(planes.box)
        if part is None:
            continue
        cut = planes[part.box]
        good = cut.usable(UNUSABLE_DIFFERENCE)
        if not good.any():
            continue
        values = part.values[good]
        light[i] = (values * cut.image[good]).sum() / (values**2).sum()
        error[i] = np.sqrt(noise_gain(whole.values, correlation) / (values**2 / cut.variance[good]).sum())
    return light, error


def surface_light(planes: MaskedImage, x: FloatArray, y: FloatArray) -> FloatArray:
    """Mean of the usable pixels next to places, shape (n,): the light of one pixel there; NaN where there is none."""
    found = np.full(len(x), np.nan)
    for i in range(len(x)):
        core = Box.around(x=float(x[i]), y=float(y[i]), half=1).intersect(planes.box)
        good = None if core is None else planes[core].usable(UNUSABLE_DIFFERENCE)
        if core is not None and good is not None and good.any():
            found[i] = planes[core].image[good].mean(dtype=np.float64)
    return found
