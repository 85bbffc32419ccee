"""VisitStars: the calibration stars of many images in one list, and what is known of the images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table

from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VisitStars:
    """Stars of all images, one entry for each time that one was seen; and the images, in the order of their numbers.

    Attributes
    ----------
    visit, detector
        Of each image, shape (m,).
    given, given_err
        Flux of a count in nJy as the image's file says, and its error; NaN where it does not. Shape (m,).
    image
        Index of the image that a star was seen on; shape (n,).
    ra, dec
        ICRS, degrees, shape (n,).
    flux, flux_err
        In counts of the image, without what its own calibration says varies over it; shape (n,).
    """

    visit: IntArray
    detector: IntArray
    given: FloatArray
    given_err: FloatArray
    image: IntArray
    ra: FloatArray
    dec: FloatArray
    flux: FloatArray
    flux_err: FloatArray

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return len(self.visit)

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def of(cls, images: Iterable[tuple[Mapping[str, Any], Table]], *, min_snr: float) -> VisitStars:
        """Of the tables of stars of many images, one after the other, so that only the stars are kept.

        Parameters
        ----------
        images
            For each what `diapipe.steps.characterize.exposure_summary` says, and its ``single_visit_star``.
        min_snr
            Fainter stars are left out.
        """
        found = sorted((_row(summary, table, min_snr) for summary, table in images), key=lambda row: row[:2])
        stars = [row[4] for row in found]
        counts = [stars_of_one.shape[1] for stars_of_one in stars]
        columns = np.concatenate([np.empty((4, 0)), *stars], axis=1)
        return cls(
            visit=np.array([row[0] for row in found], dtype=np.int64),
            detector=np.array([row[1] for row in found], dtype=np.int64),
            given=np.array([row[2] for row in found], dtype=np.float64),
            given_err=np.array([row[3] for row in found], dtype=np.float64),
            image=np.repeat(np.arange(len(found)), counts),
            ra=columns[0],
            dec=columns[1],
            flux=columns[2],
            flux_err=columns[3],
        )


def calibration_stars(table: Table, *, min_snr: float) -> BoolArray:
    """Sources of an image whose flux can be compared with another's: single unsaturated stars above a S/N."""
    flux, error = (np.asarray(table[name], dtype=np.float64) for name in ("psfFlux", "psfFluxErr"))
    good = np.asarray(table["extendedness"]) < 0.5
    good &= np.asarray(table["dp_isIsolated"], dtype=np.bool_)
    for flag in ("psfFlux_flag", "pixelFlags_saturatedCenter"):
        good &= ~np.asarray(table[flag], dtype=np.bool_)
    good &= np.isfinite(flux) & np.isfinite(error) & (error > 0.0)
    return np.asarray(good & (flux > min_snr * np.where(error > 0.0, error, np.inf)))


def _row(summary: Mapping[str, Any], table: Table, min_snr: float) -> tuple[int, int, float, float, FloatArray]:
    """Visit, detector, scale of the file and its error, and the stars: ra, dec, flux, error; shape (4, n)."""
    rows = table[calibration_stars(table, min_snr=min_snr)]
    mean = float(summary.get("nJyPerCount", np.nan))
    local = np.asarray(rows["localPhotoCalib"], dtype=np.float64) / mean
    flat = np.where(np.isfinite(local), local, 1.0)
    stars = [np.asarray(rows[name], dtype=np.float64) for name in ("ra", "dec", "psfFlux", "psfFluxErr")]
    stars[2:] = [values * flat for values in stars[2:]]
    return (
        int(summary["visit"]),
        int(summary["id"]),
        mean,
        float(summary.get("nJyPerCountErr", np.nan)),
        np.stack(stars),
    )
