"""Forced photometry: unbiased fluxes with honest errors wherever they are asked for, and a flag where they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS
from scipy import ndimage

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images import Box, ChebyshevField, Exposure, GaussianPsf, MaskedImage, MaskPlane, PhotoCalib
from diapipe.steps.force import Force, LocalBackground, force_at, force_on_pixels
from gaussian_sky import STAMP, drawn, exposure, masked, moved_to, with_planes

SIGMA = 1.8
FWHM = 2.3548 * SIGMA
NOISE = 5.0
SIDE, STEP = 620, 24
ALONE = Force(together_fwhm=0.0)


def grid(rng):
    """Places off the pixel centres whose stamps do not touch."""
    nodes = np.arange(16.0, SIDE - 16, STEP)
    return (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(nodes, nodes))


def tan_wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix, wcs.wcs.crval, wcs.wcs.cdelt = [300.0, 300.0], [0.01, -35.0], [-2e-4, 2e-4]
    return wcs


def assert_honest(pulls):
    """Mean 0 and width 1 within four sigma of their own errors, 1/sqrt(n) and 1/sqrt(2n)."""
    n = len(pulls)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(n)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * n)


@pytest.mark.parametrize("flux", [0.0, 300.0, -1000.0, 3e5])
def test_pulls_of_fluxes_of_any_size(flux, rng):
    """Pulls of 625 sources, the Poisson noise of their own light in the image and in its variance, are N(0, 1)."""
    x, y = grid(rng)
    light = drawn((SIDE, SIDE), x, y, np.full(x.size, flux), sigma=SIGMA)
    variance = NOISE**2 + np.abs(light) / 2.0
    pixels = light + rng.normal(size=light.shape) * np.sqrt(variance)
    image = Exposure(
        name="a", masked_image=MaskedImage.from_planes(pixels, variance=variance), psf=GaussianPsf(SIGMA, STAMP)
    )
    found = force_on_pixels(image, x=x, y=y)
    assert_honest((found["psfFlux"] - flux) / found["psfFluxErr"])
    assert not (found["psfFlux_flag"] | found["dp_badPixel"]).any()


def test_errors_hold_the_covariance_of_the_noise(rng):
    """In noise smeared by a Gaussian, pulls at 625 empty places are N(0, 1), and not if the correlation is unknown."""
    x, y = grid(rng)
    smeared = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 0.8, mode="wrap")
    kernel = np.zeros((31, 31))
    kernel[15, 15] = 1.0
    kernel = ndimage.gaussian_filter(kernel, 0.8)
    rho = ndimage.convolve(kernel, kernel[::-1, ::-1], mode="constant")[10:21, 10:21]
    image = exposure("a", np.zeros((SIDE, SIDE)), 1.0, SIGMA, rng)
    image = with_planes(
        image, image=smeared.astype(np.float32), variance=np.full_like(image.masked_image.variance, (kernel**2).sum())
    )
    known = force_on_pixels(replace(image, noise_correlation=rho / rho.max()), x=x, y=y)
    assert_honest(known["psfFlux"] / known["psfFluxErr"])
    white = force_on_pixels(image, x=x, y=y)
    assert np.std(white["psfFlux"] / white["psfFluxErr"]) > 1.3


@pytest.mark.parametrize("separation_fwhm", [0.5, 1.0, 2.0, 3.0])
def test_neighbours_leave_each_other_alone(separation_fwhm, rng):
    """Pulls of 625 sources, each with one ten times as bright beside it, are N(0, 1); fitted alone they are biased."""
    x, y = grid(rng)
    angle = rng.uniform(0.0, 2.0 * np.pi, x.size)
    distance = separation_fwhm * FWHM
    every_x = np.concatenate([x, x + distance * np.cos(angle)])
    every_y = np.concatenate([y, y + distance * np.sin(angle)])
    flux = np.repeat([400.0, 4000.0], x.size)
    image = exposure("a", drawn((SIDE, SIDE), every_x, every_y, flux, sigma=SIGMA), NOISE, SIGMA, rng)
    found = force_on_pixels(image, x=every_x, y=every_y)
    assert (found["dp_nFittedWith"] >= 1).all()
    pulls = (found["psfFlux"] - flux) / found["psfFluxErr"]
    assert_honest(pulls[: x.size])
    assert_honest(pulls[x.size :])
    if separation_fwhm < 2.5:
        alone = force_on_pixels(image, x=every_x, y=every_y, options=ALONE)
        assert np.mean((alone["psfFlux"] - flux)[: x.size] / alone["psfFluxErr"][: x.size]) > 0.3


def test_the_cost_of_a_neighbour_is_told(rng):
    """For Gaussians a distance d apart the share of the information lost is exp(-d² / 2σ²), with constant noise."""
    x, y = np.array([100.2, 100.2 + FWHM]), np.array([100.4, 100.4])
    image = exposure("a", np.zeros((200, 200)), NOISE, SIGMA, rng)
    both = force_on_pixels(image, x=x, y=y, options=Force(stamp_fwhm=4.0))
    lost = np.exp(-(FWHM**2) / (2.0 * SIGMA**2))
    assert both["dp_shareLost"] == pytest.approx([lost, lost], rel=1e-2)
    alone = force_on_pixels(image, x=x, y=y, options=Force(stamp_fwhm=4.0, together_fwhm=0.0))
    ratio = both["psfFluxErr"] / alone["psfFluxErr"]
    assert ratio == pytest.approx([1.0 / np.sqrt(1.0 - lost)] * 2, rel=1e-3)


def test_two_objects_in_one_place_have_the_same_flux(rng):
    """A place given twice is one place: nothing is divided between the two, and nothing is lost."""
    x, y = np.array([100.2, 100.2, 100.3]), np.array([50.0, 50.0, 50.1])
    image = exposure("a", drawn((200, 200), x[:1], y[:1], np.array([5000.0]), sigma=SIGMA), NOISE, SIGMA, rng)
    found = force_on_pixels(image, x=x, y=y)
    assert found["dp_nFittedWith"].tolist() == [0, 0, 0]
    assert found["psfFlux"][0] == found["psfFlux"][1]
    assert (np.abs(found["psfFlux"] - 5000.0) < 5 * found["psfFluxErr"]).all()


def test_nothing_is_dropped_and_everything_is_flagged(rng):
    """Off the image, at its edge, on bad pixels, in a hole and nowhere: a row each, with the flags that say so."""
    image = masked(
        exposure("a", np.zeros((200, 300)), NOISE, SIGMA, rng), slice(90, 111), slice(90, 111), MaskPlane.BAD
    )
    image = masked(image, slice(50, 51), slice(200, 201), MaskPlane.CR)
    x = np.array([250.0, -400.0, -2.0, 1.0, 100.0, 200.0, np.nan, 1e300])
    y = np.array([150.0, 50.0, 50.0, 50.0, 100.0, 50.0, 10.0, 10.0])
    found = force_on_pixels(image, x=x, y=y, options=Force(aperture_radii_px=(3.0,), background=LocalBackground()))

    def flagged(name):
        return np.flatnonzero(found[name]).tolist()

    assert flagged("pixelFlags_offimage") == [1, 2, 6, 7]
    assert flagged("psfFlux_flag_edge") == [1, 2, 3, 6, 7]
    assert flagged("psfFlux_flag_noGoodPixels") == [1, 4, 6, 7]
    assert flagged("psfFlux_flag") == [1, 2, 4, 6, 7]
    assert flagged("dp_badPixel") == [1, 2, 4, 5, 6, 7]
    assert flagged("pixelFlags_badCenter") == [4]
    assert flagged("pixelFlags_crCenter") == [5]
    assert flagged("ap03Flux_flag") == [1, 2, 3, 4, 5, 6, 7]
    assert np.isnan(found["psfFlux"][found["psfFlux_flag_noGoodPixels"]]).all()
    assert np.isfinite(found["psfFluxErr"][[0, 3, 5]]).all()


def test_fluxes_are_calibrated_and_corrected(rng):
    """A flux is counts times the aperture correction times nJy per count at the place; apertures are not corrected."""
    image = exposure(
        "a", drawn((200, 200), np.array([80.0]), np.array([90.0]), np.array([1e4]), sigma=SIGMA), 1.0, SIGMA, rng
    )
    x, y = np.array([80.0]), np.array([90.0])
    box = image.box
    slope = ChebyshevField(np.array([1.0, 0.1, 0.0]), box)
    worth = replace(
        image,
        photo_calib=PhotoCalib(3.0, 0.0, slope),
        aperture_corrections={"psfFlux": ChebyshevField.constant(1.04, box)},
    )
    counts, njy = (force_on_pixels(e, x=x, y=y, options=Force(aperture_radii_px=(6.0,))) for e in (image, worth))
    scale = 3.0 * slope.at(x=x, y=y)
    for name in ("psfFlux", "psfFluxErr"):
        assert njy[name] == pytest.approx(counts[name] * 1.04 * scale)
    for name in ("ap06Flux", "ap06FluxErr"):
        assert njy[name] == pytest.approx(counts[name] * scale)
    assert njy["psfFlux_apCorr"][0] == pytest.approx(1.04)
    assert counts["psfFlux_flag_apCorr"].all()
    assert not njy["psfFlux_flag_apCorr"].any()
    plain = force_on_pixels(worth, x=x, y=y, options=Force(correct_apertures=False))
    assert plain["psfFlux"] == pytest.approx(counts["psfFlux"] * scale)


def test_errors_hold_those_of_the_models(rng):
    """Relative errors of calibration and aperture correction add to that of the noise in squares, the second to PSF
    fluxes only.
    """
    x, y = np.array([80.0]), np.array([90.0])
    image = exposure("a", drawn((200, 200), x, y, np.array([1e5]), sigma=SIGMA), 1.0, SIGMA, rng)
    maps = {
        name: ChebyshevField.constant(value, image.box) for name, value in (("psfFlux", 1.0), ("psfFluxErr", 0.003))
    }
    uncertain = replace(image, photo_calib=PhotoCalib(2.0, 0.008), aperture_corrections=maps)
    noise, found = (force_on_pixels(e, x=x, y=y, options=Force(aperture_radii_px=(6.0,))) for e in (image, uncertain))
    for name, relative in (("psfFlux", np.hypot(0.004, 0.003)), ("ap06Flux", 0.004)):
        wanted = 2.0 * np.hypot(noise[f"{name}Err"], relative * noise[name])
        assert found[f"{name}Err"] == pytest.approx(wanted), name


def test_a_level_is_told_and_taken_off(rng):
    """On a level of 4 counts pulls of 625 fluxes are N(0, 1) once it is subtracted, those of the level too."""
    x, y = grid(rng)
    image = exposure("a", np.full((SIDE, SIDE), 4.0), NOISE, SIGMA, rng)
    told, less = (
        force_on_pixels(
            image,
            x=x,
            y=y,
            options=Force(
                together_fwhm=0.0, aperture_radii_px=(3.0,), background=LocalBackground(is_subtracted=subtracted)
            ),
        )
        for subtracted in (False, True)
    )
    assert np.mean(told["psfFlux"] / told["psfFluxErr"]) > 2.0
    for name in ("psfFlux", "ap03Flux"):
        assert_honest(less[name] / less[f"{name}Err"])
    level = (told["localBackground"] - 4.0) / told["localBackgroundErr"]
    assert abs(level.mean()) < 4 / 25  # annuli overlap: their means are not independent
    assert not told["localBackground_flag"].any()


def test_sky_positions_are_pixel_positions(rng):
    """By RA and Dec across RA 0 the fluxes are those at the pixels; a position behind the sky is flagged, not lost."""
    x, y = grid(rng)
    image = replace(exposure("a", np.zeros((SIDE, SIDE)), NOISE, SIGMA, rng), wcs=tan_wcs())
    ra, dec = image.wcs.pixel_to_world_values(x, y)
    assert ra.min() < 1.0
    assert ra.max() > 359.0
    on_sky = force_at(image, ra=np.append(ra, 180.0), dec=np.append(dec, 35.0))
    on_pixels = force_on_pixels(image, x=x, y=y)
    assert on_sky["psfFlux"][:-1] == pytest.approx(on_pixels["psfFlux"], abs=1e-3)
    assert on_sky["x"][:-1] == pytest.approx(x, abs=1e-5)
    assert on_sky["pixelFlags_offimage"].tolist() == [False] * x.size + [True]


def test_a_part_of_an_image_gives_the_same(rng):
    """In parent coordinates, cut out and moved, fluxes are the same where the stamps are whole."""
    x, y = grid(rng)
    image = exposure("a", np.zeros((SIDE, SIDE)), NOISE, SIGMA, rng)
    whole = force_on_pixels(image, x=x, y=y)
    moved = force_on_pixels(moved_to(image, x0=1000, y0=-70), x=x + 1000, y=y - 70)
    cut = force_on_pixels(image[Box(100, 300, 50, 400)], x=x, y=y)
    inside = (x > 70) & (x < 380) & (y > 120) & (y < 280)
    assert moved["psfFlux"] == pytest.approx(whole["psfFlux"], abs=1e-6)
    assert cut["psfFlux"][inside] == pytest.approx(whole["psfFlux"][inside], abs=1e-6)
    assert cut["pixelFlags_offimage"].sum() == ((x < 49.5) | (x >= 399.5) | (y < 99.5) | (y >= 299.5)).sum()


def test_threads_and_order_change_no_bit(rng):
    """Fluxes do not depend on the number of threads or on the order of the places."""
    x, y = grid(rng)
    image = exposure("a", np.zeros((SIDE, SIDE)), NOISE, SIGMA, rng)
    one, four = (force_on_pixels(image, x=x, y=y, n_threads=n) for n in (1, 4))
    backwards = force_on_pixels(image, x=x[::-1], y=y[::-1])
    for name in one:
        np.testing.assert_array_equal(one[name], four[name])
        np.testing.assert_array_equal(one[name], backwards[name][::-1])


def test_no_places_no_rows(rng):
    """An empty list gives empty columns, all of them."""
    image = exposure("a", np.zeros((64, 64)), NOISE, SIGMA, rng)
    options = Force(aperture_radii_px=(3.0, 4.5), background=LocalBackground(is_subtracted=True))
    found = force_on_pixels(image, x=[], y=[], options=options)
    assert {"psfFlux", "ap03Flux", "ap4p5FluxErr", "localBackground"} <= set(found)
    assert all(len(values) == 0 for values in found.values())


def test_what_is_missing_is_said(rng):
    """Without a PSF or a WCS there is no flux, but a sentence."""
    image = exposure("night 1", np.zeros((64, 64)), NOISE, SIGMA, rng)
    with pytest.raises(PsfUndefinedError, match="night 1 has no PSF"):
        force_on_pixels(replace(image, psf=None), x=[1.0], y=[1.0])
    with pytest.raises(InputError, match="night 1 has no WCS"):
        force_at(image, ra=[1.0], dec=[1.0])
