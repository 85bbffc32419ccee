"""Two images of one sky with Gaussian PSFs, drawn with NumPy alone: what a match and a subtraction must give is
known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane
from diapipe.numerics.arrays import FloatArray

STAMP = 41
SATURATION = 30_000.0


@dataclass(frozen=True, kw_only=True)
class Sky:
    """Stars and what else is asked for; counts are those of the science image.

    Attributes
    ----------
    sigma_science, sigma_template
        Gaussian PSFs in pixels.
    noise_science, noise_template
        Sigma of a pixel, white.
    template_scale
        Template counts for one of science.
    background
        Science above template.
    jitter_px
        How far stars may stand from a regular grid; a large value makes it a sky without a pattern.
    """

    sigma_science: float = 1.9
    sigma_template: float = 1.4
    noise_science: float = 10.0
    noise_template: float = 5.0
    template_scale: float = 1.0
    background: float = 0.0
    shape: tuple[int, int] = (300, 340)
    n_stars: int = 60
    brightest: float = 2e5
    faintest: float = 5e3
    jitter_px: float = 3.0

    def stars(self, rng: np.random.Generator, *, grid: bool = True) -> StarList:
        """Stars on a jittered grid (so that they are isolated), or anywhere; brightest first."""
        height, width = self.shape
        if grid:
            n_x = int(np.ceil(np.sqrt(self.n_stars * width / height)))
            n_y = int(np.ceil(self.n_stars / n_x))
            x, y = np.meshgrid((np.arange(n_x) + 0.5) * width / n_x, (np.arange(n_y) + 0.5) * height / n_y)
            x, y = x.ravel()[: self.n_stars], y.ravel()[: self.n_stars]
            j = self.jitter_px
            x, y = x + rng.uniform(-j, j, x.shape), y + rng.uniform(-j, j, y.shape)
        else:
            x, y = rng.uniform(5, width - 6, self.n_stars), rng.uniform(5, height - 6, self.n_stars)
        flux = np.geomspace(self.brightest, self.faintest, self.n_stars)
        x, y = rng.permutation(np.stack([x, y], axis=1)).T
        return star_list(x, y, flux, noise=self.noise_science, sigma=self.sigma_science)

    def exposures(self, rng: np.random.Generator, stars: StarList) -> tuple[Exposure, Exposure]:
        """Science and template with PSF, variance and mask; neither is saturated."""
        science = drawn(self.shape, stars.x, stars.y, stars.flux, sigma=self.sigma_science) + self.background
        template = self.template_scale * drawn(self.shape, stars.x, stars.y, stars.flux, sigma=self.sigma_template)
        return (
            exposure("science", science, self.noise_science, self.sigma_science, rng),
            exposure("template", template, self.noise_template * self.template_scale, self.sigma_template, rng),
        )


def star_list(x: FloatArray, y: FloatArray, flux: FloatArray, *, noise: float, sigma: float) -> StarList:
    """Isolated, unsaturated stars with the errors that their PSF fits have."""
    n = len(x)
    error = np.full(n, noise * np.sqrt(4.0 * np.pi) * sigma)
    return StarList(
        x=np.asarray(x, np.float64),
        y=np.asarray(y, np.float64),
        flux=np.asarray(flux, np.float64),
        flux_err=error,
        peak=flux / (2.0 * np.pi * sigma**2),
        is_star=np.ones(n, bool),
        is_saturated=np.zeros(n, bool),
        is_isolated=np.ones(n, bool),
    )


def drawn(shape: tuple[int, int], x: FloatArray, y: FloatArray, flux: FloatArray, *, sigma: float) -> FloatArray:
    """Gaussians at pixel positions; those that stick out are cut."""
    image, psf, frame = np.zeros(shape), GaussianPsf(sigma, STAMP), Box.from_shape(shape)
    for at_x, at_y, value in zip(x, y, flux, strict=True):
        stamp = Box.around(x=at_x, y=at_y, half=STAMP // 2)
        inside = stamp.intersect(frame)
        if inside is not None:
            image[inside.slices_in(frame)] += value * psf.image_at(x=at_x, y=at_y)[inside.slices_in(stamp)]
    return image


def exposure(name: str, light: FloatArray, noise: float, sigma: float, rng: np.random.Generator) -> Exposure:
    """Light plus white noise, with the PSF and the variance that are true."""
    pixels = light + rng.normal(0.0, noise, light.shape)
    return Exposure(
        name=name,
        masked_image=MaskedImage.from_planes(pixels, variance=float(noise) ** 2),
        psf=GaussianPsf(sigma, STAMP),
    )


def with_planes(exposure: Exposure, /, **planes: Any) -> Exposure:
    """The exposure with some planes of its masked image exchanged."""
    return replace(exposure, masked_image=replace(exposure.masked_image, **planes))


def moved_to(image: Exposure, *, x0: int, y0: int) -> Exposure:
    """The same pixels as a part of a larger image."""
    return with_planes(image, box=Box.from_shape(image.masked_image.shape, x0=x0, y0=y0))


def masked(image: Exposure, rows: slice, columns: slice, plane: MaskPlane, value: float = np.nan) -> Exposure:
    """The exposure with a plane set, and the pixels under it replaced."""
    pixels, mask = image.masked_image.image.copy(), image.masked_image.mask.copy()
    pixels[rows, columns] = value
    mask[rows, columns] |= int(plane)
    return with_planes(image, image=pixels, mask=mask)


def width_squared(kernel: FloatArray) -> float:
    """Second moment of a kernel image about the middle pixel, the mean of both axes, in squared pixels."""
    offset = np.arange(len(kernel)) - len(kernel) // 2
    return float((kernel * (offset**2 + offset[:, None] ** 2)).sum() / (2.0 * kernel.sum()))
