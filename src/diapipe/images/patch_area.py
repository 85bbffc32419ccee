"""PatchArea: the sky around a patch in which objects can lie that belong to it, and which of them do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images.sky import pixel_scale_deg, pixels_of_icrs
from diapipe.images.sky_map import SkyMap
from diapipe.numerics.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchArea:
    """A patch of a tract, for what has positions on the sky.

    Attributes
    ----------
    sky_map
        How the sky is cut.
    tract, patch
        Number of the tract, and of the patch in it.
    margin_arcsec
        How far beyond the inner box of the patch something still counts as near.
    """

    sky_map: SkyMap
    tract: int
    patch: int
    margin_arcsec: float

    def is_near(self, *, ra: FloatArray, dec: FloatArray) -> BoolArray:
        """Whether positions lie in the inner box of the patch or within the margin around it; shape of ``ra``."""
        tract = self.sky_map.tract(self.tract)
        inner = tract.patch(self.patch).inner
        margin = self.margin_arcsec / (3600.0 * pixel_scale_deg(tract.wcs))
        x, y = pixels_of_icrs(tract.wcs, ra, dec)
        across = (x >= inner.x0 - 0.5 - margin) & (x < inner.x1 - 0.5 + margin)
        return np.asarray(across & (y >= inner.y0 - 0.5 - margin) & (y < inner.y1 - 0.5 + margin))

    def owns(self, *, ra: FloatArray, dec: FloatArray) -> BoolArray:
        """Whether positions lie in the inner box of the patch and the tract is in charge of them: of one patch each."""
        tracts, patches = self.sky_map.find_patches(ra_deg=ra, dec_deg=dec)
        return np.asarray((tracts == self.tract) & (patches == self.patch))
