"""What diapipe writes it reads back as the same objects."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, Sip

from diapipe.errors import ReadError, WriteError
from diapipe.images import (
    Box,
    ChebyshevField,
    ConvolvedPsf,
    Difference,
    Exposure,
    GaussianPsf,
    ImageField,
    MaskedImage,
    MaskPlane,
    MeshField,
    ObservationInfo,
    PhotoCalib,
    PolynomialPsf,
    SpatialKernel,
)
from diapipe.io import read_difference, read_exposure, write_difference, write_exposure

BOX = Box(20, 84, -10, 110)


def sip_wcs() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.crval = [150.123456789012, -30.98765432109]
    wcs.wcs.crpix = [55.25, 40.5]
    wcs.wcs.cd = np.array([[-5.5e-5, 1e-7], [2e-7, 5.6e-5]])
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[2, 0], a[1, 1], b[0, 2], b[2, 1] = 1e-6, -2e-6, 3e-6, 1e-9
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.set()
    return wcs


def exposure(*, box: Box = BOX, seed: int = 5) -> Exposure:
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 5, box.shape).astype(np.float32)
    image[3, 4] = np.nan
    mask = np.zeros(box.shape, np.int32)
    mask[3, 4] = int(MaskPlane.NO_DATA)
    mask[10, 5:9] = int(MaskPlane.SAT | MaskPlane.INJECTED_TEMPLATE)
    return Exposure(
        name="visit 12",
        masked_image=MaskedImage.from_planes(image, mask=mask, variance=rng.uniform(20, 30, box.shape), box=box),
        wcs=sip_wcs(),
        psf=GaussianPsf(1.75, 21),
        photo_calib=PhotoCalib(3.5, 0.01, ChebyshevField(np.array([1.0, 0.01, -0.02]), box)),
        noise_correlation=rng.normal(0, 0.1, (3, 3)),
        info=ObservationInfo(visit=12, detector=3, band="r", mjd_midpoint=60123.123456789012, gain=1.4),
        aperture_corrections={"base_PsfFlux_instFlux": ChebyshevField.constant(1.02, box)},
        unit="adu",
        metadata={"AIRMASS": 1.2, "BORE-AIRMASS-AND-MORE": 1.25, "OBJECT": "a field", "DARK": True, "N": 7},
    )


def difference() -> Difference:
    rng = np.random.default_rng(6)
    kernel = SpatialKernel(ImageField(rng.normal(0, 1, (6, 11, 11)), BOX))
    whitening = SpatialKernel.constant(rng.normal(0, 1, (7, 7)), BOX)
    science = exposure()
    psf = ConvolvedPsf(
        PolynomialPsf(ImageField(rng.uniform(0.5, 1.0, (3, 15, 15)) * np.array([1.0, 0.1, 0.1])[:, None, None], BOX)),
        whitening,
    )
    return Difference(
        exposure=replace(science, psf=psf),
        kernel=kernel,
        background=ChebyshevField(rng.normal(0, 1, 10), BOX),
        convolved="template",
        matched_template=exposure(seed=8).masked_image,
        whitening=whitening,
        template_filter=SpatialKernel.constant(rng.normal(0, 1, (9, 9)), BOX),
        variance_factor=1.07,
        relative_error=0.013,
        static_error=0.0071,
        residual_background=MeshField(
            rng.normal(0, 1, (3, 4)), np.array([7.5, 55.5, 103.5, 151.0]), np.arange(3) * 48.0
        ),
    )


def assert_same_pixels(a: MaskedImage, b: MaskedImage) -> None:
    assert a.box == b.box
    for x, y in zip((a.image, a.mask, a.variance), (b.image, b.mask, b.variance), strict=True):
        assert x.dtype == y.dtype
        assert y.dtype.isnative
        assert y.flags.c_contiguous
        np.testing.assert_array_equal(x, y)


def assert_same_sky(a: WCS, b: WCS, box: Box) -> None:
    x, y = np.meshgrid([box.x0, box.x_center, box.x1], [box.y0, box.y_center, box.y1])
    np.testing.assert_allclose(a.all_pix2world(x, y, 0), b.all_pix2world(x, y, 0), rtol=0, atol=1e-11)


def test_exposure_round_trip(tmp_path: Path) -> None:
    """Every attribute of an exposure survives the file; the WCS to 0.04 microarcseconds, the pixels bit for bit."""
    before = exposure()
    write_exposure(before, tmp_path / "e.fits")
    after = read_exposure(tmp_path / "e.fits")
    assert_same_pixels(before.masked_image, after.masked_image)
    assert before.wcs is not None
    assert after.wcs is not None
    assert_same_sky(before.wcs, after.wcs, BOX)
    assert after.psf == before.psf
    assert after.photo_calib is not None
    assert (after.photo_calib.mean, after.photo_calib.error) == (3.5, 0.01)
    assert float(after.photo_calib.at(x=7.0, y=50.0)) == float(before.photo_calib.at(x=7.0, y=50.0))  # type: ignore[union-attr]
    np.testing.assert_array_equal(after.noise_correlation, before.noise_correlation)
    assert replace(after.info, exposure_time_s=0.0) == replace(before.info, exposure_time_s=0.0)
    assert list(after.aperture_corrections) == ["base_PsfFlux_instFlux"]
    assert after.aperture_corrections["base_PsfFlux_instFlux"].coefficients == [1.02]
    assert (after.name, after.unit, dict(after.metadata)) == (before.name, before.unit, dict(before.metadata))


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
def test_origin_of_planes_is_kept(tmp_path: Path, flags: tuple[bool, bool]) -> None:
    """Whether variance and mask were brought is part of the exposure."""
    write_exposure(replace(exposure(), has_variance=flags[0], has_mask=flags[1]), tmp_path / "e.fits")
    after = read_exposure(tmp_path / "e.fits")
    assert (after.has_variance, after.has_mask) == flags


def test_difference_round_trip(tmp_path: Path) -> None:
    """Kernel, background, PSF and whitening evaluate to the same numbers at any position after the round trip."""
    before = difference()
    write_difference(
        before, tmp_path / "d.fits", with_template=True, provenance={"SCIENCE": "a.fits", "CONFIG": {"n": 3}}
    )
    after = read_difference(tmp_path / "d.fits")
    assert_same_pixels(before.exposure.masked_image, after.exposure.masked_image)
    assert before.matched_template is not None
    assert after.matched_template is not None
    assert_same_pixels(before.matched_template, after.matched_template)
    assert after.convolved == "template"
    for x, y in [(0.0, 30.0), (100.0, 80.0)]:
        np.testing.assert_array_equal(after.kernel.image_at(x=x, y=y), before.kernel.image_at(x=x, y=y))
        np.testing.assert_array_equal(after.background.at(x=x, y=y), before.background.at(x=x, y=y))
        one, other = (d.template_filter.image_at(x=x, y=y) for d in (after, before))  # type: ignore[union-attr]
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(after.whitening.image_at(x=x, y=y), before.whitening.image_at(x=x, y=y))  # type: ignore[union-attr]
        np.testing.assert_array_equal(
            after.exposure.psf.kernel_image(x=x, y=y),  # type: ignore[union-attr]
            before.exposure.psf.kernel_image(x=x, y=y),  # type: ignore[union-attr]
        )
    assert after.variance_factor == before.variance_factor
    assert after.relative_error == before.relative_error
    assert after.static_error == before.static_error
    assert after.residual_background is not None
    assert before.residual_background is not None
    np.testing.assert_array_equal(after.residual_background.over(BOX), before.residual_background.over(BOX))
    header = fits.getheader(tmp_path / "d.fits")
    assert header["DPPROV SCIENCE"] == "a.fits"
    assert header["DPPROV CONFIG"] == '{"n": 3}'


def test_template_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    """The matched template has a file of its own on request; the difference's does not double for it."""
    write_difference(difference(), tmp_path / "d.fits")
    assert read_difference(tmp_path / "d.fits").matched_template is None


