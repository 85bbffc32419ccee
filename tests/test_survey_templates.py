"""Templates of a simulated survey's repository: no seam where tracts meet. Coadds: noise and PSF are as they say."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from tests.survey_repository import SurveyRepository
from tests.survey_templates import SurveyImages, patch_coadd, psf_flux

from diapipe.images import Box, MaskPlane, Tract
from diapipe.images.discrete_sky_map import DiscreteSkyMap, TractPlace
from diapipe.images.sky import icrs_of, pixels_of_icrs
from diapipe.images.tract_grid import TractGrid
from diapipe.numerics.stats import robust_sigma
from diapipe.simulate import SurveySpec, simulate_survey
from diapipe.steps.coadd import MeanCoadder
from diapipe.tasks.get_template import GetCoaddAsTemplateTask

NOTHING_CHANGES = {"variable_fraction": 0.0, "n_movers": 0, "n_satellite_trails": 0, "bands": ("r",)}
BRIGHT_STARS = {"n_galaxies": 0, "star_brightest_mag": 15.0, "star_faintest_mag": 20.0}
MOSAIC = SurveySpec(
    width=300, height=280, dither_px=25.0, n_stars=140, n_transients=0, **NOTHING_CHANGES, **BRIGHT_STARS
)
TEMPLATE_VISITS, SCIENCE_VISIT = (1, 2, 3, 4), 5
SIDE_DEG, OFFSETS_DEG, PATCH_PX = 0.0399, (-0.01, 0.0275), 240
NEAR_PX = 40


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """The survey in a repository with the coadds of all patches, made by the tasks."""
    images = SurveyImages.of(simulate_survey(MOSAIC, rng=np.random.default_rng(3)))
    cosine = np.cos(np.radians(MOSAIC.center_dec_deg))
    places = tuple(
        TractPlace(
            ra_deg=float(MOSAIC.center_ra_deg + east / cosine),
            dec_deg=MOSAIC.center_dec_deg,
            width_deg=SIDE_DEG,
            height_deg=SIDE_DEG,
        )
        for east in OFFSETS_DEG
    )
    grid = TractGrid(pixel_scale_arcsec=0.2, patch_size_px=PATCH_PX, patch_border_px=40)
    sky_map = DiscreteSkyMap(name="two", grid=grid, tracts=places)
    root = tmp_path_factory.mktemp("mosaic") / "repository"
    made = SurveyRepository.of(root, images, sky_map, (*TEMPLATE_VISITS, SCIENCE_VISIT))
    made.coadd(TEMPLATE_VISITS)
    return made


@pytest.fixture(scope="module")
def templates(survey):
    """What the tasks make of these coadds for the detectors across which the border goes, by detector."""
    found = survey.templates(SCIENCE_VISIT, output="templates")
    across = {d: template for d, template in found.items() if beside_the_border(template, survey.sky_map).any()}
    assert len(across) >= 2
    return across


@pytest.fixture(scope="module")
def of_one_tract(survey):
    """The same of the tract alone that is in charge of the detector's middle."""
    task = f"{GetCoaddAsTemplateTask.__module__}.{GetCoaddAsTemplateTask.__name__}"
    return survey.templates(SCIENCE_VISIT, output="of_one_tract", getTemplate=task)


def sky_of_pixels(exposure):
    """Right ascension and declination of all pixels."""
    box = exposure.box
    columns, rows = np.meshgrid(np.arange(box.x0, box.x1, dtype=float), np.arange(box.y0, box.y1, dtype=float))
    return icrs_of(exposure.wcs, columns, rows)


def beside_the_border(exposure, sky_map):
    """Pixels within `NEAR_PX` of where another tract takes charge."""
    tracts = sky_map.find_tracts(**dict(zip(("ra_deg", "dec_deg"), sky_of_pixels(exposure), strict=True)))
    near = np.zeros(tracts.shape, np.bool_)
    for axis in (0, 1):
        changes = np.argwhere(np.diff(tracts, axis=axis) != 0)
        for row, column in changes:
            near[max(0, row - NEAR_PX) : row + NEAR_PX, max(0, column - NEAR_PX) : column + NEAR_PX] = True
    return near


def n_covering(exposure, images, visits, *, inside_px):
    """How many visits have each pixel of an exposure on a detector, so far inside it: for several distances."""
    ra, dec = sky_of_pixels(exposure)
    numbers = np.zeros((len(inside_px), *ra.shape), int)
    boxes = [Box.from_shape((MOSAIC.height, MOSAIC.width)).dilated(-px) for px in inside_px]
    for visit in visits:
        for detector in range(MOSAIC.n_detectors):
            x, y = pixels_of_icrs(images(visit, detector).wcs, ra, dec)
            for number, box in zip(numbers, boxes, strict=True):
                number += (x >= box.x0) & (x < box.x1) & (y >= box.y0) & (y < box.y1)
    return numbers


