"""The files of real cameras and of the LSST stack, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from diapipe.errors import InputError, ReadError
from diapipe.images import Box, GaussianPsf, MaskPlane
from diapipe.images.tan_sip import fit_sip
from diapipe.io import ast_text, read_exposure, write_exposure
from diapipe.io.afw_archive import Archive
from diapipe.io.afw_psf import sky_mapping
from diapipe.io.fits_file import opened

DATA = Path(__file__).parents[3] / "shared" / "data"
AFW = DATA / "lsst_afw_format"
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not AFW.is_dir(), reason="no real data beside the checkout (../shared/data)"),
]

NO_IMAGE = {
    "afw__deepCoadd_meas_HSC_v2.fits",
    "afw__exposure_catalog_v1.fits",
    "afw__jointcal_wcs-0034772-004.fits",
    "afw__photoCalib-version1.fits",
    "afw__ticket42210.fits",
    "drp_tasks__visitSummary_1176.fits",
    "drp_tasks__visitSummary_36434.fits",
    "drp_tasks__visitSummary_36446.fits",
    "obs_base__source_catalog.fits",
}
NO_VARIANCE = {"obs_base__small.fits", "pipe_tasks__testCoaddInputs_coadd_with_version_1_data.fits"}
AST_FILES = ["obs_base__calexp.fits", "afw__exposure-version-2.fits", "afw__exposure-noversion.fits"]


def files(folder: str, pattern: str) -> list[Path]:
    return sorted((DATA / folder).rglob(pattern))


@pytest.mark.parametrize("path", files("lsst_afw_format", "*.fits*"), ids=lambda path: path.name)
def test_every_afw_file(path: Path, tmp_path: Path) -> None:
    """Each file is read, or refused in one sentence for the reason known; what is read survives a round trip."""
    if path.name in NO_IMAGE:
        with pytest.raises(ReadError, match=r"holds no image"):
            read_exposure(path)
        return
    if path.name in NO_VARIANCE:
        with pytest.raises(InputError, match="no pixel's variance is positive"):
            read_exposure(path)
        return
    before = read_exposure(path)
    write_exposure(before, tmp_path / "e.fits")
    after = read_exposure(tmp_path / "e.fits")
    np.testing.assert_array_equal(after.masked_image.image, before.masked_image.image)
    np.testing.assert_array_equal(after.masked_image.mask, before.masked_image.mask)
    assert after.box == before.box
    assert dict(after.metadata) == dict(before.metadata)
    assert set(after.aperture_corrections) == set(before.aperture_corrections)


@pytest.mark.parametrize("path", files("moa2013blg475", "*.fz"), ids=lambda path: path.name)
def test_every_moa_epoch(path: Path) -> None:
    """Rice-compressed uint16 in HDU 1: constants of the README, a WCS near the field."""
    got = read_exposure(path)
    assert got.box == Box(0, 512, 0, 512)
    assert (got.has_mask, got.has_variance) == (False, False)
    assert (got.info.gain, got.info.read_noise, got.info.saturation, got.info.band) == (1.9, 5.0, 55000.0, "I")
    assert 56470 < got.info.mjd_midpoint < 56520
    assert got.masked_image.image.max() <= 65535
    assert got.wcs is not None
    ra, dec = got.wcs.all_pix2world(255.5, 255.5, 0)
    assert np.hypot((ra - 273.8708) * np.cos(np.radians(dec)), dec + 25.285) < 0.03
    assert got.photo_calib is not None


@pytest.mark.parametrize("path", files("sfft_decam", "DEC-OBS*.mini.fits"), ids=lambda path: path.name)
def test_every_decam_stamp(path: Path) -> None:
    """TPV, float64: the known source lies where the README says, all epochs on one grid."""
    got = read_exposure(path)
    assert got.box == Box(0, 256, 0, 256)
    assert got.info.band == "i"
    assert got.wcs is not None
    x, y = got.wcs.all_world2pix(318.10822, -66.01571, 0)
    assert 0 < float(x) < 256
    assert 0 < float(y) < 256
    assert got.masked_image.image.dtype == np.float32


@pytest.mark.parametrize(
    "path", files("sfft_decam", "*Kernel.fits") + files("sfft_decam", "*Difference*.fits"), ids=str
)
def test_other_decam_files(path: Path) -> None:
    """Kernels without any card and differences read like any image."""
    assert np.isfinite(read_exposure(path).masked_image.image).any()


def test_calexp() -> None:
    """Everything that the HSC calexp of obs_base says of itself."""
    got = read_exposure(AFW / "obs_base__calexp.fits")
    assert got.box == Box(0, 32, 0, 64)
    assert (got.has_mask, got.has_variance) == (True, True)
    assert got.psf == GaussianPsf(4.0, 3)
    assert got.photo_calib is not None
    assert got.photo_calib.mean == pytest.approx(1.9940875054616918)
    assert float(got.photo_calib.at(x=10.0, y=20.0)) == pytest.approx(1.9940875054616918)
    assert got.info.visit == 180802004
    assert got.info.detector == 4
    assert got.info.band == "i"
    assert got.info.mjd_midpoint == pytest.approx(56598 + (6 * 3600 + 60 + 31.7885) / 86400, abs=1e-9)
    assert got.info.gain == pytest.approx(np.mean([3.9351, 3.9913, 3.9616, 4.0744]))
    assert len(got.aperture_corrections) == 46
    assert "AFW_UNREAD" not in got.metadata


def test_aperture_correction_is_the_full_matrix() -> None:
    """A bounded field is Σ c[j, i] T_i(x) T_j(y) over the box's outer edges; the persisted order has x fastest."""
    path = AFW / "obs_base__calexp.fits"
    got = read_exposure(path).aperture_corrections["base_GaussianFlux_instFlux"]
    with fits.open(path) as hdus:
        c = np.array(hdus[21].data["coefficients"][0]).reshape(3, 3)
    x, y = 300.0, 3000.0
    u, v = (x - 1023.5) / 1024.0, (y - 2087.5) / 2088.0
    t = [lambda s: 1.0, lambda s: s, lambda s: 2 * s * s - 1]
    expected = sum(c[j, i] * t[i](u) * t[j](v) for i in range(3) for j in range(3))
    assert float(got.at(x=x, y=y)) == pytest.approx(expected, rel=1e-12)