def test_compressed_round_trip(tmp_path: Path) -> None:
    """Rice keeps the mask bit for bit and floats to half a quantisation step, 1/32 of the noise, NaN staying NaN."""
    before = exposure()
    write_exposure(before, tmp_path / "e.fits", compress=True)
    after = read_exposure(tmp_path / "e.fits")
    np.testing.assert_array_equal(before.masked_image.mask, after.masked_image.mask)
    np.testing.assert_allclose(after.masked_image.image, before.masked_image.image, atol=5.0 / 16)
    assert after.wcs is not None


def test_planes_as_lsst_reads_them(tmp_path: Path) -> None:
    """Each plane has local CRPIX, the parent's origin in CRVAL1A and LTV1; the mask names its bits."""
    before = exposure()
    write_exposure(before, tmp_path / "e.fits")
    with fits.open(tmp_path / "e.fits") as hdus:
        assert [hdu.name for hdu in hdus][:4] == ["PRIMARY", "IMAGE", "MASK", "VARIANCE"]
        assert hdus[0].data is None
        for hdu in hdus[1:4]:
            assert (hdu.header["CRVAL1A"], hdu.header["CRVAL2A"]) == (-10, 20)
            assert (hdu.header["LTV1"], hdu.header["LTV2"]) == (10, -20)
            assert hdu.header["CRPIX1"] == 55.25 + 10
        assert hdus["MASK"].header["MP_DETECTED_NEGATIVE"] == 6
        assert hdus["MASK"].header["MP_BAD"] == 0


