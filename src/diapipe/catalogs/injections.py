"""The table of injected sources: what was put into images, and where."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.schema import FLUX, Column
from diapipe.catalogs.tables import table_of

HOSTLESS, HOSTED, VARIABLE, TRAILED = KINDS = ("hostless", "hosted", "variable", "trailed")
"""What a source can be: a point on the sky, a point on a galaxy, a star that changed, something that moved."""

FLUXES = ("flux", "static_flux", "surface_flux")
"""Columns that are fluxes, all in one unit."""

INJECTION = (
    Column("injectionId", "i8", "", "Number of the source, from 1"),
    Column("kind", "U8", "", "hostless, hosted, variable or trailed"),
    Column("is_faded", "?", "", "Whether it was put into the template, so that the science image lacks it"),
    Column("ra", "f8", "deg", "Right ascension of its middle"),
    Column("dec", "f8", "deg", "Declination of its middle"),
    Column("x", "f8", "pix", "Column of its middle on the science image"),
    Column("y", "f8", "pix", "Row of its middle on the science image"),
    Column("flux", "f8", FLUX, "Science minus template: negative where it faded"),
    Column("static_flux", "f8", FLUX, "PSF-weighted light of the science image at the place, before"),
    Column("surface_flux", "f8", FLUX, "Light of one pixel of the science image at the place, before"),
    Column("trail_length", "f8", "pix", "Length of its path on the science image; 0 of a point"),
    Column("trail_angle", "f8", "deg", "Direction of its path, from x towards y"),
)
"""Columns of the table, in order."""


def injection_table(measured: Mapping[str, NDArray[np.generic]], *, n: int, flux_unit: str) -> Table:
    """Table with every column of `INJECTION`; what is left out is NaN, 0, False or "".

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    return table_of(INJECTION, measured, n=n, flux_unit=flux_unit)
