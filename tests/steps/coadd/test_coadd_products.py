"""What a coadd brings with its pixels: PSF, levels, masks, inputs; and that it needs little memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coadd_scenes import (
    NO_STARS,
    PATCH,
    SIDE,
    WCS_OF_PATCH,
    masked,
    point,
    sigma_of,
    stacked,
    stars,
    visit_of,
    warped,
)
from diapipe.errors import InputError, NoOverlapError
from diapipe.images import Box, ChebyshevField, MaskedImage, MaskPlane
from diapipe.images.psf.stacked import StackedPsf
from diapipe.io import models
from diapipe.steps.coadd import COADDERS, ClippedCoadder, CoaddInput, MeanCoadder, VisitDetector, coadd, warp_visit


def width(stamp):
    """Noise-equivalent width."""
    stamp = stamp / stamp.sum()
    return np.sqrt(1 / (4 * np.pi * (stamp**2).sum()))


def sizes_and_fluxes(made, field, *, half=9):
    """Of each star inside the patch: its width over that of the PSF, and its PSF flux over the true one."""
    found = []
    for x, y, flux in zip(field.x, field.y, field.flux, strict=True):
        box = Box.around(x=x, y=y, half=half)
        if not PATCH.contains(box):
            continue
        star = made.exposure.masked_image[box].image.astype(float)
        psf = made.exposure.psf.image_at(x=x, y=y)
        middle = psf.shape[0] // 2
        psf = psf[middle - half : middle + half + 1, middle - half : middle + half + 1]
        found.append((width(star) / width(psf), (star * psf).sum() / (psf**2).sum() / flux))
    return np.array(found).T


@pytest.fixture(scope="module")
def pieces():
    """Stars without noise in six visits; two of them end within the patch, in a third a satellite goes across."""
    field = stars(np.random.default_rng(3), n=7, log_flux=(5.0, 5.3))
    visits = [visit_of(2 * k, field, noise=30.0) for k in range(6)]
    visits[1] = visits[1][Box(0, 360, 0, 190)]
    visits[4] = visits[4][Box(170, 360, 0, 360)]
    return field, [warped(visit) for visit in visits]


def test_the_psf_is_that_of_the_stars(pieces):
    """Width to 1%, PSF flux to 0.5%: also where images begin, for their weight rises smoothly there."""
    field, warps = pieces
    made = stacked(warps, MeanCoadder())
    assert len(np.unique(made.n_images)) > 2
    size, flux = sizes_and_fluxes(made, field)
    assert len(size) > 40
    assert np.abs(size - 1).max() < 0.01
    assert np.abs(flux - 1).max() < 0.005
    assert isinstance(made.exposure.psf, StackedPsf)


def test_the_psf_of_many_images_is_small_on_disk(pieces):
    """Weights are one number an image but for borders: most are not written, none is lost."""
    psf = stacked(pieces[1], MeanCoadder()).exposure.psf
    record = models.psf_record(psf)
    assert record.parts["weights"].array.size < 0.4 * psf.weights.size
    again = models.psf_of(record)
    np.testing.assert_array_equal(again.weights, psf.weights)
    np.testing.assert_array_equal(again.kernel_image(x=1100, y=500), psf.kernel_image(x=1100, y=500))


def test_the_psf_is_right_where_images_were_clipped(pieces):
    """Transients beside every star take one image of six out around it: the PSF is that of the others, to 1%."""
    field, warps = pieces
    sharpest = visit_of(0, field, noise=30.0, more=point(field.x + 5, field.y, np.full(len(field.x), 2e5)))
    made = stacked([warped(sharpest), *warps[1:]], ClippedCoadder(grow_fwhm=2.5))
    inner = [k for k in range(len(field.x)) if PATCH.dilated(-20).contains_point(x=field.x[k], y=field.y[k])]
    chosen = replace(field, x=field.x[inner], y=field.y[inner], flux=field.flux[inner])
    at = np.round(chosen.y).astype(int) - PATCH.y0, np.round(chosen.x).astype(int) - PATCH.x0
    assert ((made.exposure.masked_image.mask[at] & int(MaskPlane.CLIPPED)) != 0).mean() > 0.9
    size, flux = sizes_and_fluxes(made, chosen)
    with_all = stacked(warps, MeanCoadder()).exposure.psf
    changed = [
        made.exposure.psf.fwhm_at(x=x, y=y) / with_all.fwhm_at(x=x, y=y)
        for x, y in zip(chosen.x, chosen.y, strict=True)
    ]
    assert np.median(changed) > 1.02  # the sharpest image is missing
    assert np.median(np.abs(size - 1)) < 0.003
    assert np.abs(size - 1).max() < 0.01
    assert np.abs(flux - 1).max() < 0.01


def test_a_slope_in_one_visit_leaves_no_step(rng):
    """A sky of +60 to -60 nJy in a visit that ends in the middle of the patch: the two sides of its border agree to
    1 nJy; as it is, the step would be 5 and more.
    """

    def slope(wcs, box, sigma):
        y, x = np.mgrid[: box.height, : box.width] / box.width - 0.5
        return 60 + 120 * y + 40 * x**2

    visits = [visit_of(k, NO_STARS, rng=rng, noise=10.0, more=slope if k == 0 else None) for k in range(4)]
    visits[0] = visits[0][Box(0, 360, 0, 180)]
    step = {}
    for name, order in (("matched", 2), ("as they are", None)):
        made = stacked([warped(visit) for visit in visits], MeanCoadder(level_order=order, feather_px=1.0))
        image, numbers = made.exposure.masked_image.image, made.n_images
        border = int(np.median(np.count_nonzero(numbers == 4, axis=1)))
        left, right = image[:, border - 40 : border - 5], image[:, border + 8 : border + 40]
        step[name] = np.abs(np.median(left[150:], axis=1).mean() - np.median(right[150:], axis=1).mean())
    assert step["matched"] < 1.0
    assert step["as they are"] > 5.0


def test_levels_that_agree_leave_the_mean_as_it_is(rng):
    """Where all visits are everywhere, their mean does not depend on how their levels are matched."""
    warps = [warped(visit_of(k, NO_STARS, rng=rng)) for k in range(3)]
    plain, matched = (stacked(warps, MeanCoadder(level_order=order)).exposure.masked_image for order in (None, 2))
    np.testing.assert_allclose(plain.image, matched.image, atol=2e-4)


def test_little_memory_makes_the_same_coadd(rng):
    """Tiles of 64 px or one: the mean is the same to the bit; at no time is more read than a tile with its margin."""
    warps = [warped(visit_of(k, NO_STARS, rng=rng)) for k in range(3)]
    asked = []

    def reader(warp):
        def read(box):
            asked.append(box)
            return warp[box]

        return CoaddInput(name=warp.name, box=warp.box, pixels=read)

    whole = stacked(warps, MeanCoadder())
    tiled = coadd(map(reader, warps), box=PATCH, wcs=WCS_OF_PATCH, algorithm=MeanCoadder(memory_gib=1e-5))
    for plane in ("image", "mask", "variance"):
        one, other = (getattr(made.exposure.masked_image, plane) for made in (whole, tiled))
        np.testing.assert_array_equal(one, other)
    assert len(asked) == 3 + 3 * 25
    assert max(box.area for box in asked[3:]) <= 64**2
    np.testing.assert_allclose(
        whole.exposure.psf.kernel_image(x=1100, y=500), tiled.exposure.psf.kernel_image(x=1100, y=500), rtol=1e-6
    )


def test_bad_pixels_count_only_where_there_are_no_others(rng):
    """A core that is bad in all visits keeps value and flag, in one it is left out; none at all is NO_DATA."""
    visits = [visit_of(k, NO_STARS, rng=rng) for k in range(3)]
    warps = [warped(visit) for visit in visits]
    y, x = np.mgrid[:SIDE, :SIDE]
    everywhere, once = np.hypot(x - 100, y - 100) < 5, np.hypot(x - 200, y - 200) < 5
    warps = [masked(warp, everywhere | (once & (k == 0)), MaskPlane.STREAK) for k, warp in enumerate(warps)]
    gone = (abs(x - 50) < 8) & (abs(y - 220) < 8)
    warps = [
        replace(
            warp,
            masked_image=MaskedImage(
                np.where(gone, np.float32(np.nan), warp.masked_image.image),
                np.where(gone, np.int32(MaskPlane.NO_DATA), warp.masked_image.mask),
                np.where(gone, np.float32(np.nan), warp.masked_image.variance),
                warp.box,
            ),
        )
        for warp in warps
    ]
    made = stacked(warps, ClippedCoadder())
    mask, image = made.exposure.masked_image.mask, made.exposure.masked_image.image
    assert ((mask[everywhere] & int(MaskPlane.STREAK)) != 0).all()
    assert np.isfinite(image[everywhere]).all()
    assert not (mask[once] & int(MaskPlane.STREAK)).any()
    assert (made.n_images[once] == 2).all()
    assert np.isnan(image[gone]).all()
    assert ((mask[gone] & int(MaskPlane.NO_DATA)) != 0).all()


@pytest.mark.parametrize("algorithm", [MeanCoadder(), ClippedCoadder()])
def test_a_star_that_some_visits_saturate_is_saturated(rng, algorithm):
    """One of three images, or of nine, is more than a tenth of the weight, one of eleven is not; the others make the
    value, and what is beside has no flag.
    """
    y, x = np.mgrid[:SIDE, :SIDE]
    core = np.hypot(x - 150, y - 150) < 5
    for n, expected in ((3, True), (9, True), (11, False)):
        warps = [warped(visit_of(0, NO_STARS, rng=rng)) for _ in range(n)]
        planes = warps[0].masked_image
        cut = replace(planes, image=np.where(core, np.float32(1e6), planes.image))
        warps[0] = masked(replace(warps[0], masked_image=cut), core, MaskPlane.SAT)
        made = stacked(warps, algorithm)
        is_saturated = (made.exposure.masked_image.mask & int(MaskPlane.SAT)) != 0
        np.testing.assert_array_equal(is_saturated, core & expected)
        assert (made.n_images[core] == n - 1).all()
        assert np.abs(made.exposure.masked_image.image[core]).max() < 6 * 30.0 / np.sqrt(n - 1)


def test_a_harmless_bit_needs_a_fifth_of_the_weight(rng):
    """INTRP in one of three equal images is the coadd's; in one of ten it is not."""
    for n, expected in ((3, True), (10, False)):
        warps = [warped(visit_of(0, NO_STARS, rng=rng)) for _ in range(n)]
        warps[0] = masked(warps[0], np.ones(warps[0].box.shape, bool), MaskPlane.INTRP)
        mask = stacked(warps, MeanCoadder()).exposure.masked_image.mask
        assert bool((mask[20:-20, 20:-20] & int(MaskPlane.INTRP)).all()) is expected
        assert bool((mask[20:-20, 20:-20] & int(MaskPlane.INTRP)).any()) is expected


