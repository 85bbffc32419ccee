"""An exposure as a telescope leaves it: one image with its WCS and the usual cards."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from diapipe.images.exposure import Exposure
from diapipe.io import celestial
from diapipe.io.atomic import replacing
from diapipe.io.difference_layout import observation_cards
from diapipe.io.fits_file import PathLike


def write_plain_image(exposure: Exposure, path: PathLike, *, cards: Mapping[str, str | int | float]) -> None:
    """Write pixels, WCS and what `ObservationInfo` knows as cards that any program reads; no plane, PSF or calibration.

    Parameters
    ----------
    exposure
        What to write; NaN marks pixels without value.
    path
        FITS file with one image, replaced only when the new one is whole.
    cards
        More cards, such as INSTRUME.

    Raises
    ------
    WriteError
        If the file cannot be written; nothing is left then.
    """
    header = fits.Header() if exposure.wcs is None else celestial.wcs_cards(exposure.wcs, exposure.box)
    header.update(cards)
    header.update(observation_cards(exposure.info))
    header["BUNIT"] = exposure.unit
    pixels = exposure.masked_image.image.view()
    pixels.flags.writeable = False  # else astropy swaps the caller's bytes in place while it writes
    with replacing(path) as aside, warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        fits.PrimaryHDU(pixels, header).writeto(aside, output_verify="silentfix")
