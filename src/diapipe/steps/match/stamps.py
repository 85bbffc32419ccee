"""Stamps: the pixels around the candidates, with the convolved image's basis images, ready to be summed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from diapipe.images.box import Box
from diapipe.images.mask import UNUSABLE, MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.convolution import filled
from diapipe.numerics.kernel_bases import KernelBasis, StampConvolver
from diapipe.numerics.stamp_sums import StampSums
from diapipe.steps.match.counterparts import echo

MODEL_FLOOR = 0.002
"""Error allowed to a kernel model, as a fraction of the pixel: keeps a few very bright stars from ruling the fit."""

ENOUGH_FLUXES = 50
"""Stamps that tell the ratio of the two images' fluxes."""

LEAST_USABLE = 0.3
"""Stamps with a smaller part of usable pixels are left out."""

SATURATION_REACH_PX = 8
"""A saturated core of the convolved image lacks charge: pixels this near to it are not fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class Stamps:
    """Pixels around each candidate.

    Attributes
    ----------
    x, y
        Centres, shape (n_stamps,).
    regressors
        Basis images convolved with the target, then a one for the background; shape (n_stamps, n_basis + 1, n_pixels).
    reference
        The other image, shape (n_stamps, n_pixels).
    variance
        Expected variance of reference minus convolved target, and what is allowed to the kernel model; shape (n_stamps,
        n_pixels).
    reference_variance, target_variance
        Variance of the reference, and of the target before the convolution, same shape.
    good
        Pixels to fit, shape (n_stamps, n_pixels).
    side
        Stamps are ``side`` by ``side`` pixels.
    flux_ratio
        Rough ratio of the fluxes in the reference to those in the target.
    echo
        Part of each candidate's light that the target has, and its error, by `counterparts.echo`; shape (n_stamps, 2).
    weighting
        Variance by which the pixels are weighted, where that is not ``variance``; same shape.
    """

    x: FloatArray
    y: FloatArray
    regressors: Float32Array
    reference: Float32Array
    variance: Float32Array
    reference_variance: Float32Array
    target_variance: Float32Array
    good: BoolArray
    side: int
    echo: FloatArray
    flux_ratio: float = 1.0
    weighting: Float32Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def noise(self, gain: FloatArray | float) -> Float32Array:
        """Variance of reference minus convolved target for kernels of this ΣK², a number or one a stamp."""
        through = np.asarray(gain, dtype=np.float32).reshape(-1, 1)
        return self.reference_variance + through * self.target_variance

    def sums(self, good: BoolArray, *, is_precise: bool = False) -> StampSums:
        """Normal matrices over the pixels in ``good``, shape (n_stamps, n_pixels).

        ``is_precise``: in double precision, as a stamp needs that is fitted alone; of many the rounding averages out.
        """
        variance = self.variance if self.weighting is None else self.weighting
        weight = np.where(good, 1.0 / variance, 0.0).astype(np.float32)
        n = self.regressors.shape[1]
        matrix, vector = np.empty((len(self), n, n)), np.empty((len(self), n))
        kind = np.float64 if is_precise else np.float32
        for k, images in enumerate(self.regressors):  # one stamp at a time stays in the processor's cache
            regressors = images.astype(kind, copy=False)
            weighted = regressors * weight[k]
            matrix[k], vector[k] = weighted @ regressors.T, weighted @ self.reference[k]
        square = (weight.astype(np.float64) * self.reference.astype(np.float64) ** 2).sum(axis=1)
        noise = (weight * self.target_variance).sum(axis=1, dtype=np.float64)
        return StampSums(matrix, vector, square, noise, good.sum(axis=1).astype(np.float64))

    def combined(self, weights: FloatArray) -> Stamps:
        """The stamps for the basis Σ_m weights[n, m] B_m; ``weights`` has shape (n_new, n_basis)."""
        images = np.matmul(weights.astype(np.float32), self.regressors[:, :-1])
        return replace(self, regressors=np.concatenate([images, self.regressors[:, -1:]], axis=1))

    def reduced_chi2(self, local: FloatArray, good: BoolArray) -> FloatArray:
        """χ² per pixel of every stamp by ``variance``, whatever its pixels are weighted with; shape (n_stamps,)."""
        square = np.where(good, self.residuals(local) ** 2 / self.variance, 0.0)
        return np.asarray(square.sum(axis=1, dtype=np.float64) / np.maximum(good.sum(axis=1), 1.0))

    def model(self, local: FloatArray) -> Float32Array:
        """The matched target for each stamp's coefficients (`KernelSolution.local`); shape (n_stamps, n_pixels)."""
        return np.asarray(np.matmul(local[:, None].astype(np.float32), self.regressors)[:, 0], dtype=np.float32)

    def residuals(self, local: FloatArray) -> Float32Array:
        """Reference minus model; shape (n_stamps, n_pixels)."""
        return self.reference - self.model(local)


