"""Zero points from the stars that images share, against those that the images were made with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from tests.steps.calibrate.made_visits import made_visits, pulls

from diapipe.errors import TooFewStarsError, UsageError
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.numerics.zero_point_errors import zero_point_errors
from diapipe.numerics.zero_points import zero_points
from diapipe.steps.calibrate import Relative, photometric_scale

NOMINAL = ZERO_POINT_NJY * 10.0 ** (-0.4 * 25.0)


def scales(n: int, seed: int = 0) -> np.ndarray:
    """Flux of a count on n images, through clouds."""
    return np.exp(np.random.default_rng(seed).normal(0.0, 0.4, n))


@pytest.mark.parametrize(
    "scene",
    [
        {},
        {"noise": 2000.0},
        {"shake": 0.02},
        {"variable": 0.2, "outliers": 0.03},
        {"noise": 2000.0, "shake": 0.02, "variable": 0.1, "outliers": 0.02},
    ],
    ids=["photons", "sky", "scatter", "variables and outliers", "all"],
)
def test_zero_points_are_right_within_their_errors(scene):
    """Six sets of 20 visits: 114 free pulls of width 1 ± 0.066; four of these are allowed, and no bias."""
    found = []
    for seed in range(6):
        made = made_visits(scales(20, seed), seed=seed, **scene)
        found.append(pulls(photometric_scale(made.stars), made))
    assert abs(np.std(found) - 1.0) < 0.27
    assert np.abs(found).max() < 4.5


def test_two_visits_differ_by_the_ratio_of_their_fluxes():
    """150 stars of S/N 100 or more: to 5 of the errors, which are below 1e-3."""
    made = made_visits(np.array([1.0, 3.0]))
    table = photometric_scale(made.stars)
    value, error = np.asarray(table["nJyPerCount"]), np.asarray(table["nJyPerCountErr"])
    assert (error / value).max() < 1e-3
    assert abs(np.log(value[1] / value[0] / 3.0)) < 5.0 * np.hypot(*(error / value))


def test_the_fit_is_that_of_dense_least_squares():
    """Without outliers, scatter and faint stars the solution is the textbook's, all unknowns in one matrix."""
    rng = np.random.default_rng(4)
    star, image = np.repeat(np.arange(12), 5), np.tile(np.arange(5), 12)
    error = np.full(60, 1.0)
    flux = 1e4 * np.exp(rng.uniform(0.0, 1.0, 12)[star] + rng.uniform(0.0, 1.0, 5)[image] + rng.normal(0, 1e-5, 60))
    design, prior = csr_array(np.eye(5)), np.zeros(5)
    fit = zero_points(flux, error, star=star, image=image, design=design, prior=prior, least_snr=10.0)
    full = np.zeros((60, 17))
    full[np.arange(60), image], full[np.arange(60), 5 + star] = 1.0, 1.0
    root = np.sqrt(fit.weights)
    wanted, *_ = np.linalg.lstsq(root[:, None] * full, root * (np.log(flux) + 0.5 / flux**2), rcond=None)
    np.testing.assert_allclose(np.diff(fit.parameters), np.diff(wanted[:5]), atol=1e-9)
    covariance = np.linalg.pinv(full.T @ (fit.weights[:, None] * full))[:5, :5]
    weight = np.bincount(image, fit.weights)
    centre = np.eye(5) - np.outer(np.ones(5), weight / weight.sum())
    errors = zero_point_errors(
        fit.weights, star=star, image=image, design=design, prior=prior, group=np.zeros(5, np.int64)
    )
    np.testing.assert_allclose(errors, np.sqrt(np.diag(centre @ covariance @ centre.T)), rtol=1e-6)


