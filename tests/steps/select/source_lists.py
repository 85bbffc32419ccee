"""Sources of a field of stars and galaxies whose selection is known."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from diapipe.catalogs.sources import ReferenceList, SourceList

FLAGS = (
    "centroid_flag",
    *(
        f"pixelFlags_{name}{center}"
        for name in ("bad", "cr", "edge", "nodata", "interpolated", "saturated")
        for center in ("", "Center")
    ),
)
SCALE_ARCSEC = 0.2


def field(rng: np.random.Generator, *, n_stars: int = 60, n_galaxies: int = 60) -> SourceList:
    """Stars of width 2 px and galaxies of 4 and more, S/N 100, over 1000 px around RA 0; stars come first.

    No two lie within 50 px, 10 arcsec.
    """
    n = n_stars + n_galaxies
    side = int(np.ceil(np.sqrt(n)))
    cells = np.stack(np.divmod(rng.permutation(side**2)[:n], side))
    x, y = (cells + 0.5) * 1000.0 / side + rng.uniform(-20, 20, (2, n))
    width = np.concatenate([rng.normal(2.0, 0.01, n_stars), rng.uniform(4.0, 7.0, n_galaxies)])
    flux = rng.uniform(9e3, 1.1e4, n)
    return SourceList(
        id=np.arange(100, 100 + n),
        x=x,
        y=y,
        ra=(359.99 + x * SCALE_ARCSEC / 3600) % 360.0,
        dec=y * SCALE_ARCSEC / 3600,
        flux=flux,
        flux_err=np.full(n, 100.0),
        ixx=width**2,
        ixy=np.zeros(n),
        iyy=width**2,
        extendedness=np.repeat([0.0, 1.0], [n_stars, n_galaxies]),
        peak=flux / 25.0,
        is_isolated=np.ones(n, bool),
        is_primary=np.ones(n, bool),
        is_sky=np.zeros(n, bool),
        flags={name: np.zeros(n, bool) for name in FLAGS},
    )


def changed(sources: SourceList, rows: Any, /, **values: Any) -> SourceList:
    """The list with other values in some rows; flags by their names."""
    flags = {name: flag.copy() for name, flag in sources.flags.items()}
    arrays = {}
    for name, value in values.items():
        if name in flags:
            flags[name][rows] = value
        else:
            arrays[name] = getattr(sources, name).copy()
            arrays[name][rows] = value
    return dataclasses.replace(sources, flags=flags, **arrays)


def catalogue(sources: SourceList, *, offset_arcsec: tuple[float, float] = (0.0, 0.0), g_r: Any = 1.0) -> ReferenceList:
    """An entry for each source, in another order (the last first), with classes as the sources have them."""
    order = np.arange(len(sources))[::-1]
    colour = np.broadcast_to(np.asarray(g_r, float), len(sources))
    dx, dy = (offset / 3600.0 for offset in offset_arcsec)
    listed = ReferenceList(
        id=1000 + sources.id,
        ra=(sources.ra + dx) % 360.0,
        dec=sources.dec + dy,
        flux={"g": 10.0 ** (-0.4 * colour), "r": np.ones(len(sources))},
        is_resolved=sources.extendedness > 0.5,
        is_photometric=np.ones(len(sources), bool),
    )
    return listed.select(order)