def cut_stamps(
    target: MaskedImage,
    reference: MaskedImage,
    basis: KernelBasis,
    *,
    x: FloatArray,
    y: FloatArray,
    half: int,
    noise_gain: float,
    bad_planes: MaskPlane = UNUSABLE,
) -> Stamps:
    """Cut stamps of ``2 half + 1`` pixels and convolve the target with every basis image.

    Parameters
    ----------
    target
        The image to convolve.
    reference
        The image to match, on the same grid.
    basis
        Of the kernel.
    half
        Half-size of the stamps in pixels.
    x, y
        Centres. What of a stamp lies outside the images is not fitted.
    noise_gain
        Expected ΣK² of a kernel of unit sum, for the weights; the fluxes in the stamps tell the sum.
    bad_planes
        Pixels with any of these are not fitted.
    """
    reach = basis.size // 2
    side = 2 * half + 1
    n, n_pixels = len(x), side * side
    regressors = np.ones((n, len(basis) + 1, n_pixels), np.float32)
    values, variance = np.empty((n, n_pixels), np.float32), np.empty((n, n_pixels), np.float32)
    carried, fluxes, echoes = np.empty((n, n_pixels), np.float32), np.full((n, 2), np.nan), np.empty((n, 2))
    good = np.empty((n, n_pixels), np.bool_)
    convolve, thinning = StampConvolver(basis, side), max(1, n // ENOUGH_FLUXES)
    for k in range(n):
        inner = Box.around(x=float(x[k]), y=float(y[k]), half=half)
        wide, there = _padded_cut(target, inner.dilated(reach)), _padded_cut(reference, inner)
        usable = wide.usable(bad_planes)
        stamp = wide.image if usable.all() else filled(wide.image, usable)
        regressors[k, :-1] = convolve(np.ascontiguousarray(stamp, dtype=np.float32))
        middle = slice(reach, reach + side), slice(reach, reach + side)
        fit = there.usable(bad_planes) & ~_spoiled(wide, usable)[middle]
        here = wide[inner].variance
        good[k] = fit.ravel()
        values[k] = np.where(fit, there.image, 0.0).ravel()
        variance[k] = np.where(fit, there.variance, 1.0).ravel()
        carried[k] = np.where(fit & np.isfinite(here), here, 0.0).ravel()
        echoes[k] = echo(stamp[middle], there.image, here, fit & np.isfinite(here))
        if k % thinning == 0 and fit.mean() > 0.5:
            fluxes[k] = _flux(there.image, fit), _flux(stamp[middle], fit)
    ratio = _flux_ratio(fluxes)
    expected = variance + np.float32(noise_gain * ratio**2) * carried
    return Stamps(
        x=np.asarray(x, np.float64),
        y=np.asarray(y, np.float64),
        regressors=regressors,
        reference=values,
        variance=expected + (np.float32(MODEL_FLOOR) * np.clip(values, 0.0, None)) ** 2,
        reference_variance=variance,
        target_variance=carried,
        good=good,
        side=side,
        echo=echoes,
        flux_ratio=ratio,
    )


def _flux(image: Float32Array, good: BoolArray) -> float:
    """Flux above the median of the stamp's border, from the good pixels."""
    border = good.copy()
    border[1:-1, 1:-1] = False
    level = np.median(image[border if border.any() else good])
    return float((image[good] - level).sum())


def _flux_ratio(fluxes: FloatArray) -> float:
    """Typical ratio of the fluxes in two columns, rough as it is; 1 where nothing tells."""
    positive = (fluxes > 0).all(axis=1)
    return float(np.median(fluxes[positive, 0] / fluxes[positive, 1])) if positive.any() else 1.0


def _padded_cut(image: MaskedImage, box: Box) -> MaskedImage:
    """The part of an image in a box that may stick out of it: NaN and NO_DATA outside."""
    if image.box.contains(box):
        return image[box]
    inside = image.box.intersect(box)
    pixels = np.full(box.shape, np.nan, np.float32)
    mask = np.full(box.shape, int(MaskPlane.NO_DATA), np.int32)
    variance = np.full(box.shape, np.nan, np.float32)
    if inside is not None:
        part, there = image[inside], inside.slices_in(box)
        pixels[there], mask[there], variance[there] = part.image, part.mask, part.variance
    return MaskedImage(pixels, mask, variance, box)


def _spoiled(wide: MaskedImage, usable: BoolArray) -> BoolArray:
    """Pixels into which the kernel's core carries a bad pixel of the target, or a saturated core its missing charge."""
    spoiled = ~usable
    if not spoiled.any():
        return spoiled
    near = ndimage.maximum_filter(spoiled, size=5)
    saturated = (wide.mask & np.int32(int(MaskPlane.SAT))) != 0
    if saturated.any():
        near |= ndimage.maximum_filter(saturated, size=2 * SATURATION_REACH_PX + 1)
    return np.asarray(near, dtype=np.bool_)
