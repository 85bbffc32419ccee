"""Where fluxes are wanted, what a point looks like there, and which places are fitted together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, Exposure, Psf
from diapipe.images.photometry import stamp_half
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.joint_fluxes import Around
from diapipe.numerics.pairs import all_pairs
from diapipe.steps.force.options import Force

FAR_PX = 1e6
"""A place farther off than this, in array coordinates, is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Positions on an image.

    Attributes
    ----------
    x, y
        Array coordinates, shape (n,); NaN for a place that is none, or hopelessly far off.
    parent_x, parent_y
        The same in parent coordinates.
    lattice
        The PSF around them.
    fwhm, half
        Typical FWHM of the PSF, and half-width of the stamps, in pixels.
    around
        Which are fitted with which.
    """

    x: FloatArray
    y: FloatArray
    parent_x: FloatArray
    parent_y: FloatArray
    lattice: PsfLattice
    fwhm: float
    half: int
    around: Around

    @classmethod
    def on(cls, exposure: Exposure, planes: Planes, *, x: FloatArray, y: FloatArray, options: Force) -> Places:
        """Places given in parent coordinates."""
        assert exposure.psf is not None
        box = planes.box
        lattice = PsfLattice.around(exposure.psf, x=x, y=y, box=box)
        fwhm = _fwhm_of(exposure.psf, lattice, box)
        half = stamp_half(exposure.psf.size, fwhm, options.stamp_fwhm)
        u, v = _near(x - box.x0), _near(y - box.y0)
        around = _around(u, v, nearest=options.same_fwhm * fwhm, farthest=options.together_fwhm * fwhm)
        return cls(u, v, x, y, lattice, fwhm, half, around)

    def __len__(self) -> int:
        return len(self.x)


def _near(position: FloatArray) -> FloatArray:
    """Array coordinates, NaN for those so far off that their squares have no number."""
    return np.where(np.abs(position) < FAR_PX, position, np.nan)


def _fwhm_of(psf: Psf, lattice: PsfLattice, box: Box) -> float:
    """FWHM in the middle of the image, whichever places are asked for; without a PSF there, that around the places."""
    try:
        return psf.fwhm_at(x=box.x_center, y=box.y_center)
    except PsfUndefinedError:
        return lattice.typical_fwhm


def _around(x: FloatArray, y: FloatArray, *, nearest: float, farthest: float) -> Around:
    """Pairs of places whose distance lies between two limits."""
    points = np.stack([x, y], axis=1)
    pairs = all_pairs(points, points, radius=farthest)
    pairs = pairs.select((pairs.first != pairs.second) & (pairs.distance >= nearest))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pairs.first, minlength=len(x)))]).astype(np.int64)
    return Around(offsets, pairs.second)
