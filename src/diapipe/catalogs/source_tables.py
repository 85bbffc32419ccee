"""From a table of sources to the noun that the steps use, and back: Rubin's names, ours, and those of afw tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Column, Table
from astropy.wcs import WCS

from diapipe.catalogs.columns import ColumnReader
from diapipe.catalogs.flag_names import flag_name, is_flag
from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.errors import InputError
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.images.sky import icrs_of, pixel_scale_deg, pixels_of_icrs
from diapipe.numerics.arrays import BoolArray, FloatArray

_X = ("x", "slot_Centroid_x", "base_SdssCentroid_x", "base_NaiveCentroid_x")
_Y = tuple(name[:-1] + "y" for name in _X)
_RA, _DEC = ("ra", "coord_ra"), ("dec", "coord_dec", "decl")
_ID = ("sourceId", "id", "diaSourceId", "objectId")
_FLUX = (
    "psfFlux",
    "slot_PsfFlux_instFlux",
    "base_PsfFlux_instFlux",
    "slot_PsfFlux_flux",
    "base_PsfFlux_flux",
)
_ERRORS = ("Err", "Sigma")
_SHAPES = ("slot_Shape_", "base_SdssShape_", "ext_shapeHSM_HsmSourceMoments_")
_EXTENDEDNESS = ("extendedness", "base_ClassificationSizeExtendedness_value", "base_ClassificationExtendedness_value")
_ISOLATED = ("dp_isIsolated", "detect_isIsolated")
_PRIMARY = ("detect_isPrimary", "isPrimary")
_SKY = ("sky_source", "merge_peak_sky")


def source_list(table: Table, *, wcs: WCS | None = None, flux: str = "", name: str = "the source table") -> SourceList:
    """Sources of a table.

    Parameters
    ----------
    table
        With position (pixels, or sky where a WCS is given), PSF flux and its error; shapes, classification and flags
        where it has them. Rubin's names (``x``, ``ra``, ``psfFlux``, ``ixx``, ``pixelFlags_edge``) and those of afw
        tables (``slot_Centroid_x``, ``coord_ra``, ``base_PsfFlux_instFlux``, ``base_SdssShape_xx``,
        ``base_PixelFlags_flag_edge``) are known.
    wcs
        Of the image, for 0-based parent pixels: fills in what of pixel and sky positions the table lacks.
    flux
        Column to take as flux, its error being the column with ``Err`` behind; "" looks for the PSF flux.
    name
        What messages call the table.

    Raises
    ------
    InputError
        If a needed column is missing or in another unit; the message names it and what there is.
    """
    read = ColumnReader(table, name)
    x, y, ra, dec = _positions(read, wcs)
    fluxes = (flux,) if flux else _FLUX
    flux_name = read.name_of(fluxes) or fluxes[0]
    ixx, ixy, iyy = _moments(read, wcs)
    parent = read.numbers_or(("parent", "parentSourceId"), 0.0)
    children = read.numbers_or(("deblend_nChild",), 0.0)
    return SourceList(
        id=read.identifiers(_ID),
        x=x,
        y=y,
        ra=ra,
        dec=dec,
        flux=read.numbers(fluxes),
        flux_err=read.numbers(tuple(flux_name + ending for ending in _ERRORS)),
        ixx=ixx,
        ixy=ixy,
        iyy=iyy,
        extendedness=read.numbers_or(_EXTENDEDNESS, np.nan),
        peak=read.numbers_or(("dp_peak", "peakValue"), np.nan),
        is_isolated=read.truths_or(_ISOLATED, True) & (parent == 0) & (children == 0),
        is_primary=read.truths_or(_PRIMARY, True),
        is_sky=read.truths_or(_SKY, False),
        flags=_flags(read),
    )


def source_table(sources: SourceList) -> Table:
    """The table of sources, with Rubin's names and units; `source_list` reads it back without loss."""
    columns: list[tuple[str, Any, str]] = [
        ("sourceId", sources.id, ""),
        ("x", sources.x, "pix"),
        ("y", sources.y, "pix"),
        ("ra", sources.ra, "deg"),
        ("dec", sources.dec, "deg"),
        ("psfFlux", sources.flux, ""),
        ("psfFluxErr", sources.flux_err, ""),
        ("ixx", sources.ixx, "pix2"),
        ("ixy", sources.ixy, "pix2"),
        ("iyy", sources.iyy, "pix2"),
        ("extendedness", sources.extendedness, ""),
        ("detect_isPrimary", sources.is_primary, ""),
        ("sky_source", sources.is_sky, ""),
        ("dp_isIsolated", sources.is_isolated, ""),
        ("dp_peak", sources.peak, ""),
        *((name, flag, "") for name, flag in sources.flags.items()),
    ]
    return Table([Column(values, name=name, unit=unit or None) for name, values, unit in columns])


