"""What fades is put into the template that an image difference has made for an injected image."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.errors import InputError
from diapipe.images import Exposure, MaskPlane, ObservationInfo
from diapipe.images.box import pixel_of
from diapipe.images.calibrated import flux_scale
from diapipe.images.sky import pixels_of_icrs
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.steps.inject import inject


def with_faded(template: Exposure, injected: Table, info: ObservationInfo) -> Exposure:
    """The template with the sources that faded since.

    They have the template's own PSF, and its photons as its variance tells them.

    Parameters
    ----------
    template
        Calibrated, on any grid.
    injected
        ``injected_source`` of the science image, with ``ra``, ``dec``, and ``flux`` in nJy, below zero for what faded.
        What falls on pixels without data is left out: nobody could tell that it is there.
    info
        Of the science image: the photons are drawn by its numbers.

    Raises
    ------
    InputError
        If the template has no WCS, no PSF or no calibration.
    """
    faded = injected[np.asarray(injected["is_faded"], dtype=np.bool_)]
    if not len(faded):
        return template
    if template.wcs is None or (template.photo_calib is None and template.unit != "nJy"):
        raise InputError(f"{template.name} has no WCS or no calibration; both are needed to put faded sources into it")
    x, y = pixels_of_icrs(template.wcs, np.asarray(faded["ra"]), np.asarray(faded["dec"]))
    there = _has_data(template, x, y)
    x, y, flux = x[there], y[there], -np.asarray(faded["flux"], dtype=np.float64)[there]
    rows = Table({"x": x, "y": y, "flux": flux / flux_scale(template, x=x, y=y)})
    return inject(template, rows, rng=np.random.default_rng([info.visit, info.detector, *b"faded"]))


def _has_data(template: Exposure, x: FloatArray, y: FloatArray) -> BoolArray:
    """Whether the pixels under places hold data."""
    found = template.box.holds(x, y)
    for i in np.flatnonzero(found):
        row, column = pixel_of(float(y[i])) - template.box.y0, pixel_of(float(x[i])) - template.box.x0
        found[i] = not template.masked_image.mask[row, column] & int(MaskPlane.NO_DATA)
    return found
