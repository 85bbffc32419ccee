"""read_exposure: an `Exposure` from whatever kind of FITS file it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diapipe.errors import InputError, ReadError
from diapipe.images.box import Box
from diapipe.images.exposure import IMAGES_LEFT, Difference, Exposure, ObservationInfo
from diapipe.images.mask import MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.images.photo_calib import PhotoCalib
from diapipe.images.psf.base import Psf
from diapipe.images.psf.polynomial import PolynomialPsf
from diapipe.io import afw, cards, celestial, difference_layout, mask_planes
from diapipe.io.fits_file import FitsFile, PathLike, opened
from diapipe.numerics.arrays import Float32Array, MaskArray
from diapipe.steps.limits import Limited

IMAGE_NAMES = ("IMAGE", "SCI")
MASK_NAMES = ("MASK", "DQ", "MSK")
VARIANCE_NAMES = ("VARIANCE", "VAR", "ERR", "UNCERT", "WGT", "WEIGHT", "IVAR", "INVVAR")
_OF_ERROR: dict[str, Callable[[Float32Array], Float32Array]] = {
    "VARIANCE": lambda plane: plane,
    "ERROR": np.square,
    "INVERSE": lambda plane: np.divide(1.0, plane, out=np.full_like(plane, np.inf), where=plane > 0),
}
_KIND_OF_NAME = {"ERR": "ERROR", "ERROR": "ERROR", "SIGMA": "ERROR", "RMS": "ERROR"} | dict.fromkeys(
    ("WGT", "WEIGHT", "IVAR", "INVVAR"), "INVERSE"
)
_KIND_OF_UTYPE = {"STDDEVUNCERTAINTY": "ERROR", "VARIANCEUNCERTAINTY": "VARIANCE", "INVERSEVARIANCE": "INVERSE"}

type Part = tuple[slice, slice] | None
"""Rows and columns to be read; None for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions(Limited):
    """What the caller knows better than the file; None leaves it to the cards.

    Attributes
    ----------
    hdu
        Number or name of the HDU that holds the image.
    gain_e_per_count, read_noise_e, saturation_counts
        Detector constants.
    zero_point_mag
        AB magnitude of a star of one count.
    band
        Filter band.
    """

    may_be_zero = ("read_noise_e",)
    any_sign = ("hdu", "zero_point_mag")

    hdu: int | str | None = None
    gain_e_per_count: float | None = None
    read_noise_e: float | None = None
    saturation_counts: float | None = None
    zero_point_mag: float | None = None
    band: str | None = None


def read_exposure(
    path: PathLike,
    *,
    variance: PathLike | None = None,
    mask: PathLike | None = None,
    options: ReadOptions = ReadOptions(),
) -> Exposure:
    """Read an exposure, recognising the kind of file by its contents.

    Kinds: IMAGE/MASK/VARIANCE as LSST and diapipe write them, SCI/ERR/DQ, CCDData, one single image; tile-compressed or
    not.

    Parameters
    ----------
    path
        FITS file.
    variance, mask
        Files whose first image replaces the plane: a variance (an error or inverse variance if its EXTNAME says so),
        and a mask (bits named by ``MP_`` cards, else anything but zero is BAD).
    options
        What overrides the cards.

    Returns
    -------
    Exposure
        Planes, WCS, PSF and calibration as far as the file has them; ``has_mask`` and ``has_variance`` say which
        planes are its own.

    Raises
    ------
    ReadError
        If a file is missing, truncated, not FITS, or holds no image of two dimensions.
    InputError
        If no pixel is finite, no variance positive, or a plane has another shape than the image.
    """
    with opened(path) as file:
        exposure = _read(file, _image_number(file, options.hdu), has_own_planes=options.hdu is None)
        others = _number_of_images(file) - 1
        if options.hdu is None and others > 0:
            note = f"the first of {others + 1} images of {file.name} was taken; --hdu or --template-hdu chooses another"
            exposure = replace(exposure, metadata={**exposure.metadata, IMAGES_LEFT: note})
    if variance is not None:
        exposure = _with_variance_file(exposure, variance)
    if mask is not None:
        exposure = _with_mask_file(exposure, mask)
    return _overridden(_checked(exposure), options)


def described(file: FitsFile, number: int) -> Exposure:
    """Everything but the pixels of the image in an HDU: WCS, PSF, calibration, cards; its planes are empty.

    Raises
    ------
    ReadError
        If the HDU has no image of two dimensions.
    """
    primary, own = cards.sound(file.header(0)), cards.sound(file.header(number))
    header = own.copy()
    if number:
        header.extend(primary, unique=True, strip=True)
    box = celestial.box_of(header, file.shape(number))
    exposure = Exposure(
        name=file.name,
        masked_image=MaskedImage.empty(box),
        has_variance=False,
        has_mask=False,
        wcs=celestial.read_wcs(own, box, file.hdus),
        psf=_ccddata_psf(file, box),
        photo_calib=cards.photo_calib(header),
        info=cards.info(header),
        unit=cards.unit(header),
        metadata=cards.metadata(primary, own),
    )
    if difference_layout.is_ours(file):
        return difference_layout.completed(exposure, file)
    return afw.completed(exposure, file) if afw.has_archive(file) else exposure