def test_a_chain_of_fields_hangs_together_and_drifts():
    """Ten fields, each half over the last: the pulls are N(0, 1) (54 in six sets: ± 0.1), and the ends of the chain are
    known worse than its middle.
    """
    found = []
    for seed in range(6):
        made = made_visits(scales(10, seed), seed=seed, centres=30.0 + 0.05 * np.arange(10), shake=0.01)
        table = photometric_scale(made.stars)
        found.append(pulls(table, made))
        error = np.asarray(table["nJyPerCountErr"] / table["nJyPerCount"])
        assert error[[0, -1]].min() > 1.2 * error[4:6].max()
    assert set(table["component"]) == {0}
    assert abs(np.std(found) - 1.0) < 0.4


def test_fields_without_a_common_star_are_told():
    """Two fields: each has a reference of its own, its scale is right within it, and a sentence says so."""
    made = made_visits(scales(10), centres=np.repeat([30.0, 40.0], 5), n_stars=80)
    table = photometric_scale(made.stars)
    assert len(set(table["component"][:5])) == len(set(table["component"][5:])) == 1
    assert table["component"][0] != table["component"][5]
    assert table["isReference"][:5].sum() == table["isReference"][5:].sum() == 1
    for part in (slice(0, 5), slice(5, 10)):
        ratio = np.asarray(table["nJyPerCount"][part]) / made.njy_per_count[part]
        np.testing.assert_allclose(ratio, ratio[0], rtol=2e-3)
    assert any("2 groups of visits share no stars and are not on one scale" in said for said in table.meta["sentences"])


def test_the_reference_visit_has_the_nominal_zero_point():
    """One count of it is worth magnitude 25, or what is asked; by default it is the first visit that is known well."""
    made = made_visits(np.array([1.0, 1.0, 0.1, 1.0]), noise=5000.0)
    table = photometric_scale(made.stars)
    assert list(table["isReference"]) == [False, False, True, False]
    assert table["nJyPerCount"][2] == pytest.approx(NOMINAL)
    assert not table["isAbsolute"].any()
    assert "the scale is relative: nJy follow from a nominal zero point of visit 1002" in table.meta["sentences"]
    asked = photometric_scale(made.stars, algorithm=Relative(reference_visit=1001, nominal_zero_point_mag=20.0))
    assert asked["nJyPerCount"][1] == pytest.approx(100.0 * NOMINAL)


def test_a_better_visit_that_comes_later_changes_no_flux():
    """The fifth night is twice as transparent: its visit is known best, yet the scale of the first four stays, to the
    errors of their zero points.
    """
    truth = np.array([1.0, 0.9, 1.1, 1.0, 0.5])
    before = photometric_scale(made_visits(truth[:4]).stars)
    after = photometric_scale(made_visits(truth).stars)
    assert (
        after["nJyPerCountErr"][4] / after["nJyPerCount"][4]
        < (after["nJyPerCountErr"] / after["nJyPerCount"])[:4].min()
    )
    np.testing.assert_allclose(after["nJyPerCount"][:4], before["nJyPerCount"], rtol=2e-3)


def test_calibrations_of_the_files_set_the_zero():
    """Where files say what a count is worth, their median stays; a visit that is wrong by half does not."""
    made = made_visits(scales(9))
    told = made.njy_per_count.copy()
    told[3] *= 1.5
    told[5] = np.nan
    table = photometric_scale(replace(made.stars, given=told))
    np.testing.assert_allclose(table["nJyPerCount"], made.njy_per_count, rtol=2e-3)
    assert table["isAbsolute"].all()
    anchored = photometric_scale(replace(made.stars, given=told), algorithm=Relative(reference_visit=1003))
    np.testing.assert_allclose(anchored["nJyPerCount"], 1.5 * made.njy_per_count, rtol=3e-3)


