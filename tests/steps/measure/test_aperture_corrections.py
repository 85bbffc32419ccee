"""Aperture corrections: the factor of the map at the source, on flux and error; flagged and untouched without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import Box, ChebyshevField, Exposure, GaussianPsf, MaskedImage
from diapipe.steps.measure import ApertureCorrections
from diapipe.steps.measure.aperture_corrections import corrected

BOX = Box(100, 400, 50, 350)
X, Y = np.array([60.0, 200.0, 340.0]), np.array([110.0, 250.0, 390.0])
MAP = ChebyshevField(np.array([1.1, 0.05, -0.03]), BOX)


def image(**maps: ChebyshevField) -> Exposure:
    planes = MaskedImage.from_planes(np.zeros(BOX.shape), box=BOX)
    return Exposure(name="image", masked_image=planes, psf=GaussianPsf(2.0), aperture_corrections=maps)


def columns():
    found = {"x": X, "y": Y}
    for name, flag in (
        ("psfFlux", "psfFlux"),
        ("scienceFlux", "forced_PsfFlux"),
        ("templateFlux", "forced_template_PsfFlux"),
    ):
        found |= {name: np.array([10.0, -20.0, 30.0]), f"{name}Err": np.array([1.0, 2.0, 3.0])}
        found[f"{flag}_flag"] = np.zeros(3, bool)
    return found


@pytest.mark.parametrize("name", ["psfFlux", "base_PsfFlux_instFlux"])
def test_flux_and_error_are_multiplied_by_the_map(name):
    """F' = c F and s' = c s with c the map at each source: its own name or LSST's."""
    given = columns()
    found = corrected(given, image(**{name: MAP}), image(), options=ApertureCorrections())
    factor = MAP.at(x=X, y=Y)
    assert np.ptp(factor) > 0.03
    for flux in ("psfFlux", "templateFlux"):
        np.testing.assert_allclose(found[flux], factor * given[flux])
        np.testing.assert_allclose(found[f"{flux}Err"], factor * given[f"{flux}Err"])
        np.testing.assert_allclose(found[f"{flux}_apCorr"], factor)
        assert np.all(found[f"{flux}_apCorrErr"] == 0)
    assert not found["psfFlux_flag_apCorr"].any()


def test_each_image_has_its_own_map():
    """The science flux takes the map of the science image, the other two that of the difference."""
    two = ChebyshevField.constant(2.0, BOX)
    found = corrected(columns(), image(psfFlux=MAP), image(psfFlux=two), options=ApertureCorrections())
    np.testing.assert_allclose(found["scienceFlux"], 2.0 * columns()["scienceFlux"])
    np.testing.assert_allclose(found["psfFlux"], found["templateFlux"])


@pytest.mark.parametrize("value", [None, 0.0, -1.0, np.nan, np.inf])
def test_a_bad_correction_leaves_the_flux_and_is_flagged(value):
    """No map, not positive, not finite: the flux as it was, and ``flag_apCorr``."""
    maps = {} if value is None else {"psfFlux": ChebyshevField.constant(value, BOX)}
    found = corrected(columns(), image(**maps), image(**maps), options=ApertureCorrections())
    np.testing.assert_array_equal(found["psfFlux"], columns()["psfFlux"])
    assert found["psfFlux_flag_apCorr"].all()
    assert found["forced_PsfFlux_flag_apCorr"].all()
    assert np.isnan(found["psfFlux_apCorr"]).all()
    assert not found["psfFlux_flag"].any()


def test_by_option_a_missing_correction_spoils_the_flux():
    """``flag_missing`` sets the flux's own flag too."""
    found = corrected(columns(), image(), image(), options=ApertureCorrections(flag_missing=True))
    assert found["psfFlux_flag"].all()


def test_by_option_the_error_of_the_correction_is_part_of_that_of_the_flux():
    """s'² = (c s)² + (s_c F)²."""
    maps = {"psfFlux": ChebyshevField.constant(1.5, BOX), "psfFluxErr": ChebyshevField.constant(0.2, BOX)}
    given = columns()
    found = corrected(given, image(**maps), image(), options=ApertureCorrections(include_error=True))
    expected = np.hypot(1.5 * given["psfFluxErr"], 0.2 * given["psfFlux"])
    np.testing.assert_allclose(found["psfFluxErr"], expected)
    plain = corrected(given, image(**maps), image(), options=ApertureCorrections())
    np.testing.assert_allclose(plain["psfFluxErr"], 1.5 * given["psfFluxErr"])
    np.testing.assert_allclose(plain["psfFlux_apCorrErr"], 0.2)


def test_only_the_fluxes_asked_for_are_corrected():
    """None at all with an empty choice, and columns that are not there are not made."""
    assert corrected(columns(), image(psfFlux=MAP), image(), options=ApertureCorrections(fluxes=())) == {}
    some = {k: v for k, v in columns().items() if not k.startswith(("template", "forced_template"))}
    assert "templateFlux" not in corrected(some, image(psfFlux=MAP), image(), options=ApertureCorrections())
    lost = replace(image(psfFlux=MAP))
    nowhere = columns() | {"x": np.array([np.nan, 200.0, 340.0])}
    found = corrected(nowhere, lost, image(), options=ApertureCorrections())
    assert found["psfFlux_flag_apCorr"].tolist() == [True, False, False]
