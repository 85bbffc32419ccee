"""diapipe's own layout of exposures and differences: which HDU holds what, written and read."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

import diapipe
from diapipe.errors import ReadError
from diapipe.images.box import Box
from diapipe.images.exposure import Difference, Exposure, ObservationInfo
from diapipe.images.masked_image import MaskedImage
from diapipe.io import celestial, mask_planes, models
from diapipe.io.atomic import replacing
from diapipe.io.exact_values import card_holds, read_text, text_hdu
from diapipe.io.fits_file import FitsFile, PathLike
from diapipe.io.records import Record, hdus_of, read_record

LAYOUT, LAYOUT_VERSION = "DPLAYOUT", 1
INFO_CARDS = {
    "visit": "VISIT",
    "detector": "DETECTOR",
    "band": "BAND",
    "mjd_midpoint": "MJD-MID",
    "exposure_time_s": "EXPTIME",
    "gain": "GAIN",
    "read_noise": "RDNOISE",
    "saturation": "SATURATE",
    "airmass": "AIRMASS",
    "parallactic_angle_deg": "PARANGLE",
    "temperature_c": "AIRTEMP",
    "pressure_hpa": "PRESSURE",
    "relative_humidity": "RELHUMID",
}
_OF_DIFFERENCE = {
    "variance_factor": ("DPVARFAC", "by which the variance was raised"),
    "relative_error": ("DPRELERR", "error of the light in the variance"),
    "static_error": ("DPSTATER", "error of what is left of static light"),
}
_METADATA = "DPMETA"
_EXACT = "EXACT"
"""HDU of the scalars that no card holds exactly, by card."""
_QUANTIZE_LEVEL = 16.0
"""Steps per noise sigma of compressed floats: adds 1/(12 q²), 0.03%, to the variance."""


def is_ours(file: FitsFile) -> bool:
    """Whether diapipe wrote the file."""
    return LAYOUT in file.header(0)


def write_exposure(
    exposure: Exposure, path: PathLike, *, compress: bool = False, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write an exposure so that `read_exposure` gives the same object again.

    Parameters
    ----------
    exposure
        What to write.
    path, compress, provenance
        As for `write_difference`.

    Raises
    ------
    WriteError
        If the file cannot be written; nothing is left then.
    """
    primary, exact = _primary(exposure, "Exposure", provenance)
    _write([primary, *_exposure_hdus(exposure, compress), *_exact_hdus(exact)], path)


