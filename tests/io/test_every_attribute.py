"""What a repository keeps comes back the same in every attribute, whatever it is; a part of it without the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests import made_exposures
from tests.made_exposures import differences, exposures
from tests.same_objects import assert_same

from diapipe.errors import BoundsError, ReadError
from diapipe.images import (
    BlendedPart,
    BlendedPsf,
    Box,
    CoaddComponent,
    CoaddPsf,
    Difference,
    Exposure,
    GaussianPsf,
    MaskedImage,
    PolynomialPsf,
    WeightMap,
)
from diapipe.io import exact_values, stored_difference, stored_exposure, stored_part, write_difference, write_exposure
from diapipe.io.stored import PARTS

many = settings(max_examples=30, phases=(Phase.explicit, Phase.generate))
few = settings(many, max_examples=10)
"""Without shrinking: `assert_same` names the attribute, and a smaller exposure would not say more."""

PROBES = Path("/proc/self/io")


@contextmanager
def file_of(dataset: Exposure | Difference, *, compress: bool = False) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file.fits"
        if isinstance(dataset, Difference):
            write_difference(dataset, path, with_template=True, compress=compress)
        else:
            write_exposure(dataset, path, compress=compress)
        yield path


def large(side: int = 1500) -> Exposure:
    rng = np.random.default_rng(3)
    box = Box.from_shape((side, side), x0=-40, y0=300)
    image = rng.normal(0, 10, box.shape).astype(np.float32)
    mask = (rng.random(box.shape) < 0.01).astype(np.int32)
    return Exposure(name="large", masked_image=MaskedImage.from_planes(image, mask=mask, variance=100.0, box=box))


@given(exposures())
@many
def test_an_exposure_survives_its_file(exposure: Exposure) -> None:
    """Every attribute bit for bit, the sky to 0.04 microarcseconds."""
    with file_of(exposure) as path:
        assert_same(exposure, stored_exposure(path))


@given(differences())
@few
def test_a_difference_survives_its_file(difference: Difference) -> None:
    """Kernels, background, whitening, the template that was subtracted."""
    with file_of(difference) as path:
        assert_same(difference, stored_difference(path))


@given(differences())
@few
def test_a_part_is_that_of_the_whole(difference: Difference) -> None:
    """Each part that can be read alone is what the whole has by its name."""
    exposure = difference.exposure
    whole = {name: getattr(exposure, name) for name in ("wcs", "psf", "photo_calib", "info")}
    whole |= {"bbox": exposure.box, "mask": exposure.masked_image.mask}
    whole |= {name: getattr(difference, name) for name in ("kernel", "background")}
    assert set(whole) == set(PARTS)
    with file_of(difference) as path:
        for name, expected in whole.items():
            assert_same(expected, stored_part(path, name), name)


@given(differences())
@few
def test_a_cut_out_is_that_of_the_whole(difference: Difference) -> None:
    """Cutting while reading and cutting in memory are one thing; so for the template that was subtracted."""
    whole = difference.box
    box = Box(whole.y0 + whole.height // 3, whole.y1, whole.x0, whole.x0 + (whole.width + 1) // 2)
    with file_of(difference) as path:
        assert_same(difference[box], stored_difference(path, box=box))
        assert_same(difference.exposure[box], stored_exposure(path, box=box))


@pytest.mark.parametrize(("compress", "most"), [(False, 0.05), (True, 0.3)])
def test_a_cut_out_leaves_the_rest_on_disk(compress: bool, most: float) -> None:
    """20 of 1500 rows are 1.3% of the pixels; headers and, for each compressed row, 8 kB of look-ahead come on top."""
    if not PROBES.exists():
        pytest.skip("no /proc/self/io, which counts what is read, on this system")

    def bytes_read() -> int:
        return int(PROBES.read_text().split()[1])

    with file_of(large(), compress=compress) as path:
        whole = stored_exposure(path)
        box = Box(400, 420, 0, 1000)
        before = bytes_read()
        part = stored_exposure(path, box=box)
        assert bytes_read() - before < most * path.stat().st_size
    assert_same(whole[box].masked_image, MaskedImage(*np_planes(part), box))


def np_planes(exposure: Exposure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    planes = exposure.masked_image
    return planes.image, planes.mask, planes.variance


def test_a_cut_out_beyond_the_image_is_refused() -> None:
    """Nothing is filled in; both boxes are named."""
    with file_of(large(64)) as path, pytest.raises(BoundsError, match=r"\[300:400, 0:10\] reaches outside image"):
        stored_exposure(path, box=Box(300, 400, 0, 10))


def test_only_files_of_diapipe_are_taken(tmp_path: Path) -> None:
    """A file of another layout is told apart, as is a part that no exposure has."""
    fits.PrimaryHDU(np.zeros((4, 4), np.float32)).writeto(tmp_path / "other.fits")
    with pytest.raises(ReadError, match=r"other\.fits"):
        stored_exposure(tmp_path / "other.fits")
    with pytest.raises(ReadError, match="was not written by diapipe"):
        stored_part(tmp_path / "other.fits", "psf")
    with file_of(large(16)) as path, pytest.raises(ReadError, match="no part 'colour'; it has mask, bbox"):
        stored_part(path, "colour")


def test_the_psf_of_a_large_stack_takes_two_hdus(tmp_path: Path) -> None:
    """300 records, and a look at the file reads no header more than with one."""
    box = Box(0, 100, 0, 100)
    stamp = np.ones((5, 5))
    parts = (
        CoaddComponent(PolynomialPsf.constant(n * stamp, box), 1.0, box, np.eye(2), np.zeros(2)) for n in range(1, 101)
    )
    exposure = Exposure(name="stack", masked_image=large(16).masked_image, psf=CoaddPsf(tuple(parts)))
    write_exposure(exposure, tmp_path / "stack.fits")
    with fits.open(tmp_path / "stack.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "IMAGE", "MASK", "VARIANCE", "PSF", "PSF.TREE"]
    assert_same(exposure.psf, stored_part(tmp_path / "stack.fits", "psf"))


def test_what_is_shared_is_written_once_and_shared_again(tmp_path: Path) -> None:
    """The displaced images of one template have one PSF: drawn once for all of them, also after the file."""
    psf = PolynomialPsf.constant(np.ones((31, 31)), Box(0, 100, 0, 100))
    parts = tuple(BlendedPart(psf=psf, weight=WeightMap.constant(1.0), dx=0.1 * n) for n in range(20))
    exposure = Exposure(name="blend", masked_image=large(16).masked_image, psf=BlendedPsf(parts))
    write_exposure(exposure, tmp_path / "blend.fits")
    found = stored_part(tmp_path / "blend.fits", "psf")
    assert len({id(part.psf) for part in found.parts}) == 1
    assert (tmp_path / "blend.fits").stat().st_size < 2 * 31 * 31 * 8 + 40_000


def test_a_damaged_tree_is_a_read_error(tmp_path: Path) -> None:
    """Text that is cut short is told with the file's name."""
    psf = CoaddPsf((CoaddComponent(GaussianPsf(1e-5 / 3), 1.0, Box(0, 9, 0, 9), np.eye(2), np.zeros(2)),))
    write_exposure(Exposure(name="e", masked_image=large(16).masked_image, psf=psf), tmp_path / "e.fits")
    with fits.open(tmp_path / "e.fits", mode="update") as hdus:
        hdus["PSF.TREE"].data = hdus["PSF.TREE"].data[:-5].copy()
    with pytest.raises(ReadError, match=r"e\.fits: the text of its HDU PSF\.TREE is damaged"):
        stored_part(tmp_path / "e.fits", "psf")


@given(
    key=st.from_regex(exact_values._SHORT_KEY, fullmatch=True),
    value=made_exposures.scalars | st.from_regex(exact_values._SHORT_TEXT, fullmatch=True),
)
@settings(max_examples=150, phases=(Phase.explicit, Phase.generate))
def test_what_is_short_is_held_by_a_card(key: str, value: object) -> None:
    """The quick answer is astropy's: the card, written and read, gives the value back."""
    if exact_values._is_short(value):
        header = fits.Header.fromstring(fits.Header([fits.Card(key, value)]).tostring())
        assert list(header.items()) == [(key.removeprefix("HIERARCH "), value)]
        assert type(next(iter(header.values()))) is type(value)
