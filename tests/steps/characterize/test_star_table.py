"""The table of an image's sources and the line about the image, against what was put into it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from diapipe.catalogs.single_visit_stars import stars_of
from diapipe.catalogs.visit_summaries import magnitude_limit, visit_summary, zero_point
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, ObservationInfo, PhotoCalib
from diapipe.steps.characterize import characterize, exposure_summary, star_table

SIGMA, SKY, GAIN = 2.0, 400.0, 2.0


def placed(places: np.ndarray, fluxes: np.ndarray, *, side: int = 320, given: bool = True, seed: int = 3) -> Exposure:
    """Stars of a Gaussian PSF on a flat sky, with the noise of their photons."""
    psf = GaussianPsf(SIGMA, 29)
    image = np.full((side, side), SKY)
    for (x, y), flux in zip(places, fluxes, strict=True):
        column, row = round(x), round(y)
        image[row - 14 : row + 15, column - 14 : column + 15] += flux * psf.image_at(x=x, y=y)
    variance = image / GAIN
    noisy = np.random.default_rng(seed).normal(image, np.sqrt(variance))
    return Exposure(
        name="made",
        masked_image=MaskedImage.from_planes(noisy, variance=variance, box=Box(100, 100 + side, 50, 50 + side)),
        has_variance=given,
        has_mask=given,
        psf=psf if given else None,
        info=ObservationInfo(visit=7, detector=2, band="narrow band of oxygen", gain=GAIN),
    )


def grid(n: int, *, step: float, start: float = 30.0) -> np.ndarray:
    """Places of n x n stars, not on whole pixels."""
    at = start + step * np.arange(n)
    rng = np.random.default_rng(1)
    return np.stack(np.meshgrid(at, at), axis=-1).reshape(-1, 2) + rng.uniform(-0.5, 0.5, (n * n, 2))


def rows_at(table, places, box):
    """The row of each place."""
    x, y = np.asarray(table["x"]) - box.x0, np.asarray(table["y"]) - box.y0
    return np.array([int(np.argmin(np.hypot(x - a, y - b))) for a, b in places])


def test_psf_fluxes_are_those_of_the_stars():
    """81 single stars of 20,000 counts: pulls of mean 0 ± 0.11 and width 1 ± 0.08; three of these are allowed."""
    places = grid(9, step=32.0)
    exposure = placed(places, np.full(81, 2e4))
    table = star_table(characterize(exposure))
    rows = table[rows_at(table, places, exposure.box)]
    pull = (np.asarray(rows["psfFlux"]) - 2e4) / np.asarray(rows["psfFluxErr"])
    assert not rows["psfFlux_flag"].any()
    assert abs(pull.mean()) < 0.33
    assert abs(pull.std() - 1.0) < 0.24


def test_a_neighbour_is_taken_away():
    """25 pairs 4.5 σ apart, one star three times as bright: 3 exp(-4.5²/4) = 2% of the faint one's flux would be added,
    7 of its errors. The median of 25 pulls is known to 0.25; three of these are allowed.
    """
    places = grid(5, step=60.0)
    beside = places + np.array([9.0, 0.0])
    fluxes = np.concatenate([np.full(25, 1e5), np.full(25, 3e5)])
    exposure = placed(np.concatenate([places, beside]), fluxes)
    table = star_table(characterize(exposure))
    rows = table[rows_at(table, places, exposure.box)]
    pull = (np.asarray(rows["psfFlux"]) - 1e5) / np.asarray(rows["psfFluxErr"])
    assert abs(np.median(pull)) < 0.75


def test_the_list_of_stars_comes_back_from_its_table():
    """`stars_of` gives each array of the list bit by bit; the table has the whole name of the band."""
    found = characterize(placed(grid(6, step=48.0), np.geomspace(3e3, 1e5, 36)))
    table = star_table(found)
    assert set(table["band"]) == {"narrow band of oxygen"}
    again = stars_of(table)
    for name in ("x", "y", "flux", "flux_err", "peak", "is_star", "is_saturated", "is_isolated"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found.stars, name))


def test_an_image_without_sources_has_an_empty_table_and_a_summary():
    """A given PSF and no star: no row, and the line about the image still says sky and PSF."""
    found = characterize(placed(np.empty((0, 2)), np.empty(0)))
    table = star_table(found)
    summary = exposure_summary(found, table)
    assert len(table) == summary["nPsfStar"] == 0
    assert summary["skyBg"] == pytest.approx(SKY, abs=4.0 * np.sqrt(SKY / GAIN) / 100)
    assert np.isnan(summary["psfStarDeltaE1Median"])


def test_the_summary_says_what_the_image_is():
    """PSF size, area 4πσ², sky and its noise, corners, and stars of the PSF's shape, as they were put in.

    Shapes: e has the error 2/SNR·1/√2 a star, SNR 190 here, so the median of 81 has 0.001; sizes 0.0004 σ.
    """
    exposure = placed(grid(9, step=32.0), np.full(81, 2e4))
    found = characterize(exposure)
    row = exposure_summary(found, star_table(found))
    assert row["psfSigma"] == pytest.approx(SIGMA, rel=0.005)
    assert row["psfFwhm"] == pytest.approx(2.3548 * SIGMA, rel=0.005)
    assert row["psfArea"] == pytest.approx(4.0 * np.pi * SIGMA**2, rel=0.005)
    assert row["psfTraceRadiusDelta"] < 1e-6
    assert row["skyBg"] == pytest.approx(SKY, rel=0.01)
    assert row["skyNoise"] == pytest.approx(np.sqrt(SKY / GAIN), rel=0.02)
    assert row["nPsfStar"] == 81
    assert abs(row["psfStarDeltaE1Median"]) < 0.004
    assert row["psfStarDeltaSizeMedian"] == pytest.approx(0.0, abs=0.01)
    assert row["psfStarScaledDeltaSizeScatter"] == pytest.approx(row["psfStarDeltaSizeScatter"] / SIGMA**2, rel=0.02)
    assert (row["bbox_min_x"], row["bbox_min_y"], row["bbox_max_x"], row["bbox_max_y"]) == (50, 100, 369, 419)
    assert np.isnan(row["nJyPerCount"])


def test_a_psf_made_of_stars_says_of_which():
    """Where the image brings no PSF, the stars that made it are marked, and they are what the summary counts."""
    found = characterize(placed(grid(6, step=48.0), np.full(36, 3e4), given=False))
    table = star_table(found)
    assert table["calib_psf_used"].sum() == found.summary["n_psf_stars"] > 20
    assert exposure_summary(found, table)["nPsfStar"] == found.summary["n_psf_stars"]


def test_zero_point_and_limit():
    """One count of 363.1 nJy is magnitude 25; five times the noise of a PSF flux in a field without photons of its own
    is SNR σ √A, with them the root of C² = SNR² (C/g + σ²A).
    """
    row = {"id": 3, "visit": 1, "nJyPerCount": 363.078054770101, "psfArea": 25.0, "skyNoise": 4.0, "gain": 2.0}
    table = visit_summary([row, {**row, "id": 1, "gain": float("nan")}])
    assert list(table["id"]) == [1, 3]
    assert table["zeroPoint"][0] == pytest.approx(25.0, abs=1e-9)
    assert table["magLim"][0] == pytest.approx(25.0 - 2.5 * np.log10(5.0 * 4.0 * 5.0), abs=1e-9)
    counts = 10.0 ** (-0.4 * (table["magLim"][1] - 25.0))
    assert counts**2 == pytest.approx(25.0 * (counts / 2.0 + 400.0))
    assert np.isnan(zero_point(np.array([np.nan])))[0]
    assert np.isfinite(magnitude_limit(psf_area=1.0, sky_noise=1.0, gain=np.nan, zero_point=0.0))


def test_the_scale_of_the_file_stands_beside_each_star():
    """A calibration that varies gives each star its own; the summary has the mean."""
    exposure = replace(placed(grid(4, step=70.0), np.full(16, 2e4)), photo_calib=PhotoCalib(2.5, 0.1))
    found = characterize(exposure)
    table = star_table(found)
    np.testing.assert_array_equal(table["localPhotoCalib"], 2.5)
    summary = exposure_summary(found, table)
    assert (summary["nJyPerCount"], summary["nJyPerCountErr"]) == (2.5, 0.1)
