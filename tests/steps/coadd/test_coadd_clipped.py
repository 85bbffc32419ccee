"""What one visit shows and the others do not is left out; stars, whatever the seeing, are not."""

from __future__ import annotations

import numpy as np
import pytest

from coadd_scenes import (
    NO_STARS,
    NOISE,
    PATCH,
    SEEING_ARCSEC,
    Field,
    all_of,
    point,
    rays,
    sigma_of,
    stacked,
    stars,
    trail,
    visit_of,
    warped,
)
from diapipe.images import MaskPlane
from diapipe.steps.coadd import ClippedCoadder, MeanCoadder

N = len(SEEING_ARCSEC)
SEED = 20260417


def warps_of(field, more=None):
    """Ten visits in seeing of 0.7 to 1.2 arcsec, with what ``more`` puts into them by number; always the same noise."""
    visits = (visit_of(k, field, rng=np.random.default_rng([SEED, k]), more=(more or {}).get(k)) for k in range(N))
    return [warped(visit) for visit in visits]


@pytest.fixture(scope="module")
def clean():
    """The coadd of the same noise with nothing in it."""
    return stacked(warps_of(NO_STARS), MeanCoadder())


def mean_and_clipped(warps):
    return stacked(warps, MeanCoadder()), stacked(warps, ClippedCoadder())


def of_two(visits, more):
    """The mean and the clipped mean of two visits of an empty field, with what ``more`` puts into each."""
    return mean_and_clipped(
        [
            warped(visit_of(k, NO_STARS, rng=np.random.default_rng([SEED, k]), more=added))
            for k, added in zip(visits, more, strict=True)
        ]
    )


def left_over(made, clean, x, y, *, radius=12):
    """Sum of what an artefact left within a radius of positions."""
    rows, columns = np.mgrid[PATCH.y0 : PATCH.y1, PATCH.x0 : PATCH.x1]
    off = made.exposure.masked_image.image - clean.exposure.masked_image.image
    return np.array([off[np.hypot(columns - a, rows - b) < radius].sum() for a, b in zip(x, y, strict=True)])


