"""Files opened HDU by HDU are the files that astropy opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.fits_file import opened
from diapipe.io.fits_layout import layout
from diapipe.io.one_by_one import opened_one_by_one


@pytest.fixture
def many(tmp_path: Path, rng: np.random.Generator) -> Path:
    """An image in the primary HDU, then plain, scaled, compressed ones and a table."""
    hdus: list[object] = [fits.PrimaryHDU(rng.normal(size=(7, 9)).astype(np.float32))]
    for number in range(3):
        hdus.append(fits.ImageHDU(rng.normal(size=(40, 30 + number)).astype(np.float32), name=f"IM{number}"))
        hdus.append(fits.ImageHDU(rng.integers(0, 60_000, (5, 6)).astype(np.uint16), name=f"U{number}"))
        hdus.append(fits.CompImageHDU(rng.integers(0, 99, (64, 50)).astype(np.int16), name=f"C{number}"))
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("a", "PJ()", array=np.array([[1, 2], [3]], dtype=object))]))
    fits.HDUList(hdus).writeto(tmp_path / "many.fits")
    return tmp_path / "many.fits"


def test_every_hdu_is_as_astropy_has_it(many: Path):
    """Names, headers, pixels, parts of pixels and rows, in whatever order they are asked for."""
    with opened(many) as plain, opened_one_by_one(many) as single:
        assert single.names == plain.names
        assert single.content == plain.content
        for number in reversed(range(len(plain.hdus))):
            assert single.header(number).tostring() == plain.header(number).tostring()
            if plain.is_image(number):
                part = slice(1, 4), slice(2, 5)
                np.testing.assert_array_equal(
                    single.part(number, *part, np.float64), plain.part(number, *part, np.float64)
                )
                np.testing.assert_array_equal(single.pixels(number), plain.pixels(number))
        assert [list(row[0]) for row in single.table(10)] == [[1, 2], [3]]


def test_damage_is_told_with_the_files_name(many: Path):
    """A cut file, tiles that are none, and a table asked of an image."""
    content = bytearray(many.read_bytes())
    many.write_bytes(content[:-3000])
    with pytest.raises(ReadError, match=r"many\.fits is truncated"), opened_one_by_one(many):
        pass
    many.write_bytes(content)
    tiles = layout(many)[3]
    content[tiles.header_span[1] : tiles.end] = bytes([255]) * (tiles.end - tiles.header_span[1])
    many.write_bytes(content)
    with opened_one_by_one(many) as file:
        with pytest.raises(ReadError, match=r"many\.fits: HDU 1 is not a table"):
            file.table(1)
        with pytest.raises(ReadError, match=r"many\.fits: HDU 3 is damaged"):
            file.pixels(3)
