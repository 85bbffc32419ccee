"""Visits of one small field: dithered, turned, in different seeing, warped on to a patch, and what is put into them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, ObservationInfo, PhotoCalib
from diapipe.images.sky import sky_of
from diapipe.steps.coadd import CoaddInput, VisitDetector, coadd, warp_visit
from tract_scenes import light, tan_wcs

SCALE = 0.2
SIDE = 300
PATCH = Box.from_shape((SIDE, SIDE), x0=1000, y0=400)
WCS_OF_PATCH = tan_wcs(ra=150.0, dec=2.0, scale=SCALE, rotation=0.0, center=(PATCH.x_center, PATCH.y_center))
SEEING_ARCSEC = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2)
NOISE = 30.0
GAIN = 2.0


@dataclass(frozen=True)
class Field:
    """Stars on the patch: positions in its pixels, fluxes in nJy."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray

    @property
    def on_sky(self):
        """What `light` wants."""
        return (*sky_of(WCS_OF_PATCH, self.x, self.y), self.flux)


def stars(rng, *, n=6, log_flux=(4.0, 5.5)):
    """A jittered grid of n by n."""
    at = (np.arange(n) + 0.5) * SIDE / n
    x, y = (grid.ravel() + rng.uniform(-6, 6, n * n) for grid in np.meshgrid(at, at))
    return Field(x + PATCH.x0, y + PATCH.y0, 10 ** rng.uniform(*log_flux, n * n))


NO_STARS = Field(*np.zeros((3, 0)))


def sigma_of(visit):
    """Width of the PSF of a visit in pixels."""
    return SEEING_ARCSEC[visit % len(SEEING_ARCSEC)] / SCALE / 2.3548


def wcs_of(visit, *, margin=30):
    """Turned by up to some degrees and moved by parts of pixels and some pixels."""
    middle = SIDE / 2 + margin
    rng = np.random.default_rng([77, visit])
    return tan_wcs(
        ra=150.0, dec=2.0, scale=SCALE, rotation=rng.uniform(-4, 4), center=tuple(middle + rng.uniform(-9, 9, 2))
    )


def visit_of(visit, field, *, rng=None, noise=NOISE, more=None, margin=30, sigma=None, scale=1.0):
    """The exposure of a visit: stars, what ``more(wcs, box, sigma)`` adds, noise of sky and light if there is an rng.

    ``scale`` is nJy per count.
    """
    wcs, box, sigma = wcs_of(visit, margin=margin), Box.from_shape((SIDE + 2 * margin,) * 2), sigma or sigma_of(visit)
    image = light(wcs, field.on_sky, box, sigma=sigma)
    if more is not None:
        image = image + more(wcs, box, sigma)
    variance = noise**2 + np.maximum(image, 0) / GAIN
    if rng is not None:
        image = image + rng.normal(0, 1, box.shape) * np.sqrt(variance)
    planes = MaskedImage.from_planes(image / scale, variance=variance / scale**2, box=box)
    return Exposure(
        name=f"visit {visit}",
        masked_image=planes,
        wcs=wcs,
        psf=GaussianPsf(sigma, 25),
        photo_calib=PhotoCalib(scale),
        info=ObservationInfo(visit=visit, band="r", mjd_midpoint=60000.0 + visit, exposure_time_s=30.0),
    )


def warped(exposure, box=PATCH):
    """On the patch."""
    return warp_visit([VisitDetector.whole(exposure)], box=box, wcs=WCS_OF_PATCH, name=exposure.name)


def stacked(warps, algorithm, **options):
    """The coadd of warps."""
    return coadd([CoaddInput.whole(w) for w in warps], box=PATCH, wcs=WCS_OF_PATCH, algorithm=algorithm, **options)


def masked(exposure, where, plane):
    """The exposure with a plane set."""
    pixels = exposure.masked_image
    return replace(exposure, masked_image=replace(pixels, mask=np.where(where, pixels.mask | int(plane), pixels.mask)))


def point(x, y, flux):
    """Something that is to be added to a visit: a point source at a position of the patch."""

    def more(wcs, box, sigma):
        ra, dec = sky_of(WCS_OF_PATCH, np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float)))
        return light(wcs, (ra, dec, np.atleast_1d(np.asarray(flux, float))), box, sigma=sigma)

    return more


def trail(*, height, slope=0.4, start=90.0):
    """A satellite across the whole visit, as wide as the seeing."""

    def more(wcs, box, sigma):
        y, x = np.mgrid[: box.height, : box.width]
        return height * np.exp(-0.5 * ((y - slope * x - start) / np.hypot(1, slope) / sigma) ** 2)

    return more


def rays(rng, *, n=25, height=(600.0, 6000.0)):
    """Cosmic rays and hot pixels that nobody has flagged: 1 to 6 pixels."""

    def more(wcs, box, sigma):
        image = np.zeros(box.shape)
        for y, x in rng.integers(60, box.height - 60, (n, 2)):
            for k in range(rng.integers(1, 7)):
                image[y + k // 2, x + k] += rng.uniform(*height)
        return image

    return more


def all_of(*parts):
    """Several things at once."""
    return lambda wcs, box, sigma: sum(part(wcs, box, sigma) for part in parts)
