"""What crosses the sky of a survey: the same bodies on all visits, each where it then is."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.catalogs.dia_objects import need_columns
from diapipe.catalogs.injection_catalog import CATALOG
from diapipe.catalogs.tables import table_of
from diapipe.catalogs.visit_summaries import LIMIT_SNR
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.sphere import angles_of, unit_vectors
from diapipe.steps.inject.choosing import Injection

_NEEDED = ("raCorners", "decCorners", "mjd", "psfFwhm", "pixelScale", "magLim")
FIRST_ID = 1_000_001
"""Number of the first: sources that are chosen image by image have smaller ones."""


def choose_movers(visits: Table, *, options: Injection, rng: np.random.Generator) -> Table:
    """A catalogue of bodies on straight paths.

    Each is begun on a detector of a visit, anywhere on it, with a signal-to-noise there that it would have at rest,
    even in its logarithm, and a rate and a direction. It is as bright on all visits and in all bands.

    Parameters
    ----------
    visits
        Rows of visit summaries: ``raCorners``, ``decCorners``, ``mjd``, ``psfFwhm``, ``pixelScale``, ``magLim``.
    options
        ``moving`` of the sources that a detector has by ``area_fwhm2``, on the average; S/N and rates.
    rng
        Of everything.

    Returns
    -------
    Table
        Columns of `diapipe.catalogs.injection_catalog.CATALOG`; without rows where there are none.

    Raises
    ------
    InputError
        If a column is missing.
    """
    need_columns(visits, _NEEDED, name="the visit summary")
    known = visits[np.isfinite(np.asarray(visits["magLim"])) & np.isfinite(np.asarray(visits["mjd"]))]
    corners = _corners(known)
    begun = rng.poisson(options.moving * _area(corners) / (options.area_fwhm2 * _fwhm_rad(known) ** 2))
    rows, n = np.repeat(np.arange(len(known)), begun), int(begun.sum())
    east, north = rng.uniform(size=(2, n, 1))
    low, high = (corners[rows, a] * (1 - east) + corners[rows, b] * east for a, b in ((0, 1), (3, 2)))
    ra, dec = angles_of(low * (1 - north) + high * north)
    snr = np.exp(rng.uniform(np.log(options.min_snr), np.log(options.max_snr), n))
    limit = ZERO_POINT_NJY * 10.0 ** (-0.4 * np.asarray(known["magLim"], dtype=np.float64)[rows])
    rate, turn = rng.uniform(0.0, options.max_rate_arcsec_h, n), rng.uniform(0.0, 2.0 * np.pi, n)
    columns = {
        "injectionId": np.arange(FIRST_ID, FIRST_ID + n),
        "visit": np.full(n, -1),
        "ra": ra,
        "dec": dec,
        "flux": snr / LIMIT_SNR * limit,
        "ra_rate": rate * np.cos(turn),
        "dec_rate": rate * np.sin(turn),
        "epoch": np.asarray(known["mjd"], dtype=np.float64)[rows],
        "trail_length": np.zeros(n),
        "trail_angle": np.zeros(n),
    }
    return table_of(CATALOG, columns, n=n)


def _corners(visits: Table) -> FloatArray:
    """Directions of the corners, around the detector, shape (n, 4, 3)."""
    ra, dec = (np.asarray(visits[name], dtype=np.float64).reshape(-1, 4) for name in ("raCorners", "decCorners"))
    return unit_vectors(ra, dec)


def _area(corners: FloatArray) -> FloatArray:
    """Of the detectors, square radians."""
    diagonals = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    return 0.5 * np.linalg.norm(np.cross(*diagonals), axis=1)


def _fwhm_rad(visits: Table) -> FloatArray:
    """Width of the PSF."""
    fwhm = np.asarray(visits["psfFwhm"], dtype=np.float64) * np.asarray(visits["pixelScale"], dtype=np.float64)
    return np.asarray(np.radians(fwhm / 3600.0))
