"""What a difference leaves of its stars, and errors that contain it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import ChebyshevField, Difference, ImageField, SpatialKernel
from diapipe.numerics.polynomials import leverage, n_terms
from diapipe.numerics.static_flux_error import error_with_static_light
from diapipe.steps.force import force_on_pixels, with_static_error
from gaussian_sky import drawn, exposure, star_list, with_planes

SIDE, STEP, SIGMA, NOISE = 620, 24, 1.8, 5.0


def left(rng, relative):
    """A difference on which stars of known flux leave a random part of it."""
    nodes = np.arange(16.0, SIDE - 16, STEP)
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(nodes, nodes))
    flux = 10.0 ** rng.uniform(3.0, 5.0, x.size)
    light = drawn((SIDE, SIDE), x, y, flux * rng.normal(0.0, relative, x.size), sigma=SIGMA)
    return exposure("difference", light, NOISE, SIGMA, rng), x, y, flux


def told(difference, x, y, flux, relative_error=0.0):
    """Its static error, by stars of these fluxes."""
    return measured(difference, x, y, flux, relative_error=relative_error).static_error


def measured(difference, x, y, flux, *, relative_error=0.0, order=0):
    """A difference with its static error, by stars of these fluxes, and a kernel of an order."""
    kernel = np.zeros((n_terms(order), 7, 7))
    kernel[0, 3, 3] = 1.0
    made = Difference(
        exposure=difference,
        kernel=SpatialKernel(ImageField(kernel, difference.box)),
        background=ChebyshevField.constant(0.0, difference.box),
        convolved="template",
        relative_error=relative_error,
    )
    return with_static_error(made, star_list(x, y, flux, noise=NOISE, sigma=SIGMA))


def test_what_is_left_is_told_and_makes_errors_honest(rng):
    """Stars of which 1% is left tell it within four of its errors, 1% / sqrt(2 n) of the n with S/N above 100; with it
    pulls of all 625 have width 1 within 4/sqrt(1250), without it those of bright stars have not.
    """
    difference, x, y, flux = left(rng, 0.01)
    order = np.argsort(-flux)
    x, y, flux = x[order], y[order], flux[order]
    relative = told(difference, x, y, flux)
    found = force_on_pixels(difference, x=x, y=y)
    n_telling = (flux > 100.0 * found["psfFluxErr"]).sum()
    assert abs(relative / 0.01 - 1.0) < 4.0 / np.sqrt(2 * n_telling)
    error = error_with_static_light(found["psfFluxErr"], static_flux=flux, relative_error=relative)
    assert abs(np.std(found["psfFlux"] / error) - 1.0) < 4.0 / np.sqrt(2 * x.size)
    assert np.std((found["psfFlux"] / found["psfFluxErr"])[flux > 3e4]) > 2.0


def test_what_a_varying_kernel_leaves_grows_towards_the_borders(rng):
    """Stars are left with 1% times the root of the leverage of order 2, as by a kernel fitted to few. The 1% is told
    within four of its errors, 1% / √(2 n) of the 500 brightest. Near the borders and within, pulls have width 1 to four
    errors of it; with one error for all they have the root of the mean leverage there, 1.3 and 0.8.
    """
    _, x, y, faint = left(rng, 0.0)
    flux = 10.0 * faint  # S/N of 300 and more
    u, v = (2.0 * (t + 0.5) / SIDE - 1.0 for t in (x, y))
    grown = leverage(u, v, 2)
    part = 0.01 * np.sqrt(grown) * rng.normal(size=x.size)
    pixels = exposure("difference", drawn((SIDE, SIDE), x, y, flux * part, sigma=SIGMA), NOISE, SIGMA, rng)
    order = np.argsort(-flux)
    difference = measured(pixels, x[order], y[order], flux[order], order=2)
    assert difference.static_error == pytest.approx(0.01, rel=4.0 / np.sqrt(1000.0))
    found = force_on_pixels(pixels, x=x, y=y)
    here, for_all = (
        found["psfFlux"] / error_with_static_light(found["psfFluxErr"], static_flux=flux, relative_error=relative)
        for relative in (difference.static_error_at(x=x, y=y), difference.static_error)
    )
    outer = np.maximum(np.abs(u), np.abs(v)) > 0.85
    for some in (outer, ~outer):
        tolerance = 4.0 / np.sqrt(2 * some.sum())
        assert np.std(here[some]) == pytest.approx(1.0, rel=tolerance)
        assert np.std(for_all[some]) == pytest.approx(np.sqrt(grown[some].mean()), rel=tolerance)


def test_what_the_variance_has_too_much_is_the_same_everywhere(rng):
    """Below 0 the error of static light is no matter of the kernel's order; nor is that of a constant kernel."""
    difference, x, y, flux = left(rng, 0.01)
    constant = measured(difference, x, y, flux)
    assert constant.static_error > 0.0
    for made in (constant, replace(measured(difference, x, y, flux, order=2), static_error=-0.01)):
        np.testing.assert_array_equal(made.static_error_at(x=x, y=y), np.full(x.size, made.static_error))


