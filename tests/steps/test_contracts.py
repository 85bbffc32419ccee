"""What every member of a family must keep: inputs unchanged, finite results, empty and all-masked input, pickling."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diapipe.errors import NoWorkError
from diapipe.images import Box, ChebyshevField, GaussianPsf, MaskedImage, MaskPlane, SpatialKernel
from diapipe.images.pixel_map import PixelMap
from diapipe.steps.associate import ASSOCIATORS
from diapipe.steps.calibrate import SCALES
from diapipe.steps.classify import CLASSIFIERS
from diapipe.steps.coadd import COADDERS
from diapipe.steps.coadd.selection import SELECTIONS
from diapipe.steps.decorrelate import DECORRELATORS, decorrelate
from diapipe.steps.detect import DETECTORS, detect
from diapipe.steps.match import MATCHERS, StarMatcher, match
from diapipe.steps.select import SELECTORS
from diapipe.steps.subtract import PRECONVOLUTIONS, SUBTRACTORS, preconvolve, subtract
from diapipe.steps.template import REGISTERS, TEMPLATES, WARPS
from gaussian_sky import Sky, masked

SKY = Sky(shape=(150, 160), n_stars=16)
FAMILIES = {
    "match": MATCHERS,
    "decorrelate": DECORRELATORS,
    "preconvolve": PRECONVOLUTIONS,
    "subtract": SUBTRACTORS,
    "detect": DETECTORS,
    "warp": WARPS,
}
MEMBERS = [(family, name) for family, members in FAMILIES.items() for name in members]
CHOICES = {
    "select": SELECTORS,
    "register": REGISTERS,
    "template": TEMPLATES,
    "coadd": COADDERS,
    "select visits": SELECTIONS,
    "calibrate": SCALES,
    "associate": ASSOCIATORS,
    "classify": CLASSIFIERS,
}
ALL = FAMILIES | CHOICES
OTHERS = [(family, name) for family, members in CHOICES.items() for name in members]
PLANES = ("image", "mask", "variance")


@pytest.fixture
def scene(rng):
    """Stars, science, template."""
    stars = SKY.stars(rng)
    return stars, *SKY.exposures(rng, stars)


def result(family, name, stars, science, template):
    """Run one algorithm; the arrays that it gave."""
    algorithm = FAMILIES[family][name]()
    if family == "match":
        found = match(science, template, stars, algorithm=algorithm)
        return [found.kernel.field.images, found.background.coefficients]
    if family == "decorrelate":
        kernel = SpatialKernel.constant(GaussianPsf(1.3, 15).kernel_image(x=0, y=0), science.box)
        return [decorrelate(template, science, kernel, algorithm=algorithm).field.images]
    if family == "preconvolve":
        smooth = preconvolve(science, algorithm.filter(science))
        return [getattr(smooth.masked_image, plane) for plane in PLANES]
    if family == "subtract":
        kernel = SpatialKernel.constant(GaussianPsf(1.3, 15).kernel_image(x=0, y=0), science.box)
        background, at = ChebyshevField.constant(0.0, science.box), (stars.x, stars.y)
        found = subtract(
            science, template, kernel, background, convolved="template", stars=at, algorithm=algorithm
        ).exposure.masked_image
        return [getattr(found, plane) for plane in PLANES]
    if family == "detect":
        found = detect(science, algorithm=algorithm)
        return [found.score.image, found.footprints.peaks.significance]
    planes = algorithm.resampled(template.masked_image, shifted_map(science.box), science.box)
    return [getattr(planes, plane) for plane in PLANES]


def shifted_map(box):
    """A third of a pixel along x, a quarter along y, and a slow rotation."""
    return PixelMap.sampled(lambda x, y: (x + 0.3 + 1e-3 * y, y - 0.25 - 1e-3 * x), box)


def copies(*exposures):
    return [getattr(e.masked_image, plane).copy() for e in exposures for plane in PLANES]


@pytest.mark.parametrize(("family", "name"), MEMBERS)
def test_inputs_are_unchanged_and_the_result_is_the_same_twice(family, name, scene):
    """Bit for bit."""
    stars, science, template = scene
    before = copies(science, template)
    once, twice = (result(family, name, stars, science, template) for _ in range(2))
    for one, other in zip(before, copies(science, template), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(once, twice, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("family", "name"), MEMBERS)
def test_results_are_finite_where_the_pixels_are(family, name, scene):
    """Holes, infinities and hot pixels under the mask reach no number; beside the border a warp has nothing to say."""
    stars, science, template = scene
    for value, rows in ((np.nan, slice(40, 44)), (np.inf, slice(70, 71)), (1e30, slice(100, 102))):
        science = masked(science, rows, slice(20, 60), MaskPlane.BAD, value)
        template = masked(template, rows, slice(70, 110), MaskPlane.BAD, value)
    for array in result(family, name, stars, science, template):
        inner = array[8:-8, 8:-8] if array.shape == SKY.shape else array
        share = np.isfinite(inner).mean()
        assert share == 1.0 if array.shape != SKY.shape else share > 0.95
        assert np.nanmax(np.abs(inner[np.isfinite(inner)])) < 1e12


@pytest.mark.parametrize(("family", "name"), MEMBERS)
def test_all_masked_is_an_error_of_the_data_or_an_empty_result(family, name, scene):
    """No pixel is usable: NoWorkError in one sentence, or a result that says nothing; never a crash, never a source."""
    stars, science, template = scene
    science, template = (masked(e, slice(None), slice(None), MaskPlane.NO_DATA) for e in (science, template))
    with contextlib.suppress(NoWorkError):
        arrays = result(family, name, stars, science, template)
        if family == "detect":
            assert np.isnan(arrays[0]).all()
            assert len(arrays[1]) == 0
        if family == "warp":
            assert np.isnan(arrays[0]).all()
            assert ((arrays[1] & int(MaskPlane.NO_DATA)) != 0).all()


@pytest.mark.parametrize("name", [name for name in MATCHERS if issubclass(MATCHERS[name], StarMatcher)])
def test_no_stars_is_an_error_of_the_data(name, scene):
    stars, science, template = scene
    with pytest.raises(NoWorkError, match=r"^science has 0 sources"):
        match(science, template, stars.select(np.zeros(len(stars), bool)), algorithm=MATCHERS[name]())


@pytest.mark.parametrize("name", list(DETECTORS))
def test_an_empty_sky_has_no_sources(name, scene):
    """Zero everywhere: no footprints."""
    _, science, _ = scene
    empty = dataclasses.replace(science, masked_image=MaskedImage.from_planes(np.zeros(SKY.shape)))
    assert len(detect(empty, algorithm=DETECTORS[name]()).footprints.peaks) == 0


@pytest.mark.parametrize("name", list(WARPS))
def test_a_template_elsewhere_warps_to_nothing(name, scene):
    """No overlap: NaN and NO_DATA."""
    _, science, template = scene
    away = PixelMap.sampled(lambda x, y: (x + 5000.0, y), science.box)
    planes = WARPS[name]().resampled(template.masked_image, away, science.box)
    assert np.isnan(planes.image).all()
    assert ((planes.mask & int(MaskPlane.NO_DATA)) != 0).all()


@pytest.mark.parametrize("name", list(WARPS))
@given(x=st.integers(-20, 20), y=st.integers(-20, 20))
def test_a_warp_by_whole_pixels_moves_them(name, x, y):
    """Nothing is interpolated away: the pixels come out elsewhere, to 1e-4 of them (1% of the noise for Wiener)."""
    rng = np.random.default_rng(5)
    planes = MaskedImage.from_planes(rng.normal(100, 1, (60, 64)).astype(np.float32))
    box = Box(22, 38, 22, 40)
    found = WARPS[name]().resampled(planes, PixelMap.sampled(lambda u, v: (u + x, v + y), box), box)
    expected = planes.image[box.y0 + y : box.y1 + y, box.x0 + x : box.x1 + x]
    inside = found.mask == 0
    np.testing.assert_allclose(found.image[inside], expected[inside], atol=0.01)


@pytest.mark.parametrize(("family", "name"), MEMBERS + OTHERS)
def test_algorithms_are_values(family, name):
    """Frozen, equal when made alike, and equal again after pickling, as a batch on several processes needs them."""
    algorithm = ALL[family].make(name)
    assert pickle.loads(pickle.dumps(algorithm)) == algorithm == ALL[family][name]()
    for field in dataclasses.fields(algorithm)[:1]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(algorithm, field.name, None)


@pytest.mark.parametrize(("family", "name"), MEMBERS + OTHERS)
def test_every_parameter_is_documented(family, name):
    """An algorithm and what it inherits say what each of their fields is."""
    algorithm = ALL[family][name]
    said = " ".join(cls.__doc__ or "" for cls in algorithm.__mro__)
    missing = [f.name for f in dataclasses.fields(algorithm) if f.name not in said]
    assert not missing
