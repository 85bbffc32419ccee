"""The CCD: charge is conserved, noise is what the variance plane claims, defects are flagged."""

import numpy as np
import pytest

from diapipe.images import ChebyshevField, MaskPlane
from diapipe.simulate import PairSpec
from diapipe.simulate.cosmic_rays import add_cosmic_rays
from diapipe.simulate.detector import Camera, bleed, read_out

SPEC = PairSpec.small(400, n_bad_columns=0, n_cosmic_rays=0)


def expose(light, camera, *, spec=SPEC, seed=0, level=0.0):
    background = ChebyshevField.constant(level, spec.box)
    return read_out(
        light.copy(),
        camera,
        background=background,
        unmasked_fraction=spec.cosmic_ray_unmasked_fraction,
        rng=np.random.default_rng(seed),
    )


def bled_slowly(charge, full_well):
    """One packet of excess at a time: half of it walks up, half walks down, all the upward ones first."""
    charge = charge.astype(float)
    over = np.clip(charge - full_well, 0, None)
    charge -= over
    for step in (1, -1):
        for row, column in np.argwhere(over > 0):
            packet, at = 0.5 * over[row, column], row
            while packet > 0 and 0 <= at < len(charge):
                taken = min(packet, full_well - charge[at, column])
                charge[at, column] += taken
                packet -= taken
                at += step
    return charge


def test_bleeding_equals_its_slow_twin():
    """Total per pixel does not depend on the order in which the packets of a direction walk."""
    charge = np.random.default_rng(3).gamma(0.3, 60.0, (120, 30)).astype(np.float32)
    fast, overflown = charge.copy(), np.zeros(charge.shape, np.bool_)
    bleed(fast, 100.0, overflown)
    slow = bled_slowly(charge, 100.0)
    np.testing.assert_allclose(fast, slow, atol=1e-3)
    np.testing.assert_array_equal(overflown, (charge > 100.0) | (np.abs(slow - charge) > 1e-3))


def test_bleeding_conserves_charge_along_a_column():
    """No pixel holds more than the full well, nothing leaves its column, nothing is lost away from the edge."""
    charge = np.full((101, 3), 10.0, np.float32)
    charge[50, 1] = 1010.0
    overflown = np.zeros(charge.shape, np.bool_)
    total = charge.sum(axis=0)
    bleed(charge, 100.0, overflown)
    np.testing.assert_allclose(charge.sum(axis=0), total)
    assert charge.max() == 100.0
    np.testing.assert_array_equal(np.flatnonzero(overflown[:, 1]), np.arange(44, 57))
    assert not overflown[:, [0, 2]].any()


def test_charge_that_reaches_the_edge_is_lost():
    charge = np.zeros((10, 1), np.float32)
    charge[9] = 1000.0
    bleed(charge, 100.0, np.zeros(charge.shape, np.bool_))
    assert charge.sum() == pytest.approx(100.0 + 450.0)


@pytest.mark.parametrize("make", [Camera.of_science, Camera.of_template])
@pytest.mark.parametrize("electrons", [0.0, 20_000.0])
def test_noise_is_what_the_variance_plane_claims(make, electrons):
    """Pulls of 160,000 pixels: mean within 4/√N of 0, variance within 4√(2/N) of 1; the background adds its level."""
    camera = make(SPEC)
    image, _ = expose(np.full(SPEC.box.shape, electrons, np.float32), camera, level=3.0)
    pulls = (image.image - 3.0 - electrons / camera.electrons_per_count) / np.sqrt(image.variance)
    n = pulls.size
    assert abs(pulls.mean(dtype=float)) < 4 / np.sqrt(n)
    assert abs(pulls.var(dtype=float) - 1) < 4 * np.sqrt(2 / n)
    assert not image.mask.any()


@pytest.mark.parametrize(("depth", "scale"), [(1.0, 1.0), (10.0, 1.0), (4.0, 7.0)])
def test_template_noise_follows_depth_and_flux_scale(depth, scale):
    """In equal flux units the sky variance of the template is that of the science image over the depth."""
    spec = PairSpec.small(400, template_depth=depth, template_flux_scale=scale)
    science, template = Camera.of_science(spec), Camera.of_template(spec)
    sky = [camera.sky_sigma_electrons / camera.electrons_per_count for camera in (science, template)]
    assert sky[1] ** 2 == pytest.approx(sky[0] ** 2 * scale**2 / depth)
    assert template.electrons_per_science_count / template.electrons_per_count == pytest.approx(scale)
    assert template.saturation_counts == pytest.approx(science.saturation_counts * scale)


def test_saturated_pixels_are_flagged_and_end_at_the_saturation_level():
    """Full pixels are flat to the read noise, bled ones belong to the plane, the rest of the frame does not."""
    camera = Camera.of_science(SPEC)
    light = np.zeros(SPEC.box.shape, np.float32)
    light[200, 100] = 5.5 * camera.full_well_electrons
    image, _ = expose(light, camera)
    rows, columns = np.nonzero(image.mask)
    assert (image.mask[rows, columns] == MaskPlane.SAT).all()
    assert set(columns) == {100}
    assert rows.min() == 197
    assert rows.max() == 203
    full = image.image[198:203, 100]
    sigma = camera.read_noise_electrons / camera.electrons_per_count
    assert np.abs(full - camera.saturation_counts).max() < 5 * sigma


def test_cosmic_rays_are_listed_as_they_were_drawn():
    """The list's charge is the image's; a tenth is left out of the masked pixels, the others are all in."""
    charge = np.zeros((500, 600), np.float32)
    rays = add_cosmic_rays(charge, n=100, unmasked_fraction=0.1, rng=np.random.default_rng(4))
    assert charge.sum(dtype=float) == pytest.approx(rays.electrons.sum(), rel=1e-5)
    assert (~rays.is_masked).sum() == 10
    known = np.zeros(charge.shape, np.bool_)
    known.ravel()[rays.pixels] = True
    assert known.sum() <= rays.n_pix[rays.is_masked].sum()
    assert charge[~known].sum(dtype=float) == pytest.approx(rays.electrons[~rays.is_masked].sum(), rel=0.02)


def test_bad_columns_are_flagged():
    """Where pixels are hotter or deader than noise allows, the mask says BAD; elsewhere all stays within 6 sigma."""
    spec = PairSpec.small(400, n_bad_columns=12, n_cosmic_rays=0)
    image, _ = expose(np.zeros(spec.box.shape, np.float32), Camera.of_science(spec), spec=spec)
    bad = (image.mask & MaskPlane.BAD) != 0
    assert 0.01 < bad.mean() < 0.12
    assert bad[-1].sum() == bad.any(axis=0).sum()
    assert np.abs(image.image / np.sqrt(image.variance))[~bad].max() < 6.0
