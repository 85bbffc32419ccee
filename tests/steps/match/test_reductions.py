"""Bases made by the stamps' own kernels: principal components, and degrees by the information criterion."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from diapipe.errors import UsageError
from diapipe.images import Box, GaussianPsf
from diapipe.images.fields import scaled_coordinates
from diapipe.numerics.kernel_bases import gaussian_basis, gaussian_terms, normalised_weights
from diapipe.numerics.single_fits import fit_each
from diapipe.numerics.stamp_sums import chi_squares
from diapipe.steps.match import (
    AlardLupton,
    DeltaFunction,
    LeastBic,
    PrincipalComponents,
    WholeBasis,
    match,
)
from diapipe.steps.match.stamps import cut_stamps
from gaussian_sky import Sky, drawn, exposure, width_squared

SKY = Sky(shape=(260, 280), n_stars=42, noise_science=3.0, noise_template=1.0)


@pytest.fixture
def scene(rng):
    """Stars, science, template."""
    stars = SKY.stars(rng)
    return stars, *SKY.exposures(rng, stars)


def rank(kernel):
    """How many different images a kernel varies among."""
    images = kernel.field.images.reshape(len(kernel.field.images), -1)
    return int(np.linalg.matrix_rank(images, tol=1e-8))


@pytest.mark.parametrize("basis", [AlardLupton(), DeltaFunction()])
@pytest.mark.parametrize("subtract_mean", [True, False])
def test_components_make_the_kernel(basis, subtract_mean, scene):
    """σ_K² of 1.65 px² to 4%, sum to 3 of its errors; few images, so few that a third order has no more of them."""
    stars, science, template = scene
    components = PrincipalComponents(n_components=3, subtract_mean=subtract_mean)
    matcher = replace(basis, reduction=components, spatial_order=2)
    found = match(science, template, stars, algorithm=matcher)
    assert width_squared(found.kernel.image_at(x=140, y=130)) == pytest.approx(1.65, rel=0.04)
    assert found.kernel_sum == pytest.approx(1.0, abs=3 * found.kernel_sum_error + 5e-4)
    assert rank(found.kernel) == 3 + int(subtract_mean)
    assert found.basis.startswith("mean and 3 principal" if subtract_mean else "3 principal components of")


def test_components_follow_a_varying_psf(rng):
    """Science stars widen across the frame from 1.6 to 2.2 px: σ_K² to 4%, with a mean and two components.

    The sum of the kernel, that of the first image alone, is the same everywhere.
    """
    sky = replace(SKY, shape=(260, 280), n_stars=56, noise_science=1.0)
    stars = sky.stars(rng)
    u, _ = scaled_coordinates(Box.from_shape(sky.shape), x=stars.x, y=stars.y)
    light = sum(
        drawn(sky.shape, *map(np.atleast_1d, s), sigma=w)
        for *s, w in zip(stars.x, stars.y, stars.flux, 1.9 + 0.3 * u, strict=True)
    )
    science = exposure("science", light, 1.0, 1.9, rng)
    _, template = sky.exposures(rng, stars)
    matcher = DeltaFunction(reduction=PrincipalComponents(n_components=2), max_spatial_order=2)
    found = match(science, template, stars, algorithm=matcher)
    assert found.spatial_order >= 1
    for x in (40.0, 140.0, 240.0):
        expected = (1.9 + 0.3 * (x - 139.5) / 140) ** 2 - 1.4**2
        assert width_squared(found.kernel.image_at(x=x, y=130)) == pytest.approx(expected, rel=0.04, abs=0.04)
        assert found.kernel.sum_at(x=x, y=130) == pytest.approx(found.kernel_sum, rel=1e-10)


def test_few_components_fit_less_noise(scene):
    """A constant kernel by a fit that may vary: from centre to corner three components vary less than free pixels."""
    stars, science, template = scene
    free, varied = DeltaFunction(kernel_half_px=6, spatial_order=2), []
    for reduction in (WholeBasis(), PrincipalComponents(n_components=3)):
        kernel = match(science, template, stars, algorithm=replace(free, reduction=reduction)).kernel
        varied.append(np.linalg.norm(kernel.image_at(x=5, y=5) - kernel.image_at(x=140, y=130)))
    assert varied[1] < 0.8 * varied[0]


def test_no_more_components_than_kernels_differ_in(scene):
    """Five asked of four stars: a mean, and no more components than there are kernels that are not odd."""
    stars, science, template = scene
    four = stars.select(np.argsort(-stars.flux)[:4])
    matcher = DeltaFunction(reduction=PrincipalComponents(), kernel_half_px=5)
    words = match(science, template, four, algorithm=matcher).basis
    n_components, n_kernels = map(int, re.match(r"mean and (\d) principal components of (\d)", words).groups())
    assert n_components <= n_kernels <= 4


def test_combinations_of_a_basis_have_its_form(rng):
    """Sum 1 for the first, sum 0 and norm 1 for the others, to 1e-12; what is a multiple of the first is left out."""
    basis = gaussian_basis((1.0, 2.0), (2, 1), half=6)
    rows = rng.normal(size=(4, len(basis)))
    rows[2] = -3.0 * rows[0]
    images = basis.transformed(normalised_weights(rows, basis)).images
    assert len(images) == 3
    np.testing.assert_allclose(images.sum(axis=(1, 2)), [1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose((images[1:] ** 2).sum(axis=(1, 2)), 1.0, atol=1e-12)


def test_terms_of_gaussians():
    """One entry for each image: which Gaussian, and how many powers of x and y together."""
    degrees = (4, 2, 0)
    terms = gaussian_terms(degrees)
    assert len(terms) == len(gaussian_basis((1.0, 2.0, 3.0), degrees, half=5))
    counts = [[terms.count((g, d)) for d in range(top + 1)] for g, top in enumerate(degrees)]
    assert counts == [[1, 2, 3, 4, 5], [1, 2, 3], [1]]


def bic_scene(rng, *, shear):
    """Stars on a template, and the science image through a kernel that is the first Gaussian of the basis.

    ``shear``: times 1 + that many times x²/σ² more, which only the second degree makes.
    """
    matcher = AlardLupton(sigmas_px=(1.2, 2.4), degrees=(3, 2), kernel_half_px=7, spatial_order=0)
    stars = SKY.stars(rng)
    light = drawn(SKY.shape, stars.x, stars.y, stars.flux, sigma=SKY.sigma_template)
    kernel = GaussianPsf(1.2, 15).kernel_image(x=0, y=0)
    kernel = kernel * (1.0 + shear * (np.arange(15) - 7) ** 2 / 1.2**2)
    science = exposure("science", signal.fftconvolve(light, kernel, mode="same"), 3.0, 1.9, rng)
    template = exposure("template", light, 0.1, 1.4, rng)
    return stars, science, template, matcher


@pytest.mark.parametrize(("shear", "expected"), [(0.0, "1, 1"), (0.3, "2, 1")])
def test_the_criterion_finds_the_degrees_that_are_there(shear, expected, rng):
    """One Gaussian is one Gaussian: the lowest degrees; times x², it is the second degree on the first Gaussian."""
    stars, science, template, matcher = bic_scene(rng, shear=shear)
    full, chosen = (
        match(science, template, stars, algorithm=replace(matcher, reduction=r)) for r in (WholeBasis(), LeastBic())
    )
    assert chosen.basis.endswith(f"of these degrees {expected} by the information criterion")
    assert chosen.kernel_sum == pytest.approx(full.kernel_sum, rel=2e-3)
    chi2 = [np.median(m.candidates.reduced_chi2) for m in (full, chosen)]
    assert chi2[1] == pytest.approx(chi2[0], rel=0.03)


def test_the_criterion_is_chi2_and_k_log_n(rng):
    """Against the fits themselves: for every choice the χ² of its stamps and (k + 1) ln n for each."""
    stars, science, template, matcher = bic_scene(rng, shear=0.0)
    sized = matcher.sized_basis(target_sigma_px=1.4, reference_sigma_px=1.9)
    five = stars.select(np.arange(5))
    stamps = cut_stamps(
        template.masked_image, science.masked_image, sized.basis, x=five.x, y=five.y, half=12, noise_gain=0.05
    )
    sums = stamps.sums(stamps.good, is_precise=True)
    found = LeastBic(least_degree=0).criteria(sized, sums, with_background=True)
    assert set(found) == {(a, b) for a in range(4) for b in range(3)}
    local = fit_each(sums).coefficients
    twin = (chi_squares(sums, local) + (len(sized.basis) + 1) * np.log(sums.n_pixels)).sum()
    assert found[3, 2] == pytest.approx(twin, rel=1e-6)
    without = LeastBic().criteria(sized, sums, with_background=False)
    assert set(without) == {(a, b) for a in range(1, 4) for b in range(1, 3)}


def test_free_pixels_have_no_degrees():
    with pytest.raises(UsageError, match="chooses degrees of Gaussians, and free pixels have none: use pca"):
        DeltaFunction(reduction=LeastBic())
