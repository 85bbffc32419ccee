"""PSFs in a few numbers and one stamp each."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, Psf
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics.arrays import FloatArray

_AT = (0.1, 0.5, 0.9)
_STAMP_HALF_PX = 15
_CORE_HALF_PX = 5
_OVERSAMPLING = 6


def describe_psf(psf: Psf | None, box: Box) -> dict[str, Any] | None:
    """Width over the field and the stamp at the centre, peak 1.

    ``fwhm_px`` is the width at half of the maximum, which seeing is told by; ``noise_equivalent_fwhm_px`` that of the
    Gaussian of equal noise-equivalent area, which depth is told by and which is wider where a PSF has wings.
    None where there is no PSF, or where it is defined nowhere on a 3 x 3 grid.
    """
    if psf is None:
        return None
    stamps = _stamps(psf, box)
    if not stamps:
        return None
    widths = np.array([half_maximum_width(stamp) for stamp in stamps])
    equivalent = np.array([SIGMA_TO_FWHM / np.sqrt(4.0 * np.pi * (stamp**2).sum()) for stamp in stamps])
    middle = stamps[len(stamps) // 2]
    margin = max(0, len(middle) // 2 - _STAMP_HALF_PX)
    cut = middle[margin : len(middle) - margin, margin : len(middle) - margin]
    return {
        "fwhm_px": float(np.median(widths)),
        "fwhm_px_range": [float(widths.min()), float(widths.max())],
        "noise_equivalent_fwhm_px": float(np.median(equivalent)),
        "stamp": np.round(cut / cut.max(), 5),
    }


def half_maximum_width(stamp: FloatArray) -> float:
    """Diameter in pixels of the circle whose area is that of the pixels above half of the maximum.

    The area is counted on a cubic spline through the stamp, six points to a pixel along either axis: right to 1%
    from a FWHM of 2 px on.
    """
    middle, half = len(stamp) // 2, min(_CORE_HALF_PX, len(stamp) // 2)
    while half < len(stamp) // 2 and stamp[middle, middle + half] > 0.2 * stamp.max():
        half += 1
    core = stamp[middle - half : middle + half + 1, middle - half : middle + half + 1]
    fine = ndimage.zoom(core, _OVERSAMPLING, order=3, grid_mode=True, mode="nearest")
    area = np.count_nonzero(fine > 0.5 * fine.max()) / _OVERSAMPLING**2
    return float(2.0 * np.sqrt(area / np.pi))


def _stamps(psf: Psf, box: Box) -> list[FloatArray]:
    """Kernel images on a 3 x 3 grid, those that exist."""
    found = []
    for fy in _AT:
        for fx in _AT:
            try:
                found.append(psf.kernel_image(x=box.x0 + fx * box.width, y=box.y0 + fy * box.height))
            except PsfUndefinedError:
                continue
    return found
