"""Dcr: stars of all colours stand in the template where the air puts them in the science exposure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from diapipe.errors import InputError, NoOverlapError, UsageError
from diapipe.flow import difference_pair
from diapipe.images import Box, CoaddPatch, GaussianPsf, MaskedImage, ObservationInfo
from diapipe.images.sky import sky_of
from diapipe.numerics.refraction import refraction_arcsec, zenith_distance_of_airmass
from diapipe.steps.template import Dcr, template_for
from tract_scenes import SCALE, Scene, drawn, light, patches_of

BAND = {"effective_wavelength_nm": 480.0, "bandwidth_nm": 150.0}
AIR = {"temperature_c": 8.0, "pressure_hpa": 750.0, "relative_humidity": 0.2}
INFO = ObservationInfo(band="g", airmass=1.6, parallactic_angle_deg=35.0, **AIR)
SLOPES = {"red": 0.9, "flat": 0.0, "blue": -0.9}
WAVES_PER_PART = 20


def spectrum(slope, part=None):
    """Share of the light at fine steps of the band, falling or rising linearly; in one of three parts, or all."""
    t = (np.arange(3 * WAVES_PER_PART) + 0.5) / (3 * WAVES_PER_PART)
    share = (1 + slope * (2 * t - 1)) / len(t)
    return share if part is None else share[part * WAVES_PER_PART : (part + 1) * WAVES_PER_PART]


def seen(scene, stars, slopes, info=INFO, *, sigma=1.6 * SCALE / 0.33):
    """The science exposure of stars with linear spectra: each wavelength where the air lifts it. No noise."""
    ra, dec, flux = stars
    first = BAND["effective_wavelength_nm"] - BAND["bandwidth_nm"] / 2
    waves = first + BAND["bandwidth_nm"] * (np.arange(3 * WAVES_PER_PART) + 0.5) / (3 * WAVES_PER_PART)
    z = zenith_distance_of_airmass(info.airmass)
    lift = refraction_arcsec(waves, zenith_distance_deg=z, **AIR)
    lift -= refraction_arcsec(BAND["effective_wavelength_nm"], zenith_distance_deg=z, **AIR)
    at = SkyCoord(ra, dec, unit="deg")[:, None].directional_offset_by(
        info.parallactic_angle_deg * u.deg, lift[None, :] * u.arcsec
    )
    parts = flux[:, None] * np.array([spectrum(slope) for slope in slopes])
    pixels = light(scene.wcs, (at.ra.deg.ravel(), at.dec.deg.ravel(), parts.ravel()), scene.science().box, sigma=sigma)
    return replace(scene.science(), masked_image=MaskedImage.from_planes(pixels), psf=GaussianPsf(sigma, 41), info=info)


def planes_of(scene, stars, slopes, *, noise=0.0, rng=None):
    """Coadds of the three parts of the band, in all tracts, without any refraction."""
    ra, dec, flux = stars
    found = []
    for k in range(3):
        part = flux * np.array([spectrum(slope, k).sum() for slope in slopes])
        for tract in scene.tracts:
            coadd = drawn(tract, (ra, dec, part), band="g", noise=noise, rng=rng)
            found += [replace(patch, subfilter=k) for patch in patches_of(tract, coadd)]
    return found


def plain(scene, stars):
    """The coadd of the whole band."""
    return [patch for tract in scene.tracts for patch in patches_of(tract, drawn(tract, stars, band="g"))]


def offsets(difference, stars, wcs):
    """First moments of what is left at each star, in units of its flux: how far apart science and template stand."""
    x, y = wcs.all_world2pix(stars[0], stars[1], 0)
    found = []
    for a, b, flux in zip(x, y, stars[2], strict=True):
        box = Box.around(x=a, y=b, half=10)
        image = difference[box.slices_in(Box.from_shape(difference.shape))]
        dy, dx = np.mgrid[-10:11, -10:11]
        found.append(((image * dx).sum() / flux, (image * dy).sum() / flux, image.sum() / flux))
    return np.array(found)


@pytest.fixture(scope="module")
def coloured():
    """Stars of three colours in turn, as seen at airmass 1.6, and the templates with and without colours."""
    scene, rng = Scene(), np.random.default_rng(8)
    stars = scene.stars(rng)
    slopes = np.resize(list(SLOPES.values()), len(stars[0]))
    science = seen(scene, stars, slopes)
    dcr = template_for(science, planes_of(scene, stars, slopes), algorithm=Dcr(**BAND))
    return scene, stars, slopes, science, dcr, template_for(science, plain(scene, stars))


def test_no_dipoles_are_left_where_a_plain_template_leaves_them(coloured):
    """Stars of all colours stand where they are to 0.002 px, where the plain template has them 0.5 px apart.

    The rest is the interpolation's, and the spectra's third order.
    """
    scene, stars, slopes, science, dcr, uncorrected = coloured
    image = science.masked_image.image
    left, before = (
        offsets(image - template[science.box].masked_image.image, stars, scene.wcs) for template in (dcr, uncorrected)
    )
    assert np.hypot(left[:, 0], left[:, 1]).max() < 0.002
    np.testing.assert_allclose(left[:, 2], 0.0, atol=2e-3)
    red, blue = (before[slopes == SLOPES[name], :2].mean(axis=0) for name in ("red", "blue"))
    assert np.hypot(*(blue - red)) > 0.5


def test_what_is_left_of_the_pixels_is_a_hundredth(coloured):
    """The sum of squares that stars of all colours leave falls to under 1%."""
    _, _, _, science, dcr, uncorrected = coloured
    image = science.masked_image.image
    left, before = (image - template[science.box].masked_image.image for template in (dcr, uncorrected))
    assert np.sum(left**2) < 0.01 * np.sum(before**2)


def noisy(light_of_sky, sky, rng):
    """Planes with the noise of a sky and of the light, gain 2."""
    variance = sky**2 + light_of_sky / 2
    return light_of_sky + rng.normal(0, 1, variance.shape) * np.sqrt(variance), variance


def test_of_a_field_of_coloured_stars_nothing_is_found(rng):
    """A whole difference with noise: the plain template leaves dipoles at a dozen stars or more, this one nothing.

    At the frame, where stars are cut, sources are another matter.
    """
    scene = Scene(shape=(400, 420))
    x, y = rng.uniform(-30, 450, (2, 160))
    stars, slopes = (*sky_of(scene.wcs, x, y), 10 ** rng.uniform(3.2, 5.3, 160)), rng.uniform(-0.9, 0.9, 160)
    clean = seen(scene, stars, slopes, sigma=2.0)
    pixels, variance = noisy(clean.masked_image.image, 8.0, rng)
    science = replace(clean, masked_image=MaskedImage.from_planes(pixels, variance=variance))
    planes, whole = [], []
    for tract in scene.tracts:
        shares = [np.array([spectrum(slope, k).sum() for slope in slopes]) for k in range(3)]
        parts = [light(tract.wcs, (*stars[:2], stars[2] * share), tract.box, sigma=1.6) for share in shares]
        found = [noisy(part, 3.0, rng) for part in parts]
        variance = sum(spread for _, spread in found)
        blank = drawn(tract, (), band="g")
        for k, image in enumerate([sum(image for image, _ in found), *(image for image, _ in found)]):
            coadd = replace(blank, masked_image=MaskedImage.from_planes(image, variance=variance, box=tract.box))
            patches = patches_of(tract, coadd)
            if k == 0:
                whole += patches
            else:
                planes += [replace(patch, subfilter=k - 1) for patch in patches]
    inner = science.box.dilated(-5)
    found = [
        [
            source
            for source in difference_pair(science, template).dia_sources
            if inner.contains_point(x=source["x"], y=source["y"])
        ]
        for template in (template_for(science, whole), template_for(science, planes, algorithm=Dcr(**BAND)))
    ]
    assert sum(bool(source["isDipole"]) for source in found[0]) >= 12
    assert found[1] == []


def test_blue_light_moves_towards_the_zenith(coloured):
    """By the mean lift of its part, along the position angle on the sky, in pixels of any orientation."""
    scene, _, _, science, *_ = coloured
    algorithm = Dcr(**BAND)
    lifts, towards_zenith = algorithm.lifts_arcsec(science).mean, algorithm.towards_zenith_px(science)
    assert lifts[0] > 0.2 > 0 > lifts[2]
    np.testing.assert_allclose(np.hypot(*towards_zenith), 1 / 0.33, rtol=1e-3)
    x, y = science.box.x_center, science.box.y_center
    ra, dec = scene.wcs.all_pix2world(*(np.array([x, y]) + lifts[0] * towards_zenith)[:, None], 0)
    middle = SkyCoord(*scene.wcs.all_pix2world(x, y, 0), unit="deg")
    angle = middle.position_angle(SkyCoord(ra, dec, unit="deg")).deg[0]
    assert angle == pytest.approx(35.0, abs=0.05)


def test_the_psf_is_that_of_a_star_without_colour(coloured):
    """Drawn with the parts of the band side by side: PSF fluxes of flat stars are right to 0.1%."""
    scene, stars, slopes, _, dcr, _ = coloured
    assert (slopes[1::12] == SLOPES["flat"]).all()
    x, y = scene.wcs.all_world2pix(stars[0], stars[1], 0)
    for a, b, flux in zip(x[1::12], y[1::12], stars[2][1::12], strict=True):
        model = dcr.psf.image_at(x=a, y=b)
        image = dcr.masked_image[Box.around(x=a, y=b, half=len(model) // 2)].image
        assert (model * image).sum() / (model**2).sum() == pytest.approx(flux, rel=1e-3)
        assert dcr.psf.sigma_at(x=a, y=b) > GaussianPsf(1.6 * SCALE / 0.33).sigma_at(x=0, y=0)


def test_the_variance_is_that_of_one_plane(rng):
    """The planes of a DCR model share the variance of the whole band's coadd (SPEC B.7)."""
    scene = Scene()
    nothing = (np.empty(0), np.empty(0), np.empty(0))
    science = seen(scene, scene.stars(rng), np.zeros(36))
    planes = planes_of(scene, nothing, [], noise=5.0, rng=rng)
    one = [replace(patch, subfilter=None) for patch in planes if patch.subfilter == 1]
    dcr, single = template_for(science, planes, algorithm=Dcr(**BAND)), template_for(science, one)
    ratio = dcr.masked_image.variance.mean() / single.masked_image.variance.mean()
    # sub-pixel positions differ from plane to plane, on which the variance of an interpolation depends
    assert ratio == pytest.approx(1.0, abs=0.03)


