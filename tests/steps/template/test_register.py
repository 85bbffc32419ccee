"""register: the displacement that the stars show, and none that they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from scipy import ndimage
from sky_scenes import exposure, quiet, star_list, tan_wcs

from diapipe.images import Box, Exposure, MaskedImage
from diapipe.steps.template import register, warp_onto

BIG = Box(0, 4000, 0, 4072)


def blank(box, wcs=None, name="image.fits"):
    """An exposure whose pixels nobody looks at: one value, broadcast."""
    plane = np.broadcast_to(np.float32(1.0), box.shape)
    return Exposure(
        name=name, masked_image=MaskedImage(plane, np.broadcast_to(np.int32(0), box.shape), plane, box), wcs=wcs
    )


def smooth_field(x, y, rms=0.05):
    """A displacement of low-frequency modes over the big box, of the given rms per axis."""
    u, v = x / 4072, y / 4000
    dx = np.sin(2 * np.pi * (0.7 * u + 0.2 * v) + 1.0) + 0.7 * np.cos(2 * np.pi * 0.9 * v)
    dy = np.cos(2 * np.pi * (0.3 * u - 0.8 * v)) + 0.5 * np.sin(2 * np.pi * u)
    return rms * dx / 0.86, rms * dy / 0.79


def pair(rng, n=1500, box=BIG, displacement=smooth_field, extra=300):
    """Star lists of two images, the template's displaced; errors from 0.01 to 0.1 px, some stars in one only."""
    x, y = rng.uniform(box.x0, box.x1 - 1, n + extra), rng.uniform(box.y0, box.y1 - 1, n + extra)
    error = np.geomspace(0.01, 0.1, n + extra)
    dx, dy = displacement(x, y)
    noise = rng.normal(size=(4, n + extra)) * error
    here = rng.permutation(n + extra)[:n]
    here.sort()
    science = star_list(x[here] + noise[0][here], y[here] + noise[1][here], error=error[here], sigma=2.0)
    template = star_list(x + dx + noise[2], y + dy + noise[3], error=error, sigma=2.0)
    return science, template


def missed(registration, displacement, box=BIG):
    """Root mean square per axis of fitted less true displacement over the image."""
    x, y = np.meshgrid(np.linspace(box.x0, box.x1 - 1, 40), np.linspace(box.y0, box.y1 - 1, 40))
    truth = displacement(x, y)
    return np.sqrt(np.mean([(f.at(x=x, y=y) - t) ** 2 for f, t in zip(registration.displacement, truth, strict=True)]))


def test_a_smooth_field_is_found(rng):
    """A smooth misregistration of 0.05 px rms over 4k comes out to 0.01 px rms from 1500 stars."""
    science, template = pair(rng)
    found = register(science, template, science=blank(BIG), template=blank(BIG))
    assert found.is_significant
    assert found.n_matched > 1300
    assert missed(found, smooth_field) < 0.01
    assert found.rms_after_px < 0.6 * found.rms_before_px
    assert found.rms_displacement_px == pytest.approx(0.05, rel=0.2)
    assert found.error_px < 0.01


def test_nothing_is_found_in_noise(rng):
    """Stars without a displacement give no significant registration, in ten trials."""
    for _ in range(10):
        science, template = pair(rng, n=400, displacement=lambda x, y: (0 * x, 0 * y))
        assert not register(science, template, science=blank(BIG), template=blank(BIG)).is_significant


def test_a_wrong_wcs_is_mended(rng):
    """A WCS wrong by 40 pixels, with a rotation of 0.02 degrees and 1e-4 in scale, is found among as many strangers."""
    angle, box = np.radians(0.02), Box.from_shape((1000, 1000))

    def displacement(x, y):
        u, v = x - 499.5, y - 499.5
        c, s = 1.0001 * np.cos(angle), 1.0001 * np.sin(angle)
        return c * u - s * v - u + 33.0, s * u + c * v - v - 24.0

    science, template = pair(rng, n=150, box=box, displacement=displacement, extra=150)
    found = register(science, template, science=blank(box), template=blank(box))
    assert found.is_significant
    assert missed(found, displacement, box) < 0.02
    assert found.shift_px == pytest.approx((33.0, -24.0), abs=0.03)
    assert found.rotation_deg == pytest.approx(0.02, abs=0.002)
    assert found.scale == pytest.approx(1.0001, abs=3e-5)