def with_planes(
    exposure: Exposure,
    image: Float32Array,
    mask: tuple[MaskArray | None, tuple[str, ...]],
    variance: Float32Array | None,
    *,
    is_ours: bool = False,
) -> Exposure:
    """A described exposure with its pixels; a file of diapipe says itself whether it brought mask and variance."""
    flags, dropped = mask
    spread = 1.0 if variance is None else variance
    return replace(
        exposure,
        masked_image=MaskedImage.from_planes(image, mask=flags, variance=spread, box=exposure.box),
        has_mask=exposure.has_mask if is_ours else flags is not None,
        has_variance=exposure.has_variance if is_ours else variance is not None,
        metadata={**exposure.metadata, **({"MASK_PLANES_DROPPED": " ".join(dropped)} if dropped else {})},
    )


def _read(file: FitsFile, number: int, *, has_own_planes: bool) -> Exposure:
    exposure = described(file, number)
    image = file.pixels(number, np.float32)
    has_own_planes = has_own_planes or file.names[number] in IMAGE_NAMES
    flags = found_mask(file, number, image.shape) if has_own_planes else (None, ())
    spread = found_variance(file, number, image.shape) if has_own_planes else None
    return with_planes(exposure, image, flags, spread, is_ours=difference_layout.is_ours(file))


def _image_number(file: FitsFile, wanted: int | str | None) -> int:
    """The HDU of the image: the one asked for, IMAGE or SCI, else the first that has pixels."""
    if isinstance(wanted, str):
        found = file.find(wanted.upper())
        if found is None:
            raise ReadError(f"{file.name} has no HDU named {wanted!r}; it has {file.content}")
        return found
    if wanted is not None:
        if not 0 <= wanted < len(file.hdus):
            raise ReadError(f"{file.name} has no HDU {wanted}; it has {file.content}")
        return wanted
    named = file.find(*IMAGE_NAMES)
    if named is not None and file.is_image(named):
        return named
    for number in range(len(file.hdus)):
        if file.is_image(number):
            return number
    raise ReadError(f"{file.name} holds no image: none of its {len(file.hdus)} HDUs has pixels")


def _number_of_images(file: FitsFile) -> int:
    """How many HDUs are as good as the one that is taken unasked: those called IMAGE or SCI, else all but planes."""
    numbers = [number for number in range(len(file.hdus)) if file.is_image(number)]
    named = [number for number in numbers if file.names[number] in IMAGE_NAMES]
    return len(named) or len([number for number in numbers if file.names[number] not in (*MASK_NAMES, *VARIANCE_NAMES)])


def found_mask(
    file: FitsFile, image: int, shape: tuple[int, ...], part: Part = None
) -> tuple[MaskArray | None, tuple[str, ...]]:
    """The mask that belongs to an image by its name, or the part of it, and the planes that it has beyond ours."""
    number = file.find_beside(image, *MASK_NAMES)
    if number is None or not file.is_image(number):
        return None, ()
    return mask_of(file, number, shape, part)


def mask_of(
    file: FitsFile, number: int, shape: tuple[int, ...], part: Part = None
) -> tuple[MaskArray, tuple[str, ...]]:
    """The mask in an HDU by its ``MP_`` cards, and the names of the planes that were dropped."""
    pixels = plane_of(file, number, shape, part, what="mask")
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels, nan=1.0) != 0
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.int32)
    return mask_planes.translate(pixels, mask_planes.bits_by_name(file.header(number)))


def found_variance(file: FitsFile, image: int, shape: tuple[int, ...], part: Part = None) -> Float32Array | None:
    """The variance that belongs to an image by its name, or the part of it; None if the file has none."""
    number = file.find_beside(image, *VARIANCE_NAMES)
    if number is None or not file.is_image(number):
        return None
    return variance_of(file, number, shape, part)


def variance_of(
    file: FitsFile, number: int, shape: tuple[int, ...], part: Part = None, *, kind: str | None = None
) -> Float32Array:
    """The variance in an HDU that holds a variance, an error or an inverse variance: ``kind``, or as its name says."""
    pixels: Float32Array = plane_of(file, number, shape, part, what="variance", dtype=np.float32)
    found = kind.upper() if kind is not None else _KIND_OF_NAME.get(file.names[number], "VARIANCE")
    if kind is None and file.names[number] == "UNCERT":
        found = _KIND_OF_UTYPE.get(str(file.header(number).get("UTYPE", "")).upper(), "VARIANCE")
    with np.errstate(over="ignore"):
        return _OF_ERROR[found](pixels)


