"""Where the template's pixels lie: the map between the grids, the WCS that say so, the misregistration they omit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from diapipe.images import Box, ChebyshevField
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.simulate.smooth_fields import clamped_at, smooth_field
from diapipe.simulate.spec import PairSpec

CENTER_DEG = (150.0, 2.2)
"""Right ascension and declination of the field's centre."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """Science pixels to template pixels.

    Attributes
    ----------
    science_box, template_box
        The two frames.
    jacobian
        ∂(template x, y)/∂(science x, y), shape (2, 2).
    shift
        Template position of the science frame's centre, shape (2,).
    pixel_scale_arcsec
        Of the science image.
    dx, dy
        Misregistration in science pixels: what is added to a position before it is mapped.
    """

    science_box: Box
    template_box: Box
    jacobian: FloatArray
    shift: FloatArray
    pixel_scale_arcsec: float
    dx: ChebyshevField
    dy: ChebyshevField

    @classmethod
    def random(cls, spec: PairSpec, *, rng: np.random.Generator) -> Geometry:
        """The geometry of a spec with a random misregistration."""
        angle = np.deg2rad(spec.template_rotation_deg)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        parity = np.diag([-1.0 if spec.template_flip else 1.0, 1.0])
        box = spec.box
        return cls(
            science_box=box,
            template_box=box,
            jacobian=parity @ rotation / spec.template_scale,
            shift=np.array([box.x_center, box.y_center]) + np.array(spec.template_offset_px),
            pixel_scale_arcsec=spec.pixel_scale_arcsec,
            dx=smooth_field(box, rms=spec.misregistration_px, rng=rng),
            dy=smooth_field(box, rms=spec.misregistration_px, rng=rng),
        )

    def to_template(self, x: FloatArray, y: FloatArray, *, registered: bool = False) -> tuple[FloatArray, FloatArray]:
        """Template positions of science positions; ``registered`` leaves the misregistration out, as the WCS do."""
        if not registered:
            x, y = x + clamped_at(self.dx, x=x, y=y), y + clamped_at(self.dy, x=x, y=y)
        u, v = x - self.science_box.x_center, y - self.science_box.y_center
        (xx, xy), (yx, yy) = self.jacobian
        return self.shift[0] + xx * u + xy * v, self.shift[1] + yx * u + yy * v

    def sky_box(self, margin_px: int) -> Box:
        """Science pixels that hold both frames and a margin: where the sky needs sources."""
        box = self.template_box
        corners = np.array([[x, y] for x in (box.x0, box.x1) for y in (box.y0, box.y1)], dtype=np.float64)
        u, v = np.linalg.solve(self.jacobian, (corners - self.shift).T)
        science = self.science_box
        x, y = u + science.x_center, v + science.y_center
        both = Box(
            min(science.y0, int(np.floor(y.min()))),
            max(science.y1, int(np.ceil(y.max()))),
            min(science.x0, int(np.floor(x.min()))),
            max(science.x1, int(np.ceil(x.max()))),
        )
        return both.dilated(margin_px)

    def nearest_template_pixels(self) -> tuple[IntArray, IntArray]:
        """Row and column of the template's pixel nearest to each science pixel; they may lie outside its frame."""
        rows, columns = np.indices(self.science_box.shape, dtype=np.float64)
        x, y = self.to_template(columns, rows, registered=True)
        return np.rint(y).astype(np.int64), np.rint(x).astype(np.int64)

    def science_wcs(self) -> WCS:
        """TAN, north up, east to the left."""
        center = np.array([self.science_box.x_center, self.science_box.y_center])
        return _tangent_wcs(center, np.diag([-1.0, 1.0]) * self.pixel_scale_arcsec / 3600.0)

    def template_wcs(self) -> WCS:
        """TAN on the same tangent point: the two pixel grids are exactly an affine map apart."""
        science = np.diag([-1.0, 1.0]) * self.pixel_scale_arcsec / 3600.0
        return _tangent_wcs(self.shift, science @ np.linalg.inv(self.jacobian))


def _tangent_wcs(center: FloatArray, degrees_per_pixel: FloatArray) -> WCS:
    """TAN projection whose tangent point lies at a 0-based pixel position."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = CENTER_DEG
    wcs.wcs.crpix = center + 1.0
    wcs.wcs.cd = degrees_per_pixel
    wcs.wcs.set()
    return wcs
