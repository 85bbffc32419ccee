"""``visit_summary``: what is known of the detectors of a visit, one row each, by Rubin's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.catalogs.schema import Column
from diapipe.catalogs.tables import table_of_rows
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.numerics.arrays import FloatArray, RealArray

LIMIT_SNR = 5.0
"""Signal-to-noise ratio of a star at the limiting magnitude."""

VISIT_SUMMARY: tuple[Column, ...] = (
    Column("id", "i8", "", "Number of the detector"),
    Column("instrument", "U32", "", "Name of the instrument"),
    Column("visit", "i8", "", "Identifier of the visit"),
    Column("band", "U32", "", "Name of the filter band"),
    Column("physical_filter", "U64", "", "Name of the filter"),
    Column("mjd", "f8", "d", "Middle of the exposure, TAI"),
    Column("expTime", "f8", "s", "Length of the exposure"),
    Column("psfSigma", "f8", "pix", "Determinant radius of the PSF's adaptive moments, in the middle"),
    Column("psfFwhm", "f8", "pix", "2.3548 psfSigma"),
    Column("psfArea", "f8", "pix2", "Noise-equivalent area of the PSF in the middle, 1 / sum of its squares"),
    Column("psfIxx", "f8", "pix2", "Adaptive second moment of the PSF in the middle"),
    Column("psfIyy", "f8", "pix2", "Adaptive second moment of the PSF in the middle"),
    Column("psfIxy", "f8", "pix2", "Adaptive second moment of the PSF in the middle"),
    Column("pixelScale", "f8", "arcsec", "Side of a pixel"),
    Column("ra", "f8", "deg", "Middle of the detector"),
    Column("dec", "f8", "deg", "Middle of the detector"),
    Column("raCorners", "(4,)f8", "deg", "Corners, counted from the lowest x and y along x first"),
    Column("decCorners", "(4,)f8", "deg", "Corners, counted from the lowest x and y along x first"),
    Column("bbox_min_x", "i4", "pix", "First column"),
    Column("bbox_min_y", "i4", "pix", "First row"),
    Column("bbox_max_x", "i4", "pix", "Last column"),
    Column("bbox_max_y", "i4", "pix", "Last row"),
    Column("nPsfStar", "i4", "", "Stars that the PSF was made from, or compared with where it was given"),
    Column("psfStarDeltaE1Median", "f8", "", "Median of e1 = (ixx - iyy) / (ixx + iyy) of these stars less the PSF's"),
    Column("psfStarDeltaE2Median", "f8", "", "Median of e2 = 2 ixy / (ixx + iyy) of these stars less the PSF's"),
    Column("psfStarDeltaE1Scatter", "f8", "", "Scatter of the same differences in e1"),
    Column("psfStarDeltaE2Scatter", "f8", "", "Scatter of the same differences in e2"),
    Column("psfStarDeltaSizeMedian", "f8", "pix", "Median of their determinant radii less the PSF's"),
    Column("psfStarDeltaSizeScatter", "f8", "pix", "Scatter of the same differences"),
    Column("psfStarScaledDeltaSizeScatter", "f8", "1/pix", "psfStarDeltaSizeScatter over the squared median radius"),
    Column("psfTraceRadiusDelta", "f8", "pix", "Largest less smallest trace radius of the PSF over the detector"),
    Column("starEMedian", "f8", "", "Median ellipticity of these stars"),
    Column("skyBg", "f8", "", "Median level of the sky that was subtracted, counts"),
    Column("skyNoise", "f8", "", "Scatter of the pixels between the sources, counts"),
    Column("meanVar", "f8", "", "Median variance of a pixel, counts squared"),
    Column("gain", "f8", "", "Electrons per count; NaN where nobody knows"),
    Column("apertureCorrection", "f8", "", "In the middle of the detector"),
    Column("nSources", "i4", "", "Sources above 5 sigma"),
    Column("magLim", "f8", "mag", "AB magnitude of a star of signal-to-noise ratio 5"),
    Column("zeroPoint", "f8", "mag", "AB magnitude of a star of one count"),
    Column("nJyPerCount", "f8", "nJy", "Flux of one count, the final scale of the image"),
    Column("nJyPerCountErr", "f8", "nJy", "Its error"),
    Column("isAbsolute", "?", "", "The scale is in true nJy, not relative to a reference visit"),
    Column("component", "i4", "", "Images of one number are on one scale; -1 for one that shares no stars with others"),
)
"""In their order."""


def visit_summary(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Table of a visit: what is not in a row is NaN, 0 or "".

    ``zeroPoint`` and ``magLim`` follow from the scale.

    Parameters
    ----------
    rows
        One mapping for each detector, by column name.

    Raises
    ------
    InternalError
        If a name is not in the schema.
    """
    listed = sorted((dict(row) for row in rows), key=lambda row: int(row["id"]))
    table = table_of_rows(VISIT_SUMMARY, listed)
    table["zeroPoint"] = zero_point(np.asarray(table["nJyPerCount"]))
    table["magLim"] = magnitude_limit(
        psf_area=np.asarray(table["psfArea"]),
        sky_noise=np.asarray(table["skyNoise"]),
        gain=np.asarray(table["gain"]),
        zero_point=np.asarray(table["zeroPoint"]),
    )
    for column in VISIT_SUMMARY:
        table[column.name].unit, table[column.name].description = column.unit or None, column.description
    return table


def zero_point(njy_per_count: RealArray) -> FloatArray:
    """AB magnitude of a star of one count, from the flux of a count in nJy."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(-2.5 * np.log10(np.asarray(njy_per_count, np.float64) / ZERO_POINT_NJY))


def magnitude_limit(
    *, psf_area: RealArray, sky_noise: RealArray, gain: RealArray, zero_point: RealArray, snr: float = LIMIT_SNR
) -> FloatArray:
    """AB magnitude of a star that a PSF flux finds with a signal-to-noise ratio.

    The counts C of the star solve C² = SNR² (C / gain + σ² A) with the noise σ of a pixel and the noise-equivalent area
    A (LSST's LSE-40, eq. 41, with the measured noise in place of sky and read noise).

    Parameters
    ----------
    psf_area
        In square pixels.
    sky_noise
        Of a pixel, counts.
    gain
        Electrons per count; NaN where the star's own photons are not to count.
    zero_point
        AB magnitude of one count.
    snr
        Signal-to-noise ratio.
    """
    own = np.where(np.asarray(gain) > 0, 0.5 * snr**2 / np.where(np.asarray(gain) > 0, gain, 1.0), 0.0)
    counts = own + np.sqrt(own**2 + snr**2 * np.asarray(sky_noise) ** 2 * np.asarray(psf_area))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(zero_point - 2.5 * np.log10(counts))