def plane_of(
    file: FitsFile,
    number: int,
    shape: tuple[int, ...],
    part: Part = None,
    *,
    what: str,
    dtype: type[np.generic] | None = None,
) -> np.ndarray[Any, Any]:
    """Pixels of a plane, or the part of them; InputError if it has not the shape of the image."""
    _check_shape(file.shape(number), shape, f"{what} of {file.name}")
    return file.pixels(number, dtype) if part is None else file.part(number, *part, dtype)


def _check_shape(found: tuple[int, ...], needed: tuple[int, ...], what: str) -> None:
    if found != needed:
        raise InputError(
            f"the {what} has shape {found}, the image {needed}: they must be equal", found=found, needed=needed
        )


def _ccddata_psf(file: FitsFile, box: Box) -> Psf | None:
    """The PSF image that a CCDData file may bring, with zeros around the shorter side.

    Raises
    ------
    ReadError
        If it has no middle pixel or no positive sum: a PSF made from it would be a guess.
    """
    number = file.find("PSFIMAGE")
    if number is None:
        return None
    image = file.pixels(number, np.float64)
    rows, columns = image.shape
    if rows % 2 == 0 or columns % 2 == 0:
        raise ReadError(
            f"PSFIMAGE of {file.name} has {rows} x {columns} pixels; a PSF needs a middle pixel, so both must be "
            "odd; without that HDU the PSF is measured at the stars"
        )
    if not np.isfinite(image).all() or not image.sum() > 0:
        raise ReadError(
            f"PSFIMAGE of {file.name} sums to {image.sum():g}; a PSF has finite pixels of positive sum; without that "
            "HDU the PSF is measured at the stars"
        )
    side = max(rows, columns)
    margins = [((side - n) // 2, (side - n) // 2) for n in (rows, columns)]
    return PolynomialPsf.constant(np.pad(image, margins) / image.sum(), box)


def _with_variance_file(exposure: Exposure, path: PathLike) -> Exposure:
    with opened(path) as file:
        spread = variance_of(file, _first_of(file, VARIANCE_NAMES), exposure.box.shape)
    old = exposure.masked_image
    return replace(exposure, masked_image=replace(old, variance=spread), has_variance=True)


def _with_mask_file(exposure: Exposure, path: PathLike) -> Exposure:
    with opened(path) as file:
        flags, _ = mask_of(file, _first_of(file, MASK_NAMES), exposure.box.shape)
    return replace(exposure, masked_image=replace(exposure.masked_image, mask=flags), has_mask=True)


def _first_of(file: FitsFile, names: tuple[str, ...]) -> int:
    number = file.find(*names)
    return number if number is not None and file.is_image(number) else _image_number(file, None)


def _checked(exposure: Exposure) -> Exposure:
    """Refuse an image without a value or a variance; mark pixels without a value."""
    image, variance = exposure.masked_image.image, exposure.masked_image.variance
    finite = np.isfinite(image)
    n_finite = int(np.count_nonzero(finite))
    if n_finite == 0:
        raise InputError(f"{exposure.name} has no finite pixel among its {image.size}", name=exposure.name)
    if exposure.has_variance and not (variance > 0).any():
        raise InputError(
            f"{exposure.name}: no pixel's variance is positive; the largest is {np.max(variance):.4g}, where the "
            "squared noise of each pixel is needed"
        )
    if n_finite == image.size:
        return exposure
    mask = exposure.masked_image.mask | np.where(finite, np.int32(0), np.int32(int(MaskPlane.NO_DATA)))
    pixels = np.where(finite, image, np.float32(np.nan))
    return replace(exposure, masked_image=replace(exposure.masked_image, image=pixels, mask=mask))


def _overridden(exposure: Exposure, options: ReadOptions) -> Exposure:
    given: dict[str, Any] = {
        "gain": options.gain_e_per_count,
        "read_noise": options.read_noise_e,
        "saturation": options.saturation_counts,
        "band": options.band,
    }
    info: ObservationInfo = replace(exposure.info, **{key: value for key, value in given.items() if value is not None})
    if options.zero_point_mag is None:
        return replace(exposure, info=info)
    return replace(exposure, info=info, photo_calib=PhotoCalib.from_zero_point(options.zero_point_mag))


def read_difference(path: PathLike) -> Difference:
    """Read a difference that `write_difference` wrote.

    Parameters
    ----------
    path
        FITS file.

    Returns
    -------
    Difference
        Equal to the one that was written, but for the rounding of a compressed file.

    Raises
    ------
    ReadError
        If the file is missing or damaged, or holds no difference of diapipe.
    """
    with opened(path) as file:
        if not difference_layout.is_ours(file):
            raise ReadError(
                f"{file.name} is no difference of diapipe: its primary header has no {difference_layout.LAYOUT}"
            )
        return difference_layout.difference_of(_read(file, _image_number(file, None), has_own_planes=True), file)
