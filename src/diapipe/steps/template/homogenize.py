"""The verb: bring a template whose PSF leaps to one PSF, before a kernel is matched to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from diapipe.images import Exposure, MaskedImage
from diapipe.images.psf import HomogenizedPsf
from diapipe.numerics.arrays import Float32Array, FloatArray, IntArray
from diapipe.numerics.homogenizing import convolve_labelled, homogenized_noise, homogenizing_changes
from diapipe.numerics.threads import over_bands
from diapipe.steps.template.psf_regions import SAME, STEP_PX, PsfCell, psf_cells

LEAP = 0.01
"""Where no leap is larger than this part of the PSF's norm nothing is done: the default cuts have room for it."""

DAMPING = 1e-3
"""Frequencies at which a star has less than 3% of its light are hardly corrected."""

REACH_SIGMA = 3.0
"""Half-size of the kernels, in Gaussian widths of the PSF."""


def homogenize(template: Exposure, *, n_threads: int = 1) -> Exposure:
    """A template with one PSF, as far as its PSF model says where it leaps.

    Parameters
    ----------
    template
        On the science grid.
    n_threads
        Threads over row bands; they change no bit of the result.

    Returns
    -------
    Exposure
        The template itself where its PSF is smooth or unknown, or leaps by little; else with pixels, variance, noise
        correlation and PSF as they are after the correction.

    Notes
    -----
    With P the PSF of a region and Q the mean over the image, the pixels of the region are those of the template ⊗ C,
    where P ⊗ C ≈ Q (`homogenizing_changes`). Which kernel is taken goes by the pixel that is made: that it sees pixels
    of another region beyond the border is an error of second order in the leap.
    """
    psf = template.psf
    if psf is None or psf.is_smooth:
        return template
    cells = psf_cells(psf, template.box)
    if not any(cell.leap > LEAP for cell in cells):
        return template
    target = np.sum([cell.total for cell in cells], axis=0)
    target /= target.sum()
    shape = tuple(-(-side // STEP_PX) for side in template.box.shape)
    labels, changes = _kernels(cells, target, (shape[0], shape[1]))
    shares = np.bincount(labels.ravel(), minlength=len(changes)).astype(np.float64)
    gains, correlation = homogenized_noise(changes, shares, target, template.noise_correlation)
    planes, kernels = template.masked_image, changes.astype(np.float32)
    image = _convolved(planes, labels, kernels, n_threads=n_threads)
    gain = gains.astype(np.float32)[labels].repeat(STEP_PX, axis=0).repeat(STEP_PX, axis=1)
    variance = planes.variance * gain[: image.shape[0], : image.shape[1]]
    return replace(
        template,
        masked_image=replace(planes, image=image, variance=variance),
        psf=HomogenizedPsf(psf, target, kernels, labels, template.box.x0, template.box.y0, STEP_PX),
        noise_correlation=correlation,
    )


def _kernels(cells: list[PsfCell], target: FloatArray, shape: tuple[int, int]) -> tuple[IntArray, FloatArray]:
    """Number of the kernel of each square, and the kernels less a unit; the first is none, where the PSF is right."""
    labels, psfs = np.zeros(shape, np.int64), [target[None]]
    n = 1
    for cell in cells:
        groups, own = cell.groups()
        off = np.sqrt(((own - target) ** 2).sum(axis=(1, 2)) / (target**2).sum()) > SAME
        numbers = np.concatenate([[0], np.where(off, n - 1 + np.cumsum(off), 0)])
        labels[cell.rows, cell.columns] = numbers[groups]
        psfs.append(own[off])
        n += int(off.sum())
    sigma = float(np.sqrt(1.0 / (4.0 * np.pi * (target**2).sum())))
    half = min(int(np.ceil(REACH_SIGMA * sigma)), len(target) // 2)
    return labels, homogenizing_changes(np.concatenate(psfs), target, damping=DAMPING, half=half)


def _convolved(planes: MaskedImage, labels: IntArray, changes: Float32Array, *, n_threads: int) -> Float32Array:
    """The pixels after the kernels of their squares; unusable ones stay, and are not seen by others."""
    half, good = changes.shape[-1] // 2, planes.usable()
    usable = np.pad(good, half)
    light = np.where(usable, np.pad(planes.image, half), np.float32(0.0))
    spoiled = ~ndimage.minimum_filter(usable, changes.shape[-1])
    inner = tuple(slice(half, half + side) for side in planes.shape)
    spoiled, image = np.ascontiguousarray(spoiled[inner]), planes.image.copy()
    turned, weights = np.ascontiguousarray(changes[:, ::-1, ::-1]), usable.astype(np.float32)

    def work(first: int, last: int) -> None:
        convolve_labelled(light, weights, spoiled, labels, STEP_PX, turned, image, first, last)

    over_bands(work, len(image), n_threads=n_threads)
    return np.asarray(np.where(good, image, planes.image), dtype=np.float32)
