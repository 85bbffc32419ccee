"""LSST afw exposures: what their archive of persisted objects says."""

from __future__ import annotations

from diapipe.images.exposure import Exposure
from diapipe.io.fits_file import FitsFile


def has_archive(file: FitsFile) -> bool:
    """Whether the file has an archive of persisted objects."""
    return "AR_HDU" in file.header(0)


def completed(exposure: Exposure, file: FitsFile) -> Exposure:
    """The exposure with what the archive holds of it."""
    return exposure