def test_what_is_new_is_no_star(rng):
    """Of 45% of the stars all is left, as of sources put into the science image: the others tell 1% as they would
    alone, to 4/√(2 n) of the 150 or more with S/N above 100. A scatter over all of them would be .7.
    """
    _, x, y, flux = left(rng, 0.0)
    part = np.where(rng.uniform(size=x.size) < 0.45, 1.0, rng.normal(0.0, 0.01, x.size))
    difference = exposure("difference", drawn((SIDE, SIDE), x, y, flux * part, sigma=SIGMA), NOISE, SIGMA, rng)
    order = np.argsort(-flux)
    assert told(difference, x[order], y[order], flux[order]) == pytest.approx(0.01, rel=4.0 / np.sqrt(300.0))


def test_the_brightest_alone_do_not_tell_it(rng):
    """The brightest quarter are left with ±5%, as stars that some visits of a template saturate: the others tell their
    0.3% to 4 x 1.5 / √(2 n) of the 200 or more with S/N above 100, whom 5% would give errors many times too large.
    """
    _, x, y, flux = left(rng, 0.0)
    order = np.argsort(-flux)
    x, y, flux = x[order], y[order], flux[order]
    part = rng.normal(0.0, 0.003, x.size)
    part[: x.size // 4] = 0.05 * rng.choice([-1.0, 1.0], x.size // 4)
    difference = exposure("difference", drawn((SIDE, SIDE), x, y, flux * part, sigma=SIGMA), NOISE, SIGMA, rng)
    assert told(difference, x, y, flux) == pytest.approx(0.003, rel=4.0 * 1.5 / np.sqrt(400.0))


def test_a_perfect_difference_leaves_nothing(rng):
    """Where only noise is left, the relative error is below that of a single star of S/N 1000."""
    assert told(*left(rng, 0.0)) < 1e-3


def test_an_error_of_the_match_that_fluxes_do_not_feel_is_taken_back(rng):
    """With 0.5% of the light in the variance, pixel by pixel, of which nothing is there, errors of stars of S/N above
    600 are half as large again as their scatter; with what the stars say their pulls have width 1 within four errors
    of it, and a tenth by which the match's error of a flux is known.
    """
    difference, x, y, flux = left(rng, 0.0)
    light = drawn((SIDE, SIDE), x, y, flux, sigma=SIGMA)
    variance = (difference.masked_image.variance + (0.005 * light) ** 2).astype(np.float32)
    claimed = with_planes(difference, variance=variance)
    order = np.argsort(-flux)
    x, y, flux = x[order], y[order], flux[order]
    relative = told(claimed, x, y, flux, relative_error=0.005)
    assert relative < 0.0
    found, bright = force_on_pixels(claimed, x=x, y=y), flux > 2e4
    error = error_with_static_light(found["psfFluxErr"], static_flux=flux, relative_error=relative)
    assert np.std((found["psfFlux"] / found["psfFluxErr"])[bright]) < 0.67
    assert abs(np.std((found["psfFlux"] / error)[bright]) - 1.0) < 0.1 + 4.0 / np.sqrt(2 * bright.sum())


def test_without_a_psf_or_stars_nothing_is_told(rng):
    """No PSF, or no star: the error stays 0."""
    difference, x, y, flux = left(rng, 0.01)
    assert told(replace(difference, psf=None), x, y, flux) == 0.0
    assert told(difference, x[:0], y[:0], flux[:0]) == 0.0
