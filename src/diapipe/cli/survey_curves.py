"""Objects and light curves of a simulated survey on its page, with the truth as a line."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from astropy.table import Table

from diapipe.catalogs.light_curve import LightCurve, light_curve
from diapipe.cli.survey_objects import ObjectRecovery
from diapipe.cli.survey_truth import SurveyTruth
from diapipe.numerics.arrays import FloatArray
from diapipe.report import ObjectCurve
from diapipe.report.light_curves import light_curve_figure
from diapipe.simulate import SimulatedSurvey
from diapipe.simulate.light_curves import Changing

_N_TRANSIENTS, _N_VARIABLES, _N_ROWS = 4, 2, 15
_SLOW_DAYS = 2.0
"""Period from which on a line can be followed by eye."""
_SEASON_DAYS = 100.0
_LINE_POINTS = 400
_DPI = 110


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyCurves:
    """What was found, and what is true of it.

    Attributes
    ----------
    recovery
        Which object is what.
    dia_objects, forced_sources
        Of all patches.
    survey, truth
        What was simulated.
    """

    recovery: ObjectRecovery
    dia_objects: Table
    forced_sources: Table
    survey: SimulatedSurvey
    truth: SurveyTruth

    def headings(self) -> tuple[str, ...]:
        """Of the table of objects."""
        bands = (f"highest flux in {band} [nJy]" for band in self.survey.spec.bands)
        return ("diaObjectId", "in truth", "RA", "Dec", "sources", "best S/N", *bands)

    def rows(self) -> list[list[str]]:
        """The objects of highest signal to noise."""
        flash = np.asarray(self.truth.objects["is_flash"])
        kinds = {int(row["diaObjectId"]): str(row["kind"]) for row in self.recovery.pairs}
        kinds |= {int(row["diaObjectId"]): "flash" for row in self.recovery.pairs if flash[row["object_id"]]}
        objects = {int(row["diaObjectId"]): row for row in self.dia_objects}
        return [self._row(objects[number], snr, kinds.get(number, "-")) for number, snr in self._best()[:_N_ROWS]]

    def _row(self, found: Table.Row, snr: float, kind: str) -> list[str]:
        """One object."""
        own = self.forced_sources[np.asarray(self.forced_sources["diaObjectId"]) == found["diaObjectId"]]
        own = own[~np.asarray(own["psfFlux_flag"])]
        highest = [np.asarray(own["psfFlux"])[np.asarray(own["band"]) == band] for band in self.survey.spec.bands]
        fluxes = [f"{flux[np.argmax(np.abs(flux))]:.0f}" if len(flux) else "-" for flux in highest]
        place = [f"{found['ra']:.5f}°", f"{found['dec']:+.5f}°"]
        return [str(found["diaObjectId"]), kind, *place, str(found["nDiaSources"]), f"{snr:.0f}", *fluxes]

    def _best(self) -> list[tuple[int, float]]:
        """Objects and the highest signal to noise of their forced fluxes, that first."""
        good = self.forced_sources[~np.asarray(self.forced_sources["psfFlux_flag"])]
        ids, index = np.unique(np.asarray(good["diaObjectId"]), return_inverse=True)
        best = np.zeros(len(ids))
        np.maximum.at(best, index, np.abs(np.asarray(good["psfFlux"]) / np.asarray(good["psfFluxErr"])))
        order = np.argsort(-best, kind="stable")
        return [(int(ids[at]), float(best[at])) for at in order]

    def figures(self) -> list[ObjectCurve]:
        """Light curves of transients, and of variable stars slow enough to see, with the truth."""
        objects = self.truth.objects
        slow = np.asarray(objects["period_days"]) > _SLOW_DAYS
        flash = np.asarray(objects["is_flash"])
        true_of = dict(zip(*(self.recovery.pairs[name].tolist() for name in ("diaObjectId", "object_id")), strict=True))
        known = [(number, true_of[number]) for number, _ in self._best() if number in true_of]
        kinds = np.asarray(objects["kind"])
        transients = [pair for pair in known if kinds[pair[1]] == "transient" and not flash[pair[1]]]
        variables = [pair for pair in known if kinds[pair[1]] == "variable" and slow[pair[1]]]
        return [self._figure(*pair) for pair in (*transients[:_N_TRANSIENTS], *variables[:_N_VARIABLES])]

    def _figure(self, dia_object_id: int, object_id: int) -> ObjectCurve:
        """One of them."""
        of_template = {visit for weights in self.truth.template_weights.values() for visit in weights}
        curve = light_curve(self.forced_sources, dia_object_id, template_visits=of_template)
        kind = str(self.truth.objects["kind"][object_id])
        figure = light_curve_figure(
            curve,
            title=f"{kind} {object_id}, DIA object {dia_object_id}",
            expected=self._expected(curve, object_id),
            longest_gap_days=_SEASON_DAYS,
        )
        with BytesIO() as buffer:
            figure.savefig(buffer, format="png", dpi=_DPI)
            url = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
        return ObjectCurve(url=url, text=f"{kind}, {len(curve)} forced fluxes")

    def _expected(self, curve: LightCurve, object_id: int) -> dict[str, tuple[FloatArray, FloatArray]]:
        """By band: times, and flux less that of the template."""
        times = _times(curve.mjd)
        changing, index = self._changing(object_id)
        lines = {}
        for number, band in enumerate(self.survey.spec.bands):
            flux = [float(changing.flux(number, t)[index]) if np.isfinite(t) else np.nan for t in times]
            lines[band] = (times, np.array(flux) - self.truth.template_flux(np.array([object_id]), band))
        return lines

    def _changing(self, object_id: int) -> tuple[Changing, int]:
        """What an object of the truth is, and which of them."""
        sky = self.survey.sky
        n_transients = len(sky.transients.x)
        if object_id < n_transients:
            return sky.transients, object_id
        return sky.variables, object_id - n_transients


def _times(mjd: FloatArray) -> FloatArray:
    """Times of a line through every season, with a gap between them."""
    epochs = np.unique(mjd)
    seasons = np.split(epochs, np.flatnonzero(np.diff(epochs) > _SEASON_DAYS) + 1)
    lines = [np.append(np.linspace(part[0] - 2.0, part[-1] + 2.0, _LINE_POINTS), np.nan) for part in seasons]
    return np.concatenate(lines)
