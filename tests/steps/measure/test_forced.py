"""Fluxes at given places on the science image and on the template as subtracted: unbiased, with honest errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.images import Box, ChebyshevField, Exposure, GaussianPsf, MaskPlane, SpatialKernel
from diapipe.images.planes import Planes
from diapipe.steps.measure import forced
from diapipe.steps.measure.sources import Sources, lattice_of
from diapipe.steps.subtract import subtract
from gaussian_sky import drawn, exposure, masked

SIDE, STEP = 620, 24
WIDE, SHARP = 2.0, 1.4
SCALE = 1.7
"""Science counts for one of the template."""


def made(convolved: str, rng: np.random.Generator):
    """Difference and images of stars on a grid whose fluxes are known; the image with the sharper PSF is convolved."""
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in np.meshgrid(*[np.arange(16.0, SIDE - 16, STEP)] * 2))
    before, after = np.full(x.size, 2000.0), rng.uniform(500.0, 4000.0, x.size)
    of_science, of_template = (WIDE, SHARP) if convolved == "template" else (SHARP, WIDE)
    science = exposure("science", drawn((SIDE, SIDE), x, y, after, sigma=of_science), 10.0, of_science, rng)
    light = drawn((SIDE, SIDE), x, y, before / SCALE, sigma=of_template)
    template = exposure("template", light, 8.0, of_template, rng)
    image = GaussianPsf(np.sqrt(WIDE**2 - SHARP**2), 21).kernel_image(x=0, y=0)
    kernel = SpatialKernel.constant(image * (SCALE if convolved == "template" else 1.0 / SCALE), science.box)
    difference = subtract(science, template, kernel, ChebyshevField.constant(0.0, science.box), convolved=convolved)
    return difference, science, Sources(x, y, np.ones(x.size), np.zeros(x.size, np.int64)), before, after


def columns_of(difference, science, sources, template=None):
    planes = Planes.of(difference.exposure.masked_image)
    lattice = lattice_of(science.psf, planes, sources)
    static = forced.matched_template(difference, science, template)
    own = lattice_of(static.psf, planes, sources)
    return forced.science_columns(science, lattice, sources, planes, half=9, n_threads=1) | forced.template_columns(
        static, own, sources, half=9, n_threads=1
    )


@pytest.mark.parametrize("convolved", ["template", "science"])
def test_forced_fluxes_are_unbiased_and_their_errors_honest(convolved, rng):
    """Pulls of 625 stars on either image: mean 0 within 4/sqrt(625) = 0.16, width 1 within 4/sqrt(1250) = 0.113.

    The noise of a convolved template is correlated and smaller than its variance plane from before the match says.
    """
    difference, science, sources, before, after = made(convolved, rng)
    columns = columns_of(difference, science, sources)
    for name, truth in (("scienceFlux", after), ("templateFlux", before)):
        pulls = (columns[name] - truth) / columns[f"{name}Err"]
        assert abs(np.mean(pulls)) < 0.16, name
        assert abs(np.std(pulls) - 1.0) < 0.113, name


def test_a_template_given_with_its_psf_is_taken_as_it_is(rng):
    """An Exposure with a PSF brings its own noise too."""
    difference, science, *_ = made("template", rng)
    given = Exposure(name="mine", masked_image=difference.matched_template, psf=GaussianPsf(WIDE, 41))
    assert forced.matched_template(difference, science, given) is given


def test_flags_tell_edges_and_lost_pixels(rng):
    """A hole under a source flags its flux on that image only; one at the border reaches over the edge."""
    difference, science, sources, *_ = made("template", rng)
    x, y = int(sources.x[30] + 0.5), int(sources.y[30] + 0.5)
    spoilt = masked(science, slice(y - 8, y + 9), slice(x - 8, x + 9), MaskPlane.BAD)
    moved = replace(sources, x=np.append(sources.x, 2.0), y=np.append(sources.y, 300.0), sign=np.ones(len(sources) + 1))
    columns = columns_of(difference, spoilt, moved)
    assert columns["forced_PsfFlux_flag"].nonzero()[0].tolist() == [30]
    assert not columns["forced_template_PsfFlux_flag"].any()
    assert columns["forced_PsfFlux_flag_edge"].nonzero()[0].tolist() == [len(sources)]
    assert columns["forced_template_PsfFlux_flag_edge"].nonzero()[0].tolist() == [len(sources)]


def test_without_a_template_there_is_none(rng):
    """Neither kept nor given: nothing to measure on."""
    difference, science, *_ = made("template", rng)
    assert forced.matched_template(replace(difference, matched_template=None), science, None) is None
    assert difference.box == Box.from_shape((SIDE, SIDE))
