"""Forced photometry of a table: what the measurement gives at the same places, whatever the table was made by."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import PsfUndefinedError
from diapipe.steps.detect import detect
from diapipe.steps.measure import force, measure
from toy_difference import toy_parts

FORCED = ["scienceFlux", "scienceFluxErr", "templateFlux", "templateFluxErr", "forced_PsfFlux_flag"]


@pytest.fixture(scope="module")
def measured():
    parts = toy_parts(np.random.default_rng(3))
    difference, science = parts["difference"], parts["science"].exposure
    return difference, science, measure(difference, detect(difference.exposure), science=science)


def test_forcing_a_measured_table_changes_nothing(measured):
    """Measurement and forced photometry are one function: the same places give the same fluxes, to a float32."""
    difference, science, table = measured
    assert len(table) >= 3
    bare = table.copy()
    for name in FORCED[:4]:
        bare[name] = np.nan
    again = force(bare, difference, science=science)
    for name in FORCED:
        np.testing.assert_allclose(again[name], table[name], rtol=1e-6)
        assert again[name].unit == table[name].unit
    assert np.isnan(bare["scienceFlux"]).all()


def test_a_science_image_without_a_psf_is_refused(measured):
    difference, science, table = measured
    from dataclasses import replace

    with pytest.raises(PsfUndefinedError, match="has no PSF; forced photometry needs one"):
        force(table, difference, science=replace(science, psf=None))
