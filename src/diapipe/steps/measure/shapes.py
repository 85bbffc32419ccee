"""Second moments of the sources and of the PSF beneath them, and how extended that makes a source."""

from __future__ import annotations

import numpy as np

from diapipe.images import MaskPlane
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.moments import NO_SIGNAL, AdaptiveMoments, adaptive_moments
from diapipe.numerics.weighting import cut_blocks
from diapipe.steps.measure.sources import Sources

_MARGIN = 4
"""Pixels beyond the radius, so that a centroid that moves does not see the next cut-out."""


def shape_columns(
    planes: Planes, sources: Sources, lattice: PsfLattice, *, bits: MaskPlane, sigma: float, radius: int, area: float
) -> dict[str, FloatArray | BoolArray]:
    """Columns of the adaptive moments and the extendedness; ``area`` converts square pixels to the table's unit."""
    found = _moments_of_sources(planes, sources, bits=bits, sigma=sigma, radius=radius)
    of_psf = lattice.moments(sigma=sigma)
    bad = found.flag != 0
    size, psf_size = found.ixx + found.iyy, of_psf[0] + of_psf[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        extendedness = np.clip(1.0 - psf_size / size, 0.0, 1.0)
    columns: dict[str, FloatArray | BoolArray] = {
        name: np.where(bad, np.nan, value * area)
        for name, value in (("ixx", found.ixx), ("iyy", found.iyy), ("ixy", found.ixy))
    }
    columns |= {name: value * area for name, value in zip(("ixxPSF", "iyyPSF", "ixyPSF"), of_psf, strict=True)}
    columns |= {"shape_flag": bad, "shape_flag_no_pixels": found.flag == NO_SIGNAL}
    return columns | {"extendedness": np.where(bad, np.nan, extendedness)}


def _moments_of_sources(
    planes: Planes, sources: Sources, *, bits: MaskPlane, sigma: float, radius: int
) -> AdaptiveMoments:
    """Moments from cut-outs turned positive, one below the other."""
    n, side = len(sources), 2 * (radius + _MARGIN) + 1
    rows, columns = (np.floor(v + 0.5).astype(np.int64) for v in (sources.y, sources.x))
    values, spread, _ = cut_blocks(*planes.arrays, bits=int(bits), rows=rows, columns=columns, half=side // 2)
    values *= sources.sign.astype(np.float32)[:, None, None]
    x = sources.x - columns + side // 2
    y = sources.y - rows + side // 2 + side * np.arange(n)
    shape = n * side, side
    return adaptive_moments(values.reshape(shape), spread.reshape(shape), x, y, sigma_start=sigma, radius=radius)
