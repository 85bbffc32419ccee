"""The cuts of the LSST pipelines: each names the candidate that breaks it, and no other; without them none is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import TooFewStarsError, UsageError
from diapipe.steps.match import AlardLupton, CandidateCuts, DeltaFunction, match
from gaussian_sky import Sky, drawn, with_planes

SKY = Sky(shape=(220, 240), n_stars=30, brightest=6e4, faintest=6e4)


@pytest.fixture
def scene(rng):
    """Stars, science, template."""
    stars = SKY.stars(rng)
    return stars, *SKY.exposures(rng, stars)


def reasons(scene, *, background_order=0, **cuts):
    """Why each star was left out, in the order of the stars."""
    stars, science, template = scene
    matcher = AlardLupton(spatial_order=0, background_order=background_order, cuts=CandidateCuts(**cuts))
    candidates = match(science, template, stars, algorithm=matcher).candidates
    at = [int(np.argmin(np.hypot(candidates.x - x, candidates.y - y))) for x, y in zip(stars.x, stars.y, strict=True)]
    return [candidates.why_rejected[k] for k in at]


def with_light(scene, k, *, flux, dx=0.0, dy=0.0):
    """More light in the science image, beside star k."""
    stars, science, template = scene
    x, y = np.atleast_1d(stars.x[k] + dx), np.atleast_1d(stars.y[k] + dy)
    light = drawn(SKY.shape, x, y, np.atleast_1d(float(flux)), sigma=SKY.sigma_science)
    return stars, with_planes(science, image=science.masked_image.image + light.astype(np.float32)), template


def test_without_cuts_nobody_is_cut(scene):
    """No change, no reason; a change of 1.3% is below the clipping of the fit."""
    assert set(reasons(scene)) == {""}
    assert reasons(with_light(scene, 7, flux=0.013 * scene[0].flux[7]))[7] == ""


def test_the_kernel_sum_unlike_the_others(scene):
    """A star brighter by 15%: its own kernel explains that, with a sum of 1.15 where others scatter by 1%.

    They do because a stamp of its own hardly tells the kernel's wings from its sky.
    """
    changed = with_light(scene, 7, flux=0.15 * scene[0].flux[7])
    found = reasons(changed, max_kernel_sum_sigma=4.0)
    assert found[7] == "a kernel sum unlike the others"
    assert sum(map(bool, found)) <= 2  # of 30 values 4 clipped sigma away by chance: 1 in 100 skies


def test_scatter_around_its_own_kernel(scene):
    """A neighbour of 5% at 7 px, which no kernel can make of the star alone."""
    changed = with_light(scene, 7, flux=0.05 * scene[0].flux[7], dx=6.0, dy=4.0)
    found = reasons(changed, max_single_residual_std=1.15)
    assert found[7] == "the scatter around its own kernel"
    assert sum(map(bool, found)) == 1


def test_only_the_core_is_judged_where_that_is_asked_for(scene):
    """The same neighbour is outside of the core of 3 px: the scatter is that of 49 pixels of noise."""
    changed = with_light(scene, 7, flux=0.05 * scene[0].flux[7], dx=6.0, dy=4.0)
    stars, science, template = changed
    cuts = CandidateCuts(max_single_residual_std=1.5, core_radius_px=3.0)
    matcher = AlardLupton(spatial_order=0, background_order=0, cuts=cuts)
    why = match(science, template, stars, algorithm=matcher).candidates.why_rejected
    assert "the scatter around its own kernel" not in why


def test_mean_residual_of_its_own_kernel(scene):
    """A raised sky under one stamp, where no background is fitted: the mean residual is above a quarter of a sigma."""
    stars, science, template = scene
    x, y = int(stars.x[7]), int(stars.y[7])
    image = science.masked_image.image.copy()
    image[max(y - 20, 0) : y + 20, max(x - 20, 0) : x + 20] += 30.0
    found = reasons(
        (stars, with_planes(science, image=image), template), background_order=None, max_single_residual_mean=0.25
    )
    assert found[7] == "the mean residual of its own kernel"
    assert sum(map(bool, found)) <= 4  # its neighbours have a part of that sky


@pytest.mark.parametrize(
    ("cut", "reason"),
    [
        ({"max_spatial_residual_std": 1.25, "core_radius_px": 5.0}, "the scatter around the common kernel"),
        ({"max_spatial_residual_mean": 0.35, "core_radius_px": 5.0}, "the mean residual of the common kernel"),
    ],
)
def test_residuals_of_the_common_kernel(cut, reason, scene):
    """The star brighter by 1.3% has residuals under the kernel of all that the clipping of the fit lets pass.

    By hand: 780 counts of 10 sigma over 121 px are 0.64 in the mean, and as a Gaussian of 1.9 px 1.4 in the scatter.
    """
    changed = with_light(scene, 7, flux=0.013 * scene[0].flux[7])
    found = reasons(changed, **cut)
    assert found[7] == reason
    assert sum(map(bool, found)) <= 3


def test_ill_determined_kernels(scene):
    """Every stamp's normal matrix is worse than 10: nobody is left, and the sentence says why."""
    with pytest.raises(TooFewStarsError, match="left out were 30 for an ill-determined kernel"):
        reasons(scene, max_condition_number=10.0)
    assert set(reasons(scene, max_condition_number=1e300, condition_kind="svd")) == {""}


def test_smoothness_makes_a_kernel_better_determined(scene):
    """The penalty counts in the condition number, as it does in the fit."""
    stars, science, template = scene
    cuts = CandidateCuts(max_condition_number=1.2e5)
    held = DeltaFunction(kernel_half_px=4, cuts=cuts)
    assert match(science, template, stars, algorithm=held).candidates.kept.all()
    with pytest.raises(TooFewStarsError, match="ill-determined"):
        match(science, template, stars, algorithm=replace(held, strength=replace(held.strength, fraction=0.0)))


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="condition_kind must be eigenvalue or svd, not 'norm'"):
        CandidateCuts(condition_kind="norm")
