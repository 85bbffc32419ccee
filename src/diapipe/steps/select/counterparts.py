"""Which sources are on the template, or in a reference catalogue, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.catalogs.matching import match_sky
from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.pairs import one_to_one
from diapipe.numerics.registration import coarse_offset
from diapipe.numerics.sphere import tangent_plane

NONE = -1
"""Stands for no entry."""

_LEAST_SIGNIFICANCE = 5.0
_BRIGHTEST = 300


def on_template(sources: SourceList, template_sources: SourceList, *, radius_arcsec: float) -> BoolArray:
    """Which sources have one of the template within the radius; shape (n,).

    Raises
    ------
    InputError
        If either list has no sky positions.
    """
    for entries, name in ((sources, "science image"), (template_sources, "template")):
        if len(entries) and not np.isfinite(entries.ra).any():
            raise InputError(f"the sources of the {name} have no sky positions (ra, dec) to be matched by")
    found = np.zeros(len(sources), np.bool_)
    found[match_sky(sources, template_sources, radius_arcsec=radius_arcsec).first] = True
    return found


def in_catalogue(
    sources: SourceList, reference: ReferenceList, *, radius_arcsec: float, largest_offset_arcsec: float
) -> IntArray:
    """Catalogue entry of each source, `NONE` for none; shape (n,). Neither entry nor source serves twice.

    The offset that most bright pairs agree on, where it is clear, is taken off the sources before they are matched: a
    WCS that is wrong by more than the radius then still finds them, and is not touched itself.

    Parameters
    ----------
    sources, reference
        With positions on the sky.
    radius_arcsec
        Largest distance.
    largest_offset_arcsec
        Largest offset that is looked for along either axis; 0 looks for none.
    """
    entry = np.full(len(sources), NONE, np.int64)
    if not np.isfinite(sources.ra).any() or len(reference) == 0:
        return entry
    here, there = _flattened(sources, reference)
    if largest_offset_arcsec > 0:
        here = here + _offset(here, there, sources.flux, largest_offset_arcsec, radius_arcsec)
    pairs = one_to_one(here, there, radius=radius_arcsec)
    entry[pairs.first] = pairs.second
    return entry


def _flattened(sources: SourceList, reference: ReferenceList) -> tuple[FloatArray, FloatArray]:
    """Both on the plane that touches the sky in the middle of the sources, arcsec; NaN more than a degree beyond."""
    known = np.flatnonzero(np.isfinite(sources.ra) & np.isfinite(sources.dec))
    first = known[len(known) // 2]
    centre = np.array([sources.ra[first], sources.dec[first]])
    here = 3600.0 * tangent_plane(sources.ra, sources.dec, centre).T
    there = 3600.0 * tangent_plane(reference.ra, reference.dec, centre).T
    low, high = np.nanmin(here, axis=0) - 3600.0, np.nanmax(here, axis=0) + 3600.0
    behind = np.cos(np.radians(reference.ra - centre[0])) * np.cos(np.radians(reference.dec - centre[1])) < 0.0
    near = ((there > low) & (there < high)).all(axis=1) & ~behind
    return here, np.where(near[:, None], there, np.nan)


def _offset(
    here: FloatArray, there: FloatArray, flux: FloatArray, largest_arcsec: float, radius_arcsec: float
) -> FloatArray:
    """By how much to move the sources onto the catalogue, (xi, eta) in arcsec; 0 unless clearly more pairs agree."""
    usable = np.flatnonzero(np.isfinite(here).all(axis=1) & np.isfinite(flux))
    bright = here[usable[np.argsort(-flux[usable], kind="stable")[:_BRIGHTEST]]]
    targets = there[np.isfinite(there).all(axis=1)]
    if len(targets) == 0:
        return np.zeros(2)
    found = coarse_offset(bright, targets, radius=largest_arcsec, bin_width=radius_arcsec)
    if found is None or found.significance < _LEAST_SIGNIFICANCE:
        return np.zeros(2)
    in_place = len(one_to_one(bright, targets, radius=radius_arcsec).first)
    shift = np.array([found.dx, found.dy])
    moved = len(one_to_one(bright + shift, targets, radius=radius_arcsec).first)
    return shift if moved > in_place else np.zeros(2)


def entries_of(reference: ReferenceList, entry: IntArray) -> ReferenceList:
    """The catalogue entry of each source; what stands for no entry has no flux and is neither star nor galaxy's."""
    known = entry != NONE
    if len(reference) == 0:
        raise InputError("the reference catalogue has no entries")
    rows = reference.select(np.where(known, entry, 0))
    return replace(rows, flux={band: np.where(known, flux, np.nan) for band, flux in rows.flux.items()})
