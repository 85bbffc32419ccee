"""What a source of unit flux looks like on an image: a point, or a point that moved along a line."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.images import Box, Psf
from diapipe.numerics.arrays import FloatArray

_STEPS_PER_FWHM = 4
"""Points drawn along a trail for each FWHM: their sum is as smooth as the trail to 1e-6 of its peak."""


class Profile(NamedTuple):
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

    def within(self, box: Box) -> Profile | None:
        """The part that lies in a box; None where there is none."""
        there = self.box.intersect(box)
        return None if there is None else Profile(there, self.values[there.slices_in(self.box)])


def profile(psf: Psf, *, x: float, y: float, length: float = 0.0, angle_deg: float = 0.0) -> Profile:
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
        return Profile(Box.around(x=x, y=y, half=psf.size // 2), psf.image_at(x=x, y=y))
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
    return Profile(box, values)
