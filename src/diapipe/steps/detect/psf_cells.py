"""The PSF on a grid of squares over an image."""

from __future__ import annotations

import numpy as np

from diapipe.errors import PsfUndefinedError
from diapipe.images import Exposure
from diapipe.numerics.arrays import FloatArray


def cell_psfs(image: Exposure, side: int) -> tuple[FloatArray, int]:
    """PSF images at the centres of squares, shape (n, size, size), row by row, and how many are in a row.

    Where the PSF is undefined the nearest defined square's stands in.

    Raises
    ------
    PsfUndefinedError
        If the image has no PSF, or one that is defined nowhere.
    """
    psf, box = image.psf, image.box
    if psf is None:
        raise PsfUndefinedError(f"{image.name} has no PSF; finding sources needs one")
    tops, lefts = range(box.y0, box.y1, side), range(box.x0, box.x1, side)
    centers = [
        (0.5 * (x + min(x + side, box.x1) - 1), 0.5 * (y + min(y + side, box.y1) - 1)) for y in tops for x in lefts
    ]
    stamps: dict[int, FloatArray] = {}
    for i, (x, y) in enumerate(centers):
        try:
            stamps[i] = psf.kernel_image(x=x, y=y)
        except PsfUndefinedError:
            continue
    if not stamps:
        raise PsfUndefinedError(f"the PSF is defined nowhere on the {image.name} {box}")
    where = np.array(centers)
    known = np.array(list(stamps))
    nearest = [known[np.argmin(((where[known] - center) ** 2).sum(axis=1))] for center in where]
    return np.stack([stamps[int(i)] for i in nearest]), len(lefts)
