"""What is true of a difference against what was found: positions, fluxes, causes."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.errors import InputError
from diapipe.images import (
    Box,
    ChebyshevField,
    Difference,
    Exposure,
    GaussianPsf,
    MaskedImage,
    MaskPlane,
    PhotoCalib,
    SpatialKernel,
)
from diapipe.steps.validate import (
    KNOWN,
    causes_of,
    expected_noise_density,
    judge,
    seen_on,
    truth_table,
    with_known_objects,
)

SIGMA, VARIANCE = 2.0, 4.0
BOX = Box(10, 210, 20, 220)


def _difference(*, calib=None, image=None):
    planes = MaskedImage.from_planes(np.zeros(BOX.shape) if image is None else image, variance=VARIANCE, box=BOX)
    exposure = Exposure(name="made", masked_image=planes, psf=GaussianPsf(SIGMA), photo_calib=calib)
    kernel, level = SpatialKernel.constant(np.ones((1, 1)), BOX), ChebyshevField.constant(0.0, BOX)
    return Difference(exposure=exposure, kernel=kernel, background=level, convolved="template")


def _truth(rows):
    """Rows of x, y, flux, kind."""
    return Table(rows=rows, names=("x", "y", "flux", "kind"))


def _found(x, y, **columns):
    n = len(x)
    given = {"diaSourceId": np.arange(1, n + 1), "x": np.array(x, float), "y": np.array(y, float)}
    given |= {"psfFlux": np.full(n, 100.0), "psfFluxErr": np.full(n, 10.0), "snr": np.full(n, 10.0)}
    given |= {name: np.asarray(value) for name, value in columns.items()}
    return dia_source_table(given, n=n, flux_unit="adu")


def _judged(difference, sources, truth):
    return judge(difference, sources, truth, threshold_sigma=5.0)


def test_snr_is_flux_over_the_error_of_an_ideal_fit():
    """In white noise the error of a Gaussian's flux is σ_pixel √(4π) σ_psf; at a border half of the light is lost."""
    truth = _truth(
        [(100.0, 100.0, 500.0, "hostless"), (19.5, 100.0, 500.0, "hostless"), (300.0, 100.0, 1.0, "hostless")]
    )
    seen = seen_on(_difference(), truth[[0]])
    error = np.sqrt(VARIANCE) * np.sqrt(4 * np.pi) * SIGMA
    assert seen["snr_true"][0] == pytest.approx(500.0 / error, rel=1e-3)
    border = seen_on(_difference(), _truth([(20.0, 100.0, 500.0, "hostless")]))
    # half of the profile and half of the pixel's row that the middle lies on
    assert border["snr_true"][0] / seen["snr_true"][0] == pytest.approx(np.sqrt(0.5), abs=0.1)
    assert len(seen_on(_difference(), truth)) == 1


def test_snr_knows_that_noise_is_correlated():
    """The variance of Σ P n / Σ P² is Σ_ij P_i ρ_ij P_j / (ΣP²)² times that of a pixel: by the double sum here."""
    rho = np.array([[0.05, 0.1, 0.05], [0.1, 1.0, 0.1], [0.05, 0.1, 0.05]])
    difference = _difference()
    correlated = replace(difference, exposure=replace(difference.exposure, noise_correlation=rho))
    truth = _truth([(100.0, 100.0, 500.0, "hostless")])
    white, coloured = (float(seen_on(one, truth)["snr_true"][0]) for one in (difference, correlated))
    profile = difference.exposure.psf.image_at(x=100.0, y=100.0)
    padded, n = np.pad(profile, 1), len(profile)
    shifted = [padded[1 + j : 1 + j + n, 1 + i : 1 + i + n] for j in (-1, 0, 1) for i in (-1, 0, 1)]
    gain = sum(r * (profile * s).sum() for r, s in zip(rho.ravel(), shifted, strict=True)) / (profile**2).sum()
    assert coloured == pytest.approx(white / np.sqrt(gain), rel=1e-6)
    assert gain > 1.4


