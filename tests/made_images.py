"""The images of the acceptance bars (SPEC N): 20 Gaussian stars of flux 500 to 1000 on 256 x 256 pixels of noise.

PSF sigma 2.0 px (good), 2.4 (middle) or 2.8 (bad). The original's variance plane adds the root of a flux to a square of
a noise; here it is what the noise has, so that a bar on the variance plane is one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.flow import score_image
from diapipe.images import Difference, Exposure, MaskPlane
from diapipe.numerics.arrays import FloatArray
from diapipe.recipe import Recipe
from diapipe.steps.decorrelate import AbstractDecorrelator, Afterburner, decorrelate
from diapipe.steps.match import AlardLupton, Match, match
from diapipe.steps.subtract import subtract
from gaussian_sky import drawn, exposure, star_list, with_planes

GOOD, MIDDLE, BAD = 2.0, 2.4, 2.8
SIDE = 256
SKY_SEED, N_STARS = 5, 20
WHITENS = Afterburner()


def made_stars(
    *, n: int = N_STARS, seed: int = SKY_SEED, side: int = SIDE, flux: tuple[float, float] = (500.0, 1000.0)
):
    """Positions and fluxes: the same sky for one seed."""
    rng = np.random.default_rng(seed)
    return rng.uniform(12, side - 13, n), rng.uniform(12, side - 13, n), rng.uniform(*flux, n)


def made_image(
    *,
    sigma: float = MIDDLE,
    noise: float = 1.0,
    seed: int,
    stars: tuple[FloatArray, FloatArray, FloatArray] | None = None,
    name: str = "science",
    side: int = SIDE,
    light: FloatArray | float = 0.0,
) -> Exposure:
    """One image with its PSF and variance, stars DETECTED as far as they can be seen; ``light`` is added to it."""
    x, y, flux = made_stars(side=side) if stars is None else stars
    sky = drawn((side, side), x, y, flux, sigma=sigma)
    made = exposure(name, sky + light, noise, sigma, np.random.default_rng(seed))
    return with_planes(made, mask=np.where(sky > 0.3 * noise, np.int32(int(MaskPlane.DETECTED)), np.int32(0)))


def made_pair(
    *,
    science: float = MIDDLE,
    template: float = MIDDLE,
    noise: tuple[float, float] = (1.0, 1.0),
    seed: int = 6,
    light: FloatArray | float = 0.0,
    stars: tuple[FloatArray, FloatArray, FloatArray] | None = None,
) -> tuple[Exposure, Exposure, StarList]:
    """Science image (with ``light``), template, and the stars that the kernel is fitted to."""
    made = made_stars() if stars is None else stars
    images = (
        made_image(sigma=science, noise=noise[0], seed=seed, stars=made, light=light),
        made_image(sigma=template, noise=noise[1], seed=seed + 1, stars=made, name="template"),
    )
    return *images, star_list(*made, noise=noise[0], sigma=science)


def made_difference(
    science: Exposure,
    template: Exposure,
    stars: StarList,
    *,
    convolve: str = "auto",
    decorrelator: AbstractDecorrelator | None = WHITENS,
) -> tuple[Difference, Match]:
    """Matched, subtracted, whitened; and the match."""
    found = match(science, template, stars, algorithm=AlardLupton(convolve=convolve))  # type: ignore[arg-type]
    convolved, other = (template, science) if found.convolved == "template" else (science, template)
    whitening = None if decorrelator is None else decorrelate(convolved, other, found.kernel, algorithm=decorrelator)
    difference = subtract(
        science,
        template,
        found.kernel,
        found.background,
        convolved=found.convolved,
        whitening=whitening,
        relative_error=found.relative_error,
    )
    return difference, found


def made_score(science: Exposure, template: Exposure, stars: StarList, recipe: Recipe | None = None) -> Exposure:
    """The score image of the pair."""
    difference, found = made_difference(science, template, stars)
    return score_image(science, template, stars, found, difference, recipe or Recipe())


def with_variance(image: Exposure, factor: float) -> Exposure:
    """The exposure with its variance multiplied."""
    planes = image.masked_image
    return replace(image, masked_image=replace(planes, variance=planes.variance * np.float32(factor)))
