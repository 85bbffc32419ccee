"""measure: one honest row a detection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from diapipe.catalogs.schema import DIA_SOURCE
from diapipe.errors import BadSubtractionError, PsfUndefinedError
from diapipe.images import (
    Box,
    ChebyshevField,
    Difference,
    Exposure,
    Footprints,
    GaussianPsf,
    MaskedImage,
    MaskPlane,
    ObservationInfo,
    Peaks,
    PhotoCalib,
    SpatialKernel,
)
from diapipe.steps.detect import detect
from diapipe.steps.measure import measure
from diapipe.steps.measure.flags import footprint_columns

PSF = GaussianPsf(1.8, 29)
ERROR = 10 / np.sqrt((PSF.kernel_image(x=0, y=0) ** 2).sum())
INFO = ObservationInfo(
    visit=2026010100042, detector=94, band="narrow band of oxygen", mjd_midpoint=61041.25, exposure_time_s=30.0
)


def tan_wcs() -> WCS:
    """0.2 arcsec a pixel, 0-based."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [60.0, -45.0], [256.0, 256.0]
    wcs.wcs.cd = np.array([[-0.2, 0.05], [0.05, 0.2]]) / 3600
    return wcs


def drawn(*sources, size=512):
    """Point sources (x, y, flux) without noise."""
    image = np.zeros((size + 60, size + 60))
    for x, y, flux in sources:
        at = Box.around(x=x, y=y, half=14)
        image[at.y0 + 30 : at.y1 + 30, at.x0 + 30 : at.x1 + 30] += flux * PSF.image_at(x=x, y=y)
    return image[30:-30, 30:-30]


def pair(image, *, template=0.0, mask=None, **more):
    """A difference with the given pixels of variance 100, and the science image that it came from."""
    box = Box.from_shape(image.shape)
    static = np.broadcast_to(np.asarray(template, float), image.shape)
    exposure = Exposure(
        name="difference",
        masked_image=MaskedImage.from_planes(image, mask=mask, variance=100.0),
        psf=PSF,
        info=INFO,
        **more,
    )
    difference = Difference(
        exposure=exposure,
        kernel=SpatialKernel.constant(np.ones((1, 1)), box),
        background=ChebyshevField.constant(0.0, box),
        convolved="template",
        matched_template=MaskedImage.from_planes(static, variance=10.0),
    )
    science = replace(exposure, name="science", masked_image=MaskedImage.from_planes(image + static, variance=90.0))
    return difference, science


def catalogue(difference, science, **more):
    return measure(difference, detect(difference.exposure), science=science, **more)


