"""The pair on which the authors of ip_diffim compared their fit with that of HOTPANTS, coefficient by coefficient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diapipe.images import MaskedImage
from diapipe.images.fields import field_terms
from diapipe.io import read_exposure
from diapipe.numerics.kernel_bases import gaussian_basis
from diapipe.numerics.kernel_fit import solve
from diapipe.steps.match.stamps import cut_stamps

AFW = Path(__file__).parents[4] / "shared" / "data" / "lsst_afw_format"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not AFW.is_dir(), reason="no real data beside the checkout (../shared/data)"),
]

STARS = [(160.0, 160.0), (96.0, 95.0), (160.0, 96.0), (96.0, 160.0)]
"""Array positions of the stars of the published fits."""


def pixels(name: str) -> MaskedImage:
    """One image of the pair, all pixels of one weight, as both programs were run: first pixel at (0, 0)."""
    image = read_exposure(AFW / f"ip_diffim__{name}MI.fits").masked_image.image
    return MaskedImage.from_planes(image, variance=1.0)


@pytest.mark.parametrize(("n_stars", "kernel_sum", "background"), [(1, 0.959086, 0.602642), (4, 0.969559, 0.452304)])
def test_kernel_sum_and_background_are_those_of_hotpants(n_stars: int, kernel_sum: float, background: float) -> None:
    """One Gaussian of sigma 3 px with polynomials to degree 3 on 19 x 19 px, constant over the image, fitted to 31 x 31
    px of one star and of four: the values that HOTPANTS printed (SPEC, table N), to half a unit of the last digit and
    the 2e-7 of float32 sums; the background to 5 decimals, as there.
    """
    template, science = pixels("template"), pixels("science")
    x, y = (np.array(axis) for axis in zip(*STARS[:n_stars], strict=True))
    basis = gaussian_basis((3.0,), (3,), half=9)
    stamps = cut_stamps(template, science, basis, x=x, y=y, half=15, noise_gain=0.0)
    stamps = replace(stamps, variance=np.ones_like(stamps.variance), target_variance=np.zeros_like(stamps.variance))
    constant = field_terms(science.box, 0, x=x, y=y)
    solution = solve(stamps.sums(stamps.good), constant, constant)
    assert solution.kernel[0, 0] == pytest.approx(kernel_sum, abs=1e-6)
    assert solution.background[0] == pytest.approx(background, abs=5e-6)
