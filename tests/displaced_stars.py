"""Stars that two images have in two places, with a template that was matched and a difference that was whitened."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import fft, signal

from diapipe.images import (
    Box,
    ChebyshevField,
    Difference,
    Exposure,
    GaussianPsf,
    MaskedImage,
    Peaks,
    SpatialKernel,
)
from diapipe.images.psf import ConvolvedPsf
from diapipe.images.psf.lattice import PsfLattice
from diapipe.steps.measure.dipoles import Dipoles, dipole_columns

SIZE = 512
WIDE, SHARP = GaussianPsf(1.8, 31), GaussianPsf(1.3, 31)
WIDE_VARIANCE, SHARP_VARIANCE = 80.0, 20.0
FWHM = 1.8 * 2.3548
UNIT = np.sqrt((WIDE_VARIANCE + SHARP_VARIANCE) / (WIDE.kernel_image(x=0, y=0) ** 2).sum())
"""Flux of a star of S/N 1 on the difference."""


@dataclass(frozen=True)
class Scene:
    difference: Difference
    science: Exposure


def drawn(psf, x, y, flux):
    """Point sources without noise."""
    margin = 40
    image = np.zeros((SIZE + 2 * margin,) * 2)
    for at_x, at_y, light in np.broadcast(x, y, flux):
        box = Box.around(x=at_x, y=at_y, half=15)
        image[box.y0 + margin : box.y1 + margin, box.x0 + margin : box.x1 + margin] += light * psf.image_at(
            x=at_x, y=at_y
        )
    return image[margin:-margin, margin:-margin]


def places(rng, step=44):
    """A grid of places off the pixel centres."""
    y, x = (v.ravel() + 0.0 for v in np.mgrid[step // 2 : SIZE - 20 : step, step // 2 : SIZE - 20 : step])
    return x + rng.uniform(-0.5, 0.5, len(x)), y + rng.uniform(-0.5, 0.5, len(y))


def _filtered(image, kernel):
    """Image ⊗ kernel by FFT."""
    return signal.fftconvolve(image, kernel, mode="same")


def _kernels():
    """The matching kernel, and the whitening one: of transform sqrt((V_w + V_s) / (V_w + |K|² V_s))."""
    matching = GaussianPsf(np.sqrt(1.8**2 - 1.3**2), 15).kernel_image(x=0, y=0)
    padded = np.zeros((64, 64))
    padded[:15, :15] = matching
    power = np.abs(fft.fft2(padded)) ** 2
    sum_ = WIDE_VARIANCE + SHARP_VARIANCE
    whitening = np.real(fft.ifft2(np.sqrt(sum_ / (WIDE_VARIANCE + SHARP_VARIANCE * power))))
    whitening = np.roll(whitening, (10, 10), (0, 1))[:21, :21]
    return matching, whitening / whitening.sum()


def scene(rng, on_science, on_template, *, convolved="template", beneath=0.0, poisson=0.0, noise=1.0, wcs=None):
    """The pair with stars (x, y, flux) on each image; ``beneath`` is static light on the wide image's PSF.

    The image that is convolved is the sharp and deep one; its variance plane is that of before.
    """
    wide_stars, sharp_stars = (on_science, on_template) if convolved == "template" else (on_template, on_science)
    matching, whitening = _kernels()
    plain = drawn(WIDE, *wide_stars), drawn(SHARP, *sharp_stars)
    variances = WIDE_VARIANCE + poisson * plain[0], SHARP_VARIANCE + poisson * plain[1]
    wide, sharp = (p + noise * rng.normal(size=p.shape) * np.sqrt(v) for p, v in zip(plain, variances, strict=True))
    matched = _filtered(sharp, matching) + beneath
    wide = wide + beneath
    sign = 1.0 if convolved == "template" else -1.0
    box = Box.from_shape(wide.shape)
    variance = _filtered(variances[0], whitening**2) + _filtered(variances[1], _filtered_full(matching, whitening) ** 2)
    whitener = SpatialKernel.constant(whitening, box)
    exposure = Exposure(
        name="difference",
        masked_image=MaskedImage.from_planes(sign * _filtered(wide - matched, whitening), variance=variance),
        psf=ConvolvedPsf(WIDE, whitener),
        wcs=wcs,
    )
    science_on_top = convolved == "template"
    pixels, spread, psf = (wide, variances[0], WIDE) if science_on_top else (sharp + beneath, variances[1], SHARP)
    static = (matched, variances[1]) if science_on_top else (wide, variances[0])
    difference = Difference(
        exposure=exposure,
        kernel=SpatialKernel.constant(matching, box),
        background=ChebyshevField.constant(0.0, box),
        convolved=convolved,
        matched_template=MaskedImage.from_planes(static[0], variance=static[1]),
        whitening=whitener,
    )
    science = replace(exposure, name="science", psf=psf, masked_image=MaskedImage.from_planes(pixels, variance=spread))
    return Scene(difference, science)


def _filtered_full(first, second):
    return signal.convolve2d(first, second)


def lobes(x, y, dx, dy, *, significance=6.0):
    """The peaks that a detector finds of unresolved dipoles: 2 sqrt(2) sigma apart."""
    n, length = len(x), np.hypot(dx, dy)
    ox, oy = np.sqrt(2) * 1.8 * dx / length, np.sqrt(2) * 1.8 * dy / length
    score = np.full(n, significance)
    return Peaks(x + ox, y + oy, score, np.zeros(n, np.int64), x - ox, y - oy, -score)


def columns_of(made, peaks, *, static=True, score=None, areas=100, **options):
    """The dipole columns at given peaks; ``static`` may be a template of its own."""
    exposures = made.difference.exposure, made.science
    lattices = [
        None
        if image is None or image.psf is None
        else PsfLattice.around(image.psf, x=peaks.x, y=peaks.y, box=image.box)
        for image in exposures
    ]
    matched = made.difference.matched_template if static is True else None
    return dipole_columns(
        made.difference,
        peaks,
        np.zeros((SIZE, SIZE), np.float32) if score is None else score,
        science=made.science,
        static=static if isinstance(static, Exposure) else matched,
        lattices=lattices,
        areas=np.full(len(peaks), areas),
        fwhm=FWHM,
        options=Dipoles(**options),
    )
