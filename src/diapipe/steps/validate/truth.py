"""What is true of a difference: a table of it, as given and as it lies on the pixels."""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy.table import Column, Table

from diapipe.catalogs.columns import ColumnReader, refuse_rows
from diapipe.catalogs.dia_objects import need_columns
from diapipe.catalogs.injections import FLUXES, HOSTLESS
from diapipe.errors import InputError
from diapipe.images import UNUSABLE_DIFFERENCE, Box, Difference, Exposure, MaskPlane, Psf
from diapipe.images.calibrated import flux_scale, flux_unit
from diapipe.images.source_profile import source_profiles, static_light
from diapipe.numerics.arrays import BoolArray, FloatArray

_CORE_PX = 2
"""Pixels this near to a place must be usable."""
_COUNTS = ("adu", "count", "ct", "DN")
"""Names of one unit."""
_TRUTH_COLUMNS = (
    "injectionId",
    "object_id",
    "kind",
    "is_faded",
    "ra",
    "dec",
    "x",
    "y",
    "flux",
    "static_flux",
    "surface_flux",
    "trail_length",
    "trail_angle",
)


def truth_table(table: Table, difference: Difference, *, name: str) -> Table:
    """A table of what is true as `judge` wants it, from one of `diapipe inject`, of a simulation, or of a user.

    Fluxes with a unit of flux density are brought to that of the difference's pixels; without a ``kind`` all are points
    on the sky.

    Parameters
    ----------
    table
        ``x``, ``y``, ``flux``; where it has them ``kind``, ``trail_length``, ``trail_angle``, ``static_flux``,
        ``is_known``, and ``mask``: planes under each place, of which unusable ones make it unknown.
    difference
        That it is true of.
    name
        What messages call the table.

    Raises
    ------
    InputError
        If a column is missing, or has no number in a row that is known, or fluxes are in a unit that the difference
        cannot have.
    """
    need_columns(table, ("x", "y", "flux"), name=name)
    known, read = is_known(table), ColumnReader(table, name)
    for column in ("x", "y", "flux"):
        refuse_rows(known & ~np.isfinite(read.numbers((column,))), f"{name} has no {column} in")
    kept = Table({column: table[column] for column in _TRUTH_COLUMNS if column in table.colnames}, copy=True)
    exposure = difference.exposure
    for column in FLUXES:
        if column in kept.colnames:
            kept[column] = _in_unit_of(exposure, kept, column, name=name)
    if "kind" not in kept.colnames:
        kept["kind"] = np.full(len(kept), HOSTLESS)
    kept["is_known"] = known
    if "mask" in table.colnames:
        kept["is_known"] &= (np.asarray(table["mask"]) & int(UNUSABLE_DIFFERENCE)) == 0
    return kept


def _in_unit_of(exposure: Exposure, table: Table, column: str, *, name: str) -> FloatArray:
    """Fluxes in the unit of an exposure's pixels, in which they are taken to be where they say none."""
    values: FloatArray = np.ma.filled(np.ma.asarray(table[column].value).astype(np.float64), np.nan)
    unit = table[column].unit
    if unit is None or str(unit) in ("", exposure.unit) or (str(unit) in _COUNTS and exposure.unit in _COUNTS):
        return values
    try:
        values = values * float(units.Unit(unit).to("nJy"))
    except (units.UnitConversionError, ValueError, TypeError) as error:
        needed = "nJy" if exposure.unit == "nJy" else f"nJy or {exposure.unit}"
        raise InputError(f"the column {column} of {name} is in {unit}; {needed} is needed") from error
    if exposure.unit == "nJy":
        return values
    if exposure.photo_calib is None:
        raise InputError(f"{name} has fluxes in {unit}, and {exposure.name} no calibration; give them in its counts")
    return values / flux_scale(exposure, x=np.asarray(table["x"]), y=np.asarray(table["y"]))


def seen_on(difference: Difference, truth: Table) -> Table:
    """What is true on a difference: the rows on its pixels, with ``snr_true`` and ``is_usable``, fluxes calibrated.

    ``snr_true`` is the flux over the error of an ideal fit with the difference's own PSF and noise.

    Raises
    ------
    InputError
        If the difference has no PSF.
    """
    planes, box = difference.exposure.masked_image, difference.box
    x, y = np.asarray(truth["x"], dtype=np.float64), np.asarray(truth["y"], dtype=np.float64)
    inside = (x > box.x0 - 0.5) & (x < box.x1 - 0.5) & (y > box.y0 - 0.5) & (y < box.y1 - 0.5)
    seen = Table(truth[inside], copy=True)
    x, y = x[inside], y[inside]
    profiles, noise = source_profiles(psf_of(difference), seen), difference.exposure.noise_correlation
    _, error = static_light(planes, profiles, correlation=noise)
    flux = np.asarray(seen["flux"], dtype=np.float64)
    seen["snr_true"] = flux / error
    clean = [not unusable_planes(difference, *place) for place in zip(x.tolist(), y.tolist(), strict=True)]
    seen["is_usable"] = np.array(clean, dtype=np.bool_) & is_known(seen) & (flux != 0)  # no flux is no change
    scale = flux_scale(difference.exposure, x=x, y=y)
    for name in FLUXES:
        if name in seen.colnames:
            seen[name] = Column(np.asarray(seen[name], dtype=np.float64) * scale, unit=flux_unit(difference.exposure))
    return seen


def is_known(truth: Table) -> BoolArray:
    """Of each row whether its flux is known."""
    if "is_known" not in truth.colnames:
        return np.ones(len(truth), np.bool_)
    return np.asarray(truth["is_known"], dtype=np.bool_)


def psf_of(difference: Difference) -> Psf:
    """The PSF; InputError if there is none."""
    if difference.exposure.psf is None:
        raise InputError(f"the difference {difference.exposure.name} has no PSF; one is needed to judge its sources")
    return difference.exposure.psf


def unusable_planes(difference: Difference, x: float, y: float) -> MaskPlane:
    """The planes next to a place that make its pixels unusable; NO_DATA also off the image and where is no number."""
    core = Box.around(x=x, y=y, half=_CORE_PX).intersect(difference.box)
    if core is None:
        return MaskPlane.NO_DATA
    pixels = difference.exposure.masked_image[core]
    if pixels.usable(UNUSABLE_DIFFERENCE).all():
        return MaskPlane(0)
    return MaskPlane(int(np.bitwise_or.reduce(pixels.mask, axis=None))) & UNUSABLE_DIFFERENCE or MaskPlane.NO_DATA
