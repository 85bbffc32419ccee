"""Convex polygons on the sky, as the Butler keeps them with its records."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from astropy.wcs import WCS
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from diapipe.images.box import Box
from diapipe.images.sky import icrs_of
from diapipe.numerics.arrays import FloatArray
from diapipe.numerics.sphere import angles_of, unit_vectors

type Outline = FloatArray
"""Directions of positions around an image; shape (n, 3)."""


def hull_of(outlines: Iterable[Outline]) -> ConvexPolygon:
    """The smallest convex region of the sky that holds outlines."""
    return ConvexPolygon.convexHull([UnitVector3d(*vector) for vector in np.concatenate(list(outlines))])


def region_of_box(wcs: WCS, box: Box) -> ConvexPolygon:
    """The sky of a box of pixels, border included; exact on a tangent plane."""
    x = np.array([box.x0, box.x1, box.x1, box.x0]) - 0.5
    y = np.array([box.y0, box.y0, box.y1, box.y1]) - 0.5
    return hull_of([unit_vectors(*icrs_of(wcs, x, y))])


def vertices_of(region: ConvexPolygon) -> Outline:
    """Directions of the corners of a region, in order."""
    return np.array([(v.x(), v.y(), v.z()) for v in region.getVertices()])


def corners_of(region: ConvexPolygon) -> tuple[FloatArray, FloatArray]:
    """Right ascensions and declinations of the corners of a region, degrees."""
    ra, dec = angles_of(vertices_of(region))
    return ra, dec