@pytest.mark.parametrize("snr", [15.0, 1000.0])
def test_transients_in_one_of_ten_are_suppressed(rng, clean, snr):
    """Four in each visit, 40 in all: at least 95% of the light that the mean has of them is gone, from 15 sigma on.

    In the regions a tenth of the noise is missing: that adds 1% to the sum at 15 sigma.
    """
    at = 40.0 * np.arange(7) + 30.0
    grid = rng.permutation(49)[: 4 * N]
    x, y = (at[grid % 7] + PATCH.x0).reshape(N, 4), (at[grid // 7] + PATCH.y0).reshape(N, 4)
    x, y = x + rng.uniform(-3, 3, x.shape), y + rng.uniform(-3, 3, y.shape)
    flux = np.array([snr * NOISE * np.sqrt(4 * np.pi) * sigma_of(k) for k in range(N)])
    mean, found = mean_and_clipped(warps_of(NO_STARS, {k: point(x[k], y[k], np.full(4, flux[k])) for k in range(N)}))
    in_mean, left = (left_over(made, clean, x.ravel(), y.ravel()) for made in (mean, found))
    assert in_mean.mean() == pytest.approx(flux.mean() / N, rel=0.1)
    assert abs(left.sum()) < 0.05 * in_mean.sum()
    middles = np.round(y).astype(int) - PATCH.y0, np.round(x).astype(int) - PATCH.x0
    assert ((found.exposure.masked_image.mask[middles] & int(MaskPlane.CLIPPED)) != 0).all()
    assert (found.n_images[middles] < N).all()


def test_a_bad_pixel_on_a_star_hides_nothing_around_it():
    """A transient one pixel beside one, on the light of a star six pixels away: 95% gone, the pixel being filled."""
    x, y, row = np.array([150.0]) + PATCH.x0, np.array([150.0]) + PATCH.y0, 150 + PATCH.y0
    more = {k: point(x, y, 3e4) for k in range(N)}
    calm, changed = warps_of(NO_STARS, more), warps_of(NO_STARS, more | {3: all_of(more[3], point(x + 6, y, 3e4))})
    for warps in (calm, changed):
        box, mask = warps[3].box, warps[3].masked_image.mask
        mask[row - box.y0, 155 + PATCH.x0 - box.x0] |= int(MaskPlane.CR)
    (mean, found), (plain, clipped) = mean_and_clipped(changed), mean_and_clipped(calm)
    left, in_mean = left_over(found, clipped, x + 6, y, radius=5), left_over(mean, plain, x + 6, y, radius=5)
    assert abs(left[0]) < 0.05 * in_mean[0]


def test_moving_objects_trails_and_rays_are_suppressed(rng, clean):
    """An asteroid at another place in each visit, a satellite, cosmic rays that nobody flagged: each 95% gone."""
    x, y = np.linspace(60, 240, N) + PATCH.x0, np.full(N, 150.0) + PATCH.y0
    asteroid = {k: point(x[k], y[k], 2e4) for k in range(N)}
    more = asteroid | {3: all_of(asteroid[3], trail(height=400.0)), 5: all_of(asteroid[5], rays(rng))}
    mean, found = mean_and_clipped(warps_of(NO_STARS, more))
    assert left_over(found, clean, x, y).sum() < 0.05 * left_over(mean, clean, x, y).sum()
    sigma = np.sqrt(clean.exposure.masked_image.variance)
    before, after = (
        (made.exposure.masked_image.image - clean.exposure.masked_image.image) / sigma for made in (mean, found)
    )
    assert np.count_nonzero(before > 4) > 1000  # most of them of the trail
    assert np.count_nonzero(np.abs(after) > 4) < 0.01 * np.count_nonzero(before > 4)
    assert abs(after.sum()) < 0.05 * before.sum()


def test_stars_in_any_seeing_are_left_alone(rng):
    """Up to 3e5 nJy, 5,000 sigma: fluxes with and without clipping agree to 0.3%, and next to nothing is clipped."""
    field = stars(rng)
    mean, found = mean_and_clipped(warps_of(field))
    off = left_over(found, mean, field.x, field.y)
    assert np.abs(off / field.flux).max() < 0.003
    assert max(found.clipped_share.values()) < 0.002


def test_stars_on_the_border_are_left_alone_and_transients_there_are_not():
    """The border cuts stars, of which each seeing leaves another part: nothing of them is clipped. A transient on the
    border of the dark sky is, and what is left there is noise.
    """
    rng = np.random.default_rng(1)
    y, flux = PATCH.y0 + 20.0 + 20.0 * np.arange(14) + rng.uniform(-3, 3, 14), 10 ** rng.uniform(4, 5.5, 14)
    field = Field(PATCH.x0 + rng.uniform(-5, 5, 14), y, flux)
    at = np.array([PATCH.x1 - 1.0]), np.array([150.0]) + PATCH.y0
    warps = [
        warped(visit_of(k, field, rng=np.random.default_rng([1, k]), more=point(*at, 5e4) if k == 2 else None))
        for k in range(6)
    ]
    mean, found = mean_and_clipped(warps)
    is_clipped = (found.exposure.masked_image.mask & int(MaskPlane.CLIPPED)) != 0
    assert not is_clipped[:, :25].any()
    assert is_clipped[150, -1]
    sigma = NOISE / np.sqrt(5)
    assert mean.exposure.masked_image.image[150, -1] > 15 * sigma
    assert abs(found.exposure.masked_image.image[150, -1]) < 4 * sigma


def test_what_varies_in_many_visits_is_no_artefact():
    """A star that doubles in five of ten visits stays what it is on the mean."""
    x, y = np.array([150.0]) + PATCH.x0, np.array([150.0]) + PATCH.y0
    more = {k: point(x, y, 4e4 if k % 2 else 8e4) for k in range(N)}
    mean, found = mean_and_clipped(warps_of(NO_STARS, more))
    assert abs(left_over(found, mean, x, y)[0]) < 0.005 * 6e4


@pytest.mark.parametrize(
    ("visit", "change", "goes"), [(0, 0.2, False), (9, -0.2, False), (4, 1.0, True), (0, 1.0, True)]
)
def test_a_star_that_varies_a_little_keeps_the_psf_of_the_others(rng, visit, change, goes):
    """Beside a brighter one: without the sharpest or the widest visit both would be seen by a PSF of their own, which
    is more wrong than a fifth of the fainter one. A star that doubles is left out, in that seeing as in any.
    """
    x, y, flux = np.array([150.0, 157.0]) + PATCH.x0, np.array([150.0, 150.0]) + PATCH.y0, np.array([6e4, 2e5])
    more = {k: point(x, y, flux * [1.0 + change * (k == visit), 1.0]) for k in range(N)}
    mean, found = mean_and_clipped(warps_of(stars(rng), more))
    off = left_over(found, mean, x[:1], y[:1])[0]
    assert bool(found.exposure.masked_image.mask[150, 150] & int(MaskPlane.CLIPPED)) is goes
    assert off == (pytest.approx(-change * flux[0] / N, rel=0.15) if goes else 0.0)


@pytest.fixture(params=[(4, 5), (9, 2)], ids=["seeing alike", "other seeing"])
def pair(request):
    """Two of the visits."""
    return request.param


def test_of_two_images_the_darker_is_believed(pair):
    """Transients of 15 sigma, four in each, are 95% gone."""
    x, y = np.tile([60.0, 250.0], 4) + PATCH.x0, np.repeat([40.0, 90.0, 230.0, 270.0], 2) + PATCH.y0
    flux = [15.0 * NOISE * np.sqrt(4 * np.pi) * sigma_of(k) for k in pair]
    clean = of_two(pair, [None, None])[0]
    mean, found = of_two(pair, [point(x[k::2], y[k::2], np.full(4, flux[k])) for k in range(2)])
    assert abs(left_over(found, clean, x, y, radius=8).sum()) < 0.05 * left_over(mean, clean, x, y, radius=8).sum()


@pytest.mark.parametrize("artefacts", [trail(height=400.0), rays(np.random.default_rng(SEED))], ids=["trail", "rays"])
def test_trails_and_rays_of_one_of_two_images_are_left_out(pair, artefacts):
    """What an interpolation makes of a ray rings: the other image, the brighter one there, is not left out for that."""
    clean = of_two(pair, [None, None])[0]
    sigma = np.sqrt(clean.exposure.masked_image.variance)
    before, after = (
        (made.exposure.masked_image.image - clean.exposure.masked_image.image) / sigma
        for made in of_two(pair, [artefacts, None])
    )
    assert np.count_nonzero(before > 4) > 150
    assert np.count_nonzero(np.abs(after) > 4) < 0.01 * np.count_nonzero(before > 4)
    assert abs(after.sum()) < 0.05 * before.sum()


def test_stars_and_noise_of_two_images_are_left_alone(rng, pair):
    """Up to 3e5 nJy: nothing is clipped, whatever the seeing; what only one shows as a hole is no artefact."""
    field = stars(rng)
    x, y = np.array([150.0]) + PATCH.x0, np.array([160.0]) + PATCH.y0
    more = {pair[1]: point(x, y, -5e3)}
    mean, found = mean_and_clipped([warped(visit_of(k, field, rng=rng, more=more.get(k))) for k in pair])
    assert np.abs(left_over(found, mean, field.x, field.y) / field.flux).max() < 0.003
    assert max(found.clipped_share.values()) < 0.002


def test_of_three_images_one_may_be_wrong(rng):
    """A transient, and a hole: the two that agree are right."""
    x, y = np.array([150.0, 220.0]) + PATCH.x0, np.array([150.0, 150.0]) + PATCH.y0
    more = point(x, y, [5e4, -5e4])
    found = stacked(
        [warped(visit_of(k, NO_STARS, rng=rng, more=more if k == 0 else None)) for k in range(3)], ClippedCoadder()
    )
    for column in (150, 220):
        assert abs(found.exposure.masked_image.image[150, column]) < 5 * NOISE
        assert found.n_images[150, column] == 2


@pytest.mark.parametrize(("n", "most"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (10, 2), (34, 3), (100, 5)])
def test_how_many_visits_are_few(n, most):
    """At most 40%, and 2 plus 3%: as LSST's comparison of warps counts."""
    assert ClippedCoadder()._most_epochs(np.array([[n]], np.int32))[0, 0] == most
