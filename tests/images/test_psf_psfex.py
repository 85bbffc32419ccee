"""PsfexPsf: evaluation of PSFEx models; read_psfex: the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from diapipe.errors import InputError, PsfUndefinedError, ReadError
from diapipe.images.psf.psfex import PsfexPsf
from diapipe.io import read_psfex


def gaussian(n: int, sigma: float, *, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    offset = np.arange(n) - n // 2
    return np.outer(np.exp(-0.5 * ((offset - dy) / sigma) ** 2), np.exp(-0.5 * ((offset - dx) / sigma) ** 2))


def constant(sigma_px: float, sampling: float, n: int = 45) -> PsfexPsf:
    return PsfexPsf(gaussian(n, sigma_px / sampling)[None], 0, 0.0, 0.0, 1.0, 1.0, sampling)


@pytest.mark.parametrize("sampling", [0.4, 0.5, 0.77, 1.0, 1.2])
def test_sampling(sampling: float) -> None:
    """Whatever the model's own grid, the image is the Gaussian on the image's pixels to 2e-3 (Lanczos-5, two axes)."""
    psf = constant(2.5, sampling)
    image = psf.kernel_image(x=10.0, y=20.0)
    expected = gaussian(psf.size, 2.5)
    assert psf.size % 2 == 1
    assert psf.size <= 45 * sampling
    assert image.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(image, expected / expected.sum(), rtol=0, atol=2e-3 * image.max())


def test_sub_pixel_position() -> None:
    """A star at (x.3, y.6) is drawn 0.3 to the right of, and 0.4 below, the nearest pixel."""
    psf = constant(2.0, 0.5)
    image = psf.image_at(x=10.3, y=20.6)
    expected = gaussian(psf.size, 2.0, dx=0.3, dy=-0.4)
    np.testing.assert_allclose(image, expected / expected.sum(), rtol=0, atol=2e-3 * image.max())


def test_polynomial_in_psfex_order() -> None:
    """The terms are 1, x, x², y, xy, y² of the scaled position."""
    base = gaussian(25, 2.0)
    images = base * np.array([1.0, 0.1, 0.02, 0.3, 0.04, 0.005])[:, None, None]
    psf = PsfexPsf(images, 2, 100.0, 50.0, 10.0, 20.0, 1.0)
    u, v = (130.0 - 100.0) / 10.0, (60.0 - 50.0) / 20.0
    terms = psf._terms(130.0, 60.0)
    np.testing.assert_allclose(terms, [1, u, u**2, v, u * v, v**2])


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"degree 1 needs 3 images, not an array \(2, 5, 5\)"):
        PsfexPsf(np.ones((2, 5, 5)), 1, 0.0, 0.0, 1.0, 1.0, 1.0)
    with pytest.raises(InputError, match="positive scales"):
        PsfexPsf(np.ones((1, 5, 5)), 0, 0.0, 0.0, 1.0, 1.0, 0.0)
    with pytest.raises(PsfUndefinedError, match="sum -"):
        PsfexPsf(-np.ones((1, 5, 5)), 0, 0.0, 0.0, 1.0, 1.0, 1.0).kernel_image(x=0.0, y=0.0)


def psf_file(path: Path, images: np.ndarray, **cards: object) -> Path:
    n = images.shape[-1]
    column = fits.Column("PSF_MASK", f"{images.size}E", dim=f"({n},{n},{len(images)})", array=images[None])
    hdu = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    hdu.header.update(
        {
            "POLNAXIS": 2,
            "POLGRP1": 1,
            "POLNAME1": "X_IMAGE",
            "POLZERO1": 1025.0,
            "POLSCAL1": 2000.0,
            "POLGRP2": 1,
            "POLNAME2": "Y_IMAGE",
            "POLZERO2": 2049.0,
            "POLSCAL2": 4000.0,
            "POLNGRP": 1,
            "POLDEG1": 1,
            "PSF_FWHM": 4.0,
            "PSF_SAMP": 0.5,
            "PSFNAXIS": 3,
            **cards,
        }
    )
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def test_reads_a_file(tmp_path: Path) -> None:
    """The scaled position is (FITS pixel - POLZERO) / POLSCAL, FITS pixels counted from 1 and ours from 0."""
    images = np.stack([gaussian(45, 4.0), 0.1 * gaussian(45, 4.0, dx=1.0), 0.2 * gaussian(45, 4.0, dy=2.0)]).astype(
        "f4"
    )
    psf = read_psfex(psf_file(tmp_path / "a.psf", images))
    assert (psf.x_zero, psf.y_zero, psf.x_scale, psf.y_scale, psf.degree) == (1024.0, 2048.0, 2000.0, 4000.0, 1)
    assert psf.sampling == 0.5
    middle = gaussian(psf.size, 2.0)
    np.testing.assert_allclose(
        psf.kernel_image(x=1024.0, y=2048.0), middle / middle.sum(), rtol=0, atol=1e-3 * middle.max() / middle.sum()
    )
    moved = read_psfex(tmp_path / "a.psf", x0=100, y0=-50)
    np.testing.assert_array_equal(moved.kernel_image(x=600.0, y=250.0), psf.kernel_image(x=500.0, y=300.0))


def test_orientation_and_polynomial_are_galsims(tmp_path: Path) -> None:
    """An image without any symmetry, of second degree in the position: the same pixels as GalSim's independent reader
    of PSFEx files draws, at positions counted from 1. Its own terms are compared, whatever their order in the file.
    """
    des = pytest.importorskip("galsim.des", reason="galsim is the oracle")
    galsim = pytest.importorskip("galsim")
    y, x = np.mgrid[:25, :25] - 12
    u, v = x * np.cos(0.35) + y * np.sin(0.35), y * np.cos(0.35) - x * np.sin(0.35)
    base = np.exp(-0.5 * (u**2 / 9.0 + v**2 / 2.25)) * (1.0 + 0.3 * np.tanh(x / 3.0))
    rng = np.random.default_rng(1)
    images = np.stack([base, *(0.05 * rng.normal(size=(5, 1, 1)) * np.roll(base, (1, 2), (0, 1)))]).astype("f4")
    path = psf_file(tmp_path / "a.psf", images, POLDEG1=2, PSF_SAMP=1.0, PSFAXIS1=25, PSFAXIS2=25, PSFAXIS3=6)
    ours, theirs = read_psfex(path), des.DES_PSFEx(str(path))
    for place in [(1025.0, 2049.0), (101.0, 3001.0), (2000.0, 300.0)]:
        expected = theirs.getPSFArray(galsim.PositionD(*place))
        image = ours.kernel_image(x=place[0] - 1.0, y=place[1] - 1.0)
        np.testing.assert_allclose(image, expected / expected.sum(), rtol=0, atol=1e-6 * image.max())


def test_constant_file(tmp_path: Path) -> None:
    """POLNAXIS = 0 is one image for all."""
    psf = read_psfex(psf_file(tmp_path / "a.psf", gaussian(25, 4.0)[None].astype("f4"), POLNAXIS=0))
    np.testing.assert_array_equal(psf.kernel_image(x=0.0, y=0.0), psf.kernel_image(x=900.0, y=10.0))


def test_bad_files(tmp_path: Path) -> None:
    images = np.ones((3, 5, 5), "f4")
    with pytest.raises(ReadError, match=r"a\.psf: the PSF depends on FLUX_AUTO, Y_IMAGE"):
        read_psfex(psf_file(tmp_path / "a.psf", images, POLNAME1="FLUX_AUTO"))
    fits.PrimaryHDU(images[0]).writeto(tmp_path / "b.psf")
    with pytest.raises(ReadError, match=r"b\.psf is no PSFEx file"):
        read_psfex(tmp_path / "b.psf")
