"""Exposures of Gaussian stars at known places of the sky, under any WCS."""

from __future__ import annotations

import warnings

import numpy as np
from astropy.wcs import WCS

from diapipe.catalogs.stars import StarList
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage


def tan_wcs(*, ra=150.0, dec=2.0, scale=0.2, rotation=0.0, flip=-1, center=(150.0, 150.0), kind="TAN", distortion=0.0):
    """WCS whose 0-based pixel ``center`` lies at (ra, dec); ``distortion`` is in pixels at 150 px from it."""
    wcs = WCS(naxis=2)
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [center[0] + 1, center[1] + 1]
    angle, size = np.radians(rotation), scale / 3600
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wcs.wcs.cd = turn @ np.diag([flip * size, size])
    if kind == "SIP":
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        header = wcs.to_header(relax=True)
        a = distortion / 150.0**2
        header.update({"A_ORDER": 2, "A_2_0": a, "A_0_2": -0.5 * a, "B_ORDER": 2, "B_1_1": a, "B_2_0": 0.3 * a})
        return quiet(header)
    if kind == "TPV":
        wcs.wcs.ctype = ["RA---TPV", "DEC--TPV"]
        header = wcs.to_header()
        a = distortion * size / (150.0 * size) ** 2
        header.update({"PV1_0": 0.0, "PV1_1": 1.0, "PV1_4": a, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_5": 0.5 * a})
        return quiet(header)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    return quiet(wcs.to_header())


def quiet(header):
    """WCS of a header without the warnings of a header made by hand."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WCS(header)


def exposure(wcs, stars, *, shape=(300, 300), sigma=1.6, name="image.fits", box=None, noise=0.0, rng=None):
    """An exposure of Gaussian stars of the given sky positions (degrees) and fluxes."""
    box = box or Box.from_shape(shape)
    image = np.zeros(box.shape)
    ra, dec, flux = stars
    x, y = wcs.all_world2pix(ra, dec, 0)
    for a, b, f in zip(x, y, flux, strict=True):
        if box.dilated(20).contains_point(x=a, y=b):
            rows, columns = np.arange(box.y0, box.y1), np.arange(box.x0, box.x1)
            profile = np.exp(-0.5 * ((rows[:, None] - b) / sigma) ** 2) * np.exp(-0.5 * ((columns - a) / sigma) ** 2)
            image += f * profile / (2 * np.pi * sigma**2)
    if rng is not None:
        image += rng.normal(0, noise, box.shape)
    pixels = MaskedImage.from_planes(image, variance=noise**2 if noise else 1.0, box=box)
    return Exposure(name=name, masked_image=pixels, wcs=wcs, psf=GaussianPsf(sigma, 41))


def star_list(x, y, *, error=0.01, flux=None, sigma=1.6):
    """Unsaturated, isolated stars whose centroid errors are about ``error``."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    n = len(x)
    flux = np.linspace(2e4, 1e4, n) if flux is None else flux
    flux_err = flux * error / (np.sqrt(2) * sigma)
    yes, no = np.ones(n, bool), np.zeros(n, bool)
    return StarList(x, y, flux, np.broadcast_to(flux_err, n).copy(), flux / 16, yes, no, yes)


def measured(exposure, ra, dec, *, radius=14, sigma=2.5):
    """Aperture sums and weighted centroids around sky positions; shape (n, 3): flux, x, y less expected ones."""
    x, y = exposure.wcs.all_world2pix(ra, dec, 0)
    result = []
    for a, b in zip(x, y, strict=True):
        box = Box.around(x=a, y=b, half=radius)
        image = exposure.masked_image[box].image.astype(float)
        dy, dx = np.mgrid[box.y0 : box.y1, box.x0 : box.x1] - np.array([b, a])[:, None, None]
        weight = image * np.exp(-0.5 * (dx**2 + dy**2) / sigma**2)
        result.append((image.sum(), 2 * (weight * dx).sum() / weight.sum(), 2 * (weight * dy).sum() / weight.sum()))
    return np.array(result)
