"""The acceptance bars of the score mode (SPEC N), at their tolerance or tighter."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.images import GaussianPsf
from diapipe.recipe import Recipe
from diapipe.steps.detect import ScoreThreshold, detect
from diapipe.steps.subtract import PRECONVOLUTIONS, correlated
from gaussian_sky import drawn
from made_images import (
    BAD,
    GOOD,
    MIDDLE,
    SIDE,
    made_difference,
    made_image,
    made_pair,
    made_score,
)

N_INDEPENDENT = SIDE**2 / (8.0 * np.pi * MIDDLE**2)
"""Independent values of a score: its noise has the correlation of a PSF with itself."""


def usable(score):
    planes = score.masked_image
    return planes.image[planes.usable()].astype(float), planes.variance[planes.usable()].astype(float)


@pytest.mark.parametrize("name", [*PRECONVOLUTIONS, "none"])
@pytest.mark.parametrize("seed", [6, 16])
def test_equal_images(name, seed):
    """Finite, of mean zero to five errors and of scatter √2 σ_n / √NEA to 10%; the variance plane says the same to 5%.

    Of 450 independent values the scatter has an error of 3.3%. NEA = 4 π σ² is the noise-equivalent area.
    """
    filter_ = PRECONVOLUTIONS.make(name) if name != "none" else None
    score = made_score(*made_pair(seed=seed), Recipe(preconvolution=filter_))
    values, variance = usable(score)
    expected = np.sqrt(2.0 / (4.0 * np.pi * MIDDLE**2))
    assert len(values) > 0.98 * SIDE**2
    assert np.isfinite(values).all()
    assert abs(values.mean()) < 5.0 * expected / np.sqrt(N_INDEPENDENT)
    assert values.std() == pytest.approx(expected, rel=0.10)
    assert np.sqrt(variance.mean()) == pytest.approx(expected, rel=0.05)


def spectra(*sigmas):
    """|P̂| of the PSFs on the frame."""
    frame = np.zeros((len(sigmas), SIDE, SIDE))
    for k, sigma in enumerate(sigmas):
        frame[k, :41, :41] = GaussianPsf(sigma, 41).kernel_image(x=0, y=0)
    return np.abs(np.fft.fft2(frame))


def test_agnostic_of_the_template_psf():
    """One science image less a good and a bad template: the scores differ by the templates' noise and the part of the
    science image's that the two weight differently, of mean zero to five errors and with the scatter that the filters
    have by theory to 10%. The bad one is the wider, and is convolved all the same.
    """
    science, good, stars = made_pair(template=GOOD, seed=6)
    bad = made_image(sigma=BAD, seed=8, name="template")
    one, other = (made_score(science, template, stars) for template in (good, bad))
    known = one.masked_image.usable() & other.masked_image.usable()
    found = (one.masked_image.image - other.masked_image.image)[known].astype(float)
    p, g, b = spectra(MIDDLE, GOOD, BAD)
    safe = np.maximum(np.stack([g, b]), 1e-9)
    weights = 2.0 * p / (1.0 + (p / safe) ** 2)
    power = (weights[0] - weights[1]) ** 2 + ((weights * p / safe) ** 2).sum(axis=0)
    expected = np.sqrt(power.mean())
    assert abs(found.mean()) < 5.0 * expected / np.sqrt(N_INDEPENDENT)
    assert found.std() == pytest.approx(expected, rel=0.10)


@pytest.mark.parametrize("template", [GOOD, MIDDLE, BAD])
def test_unit_scatter_and_nothing_found_whichever_template(template):
    """Score over its sigma: 1 to 5% over two pairs of images (2.3% by statistics), and no source in any."""
    pulls = []
    for seed in (6, 16):
        score = made_score(*made_pair(template=template, seed=seed))
        values, variance = usable(score)
        pulls.append((values / np.sqrt(variance)).std())
        assert len(detect(score, algorithm=ScoreThreshold()).footprints.peaks) == 0
    assert np.mean(pulls) == pytest.approx(1.0, abs=0.05)


def test_with_a_kernel_that_exists_the_score_is_the_same():
    """Made again from the difference that it was made of: bit for bit. And sources are found in it as by the flow."""
    x, y, flux = np.array([70.0, 180.0]), np.array([90.0, 60.0]), np.array([150.0, -150.0])
    change = drawn((SIDE, SIDE), x, y, flux, sigma=MIDDLE)
    science, template, stars = made_pair(template=GOOD, light=change)
    difference, _ = made_difference(science, template, stars)
    once, again = (correlated(difference, science, template) for _ in range(2))
    np.testing.assert_array_equal(once.masked_image.image, again.masked_image.image)
    peaks = detect(once, algorithm=ScoreThreshold()).footprints.peaks
    order = np.argsort(peaks.x)
    assert np.hypot(peaks.x[order] - x, peaks.y[order] - y).max() < 1.0
    assert np.sign(peaks.significance[order]).tolist() == [1.0, -1.0]
    theory = 150.0 / np.sqrt(2.0 * 4.0 * np.pi * MIDDLE**2)
    # the better template makes more of it: up to √2, were it without noise
    assert (np.abs(peaks.significance) > theory - 4.0).all()
    assert (np.abs(peaks.significance) < np.sqrt(2.0) * theory + 4.0).all()


@pytest.mark.parametrize("name", list(PRECONVOLUTIONS))
def test_a_background_that_differs_is_not_in_the_score(name):
    """Chebyshev background of a few counts: the scatter stays √2 σ_n / √NEA to 12%, of the mean nothing is left."""
    v, u = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    level = 2.2 + 2.1 * u + 1.2 * v + 1.1 * u * v
    score = made_score(*made_pair(light=level), Recipe(preconvolution=PRECONVOLUTIONS.make(name)))
    values, _ = usable(score)
    expected = np.sqrt(2.0 / (4.0 * np.pi * MIDDLE**2))
    assert values.std() == pytest.approx(expected, rel=0.12)
    assert abs(values.mean()) < 5.0 * expected / np.sqrt(N_INDEPENDENT)


def test_what_the_stars_are_does_not_matter_to_the_psf():
    """The score's PSF is the PSF of the science image through itself, whatever template it was made with: to 3%."""
    widths = [made_score(*made_pair(template=t, noise=(1.0, 0.1))).psf.sigma_at(x=128, y=128) for t in (GOOD, BAD)]
    assert widths == pytest.approx([np.sqrt(2.0) * MIDDLE] * 2, rel=0.03)
