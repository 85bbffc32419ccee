"""What is true of a difference: known changes are wanted, unknown ones are only real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.cli.survey_truth import SurveyTruth, changes_of
from diapipe.images import Difference, MaskPlane, PhotoCalib
from diapipe.steps.validate import Judged, judge, truth_table
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


def difference_with(plane: MaskPlane, places: tuple[tuple[float, float], ...], rng: np.random.Generator) -> Difference:
    """A difference with a bit at some places."""
    difference = toy_parts(rng)["difference"]
    exposure = replace(difference.exposure, photo_calib=PhotoCalib(1.0))
    planes = exposure.masked_image
    mask = planes.mask.copy()
    for x, y in places:
        mask[int(y) - planes.box.y0, int(x) - planes.box.x0] |= plane
    return replace(difference, exposure=replace(exposure, masked_image=replace(planes, mask=mask)))


def judged_with_source_at(difference: Difference, changes: Table, *, x: float, y: float, flux: float) -> Judged:
    """What becomes of changes where one source was found."""
    columns = {"x": [x], "y": [y], "psfFlux": [flux], "psfFluxErr": [1.0], "snr": [flux]}
    sources = dia_source_table({name: np.array(value) for name, value in columns.items()}, n=1, flux_unit="nJy")
    truth_of = truth_table(changes_of(changes), difference, name="the truth")
    return judge(difference, sources, truth_of, threshold_sigma=5.0)


def test_a_variable_star_has_no_known_change_where_the_template_left_out_a_visit(rng):
    """CLIPPED under a variable star: real, but not wanted. A transient was in no visit: its change is known there."""
    changes = truth().expected(difference_with(MaskPlane.CLIPPED, PLACES[1:], rng), VISIT, 0, "r")
    assert list(changes["flux"]) == pytest.approx([FLUX - np.mean(BEFORE), FLUX, FLUX - np.mean(BEFORE)])
    assert list(changes["is_known"]) == [True, True, False]


def test_a_change_beside_what_the_template_lacks_is_real_and_not_wanted(rng):
    """Who finds a transient next to a bad column has found something real; nobody must."""
    x, y = PLACES[1]
    difference = difference_with(MaskPlane.NO_DATA.of_template, ((x + 2, y),), rng)
    changes = truth().expected(difference, VISIT, 0, "r")
    assert list(changes["is_known"]) == [True, False, True]
    judged = judged_with_source_at(difference, changes, x=x + 0.5, y=y, flux=FLUX)
    assert judged.sources["is_true"].all()
    assert not judged.truth["is_usable"][1]


def test_what_is_left_of_a_flash_of_the_template_is_real_and_not_wanted(rng):
    """It was to be clipped; where it was too faint for that, the difference lacks true light."""
    difference = difference_with(MaskPlane(0), (), rng)
    changes = truth(flash=True).expected(difference, VISIT, 0, "r")
    assert list(changes["is_known"]) == [True, False, True]
    x, y = PLACES[1]
    judged = judged_with_source_at(difference, changes, x=x, y=y, flux=-FLUX)
    assert judged.sources["is_true"].all()
    assert not judged.truth["is_usable"][1]


def test_what_lies_on_spoilt_pixels_is_not_wanted(rng):
    """The simulation knows which pixels a ray hit, also where the pipeline does not see it."""
    made = truth()
    made.fluxes["mask"] = np.where(made.fluxes["object_id"] == 0, int(MaskPlane.CR), 0)
    changes = made.expected(difference_with(MaskPlane(0), (), rng), VISIT, 0, "r")
    assert list(changes["is_known"]) == [False, True, True]