def write_difference(
    difference: Difference,
    path: PathLike,
    *,
    compress: bool = False,
    with_template: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a difference so that `read_difference` rebuilds it.

    Parameters
    ----------
    difference
        What to write.
    path
        FITS file, replaced only when the new one is whole.
    compress
        Rice tile compression: lossless for the mask; image and variance are quantised to 1/16 of the noise with
        subtractive dithering (their noise variance grows by 0.03%), zeros and NaN kept.
    with_template
        Keep the matched template too (three more planes).
    provenance
        What the file should say of its making: inputs, configuration. Values that are not scalars are written as JSON.

    Raises
    ------
    WriteError
        If the file cannot be written; nothing is left behind then.
    """
    primary, exact = _primary(difference.exposure, "Difference", provenance)
    primary.header["CONVOLVD"] = (difference.convolved, "image that the kernel was applied to")
    for name, (card, comment) in _OF_DIFFERENCE.items():
        _keep(primary.header, exact, card, getattr(difference, name), comment)
    hdus = [primary, *_exposure_hdus(difference.exposure, compress)]
    hdus += hdus_of("KERNEL", models.kernel_record(difference.kernel))
    hdus += hdus_of("BACKGROUND", models.field_record(difference.background))
    if difference.whitening is not None:
        hdus += hdus_of("WHITENING", models.kernel_record(difference.whitening))
    if difference.template_filter is not None:
        hdus += hdus_of("TEMPLATE_FILTER", models.kernel_record(difference.template_filter))
    if difference.residual_background is not None:
        hdus += hdus_of("RESIDUAL_BACKGROUND", models.mesh_record(difference.residual_background))
    if with_template and difference.matched_template is not None:
        hdus += _plane_hdus(difference.matched_template, fits.Header(), compress, prefix="TEMPLATE_")
    _write([*hdus, *_exact_hdus(exact)], path)


def _write(hdus: list[Any], path: PathLike) -> None:
    with replacing(path) as aside, warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        fits.HDUList(hdus).writeto(aside, output_verify="silentfix")


def _primary(
    exposure: Exposure, kind: str, provenance: Mapping[str, Any] | None
) -> tuple[fits.PrimaryHDU, dict[str, Any]]:
    """The primary HDU, and by card what a card cannot hold exactly."""
    hdu, exact = fits.PrimaryHDU(), dict[str, Any]()
    header = hdu.header
    header["DPKIND"] = (kind, "class of diapipe")
    header[LAYOUT] = (LAYOUT_VERSION, "version of the file's layout")
    header["DPVERSN"] = (diapipe.__version__, "version of diapipe that wrote the file")
    header["DATE"] = (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "when (UTC)")
    _keep(header, exact, "DPNAME", exposure.name, "name of the exposure")
    header["DPHASVAR"] = (exposure.has_variance, "the variance was brought or measured")
    header["DPHASMSK"] = (exposure.has_mask, "the mask was brought or made")
    header["TIMESYS"] = "TAI"
    for card, value in _known(exposure.info):
        _keep(header, exact, card, value)
    if not exposure.unit or not card_holds("BUNIT", exposure.unit):
        exact["BUNIT"] = exposure.unit
    for key, value in exposure.metadata.items():
        _keep(header, exact, f"HIERARCH {_METADATA} {key}", value)
    _add_provenance(header, provenance or {})
    return hdu, exact


def _known(info: ObservationInfo) -> Iterator[tuple[str, Any]]:
    """Cards and values of what is not unknown, which None and a default of NaN stand for."""
    for f in fields(ObservationInfo):
        value = getattr(info, f.name)
        if not (value is None or (value != value and f.default != f.default)):
            yield INFO_CARDS[f.name], value


def observation_cards(info: ObservationInfo) -> dict[str, str | int | float]:
    """Cards of what is known of an observation, times in TAI."""
    finite = {card: value for card, value in _known(info) if not isinstance(value, float) or math.isfinite(value)}
    return {"TIMESYS": "TAI", **finite}


def _keep(header: fits.Header, exact: dict[str, Any], card: str, value: Any, comment: str = "") -> None:
    """A value as a card, or among those that no card holds exactly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        if card_holds(card, value):
            header[card] = (value, comment)
        else:
            exact[card.removeprefix("HIERARCH ")] = value


def _exact_hdus(exact: Mapping[str, Any]) -> list[fits.ImageHDU]:
    return [text_hdu(_EXACT, exact)] if exact else []


def _add_provenance(header: fits.Header, values: Mapping[str, Any]) -> None:
    """One HIERARCH card per entry; what is no scalar of FITS is written as JSON."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        for key, value in values.items():
            name = f"HIERARCH DPPROV {key}"
            header[name] = (
                value if isinstance(value, bool | int) or _is_plain(value) else json.dumps(value, default=str)
            )


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _exposure_hdus(exposure: Exposure, compress: bool) -> list[Any]:
    sky = fits.Header() if exposure.wcs is None else celestial.wcs_cards(exposure.wcs, exposure.box)
    hdus = _plane_hdus(exposure.masked_image, sky, compress, unit=exposure.unit)
    if exposure.psf is not None:
        hdus += hdus_of("PSF", models.psf_record(exposure.psf))
    if exposure.photo_calib is not None:
        hdus += hdus_of("PHOTOCALIB", models.calib_record(exposure.photo_calib))
    if exposure.noise_correlation is not None:
        hdus += hdus_of("NOISE_CORRELATION", models.array_record("NoiseCorrelation", exposure.noise_correlation))
    if exposure.inputs:
        hdus += hdus_of("INPUTS", models.array_record("Visits", np.array(exposure.inputs)))
    if exposure.aperture_corrections:
        parts = {
            f"field{n}": _named(name, field) for n, (name, field) in enumerate(exposure.aperture_corrections.items())
        }
        hdus += hdus_of("APERTURE_CORRECTIONS", Record(kind="ApertureCorrections", parts=parts))
    return hdus


def _named(name: str, field: Any) -> Record:
    record = models.field_record(field)
    return replace(record, cards={**record.cards, "COLUMN": name})


def _plane_hdus(
    image: MaskedImage, sky: fits.Header, compress: bool, *, prefix: str = "", unit: str = ""
) -> list[fits.ImageHDU | fits.CompImageHDU]:
    planes = {"IMAGE": image.image, "MASK": image.mask, "VARIANCE": image.variance}
    hdus = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        for name, pixels in planes.items():
            header = sky.copy()
            header.extend(fits.Header([fits.Card(*card) for card in celestial.box_cards(image.box)]), update=True)
            if unit and name != "MASK" and card_holds("BUNIT", f"({unit})**2"):
                header["BUNIT"] = unit if name == "IMAGE" else f"({unit})**2"
            if name == "MASK":
                for card in mask_planes.plane_cards():
                    header[card[0]] = card[1]
            hdus.append(_plane_hdu(pixels, header, f"{prefix}{name}", compress))
    return hdus


def _plane_hdu(pixels: Any, header: fits.Header, name: str, compress: bool) -> fits.ImageHDU | fits.CompImageHDU:
    view = pixels.view()
    view.flags.writeable = False  # else astropy swaps the caller's bytes in place while it writes
    if not compress:
        return fits.ImageHDU(view, header, name=name)
    is_float = view.dtype.kind == "f"
    return fits.CompImageHDU(
        view,
        header,
        name=name,
        compression_type="RICE_1",
        quantize_level=_QUANTIZE_LEVEL,
        quantize_method=2 if is_float else None,  # SUBTRACTIVE_DITHER_2 keeps zeros
        dither_seed=1,
    )


def completed(exposure: Exposure, file: FitsFile) -> Exposure:
    """An exposure whose planes and WCS are read, with everything else that diapipe wrote beside them."""
    header, exact = file.header(0), _exact_values(file)
    if int(header[LAYOUT]) > LAYOUT_VERSION:
        raise ReadError(f"{file.name} has layout version {header[LAYOUT]}; this diapipe reads up to {LAYOUT_VERSION}")
    psf, calib = read_record(file, "PSF"), read_record(file, "PHOTOCALIB")
    noise, corrections = read_record(file, "NOISE_CORRELATION"), read_record(file, "APERTURE_CORRECTIONS")
    visits = read_record(file, "INPUTS")
    return replace(
        exposure,
        name=str(exact.get("DPNAME", header.get("DPNAME", ""))),
        unit=str(exact.get("BUNIT", exposure.unit)),
        has_variance=bool(header["DPHASVAR"]),
        has_mask=bool(header["DPHASMSK"]),
        psf=None if psf is None else models.psf_of(psf),
        photo_calib=None if calib is None else models.calib_of(calib),
        noise_correlation=None if noise is None else noise.array,
        aperture_corrections={
            str(part.cards["COLUMN"]): models.field_of(part)
            for part in (corrections.parts.values() if corrections else ())
        },
        inputs=() if visits is None or visits.array is None else tuple(int(visit) for visit in visits.array),
        info=info_of(file),
        metadata=_metadata(header, exact),
    )


def _exact_values(file: FitsFile) -> dict[str, Any]:
    found: dict[str, Any] = read_text(file, _EXACT) or {}
    return found


def info_of(file: FitsFile) -> ObservationInfo:
    """What the primary header says of the observation."""
    values = _values(file, INFO_CARDS.values())
    return ObservationInfo(**{name: values[card] for name, card in INFO_CARDS.items() if card in values})


def _values(file: FitsFile, cards: Iterable[str]) -> dict[str, Any]:
    """Those of some cards of the primary header that are there, exactly."""
    header, exact = file.header(0), _exact_values(file)
    return {card: exact[card] if card in exact else header[card] for card in cards if card in exact or card in header}


def _metadata(header: Mapping[str, Any], exact: Mapping[str, Any]) -> dict[str, Any]:
    prefix = f"{_METADATA} "
    said = {key: header[key] for key in header if key.startswith(prefix)}
    said |= {key: value for key, value in exact.items() if key.startswith(prefix)}
    return {key.removeprefix(prefix): value for key, value in said.items()}


def difference_of(exposure: Exposure, file: FitsFile, part: tuple[slice, slice] | None = None) -> Difference:
    """The difference of a file whose exposure, or a part of it, is read; ReadError if the file holds none."""
    kernel, background = read_record(file, "KERNEL"), read_record(file, "BACKGROUND")
    if kernel is None or background is None:
        raise ReadError(f"{file.name} is no difference of diapipe: it has no KERNEL or no BACKGROUND")
    values = _values(file, ["CONVOLVD", *(card for card, _ in _OF_DIFFERENCE.values())])
    whitening, residual = read_record(file, "WHITENING"), read_record(file, "RESIDUAL_BACKGROUND")
    of_template = read_record(file, "TEMPLATE_FILTER")
    return Difference(
        exposure=exposure,
        kernel=models.kernel_of(kernel),
        background=models.field_of(background),
        convolved=str(values["CONVOLVD"]),
        matched_template=_matched_template(file, exposure.box, part),
        whitening=None if whitening is None else models.kernel_of(whitening),
        template_filter=None if of_template is None else models.kernel_of(of_template),
        residual_background=None if residual is None else models.mesh_of(residual),
        **{name: float(values[card]) for name, (card, _) in _OF_DIFFERENCE.items() if card in values},
    )


def _matched_template(file: FitsFile, box: Box, part: tuple[slice, slice] | None) -> MaskedImage | None:
    numbers = [file.find(f"TEMPLATE_{name}") for name in ("IMAGE", "MASK", "VARIANCE")]
    if None in numbers:
        return None
    image, mask, variance = (number for number in numbers if number is not None)

    def pixels(number: int, dtype: type[np.generic]) -> Any:
        return file.pixels(number, dtype) if part is None else file.part(number, *part, dtype)

    flags, _ = mask_planes.translate(pixels(mask, np.int32), mask_planes.bits_by_name(file.header(mask)))
    return MaskedImage(pixels(image, np.float32), flags, pixels(variance, np.float32), box)
