"""The two conventions by which Gaussians are sized from the PSFs (SPEC C.1)."""

from __future__ import annotations

import pytest

from diapipe.errors import UsageError
from diapipe.steps.match import AlardLupton
from diapipe.steps.match.alard_lupton import sharpening_sigmas, stepped_sigmas

BARE = {"wing_sigmas": (), "wing_degrees": ()}


@pytest.mark.parametrize(
    ("sizing", "expected"), [("smooth", "0.70 px (degree 4), 1.40 px"), ("stepped", "1.33 px (degree 4), 2.65 px")]
)
def test_the_example_of_the_specification(sizing: str, expected: str) -> None:
    """σ_T = 2.0, σ_R = 2.4: 0.70 (least), 1.40, 2.80 by the smooth convention; 1.33, 2.65, 5.31 by the stepped one."""
    matcher = AlardLupton(sizing=sizing, min_sigma_px=0.7, **BARE)  # type: ignore[arg-type]
    assert expected in matcher.sized_basis(target_sigma_px=2.0, reference_sigma_px=2.4).description


def test_stepped_convention_steps() -> None:
    """Where σ_K / β passes the least width the narrowest Gaussian halves."""
    assert stepped_sigmas(1.39, n=3, beta=2.0, least=0.7) == pytest.approx((1.39, 2.78, 5.56))
    assert stepped_sigmas(1.41, n=3, beta=2.0, least=0.7) == pytest.approx((0.705, 1.41, 2.82))


def test_smooth_convention_does_not_step() -> None:
    """Widths either side of the same place differ by no more than the seeing does."""
    matcher = AlardLupton(min_sigma_px=0.7, **BARE)  # type: ignore[arg-type]
    below, above = ([s for s, _ in matcher.core(2.0, (4.0 + k**2) ** 0.5)] for k in (1.399, 1.401))
    assert above == pytest.approx(below, rel=2e-3)


def test_sharpening_expansion() -> None:
    """Three widths 1, 2, 4 give √(4 - 2), √(8 - 3), √(4 + 16 - 3)."""
    assert sharpening_sigmas((1.0, 2.0, 4.0)) == pytest.approx((2.0**0.5, 5.0**0.5, 17.0**0.5))


def test_sizing_is_checked() -> None:
    with pytest.raises(UsageError, match="sizing must be smooth or stepped, not 'old'"):
        AlardLupton(sizing="old")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"beta": -1.0}, "beta of AlardLupton must be positive, not -1"),
        ({"beta": float("nan")}, "beta of AlardLupton must be a number, not nan"),
        ({"sigmas_px": (1.0, 2.0)}, "sigmas_px has 2 entries, degrees 3"),
        ({"wing_sigmas": (3.0, 5.0)}, "wing_sigmas has 2 entries, wing_degrees 1"),
    ],
)
def test_options_that_make_no_gaussians_are_refused(options, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        AlardLupton(**options)


def test_a_ratio_too_small_to_sharpen_is_refused() -> None:
    """s1² = 2 s0² is where the first width vanishes: at 1.42 there is one, at 1.41 none."""
    assert min(sharpening_sigmas(stepped_sigmas(2.0, n=3, beta=1.42, least=0.5))) > 0
    with pytest.raises(UsageError, match=r"with sizing stepped, beta must be above 1\.42"):
        sharpening_sigmas(stepped_sigmas(2.0, n=3, beta=1.41, least=0.5))
