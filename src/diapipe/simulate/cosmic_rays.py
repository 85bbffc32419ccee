"""Cosmic rays: charge along short tracks, sharper than any star."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images import Box
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray

_POINT_FRACTION = 0.4  # steep hits of one to a few pixels
_MEAN_LENGTH_PX = 9.0
_MEDIAN_ELECTRONS_PX = 1500.0
_STEPS_PX = 12
_DIFFUSION_PX = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class CosmicRays:
    """Cosmic rays of one image; shape (n,) each.

    Attributes
    ----------
    x, y
        Middle of the track.
    electrons
        Charge left on the frame.
    n_pix
        Pixels that took charge.
    is_masked
        Whether the mask knows of it.
    pixels
        Flat index of every pixel hit by a masked one.
    """

    x: FloatArray
    y: FloatArray
    electrons: FloatArray
    n_pix: IntArray
    is_masked: BoolArray
    pixels: IntArray


def add_cosmic_rays(charge: Float32Array, *, n: int, unmasked_fraction: float, rng: np.random.Generator) -> CosmicRays:
    """Add the charge of ``n`` random cosmic rays to an image of electrons (changed in place) and say where they are."""
    box = Box.from_shape(charge.shape)
    x, y = rng.uniform(0, box.width - 1, n), rng.uniform(0, box.height - 1, n)
    is_point = rng.random(n) < _POINT_FRACTION
    length = np.where(is_point, rng.uniform(0.2, 2.0, n), 2.0 + rng.exponential(_MEAN_LENGTH_PX, n))
    angle = rng.uniform(0.0, np.pi, n)
    density = _MEDIAN_ELECTRONS_PX * np.exp(0.7 * rng.standard_normal(n))
    unmasked = np.zeros(n, dtype=bool)
    unmasked[rng.permutation(n)[: round(unmasked_fraction * n)]] = True
    electrons, n_pix, hit = np.zeros(n), np.zeros(n, np.int64), [np.zeros(0, np.int64)]
    for i in range(n):
        pixels, deposit = _track(box, x[i], y[i], length[i], angle[i], density[i], rng)
        charge.ravel()[pixels] += deposit.astype(np.float32)
        electrons[i], n_pix[i] = deposit.sum(), len(pixels)
        if not unmasked[i]:
            hit.append(pixels)
    return CosmicRays(x, y, electrons, n_pix, ~unmasked, np.concatenate(hit))


def _track(
    box: Box, x: float, y: float, length: float, angle: float, density: float, rng: np.random.Generator
) -> tuple[IntArray, FloatArray]:
    """Flat pixel indices of one track and the electrons in each: ionisation in clumps, spread a little by diffusion."""
    n_steps = max(4, round(length * _STEPS_PX))
    along = (rng.random(n_steps) - 0.5) * length
    columns = np.rint(x + along * np.cos(angle) + _DIFFUSION_PX * rng.standard_normal(n_steps)).astype(np.int64)
    rows = np.rint(y + along * np.sin(angle) + _DIFFUSION_PX * rng.standard_normal(n_steps)).astype(np.int64)
    inside = (columns >= 0) & (columns < box.width) & (rows >= 0) & (rows < box.height)
    pixels, which = np.unique((rows * box.width + columns)[inside], return_inverse=True)
    deposit = np.bincount(which, minlength=len(pixels)) * (density * max(length, 1.0) / n_steps)
    return pixels, np.asarray(deposit, dtype=np.float64)
