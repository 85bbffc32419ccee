"""Smooth fields, the true PSF and the geometry of a pair."""

import pickle

import numpy as np
import pytest

from diapipe.errors import InputError
from diapipe.images import Box, ChebyshevField
from diapipe.simulate import Geometry, MoffatFieldPsf, PairSpec, rendering
from diapipe.simulate.smooth_fields import clamped_at, smooth_field

BOX = Box(0, 300, 0, 500)


def random_psf(seed=0, **changes):
    options = {"beta": 3.0, "fwhm_px": 4.0, "fwhm_variation": 0.04, "ellipticity": 0.05, "ellipticity_variation": 0.02}
    return MoffatFieldPsf.random(BOX, **(options | changes), rng=np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(4))
def test_smooth_field_has_the_mean_and_scatter_asked_for(seed):
    """Over all pixels, to the 1% that 32 x 32 sample points leave."""
    values = smooth_field(BOX, mean=2.0, rms=0.3, rng=np.random.default_rng(seed)).over(BOX)
    assert values.mean() == pytest.approx(2.0, abs=0.003)
    assert values.std() == pytest.approx(0.3, rel=0.01)


def test_fields_are_not_extrapolated():
    """Outside the box the value at the nearest border holds."""
    field = smooth_field(BOX, rms=1.0, rng=np.random.default_rng(1))
    outside = clamped_at(field, x=np.array([-80.0, 900.0]), y=np.array([100.0, 700.0]))
    np.testing.assert_allclose(outside, field.at(x=np.array([-0.5, 499.5]), y=np.array([100.0, 299.5])))


def test_psf_varies_as_its_fields_say():
    """The noise-equivalent width of a Moffat is known in closed form: 1/ΣP² = π α² (2β - 1) / (β - 1)²."""
    psf = random_psf(ellipticity=0.0, ellipticity_variation=0.0)
    for x, y in ((10.0, 20.0), (250.0, 150.0), (480.0, 290.0)):
        image = psf.kernel_image(x=x, y=y)
        alpha = float(psf.fwhm_px.at(x=x, y=y)) / rendering.fwhm_of_unit_alpha(psf.beta)
        expected = np.pi * alpha**2 * 5.0 / 4.0
        assert image.sum() == pytest.approx(1.0, abs=1e-12)
        assert 1.0 / (image**2).sum() == pytest.approx(expected, rel=5e-3)
    assert np.ptp([psf.sigma_at(x=x, y=150.0) for x in (10.0, 250.0, 480.0)]) > 0.01


def test_psf_of_a_star_is_what_is_drawn():
    """`image_at` is the drawn star, normalised on its stamp: the same shape to the float32 rounding of offsets."""
    psf = random_psf(seed=3)
    x, y = 200.37, 149.62
    image = np.zeros(BOX.shape, np.float32)
    psf.draw(image, x=np.array([x]), y=np.array([y]), flux=np.array([1.0]), radius_px=np.array([140.0]))
    cut = image[Box.around(x=x, y=y, half=30).slices_in(BOX)]
    np.testing.assert_allclose(psf.image_at(x=x, y=y), cut / cut.sum(dtype=float), atol=3e-6 * cut.max())


def test_kernel_image_is_centred():
    """The middle pixel is the peak and the image is its own reflection through it."""
    image = random_psf(seed=4).kernel_image(x=100.3, y=40.7)
    assert np.unravel_index(image.argmax(), image.shape) == (30, 30)
    np.testing.assert_allclose(image, image[::-1, ::-1], rtol=1e-12)


def test_psf_survives_pickling():
    psf = random_psf(seed=5)
    copy = pickle.loads(pickle.dumps(psf))
    np.testing.assert_array_equal(copy.kernel_image(x=3.0, y=4.0), psf.kernel_image(x=3.0, y=4.0))


@pytest.mark.parametrize(("width", "beta"), [(60, 3.0), (61, 2.7), (61, 1.0)])
def test_psf_refuses_what_it_cannot_draw(width, beta):
    one = ChebyshevField.constant(0.0, BOX)
    with pytest.raises(InputError, match=f"not {width} and {beta}"):
        MoffatFieldPsf(beta=beta, fwhm_px=one, g1=one, g2=one, width=width)


GRIDS = [
    {},
    {"template_offset_px": (12.3, -40.7)},
    {"template_rotation_deg": 33.0, "template_scale": 1.3},
    {"template_flip": True, "template_rotation_deg": -100.0, "template_offset_px": (5.0, 6.0)},
]


@pytest.mark.parametrize("grid", GRIDS)
def test_wcs_say_where_the_template_lies(grid):
    """Science pixel to sky to template pixel is the affine map without the misregistration, to 1e-6 px."""
    geometry = Geometry.random(PairSpec.small(512, **grid), rng=np.random.default_rng(2))
    x, y = np.array([0.0, 511.0, 200.3, 10.0]), np.array([0.0, 500.0, 77.7, 400.0])
    by_sky = geometry.template_wcs().world_to_pixel(geometry.science_wcs().pixel_to_world(x, y))
    np.testing.assert_allclose(by_sky, geometry.to_template(x, y, registered=True), atol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_pixel_scale_and_parity(grid):
    """The template's pixel area on the sky is the science pixel's times the scale squared, of the parity asked for."""
    spec = PairSpec.small(512, **grid)
    geometry = Geometry.random(spec, rng=np.random.default_rng(2))
    areas = [np.linalg.det(wcs.wcs.cd) for wcs in (geometry.science_wcs(), geometry.template_wcs())]
    assert areas[0] == pytest.approx(-((0.2 / 3600) ** 2), rel=1e-12)
    assert areas[1] / areas[0] == pytest.approx(spec.template_scale**2 * (-1 if spec.template_flip else 1), rel=1e-9)


def test_misregistration_is_as_large_as_asked():
    """Rms along either axis over the frame, to the 1% of `smooth_field`."""
    spec = PairSpec.small(512)
    geometry = Geometry.random(spec, rng=np.random.default_rng(8))
    y, x = np.indices(spec.box.shape, dtype=float)
    true, by_wcs = geometry.to_template(x, y), geometry.to_template(x, y, registered=True)
    for along in (0, 1):
        assert np.std(true[along] - by_wcs[along]) == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize("grid", GRIDS)
def test_sky_holds_both_frames(grid):
    """Every corner of the template, brought back to science pixels, lies inside the sky by the margin."""
    geometry = Geometry.random(PairSpec.small(512, **grid), rng=np.random.default_rng(2))
    sky = geometry.sky_box(20)
    assert sky.contains(geometry.science_box.dilated(20))
    corners = np.array([[0.0, 511.0, 0.0, 511.0], [0.0, 0.0, 511.0, 511.0]])
    back = geometry.science_wcs().world_to_pixel(geometry.template_wcs().pixel_to_world(*corners))
    assert sky.dilated(-19).contains_point(x=back[0].min(), y=back[1].min())
    assert sky.dilated(-19).contains_point(x=back[0].max(), y=back[1].max())
