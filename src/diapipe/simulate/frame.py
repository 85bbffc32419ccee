"""Frame: one image while it is made, before it is read out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import Float32Array
from diapipe.simulate.detector import Camera
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.population import Points

FAINTEST_WING = 0.02
"""Wings are drawn out to this share of the sky noise of a pixel."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image while it is made: optics, detector, and the electrons that its sources are expected to leave."""

    psf: MoffatFieldPsf
    camera: Camera
    light: Float32Array

    def draw(self, points: Points) -> None:
        """Add sources, given in this frame's pixels and in science counts."""
        scale = self.camera.electrons_per_science_count
        faintest = FAINTEST_WING * self.camera.sky_sigma_electrons / scale
        radius = self.psf.wing_radius(points.wing_flux, x=points.x, y=points.y, faintest=faintest)
        self.psf.draw(self.light, x=points.x, y=points.y, flux=points.flux * scale, radius_px=radius)

    def variance_science_counts(self) -> Float32Array:
        """Variance of a pixel in squared science counts before any pixel overflows."""
        camera = self.camera
        scale = (camera.electrons_per_count / camera.electrons_per_science_count) ** 2
        return camera.variance_counts(self.light + np.float32(camera.sky_electrons)) * np.float32(scale)
