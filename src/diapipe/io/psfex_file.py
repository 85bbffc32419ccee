"""PSFEx .psf files."""

from __future__ import annotations

import numpy as np
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.images.psf.psfex import PsfexPsf
from diapipe.io.fits_file import FitsFile, PathLike, opened

_ALONG_X = {"X_IMAGE", "XWIN_IMAGE", "XPEAK_IMAGE", "XMODEL_IMAGE", "XPSF_IMAGE"}
_ALONG_Y = {name.replace("X", "Y", 1) for name in _ALONG_X}
_FIRST_PIXEL = 1.0
"""FITS counts pixels from 1, diapipe from 0."""


def read_psfex(path: PathLike, *, x0: int = 0, y0: int = 0) -> PsfexPsf:
    """Read the model of a PSFEx file.

    Parameters
    ----------
    path
        The .psf file.
    x0, y0
        Place of the image's first pixel in its parent.

    Raises
    ------
    ReadError
        If the file has no PSF_MASK table, or its model depends on other things than the position on the image.
    """
    with opened(path) as file:
        number = _table_number(file)
        header, rows = file.header(number), file.table(number)
        images = np.array(rows["PSF_MASK"][0], dtype=np.float64)
    n_axes = int(header.get("POLNAXIS", 0))
    images = images.reshape(-1, *images.shape[-2:])
    sampling = float(header.get("PSF_SAMP", 1.0)) or 1.0
    if n_axes == 0:
        return PsfexPsf(images[:1], 0, 0.0, 0.0, 1.0, 1.0, sampling)
    names = [str(header.get(f"POLNAME{axis}", "")).strip().upper() for axis in range(1, n_axes + 1)]
    if n_axes != 2 or names[0] not in _ALONG_X or names[1] not in _ALONG_Y or int(header.get("POLNGRP", 1)) != 1:
        raise ReadError(
            f"{file.name}: the PSF depends on {', '.join(names)}; only X_IMAGE and Y_IMAGE in one group are understood"
        )
    zero = [float(header[f"POLZERO{axis}"]) - _FIRST_PIXEL for axis in (1, 2)]
    scale = [float(header[f"POLSCAL{axis}"]) for axis in (1, 2)]
    return PsfexPsf(images, int(header["POLDEG1"]), zero[0] + x0, zero[1] + y0, scale[0], scale[1], sampling)


def _table_number(file: FitsFile) -> int:
    for number, hdu in enumerate(file.hdus):
        if isinstance(hdu, fits.BinTableHDU) and "PSF_MASK" in hdu.columns.names:
            return number
    raise ReadError(f"{file.name} is no PSFEx file: no table has a column PSF_MASK")
