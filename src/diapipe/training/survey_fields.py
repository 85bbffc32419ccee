"""An exposure of a survey to learn from, and as its template a coadd of few visits, whose PSF leaps where one ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.images import Box, Exposure
from diapipe.images.sky import box_around, outline_between
from diapipe.simulate.survey import SimulatedSurvey, simulate_survey
from diapipe.simulate.survey_spec import SurveySpec
from diapipe.steps.characterize import characterize
from diapipe.steps.coadd import CoaddInput, VisitDetector, coadd, warp_visit
from diapipe.training.draws import PIXEL_ARCSEC, SIDE_PX, log_uniform, random_ellipticity, random_sky

_SCALE_ERROR = 0.01
"""Of the flux scale of a visit, at the most."""


def random_survey_pair(rng: np.random.Generator) -> tuple[Exposure, Exposure, float]:
    """The last exposure of a survey, the coadd of those before, and the FWHM of the first, pixels; no sky changes.

    Raises
    ------
    DiapipeError
        If a visit cannot be used.
    """
    n_visits = int(rng.choice([1, 2, 2, 3, 4, 6]))
    survey = simulate_survey(_random_spec(n_visits, rng), rng=rng)
    *visits, science = (_calibrated(survey, visit.id, rng) for visit in survey.visits)
    template = _coadded([characterize(visit).exposure for visit in visits], survey)
    return science, template, survey.visits[-1].fwhm_px


def _random_spec(n_visits: int, rng: np.random.Generator) -> SurveySpec:
    """One detector that dithers and turns, through air that changes."""
    sharpest = PIXEL_ARCSEC * log_uniform(rng, 2.5, 5.0)
    return replace(
        SurveySpec.small(SIDE_PX, n_columns=1, n_rows=1, bands=("r",), n_movers=0),
        n_nights=n_visits + 1,
        n_template_nights=n_visits,
        dither_px=log_uniform(rng, 10.0, 250.0),
        rotation_jitter_deg=rng.uniform(0.0, 5.0),
        distortion_px=rng.uniform(0.0, 3.0),
        astrometric_rms_px=log_uniform(rng, 0.01, 0.15),
        seeing_min_arcsec=sharpest,
        seeing_max_arcsec=sharpest * rng.uniform(1.1, 2.0),
        fwhm_variation=rng.uniform(0.0, 0.02),
        ellipticity=random_ellipticity(rng),
        ellipticity_variation=rng.uniform(0.0, 0.02),
        sky_counts=log_uniform(rng, 100.0, 2000.0),
        n_cosmic_rays=log_uniform(rng, 5.0, 40.0),
        n_transients=0,
        variable_fraction=0.0,
        **random_sky(rng),
    )


def _calibrated(survey: SimulatedSurvey, visit: int, rng: np.random.Generator) -> Exposure:
    """An exposure with a flux scale that is not quite right."""
    frame, wrong = survey.frame(visit, 0), 1.0 + rng.uniform(-_SCALE_ERROR, _SCALE_ERROR)
    return replace(frame.exposure, photo_calib=replace(frame.photo_calib, mean=frame.photo_calib.mean * wrong))


def _coadded(visits: list[Exposure], survey: SimulatedSurvey) -> Exposure:
    """The visits stacked on the pixels of the sky; cosmic rays and trails are clipped where the visits are enough."""
    wcs = survey.sky.wcs
    reach = [box_around(outline_between(visit.wcs, wcs, visit.box)) for visit in visits]
    box = _around([one for one in reach if one is not None])
    warps = [warp_visit([VisitDetector.whole(visit)], box=box, wcs=wcs, name=visit.name) for visit in visits]
    return coadd([CoaddInput.whole(warp) for warp in warps], box=box, wcs=wcs, name="coadd").exposure


def _around(boxes: list[Box]) -> Box:
    """The smallest box that holds all."""
    return Box(
        min(box.y0 for box in boxes),
        max(box.y1 for box in boxes),
        min(box.x0 for box in boxes),
        max(box.x1 for box in boxes),
    )
