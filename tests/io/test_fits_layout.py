"""Headers without astropy: the same cards, the same places in the file, the same refusals."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.fits_layout import Cards, layout


def written(path: Path, *, n_cards: int = 3, compressed: bool = False) -> Path:
    """A primary header without data, an image of 40 x 30, a table, an image of 1 x 5 x 6."""
    primary = fits.PrimaryHDU()
    for n in range(n_cards):
        primary.header[f"KEY{n}"] = n
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    image = kind(np.arange(1200, dtype=np.float32).reshape(40, 30), name="sci")
    image.header["TEXT"] = "it's / here"
    image.header["LONG"] = "x" * 150
    image.header["NUMBER"] = -1.5e-7
    image.header["FLAG"] = True
    image.header["HIERARCH ESO DET NAME"] = "chip"
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(7))])
    cube = fits.ImageHDU(np.zeros((1, 5, 6), np.int16))
    fits.HDUList([primary, image, table, cube]).writeto(path)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_cards_and_places_are_astropys(tmp_path: Path, compressed: bool):
    """Every scalar card and the bytes where headers and data begin agree; shapes are those of the images."""
    path = written(tmp_path / "a.fits", compressed=compressed)
    found = layout(path)
    with fits.open(path, disable_image_compression=True) as hdus:
        assert len(hdus) == len(found)
        for hdu, ours in zip(hdus, found, strict=True):
            place = hdu.fileinfo()
            assert ours.header_span == (place["hdrLoc"], place["datLoc"])
            for key in hdu.header:
                assert ours.cards[key.upper()] == hdu.header[key]
    assert [hdu.shape for hdu in found] == [(), (40, 30), (), (5, 6)]
    assert [hdu.name for hdu in found] == ["", "SCI", "", ""]


@pytest.mark.parametrize("n_cards", range(28, 36))
def test_the_end_of_a_header_may_fall_on_a_block(tmp_path: Path, n_cards: int):
    """With 36 cards of 80 bytes a header is one block; END may be its last card or the first of the next block."""
    path = written(tmp_path / "a.fits", n_cards=n_cards)
    with fits.open(path) as hdus:
        assert layout(path)[1].header_span[0] == hdus[1].fileinfo()["hdrLoc"]


@pytest.mark.parametrize("packer", [gzip, bz2, lzma])
def test_packed_files(tmp_path: Path, packer):
    """gzip, bzip2 and xz are unpacked on the way, whatever the file is called; a cut stream is refused."""
    content = written(tmp_path / "a.fits").read_bytes()
    packed = tmp_path / "b.fits"
    packed.write_bytes(packer.compress(content))
    assert [hdu.shape for hdu in layout(packed)] == [(), (40, 30), (), (5, 6)]
    packed.write_bytes(packer.compress(content)[:-60])
    with pytest.raises(ReadError, match=r"b\.fits"):
        layout(packed)


def test_a_cut_file_is_noticed_wherever_it_is_cut(tmp_path: Path):
    """Inside a header, or inside data whose header is whole; padding that nobody reads may be missing."""
    content = written(tmp_path / "a.fits").read_bytes()
    cut = tmp_path / "cut.fits"
    image = layout(tmp_path / "a.fits")[1]
    for n_bytes in (500, image.header_span[0] + 1000, image.header_span[1], image.end - 1):
        cut.write_bytes(content[:n_bytes])
        with pytest.raises(ReadError, match=r"cut\.fits is truncated"):
            layout(cut)
    cut.write_bytes(content[: image.end])
    assert layout(cut)[1].shape == (40, 30)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", r"x\.fits is empty: it has 0 bytes"),
        (b"hello" * 1000, r"x\.fits is no FITS file: it begins with b'hellohell'"),
        (b"SIMPLE  =                    T" + b" " * 50, r"truncated: the header of HDU 0 has no END"),
    ],
)
def test_what_is_no_fits_file(tmp_path: Path, content: bytes, expected: str):
    path = tmp_path / "x.fits"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=expected):
        layout(path)


def test_a_missing_file_and_a_folder(tmp_path: Path):
    with pytest.raises(ReadError, match=r"cannot read .*nowhere\.fits: no such file"):
        layout(tmp_path / "nowhere.fits")
    with pytest.raises(ReadError, match="is a directory"):
        layout(tmp_path)


def test_values_that_break_the_standard_are_none():
    """A card of which nothing can be made does not hide the others."""
    text = "".join(f"{card:80}" for card in ("A       = ", "B       = 1,5", "C       = 2D3 / note", "D       = NaN"))
    assert dict(Cards(text.encode("latin-1"))) == {"A": None, "B": None, "C": 2000.0, "D": None}


@pytest.mark.realdata
def test_every_real_file(shared_data: Path):
    """All the files of the shared data have the HDUs that astropy finds, at the same bytes."""
    for path in sorted(shared_data.rglob("*.fits*")):
        with fits.open(path) as hdus:
            places = [(hdu.fileinfo()["hdrLoc"], hdu.fileinfo()["datLoc"]) for hdu in hdus]
        assert [hdu.header_span for hdu in layout(path)] == places
