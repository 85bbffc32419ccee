"""Trails: what moved during the exposure is one row with its length and angle, and nothing else is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from diapipe.steps.detect import detect
from diapipe.steps.measure import Measure, measure
from diapipe.steps.measure.trail_fits import is_covariance
from diapipe.steps.measure.trails import Trails
from displaced_stars import FWHM, SHARP_VARIANCE, UNIT, WIDE_VARIANCE, places, scene

SIGMA = 1.8
NOTHING = ([100.0], [100.0], [0.0])


def trail_scene(rng, length_fwhm, snr, *, negative=False, step=80, wcs=None):
    """Trails of any direction on a grid, drawn as many stars; the scene, middles, extents and flux."""
    x, y = places(rng, step=step)
    angle, length = rng.uniform(0.0, 2.0 * np.pi, len(x)), length_fwhm * FWHM
    extent = length * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    n = max(8, int(4 * length / SIGMA))
    along = (np.arange(n) + 0.5) / n - 0.5
    square = np.exp(-((length * (along[:, None] - along)) ** 2) / (4 * SIGMA**2)).mean() / (4 * np.pi * SIGMA**2)
    flux = snr * np.sqrt((WIDE_VARIANCE + SHARP_VARIANCE) / square)
    stars = (x[:, None] + along * extent[:, :1]).ravel(), (y[:, None] + along * extent[:, 1:]).ravel(), flux / n
    made = scene(rng, NOTHING if negative else stars, stars if negative else NOTHING, wcs=wcs)
    return made, x, y, extent, flux


def table_of(made, **options):
    return measure(made.difference, detect(made.difference.exposure), science=made.science, options=Measure(**options))


def matched(table, x, y):
    """The rows that are trails, and which truth each is."""
    rows = table[~table["trail_flag"]]
    distance = np.hypot(rows["dp_trailX"][:, None] - x, rows["dp_trailY"][:, None] - y)
    assert (distance.min(axis=1) < FWHM).all()
    return rows, distance.argmin(axis=1)


@pytest.mark.parametrize(
    ("length_fwhm", "snr", "negative"), [(1.0, 100.0, False), (2.0, 20.0, True), (4.0, 30.0, False), (8.0, 100.0, True)]
)
def test_each_trail_is_one_row(length_fwhm, snr, negative, rng):
    """Of 36 trails of either sign at least 34 are told of, once each; their numbers within their errors.

    The mean pull scatters by 1/6, its width by 0.12: four of each. No trail is a dipole or dp_bad; what else was
    detected on one is, and names it.
    """
    made, x, y, extent, flux = trail_scene(rng, length_fwhm, snr, negative=negative)
    table = table_of(made)
    rows, k = matched(table, x, y)
    assert len(rows) >= 34
    assert len(np.unique(k)) == len(rows)
    assert not rows["dp_bad"].any()
    assert not table["isDipole"].any()
    assert (rows["isNegative"] == negative).all()
    assert (np.sign(rows["trailFlux"]) == (-1.0 if negative else 1.0)).all()
    pieces = table[table["dp_trailOf"] != 0]
    assert np.isin(pieces["dp_trailOf"], rows["diaSourceId"]).all()
    assert pieces["dp_bad"].all()
    assert len(rows) + len(pieces) == len(table)
    truth, n = extent[k], 4 / np.sqrt(len(rows))
    found = np.stack([rows["dp_trailDx"], rows["dp_trailDy"]], axis=1)
    found = found * np.sign((found * truth).sum(axis=1))[:, None]
    error = np.stack([rows["dp_trailDxErr"], rows["dp_trailDyErr"]], axis=1)
    for values in (*((found - truth) / error).T, (np.abs(rows["trailFlux"]) - flux) / rows["trailFluxErr"]):
        assert abs(values.mean()) < n + 0.1
        assert abs(values.std() - 1.0) < n / np.sqrt(2)
    np.testing.assert_allclose(rows["trailChi2"] / rows["trailNdata"], 1.0, atol=0.25)


@pytest.mark.parametrize("snr", [7.0, 30.0, 200.0])
def test_points_are_not_trails(snr, rng):
    """None of 196 transients; nearly all are not even fitted."""
    x, y = places(rng, step=36)
    table = table_of(scene(rng, (x, y, snr * UNIT), NOTHING))
    assert len(table) > 0.9 * len(x)
    assert table["trail_flag"].all()
    assert (table["trailNdata"] > 0).mean() < 0.3
    assert (table["dp_trailOf"] == 0).all()


@pytest.mark.parametrize(("snr", "separation"), [(100.0, 1.0), (300.0, 3.0)])
def test_dipoles_are_not_trails(snr, separation, rng):
    """Their lobes are longer across than along."""
    x, y = places(rng)
    table = table_of(scene(rng, (x + separation / 2, y, snr * UNIT), (x - separation / 2, y, snr * UNIT)))
    assert table["isDipole"].mean() > 0.95
    assert table["trail_flag"].all()


def test_two_points_are_not_a_trail(rng):
    """Two stars 2 FWHM apart explain the pixels better than light all along would."""
    x, y = places(rng, step=60)
    made = scene(rng, (np.r_[x - FWHM, x + FWHM], np.r_[y, y], np.repeat([60.0, 40.0], len(x)) * UNIT), NOTHING)
    table = table_of(made)
    assert len(table) == 2 * len(x)
    assert table["trail_flag"].all()


def test_a_star_beside_a_faint_line_is_no_piece_of_it(rng):
    """The fit that begins at a piece of the line ends at the star, which is then no trail of that piece's.

    The noise of the difference is said to be correlated: gains in χ² are then larger than the squares of scores.
    """
    rows = np.arange(60.0, 470.0, 100.0)
    along = np.arange(150.0, 350.0, 1.5)
    line = np.tile(along, len(rows)), np.repeat(rows, len(along)), 2.5 * UNIT / SIGMA
    x, y = 250.0 + rng.uniform(-20.0, 20.0, len(rows)), rows + FWHM
    flux = np.r_[np.full(len(line[0]), line[2]), np.full(len(x), 80.0 * UNIT)]
    made = scene(rng, (np.r_[line[0], x], np.r_[line[1], y], flux), NOTHING)
    lag = np.exp(-((np.arange(-6, 7) / (2.0 * SIGMA)) ** 2))
    correlation = 0.02 * np.outer(lag, lag)
    correlation[6, 6] = 1.0
    exposure = replace(made.difference.exposure, noise_correlation=correlation)
    difference = replace(made.difference, exposure=exposure)
    table = measure(difference, detect(exposure), science=made.science)
    star = np.hypot(table["x"][:, None] - x, table["y"][:, None] - y).argmin(axis=0)
    assert np.allclose(table["x"][star], x, atol=0.3)
    assert (table["dp_trailOf"][star] == 0).all()


@pytest.mark.parametrize("snr_of_point", [6.0, 8.0])
def test_a_point_beyond_the_end_of_a_trail_does_not_take_it(snr_of_point, rng):
    """A fit that begins at the point reaches over the trail 2 FWHM off, and explains less than both apart: each trail
    is told of where it is, 4σ of its length, and no point has pieces.
    """
    x, y = places(rng, step=100)
    n, gap = 12, 2.0 * FWHM
    along = 4.0 * FWHM * ((np.arange(n) + 0.5) / n - 0.5)
    trail = (x[:, None] + along).ravel(), np.repeat(y, n), np.full(n * len(x), 4.0 * UNIT)
    point = x - 2.0 * FWHM - gap, y + 0.25 * FWHM, np.full(len(x), snr_of_point * UNIT)
    table = table_of(scene(rng, tuple(np.r_[one, other] for one, other in zip(trail, point, strict=True)), NOTHING))
    rows = table[~table["trail_flag"]]
    k = np.hypot(rows["dp_trailX"][:, None] - x, rows["dp_trailY"][:, None] - y).argmin(axis=1)
    assert len(rows) >= 0.9 * len(x)
    assert len(np.unique(k)) == len(rows)
    np.testing.assert_array_less(np.abs(rows["dp_trailX"] - x[k]), 4.0 * rows["dp_trailDxErr"])
    at_point = np.hypot(table["x"][:, None] - point[0], table["y"][:, None] - point[1]).min(axis=1) < FWHM
    assert at_point.sum() > 0.6 * len(x)
    assert (table["dp_trailOf"][at_point] == 0).all()
    assert not np.isin(table["diaSourceId"][at_point], table["dp_trailOf"]).any()
    assert np.isin(table["dp_trailOf"][table["dp_trailOf"] != 0], rows["diaSourceId"]).all()


@pytest.mark.parametrize("parity", [1.0, -1.0])
def test_length_and_angle_are_those_on_the_sky(parity, rng):
    """Arc seconds, and degrees from north towards east between 0 and 180, whatever the parity; both ends too."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [60.0, -45.0], [256.0, 256.0]
    wcs.wcs.cd = np.array([[-0.2 * parity, 0.05], [0.05 * parity, 0.2]]) / 3600
    made, x, y, extent, _ = trail_scene(rng, 3.0, 300.0, wcs=wcs)
    rows, k = matched(table_of(made), x, y)
    first, last = (wcs.pixel_to_world(x[k] + s * extent[k, 0], y[k] + s * extent[k, 1]) for s in (-0.5, 0.5))
    np.testing.assert_allclose(
        rows["trailLength"], first.separation(last).arcsec, atol=5 * rows["trailLengthErr"].max()
    )
    turned = (rows["trailAngle"] - first.position_angle(last).deg + 90) % 180 - 90
    np.testing.assert_allclose(turned, 0.0, atol=5 * rows["trailAngleErr"].max())
    assert (rows["trailAngle"] >= 0).all()
    assert (rows["trailAngle"] < 180).all()
    assert rows["trailAngleErr"].max() < 1.0
    middle = wcs.pixel_to_world(x[k], y[k])
    east = (rows["trailRa"] - middle.ra.deg) * np.cos(middle.dec.rad) / rows["trailRaErr"]
    assert np.abs(east.mean()) < 4 / np.sqrt(len(east))
    assert abs(east.std() - 1.0) < 4 / np.sqrt(2 * len(east))
    for end in (0, 1):
        column, line = wcs.world_to_pixel_values(rows[f"dp_trailRa{end}"], rows[f"dp_trailDec{end}"])
        np.testing.assert_allclose(column, rows[f"dp_trailX{end}"], atol=1e-6)
        np.testing.assert_allclose(line, rows[f"dp_trailY{end}"], atol=1e-6)
    assert (rows["dp_trailX0"] <= rows["dp_trailX1"]).all()


