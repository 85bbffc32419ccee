"""What is true of a difference: known changes are wanted, unknown ones are only real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from diapipe.cli.survey_recovery import SurveyTruth, changes_of
from diapipe.cli.truth import matches
from diapipe.images import MaskPlane, PhotoCalib
from toy_difference import toy_parts

TEMPLATE_VISITS, VISIT = (1, 2), 3
KINDS = ("variable", "transient", "variable")
PLACES = ((60.0, 60.0), (120.0, 60.0), (60.0, 120.0))
FLUX, BEFORE = 500.0, (200.0, 300.0)


def truth(*, flash: bool = False) -> SurveyTruth:
    """Two variable stars and a transient or a flash, at half the weight in either visit of the template."""
    rows = [
        (visit, 0, number, kind, x, y, flux if kind == "variable" or visit == VISIT else 0.0)
        for visit, flux in ((*zip(TEMPLATE_VISITS, BEFORE, strict=True), (VISIT, FLUX)))
        for number, (kind, (x, y)) in enumerate(zip(KINDS, PLACES, strict=True))
    ]
    fluxes = Table(rows=rows, names=("visit", "detector", "object_id", "kind", "x", "y", "flux"))
    for name in ("ra", "dec", "mask"):
        fluxes[name] = 0
    objects = Table({"is_flash": [flash and kind == "transient" for kind in KINDS]})
    weights = {"r": dict.fromkeys(TEMPLATE_VISITS, 0.5)}
    return SurveyTruth(fluxes=fluxes, objects=objects, trails=Table(), template_weights=weights)


def changes_with(plane: MaskPlane, places: tuple[tuple[float, float], ...], rng: np.random.Generator) -> Table:
    """What is expected of a difference with a bit at some places."""
    difference = toy_parts(rng)["difference"]
    exposure = replace(difference.exposure, photo_calib=PhotoCalib(1.0))
    planes = exposure.masked_image
    mask = planes.mask.copy()
    for x, y in places:
        mask[int(y) - planes.box.y0, int(x) - planes.box.x0] |= plane
    flagged = replace(exposure, masked_image=replace(planes, mask=mask))
    return truth().expected(replace(difference, exposure=flagged), VISIT, 0, "r")


def test_a_variable_star_has_no_known_change_where_the_template_left_out_a_visit(rng):
    """CLIPPED under a variable star: real, but not wanted. A transient was in no visit: its change is known there."""
    changes = changes_with(MaskPlane.CLIPPED, PLACES[1:], rng)
    assert list(changes["flux"]) == pytest.approx([FLUX - np.mean(BEFORE), FLUX, FLUX - np.mean(BEFORE)])
    assert list(changes["snr_true"] > 0) == [True, True, False]


def test_a_change_beside_what_the_template_lacks_is_real_and_not_wanted(rng):
    """Who finds a transient next to a bad column has found something real; nobody must."""
    x, y = PLACES[1]
    changes = changes_with(MaskPlane.NO_DATA.of_template, ((x + 2, y),), rng)
    beside = Table({"x": [x + 0.5], "y": [y], "psfFlux": [FLUX], "psfFluxErr": [1.0], "dp_bad": [False]})
    assert list(changes["snr_true"] > 0) == [True, False, True]
    assert matches(beside, changes_of(changes)).is_real.all()


def test_what_is_left_of_a_flash_of_the_template_is_real_and_not_wanted(rng):
    """It was to be clipped; where it was too faint for that, the difference lacks true light."""
    difference = toy_parts(rng)["difference"]
    calibrated = replace(difference.exposure, photo_calib=PhotoCalib(1.0))
    changes = changes_of(truth(flash=True).expected(replace(difference, exposure=calibrated), VISIT, 0, "r"))
    x, y = PLACES[1]
    there = Table({"x": [x], "y": [y], "psfFlux": [-FLUX], "psfFluxErr": [1.0], "dp_bad": [False]})
    found = matches(there, changes)
    assert found.is_real.all()
    assert list(found.snr > 0) == [True, False, True]
    assert not found.is_wanted[1]