def test_at_the_zenith_nothing_is_displaced(rng):
    scene = Scene()
    science = seen(scene, scene.stars(rng), np.zeros(36), replace(INFO, airmass=1.0))
    np.testing.assert_allclose(Dcr(**BAND).lifts_arcsec(science), 0.0, atol=1e-9)


def test_air_that_is_not_told_is_the_usual(rng):
    """The options stand in for what the exposure does not say, and only for that."""
    scene = Scene()
    science = scene.science(airmass=1.6, parallactic_angle_deg=0.0)
    told = scene.science(airmass=1.6, parallactic_angle_deg=0.0, temperature_c=10.0, pressure_hpa=740.0)
    np.testing.assert_array_equal(Dcr(**BAND).lifts_arcsec(science), Dcr(**BAND).lifts_arcsec(told))
    thin = Dcr(**BAND, pressure_hpa=370.0)
    twice, usual = 2 * np.array(thin.lifts_arcsec(science)), Dcr(**BAND).lifts_arcsec(science)
    np.testing.assert_allclose(twice, usual, rtol=0.01)
    np.testing.assert_array_equal(thin.lifts_arcsec(told), Dcr(**BAND).lifts_arcsec(told))


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"parallactic_angle_deg": 3.0}, "science has the airmass nan; a DCR template needs one of 1 or more"),
        ({"airmass": 1.2}, "science does not say its parallactic angle"),
    ],
)
def test_an_exposure_that_does_not_say_where_the_zenith_is_is_refused(info, message):
    with pytest.raises(InputError, match=message):
        template_for(Scene().science(**info), [], algorithm=Dcr(**BAND))