def test_inputs_times_and_corrections_are_recorded(rng):
    """Visits, the weighted mean of the times, the sum of the exposures; corrections as their mean with the weights."""
    visits = [visit_of(k, NO_STARS, rng=rng, noise=noise) for k, noise in ((3, 20.0), (8, 40.0))]
    visits = [
        replace(v, aperture_corrections={"psfFlux": ChebyshevField.constant(value, v.box)})
        for v, value in zip(visits, (1.0, 1.05), strict=True)
    ]
    made = stacked([warped(v) for v in visits], MeanCoadder()).exposure
    assert made.inputs == (3, 8)
    assert made.info.mjd_midpoint == pytest.approx(60003 + 5 * 0.2, abs=0.1)  # a fifth of the weight is the second's
    assert (made.info.exposure_time_s, made.info.band, made.unit) == (60.0, "r", "nJy")
    correction = made.aperture_corrections["psfFlux"].at(x=PATCH.x_center, y=PATCH.y_center)
    assert correction == pytest.approx(1.01, abs=0.001)


def test_fluxes_are_on_one_scale(rng):
    """Counts of 0.5 and of 8 nJy: the coadd is in nJy, to 0.5% for stars of 3,000 sigma."""
    field = stars(np.random.default_rng(1), n=5, log_flux=(5.4, 5.5))
    warps = [warped(visit_of(k, field, rng=rng, scale=scale)) for k, scale in ((0, 0.5), (4, 8.0), (7, 1.0))]
    _, flux = sizes_and_fluxes(stacked(warps, ClippedCoadder()), field)
    assert np.abs(flux - 1).max() < 0.005


