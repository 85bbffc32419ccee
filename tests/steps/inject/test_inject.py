"""Sources put into an image: their light, their noise, their places; the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from scipy import stats

from diapipe.catalogs.injections import INJECTION
from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError, UsageError
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, MaskPlane, ObservationInfo, PhotoCalib
from diapipe.images.source_profile import source_profile
from diapipe.steps.inject import Injection, choose, inject, inject_pair, photons_per_count, plus_light

GAIN = 2.0
VARIANCE = 100.0
SIGMA = 1.8


def _exposure(*, size=200, gain=GAIN, box=None, seed=0):
    """Even noise and a Gaussian PSF; ``x0``, ``y0`` are not 0, so that parent pixels and array indices differ."""
    box = box or Box(40, 40 + size, 30, 30 + size)
    pixels = np.random.default_rng(seed).normal(0.0, np.sqrt(VARIANCE), box.shape)
    planes = MaskedImage.from_planes(pixels, variance=VARIANCE, box=box)
    psf = GaussianPsf(SIGMA)
    return Exposure(name="made", masked_image=planes, psf=psf, info=ObservationInfo(gain=gain))


def _stars(x, y, *, flux=2e4, is_star=True):
    n = len(x)
    true = np.ones(n, dtype=bool)
    values = np.full(n, float(flux))
    return StarList(
        x=np.asarray(x, float),
        y=np.asarray(y, float),
        flux=values,
        flux_err=values / 100.0,
        peak=values / 20.0,
        is_star=true & is_star,
        is_saturated=~true,
        is_isolated=true,
    )


NO_STARS = _stars([], [])


def test_light_added_is_flux_times_psf():
    """Without photons, pixels after less pixels before are F P, to the roundings of float32."""
    exposure = _exposure(gain=None)
    sources = Table({"x": [100.3], "y": [120.8], "flux": [5000.0]})
    added = inject(exposure, sources, rng=np.random.default_rng(1))
    light = np.zeros(exposure.box.shape)
    seen = source_profile(exposure.psf, x=100.3, y=120.8)
    light[seen.box.slices_in(exposure.box)] = 5000.0 * seen.values
    difference = added.masked_image.image.astype(np.float64) - exposure.masked_image.image
    assert np.abs(difference - light).max() < 1e-6 * 400.0
    assert np.array_equal(added.masked_image.variance, exposure.masked_image.variance)


def test_photons_scatter_as_the_variance_says():
    """Over 400 draws the added pixels have the light's mean and the variance that is added: light over electrons."""
    exposure = _exposure(size=40)
    sources = Table({"x": [50.0], "y": [60.0], "flux": [3000.0]})
    rng = np.random.default_rng(2)
    draws, n = [], 400
    for _ in range(n):
        added = inject(exposure, sources, rng=rng)
        draws.append(added.masked_image.image - exposure.masked_image.image)
    claimed = added.masked_image.variance - exposure.masked_image.variance
    bright = claimed > 5.0
    pulls = (np.mean(draws, axis=0) - GAIN * claimed)[bright] / np.sqrt(claimed[bright] / n)
    assert abs(pulls.mean()) < 4.0 / np.sqrt(bright.sum())
    spread = np.var(draws, axis=0, ddof=1)[bright] / claimed[bright]
    # a variance of 400 draws scatters by sqrt(2 / 399), its mean over the pixels by that over their root
    assert abs(spread.mean() - 1.0) < 4.0 * np.sqrt(2.0 / (n - 1) / bright.sum())


def test_input_is_left_alone_and_marked():
    """The exposure given keeps its pixels; INJECTED is set around the source, and nowhere else."""
    exposure = _exposure()
    before = exposure.masked_image.image.copy()
    added = inject(exposure, Table({"x": [100.0], "y": [120.0], "flux": [500.0]}), rng=np.random.default_rng(3))
    assert np.array_equal(exposure.masked_image.image, before)
    rows, columns = np.nonzero(added.masked_image.mask & MaskPlane.INJECTED)
    radius = SIGMA * np.sqrt(2 * np.log(20.0))  # where a Gaussian falls to 5% of its peak
    distance = np.hypot(columns + exposure.box.x0 - 100.0, rows + exposure.box.y0 - 120.0)
    assert distance.max() <= radius
    assert len(rows) == pytest.approx(np.pi * radius**2, rel=0.1)


