"""Exposures whose planes lie where a caller says: in any HDU, in files of their own, whole or cut out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from diapipe.errors import ReadError
from diapipe.images.box import Box, cut
from diapipe.images.exposure import Exposure
from diapipe.images.mask import MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.io import difference_layout, exposures, mask_planes
from diapipe.io.exposures import MASK_NAMES, VARIANCE_NAMES, Part
from diapipe.io.fits_file import FitsFile, PathLike
from diapipe.io.one_by_one import opened_one_by_one
from diapipe.numerics.arrays import Float32Array, MaskArray

type Flags = tuple[MaskArray | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneAt:
    """Where a plane is; what is None is found by the usual names.

    Attributes
    ----------
    path, hdu
        Its file, unless it is the image's, and its HDU there.
    """

    path: PathLike | None = None
    hdu: str | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskAt(PlaneAt):
    """A mask: the plane of each bit, or of each value where a pixel has one code; without either as its cards say."""

    bits: Mapping[int, MaskPlane] = field(default_factory=dict)
    codes: Mapping[int, MaskPlane] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceAt(PlaneAt):
    """A variance; ``kind`` is variance, error or inverse, and None goes by the name of the HDU."""

    kind: str | None = None


def read_placed(
    path: PathLike,
    image: int,
    *,
    mask: MaskAt = MaskAt(),
    variance: VarianceAt = VarianceAt(),
    box: Box | None = None,
) -> Exposure:
    """Read the exposure in an HDU of a file.

    Parameters
    ----------
    path
        FITS file.
    image
        Number of the image's HDU.
    mask, variance
        Where these planes are.
    box
        Part to be read, in parent coordinates: only its rows are read, only its tiles decompressed.

    Returns
    -------
    Exposure
        ``has_mask`` and ``has_variance`` say which planes the files have. Pixels without a value are NO_DATA.

    Raises
    ------
    ReadError
        If a file or HDU is missing or damaged.
    InputError
        If a plane has another shape than the image.
    BoundsError
        If the box sticks out of the image.
    """
    with opened_one_by_one(path) as file:
        full = exposures.described(file, image)
        part = None if box is None else cut(box, full.box)
        pixels = file.pixels(image, np.float32) if part is None else file.part(image, *part, np.float32)
        flags, spread = _mask(file, image, mask, part), _variance(file, image, variance, part)
        cut_out = full if box is None else replace(full, masked_image=MaskedImage.empty(box))
        is_ours = difference_layout.is_ours(file)
    return _without_values(exposures.with_planes(cut_out, pixels, flags, spread, is_ours=is_ours))


def describe_placed(path: PathLike, image: int) -> Exposure:
    """The exposure in an HDU without its pixels: its planes are empty."""
    with opened_one_by_one(path) as file:
        return exposures.described(file, image)


def mask_placed(path: PathLike, image: int, *, mask: MaskAt = MaskAt(), box: Box | None = None) -> MaskArray:
    """The mask of the exposure in an HDU alone; zeros where it has none. Parameters as of `read_placed`."""
    with opened_one_by_one(path) as file:
        full = exposures.described(file, image).box
        flags, _ = _mask(file, image, mask, None if box is None else cut(box, full))
    return np.zeros((box or full).shape, np.int32) if flags is None else flags


def _mask(file: FitsFile, image: int, place: MaskAt, part: Part) -> Flags:
    with _found(file, image, place, MASK_NAMES) as (other, number):
        if number is None:
            return None, ()
        shape = file.shape(image)
        if not place.bits and not place.codes:
            return exposures.mask_of(other, number, shape, part)
        pixels = _whole_numbers(exposures.plane_of(other, number, shape, part, what="mask"))
        if place.codes:
            return mask_planes.translate_codes(pixels, place.codes), ()
        return mask_planes.translate_bits(pixels, {bit: str(plane.name) for bit, plane in place.bits.items()})


def _whole_numbers(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Bits or codes, also where a program wrote them as floats; what is no number is no bit."""
    return pixels if pixels.dtype.kind in "iu" else np.nan_to_num(pixels).astype(np.int64)


def _variance(file: FitsFile, image: int, place: VarianceAt, part: Part) -> Float32Array | None:
    with _found(file, image, place, VARIANCE_NAMES) as (other, number):
        if number is None:
            return None
        return exposures.variance_of(other, number, file.shape(image), part, kind=place.kind)


@contextmanager
def _found(file: FitsFile, image: int, place: PlaneAt, names: tuple[str, ...]) -> Iterator[tuple[FitsFile, int | None]]:
    """The file and the HDU of a plane; no HDU where nobody named one and none is found."""
    if place.path is None:
        yield file, _beside(file, image, names) if place.hdu is None else _named(file, place.hdu)
        return
    with opened_one_by_one(place.path) as other:
        yield other, _like(other, file, image) if place.hdu is None else _named(other, place.hdu)


def _beside(file: FitsFile, image: int, names: tuple[str, ...]) -> int | None:
    number = file.find_beside(image, *names)
    return number if number is not None and file.is_image(number) else None


def _named(file: FitsFile, hdu: str | int) -> int:
    """The HDU of this name or number; ReadError if there is none."""
    number = file.find(hdu.upper()) if isinstance(hdu, str) else hdu
    if number is None or number >= len(file.hdus) or not file.is_image(number):
        raise ReadError(f"{file.name} has no image in HDU {hdu!r}; it has {file.content}")
    return number


def _like(other: FitsFile, file: FitsFile, image: int) -> int:
    """The HDU of another file that goes with an image: of its name, its number, or the first image."""
    name = file.names[image]
    if name and name in other.names and other.is_image(other.names.index(name)):
        return other.names.index(name)
    if image < len(other.hdus) and other.is_image(image):
        return image
    first = next((number for number in range(len(other.hdus)) if other.is_image(number)), None)
    if first is None:
        raise ReadError(f"{other.name} holds no image: none of its {len(other.hdus)} HDUs has pixels")
    return first


def _without_values(exposure: Exposure) -> Exposure:
    """Pixels without a value marked and made NaN."""
    old = exposure.masked_image
    finite = np.isfinite(old.image)
    if finite.all():
        return exposure
    mask = old.mask | np.where(finite, np.int32(0), np.int32(int(MaskPlane.NO_DATA)))
    image = np.where(finite, old.image, np.float32(np.nan))
    return replace(exposure, masked_image=replace(old, image=image, mask=mask))