def test_trails_at_the_edge_say_so(rng):
    """One across the edge of the image has an end off it; one beside it an end within a FWHM; neither crashes."""
    n = 40
    along = (np.arange(n) + 0.5) / n - 0.5
    rows = [(3.0, 100.0, 30.0), (20.0, 200.0, 36.0), (250.0, 300.0, 30.0)]
    stars = [np.concatenate([x + along * length for x, _, length in rows]), np.repeat([y for _, y, _ in rows], n)]
    table = table_of(scene(rng, (*stars, 200.0 * UNIT / n), NOTHING))
    fitted = table[table["trailNdata"] > 0]
    for (_, y, _), edge, off in zip(rows, (True, True, False), (True, False, False), strict=True):
        near = fitted[(np.abs(fitted["dp_trailY"] - y) < 2.0)]
        assert len(near) > 0
        assert (near["trail_flag_edge"] == edge).all()
        assert (near["dp_trail_flag_offImage"] == off).all()
        assert near["dp_trail_flag_suspectLongTrail"].all()


def test_each_option_has_its_effect(rng):
    """Limits that nothing reaches leave no trail; a search that ends early shortens what is found; none by option."""
    made, x, y, _, _ = trail_scene(rng, 4.0, 60.0)
    rows, _ = matched(table_of(made), x, y)
    assert len(rows) >= 34
    for limit in ("least_gain", "model_error", "least_length_sigma", "search_gain"):
        assert table_of(made, trails=Trails(**{limit: 1e6}))["trail_flag"].all()
    good = ~table_of(made, trails=Trails(chi2_excess=0.0, chi2_model_error=0.0))["trail_flag"]
    assert 0.2 * len(rows) < good.sum() < 0.8 * len(rows)  # those whose chi2 is below its expectation
    patient, hasty = (
        table_of(made, trails=Trails(suspect_fwhm=limit))["dp_trail_flag_suspectLongTrail"] for limit in (6.0, 3.0)
    )
    assert not patient.any()
    assert hasty.sum() >= 34
    small, large = (table_of(made, trails=Trails(stamp_fwhm=wide))["trailNdata"] for wide in (1.0, 3.0))
    assert small.max() < large.max()
    near, far = (table_of(made, trails=Trails(search_fwhm=wide))["trailNdata"] for wide in (0.5, 12.0))
    assert np.median(near[near > 0]) < np.median(far[far > 0])
    coarse = table_of(made, trails=Trails(n_angles=1))
    assert (~coarse["trail_flag"]).sum() < len(rows)
    without = table_of(made, fit_trails=False)
    assert without["trail_flag"].all()
    assert np.isnan(without["trailFlux"]).all()


def test_nothing_to_fit(rng):
    """No detections, no rows."""
    assert len(table_of(scene(rng, NOTHING, NOTHING))) == 0


def test_a_fit_without_errors_is_no_fit():
    """A covariance is finite and positive definite, whatever the units of its rows."""
    units = np.array([1e6, 1e-3, 1e-3, 1e-2, 1e-2])
    right = np.diag(units**2)
    negative, unknown, tied = right.copy(), right.copy(), right.copy()
    negative[3, 3] *= -1.0
    unknown[0, 0] = np.nan
    tied[3, 4] = tied[4, 3] = 1.01 * units[3] * units[4]
    found = is_covariance(np.stack([right, negative, unknown, tied]))
    assert found.tolist() == [True, False, False, False]
    assert is_covariance(np.empty((0, 5, 5))).shape == (0,)