def _saturating(exposure, *, level=3000.0, x=80, y=90):
    """With a saturated star: flat within 6 px, SAT 2 px farther, wings."""
    planes, box = exposure.masked_image, exposure.box
    rows, columns = np.mgrid[box.y0 : box.y1, box.x0 : box.x1]
    radius = np.hypot(columns - x, rows - y)
    light = np.minimum(level * np.exp(-0.5 * (np.maximum(radius - 6.0, 0.0) / SIGMA) ** 2), level)
    image = np.where(radius < 6.0, level, planes.image + light)
    mask = np.where(radius < 8.0, planes.mask | int(MaskPlane.SAT), planes.mask)
    return replace(exposure, masked_image=MaskedImage.from_planes(image, variance=planes.variance, mask=mask, box=box))


def test_what_would_saturate_is_saturated():
    """A peak of 9,780 counts where stars are cut off at 3,000: flat there, SAT as far as the light is above it and two
    pixels around; one of 980 is as it would be anywhere.
    """
    exposure = _saturating(_exposure(gain=None))
    sources = Table({"x": [150.0, 200.0], "y": [160.0, 160.0], "flux": [2e5, 2e4]})
    free = inject(_exposure(gain=None), sources, rng=np.random.default_rng(1)).masked_image.image
    added = inject(exposure, sources, rng=np.random.default_rng(1)).masked_image
    rows, columns = np.mgrid[40:240, 30:230]
    radius = np.hypot(columns - 150.0, rows - 160.0)
    assert free[radius < 0.5].max() > 9000.0
    assert added.image[radius < 10].max() == pytest.approx(3000.0, rel=1e-3)
    cut, bits = SIGMA * np.sqrt(2.0 * np.log(2e5 / (2.0 * np.pi * SIGMA**2) / 3000.0)), int(MaskPlane.SAT)
    assert (added.mask[radius < cut + 1.0] & bits).all()
    assert not (added.mask[(radius > cut + 4.5) & (np.hypot(columns - 80, rows - 90) > 9.0)] & bits).any()
    near = np.hypot(columns - 200.0, rows - 160.0) < 10.0
    np.testing.assert_array_equal(added.image[near], free[near])
    np.testing.assert_array_equal(added.mask[near] & bits, 0)


def test_without_saturated_stars_the_exposure_tells_the_level():
    """Its own level where it says one; where nothing tells, nothing is cut off."""
    sources = Table({"x": [150.0], "y": [160.0], "flux": [2e5]})
    for level, expected in ((5000.0, 5000.0), (None, 9780.0)):
        made = _exposure(gain=None)
        exposure = replace(made, info=replace(made.info, saturation=level))
        added = inject(exposure, sources, rng=np.random.default_rng(1)).masked_image
        assert added.image.max() == pytest.approx(expected, rel=0.02)
        assert bool((added.mask & int(MaskPlane.SAT)).any()) is (level is not None)


def test_the_image_as_given_is_saturated_too():
    """What `plus_light` adds to an image with its sky is cut off and flagged where its twin is."""
    before = _saturating(_exposure(gain=None))
    given = replace(before, masked_image=replace(before.masked_image, image=before.masked_image.image + 700.0))
    sources = Table({"x": [150.0], "y": [160.0], "flux": [2e5]})
    after = inject(before, sources, rng=np.random.default_rng(1))
    made = plus_light(given, before, after).masked_image
    np.testing.assert_allclose(made.image, after.masked_image.image + 700.0, atol=1e-2)
    np.testing.assert_array_equal(made.mask, after.masked_image.mask)


def test_trail_has_its_flux_and_direction():
    """A trail's light sums to its flux; its second moments are the PSF's, and length²/12 more along it."""
    seen = source_profile(GaussianPsf(SIGMA), x=100.2, y=99.7, length=15.0, angle_deg=30.0)
    rows, columns = np.mgrid[seen.box.y0 : seen.box.y1, seen.box.x0 : seen.box.x1]
    total = seen.values.sum()
    x, y = ((seen.values * axis).sum() / total for axis in (columns, rows))
    assert (x, y) == (pytest.approx(100.2, abs=0.01), pytest.approx(99.7, abs=0.01))
    assert total == pytest.approx(1.0, abs=1e-6)
    turn = np.radians(30.0)
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    assert (seen.values * across**2).sum() == pytest.approx(SIGMA**2, rel=0.01)
    assert (seen.values * along**2).sum() == pytest.approx(SIGMA**2 + 15.0**2 / 12.0, rel=0.01)


