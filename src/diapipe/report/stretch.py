"""From pixel values to palette entries: binning, stretches, palettes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.numerics.arrays import FloatArray, MaskArray, RealArray
from diapipe.numerics.stats import median, robust_sigma, thinned
from diapipe.report.png import ByteArray

NO_DATA_COLOUR = (116, 96, 134)
"""Drawn where there is no value: a muted violet, seen at once between greys."""
GAP_COLOUR = (168, 172, 178)
"""Drawn between the small images of a mosaic."""
_LAST = 255
_GREY_STEP = 4  # 64 greys: the eye sees no fewer, noise takes a quarter fewer bytes
_SAMPLE = 200_000


def grey_palette() -> ByteArray:
    """Entry 0 is "no data", 1 to 255 run from black to white."""
    palette = np.repeat(np.linspace(0, 255, 256).astype(np.uint8)[:, None], 3, axis=1)
    palette[0] = NO_DATA_COLOUR
    return palette


def diverging_palette() -> ByteArray:
    """Entry 0 is a gap, 1 to 255 run from blue (negative) by near-white (zero, entry 128) to red (positive)."""
    stops = np.array([[33, 60, 120], [94, 140, 190], [246, 246, 243], [214, 118, 88], [134, 26, 38]], dtype=np.float64)
    at = np.array([1.0, 64.0, 128.0, 192.0, 255.0])
    entries = np.arange(256.0)
    palette = np.stack([np.interp(entries, at, stops[:, channel]) for channel in range(3)], axis=1).astype(np.uint8)
    palette[0] = GAP_COLOUR
    return palette


def binned(image: RealArray, *, at_most: int, mask: MaskArray | None = None, bits: int = 0) -> RealArray:
    """The image averaged over square blocks so that neither side is longer than ``at_most`` pixels.

    Rows and columns that fill no block are left out; a NaN makes its block NaN, and so does a pixel with any of
    ``bits`` in its mask.
    """
    factor = max(1, -(-max(image.shape) // at_most))
    height, width = image.shape[0] // factor, image.shape[1] // factor
    rows = np.zeros((height, width * factor), image.dtype)
    for k in range(factor):
        every = np.s_[k : height * factor : factor, : width * factor]
        rows += image[every]
        if mask is not None:
            rows[(mask[every] & np.int32(bits)) != 0] = np.nan
    blocks = rows.reshape(height, width, factor) @ np.ones(factor, rows.dtype)
    return np.asarray(blocks / np.float32(factor * factor), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsinhStretch:
    """Linear within a few sigma of zero, logarithmic above: noise and bright stars both show.

    Attributes
    ----------
    sigma
        Noise of a pixel, positive; like the next two a number, or an array that broadcasts with the image.
    low_sigma, high_sigma
        Values drawn black and white, in sigma.
    soft_sigma
        Where the stretch turns from linear to logarithmic, in sigma.
    """

    sigma: float | RealArray
    low_sigma: float | RealArray = -6.0
    high_sigma: float | RealArray = 150.0
    soft_sigma: float = 3.0

    @classmethod
    def of_noise(cls, image: RealArray, *, high_sigma: float = 150.0) -> AsinhStretch:
        """The stretch for an image, from the robust scatter of its pixels."""
        sigma = robust_sigma(thinned(image, _SAMPLE))
        return cls(sigma=sigma if sigma > 0 else 1.0, high_sigma=high_sigma)

    def indices(self, image: RealArray) -> ByteArray:
        """Palette entries 1 to 255 of zero-sky pixels; 0 where there is no value."""
        low, high = (np.arcsinh(np.float32(end) / self.soft_sigma) for end in (self.low_sigma, self.high_sigma))
        scaled = np.arcsinh(np.asarray(image, dtype=np.float32) / np.float32(self.sigma * self.soft_sigma))
        return _to_entries((scaled - low) / (high - low))


def without_sky(image: RealArray) -> RealArray:
    """The image less the median of its pixels, so that images of different sky compare at one stretch."""
    level = median(thinned(image, _SAMPLE))
    return image - np.float32(level) if np.isfinite(level) else image


def symmetric_indices(image: FloatArray, *, limit: float, power: float = 1.0) -> ByteArray:
    """Entries for a diverging palette: zero in the middle, ``±limit`` at the ends; ``power`` < 1 lifts the faint."""
    relative = np.clip(np.asarray(image, dtype=np.float64) / limit, -1.0, 1.0)
    return _to_entries(0.5 + 0.5 * np.sign(relative) * np.abs(relative) ** power)


def _to_entries(fraction: RealArray) -> ByteArray:
    """Fractions 0 to 1 as entries 1 to 255, NaN as 0."""
    entries = np.clip(fraction, 0.0, 1.0) * (_LAST - 1) + 1.5
    return np.where(np.isfinite(fraction), entries, 0.0).astype(np.uint8)


def in_fewer_greys(entries: ByteArray) -> ByteArray:
    """Palette entries in fewer greys; 0, no data, stays."""
    return entries - (entries - (entries > 0)) % _GREY_STEP
