"""What the contract tests ask of a matcher, asked of every part that one can be made with."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from diapipe.errors import NoWorkError
from diapipe.images import MaskPlane
from diapipe.steps.match import (
    CANDIDATES,
    REDUCTIONS,
    ROUGHNESSES,
    STRENGTHS,
    AlardLupton,
    CandidateCuts,
    DeltaFunction,
    match,
)
from gaussian_sky import Sky, masked

SKY = Sky(shape=(130, 140), n_stars=12)
FREE = {"kernel_half_px": 3}
FEW = {"degrees": (2, 1, 0), "wing_sigmas": (), "wing_degrees": (), "kernel_half_px": 8}
"""Kernels that are quickly fitted: what is asked does not depend on them."""
CUTS = CandidateCuts(
    max_single_residual_mean=0.5,
    max_single_residual_std=2.0,
    max_spatial_residual_mean=0.5,
    max_spatial_residual_std=2.0,
    max_kernel_sum_sigma=4.0,
    max_condition_number=1e12,
    core_radius_px=4.0,
)
MATCHERS = {
    **{f"candidates {name}": AlardLupton(candidates=kind(), **FEW) for name, kind in CANDIDATES.items()},
    **{f"reduction {name}": AlardLupton(reduction=kind(), **FEW) for name, kind in REDUCTIONS.items()},
    **{f"roughness {name}": DeltaFunction(roughness=kind(), **FREE) for name, kind in ROUGHNESSES.items()},
    **{f"strength {name}": DeltaFunction(strength=kind(), **FREE) for name, kind in STRENGTHS.items()},
    "pca of free pixels": DeltaFunction(reduction=REDUCTIONS["pca"](), **FREE),
    **{f"weighting {name}": AlardLupton(weighting=name, **FEW) for name in ("inputs", "median", "iterated")},
    "polynomial": AlardLupton(spatial_model="polynomial", **FEW),
    "cuts": AlardLupton(cuts=CUTS, **FEW),
    "without background": AlardLupton(background_order=None, **FEW),
}


@pytest.fixture
def scene(rng):
    """Stars, science, template."""
    stars = SKY.stars(rng)
    return stars, *SKY.exposures(rng, stars)


def arrays(found):
    return [found.kernel.field.images, found.background.coefficients, found.candidates.reduced_chi2]


@pytest.mark.parametrize("algorithm", MATCHERS.values(), ids=MATCHERS)
def test_nonsense_under_the_mask_reaches_no_number(algorithm, scene):
    """Holes, infinities and hot pixels: a finite kernel of the right sum, to 2%.

    The same bit for bit when asked again, of what was pickled as of what was not; and the inputs are as they were.
    """
    stars, science, template = scene
    for value, rows in ((np.nan, slice(40, 44)), (np.inf, slice(70, 71)), (1e30, slice(100, 102))):
        science = masked(science, rows, slice(20, 60), MaskPlane.BAD, value)
        template = masked(template, rows, slice(70, 110), MaskPlane.BAD, value)
    before = [e.masked_image.image.copy() for e in (science, template)]
    found = match(science, template, stars, algorithm=algorithm)
    again = match(science, template, stars, algorithm=pickle.loads(pickle.dumps(algorithm)))
    assert all(np.isfinite(array).all() for array in arrays(found))
    assert found.kernel_sum == pytest.approx(1.0, abs=0.02)
    for one, other in zip(arrays(found), arrays(again), strict=True):
        np.testing.assert_array_equal(one, other)
    for pixels, exposure in zip(before, (science, template), strict=True):
        np.testing.assert_array_equal(pixels, exposure.masked_image.image)


@pytest.mark.parametrize("algorithm", MATCHERS.values(), ids=MATCHERS)
def test_all_masked_is_too_few_stars(algorithm, scene):
    """One sentence, no crash."""
    stars, science, template = scene
    science, template = (masked(e, slice(None), slice(None), MaskPlane.NO_DATA) for e in (science, template))
    with pytest.raises(NoWorkError, match="candidate stars are usable for the matching kernel, 3 are needed"):
        match(science, template, stars, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", MATCHERS.values(), ids=MATCHERS)
def test_few_stars_end(algorithm, scene):
    """Four stars, one more than are needed: a finite kernel, of the right sum to 2%."""
    stars, science, template = scene
    found = match(science, template, stars.select(np.arange(4)), algorithm=algorithm)
    assert found.kernel_sum == pytest.approx(1.0, abs=0.02)
    assert all(np.isfinite(array).all() for array in arrays(found))
