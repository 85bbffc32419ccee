"""PSFs in a few numbers and one stamp each."""

from __future__ import annotations

from typing import Any

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, Psf
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics.arrays import FloatArray

_AT = (0.1, 0.5, 0.9)
_STAMP_HALF_PX = 15


def describe_psf(psf: Psf | None, box: Box) -> dict[str, Any] | None:
    """Width over the field (of the Gaussian of equal noise-equivalent area) and the stamp at the centre, peak 1.

    None where there is no PSF, or where it is defined nowhere on a 3 x 3 grid.
    """
    if psf is None:
        return None
    widths = _widths(psf, box)
    if not len(widths):
        return None
    stamp = _centre_stamp(psf, box)
    return {
        "fwhm_px": SIGMA_TO_FWHM * float(np.median(widths)),
        "fwhm_px_range": [SIGMA_TO_FWHM * float(widths.min()), SIGMA_TO_FWHM * float(widths.max())],
        "stamp": None if stamp is None else np.round(stamp / stamp.max(), 5),
    }


def _widths(psf: Psf, box: Box) -> FloatArray:
    """Gaussian sigmas on a 3 x 3 grid, those that exist."""
    found = []
    for fy in _AT:
        for fx in _AT:
            try:
                found.append(psf.sigma_at(x=box.x0 + fx * box.width, y=box.y0 + fy * box.height))
            except PsfUndefinedError:
                continue
    return np.array(found)


def _centre_stamp(psf: Psf, box: Box) -> FloatArray | None:
    """The kernel image at the centre of the field, cut to what a page shows."""
    try:
        image = psf.kernel_image(x=box.x_center, y=box.y_center)
    except PsfUndefinedError:
        return None
    margin = max(0, psf.size // 2 - _STAMP_HALF_PX)
    return image[margin : psf.size - margin, margin : psf.size - margin]
