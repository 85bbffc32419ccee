"""simulate_survey: nights of exposures of one field, and the truth about everything on them.

Tables of truth: positions are ICRS degrees, fluxes nJy, magnitudes AB.

``stars``
    id ra dec flux_<band> mag_<band> is_variable (its fluxes are then those of the mean magnitude).
``galaxies``
    id ra dec flux_<band> mag_<band> half_light_arcsec axis_ratio sersic_index.
``objects`` (what changes)
    id kind ("transient", "variable", "moving") ra dec (of moving ones at the time ``mjd``) peak_flux_<band> (highest
    flux) mjd (of a transient's peak) on_host is_flash (on one night of the template alone) star_id (of variables, else
    -1) period_days.
``visits``
    visit night band mjd is_for_template ra dec rotation_deg fwhm_px sky_counts zero_point_mag nJyPerCount n_trails.
``SurveyFrame.changes``
    One row for each object on the exposure: object_id kind visit detector band mjd ra dec x y (where it was drawn) flux
    (0 where it is not there) flux_err (of an ideal PSF fit with the true PSF and noise, the object's own included) mask
    (planes within two pixels).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Table, vstack

from diapipe.errors import UsageError
from diapipe.images.sky import icrs_of
from diapipe.numerics.arrays import FloatArray, IntArray
from diapipe.simulate.survey_frames import KINDS, SurveyFrame, render
from diapipe.simulate.survey_sky import SurveySky, random_sky
from diapipe.simulate.survey_spec import SurveySpec
from diapipe.simulate.survey_visits import Visit, random_visits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedSurvey:
    """A survey that can be looked at, one exposure at a time, in any order and in any process.

    Attributes
    ----------
    spec
        What was asked for.
    sky, visits
        What is there, and when and how it is looked at.
    frame_seeds
        Of the noise of each exposure, shape (n_visits, n_detectors).
    column_seeds
        Of the bad columns of each detector.
    """

    spec: SurveySpec
    sky: SurveySky
    visits: tuple[Visit, ...]
    frame_seeds: IntArray
    column_seeds: IntArray

    @property
    def data_ids(self) -> tuple[tuple[int, int], ...]:
        """Visit and detector of every exposure."""
        return tuple((visit.id, detector) for visit in self.visits for detector in range(self.spec.n_detectors))

    def frame(self, visit: int, detector: int) -> SurveyFrame:
        """The exposure of a detector, equal whenever it is asked for; UsageError if the survey has none such."""
        if (visit, detector) not in self.data_ids:
            raise UsageError(
                f"the survey has visits 1 to {len(self.visits)} and detectors 0 to {self.spec.n_detectors - 1}, "
                f"not visit {visit}, detector {detector}"
            )
        return render(
            self.spec,
            self.sky,
            self.visits[visit - 1],
            detector,
            rng=np.random.default_rng(int(self.frame_seeds[visit - 1, detector])),
            columns_rng=np.random.default_rng(int(self.column_seeds[detector])),
        )

    @property
    def stars(self) -> Table:
        """Truth about the stars."""
        sky = self.sky
        return self._sources(sky.stars.x, sky.stars.y, sky.star_flux, is_variable=sky.stars.is_variable)

    @property
    def galaxies(self) -> Table:
        """Truth about the galaxies."""
        galaxies = self.sky.galaxies
        return self._sources(
            galaxies.x,
            galaxies.y,
            self.sky.galaxy_flux,
            half_light_arcsec=galaxies.half_light_px * self.spec.pixel_scale_arcsec * units.arcsec,
            axis_ratio=galaxies.axis_ratio,
            sersic_index=galaxies.sersic_index,
        )

    @property
    def objects(self) -> Table:
        """Truth about what changes."""
        return vstack([self._transients(), self._variables(), self._movers()])

    @property
    def visit_table(self) -> Table:
        """When, where to and through what air."""
        spec, visits = self.spec, self.visits
        return Table(
            {
                "visit": [v.id for v in visits],
                "night": [v.night for v in visits],
                "band": [v.band for v in visits],
                "mjd": [v.mjd_midpoint for v in visits] * units.day,
                "is_for_template": [v.is_for_template for v in visits],
                "ra": [v.ra_deg for v in visits] * units.deg,
                "dec": [v.dec_deg for v in visits] * units.deg,
                "rotation_deg": [v.rotation_deg for v in visits] * units.deg,
                "fwhm_px": [v.fwhm_px for v in visits] * units.pix,
                "sky_counts": [v.camera(spec).sky_electrons / spec.gain_electrons for v in visits] * units.adu,
                "zero_point_mag": [v.zero_point_mag for v in visits] * units.mag,
                "nJyPerCount": [v.nanojansky_per_count(spec) for v in visits] * units.nJy / units.adu,
                "n_trails": [len(v.trails) for v in visits],
            }
        )

    def _sources(self, x: FloatArray, y: FloatArray, flux: tuple[FloatArray, ...], **more: Any) -> Table:
        """Constant sources with positions, fluxes and magnitudes."""
        ra, dec = icrs_of(self.sky.wcs, x, y)
        columns: dict[str, Any] = {"id": np.arange(len(x)), "ra": ra * units.deg, "dec": dec * units.deg}
        for band, values in zip(self.spec.bands, flux, strict=True):
            columns[f"flux_{band}"] = values * units.nJy
            columns[f"mag_{band}"] = (self.spec.zero_point_mag - 2.5 * np.log10(values)) * units.mag
        return Table(columns | more)

    def _transients(self) -> Table:
        transients = self.sky.transients
        n = len(transients.x)
        return self._objects(
            0,
            transients.x,
            transients.y,
            transients.peak_flux,
            mjd=transients.peak_mjd,
            on_host=transients.on_host,
            is_flash=transients.is_flash,
            star_id=np.full(n, -1),
            period_days=np.full(n, np.nan),
        )

    def _variables(self) -> Table:
        variables = self.sky.variables
        n = len(variables.x)
        return self._objects(
            1,
            variables.x,
            variables.y,
            variables.mean_flux * 10.0 ** (0.4 * variables.amplitude_mag),
            mjd=np.full(n, np.nan),
            on_host=np.zeros(n, np.bool_),
            is_flash=np.zeros(n, np.bool_),
            star_id=np.flatnonzero(self.sky.stars.is_variable),
            period_days=variables.period_days,
        )

    def _movers(self) -> Table:
        movers = self.sky.movers
        n = len(movers.x)
        return self._objects(
            2,
            movers.x,
            movers.y,
            movers.constant_flux,
            mjd=movers.mjd,
            on_host=np.zeros(n, np.bool_),
            is_flash=np.zeros(n, np.bool_),
            star_id=np.full(n, -1),
            period_days=np.full(n, np.nan),
        )

    def _objects(self, kind: int, x: FloatArray, y: FloatArray, peak: FloatArray, **more: Any) -> Table:
        """Rows of one kind, numbered on from the kinds before it."""
        before = (0, len(self.sky.transients.x), len(self.sky.transients.x) + len(self.sky.variables.x))[kind]
        ra, dec = icrs_of(self.sky.wcs, x, y)
        columns: dict[str, Any] = {
            "id": before + np.arange(len(x)),
            "kind": np.full(len(x), KINDS[kind], dtype="U9"),
            "ra": ra * units.deg,
            "dec": dec * units.deg,
        }
        for band, values in zip(self.spec.bands, peak, strict=True):
            columns[f"peak_flux_{band}"] = values * units.nJy
        return Table(columns | more)


def simulate_survey(spec: SurveySpec, *, rng: np.random.Generator) -> SimulatedSurvey:
    """Draw a sky and the visits to it; exposures are made when they are asked for.

    Parameters
    ----------
    spec
        What the survey is like.
    rng
        Source of everything random; equal generators give equal surveys.
    """
    visit_rng, sky_rng, frame_rng = rng.spawn(3)
    visits = random_visits(spec, rng=visit_rng)
    return SimulatedSurvey(
        spec=spec,
        sky=random_sky(spec, visits, rng=sky_rng),
        visits=visits,
        frame_seeds=frame_rng.integers(2**63 - 1, size=(len(visits), spec.n_detectors)),
        column_seeds=frame_rng.integers(2**63 - 1, size=spec.n_detectors),
    )
