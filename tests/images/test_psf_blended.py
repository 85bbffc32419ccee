"""BlendedPsf and the weights it follows."""

from __future__ import annotations

import numpy as np
import pytest

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images import Box, GaussianPsf
from diapipe.images.psf import BlendedPart, BlendedPsf, CoaddComponent, CoaddPsf
from diapipe.images.weight_map import WeightMap

NARROW, WIDE = GaussianPsf(1.4, 21), GaussianPsf(2.1, 31)
ACROSS = WeightMap(np.array([[1.0, 1.0, 0.0, 0.0]], np.float32), 0.0, 5.0, 10.0)
BACK = WeightMap(np.array([[0.0, 0.0, 1.0, 1.0]], np.float32), 0.0, 5.0, 10.0)
BLEND = BlendedPsf((BlendedPart(psf=NARROW, weight=ACROSS), BlendedPart(psf=WIDE, weight=BACK)))


@pytest.mark.parametrize(("x", "share"), [(-50.0, 1.0), (9.0, 1.0), (12.0, 0.8), (15.0, 0.5), (20.0, 0.0), (90.0, 0.0)])
def test_the_psf_is_the_mean_with_the_weights_of_the_position(x, share):
    """Linear between nodes, constant beyond them."""
    expected = share * np.pad(NARROW.kernel_image(x=0, y=0), 5) + (1 - share) * WIDE.kernel_image(x=0, y=0)
    np.testing.assert_allclose(BLEND.kernel_image(x=x, y=3.0), expected, atol=1e-7)


def test_where_no_image_has_weight_it_is_the_plain_mean():
    """A template with a hole in its middle has a width there."""
    none = WeightMap.constant(0.0)
    psf = BlendedPsf((BlendedPart(psf=NARROW, weight=none), BlendedPart(psf=WIDE, weight=none)))
    expected = 0.5 * (np.pad(NARROW.kernel_image(x=0, y=0), 5) + WIDE.kernel_image(x=0, y=0))
    np.testing.assert_allclose(psf.kernel_image(x=0, y=0), expected, atol=1e-12)


def test_a_part_that_is_undefined_leaves_the_others():
    """And none defined is an error that names the place."""
    far = Box(0, 10, 0, 10)
    undefined = CoaddPsf((CoaddComponent(WIDE, 1.0, far, np.eye(2), np.zeros(2)),))
    one = WeightMap.constant(1.0)
    both = BlendedPsf((BlendedPart(psf=NARROW, weight=one), BlendedPart(psf=undefined, weight=one)))
    expected = np.pad(NARROW.kernel_image(x=0, y=0), 5)
    np.testing.assert_allclose(both.kernel_image(x=50, y=50), expected, atol=1e-12)
    with pytest.raises(PsfUndefinedError, match=r"none of the 1 images of the blend has a PSF at \(50\.0, 60\.0\)"):
        BlendedPsf((BlendedPart(psf=undefined, weight=one),)).kernel_image(x=50, y=60)


def test_a_displaced_part_is_drawn_where_it_stands():
    """First moments follow, to the 0.2% that a windowed sinc of ten taps keeps; the stamp has room for them."""
    one = WeightMap.constant(1.0)
    psf = BlendedPsf((BlendedPart(psf=WIDE, weight=one, dx=1.3, dy=-0.4),))
    image = psf.kernel_image(x=0, y=0)
    offset = np.arange(len(image)) - len(image) // 2
    assert psf.size == 35
    np.testing.assert_allclose([image.sum(0) @ offset, image.sum(1) @ offset], [1.3, -0.4], rtol=3e-3)


def test_weights_of_many_positions_are_those_of_each():
    """Bilinear against its definition, in the shape of the positions."""
    rng = np.random.default_rng(2)
    weights = WeightMap(rng.uniform(0, 1, (4, 5)).astype(np.float32), 2.0, -3.0, 8.0)
    x, y = rng.uniform(2, 34, (3, 6)), rng.uniform(-3, 21, (3, 6))
    i, j = ((x - 2) // 8).astype(int), ((y + 3) // 8).astype(int)
    fx, fy = (x - 2) / 8 - i, (y + 3) / 8 - j
    w = weights.values
    expected = (1 - fy) * ((1 - fx) * w[j, i] + fx * w[j, i + 1]) + fy * ((1 - fx) * w[j + 1, i] + fx * w[j + 1, i + 1])
    np.testing.assert_allclose(weights.at(x=x, y=y), expected, rtol=1e-6)


def test_what_is_no_blend_is_refused():
    with pytest.raises(InputError, match="at least one part"):
        BlendedPsf(())
    with pytest.raises(InputError, match="weights of 0 or more"):
        WeightMap(np.array([[-1.0]], np.float32), 0.0, 0.0, 1.0)
