"""How well the differences of a simulated survey recover its truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from diapipe.cli.truth import Matches, Recovery, recovery
from diapipe.images import Box, Difference, MaskPlane
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray

_STREAK_FWHM = 3.0
"""Sources this near to a satellite's trail belong to it."""
_CORE_PX = 2
_COVERED = int(MaskPlane.NO_DATA | MaskPlane.EDGE)


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
        has none, as they are on one of its visits at most. Where the template leaves a visit out, CLIPPED, as it does
        with a star that was bright in one of three, the change is another: it is real, but ``snr_true`` is 0. So is one
        next to pixels that the template lacks, and what is left of a flash on a night of the template, of unknown flux,
        NaN: nobody must find it, and who does has found something real.
        """
        rows = self.fluxes[(self.fluxes["visit"] == visit) & (self.fluxes["detector"] == detector)]
        is_flash = np.asarray(self.objects["is_flash"])[np.asarray(rows["object_id"])]
        template = np.where(is_flash, np.nan, self.template_flux(np.asarray(rows["object_id"]), band))
        change = np.asarray(rows["flux"]) - template
        x, y = np.asarray(rows["x"]), np.asarray(rows["y"])
        error, covered = _noise(difference, x, y)
        known = covered & ~is_flash & ~((np.asarray(rows["kind"]) == "variable") & _clipped(difference, x, y))
        snr = np.where(known, change / error, 0.0)
        kept = {name: rows[name] for name in ("object_id", "kind", "visit", "detector", "ra", "dec", "x", "y", "mask")}
        return Table(kept | {"flux": change, "snr_true": snr, "is_known": known})

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectorRecovery:
    """One difference against the truth."""

    visit: int
    detector: int
    band: str
    found: Matches


def changes_of(expected: Table) -> Table:
    """What has truly changed, of what `SurveyTruth.expected` tells: the table that `matches` wants."""
    return expected[np.asarray(expected["flux"]) != 0]


def by_band(detectors: Sequence[DetectorRecovery]) -> dict[str, Recovery]:
    """The sum of all differences, band by band, in the order in which bands appear."""
    bands = dict.fromkeys(found.band for found in detectors)
    return {band: recovery([d.found for d in detectors if d.band == band]) for band in bands}


def _noise(difference: Difference, x: FloatArray, y: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Error in nJy of the PSF flux at positions, from the difference's own variance; whether the template is there."""
    planes, psf, calib = difference.exposure.masked_image, difference.exposure.psf, difference.exposure.photo_calib
    assert psf is not None  # a calibrated difference has both
    assert calib is not None
    error, covered = np.full(len(x), np.inf), np.zeros(len(x), np.bool_)
    half = psf.size // 2
    for i in range(len(x)):
        at = Box.around(x=float(x[i]), y=float(y[i]), half=half)
        box = at.intersect(planes.box)
        if box is None:
            continue
        cut = planes[box]
        profile = psf.image_at(x=float(x[i]), y=float(y[i]))[box.slices_in(at)]
        good = np.isfinite(cut.variance) & (cut.variance > 0)
        error[i] = 1.0 / np.sqrt((profile[good] ** 2 / cut.variance[good]).sum())
        core = _core(planes.box, x[i], y[i])
        covered[i] = core is not None and not (planes[core].mask & _template_gap()).any()
    return error * calib.at(x=x, y=y), covered


def _clipped(difference: Difference, x: FloatArray, y: FloatArray) -> BoolArray:
    """Whether the template leaves out a visit at positions."""
    planes = difference.exposure.masked_image
    cores = [_core(planes.box, *position) for position in zip(x, y, strict=True)]
    clipped = [core is not None and bool((planes[core].mask & MaskPlane.CLIPPED).any()) for core in cores]
    return np.array(clipped, dtype=np.bool_)


def _core(box: Box, x: float, y: float) -> Box | None:
    """The pixels next to a position; None outside the image."""
    return Box.around(x=float(x), y=float(y), half=_CORE_PX).intersect(box)


def _template_gap() -> int:
    """Planes of pixels that no difference can be made of."""
    return _COVERED | int(MaskPlane.NO_DATA.of_template)
