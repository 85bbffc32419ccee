"""How much of a template's noise is the science image's: all, none, and what the kernel makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import UNUSABLE, Box, MaskedImage, MaskPlane
from diapipe.steps.match import AlardLupton, match
from diapipe.steps.match.shared_noise import shared_part
from gaussian_sky import Sky

SHAPE = (300, 340)


def masked(image, variance):
    planes = np.zeros(SHAPE, np.int32), np.full(SHAPE, variance, np.float32)
    return MaskedImage(image.astype(np.float32), *planes, Box.from_shape(SHAPE))


def mean_of(rng, *, n, scale, is_one_of_them):
    """Frames of unit noise on their mean, ``scale`` times fainter, and one frame of these or of none."""
    frames = rng.normal(100.0, 1.0, (n + 1, *SHAPE))
    template = frames[:n].mean(axis=0) / scale
    science = frames[0] if is_one_of_them else frames[n]
    return masked(template, 1.0 / n / scale**2), masked(science, 1.0)


@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("scale", [1.0, 400.0])
def test_all_or_nothing(n, scale, rng):
    """Of a mean of n frames: 1 for one of these, 0 for another, within 3 errors of 5% at 20; whatever the scale."""
    template, science = mean_of(rng, n=n, scale=scale, is_one_of_them=True)
    assert shared_part(template, science, scale, UNUSABLE) > 0.85
    template, science = mean_of(rng, n=n, scale=scale, is_one_of_them=False)
    assert shared_part(template, science, scale, UNUSABLE) < 0.1


def test_nothing_to_look_at_is_nothing_shared(rng):
    """All masked."""
    template, science = mean_of(rng, n=2, scale=1.0, is_one_of_them=True)
    blank = replace(science, mask=np.full(SHAPE, int(MaskPlane.BAD), np.int32))
    assert shared_part(template, blank, 1.0, UNUSABLE) == 0.0


def test_the_match_measures_it_or_is_told(rng):
    """Images of their own noise share none of it; what the matcher is given stands, and goes on to a second fit."""
    sky = Sky()
    stars = sky.stars(rng)
    science, template = sky.exposures(rng, stars)
    found = match(science, template, stars, algorithm=AlardLupton())
    assert found.shared_noise < 0.1
    told = match(science, template, stars, algorithm=AlardLupton(shared_noise=1.0))
    assert told.shared_noise == 1.0
    assert told.kernel_sum < found.kernel_sum
    assert AlardLupton().again(told).shared_noise == 1.0
