"""What a chunk of cut-outs shows, in units of its noise and of the PSF's width: the ground of all features."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from diapipe.images.mask import UNUSABLE_DIFFERENCE, MaskPlane
from diapipe.images.triplets import Triplets
from diapipe.numerics.arrays import BoolArray, FloatArray

FIT_FWHM = 2.0
"""Radius within which the PSF is fitted."""
_LEAST_COVERAGE = 0.2
"""Part of the PSF's weight on usable pixels without which nothing can be told."""
_DARK = MaskPlane.BAD | MaskPlane.CR | MaskPlane.NO_DATA
_NO_LIGHT = _DARK | _DARK.of_template
"""Planes of pixels whose value is no light of the sky: a saturated one still tells of a bright star."""
_NEA_TO_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0)) / np.sqrt(4.0 * np.pi)


_STACKS = ("pull", "model", "psf", "sigma", "holder", "other", "radius", "good")


@dataclass(frozen=True, slots=True)
class Seen:
    """Cut-outs of n sources as arrays of shape (n, side, side); those that faded are turned positive.

    Attributes
    ----------
    pull
        Difference over its noise, times the source's sign; 0 on unusable pixels.
    model
        PSF of unit flux over the noise; 0 on unusable pixels.
    psf
        The PSF.
    sigma
        Noise of a pixel of the difference; infinite on unusable ones.
    holder, other
        The image that shows the source, and that without it: science and template of a positive source.
    radius
        Distance from the source in FWHM.
    good
        Usable pixels.
    flux, error, fwhm
        Of the PSF fitted at the place; pixels; shape (n,).
    coverage
        Part of the PSF's weight on usable pixels; shape (n,).
    spokes
        As in `Triplets`, sums times the source's sign.
    """

    pull: FloatArray
    model: FloatArray
    psf: FloatArray
    sigma: FloatArray
    holder: FloatArray
    other: FloatArray
    radius: FloatArray
    good: BoolArray
    flux: FloatArray
    error: FloatArray
    fwhm: FloatArray
    coverage: FloatArray
    spokes: FloatArray

    @property
    def n_pixels(self) -> int:
        """Of a cut-out."""
        return int(np.prod(self.psf.shape[1:]))

    @property
    def snr(self) -> FloatArray:
        """Significance of the fitted PSF."""
        return self.flux / self.error

    @property
    def is_told(self) -> BoolArray:
        """Whether enough is seen to judge by."""
        return np.asarray((self.coverage > _LEAST_COVERAGE) & np.isfinite(self.snr) & (self.flux > 0.0))

    def core(self, reach_fwhm: float) -> Seen:
        """The middle of the cut-outs, with a border of a pixel around what is nearer than that."""
        half = self.psf.shape[1] // 2
        cut = half - min(half, int(np.ceil(reach_fwhm * self.fwhm.max(initial=1.0) + 0.5)) + 1)
        middle = np.s_[:, cut : 2 * half + 1 - cut, cut : 2 * half + 1 - cut]
        stacks = {name: getattr(self, name)[middle] for name in _STACKS}
        return replace(self, **stacks)

    def within(self, low: float, high: float) -> BoolArray:
        """Usable pixels of a ring, radii in FWHM."""
        return np.asarray(self.good & (self.radius >= low) & (self.radius < high))


def seen_on(triplets: Triplets) -> Seen:
    """The cut-outs as the features need them."""
    psf = np.asarray(triplets.psf, dtype=np.float64)
    variance = triplets.variance.astype(np.float64)
    good = (triplets.mask & np.int32(int(UNUSABLE_DIFFERENCE))) == 0
    good &= np.isfinite(triplets.difference) & np.isfinite(variance) & (variance > 0.0)
    sigma = np.sqrt(np.where(good, variance, np.inf))
    pull = np.where(good, triplets.difference, 0.0) / sigma
    model = psf / sigma
    weight = psf**2
    total = np.maximum(weight.sum(axis=(1, 2)), 1e-300)
    fwhm = np.maximum(_NEA_TO_FWHM * np.sqrt(1.0 / total), 1.0) * (psf.sum(axis=(1, 2)) > 0.0)
    radius = _radius(triplets) / np.maximum(fwhm, 1.0)[:, None, None]
    fitted = radius < FIT_FWHM
    power = np.where(fitted, model**2, 0.0).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        flux, error = np.where(fitted, model * pull, 0.0).sum(axis=(1, 2)) / power, 1.0 / np.sqrt(power)
    sign = np.where(flux < 0.0, -1.0, 1.0)
    lit = (triplets.mask & np.int32(int(_NO_LIGHT))) == 0
    images = [np.where(lit & np.isfinite(image), image, 0.0) for image in (triplets.science, triplets.template)]
    positive = (sign > 0.0)[:, None, None]
    return Seen(
        pull=pull * sign[:, None, None],
        model=model,
        psf=psf,
        sigma=sigma,
        holder=np.where(positive, images[0], images[1]).astype(np.float64),
        other=np.where(positive, images[1], images[0]).astype(np.float64),
        radius=radius,
        good=good,
        flux=flux * sign,
        error=error,
        fwhm=fwhm,
        coverage=(weight * good).sum(axis=(1, 2)) / total,
        spokes=triplets.spokes * np.stack([sign, np.ones_like(sign)], axis=1)[:, :, None, None],
    )


def _radius(triplets: Triplets) -> FloatArray:
    """Distance of every pixel from the source, pixels."""
    offset = np.arange(triplets.psf.shape[-1]) - triplets.psf.shape[-1] // 2
    across, down = offset - triplets.dx[:, None], offset - triplets.dy[:, None]
    return np.asarray(np.hypot(down[:, :, None], across[:, None, :]))