def test_what_other_visits_saw_at_a_place_is_no_noise():
    """A source within half an arcsecond of an object has that for its cause, unless it was put in."""
    judged = _judged(
        _difference(), _found([50.0, 90.0, 130.0], [60.0, 60.0, 60.0]), _truth([(130.0, 60.0, 500.0, "star")])
    )
    judged.sources["ra"], judged.sources["dec"] = [10.0, 10.1, 10.2], [0.0, 0.0, 0.0]
    objects = Table({"ra": [10.0 + 0.4 / 3600, 10.1 + 0.6 / 3600, 10.2], "dec": [0.0, 0.0, 0.0]})
    cause = with_known_objects(judged, objects).sources["cause"]
    assert (cause == KNOWN).tolist() == [True, False, False]


def test_unusable_pixels_near_a_place_are_told():
    """A bad pixel two away spoils a place, one three away does not."""
    difference = _difference()
    planes = difference.exposure.masked_image
    mask = planes.mask.copy()
    mask[100 - BOX.y0, 102 - BOX.x0] = int(MaskPlane.SAT_TEMPLATE)
    difference = replace(difference, exposure=replace(difference.exposure, masked_image=replace(planes, mask=mask)))
    seen = seen_on(difference, _truth([(100.0, 100.0, 1.0, "hostless"), (99.0, 100.0, 1.0, "hostless")]))
    assert seen["is_usable"].tolist() == [False, True]


def test_fluxes_are_calibrated():
    """Truth in counts is compared in nJy where the difference has a calibration."""
    seen = seen_on(_difference(calib=PhotoCalib(3.0)), _truth([(100.0, 100.0, 50.0, "hostless")]))
    assert seen["flux"][0] == 150.0
    assert str(seen["flux"].unit) == "nJy"


def test_sources_and_truth_are_brought_together():
    """The nearest source within the radius is the true one's, if any; a good one goes before a bad one."""
    truth = _truth([(50.0, 60.0, 90.0, "hostless"), (100.0, 100.0, 90.0, "hostless"), (150.0, 150.0, 90.0, "hostless")])
    sources = _found([51.0, 100.4, 99.0, 155.0], [60.5, 100.0, 100.0, 150.0], dp_bad=[False, True, False, False])
    judged = _judged(_difference(), sources, truth)
    assert judged.truth["diaSourceId"].tolist() == [1, 3, 0]
    assert judged.truth["is_good"].tolist() == [True, True, False]
    assert judged.truth["dx"][0] == 1.0
    assert judged.truth["dy"][0] == 0.5
    assert judged.truth["measured"][:2].tolist() == [100.0, 100.0]
    assert np.isnan(judged.truth["measured"][2])
    assert judged.sources["is_true"].tolist() == [True, True, True, False]


def test_what_is_too_faint_explains_nothing():
    """A true change of S/N below one is no reason for a source; one just above is."""
    error = np.sqrt(VARIANCE) * np.sqrt(4 * np.pi) * SIGMA
    for snr, explains in ((0.9, False), (1.1, True)):
        judged = _judged(_difference(), _found([50.0], [60.0]), _truth([(50.0, 60.0, snr * error, "hostless")]))
        assert judged.sources["is_true"].tolist() == [explains]


def test_what_is_unknown_is_not_wanted_and_explains_what_is_found():
    """Of unknown flux, NaN, or on pixels that the truth's own mask calls spoilt: no completeness, no false source."""
    table = _truth([(50.0, 60.0, np.nan, "hostless"), (100.0, 100.0, 900.0, "hostless"), (150.0, 90.0, 900.0, "star")])
    table["is_known"], table["mask"] = [False, True, True], [0, int(MaskPlane.CR), int(MaskPlane.DETECTED)]
    difference = _difference()
    truth = truth_table(table, difference, name="the truth")
    judged = _judged(difference, _found([50.0, 100.0], [60.0, 100.0]), truth)
    assert judged.truth["is_usable"].tolist() == [False, False, True]
    assert judged.sources["is_true"].tolist() == [True, True]


