"""A kernel is fitted to what both images have: what is in one only takes no part, be it the most of what is bright."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import GaussianPsf
from diapipe.steps.match import MATCHERS, match
from diapipe.steps.match.counterparts import echo, without_counterpart
from gaussian_sky import Sky, drawn, with_planes

SKY = Sky(n_stars=60, brightest=2e5, faintest=3e4)


def with_changes(rng, *, share):
    """A pair where the last ``share`` of the listed stars are missing in the template."""
    stars = SKY.stars(rng)
    science, template = SKY.exposures(rng, stars)
    gone = np.arange(len(stars)) >= (1.0 - share) * len(stars)
    light = drawn(SKY.shape, stars.x[gone], stars.y[gone], stars.flux[gone], sigma=SKY.sigma_template)
    image = (template.masked_image.image - SKY.template_scale * light).astype(np.float32)
    return science, with_planes(template, image=image), stars, gone


@pytest.mark.parametrize("name", [name for name, _ in MATCHERS.items() if name != "psf"])
def test_what_is_new_does_not_move_the_kernel(name, rng):
    """Two thirds of the sources are new. The sum, 1, is known from the others as without the new: their S/N is above
    600 each, and the error allowed to the model is 0.2% a pixel, which leaves 3e-4 of twenty; five of that.
    """
    science, template, stars, gone = with_changes(rng, share=2 / 3)
    found = match(science, template, stars, algorithm=MATCHERS.make(name))
    assert found.kernel_sum == pytest.approx(1.0 / SKY.template_scale, abs=1.5e-3)
    kept = found.candidates.kept
    at = found.candidates
    is_new = np.array(
        [np.hypot(stars.x[gone] - x, stars.y[gone] - y).min() < 1 for x, y in zip(at.x, at.y, strict=True)]
    )
    assert not (kept & is_new).any()
    assert {at.why_rejected[k] for k in np.flatnonzero(is_new)} == {"another flux in the other image"}
    assert kept.sum() >= 0.9 * (~gone).sum()


def test_the_echo_is_the_ratio_of_fluxes():
    """Without noise the part is that of two images of one PSF, whatever their levels; its error is that of the sum."""
    light = 1e4 * GaussianPsf(2.0, 41).kernel_image(x=0, y=0)
    good = np.ones(light.shape, bool)
    part, error = echo(0.3 * light + 7.0, light - 2.0, np.full(light.shape, 4.0), good)
    assert part == pytest.approx(0.3, abs=1e-6)
    assert error == pytest.approx(2.0 / np.sqrt((light**2).sum()), rel=1e-3)


def test_nothing_tells_nothing():
    """No usable core, or no light: NaN, and nothing is said against the candidate."""
    dark = np.zeros((21, 21))
    assert np.isnan(echo(dark, dark, dark + 1.0, np.zeros(dark.shape, bool))).all()
    assert np.isnan(echo(dark, dark, dark + 1.0, np.ones(dark.shape, bool))).all()
    assert without_counterpart(np.full(3, np.nan), np.full(3, np.nan), ["", "masked pixels", ""])[1] == "masked pixels"


def test_faint_stars_of_a_shallow_image_stay():
    """A star whose light may be there within three errors is kept; one that should be seen at 30 sigma, and is not,
    goes.
    """
    part = np.array([1.0, 0.98, 1.02, -0.1, 0.02, 2.5, 2.5])
    error = np.array([0.02, 0.02, 0.02, 0.3, 0.03, 0.4, 0.02])
    why = without_counterpart(part, error, [""] * 7)
    assert [bool(reason) for reason in why] == [False, False, False, False, True, False, True]