def test_source_beyond_the_edge_gives_what_reaches_in():
    """A source off the image adds its wing; one far away adds nothing, and is no error."""
    exposure = _exposure(gain=None)
    sources = Table({"x": [exposure.box.x0 - 2.0, 1e4], "y": [100.0, 100.0], "flux": [1000.0, 1000.0]})
    added = inject(exposure, sources, rng=np.random.default_rng(4))
    light = (added.masked_image.image - exposure.masked_image.image).sum()
    # the half plane from 1.5 pixels (a pixel's border) beyond the middle of a Gaussian on
    assert light == pytest.approx(1000.0 * stats.norm.sf(1.5 / SIGMA), rel=0.02)


def test_electrons_are_told_by_variance_where_no_gain_is():
    """Variance that grows with light as photons make it tells their number to 5%; without bright light none is told."""
    exposure = _exposure(gain=None)
    planes = exposure.masked_image
    light = np.where(np.arange(planes.box.width) < 40, 3000.0, 0.0) + np.zeros(planes.shape)
    lit = replace(
        planes,
        image=(planes.image + light).astype(np.float32),
        variance=(planes.variance + light / GAIN).astype(np.float32),
    )
    assert photons_per_count(replace(exposure, masked_image=lit)) == pytest.approx(GAIN, rel=0.05)
    assert photons_per_count(exposure) is None
    even = replace(lit, variance=planes.variance)
    assert photons_per_count(replace(exposure, masked_image=even)) is None
    assert photons_per_count(_exposure(gain=7.0)) == 7.0


def test_chosen_sources_are_apart_inside_and_of_every_kind():
    """As many as the area holds; none nearer than the separation or to the border; kinds and fading in their shares."""
    rng = np.random.default_rng(5)
    exposure = _exposure(size=900)
    x, y = rng.uniform(60, 900, (2, 120))
    stars = StarList(
        *(
            np.concatenate([getattr(_stars(x[:60], y[:60]), f), getattr(_stars(x[60:], y[60:], is_star=False), f)])
            for f in StarList.__slots__
        )
    )
    options = Injection(area_fwhm2=400.0)
    table = choose(exposure, stars, options=options, rng=np.random.default_rng(6))
    assert table.colnames == [column.name for column in INJECTION]
    fwhm = exposure.psf.fwhm_at(x=400.0, y=400.0)
    assert len(table) == pytest.approx(900**2 / (400.0 * fwhm**2), abs=1)
    places = np.stack([table["x"], table["y"]], axis=1)
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(table))
    assert distance.min() > options.separation_fwhm * fwhm
    from_border = np.minimum(places - (30, 40), (929, 939) - places)
    assert from_border.min() > 4.0 * fwhm
    kinds = {kind: int((table["kind"] == kind).sum()) for kind in ("hostless", "hosted", "variable", "trailed")}
    assert all(kinds.values())
    assert kinds["trailed"] == round(0.1 * 900**2 / (400.0 * fwhm**2))
    assert np.all(table["trail_length"][table["kind"] != "trailed"] == 0)
    assert not np.any(table["is_faded"][table["kind"] == "trailed"])
    # 25% of the points, binomially: four sigma
    points = table[table["kind"] != "trailed"]
    assert abs(points["is_faded"].mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(points))


def test_signal_to_noise_is_that_of_an_ideal_fit():
    """The error that makes S/N from flux is √(1/Σ(P²/V) + F ΣP³ / (g (ΣP²)²)); S/N spread evenly in its logarithm."""
    exposure = _exposure(size=900)
    options = Injection(area_fwhm2=200.0, separation_fwhm=1.0, trailed=0.0)
    table = choose(exposure, NO_STARS, options=options, rng=np.random.default_rng(7))
    assert set(table["kind"]) == {"hostless"}
    seen = source_profile(exposure.psf, x=100.0, y=100.0).values
    squares = (seen**2).sum()
    flux = np.asarray(table["flux"])
    snr = flux / np.sqrt(VARIANCE / squares + flux * (seen**3).sum() / squares**2 / GAIN)
    spread = np.log(snr / options.min_snr) / np.log(options.max_snr / options.min_snr)
    assert stats.kstest(spread, "uniform").pvalue > 0.01