def test_sky_sources_are_none():
    """Where nothing was detected nothing is false, and nothing true is found."""
    truth = _truth([(50.0, 60.0, 900.0, "hostless"), (100.0, 100.0, 900.0, "hostless")])
    sources = _found([50.0, 100.0, 150.0], [60.0, 100.0, 150.0], sky_source=[False, True, True])
    judged = _judged(_difference(), sources, truth)
    assert judged.sources["diaSourceId"].tolist() == [1]
    assert judged.truth["is_good"].tolist() == [True, False]
    besides = judge(_difference(), sources, truth, threshold_sigma=5.0, others=sources[1:])
    assert besides.truth["is_apart"].tolist() == [True, True]


def test_no_flux_is_no_change():
    """A row of it is neither wanted nor found, and has no S/N to take the logarithm of."""
    judged = _judged(_difference(), _found([50.0], [60.0]), _truth([(50.0, 60.0, 0.0, "hostless")]))
    assert not judged.truth["is_usable"].any()
    assert not judged.sources["is_true"].any()


@pytest.mark.parametrize(
    ("unit", "pixels", "expected"),
    [
        ("nJy", "adu", 450.0),
        ("uJy", "adu", 45e4),
        ("uJy", "nJy", 9e5),
        ("count", "adu", 900.0),
        (None, "adu", 900.0),
    ],
)
def test_fluxes_are_in_the_unit_of_the_pixels(unit, pixels, expected):
    """A count is worth 2 nJy; fluxes without a unit, and counts by another name, are those of the pixels."""
    table = _truth([(50.0, 60.0, 900.0, "hostless")])
    table["flux"].unit = unit
    exposure = replace(_difference().exposure, unit=pixels, photo_calib=PhotoCalib(1.0 if pixels == "nJy" else 2.0))
    truth = truth_table(table, replace(_difference(), exposure=exposure), name="the truth")
    assert truth["flux"].tolist() == pytest.approx([expected])


@pytest.mark.parametrize(("unit", "said"), [("mag", "is in mag; nJy or adu is needed"), ("Jy", "no calibration")])
def test_fluxes_in_another_unit_are_refused(unit, said):
    table = _truth([(50.0, 60.0, 900.0, "hostless")])
    table["flux"].unit = unit
    difference = _difference()
    bare = replace(difference, exposure=replace(difference.exposure, unit="adu", photo_calib=None))
    with pytest.raises(InputError, match=said):
        truth_table(table, bare, name="the truth")


def test_trail_is_found_at_its_end_and_measured_as_a_trail():
    """What moved by 20 px may be found 11 px from its middle; its flux is that of the trail, if one was fitted."""
    truth = _truth([(100.0, 100.0, 900.0, "trailed"), (50.0, 50.0, 900.0, "hostless")])
    truth["trail_length"], truth["trail_angle"] = [20.0, 0.0], [0.0, 0.0]
    sources = _found(
        [111.0, 61.0], [100.0, 50.0], trailFlux=[880.0, 880.0], trailFluxErr=[30.0, 30.0], trail_flag=[False, False]
    )
    judged = _judged(_difference(), sources, truth)
    assert judged.truth["measured"][0] == 880.0
    assert judged.truth["measured_err"][0] == 30.0
    assert judged.truth["diaSourceId"].tolist() == [1, 0]
    sources["trail_flag"] = True
    assert _judged(_difference(), sources, truth).truth["measured"][0] == 100.0


