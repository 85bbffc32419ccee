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


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Images as they are to be differenced, how, and what was simulated to change; None if that is only added."""

    science: Exposure
    template: Exposure
    recipe: Recipe
    changes: Table | None


def random_field(rng: np.random.Generator) -> Field:
    """A field in which everything that may differ between cameras, nights and skies is drawn at random.

    Raises
    ------
    DiapipeError
        If no template can be made.
    """
    if rng.random() < _SURVEYS:
        science, template = random_survey_pair(rng)
        return Field(_blemished(science, rng), template, _as_in_surveys(_random_recipe(rng), rng), None)
    pair = random_pair(rng)
    science, template = _blemished(pair.science, rng), pair.template
    if rng.random() < 0.15:
        template = with_lines(template, rng=rng)
    if rng.random() < 0.2:
        science = smoothed(science, rng.uniform(0.05, 0.3))
    if rng.random() < 0.2:
        template = smoothed(template, rng.uniform(0.05, 0.3))
    return Field(science, template, _random_recipe(rng), pair.transients)


def _blemished(science: Exposure, rng: np.random.Generator) -> Exposure:
    """The exposure with some of what detectors, roofs and satellites do to it."""
    if rng.random() < 0.25:
        science = with_trails(science, rng=rng)
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
        max_trail_fwhm=rng.uniform(2.0, 8.0),
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