def test_old_hsc_exposure_keeps_its_place() -> None:
    """An old-layout file: the first pixel's place from the alternate WCS, the sky from the TAN-SIP of the header."""
    got = read_exposure(AFW / "afw__HSC-0908120-056-small.fits")
    assert got.box == Box(100, 300, 100, 300)
    assert got.wcs is not None
    x, y = got.wcs.all_world2pix(*got.wcs.all_pix2world(150.0, 250.0, 0), 0)
    assert (float(x), float(y)) == pytest.approx((150.0, 250.0), abs=1e-4)
    assert got.info.band == ""


def test_hotpants_pair() -> None:
    """The pair of the HOTPANTS comparison lies at (9, 9) and (24, 24); bits by name from int16 masks."""
    science, template = (read_exposure(AFW / f"ip_diffim__{name}MI.fits") for name in ("science", "template"))
    assert (science.box, template.box) == (Box(9, 202, 9, 202), Box(24, 217, 24, 217))
    for got in (science, template):
        assert (got.has_mask, got.has_variance, got.wcs) == (True, True, None)
        known = int(MaskPlane.BAD | MaskPlane.SAT | MaskPlane.INTRP | MaskPlane.CR | MaskPlane.EDGE)
        known |= int(MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
        assert not (got.masked_image.mask & ~known).any()


def ast_texts() -> list[tuple[str, str]]:
    """One SkyWcs text of each file that has any."""
    found = []
    for path in files("lsst_afw_format", "*.fits"):
        with fits.open(path) as hdus:
            tables = [hdu for hdu in hdus[1:] if hdu.header.get("AR_NAME") == "SkyWcs"]
            found += [(path.name, np.asarray(hdu.data["wcs"][0]).astype(np.uint8).tobytes().decode()) for hdu in tables]
    return found


@pytest.mark.parametrize(("name", "text"), ast_texts(), ids=lambda value: value[:40] if value.endswith(".fits") else "")
def test_ast_agrees_with_starlink(name: str, text: str) -> None:
    """The parsed FrameSet maps a whole CCD as the AST library does, to 1e-5 mas; the SIP fit to 1e-2 mas."""
    ast = pytest.importorskip("starlink.Ast", reason="starlink-pyast is the oracle")

    class Source:
        def __init__(self, lines: list[str]) -> None:
            self.lines = iter(lines)

        def astsource(self) -> str | None:
            return next(self.lines, None)

    box = Box(0, 4176, 0, 2048)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 2047, 15), np.linspace(0, 4175, 15)))
    ra, dec = np.degrees(ast.Channel(Source(text[text.index("Begin") :].splitlines())).read().tran(np.array([x, y])))
    mapping = ast_text.pixel_to_sky(text)
    got = mapping(x, y)
    assert offset_mas(got, (ra, dec)) < 1e-5
    assert offset_mas(fit_sip(mapping, box).wcs.all_pix2world(x, y, 0), (ra, dec)) < 1e-2


def offset_mas(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    dra = (np.asarray(a[0]) - b[0] + 180.0) % 360.0 - 180.0
    return float(np.hypot(dra * np.cos(np.radians(b[1])), np.asarray(a[1]) - b[1]).max() * 3.6e6)


@pytest.mark.parametrize("name", AST_FILES)
def test_exposure_wcs_is_the_skywcs(name: str, tmp_path: Path) -> None:
    """The exposure's WCS is the SkyWcs to 1e-3 mas over its box, also after our own layout."""
    got = read_exposure(AFW / name)
    box = got.box
    y, x = np.mgrid[box.y0 : box.y1, box.x0 : box.x1].astype(float)
    with opened(AFW / name) as file:
        archive = Archive.of(file)
        assert archive is not None
        persisted = archive.component("SKYWCS")
        assert persisted is not None
        exact = sky_mapping(persisted)(x, y)
    assert got.wcs is not None
    assert offset_mas(got.wcs.all_pix2world(x, y, 0), exact) < 1e-3
    assert got.metadata["SIP_FIT_WORST_PX"] < 1e-4
    write_exposure(got, tmp_path / "e.fits")
    again = read_exposure(tmp_path / "e.fits").wcs
    assert again is not None
    assert offset_mas(again.all_pix2world(x, y, 0), exact) < 1e-3


def test_visit_summary_wcs_all_parse() -> None:
    """All 103 CCDs of a visit summary: each maps its centre onto the SkyWcs's own field."""
    with fits.open(AFW / "drp_tasks__visitSummary_1176.fits") as hdus:
        texts = [np.asarray(row).astype(np.uint8).tobytes().decode() for row in hdus[3].data["wcs"]]
    assert len(texts) == 103
    sky = np.array([np.ravel(ast_text.pixel_to_sky(text)(np.array([1023.5]), np.array([2087.5]))) for text in texts])
    assert np.ptp(sky[:, 1]) < 2.0
    assert len(np.unique(sky.round(6), axis=0)) == 103
