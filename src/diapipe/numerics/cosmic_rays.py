"""Cosmic rays: pixels that stand out of their surroundings more sharply than the PSF lets anything do."""

from __future__ import annotations

import numpy as np

from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.jit import inlined, jit

GROWTH_PASSES = 3
"""How often the neighbours of flagged pixels are looked at again, with the lower threshold."""

_LOOK = 64
"""Pixels that are passed over at once where none stands out."""

_EXPECTED_SEEDS = 65536
"""Room for the first look; where there are more, a second one follows."""


@inlined
def _is_sharp(
    image: Float32Array,
    variance: Float32Array,
    skip: MaskArray,
    skip_bits: int,
    flagged: MaskArray,
    bit: int,
    y: int,
    x: int,
    ratios: FloatArray,
    n_sigma: float,
    least: float,
) -> bool:
    """Whether pixel (y, x) exceeds the mean of two opposite neighbours by ``n_sigma`` more than a star can.

    A neighbour already flagged as part of a cosmic ray says nothing of what is under it: the opposite one stands alone.
    """
    spread = np.float64(variance[y, x])
    value = np.float64(image[y, x]) - least * np.sqrt(spread)
    if not value > 0.0:
        return False
    for direction in range(4):
        dy = 0 if direction == 0 else 1
        dx = 1 if direction == 0 else (0 if direction == 1 else (1 if direction == 2 else -1))
        total, noise, sides = 0.0, 0.0, 0
        usable = True
        for side in range(-1, 2, 2):
            r, c = y + side * dy, x + side * dx
            if (flagged[r, c] & bit) != 0:
                continue
            if (skip[r, c] & skip_bits) != 0 or not variance[r, c] > 0.0:
                usable = False
                break
            total += image[r, c]
            noise += variance[r, c]
            sides += 1
        if not usable or sides == 0:
            continue
        total /= sides
        noise /= sides * sides
        ratio = ratios[direction]
        if ratio * image[y, x] - total > n_sigma * np.sqrt(noise + ratio * ratio * spread) and total < ratio * value:
            return True
    return False


@jit
def _seeds(
    image: Float32Array,
    variance: Float32Array,
    mask: MaskArray,
    skip_bits: int,
    out: MaskArray,
    bit: int,
    ratios: FloatArray,
    n_sigma: float,
    floor_sigma: float,
    floor_value: float,
    found: IntArray,
) -> int:
    """Write the flat indices of the sharp pixels above the floors; how many there are, room for them or not.

    Pixels with ``bit`` in ``out`` are no neighbours.
    """
    n_rows, n_columns = image.shape
    n = 0
    floor, least, none = np.float32(floor_sigma * floor_sigma), np.float32(floor_value), np.float32(0.0)
    for y in range(1, n_rows - 1):
        values, spreads = image[y], variance[y]
        for first in range(1, n_columns - 1, _LOOK):
            last = min(first + _LOOK, n_columns - 1)
            seen = 0
            for x in range(first, last):
                seen += 1 if (values[x] > least) & (values[x] * values[x] > floor * spreads[x]) else 0
            if seen == 0:
                continue
            for x in range(first, last):
                value = values[x]
                if not (value > least and value * value > floor * spreads[x] and spreads[x] > none):
                    continue
                if (mask[y, x] & skip_bits) != 0:
                    continue
                if _is_sharp(image, variance, mask, skip_bits, out, bit, y, x, ratios, n_sigma, 1.0):
                    if n < len(found):
                        found[n] = y * n_columns + x
                    n += 1
    return n