def test_a_band_or_parts_that_are_not_told_are_refused(rng):
    """No wavelength, a part of the band missing, or none that overlaps."""
    scene = Scene()
    stars = scene.stars(rng)
    science = seen(scene, stars, np.zeros(36))
    planes = planes_of(scene, stars, np.zeros(36))
    with pytest.raises(UsageError, match="needs effective_wavelength_nm and bandwidth_nm"):
        template_for(science, planes, algorithm=Dcr())
    with pytest.raises(InputError, match=r"no coadd of subfilter 1 overlaps science; .* found are \[0, 2\]"):
        template_for(science, [p for p in planes if p.subfilter != 1], algorithm=Dcr(**BAND))
    with pytest.raises(NoOverlapError):
        template_for(science, [], algorithm=Dcr(**BAND))


def test_a_hole_of_one_plane_is_a_hole_of_the_template(rng):
    """No data where any part of the band has none."""
    scene = Scene()
    stars = scene.stars(rng)
    science = seen(scene, stars, np.zeros(36))
    planes = planes_of(scene, stars, np.zeros(36))
    missing = [p for p in planes if not (p.subfilter == 2 and p.tract.id == 7 and p.patch_index == 0)]
    found = template_for(science, missing, algorithm=Dcr(**BAND)).masked_image
    empty = np.isnan(found.image)
    assert empty.sum() > 1000
    assert ((found.mask[empty] & 256) != 0).all()
    assert ((found.mask[~empty] & 256) == 0).all()


def test_a_patch_names_its_part_of_the_band():
    tract = Scene().tracts[0]
    patch = CoaddPatch(tract=tract, patch_index=2, pixels=lambda box: None, subfilter=1)
    assert patch.name == "patch 2 of tract 7, subfilter 1"
