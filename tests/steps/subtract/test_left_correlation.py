"""Noise that no filter makes white: errors of fluxes and scores say how it is correlated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from diapipe.flow import difference_pair
from diapipe.images import Exposure, MaskedImage
from diapipe.images.psf import PolynomialPsf
from diapipe.numerics.stats import robust_sigma
from diapipe.simulate.pair import simulate_pair
from diapipe.simulate.spec import PairSpec
from diapipe.steps.subtract.left_correlation import left_correlation

SIDE = 512


def gaussian(sigma: float, half: int = 12) -> np.ndarray:
    u = np.arange(-half, half + 1)
    image = np.exp(-0.5 * (u[:, None] ** 2 + u[None, :] ** 2) / sigma**2)
    return image / image.sum()


def noise_of(variance: float, correlation: np.ndarray | None = None) -> Exposure:
    planes = MaskedImage.from_planes(np.zeros((SIDE, SIDE), np.float32), variance=variance)
    return Exposure(name="noise", masked_image=planes, noise_correlation=correlation)


def test_noise_through_kernels_has_their_correlation(rng: np.random.Generator) -> None:
    """White noise of variance 4 through a wide kernel, of variance 1 through a narrow one: the autocorrelation of 512²
    drawn pixels, whose errors are 1/512 for each of the some ten pixels that share noise.
    """
    wide, narrow = gaussian(1.5), gaussian(0.7)
    psf = PolynomialPsf.constant(gaussian(2.0), noise_of(1.0).box)
    found = left_correlation([(noise_of(4.0), lambda x, y: wide), (noise_of(1.0), lambda x, y: narrow)], psf)
    drawn = sum(
        ndimage.convolve(sigma * rng.normal(size=(SIDE, SIDE)), kernel, mode="wrap")
        for sigma, kernel in ((2.0, wide), (1.0, narrow))
    )
    half = len(found) // 2
    for dy, dx in ((0, 1), (1, 1), (0, 2), (2, 3)):
        seen = (drawn * np.roll(drawn, (dy, dx), (0, 1))).mean() / drawn.var()
        assert found[half + dy, half + dx] == pytest.approx(seen, abs=4 * np.sqrt(10.0) / SIDE)


def test_white_noise_has_none() -> None:
    """Of either image, and of one whose noise a kernel leaves white to some percent."""
    psf = PolynomialPsf.constant(gaussian(2.0), noise_of(1.0).box)
    nearly = np.array([[0.0, 0.002, 0.0], [0.002, 1.0, 0.002], [0.0, 0.002, 0.0]])
    point = np.ones((1, 1))
    assert left_correlation([(noise_of(4.0), lambda x, y: nearly), (noise_of(1.0), lambda x, y: point)], psf) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", [910, 911])
def test_a_template_of_coarser_pixels(seed: int) -> None:
    """Template pixels of twice the size, of worse seeing: its noise ends at half of the frequencies, and nothing makes
    the difference white. The score scatters as it says, to 7%, and no noise is taken for a source.
    """
    spec = replace(PairSpec.small(700), template_scale=2.0, template_fwhm_arcsec=1.0, science_fwhm_arcsec=0.6)
    pair = simulate_pair(spec, rng=np.random.default_rng(seed))
    result = difference_pair(pair.science, pair.template)
    score = result.detections.score
    assert result.difference.exposure.noise_correlation is not None
    assert robust_sigma((score.image / np.sqrt(score.variance))[score.mask == 0]) == pytest.approx(1.0, abs=0.07)
    faint = (np.abs(result.dia_sources["snr"]) < 7.0) & ~np.asarray(result.dia_sources["dp_bad"])
    assert np.count_nonzero(faint) <= 4
