"""Files of diapipe's own layout as a repository keeps them: read whole, cut out, or one of their parts alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diapipe.errors import ReadError
from diapipe.images.box import Box, cut
from diapipe.images.exposure import Difference, Exposure
from diapipe.images.masked_image import MaskedImage
from diapipe.io import celestial, difference_layout, mask_planes, models
from diapipe.io.fits_file import FitsFile, PathLike
from diapipe.io.plain_hdus import opened_plainly
from diapipe.io.records import Record, read_record
from diapipe.numerics.arrays import MaskArray


def stored_exposure(path: PathLike, *, box: Box | None = None) -> Exposure:
    """Read what `write_exposure` or `write_difference` wrote, as it was: no pixel is judged.

    Parameters
    ----------
    path
        FITS file of diapipe's layout.
    box
        Part to be read, in parent coordinates; only its rows are read, only its tiles decompressed.

    Raises
    ------
    ReadError
        If the file is missing, damaged, or not of diapipe's layout.
    BoundsError
        If the box sticks out of the image.
    """
    with opened_plainly(path) as file:
        return _exposure(file, box)


def stored_difference(path: PathLike, *, box: Box | None = None) -> Difference:
    """Read what `write_difference` wrote; parameters and errors as of `stored_exposure`."""
    with opened_plainly(path) as file:
        return difference_layout.difference_of(_exposure(file, box), file, _part(file, box))


def stored_part(path: PathLike, name: str, *, box: Box | None = None) -> Any:
    """Read one part of a file and nothing else.

    Parameters
    ----------
    path
        FITS file of diapipe's layout.
    name
        One of `PARTS`; no pixels are read but those of ``mask``.
    box
        Part of the mask to be read.

    Returns
    -------
    object
        What an `Exposure` or a `Difference` has by that name; None where the file has none.

    Raises
    ------
    ReadError
        As for `stored_exposure`, or if there is no such part.
    """
    if name not in PARTS:
        raise ReadError(f"an exposure has no part {name!r}; it has {', '.join(PARTS)}")
    with opened_plainly(path) as file:
        _check_ours(file)
        return _mask(file, "MASK", _part(file, box)) if name == "mask" else _READERS[name](file)


type Part = tuple[slice, slice] | None


def _check_ours(file: FitsFile) -> None:
    if not difference_layout.is_ours(file):
        raise ReadError(f"{file.name} was not written by diapipe: its primary header has no {difference_layout.LAYOUT}")


def _image_number(file: FitsFile, name: str = "IMAGE") -> int:
    number = file.find(name)
    if number is None:
        raise ReadError(f"{file.name} has no HDU called {name}; it has {file.content}")
    return number


def _full_box(file: FitsFile) -> Box:
    number = _image_number(file)
    return celestial.box_of(file.header(number), file.hdus[number].shape)


def _part(file: FitsFile, box: Box | None) -> Part:
    return None if box is None else cut(box, _full_box(file))


def _exposure(file: FitsFile, box: Box | None) -> Exposure:
    _check_ours(file)
    number = _image_number(file)
    header, full, part = file.header(number), _full_box(file), _part(file, box)
    planes = MaskedImage(
        image=_floats(file, "IMAGE", part),
        mask=_mask(file, "MASK", part),
        variance=_floats(file, "VARIANCE", part),
        box=full if box is None else box,
    )
    wcs = celestial.read_wcs(file.wcs_header(number), full)
    bare = Exposure(name=file.name, masked_image=planes, wcs=wcs, unit=str(header.get("BUNIT", "adu")))
    return difference_layout.completed(bare, file)


def _floats(file: FitsFile, name: str, part: Part) -> np.ndarray[Any, Any]:
    number = _image_number(file, name)
    return file.pixels(number, np.float32) if part is None else file.part(number, *part, np.float32)


def _mask(file: FitsFile, name: str, part: Part) -> MaskArray:
    number = _image_number(file, name)
    pixels = file.pixels(number, np.int32) if part is None else file.part(number, *part, np.int32)
    flags, _ = mask_planes.translate(pixels, mask_planes.bits_by_name(file.header(number)))
    return flags


def _wcs(file: FitsFile) -> Any:
    return celestial.read_wcs(file.wcs_header(_image_number(file)), _full_box(file))


def _of_record(name: str, reader: Callable[[Record], Any]) -> Callable[[FitsFile], Any]:
    def read(file: FitsFile) -> Any:
        record = read_record(file, name)
        return None if record is None else reader(record)

    return read


_READERS: dict[str, Callable[[FitsFile], Any]] = {
    "bbox": _full_box,
    "wcs": _wcs,
    "psf": _of_record("PSF", models.psf_of),
    "photo_calib": _of_record("PHOTOCALIB", models.calib_of),
    "info": difference_layout.info_of,
    "kernel": _of_record("KERNEL", models.kernel_of),
    "background": _of_record("BACKGROUND", models.field_of),
}
PARTS = ("mask", *_READERS)
"""What of a file can be read alone."""
