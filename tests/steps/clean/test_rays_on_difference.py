"""Cosmic rays on a difference: exactly the hits, never a star, whatever its sign."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import PsfUndefinedError
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane
from diapipe.steps.clean import CosmicRays, mask_cosmic_rays

SIZE, NOISE, SIGMA = 300, 10.0, 1.6
CR, CR_TEMPLATE = int(MaskPlane.CR), int(MaskPlane.CR_TEMPLATE)


def field(rng, *, rays=(), stars=()) -> Exposure:
    """White noise, Gaussian stars (x, y, flux), and rays: lists of pixels (row, column) with a value."""
    pixels, psf = rng.normal(0, NOISE, (SIZE, SIZE)), GaussianPsf(SIGMA, 31)
    for x, y, flux in stars:
        at = Box.around(x=x, y=y, half=15)
        pixels[at.y0 : at.y1, at.x0 : at.x1] += flux * psf.image_at(x=x, y=y)
    for hit, value in rays:
        for row, column in hit:
            pixels[row, column] += value
    return Exposure(name="difference", masked_image=MaskedImage.from_planes(pixels, variance=NOISE**2), psf=psf)


def hits(rng, n):
    """Single pixels, pairs and tracks well apart from each other, of 20 sigma and more."""
    places = [(20 + 26 * (k // 10), 20 + 26 * (k % 10)) for k in range(n)]
    shapes = ([(0, 0)], [(0, 0), (0, 1)], [(0, 0), (1, 1), (2, 2)], [(0, 0), (1, 0), (2, 1), (3, 1)])
    return [
        ([(r + i, c + j) for i, j in shapes[k % 4]], float(rng.uniform(20, 60) * NOISE))
        for k, (r, c) in enumerate(places)
    ]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_exactly_the_hits_are_flagged(sign, rng):
    """CR on every pixel of 100 rays and on no other; CR_TEMPLATE where they are negative.

    Of the 1100 pixels beside them 0.04 exceed the 4 sigma of `grow_sigma` by noise.
    """
    rays = hits(rng, 100)
    found, n = mask_cosmic_rays(field(rng, rays=[(h, sign * v) for h, v in rays]), options=CosmicRays())
    truth = np.zeros((SIZE, SIZE), bool)
    for hit, _ in rays:
        truth[tuple(np.transpose(hit))] = True
    mask = found.masked_image.mask
    np.testing.assert_array_equal((mask & (CR if sign > 0 else CR_TEMPLATE)) != 0, truth)
    assert not (mask & (CR_TEMPLATE if sign > 0 else CR)).any()
    assert n == truth.sum()


def test_stars_of_either_sign_are_left_alone(rng):
    """A hundred stars of S/N 10 to 1000 at random sub-pixel places, half of them negative: not a pixel."""
    stars = [
        (20 + 26 * (k % 10) + rng.uniform(-0.5, 0.5), 20 + 26 * (k // 10) + rng.uniform(-0.5, 0.5), (-1) ** k * flux)
        for k, flux in enumerate(NOISE * SIGMA * 3.54 * np.geomspace(10, 1000, 100))
    ]
    given = field(rng, stars=stars)
    found, n = mask_cosmic_rays(given, options=CosmicRays())
    assert n == 0
    assert found is given


def test_hits_on_stars_are_told_from_them(rng):
    """A ray of a star's own height on its flank is flagged, and of the star at most a neighbour of the ray."""
    given = field(rng, stars=[(150.0, 150.0, 20000.0)], rays=[([(152, 152)], 1200.0)])
    found, _ = mask_cosmic_rays(given, options=CosmicRays())
    at = np.argwhere(found.masked_image.mask & CR)
    assert [152, 152] in at.tolist()
    assert len(at) <= 2
    assert np.abs(at - 152).max() <= 1


@pytest.mark.parametrize(
    ("options", "n"),
    [
        ({}, 2),
        ({"floor_sigma": 40.0}, 1),
        ({"floor_counts": 400.0}, 1),
        ({"signs": "positive"}, 1),
    ],
)
def test_options(options, n, rng):
    """Of a hit of 30 sigma and a negative one of 60: floors keep the fainter out, ``positive`` the negative."""
    given = field(rng, rays=[([(100, 100)], 300.0), ([(200, 200)], -600.0)])
    assert mask_cosmic_rays(given, options=CosmicRays(**options))[1] == n


def test_the_further_pixels_of_a_hit_need_their_own_light(rng):
    """Beside a hit of 60 sigma one of 12 belongs to it, unless more is asked of it."""
    given = field(rng, rays=[([(100, 100)], 600.0), ([(100, 101)], 120.0)])
    found = [mask_cosmic_rays(given, options=CosmicRays(floor_sigma=20.0, grow_sigma=g))[1] for g in (4.0, 30.0)]
    assert found == [2, 1]


def test_sharpness(rng):
    """A source half as wide as the PSF is no ray when little contrast may remain, and one when much may."""
    y, x = np.mgrid[:SIZE, :SIZE]
    given = field(rng)
    light = 900.0 * np.exp(-((x - 150) ** 2 + (y - 150) ** 2) / (2 * 0.8**2))
    pixels = given.masked_image.image + light.astype(np.float32)
    narrow = replace(given, masked_image=replace(given.masked_image, image=pixels))
    assert mask_cosmic_rays(narrow, options=CosmicRays(sharpness=0.2))[1] == 0
    assert mask_cosmic_rays(narrow, options=CosmicRays(sharpness=0.8, sharpness_sigma=1.0))[1] > 0


def test_masked_pixels_are_neither_hits_nor_neighbours(rng):
    """A ray under a plane that is unusable already stays as it is."""
    given = field(rng, rays=[([(100, 100)], 600.0)])
    mask = given.masked_image.mask.copy()
    mask[100, 100] = MaskPlane.BAD
    given = replace(given, masked_image=replace(given.masked_image, mask=mask))
    assert mask_cosmic_rays(given, options=CosmicRays())[1] == 0
    with pytest.raises(PsfUndefinedError, match="cosmic rays are told from stars by it"):
        mask_cosmic_rays(replace(given, psf=None), options=CosmicRays())
