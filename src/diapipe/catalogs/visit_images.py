"""VisitImages: what is known of the images of visits without opening them, and the table of those that are taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from diapipe.catalogs.schema import Column
from diapipe.catalogs.tables import table_of
from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray

type TextArray = NDArray[np.str_]

TEMPLATE_VISITS: tuple[Column, ...] = (
    Column("instrument", "U32", "", "Name of the instrument, of which visit and detector are"),
    Column("visit", "i8", "", "Identifier of the visit"),
    Column("detector", "i4", "", "Number of the detector"),
    Column("selected", "?", "", "The image is an input of the coadd"),
    Column("reason", "U128", "", "Why it is not; empty where it is"),
    Column("psfFwhm", "f8", "pix", "Full width at half maximum of its PSF, in its own pixels"),
    Column("mjd", "f8", "d", "Middle of the exposure, TAI"),
    Column("weight", "f8", "1/nJy2", "One over the variance of a pixel of its sky; 0 where it is not selected"),
)
"""In their order."""


@dataclass(frozen=True, slots=True, eq=False)
class VisitImages:
    """One or more tables ``visit_summary``, one below the other: a row is an image, a detector of a visit.

    Attributes
    ----------
    table
        With the columns of `diapipe.catalogs.visit_summaries.VISIT_SUMMARY`; those that nobody asks for may be missing.
    """

    table: Table

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> FloatArray:
        """Numbers of a column, NaN where they are missing; shape (n,) or (n, k).

        Raises
        ------
        InputError
            If the table has no such column.
        """
        if name not in self.table.colnames:
            raise InputError(f"visit_summary has no column {name}, by which images are to be selected")
        return np.ma.filled(np.ma.asarray(self.table[name], dtype=np.float64), np.nan).astype(np.float64)

    def has(self, name: str) -> bool:
        """Whether there is a column of that name."""
        return name in self.table.colnames

    def rows(self, which: BoolArray) -> VisitImages:
        """Some of the images."""
        return VisitImages(self.table[which])

    @property
    def visit(self) -> IntArray:
        """Of which visit each is."""
        return np.asarray(self.table["visit"], dtype=np.int64)

    @property
    def detector(self) -> IntArray:
        """Of which detector each is."""
        return np.asarray(self.table["id"], dtype=np.int64)

    @property
    def instrument(self) -> TextArray:
        """Of which instrument each is; "" where the table does not say."""
        if not self.has("instrument"):
            return np.zeros(len(self), dtype="U32")
        return np.ma.filled(np.ma.asarray(self.table["instrument"]), "").astype("U32")

    @property
    def flux_scale(self) -> IntArray:
        """Images of one number, from 0, are of one instrument and on one flux scale; shape (n,).

        Those are the ones that have true nJy, and each `component` of those that have not; all, where the tables do not
        speak of it.
        """
        scale = np.zeros(len(self), dtype=np.int64)
        if self.has("component") and self.has("isAbsolute"):
            relative = self.column("isAbsolute") == 0.0
            scale = np.where(relative, 2 + self.column("component"), 0).astype(np.int64)
        _, instrument = np.unique(self.instrument, return_inverse=True)
        _, found = np.unique(np.stack([instrument, scale]), axis=1, return_inverse=True)
        return np.asarray(found, dtype=np.int64).reshape(len(self))

    @property
    def mjd(self) -> FloatArray:
        """Middle of the exposure, TAI days."""
        return self.column("mjd")

    @property
    def fwhm_px(self) -> FloatArray:
        """Full width at half maximum of the PSF, in pixels of the image."""
        return self.column("psfFwhm")

    @property
    def fwhm_arcsec(self) -> FloatArray:
        """Full width at half maximum of the PSF, in arcsec."""
        return self.fwhm_px * self.column("pixelScale")

    @property
    def sky_weight(self) -> FloatArray:
        """One over the variance of a pixel of the sky, nJy⁻²; NaN where noise or scale are unknown."""
        if not (self.has("skyNoise") and self.has("nJyPerCount")):
            return np.full(len(self), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = (self.column("skyNoise") * self.column("nJyPerCount")) ** -2.0
        return np.where(np.isfinite(weight), weight, np.nan)

    def template_visits(self, reasons: TextArray) -> Table:
        """Table of the choice; an image is taken where there is no reason against it."""
        selected = reasons == ""
        columns = {
            "instrument": self.instrument,
            "visit": self.visit,
            "detector": self.detector,
            "selected": selected,
            "reason": reasons,
            "psfFwhm": self.fwhm_px,
            "mjd": self.mjd,
            "weight": np.where(selected, self.sky_weight, 0.0),
        }
        return table_of(TEMPLATE_VISITS, columns, n=len(self))