@jit
def _grow(
    image: Float32Array,
    variance: Float32Array,
    mask: MaskArray,
    skip_bits: int,
    out: MaskArray,
    bit: int,
    seeds: IntArray,
    ratios: FloatArray,
    n_sigma: float,
    floor_sigma: float,
) -> int:
    """Flag the seeds, then their neighbours that are sharp once the seeds are taken away; how many were flagged."""
    n_rows, n_columns = image.shape
    for index in seeds:
        out[index // n_columns, index % n_columns] |= bit
    total = len(seeds)
    front = seeds
    for _ in range(GROWTH_PASSES):
        added = np.empty(8 * len(front), np.int64)
        n = 0
        for index in front:
            row, column = index // n_columns, index % n_columns
            for y in range(max(1, row - 1), min(n_rows - 1, row + 2)):
                for x in range(max(1, column - 1), min(n_columns - 1, column + 2)):
                    if (out[y, x] & bit) != 0 or (mask[y, x] & skip_bits) != 0 or not variance[y, x] > 0.0:
                        continue
                    if not image[y, x] > floor_sigma * np.sqrt(variance[y, x]):
                        continue
                    if _is_sharp(image, variance, mask, skip_bits, out, bit, y, x, ratios, n_sigma, 0.0):
                        added[n] = y * n_columns + x
                        n += 1
        for i in range(n):
            y, x = added[i] // n_columns, added[i] % n_columns
            if (out[y, x] & bit) == 0:
                out[y, x] |= bit
                total += 1
        front = added[:n]
        if n == 0:
            break
    return total


def neighbour_ratios(sigma: float, *, sharpness: float) -> FloatArray:
    """Most that the mean of two opposite neighbours may be, relative to the pixel, for it to be called sharp.

    The least that a star of Gaussian width ``sigma`` can show is exp(-d² / 2 sigma²) at distance d, with the star
    centred on the pixel; ``sharpness`` times that is asked for. Order: along x, along y, the two diagonals. Shape (4,).
    """
    beside, diagonal = np.exp(-0.5 / sigma**2), np.exp(-1.0 / sigma**2)
    return sharpness * np.array([beside, beside, diagonal, diagonal])


def ratios_of_psf(stamp: FloatArray, *, sharpness: float) -> FloatArray:
    """The same as `neighbour_ratios` for the PSF image itself; shape (4,). A ring below zero asks for nothing."""
    r = stamp.shape[0] // 2
    opposite = [((r, r - 1), (r, r + 1)), ((r - 1, r), (r + 1, r)), ((r - 1, r - 1), (r + 1, r + 1))]
    opposite.append(((r - 1, r + 1), (r + 1, r - 1)))
    return sharpness * np.array([max(0.5 * (stamp[a] + stamp[b]) / stamp[r, r], 0.0) for a, b in opposite])


def flag_cosmic_rays(
    image: Float32Array,
    *,
    variance: Float32Array,
    mask: MaskArray,
    skip_bits: int,
    out: MaskArray,
    bit: int,
    ratios: FloatArray,
    floor_sigma: float = 6.0,
    floor_value: float = 0.0,
    n_sigma: float = 3.0,
    grow_sigma: float = 3.0,
) -> int:
    """Set ``bit`` in ``out`` where a cosmic ray hit.

    Parameters
    ----------
    image
        Background-subtracted, shape (rows, columns).
    variance, mask
        Same shape.
    skip_bits
        Pixels that are neither flagged nor used as neighbours (saturated, bad).
    out, bit
        Mask that gets the bit, in place.
    ratios
        Most that opposite neighbours may be: `neighbour_ratios` or `ratios_of_psf`.
    floor_sigma
        Least signal-to-noise of a seed pixel.
    floor_value
        Least value of a seed pixel, not negative.
    n_sigma
        Certainty that the pixel is sharper than that.
    grow_sigma
        Least signal-to-noise of the further pixels of a hit.

    Returns
    -------
    int
        Number of pixels flagged.

    Notes
    -----
    The test on opposite neighbours is that of SDSS's photometric pipeline (Lupton et al. 2001); like the Laplacian of
    van Dokkum (2001) it measures curvature, but is scaled by the PSF's own, so that star cores are safe at any
    sampling.
    """
    seeds = np.empty(_EXPECTED_SEEDS, np.int64)
    no_bit = 0
    for _ in range(2):
        n = _seeds(image, variance, mask, skip_bits, out, no_bit, ratios, n_sigma, floor_sigma, floor_value, seeds)
        if n <= len(seeds):
            break
        seeds = np.empty(n, np.int64)
    return _grow(image, variance, mask, skip_bits, out, bit, seeds[:n], ratios, n_sigma, grow_sigma)
