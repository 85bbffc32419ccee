"""Units of a survey, the detectors of its visits, one row each: how the difference was made and how good it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from astropy.table import Table

from diapipe.catalogs.schema import Column
from diapipe.catalogs.tables import table_of_rows


class Unit(NamedTuple):
    """A detector of a visit."""

    instrument: str
    visit: int
    detector: int


SURVEY_UNITS: tuple[Column, ...] = (
    Column("instrument", "U32", "", "Name of the instrument"),
    Column("visit", "i8", "", "Identifier of the visit"),
    Column("detector", "i8", "", "Number of the detector"),
    Column("band", "U32", "", "Name of the filter band"),
    Column("mjd", "f8", "d", "Middle of the exposure, TAI"),
    Column("outcome", "U16", "", "How the difference ended: done, no work, failed, or missing"),
    Column("reason", "U512", "", "Why there is none"),
    Column("inTemplate", "?", "", "The visit is in its own template: what changed is fainter by its weight there"),
    Column("pixelScale", "f8", "arcsec", "Side of a pixel"),
    Column("psfFwhm", "f8", "arcsec", "FWHM of the PSF of the science image"),
    Column("templateFwhm", "f8", "arcsec", "FWHM of the PSF of the template, before the match"),
    Column("differenceFwhm", "f8", "arcsec", "FWHM of the PSF of the difference"),
    Column("skyBg", "f8", "", "Sky of the science image, counts"),
    Column("zeroPoint", "f8", "mag", "AB magnitude of a star of one count"),
    Column("magLim", "f8", "mag", "AB magnitude of a star of S/N 5 on the science image"),
    Column("templateMagLim", "f8", "mag", "The same on the template"),
    Column("differenceMagLim", "f8", "mag", "The same on the difference"),
    Column("nKernelStars", "f8", "", "Stars that the kernel was fitted to"),
    Column("kernelScale", "f8", "", "Flux scale by the kernel's sum over that by the stars; 1 at best"),
    Column("starReducedChi2", "f8", "", "Median reduced chi-square at bright stars of the difference; 1 at best"),
    Column("noiseRatio", "f8", "", "Scatter of the difference's pixels over what the variance claims; 1 at best"),
    Column("registrationRms", "f8", "arcsec", "Scatter between the stars of science image and template, per axis"),
    Column("nSources", "f8", "", "Sources found on the difference"),
    Column("nGood", "f8", "", "Those of them without dp_bad"),
    Column("seconds", "f8", "s", "CPU time of characterize and imageDifference"),
    Column("raCorners", "(4,)f8", "deg", "Corners, counted from the lowest x and y along x first"),
    Column("decCorners", "(4,)f8", "deg", "Corners, counted from the lowest x and y along x first"),
)
"""In their order."""


def survey_units(rows: Iterable[Mapping[str, Any]]) -> Table:
    """The table, by time, visit and detector; what a row lacks is NaN, False or "".

    Parameters
    ----------
    rows
        One mapping for each unit, by column name.

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    listed = sorted(rows, key=lambda row: (_time(row), row["visit"], row["detector"], row["instrument"]))
    return table_of_rows(SURVEY_UNITS, listed)


def unit_of(row: Mapping[str, Any]) -> Unit:
    """The unit of a row of any table that names it."""
    return Unit(str(row["instrument"]), int(row["visit"]), int(row["detector"]))


def _time(row: Mapping[str, Any]) -> float:
    """Time of a row, those without one last."""
    mjd = float(row.get("mjd", np.inf))
    return mjd if np.isfinite(mjd) else np.inf