def test_detectors_of_a_visit_are_one_warp(rng):
    """Two halves of an exposure give what the whole gives, but for the seam, with the PSF of each on its side."""
    field = stars(rng, n=5)
    visit = visit_of(4, field)
    left, right = visit[Box(0, 360, 0, 180)], visit[Box(0, 360, 180, 360)]
    right = replace(right, psf=replace(right.psf, sigma=2.5))
    whole, halves = (
        warped(visit),
        warp_visit([VisitDetector.whole(left), VisitDetector.whole(right)], box=PATCH, wcs=WCS_OF_PATCH),
    )
    assert halves.box == PATCH
    same = np.isfinite(halves.masked_image.image)
    assert same.mean() > 0.98
    inner = halves.masked_image.usable()
    agree = np.isclose(halves.masked_image.image[inner], whole.masked_image.image[inner], atol=1.0)
    assert agree.mean() > 0.998  # all but those whose kernel reaches over the seam
    y = PATCH.y_center
    assert halves.psf.sigma_at(x=PATCH.x0 + 30, y=y) == pytest.approx(sigma_of(4), rel=0.03)
    assert halves.psf.sigma_at(x=PATCH.x1 - 30, y=y) == pytest.approx(2.5, rel=0.03)
    assert halves.inputs == (4,)


