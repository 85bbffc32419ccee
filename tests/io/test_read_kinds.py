"""Each kind of FITS file is recognised by what is in it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, NDUncertainty, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

from diapipe.errors import ReadError
from diapipe.images import Box, MaskPlane, PhotoCalib
from diapipe.images.exposure import IMAGES_LEFT
from diapipe.io import ReadOptions, read_exposure

SHAPE = (40, 50)
SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 25.0, "CRPIX2": 20.0}
SKY |= {"CD1_1": -5e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 5e-5}


def pixels(dtype: str = "f4") -> np.ndarray:
    return np.random.default_rng(3).integers(100, 200, SHAPE).astype(dtype)


def header(**cards: object) -> fits.Header:
    return fits.Header({**SKY, **{key.replace("__", "-"): value for key, value in cards.items()}})


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("hdu", [0, 1])
def test_single_image_of_any_type(tmp_path: Path, dtype: str, hdu: int) -> None:
    """A lone image, in HDU 0 or 1 and of any type, becomes native, contiguous float32 without mask or variance."""
    image = fits.PrimaryHDU(pixels(dtype), header()) if hdu == 0 else fits.ImageHDU(pixels(dtype), header())
    fits.HDUList([image] if hdu == 0 else [fits.PrimaryHDU(), image]).writeto(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    assert got.masked_image.image.dtype == np.dtype("f4")
    assert got.masked_image.image.dtype.isnative
    assert got.masked_image.image.flags.c_contiguous
    np.testing.assert_array_equal(got.masked_image.image, pixels())
    assert (got.has_mask, got.has_variance, got.name, got.unit) == (False, False, "a.fits", "adu")
    assert got.wcs is not None
    assert got.box == Box.from_shape(SHAPE)


@pytest.mark.parametrize("dtype", ["i2", "u2", "i4"])
def test_rice_compressed_image(tmp_path: Path, dtype: str) -> None:
    """A tile-compressed image of integers comes out bit for bit."""
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels(dtype), header())]).writeto(tmp_path / "a.fits.fz")
    np.testing.assert_array_equal(read_exposure(tmp_path / "a.fits.fz").masked_image.image, pixels())


def test_gzipped_file(tmp_path: Path) -> None:
    """A gzipped file reads as the plain one."""
    fits.PrimaryHDU(pixels(), header()).writeto(tmp_path / "a.fits")
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    np.testing.assert_array_equal(read_exposure(tmp_path / "b.fits.gz").masked_image.image, pixels())


def test_cube_of_one_plane(tmp_path: Path) -> None:
    """Axes of length 1 before the image's two are dropped."""
    fits.PrimaryHDU(pixels()[None, None], header()).writeto(tmp_path / "a.fits")
    assert read_exposure(tmp_path / "a.fits").masked_image.shape == SHAPE


def lsst_file(path: Path, *, names: str = "EXTNAME", compress: bool = False) -> None:
    mask = np.zeros(SHAPE, "i4")
    mask[1, 2], mask[3, 4], mask[5, 6], mask[7, 8] = 1 << 6, 1 << 0, 1 << 12, 1 << 13
    planes = {"IMAGE": pixels(), "MASK": mask, "VARIANCE": np.full(SHAPE, 9.0, "f4")}
    hdus: list[fits.PrimaryHDU | fits.ImageHDU] = [fits.PrimaryHDU()]
    for name, data in planes.items():
        cards = header(CTYPE1A="LINEAR", CTYPE2A="LINEAR", CRPIX1A=1, CRPIX2A=1, CRVAL1A=30, CRVAL2A=-7)
        cards["CUNIT1A"] = "PIXEL"
        cards[names] = name
        if name == "MASK":
            cards["MP_SAT"], cards["MP_BAD"], cards["HIERARCH MP_UNMASKEDNAN"] = 6, 0, 12
            cards["HIERARCH MP_CROSSTALK"], cards["MP_CR"] = 13, 3
        hdus.append(fits.CompImageHDU(data, cards, name=name) if compress else fits.ImageHDU(data, cards))
    fits.HDUList(hdus).writeto(path)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("names", ["EXTNAME", "EXTTYPE"])
def test_image_mask_variance(tmp_path: Path, names: str, compress: bool) -> None:
    """LSST's planes: bits by name, a synonym understood, an unknown one dropped and named, the parent's origin."""
    lsst_file(tmp_path / "a.fits", names=names, compress=compress)
    got = read_exposure(tmp_path / "a.fits")
    assert (got.has_mask, got.has_variance) == (True, True)
    assert got.box == Box(-7, 33, 30, 80)
    mask = got.masked_image.mask
    assert mask.dtype == np.int32
    assert mask[1, 2] == MaskPlane.SAT
    assert mask[3, 4] == MaskPlane.BAD
    assert mask[5, 6] == MaskPlane.NO_DATA
    assert mask[7, 8] == 0
    assert np.count_nonzero(mask) == 3
    assert got.metadata["MASK_PLANES_DROPPED"] == "CROSSTALK"
    np.testing.assert_allclose(got.masked_image.variance, 9.0)


