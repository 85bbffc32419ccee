"""A survey in memory, small enough for the tests of its pages: two detectors, six visits, a few objects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from astropy.table import Table
from tests.forced_tables import object_table

from diapipe.catalogs.dia_objects import dia_forced_source_table
from diapipe.catalogs.survey_units import Unit, survey_units
from diapipe.images import (
    Box,
    ChebyshevField,
    Difference,
    Exposure,
    GaussianPsf,
    MaskedImage,
    PhotoCalib,
    SpatialKernel,
)
from diapipe.io.exports import SurveyTables
from diapipe.numerics.arrays import FloatArray

SIDE = 80
VISITS, DETECTORS = (1, 2, 3, 4, 5, 6), (0, 1)
TEMPLATE_VISITS = frozenset({1, 2})
FAILED = Unit("SimCam", 6, 1)
ODD = Unit("SimCam", 5, 0)
PLACES = {101: (40.0, 40.0), 202: (20.0, 60.0), 303: (60.0, 15.0)}
"""Of objects on detector 0, by diaObjectId."""
PEAK_NJY = {101: 5000.0, 202: 900.0, 303: 200.0}
PIXEL_DEG = 0.2 / 3600.0


@dataclass
class SmallSurvey:
    """What pages read of a survey; ``n_reads`` counts the differences that were read."""

    repo: str = "somewhere/repo"
    collection: str = "diapipe/default"
    template_visits: frozenset[int] = TEMPLATE_VISITS
    n_reads: int = 0
    with_objects: bool = True
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    @cached_property
    def units(self) -> Table:
        """All but one were differenced; one has twice the noise of the others."""
        return survey_units([self._row(Unit("SimCam", v, d)) for v in VISITS for d in DETECTORS])

    def _row(self, unit: Unit) -> dict[str, object]:
        ra = 150.0 + PIXEL_DEG * SIDE * (np.array([0, 1, 1, 0]) + unit.detector)
        row = unit._asdict() | {
            "band": "ri"[unit.visit % 2],
            "mjd": 61000.0 + unit.visit + 300.0 * (unit.visit > 3),
            "inTemplate": unit.visit in self.template_visits,
            "outcome": "done",
            "pixelScale": 0.2,
            "psfFwhm": 1.0 + 0.01 * unit.visit,
            "raCorners": ra,
            "decCorners": 2.0 + PIXEL_DEG * SIDE * np.array([0, 0, 1, 1]),
        }
        if unit == FAILED:
            return row | {"outcome": "failed", "reason": "characterize: too few stars"}
        noise = 2.0 if unit == ODD else 1.0 + 0.002 * unit.visit
        return row | {"noiseRatio": noise, "differenceFwhm": 1.1, "nSources": 4.0, "kernelScale": 1.0}

    @cached_property
    def tables(self) -> SurveyTables:
        """Three objects on detector 0; the third was found once."""
        if not self.with_objects:
            return SurveyTables()
        rows = [(number, visit) for number in PLACES for visit in VISITS]
        ids, visits = np.array(rows).T
        shines = (visits > 3) & ((ids != 303) | (visits == 4))
        error = np.full(len(ids), 50.0)
        flux = np.where(shines, [PEAK_NJY[number] for number in ids], 0.0) + self.rng.normal(0.0, error)
        x, y = np.array([PLACES[number] for number in ids]).T
        columns = {
            "diaForcedSourceId": np.arange(1, len(ids) + 1),
            "diaObjectId": ids,
            "ra": 150.0 + PIXEL_DEG * x,
            "dec": 2.0 + PIXEL_DEG * y,
            "x": x,
            "y": y,
            "visit": visits,
            "detector": np.zeros(len(ids), int),
            "band": np.array(list("ri"))[visits % 2],
            "midpointMjdTai": 61000.0 + visits + 300.0 * (visits > 3),
            "psfFlux": flux,
            "psfFluxErr": error,
            "scienceFlux": flux + 100.0,
            "scienceFluxErr": error,
        }
        forced = dia_forced_source_table(columns, n=len(ids))
        objects = object_table(forced, bands=("r", "i"))
        objects["nDiaSources"] = [int(shines[ids == number].sum()) for number in objects["diaObjectId"]]
        sources = Table(
            {
                "diaSourceId": 1000 * ids[shines] + visits[shines],
                "diaObjectId": ids[shines],
                "visit": visits[shines],
                "detector": np.zeros(shines.sum(), int),
                "reliability": np.where(ids[shines] == 303, 0.1, 0.9),
            }
        )
        return SurveyTables(dia_objects=objects, dia_sources=sources, forced_sources=forced)

    def counts(self) -> list[tuple[str, dict[str, int]]]:
        """As a run has them."""
        return [("characterize", {"done": 11, "failed": 1}), ("imageDifference", {"done": 11})]

    def reasons(self) -> list[tuple[str, str]]:
        """One failure, one without work; the first with a word that a page must escape."""
        return [("failed", "1 characterize: <too few> stars (visit=6 detector=1)"), ("no work", "3 makeWarp: far away")]

    def _pixels(self, unit: Unit) -> FloatArray:
        """Noise and the objects, in counts of 2 nJy."""
        image = np.random.default_rng([unit.visit, unit.detector]).normal(0.0, 5.0, (SIDE, SIDE))
        for number, (x, y) in PLACES.items() if unit.detector == 0 and unit.visit > 3 else ():
            image += PEAK_NJY[number] / 2.0 * _psf(x, y)
        return image

    def difference(self, unit: Unit) -> Difference:
        """Of a flat template of 50 counts."""
        self.n_reads += 1
        exposure = _exposure(self._pixels(unit), PhotoCalib(2.0), "count")
        flat = np.full((SIDE, SIDE), 50.0, np.float32)
        return Difference(
            exposure=exposure,
            kernel=SpatialKernel.constant(np.ones((1, 1)), exposure.box),
            background=ChebyshevField.constant(0.0, exposure.box),
            convolved="template",
            matched_template=replace(exposure.masked_image, image=flat),
        )

    def science(self, unit: Unit) -> Exposure:
        """The difference above 100 nJy."""
        return _exposure(2.0 * self._pixels(unit) + 100.0, PhotoCalib(1.0), "nJy")

    def dia_sources(self, unit: Unit, columns: Collection[str] | None = None) -> Table:
        """The objects' sources of a visit, and a bad one."""
        found = self.tables.dia_sources
        ids = [] if found is None else np.asarray(found["diaObjectId"])[found["visit"] == unit.visit].tolist()
        ids = ids if unit.detector == 0 else []
        x, y = np.array([*(PLACES[number] for number in ids), (5.0, 5.0)]).T
        flux = np.array([*(PEAK_NJY[number] for number in ids), -300.0])
        whole = Table(
            {
                "diaSourceId": [*(1000 * number + unit.visit for number in ids), 7 * unit.visit + unit.detector],
                "x": x,
                "y": y,
                "ra": 150.0 + PIXEL_DEG * x,
                "dec": 2.0 + PIXEL_DEG * y,
                "psfFlux": flux,
                "psfFluxErr": np.full(len(x), 50.0),
                "snr": flux / 50.0,
                "dp_bad": np.arange(len(x)) == len(ids),
                "isNegative": flux < 0,
                "isDipole": np.zeros(len(x), bool),
            }
        )
        return whole[[name for name in whole.colnames if columns is None or name in columns]]

    def tract_outlines(self) -> tuple[Sequence[FloatArray], Sequence[FloatArray]]:
        """One tract of one patch around everything."""
        square = np.array([[149.99, 1.99], [150.02, 1.99], [150.02, 2.01], [149.99, 2.01]])
        return [square], [square]


def _exposure(image: FloatArray, calib: PhotoCalib, unit: str) -> Exposure:
    """Pixels of variance 25 with a calibration."""
    planes = MaskedImage.from_planes(image, variance=np.full(image.shape, 25.0), box=Box.from_shape(image.shape))
    return Exposure(name="made", masked_image=planes, psf=GaussianPsf(2.0, 21), photo_calib=calib, unit=unit)


def _psf(x: float, y: float) -> FloatArray:
    """A source of flux 1."""
    at_y, at_x = np.mgrid[:SIDE, :SIDE]
    return np.asarray(np.exp(-((at_x - x) ** 2 + (at_y - y) ** 2) / 8.0) / (8.0 * np.pi))
