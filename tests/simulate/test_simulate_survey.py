"""Surveys: the truth explains the pixels of every exposure, whatever its optics, and only what should change does."""

from dataclasses import replace

import numpy as np
import pytest

from diapipe.errors import UsageError
from diapipe.images import MaskPlane
from diapipe.images.sky import icrs_of, pixel_scale_deg, pixels_of_icrs
from diapipe.simulate import SurveySpec, simulate_survey
from diapipe.simulate.smooth_fields import clamped_at
from diapipe.simulate.survey_visits import on_detector

SMALL = {"width": 300, "height": 260, "n_columns": 2, "n_rows": 1, "n_stars": 120, "n_galaxies": 60}
NOTHING = {"n_stars": 0, "n_galaxies": 0, "n_transients": 0, "n_movers": 0, "n_satellite_trails": 0}
UNUSABLE = int(MaskPlane.BAD | MaskPlane.SAT | MaskPlane.CR | MaskPlane.STREAK)


def survey(seed=5, **changes):
    return simulate_survey(SurveySpec(**(SMALL | changes)), rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def full():
    """Everything that a survey has."""
    return survey(n_transients=30, variable_fraction=0.2)


def assert_same_table(one, other):
    assert one.colnames == other.colnames
    for name in one.colnames:
        np.testing.assert_array_equal(one[name], other[name])


def test_equal_generators_make_equal_surveys_in_any_order(full):
    """An exposure made alone, in another process or after others, has the same pixels and the same truth."""
    again = survey(n_transients=30, variable_fraction=0.2)
    frames = [full.frame(*data_id) for data_id in full.data_ids[:4]]
    for data_id, frame in list(zip(full.data_ids[:4], frames, strict=True))[::-1]:
        twin = again.frame(*data_id)
        np.testing.assert_array_equal(frame.exposure.masked_image.image, twin.exposure.masked_image.image)
        np.testing.assert_array_equal(frame.truth.variance, twin.truth.variance)
        assert_same_table(frame.changes, twin.changes)
    for table in ("stars", "galaxies", "objects", "visit_table"):
        assert_same_table(getattr(full, table), getattr(again, table))


def test_default_survey_is_what_the_demo_promises():
    """Two bands, ten visits, four detectors, in order of time, three nights before a pause."""
    default = simulate_survey(SurveySpec(), rng=np.random.default_rng(1))
    assert len(default.visits) == 10
    assert len(default.data_ids) == 40
    assert {visit.band for visit in default.visits} == {"r", "i"}
    assert (np.diff([visit.mjd_midpoint for visit in default.visits]) > 0).all()
    gaps = np.diff(np.unique([int(visit.mjd_midpoint) for visit in default.visits]))
    np.testing.assert_array_equal(gaps, [8, 8, 320, 8])
    assert [visit.is_for_template for visit in default.visits] == [True] * 6 + [False] * 4


def model_of(survey, frame, stars, *, radius=120.0):
    """Constant stars and what changes, drawn with the frame's PSF at the places that its WCS gives, in counts.

    Exact positions from the WCS, where the simulation interpolates a map.
    """
    spec, visit = survey.spec, frame.visit
    x, y = pixels_of_icrs(frame.exposure.wcs, np.asarray(stars["ra"]), np.asarray(stars["dec"]))
    moved = [on_detector(field, spec, frame.detector) for field in (visit.dx, visit.dy)]
    near = np.isfinite(x)
    x, y, flux = x[near], y[near], np.asarray(stars[f"flux_{visit.band}"])[near]
    x, y = (value + clamped_at(field, x=x, y=y) for value, field in zip((x, y), moved, strict=True))
    changes = frame.changes
    x, y = np.concatenate([x, changes["x"]]), np.concatenate([y, changes["y"]])
    flux = np.concatenate([flux, changes["flux"]]) / frame.photo_calib.mean
    image = np.zeros(frame.truth.box.shape, np.float32)
    frame.psf.draw(image, x=x, y=y, flux=flux, radius_px=np.full(len(x), radius))
    return image


@pytest.mark.parametrize("data_id", [(1, 0), (4, 1), (8, 0)])
def test_truth_explains_the_pixels(data_id):
    """True fluxes in nJy with the true PSF at the places of the WCS leave pulls N(0, 1) where there is light.

    Pixels above a third of the sky noise and 40 px inside the frame (beyond it what changes is not in the table); five
    sigma of a χ² for its mean, and 4e-3 for what float32, wings and the sky's photons leave.
    """
    stars_only = {"n_galaxies": 0, "n_movers": 0, "n_stars": 400, "n_transients": 40, "star_brightest_mag": 17.0}
    made = survey(variable_fraction=0.1, **stars_only)
    frame = made.frame(*data_id)
    model = model_of(made, frame, made.stars[~made.stars["is_variable"]])
    sky = on_detector(frame.visit.sky, made.spec, frame.detector).over(frame.truth.box)
    pulls = (frame.truth.image - sky - model) / np.sqrt(frame.truth.variance)
    known = (frame.truth.mask & UNUSABLE) == 0
    known &= model > 0.3 * np.sqrt(np.median(frame.truth.variance))
    known[:40], known[-40:], known[:, :40], known[:, -40:] = False, False, False, False
    chosen = pulls[known].astype(float)
    assert chosen.size > 2000
    assert abs(chosen.mean()) < 5 / np.sqrt(chosen.size) + 0.02
    assert abs((chosen**2).mean() - 1) < 5 * np.sqrt(2 / chosen.size) + 0.004


def test_fluxes_of_what_changes_are_those_of_the_pixels():
    """Over all exposures, PSF fluxes at the true places less true fluxes have pulls N(0, 1), in nJy.

    Four sigma for the mean and for the scatter. The error in the table is that of the fit; cosmic rays and the cut of
    the stamp may take 10% of the information.
    """
    made = survey(n_galaxies=0, n_movers=0, n_stars=0, n_transients=150, flash_fraction=0.3)
    pulls = []
    for data_id in made.data_ids:
        frame = made.frame(*data_id)
        sky = on_detector(frame.visit.sky, made.spec, frame.detector).over(frame.truth.box)
        image = frame.truth.image - sky
        for row in frame.changes:
            if row["mask"] or not 20 < row["x"] < 280 or not 20 < row["y"] < 240:
                continue
            cut = np.s_[round(row["y"]) - 18 : round(row["y"]) + 19, round(row["x"]) - 18 : round(row["x"]) + 19]
            profile = np.zeros(image.shape, np.float32)
            place = {"x": np.array([row["x"]]), "y": np.array([row["y"]])}
            frame.psf.draw(profile, **place, flux=np.ones(1), radius_px=np.array([60.0]))
            usable = (frame.truth.mask[cut] & UNUSABLE) == 0
            p, weight = profile[cut][usable].astype(float), 1.0 / frame.truth.variance[cut][usable]
            information = (p * p * weight).sum()
            flux = (p * weight * image[cut][usable]).sum() / information * frame.photo_calib.mean
            error = frame.photo_calib.mean / np.sqrt(information)
            assert error == pytest.approx(row["flux_err"], rel=0.1)
            pulls.append((flux - row["flux"]) / error)
    assert len(pulls) > 300
    assert abs(np.mean(pulls)) < 4 / np.sqrt(len(pulls))
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * len(pulls))


