"""Dipoles: one star in two places is two lobes, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from diapipe.images import (
    MaskedImage,
    MaskPlane,
)
from diapipe.steps.detect import detect
from diapipe.steps.measure import Measure, measure
from displaced_stars import SIZE, UNIT, columns_of, lobes, places, scene


def displaced(rng, snr, angle, *, separation=1.0, **options):
    """Stars on science half a separation one way, on template the other way; the columns, x, y, dx, dy and flux."""
    x, y = places(rng)
    dx, dy = separation * np.cos(angle) * np.ones_like(x), separation * np.sin(angle) * np.ones_like(x)
    flux = snr * UNIT * np.ones_like(x)
    made = scene(rng, (x + dx / 2, y + dy / 2, flux), (x - dx / 2, y - dy / 2, flux), **options)
    return columns_of(made, lobes(x, y, dx, dy)), x, y, dx, dy, flux


@pytest.mark.parametrize("convolved", ["template", "science"])
@pytest.mark.parametrize("snr", [20.0, 100.0])
def test_displaced_stars_are_measured_honestly(convolved, snr, rng):
    """Stars 1 px apart, a direction in each quadrant: place, separation and fluxes unbiased, pulls of width one.

    Of 484 stars the mean pull scatters by 0.045, its width by 0.032: four of each are allowed. With these errors the
    mean separation is right to 0.03 px at S/N 20. The noise of the matched image is correlated, so its plane takes with
    it more than three pixels' worth of chi²: up to a sixth of all.
    """
    pulls, called = [], []
    for quadrant in range(4):
        found, x, y, dx, dy, flux = displaced(rng, snr, 0.4 + quadrant * np.pi / 2, convolved=convolved, poisson=0.05)
        pulls.append(
            [
                (found["dp_dipoleDx"] - dx) / found["dp_dipoleDxErr"],
                (found["dp_dipoleDy"] - dy) / found["dp_dipoleDyErr"],
                (found["dipoleMeanFlux"] - flux) / found["dipoleMeanFluxErr"],
                found["dipoleFluxDiff"] / found["dipoleFluxDiffErr"],
                (found["dp_dipoleX"] - x) / found["dp_dipoleXErr"],
                (found["dp_dipoleY"] - y) / found["dp_dipoleYErr"],
            ]
        )
        called.append(found["isDipole"])
        assert np.mean(found["dp_dipoleDxErr"]) < 3.5 / snr
        assert 5 / 6 < np.mean(found["dipoleChi2"] / found["dipoleNdata"]) < 1.02
    values = np.concatenate(pulls, axis=1)
    n = values.shape[1]
    np.testing.assert_allclose(values.mean(axis=1), 0.0, atol=4 / np.sqrt(n))
    np.testing.assert_allclose(values.std(axis=1), 1.0, atol=4 / np.sqrt(2 * n))
    assert np.mean(called) >= 0.95


def test_without_noise_lobes_are_found_exactly(rng):
    """Separations of 0.5 to 6 px, unequal fluxes: right to the accuracy of a star drawn between pixels, 0.002 px."""
    x, y = places(rng)
    length, angle = rng.uniform(0.5, 6.0, len(x)), rng.uniform(0, 2 * np.pi, len(x))
    dx, dy = length * np.cos(angle), length * np.sin(angle)
    flux = 300 * UNIT
    made = scene(rng, (x + dx / 2, y + dy / 2, flux), (x - dx / 2, y - dy / 2, 0.9 * flux), noise=0.0)
    half = np.maximum(1.0, length / 5.1)
    found = columns_of(made, lobes(x, y, dx * half, dy * half))
    np.testing.assert_allclose(found["dp_dipoleDx"], dx, atol=0.004)
    np.testing.assert_allclose(found["dp_dipoleDy"], dy, atol=0.004)
    np.testing.assert_allclose(found["dipoleMeanFlux"], 0.95 * flux, rtol=0.003)
    np.testing.assert_allclose(found["dipoleFluxDiff"], 0.1 * flux, atol=0.006 * flux)


def test_one_flux_for_both_lobes_by_option(rng):
    """Then the difference of the fluxes is 0, and so is its error."""
    x, y = places(rng)
    made = scene(rng, (x + 0.5, y, 50 * UNIT), (x - 0.5, y, 50 * UNIT))
    found = columns_of(made, lobes(x, y, np.ones_like(x), 0 * x), separate_fluxes=False)
    assert np.abs(found["dipoleFluxDiff"]).max() == 0.0
    assert found["dipoleFluxDiffErr"].max() == 0.0
    pulls = (found["dipoleMeanFlux"] / (50 * UNIT) - 1) * 50 * UNIT / found["dipoleMeanFluxErr"]
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * len(x))


def test_light_under_the_stars_does_not_move_them(rng):
    """Slopes of both images are fitted; what is not one, a star 6 px away, makes its images count for less."""
    x, y = places(rng)
    v, u = np.mgrid[:SIZE, :SIZE]
    clean = scene(rng, (x + 0.5, y, 100 * UNIT), (x - 0.5, y, 100 * UNIT), beneath=5.0 * u - 3.0 * v)
    neighbour = np.concatenate([x, x + 5.0]), np.concatenate([y, y + 4.0])
    crowded = scene(
        rng,
        (neighbour[0] + np.repeat([0.5, 0.0], len(x)), neighbour[1], 100 * UNIT),
        (neighbour[0] - np.repeat([0.5, 0.0], len(x)), neighbour[1], 100 * UNIT),
    )
    for made in (clean, crowded):
        found = columns_of(made, lobes(x, y, np.ones_like(x), 0 * x))
        scatter = found["dp_dipoleDx"].std() / np.sqrt(len(x))
        assert abs(found["dp_dipoleDy"].mean()) < 4 * scatter + 0.02
        assert found["isDipole"].mean() > 0.95
    assert abs(columns_of(clean, lobes(x, y, np.ones_like(x), 0 * x))["dp_dipoleDx"].mean() - 1) < 4 * 0.05 / 11


def test_unusable_pixels_tell_nothing(rng):
    """What stands in masked pixels changes no bit; a dipole half under them is not told of."""
    x, y = places(rng)
    made = scene(rng, (x + 0.5, y, 80 * UNIT), (x - 0.5, y, 80 * UNIT))
    pixels = made.difference.exposure.masked_image
    mask = np.zeros((SIZE, SIZE), np.int32)
    for at_x, at_y in zip(x, y, strict=True):
        mask[int(at_y) + 3, int(at_x) - 9 : int(at_x) + 10] = int(MaskPlane.BAD)
    results = []
    for value in (0.0, 1e6, np.nan):
        image = np.where(mask != 0, np.float32(value), pixels.image)
        planes = MaskedImage(image, mask, pixels.variance, pixels.box)
        exposure = replace(made.difference.exposure, masked_image=planes)
        results.append(
            columns_of(
                replace(made, difference=replace(made.difference, exposure=exposure)),
                lobes(x, y, np.ones_like(x), 0 * x),
            )
        )
    for name in results[0]:
        np.testing.assert_array_equal(results[0][name], results[1][name])
        np.testing.assert_array_equal(results[0][name], results[2][name])
    at_edge = columns_of(made, lobes(np.array([-2.0]), np.array([100.0]), np.array([1.0]), np.array([0.0])))
    assert at_edge["dipoleFitAttempted"][0]
    assert not at_edge["isDipole"][0]
    assert np.isnan(at_edge["dp_dipoleDx"][0])
    assert at_edge["dipoleNdata"][0] == 0
    assert at_edge["dp_dipole_flag"][0]
    assert at_edge["dp_dipole_flag_edge"][0]


@pytest.mark.parametrize("snr", [25.0, 40.0, 100.0])
def test_detected_dipoles_are_called_so(snr, rng):
    """From detection to the table: one row a displaced star, at least 95% of them dipoles, the angle to 0.1 rad.

    The error of the angle is that of the separation across it over 1 px.
    """
    x, y = places(rng)
    angle = rng.uniform(0, 2 * np.pi, len(x))
    dx, dy = np.cos(angle), np.sin(angle)
    made = scene(rng, (x + dx / 2, y + dy / 2, snr * UNIT), (x - dx / 2, y - dy / 2, snr * UNIT))
    table = measure(made.difference, detect(made.difference.exposure), science=made.science)
    near = np.hypot(table["x"][:, None] - x, table["y"][:, None] - y)
    k = near.argmin(axis=1)[near.min(axis=1) < 6]
    rows = table[near.min(axis=1) < 6]
    assert len(rows) > 0.9 * len(x)
    assert np.mean(rows["isDipole"]) >= 0.95
    error = np.angle(np.exp(1j * (np.arctan2(rows["dp_dipoleDy"], rows["dp_dipoleDx"]) - angle[k])))
    assert np.nanstd(error) < 4.5 / snr
    assert abs(np.nanmean(error)) < 4 * 4.5 / snr / np.sqrt(len(rows))


@pytest.mark.parametrize("kind", ["bare", "variable"])
@pytest.mark.parametrize("snr", [7.0, 30.0])
def test_changes_of_flux_are_not_dipoles(kind, snr, rng):
    """Fewer than 1% of the transients, faded stars and variable stars; hardly any is even fitted."""
    x, y = places(rng, step=36)
    base = 0.0 if kind == "bare" else 5 * snr * UNIT
    up = rng.random(len(x)) < 0.5
    science = base + np.where(up, snr * UNIT, 0.0)
    template = base + np.where(up, 0.0, snr * UNIT)
    made = scene(rng, (x, y, science), (x, y, template))
    table = measure(made.difference, detect(made.difference.exposure), science=made.science)
    assert len(table) > 0.9 * len(x)
    assert np.sum(table["isDipole"]) <= 0.01 * len(x)
    assert np.sum(table["dipoleFitAttempted"]) <= 0.1 * len(x)


@pytest.mark.parametrize("parity", [1.0, -1.0])
def test_length_and_angle_are_those_on_the_sky(parity, rng):
    """From the template's place to that on science: arc seconds, and from north towards east, whatever the parity."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [60.0, -45.0], [256.0, 256.0]
    wcs.wcs.cd = np.array([[-0.2 * parity, 0.05], [0.05 * parity, 0.2]]) / 3600
    x, y = places(rng, step=60)
    angle = rng.uniform(0, 2 * np.pi, len(x))
    dx, dy = 1.5 * np.cos(angle), 1.5 * np.sin(angle)
    stars = (x + dx / 2, y + dy / 2, 500 * UNIT), (x - dx / 2, y - dy / 2, 500 * UNIT)
    made = scene(rng, *stars, wcs=wcs)
    table = measure(made.difference, detect(made.difference.exposure), science=made.science)
    k = np.hypot(table["x"][:, None] - x, table["y"][:, None] - y).argmin(axis=1)
    plus = wcs.pixel_to_world(x[k] + dx[k] / 2, y[k] + dy[k] / 2)
    minus = wcs.pixel_to_world(x[k] - dx[k] / 2, y[k] - dy[k] / 2)
    assert table["isDipole"].all()
    np.testing.assert_allclose(table["dipoleLength"], minus.separation(plus).arcsec, atol=0.02)
    turned = (table["dipoleAngle"] - minus.position_angle(plus).deg + 180) % 360 - 180
    np.testing.assert_allclose(turned, 0.0, atol=3.0)


def test_no_fit_by_option(rng):
    """Then nothing is called a dipole and nothing was attempted; the score of the lobes is told all the same."""
    x, y = places(rng)
    made = scene(rng, (x + 0.5, y, 100 * UNIT), (x - 0.5, y, 100 * UNIT))
    table = measure(
        made.difference, detect(made.difference.exposure), science=made.science, options=Measure(fit_dipoles=False)
    )
    assert not table["isDipole"].any()
    assert not table["dipoleFitAttempted"].any()
    assert np.isnan(table["dipoleMeanFlux"]).all()
    assert (table["dp_partnerRatio"] > 0.5).mean() > 0.95


def test_nothing_to_fit():
    """No peaks, no rows."""
    made = scene(np.random.default_rng(1), ([100.0], [100.0], 0.0), ([100.0], [100.0], 0.0))
    empty = lobes(np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    assert all(len(values) == 0 for values in columns_of(made, empty).values())