def test_detectors_have_constants_of_their_own():
    """Four detectors, dithered by a fifth: visits and detectors are told apart, to 5 of the errors of either."""
    detectors = np.array([0.0, 0.1, -0.1, 0.03])
    truth = np.exp(np.log(scales(8))[:, None] + detectors).ravel()
    made = made_visits(truth, n_detectors=4, centres=30.0 + 0.02 * np.arange(8))
    table = photometric_scale(made.stars)
    np.testing.assert_allclose(pulls(table, made), 0.0, atol=5.0)
    assert np.median(table["nJyPerCountErr"] / table["nJyPerCount"]) < 1e-3
    alone = photometric_scale(made.stars, algorithm=Relative(per="detector"))
    ratio = np.asarray(alone["nJyPerCount"]) / truth
    np.testing.assert_allclose(ratio / np.median(ratio), 1.0, rtol=2e-3)


def test_detectors_without_a_common_star_keep_to_their_files():
    """Pointings that do not move share no star between detectors: the ratios of the files' calibrations stay, and the
    prior's 0.05 mag is in the errors.
    """
    given = np.exp(np.log(scales(6))[:, None] + np.array([0.0, 0.2])).ravel()
    made = made_visits(given, n_detectors=2, n_stars=60, given=given)
    table = photometric_scale(made.stars)
    np.testing.assert_allclose(np.asarray(table["nJyPerCount"]) / given, 1.0, rtol=2e-3)
    assert 0.01 < np.median(table["nJyPerCountErr"] / table["nJyPerCount"]) < 0.06


def test_two_stars_are_too_few():
    """A visit that shares two stars has no scale, and says why; the others have theirs."""
    made = made_visits(scales(5))
    stars = made.stars
    last = np.flatnonzero(stars.image == 4)
    kept = np.sort(np.concatenate([np.flatnonzero(stars.image < 4), last[:2]]))
    fewer = replace(stars, **{name: getattr(stars, name)[kept] for name in ("image", "ra", "dec", "flux", "flux_err")})
    table = photometric_scale(fewer)
    assert np.isnan(table["nJyPerCount"][4])
    assert np.isfinite(table["nJyPerCount"][:4]).all()
    assert table["reason"][4] == "2 stars shared with other visits; 3 are needed"
    assert table["component"][4] == -1
    told = photometric_scale(replace(fewer, given=made.njy_per_count))
    assert told["nJyPerCount"][4] == made.njy_per_count[4]
    assert "the calibration of its file stands" in told["reason"][4]


@pytest.mark.parametrize("n_stars", [0, 1])
def test_without_stars_there_is_no_work(n_stars):
    """No star, or one: no image has a scale, and the sentence says what is needed."""
    made = made_visits(scales(3))
    rows = np.flatnonzero(made.stars.ra == made.stars.ra[0])[:n_stars]
    fewer = replace(
        made.stars, **{name: getattr(made.stars, name)[rows] for name in ("image", "ra", "dec", "flux", "flux_err")}
    )
    with pytest.raises(TooFewStarsError, match=r"none of 3 images in band r .*: 0 stars shared .*; 3 are needed"):
        photometric_scale(fewer, band="r")


def test_one_visit_alone_is_its_own_reference():
    """There is nothing to be relative to: its counts have the nominal zero point, without an error."""
    table = photometric_scale(made_visits(np.array([2.0])).stars)
    assert table["nJyPerCount"][0] == pytest.approx(NOMINAL)
    assert np.isnan(table["nJyPerCountErr"][0])


def test_faint_stars_that_noise_chose_do_not_pull():
    """A deep visit and nine shallow ones, whose list ends at S/N 20: faint stars are in it where they came out bright.
    The scales agree to 4 of their errors; by all listed stars they were off by 10.
    """
    made = made_visits(np.concatenate([[0.2], np.ones(9)]), noise=3e4, n_stars=1000)
    assert np.abs(pulls(photometric_scale(made.stars), made)).max() < 4.0


def test_wrong_options_are_refused():
    """By name and value."""
    with pytest.raises(UsageError, match="per of Relative must be visit or detector, not 'chip'"):
        Relative(per="chip")
    with pytest.raises(UsageError, match="min_stars of Relative must be positive"):
        Relative(min_stars=-1)