def test_an_empty_sky_is_sky_and_noise():
    """Counts scatter about the sky as the variance says: pulls N(0, 1), five sigma for mean and variance."""
    empty = survey(**NOTHING)
    for data_id in [(1, 0), (2, 1), (7, 0)]:
        frame = empty.frame(*data_id)
        sky = on_detector(frame.visit.sky, empty.spec, frame.detector).over(frame.truth.box)
        usable = (frame.truth.mask & UNUSABLE) == 0
        pulls = ((frame.truth.image - sky) / np.sqrt(frame.truth.variance))[usable].astype(float)
        assert abs(pulls.mean()) < 5 / np.sqrt(pulls.size)
        assert abs(pulls.var() - 1) < 5 * np.sqrt(2 / pulls.size)


def test_sky_seeing_and_zero_point_vary_between_visits(full):
    """No two visits are alike, and all lie where the spec says."""
    table, spec = full.visit_table, full.spec
    for name in ("fwhm_px", "sky_counts", "zero_point_mag", "rotation_deg"):
        assert len(set(table[name])) == len(table)
    seeing = table["fwhm_px"] * spec.pixel_scale_arcsec
    assert (seeing >= spec.seeing_min_arcsec).all()
    assert (seeing <= spec.seeing_max_arcsec).all()
    assert np.ptp(seeing) > 0.2
    # nJy per count and the zero point say the same: AB 31.4 is 1 nJy
    np.testing.assert_allclose(table["nJyPerCount"], 10 ** (0.4 * (31.4 - np.asarray(table["zero_point_mag"]))))


