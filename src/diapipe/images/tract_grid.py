"""TractGrid: the pixels and patches that all tracts of a sky map have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diapipe.errors import UsageError
from diapipe.images.box import Box
from diapipe.images.sky_regions import SkyRegion
from diapipe.images.tracts import Tract, tan_wcs

MAX_HALF_SIDE_DEG = 60.0
"""A tangent plane farther from its middle is mostly distortion: there a pixel is a quarter of what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TractGrid:
    """Pixel scale and patches; the defaults are those of LSST's map of DC2.

    Attributes
    ----------
    pixel_scale_arcsec
        Side of a pixel in the middle of a tract.
    patch_size_px, patch_border_px
        Side of a patch's inner box, and by how much the outer one reaches beyond.

    Raises
    ------
    UsageError
        If a number can mean nothing.
    """

    pixel_scale_arcsec: float = 0.2
    patch_size_px: int = 4000
    patch_border_px: int = 100

    def __post_init__(self) -> None:
        if not (0 < self.pixel_scale_arcsec < math.inf and self.patch_size_px >= 1 and self.patch_border_px >= 0):
            raise UsageError(
                f"a sky map needs a positive pixel scale, patches of 1 px or more and a border of 0 or more, not "
                f"{self.pixel_scale_arcsec:g} arcsec, {self.patch_size_px} px and {self.patch_border_px} px"
            )

    def tract(
        self,
        id: int,
        *,
        ra_deg: float,
        dec_deg: float,
        half_width_deg: float,
        half_height_deg: float,
        inner_region: SkyRegion | None = None,
    ) -> Tract:
        """The tract of whole patches that touches the sky at a position and reaches that far from it.

        Notes
        -----
        As LSST's maps have it, for pixels equal to theirs: the position is the middle of a pixel, the pixels that
        are wanted lie symmetrically about it, and what they lack to whole patches is added in equal parts below and
        above, the odd pixel above.
        """
        (columns, x), (rows, y) = self._span(half_width_deg), self._span(half_height_deg)
        return Tract(
            id=id,
            wcs=tan_wcs(ra_deg=ra_deg, dec_deg=dec_deg, pixel_scale_arcsec=self.pixel_scale_arcsec, x=x, y=y),
            box=Box.from_shape((rows * self.patch_size_px, columns * self.patch_size_px)),
            patch_size_px=self.patch_size_px,
            patch_border_px=self.patch_border_px,
            inner_region=inner_region,
        )

    def half_px(self, half_side_deg: float) -> int:
        """Pixels on either side of the middle one that are needed to reach that far."""
        if not 0 < half_side_deg <= MAX_HALF_SIDE_DEG:
            raise UsageError(
                f"a tangent plane reaches up to {MAX_HALF_SIDE_DEG:g} degrees from its middle, not {half_side_deg:g}"
            )
        scale = math.radians(self.pixel_scale_arcsec / 3600.0)
        return max(0, math.ceil(math.tan(math.radians(half_side_deg)) / scale - 0.5))

    def _span(self, half_side_deg: float) -> tuple[int, int]:
        """Number of patches along an axis, and the pixel on it at which the plane touches the sky."""
        half = self.half_px(half_side_deg)
        wanted = 2 * half + 1
        n = -(-wanted // self.patch_size_px)
        return n, half + (n * self.patch_size_px - wanted) // 2