def test_through_two_wcs(rng):
    """Displacements are found in template pixels through WCSs of other scale, rotation and parity."""
    science_wcs, template_wcs = tan_wcs(), tan_wcs(scale=0.4, rotation=40.0, flip=1)
    box = Box.from_shape((300, 300))
    x, y = rng.uniform(10, 290, (2, 200))
    there = np.array(template_wcs.all_world2pix(*science_wcs.all_pix2world(x, y, 0), 0)) + np.array([[0.4], [-0.1]])
    there += rng.normal(0, 0.01, there.shape)
    found = register(
        star_list(x, y),
        star_list(*there),
        science=blank(box, science_wcs),
        template=blank(Box(-200, 500, -200, 500), template_wcs),
    )
    assert found.is_significant
    assert found.shift_px == pytest.approx((0.4, -0.1), abs=0.005)
    assert found.rotation_deg == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_stars(n, rng):
    """With fewer than three stars there is nothing to fit, and no error."""
    stars = star_list(*rng.uniform(0, 100, (2, n)))
    box = Box.from_shape((100, 100))
    found = register(stars, stars, science=blank(box), template=blank(box))
    assert found.n_matched == 0
    assert not found.is_significant
    assert found.shift_px == (0.0, 0.0)


def test_saturated_and_faint_stars_do_not_vote(rng):
    """Displaced stars that are saturated or faint change nothing."""
    x, y = rng.uniform(0, 1000, (2, 400))
    science, template = star_list(x, y), star_list(x + np.where(np.arange(400) < 200, 0.5, 0.0), y)
    spoiled = np.arange(400) < 200
    box = Box.from_shape((1000, 1000))
    for science_stars in (
        replace(science, is_saturated=spoiled),
        replace(science, flux_err=np.where(spoiled, science.flux, science.flux_err)),
    ):
        found = register(science_stars, template, science=blank(box), template=blank(box))
        assert not found.is_significant
        assert found.n_matched >= 190


def test_no_overlap_is_left_to_the_warp(rng):
    """Images far apart give an empty registration; warp_onto then says how far apart they are."""
    stars = star_list(*rng.uniform(0, 300, (2, 50)))
    science, template = exposure(tan_wcs(), ([], [], [])), exposure(tan_wcs(ra=190.0), ([], [], []))
    assert register(stars, stars, science=science, template=template).n_matched == 0


def bright_stars(image, n=300):
    """Peaks of a real frame, brightest first, with parabolic centroids: a plain finder for this test alone."""
    image = np.nan_to_num(image.astype(float), nan=1e5)
    smooth = ndimage.gaussian_filter(image, 2.0) - ndimage.gaussian_filter(image, 8.0)
    is_peak = (smooth == ndimage.maximum_filter(smooth, 11)) & (ndimage.maximum_filter(image, 25) < 50000)
    is_peak[:12], is_peak[-12:], is_peak[:, :12], is_peak[:, -12:] = False, False, False, False
    rows, columns = np.nonzero(is_peak)
    order = np.argsort(-smooth[rows, columns])[:n]
    rows, columns = rows[order], columns[order]
    x = columns + vertex(*(smooth[rows, columns + k] for k in (-1, 0, 1)))
    y = rows + vertex(*(smooth[rows + k, columns] for k in (-1, 0, 1)))
    return star_list(x, y, error=0.05)


def vertex(before, at, after):
    """Place of the maximum of a parabola through three neighbours."""
    return 0.5 * (before - after) / (before - 2 * at + after)


def moa_frame(path):
    with fits.open(path) as hdus:
        image, header = hdus[1].data.astype(float), hdus[1].header
    exposure = Exposure(name=path.name, masked_image=MaskedImage.from_planes(image), wcs=quiet(header))
    return bright_stars(image), exposure


@pytest.mark.realdata
def test_real_dithers(shared_data):
    """Dithers of up to 175 px of a crowded field: known to 0.03 px, and the stars of the warped frame line up."""
    paths = sorted((shared_data / "moa2013blg475").rglob("*.fits*"))
    template_stars, template = moa_frame(paths[40])
    for path in (paths[0], paths[20], paths[60], paths[80]):
        science_stars, science = moa_frame(path)
        found = register(science_stars, template_stars, science=science, template=template)
        assert found.n_matched > 60
        assert found.error_px < 0.03
        aligned = warp_onto(template, science, registration=found)
        assert aligned.coverage > 0.3
        moved = bright_stars(aligned.exposure.masked_image.image)
        again = register(science_stars, moved, science=science, template=aligned.exposure)
        assert again.n_matched > 60
        assert again.rms_displacement_px < 0.03