@pytest.mark.slow
def test_noise_is_the_same_on_both_sides_and_on_the_border(survey, templates):
    """Pulls of empty sky are N(0, 1) beside the border and away from it: A.9's templates claim too little in overlaps.

    Correlated over about nine pixels, n pixels tell a scatter to 3/sqrt(2 n); four of these.
    """
    for template in templates.values():
        planes = template.masked_image
        empty = planes.usable() & away_from_sources(survey.images, template)
        near = beside_the_border(template, survey.sky_map)
        pulls = planes.image / np.sqrt(planes.variance)
        for part in (empty & near, empty & ~near):
            assert part.sum() > 3000
            assert robust_sigma(pulls[part]) == pytest.approx(1.0, abs=12 / np.sqrt(2 * part.sum()))


@pytest.mark.slow
def test_constant_stars_have_their_flux_across_the_border(survey, templates):
    """PSF fluxes on the template are the true ones in nJy, beside the border as elsewhere.

    Single stars scatter by photons and by what the PSF models miss, 1%; the means of both groups agree with the truth
    within four of their errors.
    """
    stars = survey.images.survey.stars
    ratio, beside = [], []
    for template in templates.values():
        near = beside_the_border(template, survey.sky_map)
        x, y = pixels_of_icrs(template.wcs, np.asarray(stars["ra"]), np.asarray(stars["dec"]))
        box = template.box.dilated(-20)
        for i in np.flatnonzero((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)):
            if np.partition(np.hypot(x - x[i], y - y[i]), 1)[1] < 25 or stars["mag_r"][i] > 19.5:
                continue
            flux, _ = psf_flux(template, x[i], y[i])
            if np.isfinite(flux):
                ratio.append(flux / stars["flux_r"][i])
                beside.append(near[round(y[i]) - template.box.y0, round(x[i]) - template.box.x0])
    ratio, beside = np.array(ratio), np.array(beside)
    for group in (ratio[beside], ratio[~beside]):
        assert len(group) >= 4
        assert abs(np.mean(group) - 1) < 4 * 0.01 / np.sqrt(len(group))
        assert robust_sigma(group) < 0.015


@pytest.mark.slow
def test_detectors_at_the_border_are_covered(survey, templates, of_one_tract):
    """Every pixel that two visits saw has data; where no visit saw the sky it says NO_DATA, which A.9 loses.

    One tract alone leaves a quarter of such a detector empty.
    """
    for detector, template in templates.items():
        planes = template.masked_image
        has_data = (planes.mask & MaskPlane.NO_DATA) == 0
        seen, nearly_seen = n_covering(template, survey.images, TEMPLATE_VISITS, inside_px=(10, -10))
        assert has_data[seen >= 2].all()
        assert not has_data[nearly_seen == 0].any()
        assert np.isfinite(planes.image[has_data]).all()
        alone = (of_one_tract[detector].masked_image.mask & MaskPlane.NO_DATA) == 0
        assert has_data[alone].all()
        assert has_data.mean() - alone.mean() > 0.25


