"""Roughness and strength of the delta-function basis: what each does to a kernel of free pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import UsageError
from diapipe.images import GaussianPsf
from diapipe.numerics.kernel_bases import delta_basis
from diapipe.numerics.stamp_sums import sky_free
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

SKY = Sky(shape=(200, 220), n_stars=25)
FREE = DeltaFunction(kernel_half_px=5, spatial_order=0, strength=AbsoluteStrength(value=0.0))
TRUE = GaussianPsf(1.65**0.5, 11).kernel_image(x=0, y=0)


@pytest.fixture
def scene(rng):
    """Stars, science, template."""
    stars = SKY.stars(rng)
    return stars, *SKY.exposures(rng, stars)


def kernel(scene, **options):
    stars, science, template = scene
    return match(science, template, stars, algorithm=replace(FREE, **options)).kernel.image_at(x=110, y=100)


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
    """The kernel is 5 px where the border is; pixels there are ten times smaller with the penalty than without."""
    far = np.zeros((11, 11), bool)
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
    form = CentralDifferences().form(delta_basis(half=5))
    flat = delta_basis(half=5).images.reshape(121, -1).T

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


@pytest.mark.parametrize("max_condition_number", [None, 5e6])
def test_the_strength_of_least_risk_is_near_the_best(max_condition_number, scene):
    """Of seven strengths over six decades, that of least estimated risk has at most 1.5 times the least true error."""
    grid = {"least": -1.0, "greatest": 5.0, "step": 1.0}
    errors = [error(kernel(scene, strength=AbsoluteStrength(value=10.0**n))) for n in range(-1, 6)]
    found = error(kernel(scene, strength=LeastRisk(max_condition_number=max_condition_number, **grid)))
    assert min(errors) < 0.2 * max(errors)
    assert found < 1.5 * min(errors)


def test_the_least_risk_is_found_by_brute_force(scene):
    """The chosen λ is that of least k̂ᵀk̂ + 2 (tr L - k̂ᵀk) over the grid, in pixels, with every inverse written out."""
    stars, science, template = scene
    sized = FREE.sized_basis(target_sigma_px=1.4, reference_sigma_px=1.9)
    stamps = cut_stamps(
        template.masked_image, science.masked_image, sized.basis, x=stars.x, y=stars.y, half=12, noise_gain=0.05
    )
    sums = stamps.sums(stamps.good, is_precise=True)
    strength = LeastRisk(least=0.0, greatest=4.0, step=0.5)
    penalty = strength.penalty(sized.roughness, sized.basis, sums)
    free = sky_free(sums)
    to_pixels = sized.basis.images.reshape(121, -1).T
    back = np.linalg.inv(to_pixels)
    matrix = back.T @ free.matrix[:, :-1, :-1].sum(axis=0) @ back
    vector = back.T @ free.vector[:, :-1].sum(axis=0)
    form = back.T @ sized.roughness @ back * len(stars)
    plain, risks = np.linalg.solve(matrix, vector), []
    for value in strength.grid():
        inverse = np.linalg.inv(matrix + value * form)
        image = inverse @ vector
        risks.append(image @ image + 2 * (np.trace(inverse) - image @ plain))
    assert penalty.absolute == pytest.approx(strength.grid()[int(np.argmin(risks))])
    np.testing.assert_allclose(
        strength.risks(sized.roughness, sized.basis, sums), risks, rtol=1e-3, atol=1e-4 * np.abs(risks).max()
    )


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