def test_an_exposure_is_raw(full):
    """Counts with sky; bad columns without value; no plane, no PSF, no calibration; time and detector constants."""
    frame = full.frame(3, 1)
    exposure = frame.exposure
    assert exposure.psf is None
    assert exposure.photo_calib is None
    assert not exposure.has_mask
    assert not exposure.has_variance
    assert np.nanmedian(exposure.masked_image.image) > 0.5 * full.spec.sky_counts * 10 ** (-0.4 * 0.75)
    assert (exposure.info.visit, exposure.info.detector, exposure.info.band) == (3, 1, "r")
    assert exposure.info.saturation == pytest.approx(130_000 / 1.6)
    bad = (frame.truth.mask & MaskPlane.BAD) != 0
    np.testing.assert_array_equal(np.isnan(exposure.masked_image.image), bad)


def test_a_detector_keeps_its_bad_columns():
    """The same pixels in each visit, others on the other detector."""
    made = survey(n_bad_columns=4.0)
    bad = [[made.frame(visit, d).truth.mask & int(MaskPlane.BAD) for visit in (1, 6)] for d in (0, 1)]
    for first, second in bad:
        assert first.any()
        np.testing.assert_array_equal(first, second)
    assert (bad[0][0] != bad[1][0]).any()


def test_detectors_lie_on_one_distorted_focal_plane():
    """Neighbours are a gap apart on the sky, and the corner is distorted by the pixels that were asked for.

    To 2%: over the corner's distance, the inverse of u (1 - k r²) differs from u (1 + k r²) by 3 k r² = 1%.
    """
    made = survey(distortion_px=3.0, gap_px=40)
    visit, spec = made.visits[0], made.spec
    left, right = (visit.wcs(spec, detector) for detector in (0, 1))
    at = np.array([299.0 + 41.0]), np.array([100.0])
    np.testing.assert_allclose(icrs_of(left, *at), icrs_of(right, np.zeros(1), at[1]), rtol=0, atol=1e-9)
    straight = left.deepcopy()
    straight.sip = None
    corner = np.zeros(1), np.zeros(1)
    x, y = pixels_of_icrs(straight, *icrs_of(left, *corner))
    assert np.hypot(x[0], y[0]) == pytest.approx(3.0, rel=0.02)
    assert x[0] > 0  # light from nearer to the axis falls on the corner
    assert y[0] > 0
    assert pixel_scale_deg(left) * 3600 == pytest.approx(0.2, rel=1e-6)


