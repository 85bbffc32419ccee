"""warp_onto: stars keep their flux and their place through any pair of WCSs; refusals name what they found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from sky_scenes import exposure, measured, quiet, tan_wcs

from diapipe.errors import InputError, NoOverlapError
from diapipe.images import Box, ChebyshevField, MaskedImage, MaskPlane, PhotoCalib
from diapipe.steps.template import WARPS, LanczosWarp, Registration, WienerWarp, warp_onto

PAIRS = {
    "same scale, rotated": ({}, {"rotation": 0.4}),
    "rotated by 130 degrees": ({}, {"rotation": 130.0}),
    "other parity": ({}, {"flip": 1}),
    "template coarser": ({}, {"scale": 0.4, "shape": (160, 160), "center": (80, 80), "sigma": 1.3}),
    "template finer": ({}, {"scale": 0.1, "shape": (620, 620), "center": (310, 310), "sigma": 3.2}),
    "template finer by half": ({}, {"scale": 0.14, "shape": (450, 450), "center": (225, 225), "sigma": 2.3}),
    "SIP onto TAN": ({"kind": "SIP", "distortion": 3.0}, {"rotation": 3.0}),
    "TAN onto SIP": ({}, {"kind": "SIP", "distortion": 3.0, "rotation": 3.0}),
    "TPV both": ({"kind": "TPV", "distortion": 2.0}, {"kind": "TPV", "distortion": -2.0, "rotation": 1.0}),
    "across RA 0": ({"ra": 0.0}, {"ra": 359.998}),
    "near the pole": ({"ra": 30.0, "dec": 89.99}, {"ra": 32.0, "dec": 89.991, "rotation": 5.0}),
}


def stars_of(wcs, rng, n=9):
    x, y = 150 + 75 * np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]).T + rng.uniform(-4, 4, (2, 9))
    ra, dec = wcs.all_pix2world(x[:n], y[:n], 0)
    return ra, dec, rng.uniform(5e4, 2e5, n)


@pytest.mark.parametrize("name", PAIRS)
def test_stars_keep_flux_and_place(name, rng):
    """Aperture fluxes to 1e-3 and positions to 0.003 px, whatever the scale, rotation, parity or distortion."""
    of_science, of_template = PAIRS[name]
    details = {key: of_template[key] for key in ("shape", "sigma") if key in of_template}
    science_wcs = tan_wcs(**of_science)
    template_wcs = tan_wcs(**{key: value for key, value in of_template.items() if key not in details})
    stars = stars_of(science_wcs, rng)
    science = exposure(science_wcs, stars, name="science.fits")
    aligned = warp_onto(exposure(template_wcs, stars, **details), science)
    assert aligned.how == "interpolated"
    assert aligned.coverage > 0.6
    assert aligned.exposure.box == science.box
    covered = np.array(
        [
            np.isfinite(aligned.exposure.masked_image[_around(science_wcs, r, d)].image).all()
            for r, d in zip(*stars[:2], strict=True)
        ]
    )
    assert covered.sum() >= 5
    found = measured(aligned.exposure, stars[0][covered], stars[1][covered])
    np.testing.assert_allclose(found[:, 0] / stars[2][covered], 1.0, atol=1e-3)
    assert np.abs(found[:, 1:]).max() < 3e-3


def _around(wcs, ra, dec):
    x, y = wcs.all_world2pix(ra, dec, 0)
    return Box.around(x=float(x), y=float(y), half=14)


@pytest.mark.parametrize("name", WARPS)
def test_every_warp_keeps_flux_and_place(name, rng):
    """The family's contract: fluxes to 1e-3, positions to 0.01 px, inputs untouched, noise correlation there."""
    wcs = tan_wcs()
    stars = stars_of(wcs, rng)
    template = exposure(tan_wcs(rotation=0.3), stars, noise=3.0, rng=rng)
    before = template.masked_image.image.copy()
    aligned = warp_onto(template, exposure(wcs, stars), warp=WARPS.make(name))
    found = measured(aligned.exposure, stars[0], stars[1])
    np.testing.assert_allclose(found[:, 0] / stars[2], 1.0, atol=1e-3 + 4 * 3.0 * 29 / 5e4)
    assert np.abs(found[:, 1:]).max() < 0.01
    assert np.array_equal(before, template.masked_image.image)
    correlation = aligned.exposure.noise_correlation
    assert correlation[tuple(n // 2 for n in correlation.shape)] == 1.0


@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("content", ["masked", "nan"])
def test_every_warp_survives_a_template_of_nothing(name, content):
    """A template without one usable pixel is refused in one sentence, not warped into garbage."""
    pixels = np.full((300, 300), np.nan if content == "nan" else 1.0)
    mask = np.full(pixels.shape, int(MaskPlane.BAD if content == "masked" else 0), np.int32)
    science = exposure(tan_wcs(), ([], [], []))
    template = replace(science, wcs=tan_wcs(rotation=1.0), masked_image=MaskedImage.from_planes(pixels, mask=mask))
    with pytest.raises(NoOverlapError, match=r"cover 0\.0%"):
        warp_onto(template, science, warp=WARPS.make(name))


def test_one_grid_is_left_alone(rng):
    """On one grid nothing is interpolated: the very pixels, PSF and correlation of the template come back."""
    wcs = tan_wcs()
    science, template = (exposure(wcs, stars_of(wcs, rng), noise=1.0, rng=rng) for _ in range(2))
    aligned = warp_onto(template, science)
    assert aligned.how == "identity"
    assert aligned.coverage == 1.0
    assert np.shares_memory(aligned.exposure.masked_image.image, template.masked_image.image)
    assert aligned.exposure.psf is template.psf
    assert aligned.exposure.noise_correlation is None


def test_a_shift_by_whole_pixels_moves_pixels(rng):
    """Dithered by whole pixels the template's own values are moved; where it ends there is NO_DATA."""
    stars = stars_of(tan_wcs(), rng)
    science = exposure(tan_wcs(), stars)
    aligned = warp_onto(exposure(tan_wcs(center=(162.0, 143.0)), stars), science)
    assert aligned.how == "shift by whole pixels"
    pixels = aligned.exposure.masked_image
    covered = np.isfinite(pixels.image)
    np.testing.assert_allclose(pixels.image[covered], science.masked_image.image[covered], atol=0.05)
    assert np.array_equal(~covered, pixels.mask == MaskPlane.NO_DATA)
    assert aligned.coverage == pytest.approx(288 * 293 / 300**2)
    kernel = aligned.exposure.psf.kernel_image(x=100, y=100)
    np.testing.assert_allclose(kernel, science.psf.kernel_image(x=0, y=0), atol=1e-6)


def test_parent_coordinates_are_kept(rng):
    """Cut-outs of science and template warp as the whole images do."""
    wcs, other = tan_wcs(), tan_wcs(rotation=2.0)
    stars = stars_of(wcs, rng)
    science, template = exposure(wcs, stars), exposure(other, stars)
    whole = warp_onto(template, science).exposure
    box = Box(90, 210, 100, 220)
    part = warp_onto(template[Box(40, 260, 50, 270)], science[box]).exposure
    np.testing.assert_allclose(part.masked_image.image, whole.masked_image[box].image, rtol=1e-4, atol=2e-2)
    assert part.box == box


def test_partial_overlap(rng):
    """A template that covers a part says which: finite there and only there, coverage the fraction."""
    wcs = tan_wcs()
    stars = stars_of(wcs, rng)
    aligned = warp_onto(exposure(tan_wcs(center=(30.4, 150.3), rotation=0.1), stars), exposure(wcs, stars))
    image = aligned.exposure.masked_image
    assert aligned.coverage == pytest.approx(np.isfinite(image.image).mean())
    assert 0.55 < aligned.coverage < 0.62
    assert np.isfinite(image.image[:, 140:]).mean() > 0.97
    assert np.all(image.mask[~np.isfinite(image.image)] & int(MaskPlane.NO_DATA))


def test_registration_and_wcs_make_one_interpolation(rng):
    """A displacement of (0.3, -0.2) template pixels moves the stars back; an insignificant one is not applied."""
    wcs = tan_wcs()
    stars = stars_of(wcs, rng)
    science = exposure(wcs, stars)
    template = exposure(tan_wcs(center=(150.3, 149.8)), stars)
    template = replace(template, wcs=wcs)
    fields = tuple(ChebyshevField.constant(value, science.box) for value in (0.3, -0.2))
    aligned = warp_onto(template, science, registration=Registration(displacement=fields, is_significant=True))
    assert aligned.registration_applied
    found = measured(aligned.exposure, *stars[:2])
    assert np.abs(found[:, 1:]).max() < 3e-3
    untouched = warp_onto(template, science, registration=Registration(displacement=fields))
    assert untouched.how == "identity"
    assert not untouched.registration_applied


def test_variance_follows_the_scale(rng):
    """On twice coarser template pixels the noise of the warped image is what its variance says, to 2%."""
    science = exposure(tan_wcs(), ([], [], []))
    for scale, shape in ((0.4, (160, 160)), (0.15, (410, 410))):
        center = (shape[1] / 2 + 0.2, shape[0] / 2 + 0.4)
        ratios = []
        for _ in range(6):
            template = exposure(
                tan_wcs(scale=scale, rotation=1.0, center=center), ([], [], []), shape=shape, noise=5.0, rng=rng
            )
            pixels = warp_onto(template, science).exposure.masked_image
            good = pixels.usable()
            ratios.append((pixels.image[good].astype(float) ** 2 / pixels.variance[good]).mean())
        assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)


def test_calibration_travels(rng):
    """A calibration field is the same at the same place of the sky."""
    wcs, other = tan_wcs(), tan_wcs(rotation=30.0)
    field = ChebyshevField(np.array([1.0, 0.02, -0.01]), Box.from_shape((300, 300)))
    template = replace(exposure(other, ([], [], [])), photo_calib=PhotoCalib(2.0, field=field))
    aligned = warp_onto(template, exposure(wcs, ([], [], [])))
    x, y = np.array([120.0, 200.0]), np.array([160.0, 90.0])
    there = other.all_world2pix(*wcs.all_pix2world(x, y, 0), 0)
    np.testing.assert_allclose(
        aligned.exposure.photo_calib.at(x=x, y=y), template.photo_calib.at(x=there[0], y=there[1]), rtol=1e-6
    )


def test_images_without_wcs():
    """Without WCS images of one shape are aligned as they are; others are refused by both shapes."""
    science, template = (replace(exposure(tan_wcs(), ([], [], []), name=n), wcs=None) for n in ("s.fits", "t.fits"))
    assert warp_onto(template, science).how == "identity"
    small = template[Box(0, 299, 0, 300)]
    with pytest.raises(InputError, match=r"s\.fits has 300 x 300 pixels, t\.fits has 299 x 300"):
        warp_onto(small, science)


def test_wcs_on_one_side():
    """The image that lacks a WCS is named."""
    science = exposure(tan_wcs(), ([], [], []), name="s.fits")
    with pytest.raises(InputError, match=r"t\.fits has no WCS but s\.fits has one"):
        warp_onto(replace(science, wcs=None, name="t.fits"), science)
    with pytest.raises(InputError, match=r"t\.fits has no WCS but s\.fits has one"):
        warp_onto(science, replace(science, wcs=None, name="t.fits"))


@pytest.mark.parametrize(("place", "arcmin"), [({"ra": 150.25}, 13.99), ({"ra": 330.0, "dec": -2.0}, 10798.6)])
def test_no_overlap(place, arcmin):
    """Images apart are refused with their distance: 15 arcmin less 300 pixels of 0.2 arcsec, and the antipode."""
    science = exposure(tan_wcs(), ([], [], []), name="s.fits")
    template = exposure(tan_wcs(**place), ([], [], []), name="t.fits")
    with pytest.raises(
        NoOverlapError, match=r"s\.fits.* (arcmin|degrees) from the template's nearest edge \(t\.fits\)"
    ) as caught:
        warp_onto(template, science)
    assert caught.value.context["distance_arcmin"] == pytest.approx(arcmin, rel=0.002)


def test_little_overlap():
    """Under a tenth of the science image a template is refused by its fraction, unless less is asked for."""
    science = exposure(tan_wcs(), ([], [], []), name="s.fits")
    template = exposure(tan_wcs(center=(-135.3, 150.0)), ([], [], []), name="t.fits")
    with pytest.raises(NoOverlapError, match=r"t\.fits cover [34]\.\d% of it; at least 10% are needed"):
        warp_onto(template, science)
    assert warp_onto(template, science, warp=LanczosWarp(required_template_fraction=0.01)).coverage < 0.05


def test_other_frames(rng):
    """An FK5 and an ICRS image of one sky agree on it: the frames are transformed, 20 mas apart as they are."""
    wcs = tan_wcs(rotation=0.2)
    header = tan_wcs().to_header()
    header["RADESYS"] = "FK5"
    header["EQUINOX"] = 2000.0
    stars = stars_of(wcs, rng)
    fk5 = SkyCoord(*stars[:2], unit="deg", frame="icrs").transform_to("fk5")
    template = exposure(quiet(header), (fk5.ra.deg, fk5.dec.deg, stars[2]))
    found = measured(warp_onto(template, exposure(wcs, stars)).exposure, *stars[:2])
    assert np.abs(found[:, 1:]).max() < 3e-3


def test_warps_have_defaults_in_one_place():
    """The default warp is the first of its family."""
    assert WARPS.default == "wiener"
    assert WARPS.make("wiener") == WienerWarp()