def test_what_cannot_be_stacked_is_refused(rng):
    """Another band, no variance, nothing there: one sentence each."""
    warps = [warped(visit_of(k, NO_STARS, rng=rng)) for k in range(2)]
    other = replace(warps[1], info=replace(warps[1].info, band="g"))
    with pytest.raises(InputError, match="the inputs of coadd are of the bands g, r; a coadd is of one"):
        stacked([warps[0], other], MeanCoadder())
    with pytest.raises(InputError, match="visit 0 has no variance"):
        stacked([replace(warps[0], has_variance=False)], MeanCoadder())
    with pytest.raises(NoOverlapError, match="coadd has no input with a usable pixel"):
        stacked([], MeanCoadder())
    with pytest.raises(NoOverlapError, match="none of the 1 detectors of visit 0 has a usable pixel"):
        warped(visit_of(0, NO_STARS), box=PATCH.shifted(x=5000, y=0))
    pair = [VisitDetector.whole(visit_of(k, NO_STARS)) for k in range(2)]
    with pytest.raises(InputError, match=r"has detectors of the visits \[0, 1\]"):
        warp_visit(pair, box=PATCH, wcs=WCS_OF_PATCH)


@pytest.mark.parametrize("name", COADDERS)
def test_inputs_are_unchanged_and_the_result_is_the_same_twice(rng, name):
    """Bit for bit, holes and saturated pixels included."""
    y, x = np.mgrid[:360, :360]
    visits = [
        masked(visit_of(k, NO_STARS, rng=rng), np.hypot(x - 90 * k, y - 180) < 20, MaskPlane.SAT) for k in range(4)
    ]
    warps = [warped(visit) for visit in visits]
    before = [getattr(warp.masked_image, plane).copy() for warp in warps for plane in ("image", "mask", "variance")]
    once, twice = (stacked(warps, COADDERS.make(name)).exposure.masked_image for _ in range(2))
    after = [getattr(warp.masked_image, plane) for warp in warps for plane in ("image", "mask", "variance")]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    for plane in ("image", "mask", "variance"):
        np.testing.assert_array_equal(getattr(once, plane), getattr(twice, plane))
    cores = np.any([(warp.masked_image.mask & int(MaskPlane.SAT)) != 0 for warp in warps], axis=0)
    np.testing.assert_array_equal(once.usable(), ~cores)
    assert np.isfinite(once.image).all()


def test_images_without_a_psf_make_a_coadd_without_one(rng):
    """What is sharp is still clipped; nobody is told a PSF that nobody knows."""
    warps = [replace(warped(visit_of(k, NO_STARS, rng=rng)), psf=None) for k in range(4)]
    image = warps[0].masked_image.image.copy()
    image[150, 150] = 5000.0
    warps[0] = replace(warps[0], masked_image=replace(warps[0].masked_image, image=image))
    made = stacked(warps, ClippedCoadder())
    assert made.exposure.psf is None
    assert made.n_images[150, 150] == 3