def test_cameras_turn_and_dither(full):
    """Pointings within the dither, the camera within its jitter of a quarter turn, y that far from north."""
    spec = full.spec
    for visit in full.visits:
        x, y = pixels_of_icrs(full.sky.wcs, np.array([visit.ra_deg]), np.array([visit.dec_deg]))
        assert max(abs(x[0]), abs(y[0])) <= spec.dither_px * 1.001
        off = (visit.rotation_deg + 45.0) % 90.0 - 45.0
        assert abs(off) <= spec.rotation_jitter_deg
        wcs = visit.wcs(spec, 0)
        x0, y0 = -spec.detector_box(0).x0, -spec.detector_box(0).y0
        ra, dec = icrs_of(wcs, np.full(2, float(x0)), np.array([y0, y0 + 10.0]))
        east = (ra[1] - ra[0]) * np.cos(np.radians(dec[0]))
        assert np.degrees(np.arctan2(east, dec[1] - dec[0])) % 360 == pytest.approx(visit.rotation_deg, abs=1e-3)


def test_transients_are_absent_from_the_template_and_flashes_are_on_one_night(full):
    """Exactly no flux before the pause, but for flashes: those on one night, and gone after it."""
    made = survey(n_transients=60, flash_fraction=0.25)
    transients = made.sky.transients
    early = [v for v in made.visits if v.is_for_template]
    late = [v for v in made.visits if not v.is_for_template]
    assert transients.is_flash.sum() == 15
    for visit in early:
        flux = transients.flux(made.spec.bands.index(visit.band), visit.mjd_midpoint)
        assert (flux[~transients.is_flash] == 0).all()
    nights = np.array([transients.flux(0, v.mjd_midpoint) > 0 for v in early if v.band == "r"])
    np.testing.assert_array_equal(nights[:, transients.is_flash].sum(axis=0), 1)
    seen = np.array([transients.flux(0, v.mjd_midpoint) for v in late if v.band == "r"])
    assert (seen[:, transients.is_flash] == 0).all()
    assert (seen[:, ~transients.is_flash].max(axis=0) > 0).mean() > 0.95


def test_transients_have_the_brightness_asked_for():
    """Peaks over the error of an ideal fit in a median visit lie within the range of S/N, to the 30% between visits."""
    made = survey(n_transients=80, n_stars=0, n_galaxies=0, transient_min_snr=10.0, transient_max_snr=20.0)
    by_seeing = sorted(made.visits, key=lambda visit: visit.fwhm_px)
    frame = made.frame(by_seeing[5].id, 0)
    peak = made.objects["peak_flux_r"][made.objects["kind"] == "transient"]
    faint = frame.changes["flux_err"][frame.changes["flux"] == 0]
    assert np.percentile(peak / np.median(faint), 5) > 10 * 0.7
    assert np.percentile(peak / np.median(faint), 95) < 20 * 1.5  # its own photons widen the error


def test_variables_are_periodic(full):
    """A period later the flux is the same, half a period later the magnitude is mirrored about the mean."""
    variables = full.sky.variables
    for index in range(len(variables.x)):
        one = replace(variables, **{n: getattr(variables, n)[[index]] for n in ("x", "y", "period_days", "phase")})
        one = replace(one, **{n: getattr(variables, n)[:, [index]] for n in ("mean_flux", "amplitude_mag")})
        period = float(one.period_days[0])
        now, later, mirrored = (one.flux(0, 61_000.0 + t * period)[0] for t in (0.3, 1.3, 0.8))
        assert later == pytest.approx(now, rel=1e-6)
        assert now * mirrored == pytest.approx(one.mean_flux[0, 0] ** 2, rel=1e-6)
    assert np.abs(variables.flux(0, 61_000.0) / variables.mean_flux[0] - 1).max() > 0.03


def test_variables_of_the_catalogue_are_not_drawn_twice(full):
    """Points of the constant sky hold all galaxies and the stars that do not vary: their fluxes add up."""
    for band, name in enumerate(full.spec.bands):
        constant = full.stars[f"flux_{name}"][~full.stars["is_variable"]].sum()
        assert full.sky.constant[band].flux.sum() == pytest.approx(constant + full.galaxies[f"flux_{name}"].sum())