@pytest.mark.slow
def test_a_second_tract_changes_nothing_where_the_first_has_the_sky(survey, templates, of_one_tract):
    """Both are made of the same exposures: values to a twentieth of their noise, so no seam, and variance to 5% but for
    the edge of a tract and for stars, a fifth of the pixels at most. A.9 claims half of it.

    Nine pixels share their noise, so the median of n values of scatter s has the error 1.25 s / sqrt(n / 9).
    """
    for detector, template in templates.items():
        both, one = template.masked_image, of_one_tract[detector].masked_image
        shared = both.usable() & one.usable() & beside_the_border(template, survey.sky_map)
        assert shared.sum() > 3000
        off = ((both.image - one.image) / np.sqrt(one.variance))[shared]
        assert robust_sigma(off) < 0.05
        assert abs(np.median(off)) < 4 * 1.25 * 0.05 / np.sqrt(shared.sum() / 9)
        assert np.percentile((both.variance / one.variance)[shared], [10, 90]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_a_template_of_two_tracts_is_calibrated_and_knows_its_visits(templates):
    """In nJy, with the PSF and the inputs: A.9 gives no calibration."""
    for template in templates.values():
        assert template.unit == "nJy"
        assert template.photo_calib.mean == 1.0
        assert set(template.inputs) == set(TEMPLATE_VISITS)
        assert template.psf is not None


FIELD = SurveySpec(
    width=500,
    height=480,
    n_columns=1,
    n_rows=1,
    n_nights=10,
    n_template_nights=10,
    n_stars=40,
    n_transients=45,
    flash_fraction=1.0,
    transient_min_snr=20.0,
    transient_max_snr=200.0,
    transient_host_fraction=0.0,
    **NOTHING_CHANGES,
    **BRIGHT_STARS,
)


@cache
def field():
    """Ten visits of one detector with flashes, each on one night; its coadd, and the plain mean of the same."""
    images = SurveyImages.of(simulate_survey(FIELD, rng=np.random.default_rng(6)))
    grid = TractGrid(pixel_scale_arcsec=0.2, patch_size_px=480, patch_border_px=0)
    tract: Tract = grid.tract(
        0, ra_deg=FIELD.center_ra_deg, dec_deg=FIELD.center_dec_deg, half_width_deg=0.0133, half_height_deg=0.0133
    )
    visits = range(1, 11)
    clipped, mean = (patch_coadd(images, tract, tract.patch(0), visits, algorithm=a) for a in (None, MeanCoadder()))
    return images, clipped, mean


@pytest.mark.slow
def test_variance_of_a_coadd_is_its_scatter():
    """Single pixels, and sums over 6 x 6 pixels with the covariance that the coadd tells: within 5% of the scatter."""
    images, made, _ = field()
    exposure = made.exposure
    planes = exposure.masked_image
    empty = planes.usable() & ((planes.mask & MaskPlane.DETECTED) == 0) & away_from_sources(images, exposure)
    pulls = np.where(empty, planes.image, 0.0) / np.sqrt(planes.variance)
    assert pulls[empty].std(dtype=float) ** 2 == pytest.approx(1.0, abs=0.05)
    side = 6
    rows, columns = (n // side * side for n in pulls.shape)
    blocks = pulls[:rows, :columns].reshape(rows // side, side, columns // side, side)
    whole = empty[:rows, :columns].reshape(blocks.shape).all(axis=(1, 3))
    sums = blocks.sum(axis=(1, 3), dtype=float)[whole]
    assert len(sums) > 1500  # a variance to 2 sqrt(2/n) < 7%, of which the bar takes what is asked for
    assert sums.var() == pytest.approx(expected_variance(exposure.noise_correlation, side), rel=0.05)


def expected_variance(correlation, side):
    """Of the sum over a square of pixels of unit variance."""
    half = correlation.shape[0] // 2
    total = 0.0
    for dy in range(-min(half, side - 1), min(half, side - 1) + 1):
        for dx in range(-min(half, side - 1), min(half, side - 1) + 1):
            total += (side - abs(dy)) * (side - abs(dx)) * correlation[half + dy, half + dx]
    return total


def away_from_sources(images, exposure, radius_px=30):
    """Pixels far from every true source."""
    survey = images.survey
    rows, columns = np.indices(exposure.box.shape)
    far = np.ones(exposure.box.shape, np.bool_)
    for table in (survey.stars, survey.objects):
        x, y = pixels_of_icrs(exposure.wcs, np.asarray(table["ra"]), np.asarray(table["dec"]))
        near = np.isfinite(x)
        for u, v in zip(x[near] - exposure.box.x0, y[near] - exposure.box.y0, strict=True):
            far &= (columns - u) ** 2 + (rows - v) ** 2 > radius_px**2
    return far


@pytest.mark.slow
def test_size_of_a_coadds_psf_is_that_of_its_stars():
    """Noise-equivalent areas 1/ΣP² of model and stars agree within 2%, which is 1% of the size."""
    images, made, _ = field()
    exposure = made.exposure
    stars = images.survey.stars
    x, y = pixels_of_icrs(exposure.wcs, np.asarray(stars["ra"]), np.asarray(stars["dec"]))
    ratio = []
    for i in np.flatnonzero(stars["mag_r"] < 19.0):
        near = np.hypot(x - x[i], y - y[i])
        if np.partition(near, 1)[1] < 35:
            continue
        flux, _ = psf_flux(exposure, x[i], y[i])
        if not np.isfinite(flux):
            continue
        box = Box.around(x=float(x[i]), y=float(y[i]), half=10)
        if not exposure.box.contains(box):
            continue
        cut, psf = exposure.masked_image[box], exposure.psf.image_at(x=float(x[i]), y=float(y[i]))
        half = psf.shape[0] // 2
        core = psf[half - 10 : half + 11, half - 10 : half + 11]
        star = cut.image.astype(float)
        squares = (star**2).sum() - cut.variance.sum(dtype=float)
        ratio.append(np.sqrt((core**2).sum() / core.sum() ** 2 / (squares / star.sum() ** 2)))
    assert len(ratio) >= 6
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.01)


@pytest.mark.slow
def test_transients_on_one_visit_of_ten_are_suppressed():
    """Of the light that the plain mean keeps of flashes on one night, the coadd keeps less than 5%."""
    images, made, mean = field()
    objects = images.survey.objects
    x, y = pixels_of_icrs(made.exposure.wcs, np.asarray(objects["ra"]), np.asarray(objects["dec"]))
    kept, left, peak = [], [], []
    others = pixels_of_icrs(made.exposure.wcs, *(np.asarray(images.survey.stars[name]) for name in ("ra", "dec")))
    for i in range(len(objects)):
        if np.hypot(others[0] - x[i], others[1] - y[i]).min() < 15:
            continue
        (clipped_flux, _), (mean_flux, error) = (psf_flux(e.exposure, x[i], y[i]) for e in (made, mean))
        if np.isfinite(clipped_flux) and mean_flux > 5 * error:
            kept.append(mean_flux)
            left.append(clipped_flux)
            peak.append(objects["peak_flux_r"][i])
    assert len(kept) >= 15
    assert 0.05 < np.sum(kept) / np.sum(peak) < 0.25  # a tenth of the light, more or less by the visits' weights
    assert np.sum(left) / np.sum(kept) < 0.05
    assert np.median(np.array(left) / np.array(kept)) < 0.05
