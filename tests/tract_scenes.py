"""Two tracts of a small sky map with a common strip, coadds of their patches, and an exposure that lies across."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from astropy.wcs import WCS

from diapipe.images import Box, CoaddPatch, Exposure, GaussianPsf, MaskedImage, ObservationInfo, PhotoCalib
from diapipe.images.pixel_map import PixelMap
from diapipe.images.sky import between, sky_of
from diapipe.images.tracts import Tract
from diapipe.steps.template import WienerWarp

SCALE = 0.3
PATCH_PX, BORDER_PX, OVERLAP_PX = 260, 24, 130
SIDE = 2 * PATCH_PX


def tan_wcs(*, ra, dec, scale, rotation, center):
    """Tangent projection whose 0-based pixel ``center`` lies at (ra, dec), turned by ``rotation`` degrees."""
    wcs = WCS(naxis=2)
    angle = np.radians(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [center[0] + 1, center[1] + 1]
    wcs.wcs.cd = turn @ np.diag([-scale, scale]) / 3600
    wcs.wcs.set()
    return wcs


@dataclass(frozen=True)
class Scene:
    """The place of it all: (ra, dec) is the middle of the strip that both tracts have, and of the exposure, but for
    ``east_px``.
    """

    ra: float = 0.001
    dec: float = 12.0
    turn_deg: float = 20.0
    east_px: float = 0.0
    shape: tuple[int, int] = (320, 340)

    @property
    def tracts(self):
        """West and east of the middle, each reaching half the overlap beyond it."""
        off = (SIDE - OVERLAP_PX) / 2 * SCALE / 3600 / np.cos(np.radians(self.dec))
        return tuple(
            Tract.around(
                number,
                ra_deg=(self.ra + sign * off) % 360,
                dec_deg=self.dec,
                pixel_scale_arcsec=SCALE,
                n_patches=2,
                patch_size_px=PATCH_PX,
                patch_border_px=BORDER_PX,
            )
            for number, sign in ((7, -1), (8, 1))
        )

    @property
    def wcs(self):
        """Of the science exposure."""
        center = (self.shape[1] / 2 + self.east_px, self.shape[0] / 2)
        return tan_wcs(ra=self.ra, dec=self.dec, scale=0.33, rotation=self.turn_deg, center=center)

    def science(self, **info):
        """An exposure of which only box, WCS and observation count."""
        pixels = MaskedImage.from_planes(np.zeros(self.shape))
        return Exposure(name="science", masked_image=pixels, wcs=self.wcs, info=ObservationInfo(**info))

    def stars(self, rng, *, n=6, spacing=50.0):
        """Sky positions and fluxes of stars on a jittered grid over the science exposure."""
        at = spacing * (np.arange(n) - (n - 1) / 2)
        x, y = (grid.ravel() + rng.uniform(-4, 4, n * n) for grid in np.meshgrid(at, at))
        ra, dec = sky_of(self.wcs, x + self.shape[1] / 2, y + self.shape[0] / 2)
        return ra, dec, rng.uniform(5e4, 2e5, n * n)

    def over(self, template):
        """In which tracts' boxes the pixels of a template lie: booleans, shape (2, rows, columns)."""
        y, x = np.mgrid[template.box.y0 : template.box.y1, template.box.x0 : template.box.x1].astype(float)
        ra, dec = sky_of(template.wcs, x, y)
        return np.array([tract.covers(ra_deg=ra, dec_deg=dec) for tract in self.tracts])


def light(wcs, stars, box, *, sigma):
    """Gaussian stars of sky positions and fluxes, each out to eight sigma."""
    image = np.zeros(box.shape)
    if not stars or not len(stars[0]):
        return image
    for a, b, flux in zip(*wcs.all_world2pix(stars[0], stars[1], 0), stars[2], strict=True):
        part = Box.around(x=a, y=b, half=int(8 * sigma)).intersect(box)
        if part is not None:
            x, y = np.arange(part.x0, part.x1) - a, np.arange(part.y0, part.y1) - b
            profile = np.exp(-0.5 * (y[:, None] / sigma) ** 2) * np.exp(-0.5 * (x / sigma) ** 2)
            image[part.slices_in(box)] += flux * profile / (2 * np.pi * sigma**2)
    return image


def patches_of(tract, coadd, **changes):
    """The coadd of a tract cut into its patches."""
    return [
        CoaddPatch(tract=tract, patch_index=patch.index, pixels=replace(coadd[patch.outer], **changes))
        for patch in tract.patches
    ]


def drawn(tract, stars, *, sigma=1.6, noise=0.0, rng=None, calib=1.0, band="r", inputs=()):
    """A coadd of a tract, drawn on its own pixels with white noise; ``calib`` is nJy per count."""
    pixels = light(tract.wcs, stars, tract.box, sigma=sigma) / calib
    if noise:
        pixels += rng.normal(0, noise, pixels.shape)
    return Exposure(
        name=f"tract {tract.id}",
        masked_image=MaskedImage.from_planes(pixels, variance=noise**2 or 1.0, box=tract.box),
        wcs=tract.wcs,
        psf=GaussianPsf(sigma, 41),
        photo_calib=PhotoCalib(calib),
        info=ObservationInfo(band=band),
        inputs=inputs,
    )


def visits_of(scene, rng, *, n=4, noise=10.0, stars=([], [], []), sigma=1.6):
    """Exposures of more than the science exposure with the noise of sky and stars, dithered and turned."""
    side = 720
    found = []
    for k in range(n):
        center = tuple(side / 2 + rng.uniform(-10, 10, 2))
        wcs = tan_wcs(ra=scene.ra, dec=scene.dec, scale=SCALE, rotation=7.0 * k, center=center)
        found.append(observed(wcs, stars, Box.from_shape((side, side)), sigma=sigma, noise=noise, rng=rng))
    return found


def observed(wcs, stars, box, *, sigma, noise, rng, gain=2.0):
    """An exposure with the noise of a sky and of its stars' light."""
    image = light(wcs, stars, box, sigma=sigma)
    variance = noise**2 + image / gain
    pixels = image + rng.normal(0, 1, image.shape) * np.sqrt(variance)
    planes = MaskedImage.from_planes(pixels, variance=variance, box=box)
    return Exposure(name="visit", masked_image=planes, wcs=wcs, psf=GaussianPsf(sigma, 41))


def stacked(tract, visits, *, numbers):
    """The plain mean of visits, warped on to a tract, with the variance and the correlation that this makes."""
    warp = WienerWarp()
    planes, correlations = [], []
    for visit in visits:
        pixel_map = PixelMap.sampled(between(tract.wcs, visit.wcs), tract.box)
        planes.append(warp.resampled(visit.masked_image, pixel_map, tract.box))
        correlations.append(warp.noise_correlation(pixel_map, tract.box, visit.box, None))
    image = np.mean([p.image for p in planes], axis=0)
    variance = np.mean([p.variance for p in planes], axis=0) / len(planes)
    mask = np.bitwise_or.reduce([p.mask for p in planes])
    return Exposure(
        name=f"tract {tract.id}",
        masked_image=MaskedImage.from_planes(image, mask=mask, variance=variance, box=tract.box),
        wcs=tract.wcs,
        psf=GaussianPsf(1.6, 41),
        photo_calib=PhotoCalib(1.0),
        noise_correlation=np.mean(correlations, axis=0),
        inputs=numbers,
    )