def test_writing_leaves_the_pixels_alone(tmp_path: Path) -> None:
    """The caller's arrays have the same bytes after writing as before."""
    before = exposure()
    copy = before.masked_image.image.copy()
    write_exposure(before, tmp_path / "e.fits")
    np.testing.assert_array_equal(before.masked_image.image, copy)


def test_no_half_file_is_left(tmp_path: Path) -> None:
    """A PSF that cannot be written ends in a WriteError with the old file whole and nothing beside it."""
    write_exposure(exposure(), tmp_path / "e.fits")
    old = (tmp_path / "e.fits").read_bytes()

    class NoLayout(GaussianPsf):
        pass

    with pytest.raises(WriteError, match="a NoLayout cannot be written to FITS"):
        write_exposure(replace(exposure(), psf=NoLayout(1.0)), tmp_path / "e.fits")
    assert (tmp_path / "e.fits").read_bytes() == old
    assert os.listdir(tmp_path) == ["e.fits"]


def test_newer_layout_is_refused(tmp_path: Path) -> None:
    """A file of a later layout is refused by its version, not misread."""
    write_exposure(exposure(), tmp_path / "e.fits")
    fits.setval(tmp_path / "e.fits", "DPLAYOUT", value=99)
    with pytest.raises(ReadError, match="layout version 99; this diapipe reads up to 1"):
        read_exposure(tmp_path / "e.fits")


def test_exposure_is_no_difference(tmp_path: Path) -> None:
    """An exposure's file has no kernel, and says so."""
    write_exposure(exposure(), tmp_path / "e.fits")
    with pytest.raises(ReadError, match="has no KERNEL"):
        read_difference(tmp_path / "e.fits")


def failing(error: BaseException) -> Callable[..., None]:
    def writeto(self: fits.HDUList, path: Path, **options: object) -> None:
        Path(path).write_bytes(b"half a file")
        raise error

    return writeto


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=str)
def test_disk_full_or_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """When writing stops half-way, the folder is as it was before; a full disk is a WriteError."""
    monkeypatch.setattr(fits.HDUList, "writeto", failing(error))
    with pytest.raises(WriteError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        write_difference(difference(), tmp_path / "d.fits")
    if isinstance(error, OSError):
        assert str(caught.value) == f"cannot write {tmp_path / 'd.fits'}: No space left on device"
    assert os.listdir(tmp_path) == []


def test_awkward_metadata(tmp_path: Path) -> None:
    """Long, non-ASCII, nested or non-finite values come back as they were; the provenance says them in its way."""
    values = {"LONG": "x" * 300, "UNICODE": "σ ≤ 5″", "NAN": float("nan"), "NESTED": [1, {"a": 2}], "QUOTE": "it's"}
    write_exposure(replace(exposure(), metadata=values), tmp_path / "e.fits", provenance=values)
    got = read_exposure(tmp_path / "e.fits").metadata
    assert got["LONG"] == "x" * 300
    assert got["QUOTE"] == "it's"
    assert got["UNICODE"] == "σ ≤ 5″"
    assert got["NESTED"] == [1, {"a": 2}]
    assert math.isnan(got["NAN"])
    said = fits.getheader(tmp_path / "e.fits")
    assert json.loads(said["DPPROV UNICODE"]) == "σ ≤ 5″"
    assert said["DPPROV NAN"] == "NaN"


def test_same_file_from_the_same_exposure(tmp_path: Path) -> None:
    """But for the date, writing twice gives the same bytes, compressed too."""
    for compress in (False, True):
        for name in ("a.fits", "b.fits"):
            write_exposure(exposure(), tmp_path / name, compress=compress)
            fits.setval(tmp_path / name, "DATE", value="2026-01-01T00:00:00")
        assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()


def test_other_programs_find_the_sky(tmp_path: Path) -> None:
    """Astropy, given the header of any plane, maps its local pixels to the exposure's sky."""
    before = exposure()
    write_exposure(before, tmp_path / "e.fits")
    assert before.wcs is not None
    for plane in ("IMAGE", "MASK", "VARIANCE"):
        local = WCS(fits.getheader(tmp_path / "e.fits", plane))
        np.testing.assert_allclose(
            local.all_pix2world(5.0, 6.0, 0),
            before.wcs.all_pix2world(BOX.x0 + 5.0, BOX.y0 + 6.0, 0),
            rtol=0,
            atol=1e-11,
        )
