"""template_objects: the sources of a template coadd as a table."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.catalogs.ids import template_object_ids
from diapipe.catalogs.stars import StarList
from diapipe.catalogs.tables import table_of
from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images import UNUSABLE_DIFFERENCE, Exposure
from diapipe.images.calibrated import flux_unit
from diapipe.images.patch_area import PatchArea
from diapipe.images.photometry import fit_psf, stamp_half
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.images.sky import icrs_of
from diapipe.numerics import psf_photometry
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.force.columns import template_object_schema
from diapipe.steps.force.force import force_on_pixels
from diapipe.steps.force.options import Force

TEMPLATE_APERTURES_PX = (3.0, 6.0, 9.0, 12.0)
"""Radii of the circles in which template objects are measured, on the template and on differences."""

TEMPLATE_FORCE = Force(aperture_radii_px=TEMPLATE_APERTURES_PX)
"""How."""

LARGEST_SHIFT_PX = 1.0
"""Farthest that a position may lie from the centroid."""


def template_objects(
    stars: StarList | None,
    coadd: Exposure,
    *,
    area: PatchArea,
    band: str,
    options: Force = TEMPLATE_FORCE,
    n_threads: int = 1,
) -> Table:
    """Measure the sources of a coadd, all together.

    Parameters
    ----------
    stars
        All sources, brightest first, in the pixels of the tract; None where there are none.
    coadd
        With a WCS and, where there are sources, a PSF.
    area
        The patch that it is of.
    band
        Its band.
    options, n_threads
        As for `force_at`.

    Returns
    -------
    Table
        As `template_object_schema` says, in the order of ``stars``. Sources that touch are fitted together and none is
        the parent of another: ``parentObjectId`` is 0.

    Raises
    ------
    InputError
        If the coadd has no WCS.
    PsfUndefinedError
        If it has no PSF.
    """
    schema = template_object_schema(options)
    if stars is None or len(stars) == 0:
        return table_of(schema, {}, n=0, flux_unit=flux_unit(coadd))
    if coadd.wcs is None:
        raise InputError(f"{coadd.name} has no WCS; its sources need positions on the sky")
    n = len(stars)
    x, y = _centred(stars, coadd, options=options, n_threads=n_threads)
    ra, dec = icrs_of(coadd.wcs, x, y)
    columns = force_on_pixels(coadd, x=x, y=y, options=options, n_threads=n_threads)
    names = {column.name for column in schema}
    columns = {name: values for name, values in columns.items() if name in names}
    columns |= {
        "objectId": template_object_ids(tract=area.tract, patch=area.patch, n=n),
        "tract": np.full(n, area.tract),
        "patch": np.full(n, area.patch),
        "band": np.full(n, band, "U32"),
        "ra": ra,
        "dec": dec,
        "detect_isPrimary": area.owns(ra=ra, dec=dec),
        "extendedness": np.where(stars.is_star, 0.0, 1.0),
        "dp_isIsolated": stars.is_isolated,
    }
    return table_of(schema, columns, n=n, flux_unit=flux_unit(coadd))


def _centred(stars: StarList, coadd: Exposure, *, options: Force, n_threads: int) -> tuple[FloatArray, FloatArray]:
    """Positions by a fit of the PSF, neighbours taken away; those given where it fails.

    The centroids of faint sources are those of their peaks, whole pixels.
    """
    if coadd.psf is None:
        raise PsfUndefinedError(f"{coadd.name} has no PSF; fluxes of its sources need one")
    planes, box = Planes.of(coadd.masked_image), coadd.box
    lattice = PsfLattice.around(coadd.psf, x=stars.x, y=stars.y, box=box)
    fits = fit_psf(
        planes,
        lattice,
        x=stars.x - box.x0,
        y=stars.y - box.y0,
        bits=UNUSABLE_DIFFERENCE,
        half=stamp_half(coadd.psf.size, lattice.typical_fwhm, options.stamp_fwhm),
        max_shift=LARGEST_SHIFT_PX,
        correlation=coadd.noise_correlation,
        n_threads=n_threads,
    )
    fitted = fits.is_fitted
    x, y = (fits.column(axis) for axis in (psf_photometry.X, psf_photometry.Y))
    return np.where(fitted, x + box.x0, stars.x), np.where(fitted, y + box.y0, stars.y)