@pytest.mark.parametrize(
    ("columns", "cause"),
    [
        ({}, "unknown"),
        ({"snr": [6.4]}, "noise"),
        ({"snr": [-6.4]}, "noise"),
        ({"pixelFlags_edge": [True]}, "edge"),
        ({"pixelFlags_streak": [True]}, "artefact"),
        ({"glint_trail": [True]}, "artefact"),
        ({"pixelFlags_cr": [True]}, "cosmic ray"),
        ({"dp_sharpness": [6.0]}, "cosmic ray"),
        ({"pixelFlags_edge": [True], "pixelFlags_cr": [True]}, "edge"),
        ({"dp_starRatio": [0.09]}, "bright star"),
        ({"dp_starRatio": [0.11]}, "unknown"),
        ({"dp_templateRatio": [0.4]}, "galaxy"),
        ({"dp_starRatio": [0.09], "dp_templateRatio": [0.4]}, "bright star"),
    ],
)
def test_flags_and_brightness_tell_causes(columns, cause):
    """Each flag its cause, the first of the list where there are several."""
    assert causes_of(_found([50.0], [60.0], **columns)).tolist() == [cause]


def test_no_sources_have_no_causes():
    """An empty table is answered by an empty array."""
    assert causes_of(_found([], [])).tolist() == []


@pytest.mark.slow
def test_noise_makes_as_many_sources_as_expected():
    """Peaks of filtered white noise beyond 3.5 sigma on 4 million pixels: the expected number within 4 roots."""
    from scipy.ndimage import maximum_filter
    from scipy.signal import fftconvolve

    psf, threshold, n_expected, n_found = GaussianPsf(SIGMA), 3.5, 0.0, 0
    image = psf.kernel_image(x=0.0, y=0.0)
    rng = np.random.default_rng(3)
    for _ in range(4):
        noise = fftconvolve(rng.normal(size=(1040, 1040)), image, mode="same")[20:-20, 20:-20]
        noise /= np.sqrt((image**2).sum())
        for sign in (1.0, -1.0):
            peaks = (sign * noise > threshold) & (noise * sign == maximum_filter(sign * noise, 3))
            n_found += int(peaks.sum())
        n_expected += noise.size * expected_noise_density(psf, x=0.0, y=0.0, threshold=threshold)
    assert n_expected > 400
    # beyond 3.5 sigma hardly a region has two maxima, or none: the formula's own error is below the counting error
    assert abs(n_found - n_expected) < 4 * np.sqrt(n_expected)


def test_difference_without_psf_is_refused():
    """The message names it."""
    difference = _difference()
    bare = replace(difference, exposure=replace(difference.exposure, psf=None))
    with pytest.raises(InputError, match="the difference made has no PSF"):
        _judged(bare, _found([], []), _truth([(50.0, 60.0, 1.0, "hostless")]))


@pytest.mark.parametrize(
    ("distance", "flux", "length", "apart"),
    [(4.0, 500.0, 0.0, False), (6.0, 500.0, 0.0, True), (6.0, 500.0, 6.0, False), (4.0, 1.0, 0.0, True)],
)
def test_two_changes_within_a_fwhm_are_not_judged(distance, flux, length, apart):
    """Of 4.7 px, their light is one source, and so is that of a trail with what lies beside it; what is fainter than
    the noise disturbs nothing.
    """
    truth = Table(
        {"x": [100.0, 100.0 + distance], "y": [100.0, 100.0], "flux": [500.0, flux], "kind": ["hostless"] * 2}
    )
    truth["trail_length"] = [0.0, length]
    judged = _judged(_difference(), _found([], []), truth).truth
    assert judged["is_usable"][0] == judged["is_apart"][0] == apart
    assert (judged["why_missed"][0] == "another change beside it") == (not apart)


def test_what_lies_on_something_that_changes_anyway_is_not_judged():
    """A transient of the sky itself: its light would be taken for an error of the flux; it explains no source."""
    truth = _truth([(50.0, 100.0, 500.0, "hostless"), (150.0, 100.0, 500.0, "hostless")])
    sources, others = (
        _found([50.0, 80.0, 150.0], [100.0, 100.0, 100.0]),
        Table({"x": [52.0, 80.0], "y": [102.0, 100.0]}),
    )
    judged = judge(_difference(), sources, truth, threshold_sigma=5.0, others=others)
    np.testing.assert_array_equal(judged.truth["is_usable"], [False, True])
    np.testing.assert_array_equal(judged.sources["is_true"], [True, False, True])
