"""Objects of a survey as its pages tell of them: how bright, how often seen, with their light curves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from diapipe.catalogs.light_curve import LightCurve, light_curves
from diapipe.io.exports import SurveyTables
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.report.rows import column


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyObjects:
    """The objects of a survey, the most significant first.

    Attributes
    ----------
    table
        Rows of ``dia_object``, in this order.
    best_snr, peak, peak_err
        Of the forced flux of highest signal-to-noise ratio on a difference; shape (n,).
    n_epochs
        Forced fluxes that are good.
    curves
        By diaObjectId.
    forced_sources
        Of all objects.
    detections
        By diaObjectId and visit: diaSourceId of what was found there.
    reliability
        Median of that of its sources, shape (n,); NaN where nobody told.
    """

    table: Table
    best_snr: FloatArray
    peak: FloatArray
    peak_err: FloatArray
    n_epochs: IntArray
    curves: Mapping[int, LightCurve]
    forced_sources: Table
    detections: Mapping[int, Mapping[int, int]]
    reliability: FloatArray

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def of(cls, tables: SurveyTables, template_visits: frozenset[int]) -> SurveyObjects:
        """Out of the tables of a survey; none where there are none."""
        objects = Table() if tables.dia_objects is None else tables.dia_objects
        forced = Table() if tables.forced_sources is None else tables.forced_sources
        made: Iterable[LightCurve] = ()
        if len(forced):
            made = light_curves(forced, template_visits=template_visits)
        curves = {curve.dia_object_id: curve for curve in made}
        ids = np.asarray(objects["diaObjectId"]).tolist() if len(objects) else []
        best = np.array([_best(curves.get(number)) for number in ids]).reshape(-1, 4)
        order = np.argsort(-np.abs(best[:, 0]), kind="stable")
        snr, peak, error, n = best[order].T
        reliable = _reliability(tables.dia_sources)
        return cls(
            table=objects[order] if len(objects) else objects,
            best_snr=snr,
            peak=peak,
            peak_err=error,
            n_epochs=n.astype(np.int64),
            curves=curves,
            forced_sources=forced,
            detections=_detections(tables.dia_sources),
            reliability=np.array([reliable.get(ids[place], np.nan) for place in order]),
        )

    @property
    def ids(self) -> list[int]:
        """Their diaObjectId, in order."""
        return [int(number) for number in self.table["diaObjectId"]] if len(self) else []

    @property
    def n_sources(self) -> FloatArray:
        """How often each was found."""
        return column(self.table, "nDiaSources")

    @property
    def positions(self) -> FloatArray:
        """Right ascension and declination, degrees, shape (n, 2)."""
        return np.stack([column(self.table, "ra"), column(self.table, "dec")], axis=1)

    def row_of(self, dia_object_id: int) -> int:
        """Place of an object; -1 where there is no such."""
        ids = self.ids
        return ids.index(dia_object_id) if dia_object_id in ids else -1


def _best(curve: LightCurve | None) -> tuple[float, float, float, int]:
    """Signal-to-noise ratio, flux and error of the most significant epoch, and how many are good."""
    if curve is None or not curve.is_measured.any():
        return 0.0, np.nan, np.nan, 0
    good = curve.measured()
    snr = good.flux / good.flux_err
    at = int(np.argmax(np.abs(snr)))
    return float(snr[at]), float(good.flux[at]), float(good.flux_err[at]), len(good)


def _detections(dia_sources: Table | None) -> dict[int, dict[int, int]]:
    """By diaObjectId and visit: the source."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    if dia_sources is not None:
        names = ("diaObjectId", "visit", "diaSourceId")
        for number, visit, source in zip(*(np.asarray(dia_sources[n]).tolist() for n in names), strict=True):
            found[number][visit] = source
    return dict(found)


def _reliability(dia_sources: Table | None) -> dict[int, float]:
    """By diaObjectId: median of the reliability of its sources, where they have one."""
    if dia_sources is None or "reliability" not in dia_sources.colnames:
        return {}
    found: dict[int, list[float]] = defaultdict(list)
    values = column(dia_sources, "reliability").tolist()
    for number, value in zip(np.asarray(dia_sources["diaObjectId"]).tolist(), values, strict=True):
        if np.isfinite(value):
            found[number].append(value)
    return {number: float(np.median(known)) for number, known in found.items()}