def test_wcs_maps_parent_pixels(tmp_path: Path) -> None:
    """The reference pixel, FITS (25, 20) of the file, is 0-based parent (24 + 30, 19 - 7)."""
    lsst_file(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    assert got.wcs is not None
    np.testing.assert_allclose(got.wcs.all_pix2world(54.0, 12.0, 0), [150.0, 2.0], atol=1e-12)


def test_sci_err_dq(tmp_path: Path) -> None:
    """SCI/ERR/DQ: the variance is the error squared, any flag is BAD."""
    dq = np.zeros(SHAPE, "i2")
    dq[2, 3], dq[4, 5] = 4, 4096
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(pixels(), header(), name="SCI"),
            fits.ImageHDU(np.full(SHAPE, 3.0), name="ERR"),
            fits.ImageHDU(dq, name="DQ"),
        ]
    ).writeto(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    np.testing.assert_array_equal(got.masked_image.variance, 9.0)
    np.testing.assert_array_equal(got.masked_image.mask, np.where(dq, int(MaskPlane.BAD), 0))
    assert (got.has_mask, got.has_variance) == (True, True)


@pytest.mark.parametrize("has_version", [True, False])
def test_planes_of_the_chosen_chip(tmp_path: Path, has_version: bool) -> None:
    """Of a file of three chips each has its own error and flags: by EXTVER, or without it by those that follow."""
    hdus: list[fits.PrimaryHDU | fits.ImageHDU] = [fits.PrimaryHDU()]
    for chip in (1, 2, 3):
        flags = np.zeros(SHAPE, "i2")
        flags[chip, chip] = 1
        for data, name in ((pixels() + chip, "SCI"), (np.full(SHAPE, float(chip)), "ERR"), (flags, "DQ")):
            hdus.append(fits.ImageHDU(data, header(), name=name, ver=chip if has_version else None))
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    for chip in (1, 2, 3):
        got = read_exposure(tmp_path / "a.fits", options=ReadOptions(hdu=3 * chip - 2))
        np.testing.assert_array_equal(got.masked_image.image, pixels() + chip)
        np.testing.assert_array_equal(got.masked_image.variance, chip**2)
        assert np.argwhere(got.masked_image.mask).tolist() == [[chip, chip]]
        assert IMAGES_LEFT not in got.metadata
    assert "the first of 3 images of a.fits" in read_exposure(tmp_path / "a.fits").metadata[IMAGES_LEFT]


def test_a_chip_without_planes_takes_none_of_another(tmp_path: Path) -> None:
    hdus = [fits.ImageHDU(pixels(), header(), name="SCI", ver=ver) for ver in (1, 2)]
    error = fits.ImageHDU(np.full(SHAPE, 3.0), name="ERR", ver=1)
    fits.HDUList([fits.PrimaryHDU(), *hdus, error]).writeto(tmp_path / "a.fits")
    assert read_exposure(tmp_path / "a.fits", options=ReadOptions(hdu=1)).has_variance
    assert not read_exposure(tmp_path / "a.fits", options=ReadOptions(hdu=2)).has_variance


def test_unnamed_images_are_counted_and_planes_are_not(tmp_path: Path) -> None:
    """Two amplifiers without a name are told of; an image with its weight is one image."""
    images = [fits.ImageHDU(pixels(), header()) for _ in range(2)]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "a.fits")
    assert "the first of 2 images of a.fits" in read_exposure(tmp_path / "a.fits").metadata[IMAGES_LEFT]
    weight = fits.ImageHDU(np.ones(SHAPE, "f4"), name="WGT")
    fits.HDUList([fits.PrimaryHDU(pixels(), header()), weight]).writeto(tmp_path / "b.fits")
    assert IMAGES_LEFT not in read_exposure(tmp_path / "b.fits").metadata


def test_weight_is_inverse_variance(tmp_path: Path) -> None:
    """DES files: WGT holds the inverse variance, and 0 an unusable pixel."""
    weight = np.full(SHAPE, 0.25, "f4")
    weight[0, 0] = 0.0
    planes = [fits.ImageHDU(pixels(), header(), name="SCI"), fits.ImageHDU(weight, name="WGT")]
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits").masked_image
    assert got.variance[1, 1] == 4.0
    assert not got.usable()[0, 0]


