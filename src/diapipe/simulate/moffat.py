"""MoffatFieldPsf: an elliptical Moffat with width and shear that vary; the true PSF of a simulated exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError
from diapipe.images import Box, ChebyshevField, Psf
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.simulate import rendering
from diapipe.simulate.smooth_fields import clamped_at, smooth_field


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MoffatFieldPsf(Psf):
    """A Moffat profile, sampled at pixel centres (the pixel's response is part of the profile).

    Attributes
    ----------
    beta
        Index, a multiple of 1/2 above 1.
    fwhm_px
        Geometric mean of the two axes' FWHM, in pixels, over the field.
    g1, g2
        Reduced shear along the x axis and along the diagonal, over the field.
    width
        Side of the kernel image in pixels, odd.
    """

    beta: float
    fwhm_px: ChebyshevField
    g1: ChebyshevField
    g2: ChebyshevField
    width: int = 61

    def __post_init__(self) -> None:
        if self.width % 2 == 0 or not self.beta > 1 or not (2 * self.beta).is_integer():
            raise InputError(
                f"a MoffatFieldPsf needs an odd width and a beta above 1 that is a multiple of 0.5, "
                f"not {self.width} and {self.beta}"
            )

    @classmethod
    def random(
        cls,
        box: Box,
        *,
        beta: float,
        fwhm_px: float,
        fwhm_variation: float,
        ellipticity: float,
        ellipticity_variation: float,
        rng: np.random.Generator,
    ) -> MoffatFieldPsf:
        """Draw a smooth field of widths and shears; ``ellipticity`` has a random direction."""
        angle = rng.uniform(0.0, 2.0 * np.pi)
        return cls(
            beta=beta,
            fwhm_px=smooth_field(box, mean=fwhm_px, rms=fwhm_variation * fwhm_px, rng=rng),
            g1=smooth_field(box, mean=ellipticity * np.cos(angle), rms=ellipticity_variation, rng=rng),
            g2=smooth_field(box, mean=ellipticity * np.sin(angle), rms=ellipticity_variation, rng=rng),
        )

    @property
    def size(self) -> int:
        """Side of the kernel image in pixels."""
        return self.width

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The PSF at a position, centred on the middle pixel, of unit sum."""
        return self._drawn(x=x, y=y, dx=0.0, dy=0.0)

    def image_at(self, *, x: float, y: float) -> FloatArray:
        """The PSF drawn at its exact sub-pixel position around the nearest pixel, of unit sum."""
        return self._drawn(x=x, y=y, dx=x - np.floor(x + 0.5), dy=y - np.floor(y + 0.5))

    def table(self, *, x: FloatArray, y: FloatArray, flux: FloatArray, radius_px: FloatArray) -> FloatArray:
        """Profiles of point sources for `rendering.draw_moffats`; shape (n, 7)."""
        return rendering.profile_table(
            x=x,
            y=y,
            flux=flux,
            fwhm_px=clamped_at(self.fwhm_px, x=x, y=y),
            g1=clamped_at(self.g1, x=x, y=y),
            g2=clamped_at(self.g2, x=x, y=y),
            beta=self.beta,
            radius_px=radius_px,
        )

    def draw(
        self, image: Float32Array, *, x: FloatArray, y: FloatArray, flux: FloatArray, radius_px: FloatArray
    ) -> None:
        """Add point sources to ``image``, whose first pixel is at (0, 0); changes it in place."""
        rendering.draw_moffats(image, self.table(x=x, y=y, flux=flux, radius_px=radius_px), round(2 * self.beta))

    def wing_radius(self, flux: FloatArray, *, x: FloatArray, y: FloatArray, faintest: float) -> FloatArray:
        """Radius to draw each source to: 99.9% of its flux, and down to the surface brightness ``faintest``."""
        fwhm = clamped_at(self.fwhm_px, x=x, y=y)
        return rendering.wing_radius(flux, fwhm_px=fwhm, beta=self.beta, faintest=faintest, outside=1e-3)

    def flux_variance(self, variance: Float32Array, *, x: FloatArray, y: FloatArray) -> FloatArray:
        """Variance of the matched-filter flux of point sources on an image with this variance plane; shape (n,)."""
        radius = np.full(len(x), float(self.width // 2))
        table = self.table(x=x, y=y, flux=np.ones(len(x)), radius_px=radius)
        return 1.0 / rendering.matched_information(variance, table, round(2 * self.beta))

    def _drawn(self, *, x: float, y: float, dx: float, dy: float) -> FloatArray:
        """Stamp of unit sum with the profile of ``(x, y)`` at an offset from the middle."""
        half = self.width // 2
        table = self.table(x=np.array([x]), y=np.array([y]), flux=np.ones(1), radius_px=np.array([2.0 * self.width]))
        _, _, _, xx, xy, yy, _ = table[0]
        offset = np.arange(-half, half + 1)
        u, v = offset[None, :] - dx, offset[:, None] - dy
        stamp = (1.0 + xx * u * u + xy * u * v + yy * v * v) ** -self.beta
        return np.asarray(stamp / stamp.sum(), dtype=np.float64)