def grid(rng, snr, *, step=34, size=512):
    """Sources of one S/N at random sub-pixel places."""
    y, x = (v.ravel() + 0.0 for v in np.mgrid[step // 2 : size - 10 : step, step // 2 : size - 10 : step])
    x, y = x + rng.uniform(-0.5, 0.5, len(x)), y + rng.uniform(-0.5, 0.5, len(y))
    return x, y, np.full(len(x), snr * ERROR) * rng.choice([-1, 1], len(x))


def test_fluxes_and_positions_are_honest(rng):
    """450 sources of S/N 12, both signs: pulls of flux, x and y have mean 0 and width 1; flux unbiased to its error.

    Position chosen and all, the mean flux is right: four sigma of 450 sources are 4/(12 sqrt(450)) = 1.6%.
    """
    pulls = []
    for _ in range(2):
        x, y, flux = grid(rng, 12.0)
        difference, science = pair(rng.normal(0, 10, (512, 512)) + drawn(*zip(x, y, flux, strict=True)))
        table = catalogue(difference, science)
        assert len(table) == len(x)
        distance = np.hypot(table["x"][:, None] - x, table["y"][:, None] - y)
        k = np.argmin(distance, axis=1)
        assert distance.min(axis=1).max() < 1.0
        pulls.append(
            np.stack(
                [
                    (table["psfFlux"] - flux[k]) * np.sign(flux[k]) / table["psfFluxErr"],
                    (table["x"] - x[k]) / table["xErr"],
                    (table["y"] - y[k]) / table["yErr"],
                    (table["apFlux"] - flux[k]) / table["apFluxErr"],
                ]
            )
        )
        assert np.array_equal(table["isNegative"], flux[k] < 0)
        assert np.asarray(table["dp_bad"]).mean() < 0.005
        assert not table["centroid_flag"].any()
    values = np.concatenate(pulls, axis=1)
    n = values.shape[1]
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=4 / np.sqrt(n))
    np.testing.assert_allclose(values.std(axis=1), 1, atol=4 / np.sqrt(2 * n))


def test_forced_fluxes_belong_to_the_images(rng):
    """The flux on science less that on template is the difference flux at the same place, exactly without noise."""
    star = drawn((200.0, 200.0, 40000.0))
    difference, science = pair(drawn((200.2, 200.1, 6000.0), (320.3, 310.2, -3000.0)), template=star)
    table = catalogue(difference, science)
    assert table["scienceFlux"][0] == pytest.approx(46000, rel=0.01)
    assert table["templateFlux"][0] == pytest.approx(40000, rel=0.01)
    np.testing.assert_allclose(table["scienceFlux"] - table["templateFlux"], table["psfFlux"], rtol=2e-3)
    assert table["templateFlux"][1] == pytest.approx(0, abs=1)


def test_touching_sources_do_not_spoil_each_other(rng):
    """Of pairs 8 px apart both fluxes are right: mean pull 0 within four sigma, where a blend alone would give +1.5."""
    pulls = []
    x, y, flux = grid(rng, 25.0, step=60)
    flux = np.abs(flux)
    mates = list(zip(x + 8, y, flux, strict=True))
    table = catalogue(*pair(rng.normal(0, 10, (512, 512)) + drawn(*zip(x, y, flux, strict=True), *mates)))
    assert len(table) == 2 * len(x)
    pulls = (table["psfFlux"] - 25 * ERROR) / table["psfFluxErr"]
    assert abs(np.mean(pulls)) < 4 / np.sqrt(len(pulls)) + 0.15
    assert not table["dp_bad"].any()


def test_sky_positions_and_their_errors():
    """ra, dec are those of the WCS at x, y; errors follow the pixel scale; moments are in square arc seconds."""
    wcs = tan_wcs()
    difference, science = pair(drawn((200.2, 100.1, 5000.0)), wcs=wcs)
    row = catalogue(difference, science)[0]
    ra, dec = wcs.pixel_to_world_values(row["x"], row["y"])
    assert (row["ra"], row["dec"]) == (pytest.approx(float(ra), abs=1e-12), pytest.approx(float(dec), abs=1e-12))
    scale = np.hypot(0.2, 0.05) / 3600
    assert row["raErr"] == pytest.approx(scale * row["xErr"], rel=1e-2)
    assert row["decErr"] == pytest.approx(scale * row["yErr"], rel=1e-2)
    assert row["ixx"] == pytest.approx(1.8**2 * (0.2**2 + 0.05**2), rel=0.05)
    assert row["extendedness"] < 0.05


def test_calibration_multiplies_fluxes_only():
    """With 2 nJy a count, fluxes and errors double and say nJy; S/N, x and flags stay."""
    image = drawn((200.2, 100.1, 5000.0))
    plain, calibrated = catalogue(*pair(image))[0], catalogue(*pair(image, photo_calib=PhotoCalib(2.0)))[0]
    for name in ("psfFlux", "psfFluxErr", "apFlux", "scienceFlux", "templateFluxErr"):
        assert calibrated[name] == pytest.approx(2 * plain[name], rel=1e-6)
    assert calibrated["snr"] == plain["snr"]
    assert str(calibrated.columns["psfFlux"].unit) == "nJy"
    assert str(plain.columns["psfFlux"].unit) == "adu"


def test_pixel_flags_tell_centre_from_footprint():
    """A saturated pixel 5 px away flags the footprint, a template's cosmic ray on the core the source as bad."""
    mask = np.zeros((512, 512), np.int32)
    mask[100, 205], mask[300, 300] = MaskPlane.SUSPECT, MaskPlane.CR_TEMPLATE
    table = catalogue(*pair(drawn((200.0, 100.0, 9000.0), (300.0, 300.0, 5000.0)), mask=mask))
    assert table["pixelFlags_suspect"].tolist() == [True, False]
    assert not table["pixelFlags_suspectCenter"].any()
    assert table["dp_badPixel"].tolist() == [False, True]
    assert table["dp_bad"].tolist() == [False, True]


def test_residuals_are_recognised(rng):
    """A cosmic ray, a 1% residual of a bright star and a dipole on one are cut; a host's transient is not."""
    star, host = drawn((100.0, 100.0, 4e5), (300.0, 100.0, 4e5)), 4000 * np.exp(-0.5 * 12.0**-2)
    y, x = np.mgrid[:512, :512]
    template = star + host * np.exp(-0.5 * ((x - 100) ** 2 + (y - 400) ** 2) / 12.0**2) / 20
    image = rng.normal(0, 10, (512, 512)) + drawn((100, 100, 3000.0), (105.0, 400.0, 800.0))
    image += drawn((299.0, 100.0, 4000.0), (301.0, 100.0, -4000.0))
    image[300, 300] += 500.0
    table = catalogue(*pair(image, template=template))

    def nearest(x0, y0):
        return table[np.argmin(np.hypot(table["x"] - x0, table["y"] - y0))]

    assert nearest(300, 300)["dp_sharpness"] > 10
    assert nearest(300, 300)["dp_bad"]
    assert nearest(100, 100)["dp_bad"]
    assert nearest(300, 100)["dp_bad"]
    assert nearest(300, 100)["isDipole"]
    assert not nearest(105, 400)["dp_bad"]


def test_identity(rng):
    """Visit, detector, band and time are the exposure's; identifiers are unique and not zero."""
    table = catalogue(*pair(drawn((100.0, 100.0, 5000.0), (200.0, 300.0, 4000.0))))
    assert set(table["visit"]) == {INFO.visit}
    assert set(table["detector"]) == {94}
    assert set(table["band"]) == {INFO.band}
    assert set(table["midpointMjdTai"]) == {61041.25}
    assert set(table["exposureTime"]) == {INFO.exposure_time_s}
    assert np.isnan(table["timeWithdrawnMjdTai"]).all()
    assert len(set(table["diaSourceId"])) == 2


def test_columns_of_the_data_model_that_follow_from_others():
    """The likelihood that of χ², good moments without flags, an algorithm where a trail was fitted."""
    table = catalogue(*pair(drawn((100.0, 100.0, 5000.0), (200.0, 300.0, 4000.0))))
    np.testing.assert_allclose(table["psfLnL"], -0.5 * table["psfChi2"], rtol=1e-6)
    assert not table["shape_flag_no_pixels"].any()
    assert not table["shape_flag_not_contained"].any()
    assert (table["trailAlgorithm"] == (np.asarray(table["trailNdata"]) > 0)).all()


def test_a_centroid_may_lie_beside_its_footprint():
    """On the last half pixel of the footprint's box it is inside, just beyond it not."""
    spans = np.array([[10, 20, 25], [11, 20, 25]])
    at = np.array([22.0, 22.0, 22.0])
    peaks = Peaks(at, at, at, np.zeros(3, np.int64), *np.full((3, 3), np.nan))
    footprints = Footprints(spans=spans, offsets=np.array([0, 2]), peaks=peaks, box=Box.from_shape((50, 50)))
    found = footprint_columns(footprints, x=np.array([19.5, 19.4, 22.0]), y=np.array([10.0, 10.0, 11.6]))
    assert found["shape_flag_not_contained"].tolist() == [False, True, True]
    assert found["bboxSize"].tolist() == [5, 5, 5]


def test_no_detections():
    """An empty difference gives an empty table with all columns."""
    table = catalogue(*pair(np.zeros((60, 50))))
    assert len(table) == 0
    assert table.colnames == [column.name for column in DIA_SOURCE]


def test_sources_at_the_edge_are_measured_and_flagged():
    """A source on the first row: a flux within 5% from half a PSF, the edge flagged, no aperture flux, dp_bad."""
    row = catalogue(*pair(drawn((200.0, 0.0, 9000.0))))[0]
    assert row["psfFlux"] == pytest.approx(9000, rel=0.05)
    assert row["psfFlux_flag_edge"]
    assert row["apFlux_flag_apertureTruncated"]
    assert np.isnan(row["apFlux"])
    assert row["dp_bad"]


def test_threads_change_nothing(rng):
    """One or three threads: the same bits."""
    x, y, flux = grid(rng, 12.0, step=25)
    difference, science = pair(rng.normal(0, 10, (512, 512)) + drawn(*zip(x, y, flux, strict=True)))
    found = detect(difference.exposure)
    one, three = (measure(difference, found, science=science, n_threads=n) for n in (1, 3))
    for name in one.colnames:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(three[name]))