@pytest.mark.parametrize(
    ("uncertainty", "variance"),
    [
        (StdDevUncertainty(np.full(SHAPE, 3.0)), 9.0),
        (VarianceUncertainty(np.full(SHAPE, 3.0)), 3.0),
        (InverseVariance(np.full(SHAPE, 0.25)), 4.0),
    ],
)
def test_ccddata(tmp_path: Path, uncertainty: NDUncertainty, variance: float) -> None:
    """A CCDData file: its kind of uncertainty, its mask, its unit, its WCS, its meta."""
    mask = np.zeros(SHAPE, bool)
    mask[1, 1] = True
    wcs = WCS(header())
    data = CCDData(pixels(), unit="adu", uncertainty=uncertainty, mask=mask, wcs=wcs, meta={"OBJECT": "M 31"})
    data.write(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    np.testing.assert_allclose(got.masked_image.variance, variance)
    np.testing.assert_array_equal(got.masked_image.mask, np.where(mask, int(MaskPlane.BAD), 0))
    assert (got.unit, got.metadata["OBJECT"]) == ("adu", "M 31")
    assert got.wcs is not None


def test_ccddata_brings_its_psf(tmp_path: Path) -> None:
    """PSFIMAGE becomes a constant PSF of unit sum."""
    image = np.outer(*2 * [np.exp(-0.5 * (np.arange(-7, 8) / 1.7) ** 2)])
    data = CCDData(pixels(), unit=u.nJy, psf=image)
    data.write(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    assert got.psf is not None
    np.testing.assert_allclose(got.psf.kernel_image(x=3.0, y=4.0), image / image.sum())
    assert got.unit == "nJy"


def test_an_oblong_psf_image_is_squared(tmp_path: Path) -> None:
    """Zeros around the shorter side: the middle stays the middle."""
    image = np.ones((3, 7))
    CCDData(pixels(), unit=u.nJy, psf=image).write(tmp_path / "a.fits")
    psf = read_exposure(tmp_path / "a.fits").psf
    assert psf is not None
    expected = np.zeros((7, 7))
    expected[2:5] = 1.0 / 21.0
    np.testing.assert_allclose(psf.kernel_image(x=3.0, y=4.0), expected)


@pytest.mark.parametrize(
    ("image", "said"),
    [(np.ones((8, 9)), "has 8 x 9 pixels"), (np.zeros((9, 9)), "sums to 0"), (np.full((9, 9), np.nan), "nan")],
)
def test_a_psf_image_without_middle_or_sum_is_refused(tmp_path: Path, image: np.ndarray, said: str) -> None:
    """One sentence with what was found; not a PSF measured in silence in its place."""
    CCDData(pixels(), unit=u.nJy, psf=image).write(tmp_path / "a.fits")
    with pytest.raises(ReadError, match=f"PSFIMAGE of a.fits .*{said}"):
        read_exposure(tmp_path / "a.fits")


def test_separate_files_override(tmp_path: Path) -> None:
    """Variance and mask of other files win over those of the image's file."""
    lsst_file(tmp_path / "a.fits")
    mask = np.zeros(SHAPE, "u1")
    mask[9, 9] = 7
    fits.PrimaryHDU(np.full(SHAPE, 2.5, "f8")).writeto(tmp_path / "v.fits")
    fits.PrimaryHDU(mask).writeto(tmp_path / "m.fits")
    got = read_exposure(tmp_path / "a.fits", variance=tmp_path / "v.fits", mask=tmp_path / "m.fits")
    np.testing.assert_array_equal(got.masked_image.variance, 2.5)
    assert got.masked_image.mask[9, 9] == MaskPlane.BAD
    assert np.count_nonzero(got.masked_image.mask) == 1


def test_separate_files_make_planes_present(tmp_path: Path) -> None:
    """A lone image with variance and mask files has both planes."""
    fits.PrimaryHDU(pixels(), header()).writeto(tmp_path / "a.fits")
    lsst_file(tmp_path / "b.fits")
    got = read_exposure(tmp_path / "a.fits", variance=tmp_path / "b.fits", mask=tmp_path / "b.fits")
    assert (got.has_variance, got.has_mask) == (True, True)
    assert got.masked_image.mask[1, 2] == MaskPlane.SAT
    assert got.masked_image.variance[0, 0] == 9.0


def test_pixels_without_value(tmp_path: Path) -> None:
    """NaN and infinity both become NaN with NO_DATA."""
    image = pixels()
    image[0, 1], image[2, 3] = np.nan, np.inf
    fits.PrimaryHDU(image, header()).writeto(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits").masked_image
    assert np.isnan(got.image[[0, 2], [1, 3]]).all()
    assert (got.mask[[0, 2], [1, 3]] == MaskPlane.NO_DATA).all()
    assert np.count_nonzero(got.mask) == 2


def test_usual_cards(tmp_path: Path) -> None:
    """Detector constants, time at mid-exposure in TAI, band and zero point from the cards that cameras write."""
    cards = header(
        GAIN=1.9, RDNOISE=5.0, SATURATE=55000, MJD__OBS=59000.5, EXPTIME=86.4, FILTER="i DECam SDSS c0003 7835.0"
    )
    cards["MAGZP"] = 25.0
    fits.PrimaryHDU(pixels(), cards).writeto(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    info = got.info
    assert (info.gain, info.read_noise, info.saturation, info.band) == (1.9, 5.0, 55000.0, "i")
    assert info.mjd_midpoint == pytest.approx(59000.5 + 43.2 / 86400 + 37 / 86400, abs=1e-9)
    assert got.photo_calib is not None
    assert got.photo_calib.mean == PhotoCalib.from_zero_point(25.0).mean
    assert got.unit == "adu"


def test_nothing_is_invented(tmp_path: Path) -> None:
    """Without cards there is no gain, no calibration, no WCS, no time."""
    fits.PrimaryHDU(pixels()).writeto(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    assert (got.wcs, got.photo_calib, got.psf) == (None, None, None)
    assert (got.info.gain, got.info.read_noise, got.info.saturation, got.info.band) == (None, None, None, "")
    assert np.isnan(got.info.mjd_midpoint)


def test_options_win_over_cards(tmp_path: Path) -> None:
    """What the caller says replaces what the cards say, and picks the HDU."""
    first, second = fits.ImageHDU(pixels(), name="ONE"), fits.ImageHDU(pixels() + 1, header(GAIN=1.0), name="TWO")
    fits.HDUList([fits.PrimaryHDU(), first, second]).writeto(tmp_path / "a.fits")
    options = ReadOptions(
        hdu="two", gain_e_per_count=2.0, read_noise_e=7.0, saturation_counts=1e4, zero_point_mag=31.4, band="z"
    )
    got = read_exposure(tmp_path / "a.fits", options=options)
    assert (got.info.gain, got.info.read_noise, got.info.saturation, got.info.band) == (2.0, 7.0, 1e4, "z")
    assert got.photo_calib is not None
    assert got.photo_calib.mean == pytest.approx(1.0, rel=1e-3)
    np.testing.assert_array_equal(got.masked_image.image, pixels() + 1)
    assert read_exposure(tmp_path / "a.fits", options=ReadOptions(hdu=1)).info.gain is None


def test_pixels_in_njy_are_calibrated(tmp_path: Path) -> None:
    """BUNIT nJy says that a count is a nanojansky."""
    fits.PrimaryHDU(pixels(), header(BUNIT="nJy")).writeto(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    assert got.unit == "nJy"
    assert got.photo_calib is not None
    assert got.photo_calib.mean == 1.0


def test_electrons_have_a_gain_of_one(tmp_path: Path) -> None:
    """The detector's gain has been applied where the pixels are electrons."""
    fits.PrimaryHDU(pixels(), header(BUNIT="electron", GAIN=1.9)).writeto(tmp_path / "a.fits")
    assert read_exposure(tmp_path / "a.fits").info.gain == 1.0


def test_odd_cards_are_no_trouble(tmp_path: Path) -> None:
    """Cards that break the standard are neither a crash nor a warning."""
    fits.PrimaryHDU(pixels(), header(OBJECT="field", GAIN=1.9)).writeto(tmp_path / "a.fits")
    raw = (tmp_path / "a.fits").read_bytes()
    for good, odd in [
        (b"OBJECT  = 'field   '", b"OBJECT  = field 3"),
        (b"GAIN    =                  1.9", b"GAIN    = 1.9 e-"),
    ]:
        assert good in raw
        raw = raw.replace(good, odd.ljust(len(good)), 1)
    (tmp_path / "a.fits").write_bytes(raw)
    got = read_exposure(tmp_path / "a.fits")
    assert got.masked_image.shape == SHAPE
    assert got.info.gain is None


def test_the_file_is_closed(tmp_path: Path) -> None:
    """The pixels do not depend on the file: it can be removed or rewritten after reading."""
    fits.PrimaryHDU(pixels(), header()).writeto(tmp_path / "a.fits")
    got = read_exposure(tmp_path / "a.fits")
    (tmp_path / "a.fits").write_bytes(b"")
    np.testing.assert_array_equal(got.masked_image.image, pixels())
