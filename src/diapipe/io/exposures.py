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

_IMAGE = ("IMAGE", "SCI")
_MASK = ("MASK", "DQ", "MSK")
_VARIANCE = ("VARIANCE", "VAR", "ERR", "UNCERT", "WGT", "WEIGHT", "IVAR", "INVVAR")
_OF_ERROR: dict[str, Callable[[Float32Array], Float32Array]] = {
    "VARIANCE": lambda plane: plane,
    "ERROR": np.square,
    "INVERSE": lambda plane: np.divide(1.0, plane, out=np.full_like(plane, np.inf), where=plane > 0),
}
_KIND_OF_NAME = {"ERR": "ERROR", "ERROR": "ERROR", "SIGMA": "ERROR", "RMS": "ERROR"} | dict.fromkeys(
    ("WGT", "WEIGHT", "IVAR", "INVVAR"), "INVERSE"
)
_KIND_OF_UTYPE = {"STDDEVUNCERTAINTY": "ERROR", "VARIANCEUNCERTAINTY": "VARIANCE", "INVERSEVARIANCE": "INVERSE"}


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
        and a mask (bits named by MP_ cards, else anything but zero is BAD).
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


def _read(file: FitsFile, number: int, *, has_own_planes: bool) -> Exposure:
    primary, own = cards.sound(file.header(0)), cards.sound(file.header(number))
    header = own.copy()
    if number:
        header.extend(primary, unique=True, strip=True)
    image = file.pixels(number, np.float32)
    box = celestial.box_of(header, image.shape)
    has_own_planes = has_own_planes or file.names[number] in _IMAGE
    flags, dropped = _mask_plane(file, number, image.shape) if has_own_planes else (None, ())
    spread = _variance_plane(file, number, image.shape) if has_own_planes else None
    exposure = Exposure(
        name=file.name,
        masked_image=MaskedImage.from_planes(image, mask=flags, variance=1.0 if spread is None else spread, box=box),
        has_variance=spread is not None,
        has_mask=flags is not None,
        wcs=celestial.read_wcs(own, box, file.hdus),
        psf=_ccddata_psf(file, box),
        photo_calib=cards.photo_calib(header),
        info=cards.info(header),
        unit=cards.unit(header),
        metadata=cards.metadata(primary, own) | ({"MASK_PLANES_DROPPED": " ".join(dropped)} if dropped else {}),
    )
    if difference_layout.is_ours(file):
        return difference_layout.completed(exposure, file)
    return afw.completed(exposure, file) if afw.has_archive(file) else exposure


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
    named = file.find(*_IMAGE)
    if named is not None and file.is_image(named):
        return named
    for number in range(len(file.hdus)):
        if file.is_image(number):
            return number
    raise ReadError(f"{file.name} holds no image: none of its {len(file.hdus)} HDUs has pixels")


def _number_of_images(file: FitsFile) -> int:
    """How many HDUs are as good as the one that is taken unasked: those called IMAGE or SCI, else all but planes."""
    numbers = [number for number in range(len(file.hdus)) if file.is_image(number)]
    named = [number for number in numbers if file.names[number] in _IMAGE]
    return len(named) or len([number for number in numbers if file.names[number] not in (*_MASK, *_VARIANCE)])


def _mask_plane(file: FitsFile, image: int, shape: tuple[int, ...]) -> tuple[MaskArray | None, tuple[str, ...]]:
    number = file.find_beside(image, *_MASK)
    if number is None or not file.is_image(number):
        return None, ()
    return _mask_of(file, number, shape)


def _mask_of(file: FitsFile, number: int, shape: tuple[int, ...]) -> tuple[MaskArray, tuple[str, ...]]:
    pixels = file.pixels(number)
    _check_shape(pixels.shape, shape, f"mask of {file.name}")
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels, nan=1.0) != 0
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.int32)
    return mask_planes.translate(pixels, mask_planes.bits_by_name(file.header(number)))


def _variance_plane(file: FitsFile, image: int, shape: tuple[int, ...]) -> Float32Array | None:
    number = file.find_beside(image, *_VARIANCE)
    if number is None or not file.is_image(number):
        return None
    return _variance_of(file, number, shape)


def _variance_of(file: FitsFile, number: int, shape: tuple[int, ...]) -> Float32Array:
    pixels: Float32Array = file.pixels(number, np.float32)
    _check_shape(pixels.shape, shape, f"variance of {file.name}")
    kind = _KIND_OF_NAME.get(file.names[number], "VARIANCE")
    if file.names[number] == "UNCERT":
        kind = _KIND_OF_UTYPE.get(str(file.header(number).get("UTYPE", "")).upper(), "VARIANCE")
    with np.errstate(over="ignore"):
        return _OF_ERROR[kind](pixels)


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
        spread = _variance_of(file, _first_of(file, _VARIANCE), exposure.box.shape)
    old = exposure.masked_image
    return replace(exposure, masked_image=replace(old, variance=spread), has_variance=True)


def _with_mask_file(exposure: Exposure, path: PathLike) -> Exposure:
    with opened(path) as file:
        flags, _ = _mask_of(file, _first_of(file, _MASK), exposure.box.shape)
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