def test_refusals(rng):
    """No PSF, or far too many detections: one sentence."""
    difference, science = pair(drawn((100.0, 100.0, 5000.0)))
    found = detect(difference.exposure)
    with pytest.raises(PsfUndefinedError, match="difference has no PSF"):
        measure(replace(difference, exposure=replace(difference.exposure, psf=None)), found, science=science)
    many = replace(found.footprints, peaks=found.footprints.peaks.select(np.zeros(20000, np.int64)))
    with pytest.raises(BadSubtractionError, match=r"20000 detections, fewer than 16384 .* a higher --threshold"):
        measure(difference, replace(found, footprints=many), science=science)


def test_noise_that_is_correlated_makes_no_source_sharp():
    """The residual of a crowded field correlates pixels by a few per cent over many: errors of fluxes grow by two and
    more, and a pixel is as far above the PSF as it was, which is by nothing.
    """
    offset = np.arange(-12, 13)
    correlation = 0.09 * np.exp(-0.5 * (offset**2 + offset[:, None] ** 2) / 6.0**2)
    correlation[12, 12] = 1.0
    image = drawn((200.3, 100.0, 30.0 * ERROR))
    white, correlated = (catalogue(*pair(image, noise_correlation=c)) for c in (None, correlation))
    assert correlated["psfFluxErr"][0] > 2.0 * white["psfFluxErr"][0]
    assert correlated["dp_sharpness"][0] == pytest.approx(white["dp_sharpness"][0], abs=0.05)
    assert not correlated["dp_bad"][0]