def test_colors_are_one_index_from_band_to_band():
    """Fluxes differ from band to band by the same factor; over 800 stars its mean magnitude is the one asked for."""
    made = survey(bands=("g", "r", "i"), star_color_mag=(0.5, 0.2), n_stars=800, n_nights=1, n_template_nights=0)
    first, second = (np.asarray(made.stars[a] - made.stars[b]) for a, b in (("mag_g", "mag_r"), ("mag_r", "mag_i")))
    np.testing.assert_allclose(first, second, atol=1e-9)
    assert abs(first.mean() - 0.5) < 4 * 0.2 / np.sqrt(len(first))


def test_moving_objects_move():
    """Between two visits of a night by their rate, in a straight line; their flux stays."""
    made = survey(n_movers=5)
    movers = made.sky.movers
    (x0, y0), (x1, y1), (x2, y2) = (movers.position(61_000.0 + t) for t in (0.0, 0.02, 0.04))
    np.testing.assert_allclose(np.hypot(x1 - x0, y1 - y0), np.hypot(x2 - x1, y2 - y1), rtol=1e-6)
    speed = np.hypot(x1 - x0, y1 - y0) * 0.2 / (0.02 * 24)
    assert (speed <= 40.0).all()
    assert (speed >= 8.0 * 0.999).all()
    np.testing.assert_array_equal(movers.flux(0, 61_000.0), movers.flux(0, 62_000.0))


def test_a_satellite_leaves_its_flux_along_its_trail():
    """Mean counts above the sky over the pixels of a band about the trail are its flux per pixel of length.

    A line of Moffats of beta 3 has 0.5% of its flux beyond three times their FWHM, and 0.1% is not drawn; that and five
    sigma are allowed.
    """
    made = survey(**NOTHING | {"n_satellite_trails": 12})
    checked = 0
    for visit in made.visits:
        if len(visit.trails) != 1:
            continue
        trail = visit.trails[0]
        for detector in range(2):
            frame, at = made.frame(visit.id, detector), made.spec.detector_box(detector)
            rows, columns = np.indices(frame.truth.box.shape)
            across = np.array([trail.y1 - trail.y0, trail.x0 - trail.x1]) / np.hypot(
                trail.x1 - trail.x0, trail.y1 - trail.y0
            )
            distance = (columns + at.x0 - trail.x0) * across[0] + (rows + at.y0 - trail.y0) * across[1]
            width = 3.0 * visit.fwhm_px
            near = np.abs(distance) < width
            usable = near & ((frame.truth.mask & int(MaskPlane.BAD | MaskPlane.CR)) == 0)
            if usable.sum() < 5000:
                continue
            sky = on_detector(visit.sky, made.spec, detector).over(frame.truth.box)
            mean = (frame.truth.image - sky)[usable].mean(dtype=float) * 2 * width * frame.photo_calib.mean
            error = np.sqrt(frame.truth.variance[usable].mean() / usable.sum()) * 2 * width * frame.photo_calib.mean
            assert abs(mean - trail.flux_per_px) < 5 * error + 0.006 * trail.flux_per_px
            assert (frame.truth.mask & MaskPlane.STREAK).any()
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width is 0"),
        ({"bands": ()}, r"bands are \(\)"),
        ({"bands": ("r", "r")}, "different ones"),
        ({"n_template_nights": 9}, "0 to n_nights = 5"),
        ({"seeing_min_arcsec": 2.0}, "no range"),
    ],
)
def test_a_survey_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        SurveySpec(**changes)


def test_an_exposure_that_was_not_taken_is_refused(full):
    with pytest.raises(UsageError, match="visits 1 to 10 and detectors 0 to 1, not visit 11, detector 0"):
        full.frame(11, 0)
