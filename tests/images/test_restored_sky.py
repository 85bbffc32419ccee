"""A background that was subtracted is put back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from diapipe.errors import BoundsError, InputError
from diapipe.images import Box, ChebyshevField, Exposure, MaskedImage, MeshField, add_background

SHAPE = (60, 80)


def noise(rng, *, shape=SHAPE):
    return MaskedImage.from_planes(rng.normal(0.0, 1.0, shape), variance=1.0)


def exposure_of(image: MaskedImage) -> Exposure:
    return Exposure(name="calexp", masked_image=image)


def test_a_background_is_put_back(rng):
    """A field, an image, an exposure and an array of one level give one sum; the caller's pixels stay."""
    box = Box(10, 10 + SHAPE[0], 20, 20 + SHAPE[1])
    image = dataclasses.replace(noise(rng), box=box)
    before = image.image.copy()
    field = ChebyshevField(np.array([100.0, 3.0, -2.0]), box)
    level = field.over(box)
    wide = MaskedImage.from_planes(np.pad(level, 5), box=box.dilated(5))
    for background in (field, wide, exposure_of(wide), level):
        found = add_background(exposure_of(image), background)
        np.testing.assert_array_equal(found.masked_image.image, before + level)
        np.testing.assert_array_equal(found.masked_image.variance, image.variance)
    mesh = MeshField(np.full((2, 2), 7.0), np.array([0.0, 200.0]), np.array([0.0, 200.0]))
    np.testing.assert_allclose(add_background(exposure_of(image), mesh).masked_image.image, before + 7.0, rtol=1e-6)
    np.testing.assert_array_equal(image.image, before)


def test_a_background_of_another_place_or_shape_is_refused(rng):
    image = exposure_of(noise(rng))
    with pytest.raises(InputError, match=r"a background of shape \(3, 3\) cannot be added to calexp of shape"):
        add_background(image, np.ones((3, 3)))
    with pytest.raises(BoundsError):
        add_background(image, noise(rng, shape=(40, 40)))
