"""How far light goes on along the line through a source, and whether its ends are seen: trails end, lines do not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.images.triplets import SPOKE_EDGES_FWHM
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.classify.seen import Seen

_WIDTH_FWHM = 1.5
"""Of the strip that a line is looked for in."""
_DIRECTION, _HEIGHT = slice(0, 4), slice(0, 3)
"""Rings by which its direction is chosen, and by which its height: beyond the middle of the source."""
_REGIONS = {"middle": slice(3, 6), "far": slice(6, 8)}
"""Rings where trails end, and where none but the longest are."""
_DARK_SIGMA = 2.5
"""A line ends where there is less than half of its height, by so many sigma."""
_LEAST_PIXELS = 4.0
_LARGEST = 50.0
_UNSEEN = -2.0
"""Share of the height where no pixel tells."""


class _Strips(NamedTuple):
    """Sums of pulls and numbers of pixels along the two halves of the line, shape (2, n, rings)."""

    sums: FloatArray
    numbers: FloatArray

    def height(self, rings: slice) -> FloatArray:
        """Mean pull in some rings, NaN where hardly a pixel is seen; shape (2, n)."""
        sums, numbers = self.sums[:, :, rings].sum(axis=2), self.numbers[:, :, rings].sum(axis=2)
        return np.where(numbers >= _LEAST_PIXELS, sums / np.maximum(numbers, 1.0), np.nan)

    def significance(self, rings: slice) -> FloatArray:
        """S/N of the light in some rings; shape (2, n)."""
        return np.asarray(
            self.sums[:, :, rings].sum(axis=2) / np.sqrt(np.maximum(self.numbers[:, :, rings].sum(axis=2), 1.0))
        )


def end_features(seen: Seen) -> dict[str, FloatArray]:
    """Features of the best line through each source, shape (n,); of its two halves the smaller number comes first.

    ``strip_snr`` and ``strip_height`` are S/N and mean pull of the line near the source; ``reach_*`` how far its halves
    go, in FWHM, and ``reach_both`` their sum; ``dark_*`` the significance with which an end is seen; ``middle_*`` and
    ``far_*`` the light farther out over that near the source, ``far_snr_*`` its S/N.
    """
    strips, snr = _best_line(seen)
    height = np.nan_to_num(strips.height(_HEIGHT)).max(axis=0)
    reach, dark = _ends(strips, height)
    far = strips.significance(slice(4, 8))
    told = {"strip_snr": _bounded(snr), "strip_height": np.clip(height, 0.0, 20.0), "reach_both": reach.sum(axis=0)}
    told |= _sorted("reach", reach) | _sorted("dark", _bounded(dark)) | _sorted("far_snr", _bounded(far))
    for name, rings in _REGIONS.items():
        share = np.clip(strips.height(rings) / np.maximum(height, 1e-3), -1.0, 2.0)
        both = np.where(np.isnan(share), share[::-1], share)  # what is not seen is as the other half
        told |= _sorted(name, np.nan_to_num(both, nan=_UNSEEN))
    return told


def _best_line(seen: Seen) -> tuple[_Strips, FloatArray]:
    """The line of most significant light through each source, and its S/N."""
    sums, numbers = (_strips(seen.spokes[:, k]) for k in (0, 1))
    near, n = sums[:, _DIRECTION].sum(axis=1), numbers[:, _DIRECTION].sum(axis=1)
    snr = (near + _opposite(near)) / np.sqrt(np.maximum(n + _opposite(n), 1.0))
    best, k = snr.argmax(axis=1), np.arange(len(snr))
    other = (best + snr.shape[1] // 2) % snr.shape[1]
    halves = [np.stack([values[k, :, best], values[k, :, other]]) for values in (sums, numbers)]
    return _Strips(*halves), snr[k, best]


def _strips(values: FloatArray) -> FloatArray:
    """Sums over neighbouring sectors (n, rings, sectors), of as many as make a strip of one width."""
    sectors = values.shape[2]
    middle = 0.5 * (SPOKE_EDGES_FWHM[1:] + SPOKE_EDGES_FWHM[:-1])
    out = np.empty_like(values)
    for ring, radius in enumerate(middle):
        width = int(np.clip(round(_WIDTH_FWHM * sectors / (2.0 * np.pi * radius)), 1, sectors // 4))
        out[:, ring] = sum(np.roll(values[:, ring], shift, axis=1) for shift in range(-(width // 2), (width + 1) // 2))
    return out


def _ends(strips: _Strips, height: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far each half goes on, FWHM, and with what significance it is seen to end; shape (2, n)."""
    sums, numbers = strips.sums[:, :, 1:], strips.numbers[:, :, 1:]
    seen = numbers >= _LEAST_PIXELS
    lack = np.where(seen, (0.5 * height[:, None] * numbers - sums) / np.sqrt(np.maximum(numbers, 1.0)), 0.0)
    goes_on = np.logical_and.accumulate(lack <= _DARK_SIGMA, axis=2)
    reach = np.where(goes_on & seen, SPOKE_EDGES_FWHM[2:], SPOKE_EDGES_FWHM[1]).max(axis=2)
    return reach, lack.max(axis=2)


def _sorted(name: str, halves: FloatArray) -> dict[str, FloatArray]:
    """The smaller and the larger of the two."""
    return {f"{name}_less": halves.min(axis=0), f"{name}_more": halves.max(axis=0)}


def _bounded(snr: FloatArray) -> FloatArray:
    """An S/N within what is worth to tell apart."""
    return np.clip(snr, -_LARGEST, _LARGEST)


def _opposite(values: FloatArray) -> FloatArray:
    """What lies on the other side."""
    return np.roll(values, values.shape[1] // 2, axis=1)
