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
        By diaObjectId: visits of its sources.
    """

    table: Table
    best_snr: FloatArray
    peak: FloatArray
    peak_err: FloatArray
    n_epochs: IntArray
    curves: Mapping[int, LightCurve]
    forced_sources: Table
    detections: Mapping[int, frozenset[int]]

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
        return cls(
            table=objects[order] if len(objects) else objects,
            best_snr=snr,
            peak=peak,
            peak_err=error,
            n_epochs=n.astype(np.int64),
            curves=curves,
            forced_sources=forced,
            detections=_detections(tables.dia_sources),
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


def _detections(dia_sources: Table | None) -> dict[int, frozenset[int]]:
    """Visits on which each object was found."""
    found: dict[int, set[int]] = defaultdict(set)
    if dia_sources is not None:
        for number, visit in zip(*(np.asarray(dia_sources[n]).tolist() for n in ("diaObjectId", "visit")), strict=True):
            found[number].add(visit)
    return {number: frozenset(visits) for number, visits in found.items()}
