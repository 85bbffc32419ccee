"""Errors of sources on light that the difference leaves a part of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.steps.detect import detect
from diapipe.steps.measure import measure
from displaced_stars import UNIT, places, scene


def test_fluxes_of_what_faded_have_the_error_of_its_kernel(rng):
    """Of 49 stars that are gone, S/N 1000, the kernel leaves 1% more or less: pulls have width 1 to 4/√98 with it and
    are several times as wide without; the significance is that of the noise all the same.
    """
    x, y = places(rng, step=66)
    flux = 1000.0 * UNIT
    template = x, y, np.full(len(x), flux)
    made = scene(rng, (x, y, flux * rng.normal(0.0, 0.01, len(x))), template)
    tables = [
        measure(difference, detect(difference.exposure), science=made.science)
        for difference in (made.difference, replace(made.difference, static_error=0.01))
    ]
    widths = [np.std((np.asarray(table["psfFlux"]) + flux) / table["psfFluxErr"]) for table in tables]
    assert all(len(table) == len(x) for table in tables)
    assert widths[0] > 5.0
    assert abs(widths[1] - 1.0) < 4.0 / np.sqrt(2 * len(x))
    np.testing.assert_array_equal(tables[0]["snr"], tables[1]["snr"])


def test_what_stars_leave_too_little_makes_no_source_better_known(rng):
    """With a static error below 0 the errors are those of the pixels."""
    x, y = places(rng, step=90)
    made = scene(rng, (x, y, 50.0 * UNIT), (x, y, 500.0 * UNIT))
    found = detect(made.difference.exposure)
    tables = [
        measure(replace(made.difference, static_error=error), found, science=made.science) for error in (0.0, -0.02)
    ]
    assert len(tables[0]) == len(x)
    np.testing.assert_array_equal(tables[0]["psfFluxErr"], tables[1]["psfFluxErr"])
