"""Narrow gaps of an image are closed before it is averaged with others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import GaussianPsf, MaskedImage, MaskPlane
from diapipe.steps.coadd.bridges import bridged, widest_gap

SIDE, SIGMA, WIDEST = 41, 2.5, 2


def star(plane: MaskPlane, where: tuple[slice, slice]) -> MaskedImage:
    """A star in the middle, and pixels that are nonsense with a bit."""
    pixels = MaskedImage.from_planes(
        GaussianPsf(SIGMA, width=SIDE).kernel_image(x=0.0, y=0.0).astype(np.float32),
        variance=np.full((SIDE, SIDE), 0.01, np.float32),
    )
    image, mask = pixels.image.copy(), pixels.mask.copy()
    image[where] = 7.0
    mask[where] |= plane
    return replace(pixels, image=image, mask=mask)


@pytest.mark.parametrize(("width", "error"), [(1, 0.5 / SIGMA**4), (2, 1.5 / SIGMA**4)])
def test_a_bad_column_through_a_star_shows_the_star(width, error):
    """The error of a cubic is f'''' / 24 times the product of the distances of its nodes, 4 or 12; f'''' = 3 / σ⁴."""
    where = np.s_[:, SIDE // 2 : SIDE // 2 + width]
    true, found = star(MaskPlane.BAD, np.s_[:0, :0]).image, bridged(star(MaskPlane.BAD, where), widest=WIDEST)
    assert found.usable().all()
    assert (found.mask[where] == int(MaskPlane.INTRP)).all()
    np.testing.assert_allclose(found.image, true, atol=1.05 * error * true.max())


@pytest.mark.parametrize(
    ("plane", "where"),
    [
        (MaskPlane.BAD, np.s_[:, 20 : 21 + WIDEST]),
        (MaskPlane.SAT, np.s_[:, 20:21]),
        (MaskPlane.STREAK, np.s_[20:21]),
        (MaskPlane.BAD, np.s_[:, :1]),
        (MaskPlane.NO_DATA, np.s_[:0, :0]),
    ],
    ids=["wide", "saturated", "streak", "at the border", "nothing"],
)
def test_what_cannot_be_known_stays_as_it_was(plane, where):
    """Wide gaps, what saturates or runs over the sky, what ends at the border; nothing where all is good."""
    given = star(plane, where)
    found = bridged(given, widest=WIDEST)
    for name in ("image", "variance", "mask"):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name))


def test_a_column_across_a_row_is_closed_along_the_narrower_way():
    """Where a bad column crosses a wide bad band nothing is known; beside it the column is closed."""
    given = star(MaskPlane.BAD, np.s_[:, 20:21])
    mask = given.mask.copy()
    mask[5:10] |= MaskPlane.BAD
    usable = bridged(replace(given, mask=mask), widest=WIDEST).usable()
    assert not usable[5:10].any()
    assert usable[11:, 20].all()


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("fwhm", [2.0, 2.5, 3.1, 3.5, 4.0, 5.0])
def test_a_gap_is_closed_where_stars_in_the_mean_are_righter_for_it(rng, fwhm, width):
    """Means of three images whose seeing scatters by a tenth, one with a bad column near a star: its flux by the mean
    PSF is less wrong than with that image left out, or the gap stays open and both are the same but for rounding.
    """
    where = np.s_[:, SIDE // 2 : SIDE // 2 + width]
    off = []
    for _ in range(60):
        sigmas, (x, y) = fwhm / 2.355 * (1 + 0.1 * rng.standard_normal(3)), rng.uniform(-1.5, 1.5, 2)
        stars = [GaussianPsf(s, width=SIDE).image_at(x=x, y=y) for s in sigmas]
        pixels = star(MaskPlane.BAD, where)
        image, mean = stars[0].astype(np.float32), np.mean(stars, axis=0)
        closed = bridged(replace(pixels, image=image), widest=widest_gap(fwhm / 2.355))
        left_out = mean.copy()
        left_out[where] = np.mean(stars[1:], axis=0)[where]
        with_it = np.where(closed.usable(), np.mean([closed.image, *stars[1:]], axis=0), left_out)
        off.append([((got - mean) * mean).sum() / (mean**2).sum() for got in (with_it, left_out)])
    with_it, left_out = np.sqrt(np.mean(np.square(off), axis=0))
    assert with_it <= left_out * (1 + 1e-6)
