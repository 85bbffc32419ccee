"""Bad files: one sentence each, with the file's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from diapipe.errors import InputError, ReadError
from diapipe.images import MaskPlane
from diapipe.io import ReadOptions, read_exposure

SHAPE = (30, 20)


def write(path: Path, data: np.ndarray | None, *more: fits.ImageHDU) -> Path:
    fits.HDUList([fits.PrimaryHDU(data), *more]).writeto(path)
    return path


def one_sentence(text: str) -> bool:
    return "\n" not in text and len(text) < 250


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"cannot read .*none\.fits: there is no such file"):
        read_exposure(tmp_path / "none.fits")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="it is a folder"):
        read_exposure(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 5000, b"SIMPLE  = not really" + b" " * 6000])
def test_not_fits(tmp_path: Path, content: bytes) -> None:
    """Whatever the bytes are, the answer is a ReadError with the name, in one line."""
    path = tmp_path / "x.fits"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"x\.fits") as caught:
        read_exposure(path)
    assert one_sentence(str(caught.value))


@pytest.mark.parametrize("keep", [2880, 2880 + 100, 2880 + 1200, 1000])
def test_truncated(tmp_path: Path, keep: int) -> None:
    """A file cut anywhere, in the header or the data, is refused."""
    path = write(tmp_path / "x.fits", np.ones(SHAPE, "f4"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ReadError, match=r"x\.fits"):
        read_exposure(path)


def test_truncated_second_plane(tmp_path: Path) -> None:
    """The variance cut short: the image alone is not enough."""
    planes = [fits.ImageHDU(np.ones((300, 200), "f4"), name=name) for name in ("IMAGE", "VARIANCE")]
    path = write(tmp_path / "x.fits", None, *planes)
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(ReadError, match=r"x\.fits is truncated: it has \d+ bytes"):
        read_exposure(path)


def test_truncated_compressed(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 1, (200, 200)).astype("f4")
    path = tmp_path / "x.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(noise)]).writeto(path)
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(ReadError, match=r"x\.fits\.fz"):
        read_exposure(path)


def test_last_block_unpadded(tmp_path: Path) -> None:
    """Padding that a sloppy writer leaves off is no loss."""
    path = write(tmp_path / "x.fits", np.ones(SHAPE, "f4"))
    path.write_bytes(path.read_bytes()[: 2880 + 4 * SHAPE[0] * SHAPE[1]])
    assert read_exposure(path).masked_image.shape == SHAPE


def test_no_image(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1, 2])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "x.fits")
    with pytest.raises(ReadError, match=r"x\.fits holds no image: none of its 2 HDUs has pixels"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("shape", [(40,), (3, 10, 10)])
def test_wrong_dimensions(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = write(tmp_path / "x.fits", np.ones(shape, "f4"))
    with pytest.raises(ReadError, match=r"x\.fits: HDU 0 has an image of shape .*; one with two dimensions is needed"):
        read_exposure(path)


def test_nan_only(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", np.full(SHAPE, np.nan, "f4"))
    with pytest.raises(InputError, match=r"x\.fits has no finite pixel among its 600"):
        read_exposure(path)


@pytest.mark.parametrize("plane", ["MASK", "VARIANCE"])
def test_plane_of_wrong_shape(tmp_path: Path, plane: str) -> None:
    """Both shapes stand in the message, whether the plane is in the same file or another."""
    planes = [fits.ImageHDU(np.ones(SHAPE, "f4"), name="IMAGE"), fits.ImageHDU(np.ones((30, 21), "i4"), name=plane)]
    path = write(tmp_path / "x.fits", None, *planes)
    with pytest.raises(InputError, match=rf"{plane.lower()} of x\.fits has shape \(30, 21\), the image \(30, 20\)"):
        read_exposure(path)
    alone, other = write(tmp_path / "y.fits", np.ones(SHAPE, "f4")), write(tmp_path / "z.fits", np.ones((5, 6), "i4"))
    with pytest.raises(InputError, match=rf"{plane.lower()} of z\.fits has shape \(5, 6\), the image \(30, 20\)"):
        read_exposure(alone, **{plane.lower(): other})


@pytest.mark.parametrize("value", [0.0, -2.0, np.nan])
def test_no_positive_variance(tmp_path: Path, value: float) -> None:
    planes = [fits.ImageHDU(np.full(SHAPE, v, "f4"), name=n) for n, v in (("IMAGE", 1.0), ("VARIANCE", value))]
    path = write(tmp_path / "x.fits", None, *planes)
    with pytest.raises(InputError, match=r"x\.fits: no pixel's variance is positive"):
        read_exposure(path)


def test_unknown_hdu(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fits", np.ones(SHAPE, "f4"))
    with pytest.raises(ReadError, match=r"x\.fits has no HDU 4; it has 0 \(30 x 20 px\)$"):
        read_exposure(path, options=ReadOptions(hdu=4))
    with pytest.raises(ReadError, match=r"x\.fits has no HDU named 'SCI'; it has 0 \(30 x 20 px\)$"):
        read_exposure(path, options=ReadOptions(hdu="SCI"))
    path = write(tmp_path / "y.fits", None, fits.ImageHDU(np.ones(SHAPE, "f4"), name="SCI"))
    with pytest.raises(ReadError, match=r"y\.fits has no HDU named '-1'; it has 0 \(no image\), 1 SCI \(30 x 20 px\)$"):
        read_exposure(path, options=ReadOptions(hdu="-1"))


@pytest.mark.parametrize("value", ["west", np.str_("1e999")])
def test_a_place_in_the_parent_that_is_no_number_is_named(tmp_path: Path, value: str) -> None:
    image = fits.PrimaryHDU(np.ones(SHAPE, "f4"), fits.Header({"CTYPE1A": "LINEAR", "CRVAL1A": str(value)}))
    image.writeto(tmp_path / "x.fits")
    with pytest.raises(ReadError, match=rf"x\.fits as FITS: the card CRVAL1A is '{value}', a number is needed"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("compress", [False, True])
def test_damaged_anywhere(tmp_path: Path, compress: bool) -> None:
    """Noise written over any part of a file is read as an image or refused; nothing else can happen."""
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 1, (60, 50)).astype("f4")
    planes = [
        fits.CompImageHDU(noise, name=name) if compress else fits.ImageHDU(noise, name=name) for name in ("SCI", "ERR")
    ]
    path = tmp_path / "x.fits"
    fits.HDUList([fits.PrimaryHDU(), *planes]).writeto(path)
    whole = path.read_bytes()
    for _ in range(25):
        start = int(rng.integers(0, len(whole)))
        patch = rng.integers(32, 127, 150).astype("u1").tobytes()
        path.write_bytes((whole[:start] + patch + whole[start + 150 :])[: len(whole)])
        message = refusal(path)
        assert message == "" or (one_sentence(message) and "x.fits" in message)


def refusal(path: Path) -> str:
    try:
        read_exposure(path)
    except InputError as error:
        return str(error)
    return ""


def test_values_beyond_float32(tmp_path: Path) -> None:
    """A double that float32 cannot hold, as a fill value, is a pixel without a value."""
    image = np.ones(SHAPE)
    image[0, 0] = 1e300
    got = read_exposure(write(tmp_path / "x.fits", image)).masked_image
    assert np.isnan(got.image[0, 0])
    assert got.mask[0, 0] == MaskPlane.NO_DATA
