"""Blemishes are what they are said to be: along rows, of a size that goes with the noise, and in the noise's books."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import Exposure, MaskedImage, ObservationInfo
from diapipe.training.blemishes import smoothed, with_lines, with_response, with_trails, with_uneven_response

SHAPE = (300, 400)


@pytest.fixture
def noise(rng):
    """White noise of unit variance on a level of 100."""
    pixels = MaskedImage.from_planes(100.0 + rng.normal(size=SHAPE), variance=1.0)
    return Exposure(name="noise", masked_image=pixels, info=ObservationInfo(saturation=50_000.0))


def added(after, before):
    return after.masked_image.image.astype(float) - before.masked_image.image


def test_lines_lie_along_rows_or_columns_and_fade(noise):
    """Where anything was added, whole stretches of few rows were; nothing stands higher than five times the noise,
    or fifteen of them on top of each other.
    """
    for seed in range(4):
        light = added(with_lines(noise, rng=np.random.default_rng(seed)), noise)
        hit = np.abs(light) > 1e-3
        assert hit.any()
        share = np.sort([hit.any(axis=1).mean(), hit.any(axis=0).mean()])
        assert share[0] < 15 * 4 / min(SHAPE)
        assert np.abs(light).max() < 15 * 5.0 * 1.05


def test_trails_cross_the_image(noise):
    """Some light on two sides of it, all of it positive."""
    light = added(with_trails(noise, fwhm_px=4.0, rng=np.random.default_rng(1)), noise)
    assert light.min() > -1e-4
    sides = [light[0], light[-1], light[:, 0], light[:, -1]]
    assert sum(side.max() > 0.1 for side in sides) >= 2


def test_a_response_is_a_factor_near_one(noise):
    """At a level of 100 of 50,000 the bend is nothing and the grain half a per cent at the most; waves are 3%."""
    for change, most in ((with_response, 6 * 0.005), (with_uneven_response, 0.031)):
        factor = change(noise, rng=np.random.default_rng(2)).masked_image.image / noise.masked_image.image
        assert 0.0 < np.abs(factor - 1.0).max() < most


def test_smoothing_claims_the_noise_that_it_leaves(rng, noise):
    """White noise of unit variance: the scatter is what the variance plane says.

    To four errors of a variance of 120,000 pixels, twice that for their correlation.
    """
    white = replace(noise, masked_image=MaskedImage.from_planes(rng.normal(size=SHAPE), variance=1.0))
    after = smoothed(white, 0.3).masked_image
    inner = np.s_[2:-2, 2:-2]
    error = 2 * 4 * np.sqrt(2 / np.prod(SHAPE))
    assert after.image[inner].var() == pytest.approx(float(after.variance[inner].mean()), rel=error)