def test_a_seed_is_a_choice():
    """One seed, one table; another seed, another."""
    exposure = _exposure(size=500)
    first, again, other = (
        choose(exposure, NO_STARS, options=Injection(), rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert all(
        np.array_equal(first[name], again[name], equal_nan=first[name].dtype.kind == "f") for name in first.colnames
    )
    assert not np.array_equal(first["x"], other["x"])


def test_stars_change_by_no_more_than_themselves():
    """A variable star's flux is at most the star's."""
    x, y = np.meshgrid(np.arange(60, 860, 100.0), np.arange(70, 870, 100.0))
    stars = _stars(x.ravel(), y.ravel(), flux=700.0)
    options = Injection(area_fwhm2=100.0, variable=0.9, hosted=0.0, trailed=0.0, min_snr=30.0)
    table = choose(_exposure(size=900), stars, options=options, rng=np.random.default_rng(8))
    changed = table[table["kind"] == "variable"]
    assert len(changed) > 30
    assert changed["flux"].max() <= 700.0


def test_what_faded_is_in_the_template_alone():
    """A faded source is negative in the table and adds its light to the template, worth as much as calibrations say."""
    science, template = _exposure(size=300), _exposure(size=300, gain=None, seed=1)
    science, template = replace(science, photo_calib=PhotoCalib(3.0)), replace(template, photo_calib=PhotoCalib(1.5))
    options = Injection(area_fwhm2=300.0, faded=1.0, trailed=0.0)
    sources = choose(science, NO_STARS, options=options, rng=np.random.default_rng(9))
    pair = inject_pair(science, NO_STARS, template, NO_STARS, sources=sources, rng=np.random.default_rng(9))
    assert len(pair.sources) > 5
    assert (pair.sources["flux"] < 0).all()
    assert np.array_equal(pair.science.masked_image.image, science.masked_image.image)
    light = (pair.template.masked_image.image - template.masked_image.image).sum()
    assert light == pytest.approx(-2.0 * pair.sources["flux"].sum(), rel=1e-3)


def test_stars_tell_what_template_counts_are_worth():
    """Without calibrations the ratio of common stars is used; without such stars nothing can fade, which is said."""
    x, y = np.meshgrid(np.arange(60, 330, 60.0), np.arange(70, 340, 60.0))
    science, template = _exposure(size=300), _exposure(size=300, gain=None, seed=1)
    options = Injection(area_fwhm2=300.0, faded=1.0, trailed=0.0, variable=0.0, hosted=0.0)
    stars, brighter = _stars(x.ravel(), y.ravel()), _stars(x.ravel(), y.ravel(), flux=1e5)
    sources = choose(science, stars, options=options, rng=np.random.default_rng(9))
    pair = inject_pair(science, stars, template, brighter, sources=sources, rng=np.random.default_rng(9))
    light = (pair.template.masked_image.image - template.masked_image.image).sum()
    assert light == pytest.approx(-5.0 * pair.sources["flux"].sum(), rel=1e-3)
    with pytest.raises(InputError, match="show 0 stars together and have no calibrations; 5 stars"):
        inject_pair(science, NO_STARS, template, NO_STARS, sources=sources, rng=np.random.default_rng(9))


@pytest.mark.parametrize("flux", [-1.0, np.nan])
def test_negative_flux_is_refused(flux):
    """Light cannot be taken away from an image."""
    with pytest.raises(InputError, match="fluxes to be added to made must be positive"):
        inject(_exposure(), Table({"x": [100.0], "y": [100.0], "flux": [flux]}), rng=np.random.default_rng(1))


def test_image_without_psf_is_refused():
    """Both verbs name the image and what it lacks."""
    bare = replace(_exposure(), psf=None)
    with pytest.raises(InputError, match="made has no PSF"):
        inject(bare, Table({"x": [100.0], "y": [100.0], "flux": [1.0]}), rng=np.random.default_rng(1))
    with pytest.raises(InputError, match="made has no PSF"):
        choose(bare, NO_STARS, options=Injection(), rng=np.random.default_rng(1))


def test_impossible_recipes_are_refused():
    """Shares of more than the whole, and a range that is none."""
    with pytest.raises(UsageError, match=r"together they are 1\.2"):
        Injection(hosted=0.6, variable=0.6, trailed=0.0)
    with pytest.raises(UsageError, match="min_snr 20 must not exceed max_snr 10"):
        Injection(min_snr=20.0, max_snr=10.0)