def reference_list(
    table: Table,
    *,
    fluxes: dict[str, str] | None = None,
    magnitudes: dict[str, str] | None = None,
    name: str = "the reference catalogue",
) -> ReferenceList:
    """Stars of a reference catalogue.

    Parameters
    ----------
    table
        With ``ra`` and ``dec`` (or ``coord_ra``, ``coord_dec``) and, where selection asks for them, fluxes by band,
        ``resolved`` and ``photometric``.
    fluxes
        Column of the flux in each band, or of its stem as LSST's filter maps have it (``{"g": "lsst_g_smeared"}`` for
        ``lsst_g_smeared_flux``). Bands left out are looked for as ``g_flux``, ``gFlux`` and ``g_psfFlux``.
    magnitudes
        Column of the AB magnitude in each band, which becomes a flux in nJy.
    name
        What messages call the catalogue.

    Raises
    ------
    InputError
        If a needed column is missing or in another unit.
    """
    read = ColumnReader(table, name)
    ra, dec = _sky(read)
    named = {band: read.numbers((column, column + "_flux")) for band, column in (fluxes or {}).items()}
    for band, column in (magnitudes or {}).items():
        named[band] = ZERO_POINT_NJY * 10.0 ** (-0.4 * read.numbers((column,)))
    for band in "ugrizy":
        aliases = (f"{band}_flux", f"{band}Flux", f"{band}_psfFlux")
        if band not in named and read.name_of(aliases) is not None:
            named[band] = read.numbers(aliases)
    return ReferenceList(
        id=read.identifiers(("id", "objectId", "sourceId")),
        ra=ra,
        dec=dec,
        flux=named,
        is_resolved=read.truths_or(("resolved",), False),
        is_photometric=read.truths_or(("photometric",), True),
    )


def _positions(read: ColumnReader, wcs: WCS | None) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Pixels and sky; what the table lacks from the WCS, NaN for the sky where there is none."""
    in_pixels, on_sky = read.name_of(_X) is not None, read.name_of(_RA) is not None
    if not in_pixels and on_sky and wcs is not None:
        ra, dec = _sky(read)
        return *pixels_of_icrs(wcs, ra, dec), ra, dec
    x, y = read.numbers(_X), read.numbers(_Y)
    if on_sky:
        return x, y, *_sky(read)
    unknown = np.full(len(x), np.nan)
    return (x, y, unknown, unknown) if wcs is None or len(x) == 0 else (x, y, *icrs_of(wcs, x, y))


def _sky(read: ColumnReader) -> tuple[FloatArray, FloatArray]:
    """Sky positions in degrees; ``coord_ra`` and ``coord_dec`` are in radians unless they say their unit."""
    found = []
    for aliases in (_RA, _DEC):
        bare = "rad" if str(read.name_of(aliases)).startswith("coord_") else "deg"
        angle = read.numbers(aliases, unit="deg", bare_unit=bare)
        if np.abs(angle).max(initial=0.0, where=np.isfinite(angle)) > 360.0 + 1e-9:
            column = read.name_of(aliases)
            raise InputError(
                f"{column} of {read.name} reaches {np.nanmax(np.abs(angle)):.6g} degrees when read in {bare}; "
                f"give the column its unit"
            )
        found.append(angle)
    return found[0] % 360.0, found[1]


def _moments(read: ColumnReader, wcs: WCS | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Second moments in square pixels; NaN where the table has none."""
    found = []
    for axes in ("xx", "xy", "yy"):
        aliases = (f"i{axes}", *(shape + axes for shape in _SHAPES))
        column = read.name_of(aliases)
        unit = None if column is None else read.table[column].unit
        if unit is not None and unit.is_equivalent("deg2"):
            if wcs is None:
                raise InputError(f"{column} of {read.name} is in {unit}; the WCS of the image is needed with it")
            found.append(read.numbers(aliases, unit="deg2") / pixel_scale_deg(wcs) ** 2)
        else:
            found.append(read.numbers_or(aliases, np.nan))
    return found[0], found[1], found[2]


def _flags(read: ColumnReader) -> dict[str, BoolArray]:
    """Flags by our names, from columns of their own or packed into one; the centroid's is that of its slot."""
    found: dict[str, BoolArray] = {}
    slot = read.slots.get("slot_Centroid", "slot_Centroid") + "_flag"
    columns = [name for name in read.table.colnames if is_flag(name) or name == slot]
    flags = read.packed | {name: _truths(read.table[name]) for name in columns}
    for name, flag in flags.items():
        if is_flag(name):
            found[flag_name(name)] = flag
    return found | ({"centroid_flag": flags[slot]} if slot in flags else {})


def _truths(column: Any) -> BoolArray:
    """A flag; True where masked, for nobody vouches for that source."""
    return np.ma.filled(np.ma.asarray(column).astype(bool), True)
