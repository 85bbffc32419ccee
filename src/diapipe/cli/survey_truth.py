"""What is true of the differences of a simulated survey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Column, Table

from diapipe.images import UNUSABLE_DIFFERENCE, Difference, MaskPlane
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.simulate.truth import planes_around

_STREAK_FWHM = 3.0
"""Sources this near to a satellite's trail belong to it."""
_CORE_PX = 2
_GAP = MaskPlane.NO_DATA | MaskPlane.EDGE | MaskPlane.NO_DATA.of_template
"""Planes of pixels that no difference can be made of."""


@dataclass(frozen=True, slots=True, eq=False)
class SurveyTruth:
    """What is true of all exposures of a survey.

    Attributes
    ----------
    fluxes, objects, trails
        Tables of `diapipe.simulate.survey`, and the ends of trails on every detector.
    template_weights
        By band and visit: weight of the visit in the template.
    """

    fluxes: Table
    objects: Table
    trails: Table
    template_weights: Mapping[str, Mapping[int, float]]

    def expected(self, difference: Difference, visit: int, detector: int, band: str) -> Table:
        """What fluxes on a difference would be without noise, in nJy, at the places of all that ever changes.

        The template's flux of a variable star is the weighted mean of its visits; of transients and moving objects it
        has none, as they are on one of its visits at most. ``is_known`` is False where the truth is not: where the
        template leaves a visit out, CLIPPED, as it does with a star that was bright in one of three; next to pixels
        that the template lacks; on pixels that were spoilt; and for what is left of a flash on a night of the template,
        whose flux is NaN. Nobody must find these, and who does has found something real.
        """
        rows = self.fluxes[(self.fluxes["visit"] == visit) & (self.fluxes["detector"] == detector)]
        is_flash = np.asarray(self.objects["is_flash"])[np.asarray(rows["object_id"])]
        template = np.where(is_flash, np.nan, self.template_flux(np.asarray(rows["object_id"]), band))
        change = np.asarray(rows["flux"]) - template
        x, y = np.asarray(rows["x"]), np.asarray(rows["y"])
        spoilt = (np.asarray(rows["mask"]) & int(UNUSABLE_DIFFERENCE)) != 0
        mixed = (np.asarray(rows["kind"]) == "variable") & _has(difference, x, y, MaskPlane.CLIPPED)
        known = ~is_flash & ~spoilt & ~mixed & ~_has(difference, x, y, _GAP)
        kept = {name: rows[name] for name in ("object_id", "kind", "visit", "detector", "ra", "dec", "x", "y")}
        return Table(kept | {"flux": Column(change, unit="nJy"), "is_known": known})

    def without_trails(self, dia_sources: Table, visit: int, detector: int) -> Table:
        """The sources that lie on no satellite's trail."""
        on_trail: BoolArray = np.zeros(len(dia_sources), np.bool_)
        x, y = np.asarray(dia_sources["x"]), np.asarray(dia_sources["y"])
        for row in self.trails[(self.trails["visit"] == visit) & (self.trails["detector"] == detector)]:
            along = np.array([row["x1"] - row["x0"], row["y1"] - row["y0"]])
            distance = np.abs((x - row["x0"]) * along[1] - (y - row["y0"]) * along[0]) / np.hypot(*along)
            on_trail |= distance < _STREAK_FWHM * row["width"]
        return dia_sources[~on_trail]

    def template_flux(self, object_ids: IntArray, band: str) -> FloatArray:
        """Flux of objects in the template of a band."""
        weights = self.template_weights.get(band, {})
        total, flux = np.zeros(len(self.objects)), np.zeros(len(self.objects))
        is_variable = np.asarray(self.fluxes["kind"]) == "variable"
        for visit, weight in weights.items():
            there = self.fluxes[is_variable & (np.asarray(self.fluxes["visit"]) == visit)]
            np.add.at(flux, np.asarray(there["object_id"]), weight * np.asarray(there["flux"]))
            np.add.at(total, np.asarray(there["object_id"]), weight)
        mean = np.divide(flux, total, out=np.zeros_like(flux), where=total > 0)
        return np.asarray(mean[object_ids])


def changes_of(expected: Table) -> Table:
    """What has truly changed, of what `SurveyTruth.expected` tells."""
    return expected[np.asarray(expected["flux"]) != 0]


def _has(difference: Difference, x: FloatArray, y: FloatArray, planes: MaskPlane) -> BoolArray:
    """Whether the pixels next to positions have any of some planes."""
    pixels = difference.exposure.masked_image
    around = planes_around(pixels.mask, pixels.box, x=x, y=y, half=_CORE_PX)
    return np.asarray((around & int(planes)) != 0)
