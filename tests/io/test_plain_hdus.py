"""Files of images opened without astropy's HDUs are the files that astropy opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from diapipe.errors import ReadError
from diapipe.io.fits_file import opened
from diapipe.io.plain_hdus import PlainHdu, opened_plainly

TYPES = ("u1", "i2", "i4", "i8", "f4", "f8")


def images(path: Path, *more: object) -> Path:
    """A primary header without data, an image of each type, an empty one and one without data."""
    rng = np.random.default_rng(3)
    primary = fits.PrimaryHDU()
    primary.header["HIERARCH DPMETA OBJECT"] = "it's a field"
    primary.header["HIERARCH DPMETA Sky"] = 1.5
    primary.header["COMMENT"] = "nobody reads this"
    planes = [fits.ImageHDU(rng.integers(0, 99, (5, 7)).astype(kind), name=kind) for kind in TYPES]
    others = [fits.ImageHDU(np.zeros((0,)), name="none"), fits.ImageHDU(name="bare")]
    fits.HDUList([primary, *planes, *others, *more]).writeto(path)
    return path


def test_every_image_is_as_astropy_has_it(tmp_path: Path):
    """Names, cards, shapes, pixels and parts of them; pixels may be asked for again after they were swapped."""
    path = images(tmp_path / "a.fits")
    with opened(path) as theirs, opened_plainly(path) as ours:
        assert isinstance(ours.hdus[1], PlainHdu)
        assert ours.names == theirs.names
        assert ours.content == theirs.content
        for number, name in enumerate(ours.names):
            expected = {key: value for key, value in theirs.header(number).items() if key != "COMMENT"}
            assert dict(ours.header(number)) == expected
            assert ours.is_image(number) == theirs.is_image(number)
            if name.lower() not in TYPES:
                assert (ours.data(number) is None) == (theirs.data(number) is None)
                continue
            part = slice(1, 4), slice(2, 5)
            np.testing.assert_array_equal(ours.part(number, *part), theirs.part(number, *part))
            for _ in range(2):
                np.testing.assert_array_equal(ours.pixels(number), theirs.pixels(number))
                assert ours.pixels(number).dtype == theirs.pixels(number).dtype


@pytest.mark.parametrize(
    "other",
    [
        fits.CompImageHDU(np.arange(120, dtype=np.int32).reshape(10, 12), name="other"),
        fits.ImageHDU(np.arange(12, dtype=np.uint16).reshape(3, 4), name="other"),
        fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(7))], name="other"),
    ],
    ids=["compressed", "scaled", "table"],
)
def test_what_is_no_plain_image_is_left_to_astropy(tmp_path: Path, other: object):
    """Tiles, pixels with a zero point, rows."""
    path = images(tmp_path / "a.fits", other)
    with opened(path) as theirs, opened_plainly(path) as ours:
        assert not isinstance(ours.hdus[1], PlainHdu)
        np.testing.assert_array_equal(ours.data(9), theirs.data(9))


def test_a_cut_file_is_told(tmp_path: Path):
    """Before anything of it is read."""
    path = images(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ReadError, match=r"a\.fits is truncated"), opened_plainly(path):
        pass
