"""Fields to learn from: images as unlike each other as cameras, nights and skies are, with known changes in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from astropy.table import Table

from diapipe.images import Exposure
from diapipe.recipe import Recipe
from diapipe.steps.inject import Injection
from diapipe.steps.match import AlardLupton
from diapipe.steps.subtract import Zogy
from diapipe.training.blemishes import smoothed, with_lines, with_response, with_trails, with_uneven_response
from diapipe.training.pair_fields import random_pair
from diapipe.training.survey_fields import random_survey_pair

_SURVEYS = 0.3
_SNRS = ((4.0, 10.0), (3.0, 100.0), (3.0, 1000.0))
"""Of what is added: most of what changes is faint."""
_OF_TRAILS, _TRAIL_AREA_FWHM2 = 0.1, 1500.0
"""Share of the fields that are about trails, and their area for each source, at the most: elsewhere few are found that
are longer than a cut-out, and few satellites that are no wider than stars.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Images as they are to be differenced, how, and what was simulated to change; None if that is only added.

    ``fwhm_px`` is that of the stars of the science image.
    """

    science: Exposure
    template: Exposure
    recipe: Recipe
    changes: Table | None
    fwhm_px: float


def random_field(rng: np.random.Generator) -> Field:
    """A field in which everything that may differ between cameras, nights and skies is drawn at random.

    Raises
    ------
    DiapipeError
        If no template can be made.
    """
    field = _of_survey(rng) if rng.random() < _SURVEYS else _of_pair(rng)
    return _of_trails(field, rng) if rng.random() < _OF_TRAILS else field


def _of_survey(rng: np.random.Generator) -> Field:
    """An exposure and a coadd of few."""
    science, template, fwhm_px = random_survey_pair(rng)
    science = _blemished(science, fwhm_px, rng)
    return Field(science, template, _as_in_surveys(_random_recipe(rng), rng), None, fwhm_px)


def _of_pair(rng: np.random.Generator) -> Field:
    """Two exposures, or one and a deeper one."""
    pair = random_pair(rng)
    fwhm_px = pair.spec.science_fwhm_arcsec / pair.spec.pixel_scale_arcsec
    science, template = _blemished(pair.science, fwhm_px, rng), pair.template
    if rng.random() < 0.15:
        template = with_lines(template, rng=rng)
    if rng.random() < 0.2:
        science = smoothed(science, rng.uniform(0.05, 0.3))
    if rng.random() < 0.2:
        template = smoothed(template, rng.uniform(0.05, 0.3))
    return Field(science, template, _random_recipe(rng), pair.transients, fwhm_px)


def _of_trails(field: Field, rng: np.random.Generator) -> Field:
    """The field with satellites, and with more sources that move than of any other kind."""
    science, template, added = field.science, field.template, field.recipe.inject
    assert added is not None  # sources are added to every field
    if rng.random() < 0.6:
        science = with_trails(science, fwhm_px=field.fwhm_px, rng=rng)
    if rng.random() < 0.4:
        template = with_trails(template, fwhm_px=field.fwhm_px, rng=rng)
    area = min(added.area_fwhm2, _TRAIL_AREA_FWHM2)
    added = replace(added, area_fwhm2=area, hosted=0.1, variable=0.2, trailed=0.6, min_snr=6.0, max_snr=150.0)
    return replace(field, science=science, template=template, recipe=replace(field.recipe, inject=added))


def _blemished(science: Exposure, fwhm_px: float, rng: np.random.Generator) -> Exposure:
    """The exposure with some of what detectors, roofs and satellites do to it."""
    if rng.random() < 0.25:
        science = with_trails(science, fwhm_px=fwhm_px, rng=rng)
    if rng.random() < 0.25:
        science = with_lines(science, rng=rng)
    if rng.random() < 0.5:
        science = with_response(science, rng=rng)
    if rng.random() < 0.15:
        science = with_uneven_response(science, rng=rng)
    return science


def _as_in_surveys(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    """The recipe in nJy; mostly the template is convolved, be it the sharper image or not."""
    if rng.random() < 0.75:
        recipe = replace(recipe, matcher=replace(recipe.matcher, convolve="template"))
    return replace(recipe, pixel_unit="nJy")


def _random_recipe(rng: np.random.Generator) -> Recipe:
    """The defaults mostly, sometimes another way; always with sources added that the simulation does not make."""
    faintest, brightest = rng.choice(_SNRS)
    added = Injection(
        area_fwhm2=rng.uniform(400.0, 5000.0),
        hosted=0.15,
        variable=0.35,
        trailed=0.35,
        faded=0.3,
        min_snr=float(faintest),
        max_snr=float(brightest),
        max_trail_fwhm=rng.uniform(2.0, 12.0),
        seed=int(rng.integers(2**31)),
    )
    recipe, way = Recipe(inject=added), rng.random()
    if way < 0.1:
        return replace(recipe, subtractor=Zogy())
    if way < 0.2:
        return replace(recipe, decorrelator=None)
    if way < 0.3:
        return replace(recipe, matcher=AlardLupton(spatial_order=0))
    return recipe
