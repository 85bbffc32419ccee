"""The files of a camera: which exposures they hold, and how one of them is read."""

from __future__ import annotations

import math
import os
from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from astropy.wcs import WCS

from diapipe.errors import InputError, ReadError
from diapipe.images import Box, Exposure, ObservationInfo, PhotoCalib
from diapipe.io import cards, celestial
from diapipe.io.exposures import IMAGE_NAMES, MASK_NAMES, VARIANCE_NAMES
from diapipe.io.fits_layout import HduLayout, layout, wcs_header_of
from diapipe.io.placed import MaskAt, VarianceAt, describe_placed, mask_placed, read_placed
from diapipe.numerics.arrays import MaskArray
from diapipe.tasks.repository.camera import Camera, Plane
from diapipe.tasks.repository.camera_rules import Source, Text, number_of
from diapipe.tasks.repository.camera_times import Span

_TABLES = frozenset({"CPDIS1", "CPDIS2", "D2IMDIS1", "D2IMDIS2"})
"""Cards of a WCS with distortions in tables, which lie in other HDUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """One detector's image in a file, as the camera's rules read its cards.

    Attributes
    ----------
    hdu
        Number of its HDU.
    visit, detector
        Its numbers.
    physical_filter, band
        Its filter.
    span
        When it was taken.
    exposure_time_s
        Length in seconds; NaN if unknown.
    target
        Name of the field, "" if unknown.
    """

    hdu: int
    visit: int
    detector: int
    physical_filter: str
    band: str
    span: Span
    exposure_time_s: float
    target: str = ""

    def __str__(self) -> str:
        begin = "at an unknown time" if self.span.begin_utc is None else f"{self.span.begin_utc:%Y-%m-%d %H:%M:%S} UTC"
        length = "" if math.isnan(self.exposure_time_s) else f", {self.exposure_time_s:g} s"
        name = self.physical_filter if self.physical_filter == self.band else f"{self.band} ({self.physical_filter})"
        return f"visit {self.visit} detector {self.detector}, {name}, {begin}{length}"


def images_of(path: str, camera: Camera) -> tuple[FoundImage, ...]:
    """The images that a file holds, its length checked against its headers; no pixel is read.

    Raises
    ------
    ReadError
        If the file is missing, no FITS file, truncated, or holds no image.
    InputError
        If it is of another camera, or its cards do not say what is needed. Of several images, those without a detector
        are left out as long as one has one.
    """
    hdus = layout(path)
    found: list[FoundImage] = []
    first_problem: InputError | None = None
    for hdu in _image_hdus(path, hdus, camera):
        source = _source(path, hdus, hdu)
        camera.refuse_others(source)
        try:
            detector = camera.detector_of(source)
        except InputError as error:
            first_problem = first_problem or error
            continue
        found.append(_found(camera, source, hdu, detector))
    if not found and first_problem is not None:
        raise first_problem
    twice = _repeated(image.detector for image in found)
    if twice is not None:
        raise InputError(f"two of its images are of detector {twice}")
    return tuple(found)


def _found(camera: Camera, source: Source, hdu: HduLayout, detector: int) -> FoundImage:
    """What the rules say of one image."""
    _check_wcs(source.cards)
    exposure_s = camera.exposure_time_s(source)
    span = camera.span(source, exposure_s)
    if span is None:
        where = "in the usual cards" if camera.time is None else f"in {camera.time.words}"
        raise InputError(f"no time of the exposure: there is none {where}")
    physical_filter = camera.filter_of(source)
    target = camera.found("target", source) if "target" in camera.rules else source.cards.get("OBJECT")
    return FoundImage(
        hdu=hdu.number,
        visit=camera.visit_of(replace(source, begin=span.begin_utc)),
        detector=detector,
        physical_filter=physical_filter,
        band=camera.band_of(physical_filter),
        span=span,
        exposure_time_s=exposure_s,
        target=str(target or "").strip()[:64],
    )


def _repeated(numbers: Iterable[int]) -> int | None:
    seen: set[int] = set()
    for number in numbers:
        if number in seen:
            return number
        seen.add(number)
    return None


def _source(path: str, hdus: tuple[HduLayout, ...], hdu: HduLayout) -> Source:
    """Cards of the image, behind them those of the primary header."""
    merged: Mapping[str, Any] = ChainMap({"HDU": hdu.number}, hdu.cards, hdus[0].cards)  # type: ignore[arg-type]
    return Source(merged, path)


def _image_hdus(path: str, hdus: tuple[HduLayout, ...], camera: Camera) -> list[HduLayout]:
    """The HDUs with images of the camera; ReadError if there is none, or one that the camera names is missing."""
    name = os.path.basename(path)
    with_pixels = [hdu for hdu in hdus if hdu.shape]
    if camera.images == ("each",):
        planes = {*MASK_NAMES, *VARIANCE_NAMES}
        found = [hdu for hdu in with_pixels if len(hdu.shape) == 2 and hdu.name not in planes]
    elif camera.images:
        found = [hdu for wanted in camera.images for hdu in _named(name, hdus, wanted)]
    else:
        named = [hdu for hdu in with_pixels if hdu.name in IMAGE_NAMES]
        found = (named or with_pixels)[:1]
    if not found:
        raise ReadError(f"{name} holds no image: none of its {len(hdus)} HDUs has pixels")
    for hdu in found:
        if len(hdu.shape) != 2:
            raise ReadError(f"{name}: HDU {hdu.number} has an image of shape {hdu.shape}; two dimensions are needed")
    return found


def _named(name: str, hdus: tuple[HduLayout, ...], wanted: str | int) -> list[HduLayout]:
    """The images of this number or name: a name may be that of several, which EXTVER or the detector tells apart."""
    found = [hdu for hdu in hdus if wanted in {hdu.number, hdu.name} and hdu.shape]
    if not found:
        there = ", ".join(f"{hdu.number} {hdu.name}".strip() for hdu in hdus)
        raise ReadError(f"{name} has no image in HDU {wanted}; it has {there}")
    return found


def _check_wcs(found: Mapping[str, Any]) -> None:
    """Refuse an image whose place on the sky can never be known; what the cards are worth is seen with the visits."""
    if "SKYWCS_ID" in found:
        return
    types = [str(found.get(f"CTYPE{axis}") or "").strip() for axis in (1, 2)]
    if not all(types):
        missing = "CTYPE1" if not types[0] else "CTYPE2"
        raise InputError(f"no WCS: it has no card {missing}; solve its astrometry first")
    if not any("RA" in kind or "LON" in kind for kind in types):
        raise InputError(f"no celestial WCS: CTYPE1 is {types[0]!r}, CTYPE2 {types[1]!r}; RA and Dec are needed")
    for axis in (1, 2):
        if cards.number(found, (f"CRVAL{axis}",)) is None:
            raise InputError(f"no WCS: its card CRVAL{axis} is {found.get(f'CRVAL{axis}')!r}; a number is needed")
    if _determinant(found) == 0:
        raise InputError("no WCS: its CD or CDELT cards make every pixel lie on one line of the sky")


def _determinant(found: Mapping[str, Any]) -> float:
    """Of the matrix from pixels to degrees, from CD cards, or CDELT and PC cards; missing ones as the standard says."""

    def value(key: str, default: float) -> float:
        number = cards.number(found, (key,))
        return default if number is None else number

    if any(f"CD{i}_{j}" in found for i in (1, 2) for j in (1, 2)):
        a, b, c, d = (value(f"CD{i}_{j}", 0.0) for i in (1, 2) for j in (1, 2))
        return a * d - b * c
    a, b, c, d = (value(f"PC{i}_{j}", float(i == j)) for i in (1, 2) for j in (1, 2))
    return (a * d - b * c) * value("CDELT1", 1.0) * value("CDELT2", 1.0)


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image of a camera's file, found by its detector: what the repository reads of it.

    Attributes
    ----------
    path
        The file.
    camera
        Whose it is.
    visit, detector
        What the repository calls it.
    """

    path: str
    camera: Camera
    visit: int
    detector: int

    def exposure(self, box: Box | None = None) -> Exposure:
        """The exposure, or the part of it in a box of parent coordinates."""
        source, hdu = self._place()
        mask, variance = self._planes(source)
        return self._completed(read_placed(self.path, hdu.number, mask=mask, variance=variance, box=box), source)

    def part(self, name: str, box: Box | None = None) -> Any:
        """The component of this name: no pixels are read but those of ``mask``."""
        if name == "mask":
            return self.mask(box)
        source, hdu = self._place()
        described = self._completed(describe_placed(self.path, hdu.number), source)
        return described.box if name == "bbox" else getattr(described, name)

    def place_on_sky(self) -> tuple[Box, WCS | None]:
        """Where the pixels lie in their parent, and the WCS as the cards have it: a tenth of the time of ``part``."""
        _, hdu = self._place()
        header = wcs_header_of(self.path, hdu)
        box = celestial.box_of(header, hdu.shape)
        wcs = None if _TABLES.intersection(header) else celestial.read_wcs(header, box)
        return (box, self.part("wcs")) if wcs is None else (box, wcs)

    def mask(self, box: Box | None = None) -> MaskArray:
        """The mask alone."""
        source, hdu = self._place()
        return mask_placed(self.path, hdu.number, mask=self._planes(source)[0], box=box)

    def _place(self) -> tuple[Source, HduLayout]:
        """Cards and HDU of the detector's image; ReadError if the file holds none of it (any more)."""
        hdus, own_path = layout(self.path), os.path.realpath(self.path)
        candidates = _image_hdus(self.path, hdus, self.camera)
        for hdu in candidates:
            source = _source(own_path, hdus, hdu)
            if len(candidates) == 1 or self._is_of_detector(source):
                return source, hdu
        raise ReadError(f"{os.path.basename(self.path)} has no image of detector {self.detector}")

    def _is_of_detector(self, source: Source) -> bool:
        try:
            return self.camera.detector_of(source) == self.detector
        except InputError:
            return False

    def _planes(self, source: Source) -> tuple[MaskAt, VarianceAt]:
        """Where mask and variance are; a file of them that is missing counts as none."""
        mask, variance = self.camera.mask, self.camera.variance
        return (
            MaskAt() if mask is None else MaskAt(**self._at(mask, source), bits=mask.bits, codes=mask.codes),
            VarianceAt() if variance is None else VarianceAt(**self._at(variance, source), kind=variance.kind),
        )

    def _at(self, plane: Plane, source: Source) -> dict[str, Any]:
        hdu = Text(plane.hdu).value(source) if isinstance(plane.hdu, str) else plane.hdu
        other = None if plane.file is None else plane.file.path_for(os.path.realpath(self.path))
        return {"hdu": hdu, "path": other if other is not None and os.path.isfile(other) else None}

    def _completed(self, exposure: Exposure, source: Source) -> Exposure:
        """The exposure with what the camera's rules and the repository know better than the usual cards."""
        camera = self.camera
        info, calib = _info(camera, exposure.info, source), exposure.photo_calib
        zero_point = number_of(camera.found("zero_point", source))
        if zero_point is not None:
            calib = PhotoCalib.from_zero_point(float(zero_point))
        unit = camera.found("unit", source)
        return replace(
            exposure,
            info=replace(info, visit=self.visit, detector=self.detector),
            photo_calib=None if "zero_point" in camera.silent else calib,
            unit="adu" if "unit" in camera.silent else exposure.unit if unit is None else str(unit),
        )


def _info(camera: Camera, info: ObservationInfo, source: Source) -> ObservationInfo:
    """Time, filter and detector constants by the camera's rules, where it has any."""
    found: dict[str, Any] = {}
    for field, name in (("gain", "gain"), ("read_noise", "read_noise"), ("saturation", "saturation")):
        value = number_of(camera.found(name, source))
        if name in camera.silent:
            found[field] = None
        elif value is not None:
            found[field] = float(value)
    if "exposure_time" in camera.rules:
        found["exposure_time_s"] = camera.exposure_time_s(source)
    span = camera.span(source, camera.exposure_time_s(source)) if camera.time is not None else None
    if span is not None:
        found["mjd_midpoint"] = span.middle
    if "filter" in camera.rules or camera.bands:
        found["band"] = camera.band_of(camera.filter_of(source))
    return replace(info, **found)
