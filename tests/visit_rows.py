"""Visit summaries written by hand, around one patch."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.catalogs.visit_images import VisitImages
from diapipe.images import Tract

TRACT = Tract.around(
    0, ra_deg=150.0, dec_deg=2.0, pixel_scale_arcsec=1.0, n_patches=2, patch_size_px=400, patch_border_px=40
)
PATCH = 0
"""The lower left one: x and y from 0 to 440 of 800."""

ON, OFF = (200.0, 200.0), (700.0, 700.0)
"""Middles of an image on the patch and of one beyond it, in pixels of the tract."""


def corners(middle, *, side=100.0, turn_deg=0.0, order=(0, 1, 2, 3)):
    """Right ascensions and declinations of the corners of a square image."""
    angle = np.radians(turn_deg + 45.0 + 90.0 * np.arange(4))
    x, y = (middle[k] + side / np.sqrt(2) * f(angle) for k, f in enumerate((np.cos, np.sin)))
    ra, dec = TRACT.wcs.all_pix2world(x, y, 0)
    return ra[list(order)], dec[list(order)]


def images_of(rows, *, scale_arcsec=0.5):
    """From rows of visit, detector, middle, FWHM in pixels, MJD, and a dictionary of what else there is."""
    listed = []
    for visit, detector, middle, fwhm, mjd, more in rows:
        ra, dec = corners(middle)
        own = {"visit": visit, "id": detector, "raCorners": ra, "decCorners": dec, "psfFwhm": fwhm, "mjd": mjd}
        listed.append({**own, "pixelScale": scale_arcsec, "skyNoise": 10.0, "nJyPerCount": 2.0, **more})
    return VisitImages(Table(rows=listed))
