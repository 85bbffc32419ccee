"""A pair of small images with everything known: stars, changes of both signs, and whatever else is put on the science
image.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from diapipe.images import Box, Exposure, ObservationInfo
from diapipe.numerics.arrays import FloatArray
from gaussian_sky import drawn, exposure, moved_to

SIDE = 400
NOISE, TEMPLATE_NOISE = 1.0, 0.25
SIGMA, TEMPLATE_SIGMA = 2.0, 1.6
FLUX_ERROR = float(np.sqrt(4.0 * np.pi * (NOISE**2 + TEMPLATE_NOISE**2)) * SIGMA)
"""Of a PSF flux on the difference, nearly: the noise of the template is small."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """What is on the sky, and what comes on top of the science image; positions in array coordinates.

    Attributes
    ----------
    changes
        Rows x, y, flux: positive ones on the science image, negative ones on the template.
    extra
        Added to the science image.
    box
        Where both images lie in parent coordinates.
    """

    changes: FloatArray
    extra: FloatArray | float = 0.0
    box: Box = field(default_factory=lambda: Box.from_shape((SIDE, SIDE)))
    n_stars: int = 60

    def images(self, rng: np.random.Generator) -> tuple[Exposure, Exposure]:
        """Science and template with the true PSFs and variances."""
        side = int(np.ceil(np.sqrt(self.n_stars)))
        at = (np.arange(side) + 0.5) * SIDE / side
        x, y = (v.ravel()[: self.n_stars] + rng.uniform(-4, 4, self.n_stars) for v in np.meshgrid(at, at))
        flux = rng.permutation(np.geomspace(1000.0, 20000.0, self.n_stars))
        appeared, vanished = self.changes[self.changes[:, 2] > 0], self.changes[self.changes[:, 2] < 0]
        light = self._light(x, y, flux, appeared, SIGMA) + self.extra
        before = self._light(x, y, flux, vanished * [1, 1, -1], TEMPLATE_SIGMA)
        science = exposure("science", light, NOISE, SIGMA, rng)
        template = exposure("template", before, TEMPLATE_NOISE, TEMPLATE_SIGMA, rng)
        where = {"x0": self.box.x0, "y0": self.box.y0}
        return moved_to(_observed(science), **where), moved_to(template, **where)

    def _light(self, x: FloatArray, y: FloatArray, flux: FloatArray, more: FloatArray, sigma: float) -> FloatArray:
        """Stars and changes on a flat sky."""
        stars = drawn((SIDE, SIDE), x, y, flux, sigma=sigma)
        return stars + drawn((SIDE, SIDE), *more.T, sigma=sigma) + 100.0


def _observed(image: Exposure) -> Exposure:
    """The same with a visit and a detector."""
    return replace(image, info=ObservationInfo(visit=4321, detector=12, band="r"))


def changes_on_a_grid(rng: np.random.Generator, n: int, *, low: float, high: float) -> FloatArray:
    """Changes of both signs in turn, between the stars' rows and columns; shape (n, 3)."""
    side = int(np.ceil(np.sqrt(n)))
    at = 25.0 * np.round(np.linspace(2, 14, side))
    x, y = (v.ravel()[:n] + rng.uniform(-0.5, 0.5, n) for v in np.meshgrid(at, at))
    return np.stack([x, y, rng.uniform(low, high, n) * (-1.0) ** np.arange(n)], axis=1)
