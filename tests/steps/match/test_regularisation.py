"""Roughness and strength of the delta-function basis: what each does to a kernel of free pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import UsageError
from diapipe.images import GaussianPsf
from diapipe.numerics.kernel_bases import delta_basis, noise_products
from diapipe.numerics.stamp_sums import noise_free, sky_free
from diapipe.steps.match import (
    ROUGHNESSES,
    AbsoluteStrength,
    CentralDifferences,
    DeltaFunction,
    ForwardDifferences,
    LeastRisk,
    RelativeStrength,
    match,
)
from diapipe.steps.match.stamps import cut_stamps
from gaussian_sky import Sky

SKY = Sky(shape=(160, 180), n_stars=16)
FREE = DeltaFunction(kernel_half_px=4, stamp_half_px=10, spatial_order=0, strength=AbsoluteStrength(value=0.0))
TRUE = GaussianPsf(1.65**0.5, 9).kernel_image(x=0, y=0)


@pytest.fixture
def scene(rng):
    """Stars, science, template."""
    stars = SKY.stars(rng)
    return stars, *SKY.exposures(rng, stars)


def kernel(scene, **options):
    stars, science, template = scene
    return match(science, template, stars, algorithm=replace(FREE, **options)).kernel.image_at(x=90, y=80)


def error(image):
    """Root of the sum of the squared errors of the pixels."""
    return float(np.sqrt(((image - TRUE) ** 2).sum()))


@pytest.mark.parametrize("name", list(ROUGHNESSES))
def test_every_roughness_calms_the_kernel(name, scene):
    """Regularised by default strength, the pixels are ten times nearer to the truth than free ones."""
    held = kernel(scene, roughness=ROUGHNESSES[name](), strength=RelativeStrength())
    assert error(held) < 0.1 * error(kernel(scene))
    assert held.sum() == pytest.approx(1.0, abs=3e-3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CentralDifferences(stencil=5), CentralDifferences(stencil=9)),
        (ForwardDifferences(orders=(1,)), ForwardDifferences(orders=(2,))),
        (ForwardDifferences(orders=(1, 2)), ForwardDifferences(orders=(1, 2, 3))),
    ],
)
def test_roughnesses_are_of_different_kinds(one, other, scene):
    """Stencil and orders matter: held hard, kernels differ by more than 0.5% of the peak."""
    strong = RelativeStrength(fraction=0.3)
    images = [kernel(scene, roughness=roughness, strength=strong) for roughness in (one, other)]
    assert np.abs(images[0] - images[1]).max() > 0.005 * TRUE.max()


def test_the_first_order_flattens_and_the_second_straightens(scene):
    """Held hard, differences of first order lower the peak more than those of second: a slope is no curvature."""
    strong = RelativeStrength(fraction=0.3)
    first, second = (kernel(scene, roughness=ForwardDifferences(orders=(n,)), strength=strong) for n in (1, 2))
    assert first.max() < second.max() < TRUE.max()


@pytest.mark.parametrize("roughness", [CentralDifferences, ForwardDifferences])
def test_a_border_penalty_holds_the_border_at_zero(roughness, scene):
    """The kernel is 4 px where the border is; pixels there are ten times smaller with the penalty than without."""
    far = np.zeros((9, 9), bool)
    far[-1, :] = far[:, -1] = True
    without, with_penalty = (
        np.sqrt(
            (
                kernel(scene, roughness=roughness(border_penalty=p), strength=AbsoluteStrength(value=3.0))[far] ** 2
            ).mean()
        )
        for p in (0.0, 100.0)
    )
    assert with_penalty < 0.1 * without


def test_a_greater_strength_is_a_smoother_kernel(scene):
    """Roughness falls with λ, absolute or relative; at 0 the pixels are free."""
    form = CentralDifferences().form(delta_basis(half=4))
    flat = delta_basis(half=4).images.reshape(81, -1).T

    def roughness(strength):
        image = kernel(scene, roughness=CentralDifferences(), strength=strength)
        coefficients = np.linalg.solve(flat, image.ravel())
        return float(coefficients @ form @ coefficients)

    for strengths in (
        [AbsoluteStrength(value=v) for v in (0.0, 100.0, 1e4)],
        [RelativeStrength(fraction=v) for v in (0.0, 1e-6, 1e-2)],
    ):
        free, held, smooth = map(roughness, strengths)
        assert free > 1.1 * held > 1.2 * smooth


def test_the_strength_of_least_risk_is_near_the_best(scene):
    """Of seven strengths over six decades, that of least estimated risk is as good as the best to 1% of Σk².

    With free pixels the squared error is three times Σk²; the estimate of one scene is good to some parts in 1000.
    """
    grid = {"least": -1.0, "greatest": 5.0, "step": 1.0}
    errors = [error(kernel(scene, strength=AbsoluteStrength(value=10.0**n))) for n in range(-1, 6)]
    assert max(errors) ** 2 > 3 * (TRUE**2).sum()
    for limit in (None, 5e6):
        found = error(kernel(scene, strength=LeastRisk(max_condition_number=limit, **grid)))
        assert found**2 - min(errors) ** 2 < 0.01 * (TRUE**2).sum(), limit


def test_the_least_risk_is_found_by_brute_force(scene):
    """The chosen λ has the least k̂ᵀk̂ + 2 (tr L - k̂ᵀM⁻¹b) of the grid, in pixels, with every inverse written out."""
    stars, science, template = scene
    sized = FREE.sized_basis(target_sigma_px=1.4, reference_sigma_px=1.9)
    stamps = cut_stamps(
        template.masked_image, science.masked_image, sized.basis, x=stars.x, y=stars.y, half=10, noise_gain=0.05
    )
    sums, products = stamps.sums(stamps.good, is_precise=True), noise_products(sized.basis, None)
    strength = LeastRisk(least=0.0, greatest=4.0, step=0.5)
    penalty = strength.penalty(sized.roughness, sized.basis, sums, products)
    noisy = sky_free(sums)
    clean = noise_free(noisy, products)
    back = np.linalg.inv(sized.basis.images.reshape(81, -1).T)
    matrix, solved_with = (back.T @ s.matrix[:, :-1, :-1].sum(axis=0) @ back for s in (noisy, clean))
    vector = back.T @ noisy.vector[:, :-1].sum(axis=0)
    form = back.T @ sized.roughness @ back * len(stars)
    plain, risks = np.linalg.solve(matrix, vector), []
    for value in strength.grid():
        inverse = np.linalg.inv(solved_with + value * form)
        image = inverse @ vector
        risks.append(image @ image + 2 * (np.trace(inverse) - image @ plain))
    assert penalty.absolute == pytest.approx(strength.grid()[int(np.argmin(risks))])
    found = strength.risks(sized.roughness, sized.basis, sums, products)
    np.testing.assert_allclose(found, risks, rtol=1e-3, atol=1e-4 * np.abs(risks).max())


def test_linear_steps(scene):
    """λ from 0 to 2 by 0.5 instead of by powers of ten."""
    assert LeastRisk(spacing="linear", least=0.0, greatest=2.0, step=0.5).grid().tolist() == [0, 0.5, 1, 1.5, 2]
    assert np.isfinite(kernel(scene, strength=LeastRisk(spacing="linear", least=0.0, greatest=2.0, step=1.0))).all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CentralDifferences(stencil=7), "stencil must be 5 or 9, not 7"),
        (lambda: ForwardDifferences(orders=(1, 4)), r"must be 1, 2 or 3, not \(1, 4\)"),
        (lambda: ForwardDifferences(orders=()), r"must be 1, 2 or 3, not \(\)"),
        (lambda: LeastRisk(spacing="cubic"), "spacing must be log or linear, not 'cubic'"),
        (lambda: LeastRisk(least=2.0, greatest=1.0), "is no range of strengths"),
        (lambda: LeastRisk(spacing="linear"), "is no range of strengths"),
    ],
)
def test_what_means_nothing_is_refused(make, sentence):
    with pytest.raises(UsageError, match=sentence):
        make()
