"""Matching by position: which entries of two lists are the same source."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from astropy.table import Table

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.errors import InputError
from diapipe.numerics import pairs
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.numerics.pairs import Pairs
from diapipe.numerics.sphere import angle_of, chord_of, unit_vectors

type Keep = Literal["all", "nearest", "one_to_one"]

_WAYS = {"all": pairs.all_pairs, "nearest": pairs.nearest, "one_to_one": pairs.one_to_one}


class OnSky(Protocol):
    """What has positions on the sky, in degrees; NaN for none."""

    @property
    def ra(self) -> FloatArray:
        """Right ascension."""
        ...

    @property
    def dec(self) -> FloatArray:
        """Declination."""
        ...


class OnPixels(Protocol):
    """What has positions on an image, in pixels; NaN for none."""

    @property
    def x(self) -> FloatArray:
        """Along the columns."""
        ...

    @property
    def y(self) -> FloatArray:
        """Along the rows."""
        ...


def match_sky(first: OnSky, second: OnSky, *, radius_arcsec: float, keep: Keep = "all") -> Pairs:
    """Entries of two lists within a radius on the sky, with their distance in arcsec.

    Parameters
    ----------
    first, second
        Lists with ``ra`` and ``dec``; right there is no seam at RA 0 and no pole.
    radius_arcsec
        Largest distance.
    keep
        ``all`` pairs; for each of the first list its ``nearest``, which may serve several; ``one_to_one``, the closest
        pairs first.
    """
    vectors = (unit_vectors(entries.ra, entries.dec) for entries in (first, second))
    found = _WAYS[keep](*vectors, radius=chord_of(radius_arcsec / 3600.0))
    return found._replace(distance=3600.0 * angle_of(found.distance))


def match_pixels(first: OnPixels, second: OnPixels, *, radius_px: float, keep: Keep = "all") -> Pairs:
    """The same on an image, distances in pixels."""
    points = (np.stack([entries.x, entries.y], axis=1) for entries in (first, second))
    return _WAYS[keep](*points, radius=radius_px)


def with_matches(
    dia_sources: Table,
    *,
    sources: SourceList | None = None,
    reference: ReferenceList | None = None,
    radius_arcsec: float = 0.5,
    pixel_scale_arcsec: float | None = None,
) -> Table:
    """The DIA sources with columns ``srcMatchId`` and ``refMatchId``: what stands there, 0 for nothing.

    Parameters
    ----------
    dia_sources
        With ``x``, ``y`` and, for the reference, ``ra`` and ``dec``; a copy is returned.
    sources
        Of the science image; the nearest within the radius, on the pixels, is the match.
    reference
        The nearest within the radius, on the sky, is the match.
    radius_arcsec
        Largest distance.
    pixel_scale_arcsec
        Of the science image; needed with ``sources``.

    Raises
    ------
    InputError
        If sources are given without a pixel scale.
    """
    table = dia_sources.copy()
    places = _Places(table)
    table["srcMatchId"], table["refMatchId"] = np.zeros((2, len(table)), np.int64)
    if sources is not None:
        if pixel_scale_arcsec is None:
            raise InputError("the pixel scale is needed to match DIA sources to sources within a radius in arcsec")
        found = match_pixels(places, sources, radius_px=radius_arcsec / pixel_scale_arcsec, keep="nearest")
        table["srcMatchId"] = _identifiers(found, sources.id, len(table))
    if reference is not None:
        found = match_sky(places, reference, radius_arcsec=radius_arcsec, keep="nearest")
        table["refMatchId"] = _identifiers(found, reference.id, len(table))
    return table


def association_counts(dia_sources: Table) -> dict[str, int]:
    """How many DIA sources stand on known ones, after `with_matches`: most of those are residuals, no changes.

    ``NFalsePositivesTotal``: all; ``...RefAssociated``, ``...SrcAssociated``: with an entry of the reference catalogue,
    or a source of the science image; ``...Unassociated``: with neither. Sky sources, where nothing was detected, are
    not counted.
    """
    detected = dia_sources
    if "sky_source" in dia_sources.colnames:
        detected = dia_sources[~np.asarray(dia_sources["sky_source"], dtype=np.bool_)]
    on_reference, on_source = (np.asarray(detected[name]) > 0 for name in ("refMatchId", "srcMatchId"))
    return {
        "NFalsePositivesTotal": len(detected),
        "NFalsePositivesRefAssociated": int(on_reference.sum()),
        "NFalsePositivesSrcAssociated": int(on_source.sum()),
        "NFalsePositivesUnassociated": int((~on_reference & ~on_source).sum()),
    }


class _Places:
    """Positions of a DIA source table."""

    def __init__(self, table: Table) -> None:
        self.x, self.y, self.ra, self.dec = (
            np.asarray(table[name], dtype=np.float64) for name in ("x", "y", "ra", "dec")
        )


def _identifiers(found: Pairs, identifiers: IntArray, n: int) -> IntArray:
    """Identifier of each entry's partner, shape (n,); 0 for none."""
    partner = np.zeros(n, np.int64)
    partner[found.first] = identifiers[found.second]
    return partner
