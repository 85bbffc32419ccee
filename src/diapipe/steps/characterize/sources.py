"""The sources of one image: found, centred, measured."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import spatial

from diapipe.images import MaskPlane
from diapipe.numerics import local_maxima
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray, MaskArray
from diapipe.numerics.blobs import Blobs, blobs_of
from diapipe.numerics.moments import AdaptiveMoments, adaptive_moments
from diapipe.steps.limits import Limited

BLIND = MaskPlane.BAD | MaskPlane.CR | MaskPlane.NO_DATA | MaskPlane.EDGE
"""Planes whose pixels are not looked at when sources are searched; saturated ones are, they belong to stars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDetection(Limited):
    """How sources are found.

    Attributes
    ----------
    n_sigma
        Threshold on the smoothed image, in units of its noise.
    first_sigma_pixels, first_n_sigma
        Smoothing and threshold of the first look, which only serves to find the PSF's width.
    first_tile_pixels
        The first look is taken at a central square of this side.
    """

    n_sigma: float = 5.0
    first_sigma_pixels: float = 1.5
    first_n_sigma: float = 15.0
    first_tile_pixels: int = 1400


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Sources in array coordinates, brightest first; one entry each.

    Attributes
    ----------
    x, y
        Centroid (the peak's pixel where the measurement failed).
    flux, flux_err
        Gaussian-weighted flux and its error.
    peak
        Value of the brightest pixel.
    log_size
        Logarithm of the determinant radius of the adaptive moments, in pixels.
    e1, e2
        (ixx - iyy) / (ixx + iyy) and 2 ixy / (ixx + iyy).
    is_saturated
        Saturated pixels within 3 px of the centre.
    is_measured
        The moments converged, on a core without masked pixels.
    """

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    flux_err: FloatArray
    peak: FloatArray
    log_size: FloatArray
    e1: FloatArray
    e2: FloatArray
    is_saturated: BoolArray
    is_measured: BoolArray

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, which: BoolArray | IntArray) -> Sources:
        return Sources(*(getattr(self, f.name)[which] for f in fields(self)))

    @property
    def snr(self) -> FloatArray:
        """Flux over its error."""
        return np.asarray(self.flux / self.flux_err)


def find_sources(
    image: Float32Array, variance: Float32Array, mask: MaskArray, *, sigma: float, n_sigma: float
) -> Sources:
    """Find the sources of a background-subtracted image and measure them.

    Parameters
    ----------
    image, variance, mask
        Planes of one shape.
    sigma
        Width of the PSF in pixels.
    n_sigma
        Threshold.
    """
    peaks = local_maxima.find_maxima(
        image, mask=mask, variance=variance, bad_bits=int(BLIND), sigma=sigma, n_sigma=n_sigma
    )
    radius = int(np.clip(np.ceil(6.0 * sigma), 8, 25))
    moments = adaptive_moments(
        image,
        variance,
        peaks.x,
        peaks.y,
        sigma_start=sigma,
        radius=radius,
        mask=mask,
        bad_bits=int(BLIND | MaskPlane.SAT),
    )
    return _assembled(image, mask, peaks, moments, sigma)


def _assembled(
    image: Float32Array, mask: MaskArray, peaks: local_maxima.Maxima, moments: AdaptiveMoments, sigma: float
) -> Sources:
    """Join peaks and moments; what could not be measured gets a flux from its peak."""
    height = np.maximum(_around(image, peaks, 1, np.fmax, -np.inf), 0.0)
    good = (moments.flag == 0) & (moments.flux > 0)
    near = _around(mask, peaks, max(1, round(sigma)), np.bitwise_or, 0).astype(np.int64)
    is_saturated = (_around(mask, peaks, 3, np.bitwise_or, 0).astype(np.int64) & int(MaskPlane.SAT)) != 0
    area = 4.0 * np.pi * sigma**2
    flux = np.where(good, moments.flux, 0.5 * area * height)
    error = np.where(good, moments.flux_err, flux / np.maximum(peaks.significance, 1.0))
    trace = moments.ixx + moments.iyy
    with np.errstate(invalid="ignore", divide="ignore"):
        log_size = 0.25 * np.log(moments.ixx * moments.iyy - moments.ixy**2)
        e1, e2 = (moments.ixx - moments.iyy) / trace, 2.0 * moments.ixy / trace
    found = Sources(
        x=np.where(good, moments.x, peaks.x),
        y=np.where(good, moments.y, peaks.y),
        flux=flux,
        flux_err=error,
        peak=height,
        log_size=np.where(good, log_size, np.nan),
        e1=e1,
        e2=e2,
        is_saturated=is_saturated,
        is_measured=good & ((near & int(BLIND | MaskPlane.SAT)) == 0),
    )
    found = found[_first_of_each_blob(mask, peaks, found)]
    return found[np.argsort(-found.flux, kind="stable")]


def _around(
    plane: Float32Array | MaskArray, peaks: local_maxima.Maxima, reach: int, combine: np.ufunc, empty: float
) -> FloatArray:
    """Combine the pixels within ``reach`` of each peak along either axis; shape (n,)."""
    padded_y = np.clip(peaks.y[:, None] + np.arange(-reach, reach + 1), 0, plane.shape[0] - 1)
    padded_x = np.clip(peaks.x[:, None] + np.arange(-reach, reach + 1), 0, plane.shape[1] - 1)
    cut = plane[padded_y[:, :, None], padded_x[:, None, :]]
    return np.asarray(
        combine.reduce(cut.reshape(len(peaks.y), (2 * reach + 1) ** 2), axis=1, initial=plane.dtype.type(empty))
    )


def _first_of_each_blob(mask: MaskArray, peaks: local_maxima.Maxima, found: Sources) -> BoolArray:
    """Keep one of the many maxima along a saturated star's bleed trail: the one nearest to where the blob is widest."""
    keep = np.ones(len(found), np.bool_)
    at = np.flatnonzero(found.is_saturated)
    if len(at) == 0:
        return keep
    blobs = blobs_of(mask, int(MaskPlane.SAT))
    tree = spatial.cKDTree(np.stack([blobs.y, blobs.x], axis=1))
    _, nearest = tree.query(np.stack([peaks.y[at], peaks.x[at]], axis=1))
    blob = blobs.group[nearest]
    middle = _middles(blobs)
    distance = np.hypot(peaks.y[at] - middle[blob, 0], peaks.x[at] - middle[blob, 1])
    order = np.lexsort((distance, blob))
    first = np.ones(len(order), np.bool_)
    first[1:] = blob[order][1:] != blob[order][:-1]
    keep[at[order]] = first
    return keep


def _middles(blobs: Blobs) -> FloatArray:
    """Row and column where each blob is widest: the star, not the end of its trail; shape (n_groups, 2)."""
    row = (blobs.group << 32) + blobs.y
    rows, inverse, width = np.unique(row, return_inverse=True, return_counts=True)
    widest = np.zeros(blobs.n_groups, np.int64)
    np.maximum.at(widest, rows >> 32, width)
    chosen = width[inverse] >= 0.8 * widest[blobs.group]
    weight = np.bincount(blobs.group[chosen], minlength=blobs.n_groups)
    sums = [np.bincount(blobs.group[chosen], part[chosen], blobs.n_groups) for part in (blobs.y, blobs.x)]
    return np.stack(sums, axis=1) / weight[:, None]
