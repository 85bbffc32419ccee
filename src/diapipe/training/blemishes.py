"""What images have that no change of the sky made: trails, lines along rows, a response that is not right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from diapipe.images import Exposure
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.training.draws import log_uniform

_BRIGHT = 99.9
"""Percentile of the pixels at which lines begin as often as anywhere."""


def with_trails(exposure: Exposure, *, fwhm_px: float, rng: np.random.Generator) -> Exposure:
    """The exposure with trails of satellites right across it, some too faint to be masked, none narrower than stars."""
    planes = exposure.masked_image
    rows, columns = np.indices(planes.shape, dtype=np.float32)
    light: FloatArray = np.zeros(planes.shape)
    noise, width = _noise(planes.image), fwhm_px * log_uniform(rng, 1.0, 2.0)
    for _ in range(int(rng.integers(1, 4))):
        turn, x, y = rng.uniform(0.0, np.pi), rng.uniform(0, planes.shape[1]), rng.uniform(0, planes.shape[0])
        off = (columns - x) * np.sin(turn) - (rows - y) * np.cos(turn)
        light += noise * log_uniform(rng, 0.5, 30.0) * np.exp(-0.5 * (off / (width / 2.355)) ** 2)
    return _with_image(exposure, planes.image + light)


def with_lines(exposure: Exposure, *, rng: np.random.Generator) -> Exposure:
    """The exposure with lines along its rows, or its columns, that a detector left when it was read: behind bright
    stars, or anywhere; a few pixels wide, brighter or darker than the sky, fading away.
    """
    image = exposure.masked_image.image.astype(np.float64)
    along = image if rng.random() < 0.5 else image.T
    bright = np.argwhere(along >= np.nanpercentile(along, _BRIGHT))
    noise = _noise(image)
    for _ in range(int(rng.integers(2, 16))):
        row, first = bright[rng.integers(len(bright))] if rng.random() < 0.5 else rng.integers(along.shape, size=2)
        length, height = log_uniform(rng, 5.0, 500.0), rng.choice([-1.0, 1.0]) * noise * log_uniform(rng, 0.2, 5.0)
        tail = height * np.exp(-np.arange(along.shape[1] - first) / length)
        along[row : row + rng.integers(1, 5), first:] += tail
    return _with_image(exposure, image)


def with_response(exposure: Exposure, *, rng: np.random.Generator) -> Exposure:
    """The exposure of a detector that is not quite linear, less its flat field, which is not quite right."""
    image, full = exposure.masked_image.image, exposure.info.saturation
    assert full is not None  # simulated images tell theirs
    bend, grain = rng.uniform(-0.03, 0.03), log_uniform(rng, 5e-4, 5e-3)
    response = 1.0 + bend * np.maximum(image, 0.0) / full + rng.normal(0.0, grain, image.shape)
    return _with_image(exposure, image * response)


def with_uneven_response(exposure: Exposure, *, rng: np.random.Generator) -> Exposure:
    """The exposure with a flux scale that goes up and down by some per cent, faster than kernels can follow."""
    image = exposure.masked_image.image
    rows, columns = np.indices(image.shape)
    turn, wave = rng.uniform(0.0, 2.0 * np.pi), image.shape[0] / rng.uniform(2.0, 6.0)
    phase = (columns * np.cos(turn) + rows * np.sin(turn)) / wave + rng.random()
    return _with_image(exposure, image * (1.0 + log_uniform(rng, 0.003, 0.03) * np.sin(2.0 * np.pi * phase)))


def smoothed(exposure: Exposure, share: float) -> Exposure:
    """The exposure after an interpolation that gives a share of each pixel to its neighbours: its noise correlates."""
    row = np.array([0.5 * share, 1.0 - share, 0.5 * share])
    kernel = np.outer(row, row).astype(np.float32)
    planes = exposure.masked_image

    def smooth(plane: Float32Array, by: Float32Array) -> Float32Array:
        return np.ascontiguousarray(convolved_in_full(np.pad(plane, 1, mode="edge"), by)[2:-2, 2:-2])

    variance = smooth(planes.variance, kernel**2)
    return replace(exposure, masked_image=replace(planes, image=smooth(planes.image, kernel), variance=variance))


def _noise(image: FloatArray | Float32Array) -> float:
    """Scatter of neighbouring pixels."""
    return float(np.nanmedian(np.abs(np.diff(image, axis=1))) / (0.6745 * np.sqrt(2.0)))


def _with_image(exposure: Exposure, image: FloatArray) -> Exposure:
    """The exposure with other pixels."""
    return replace(exposure, masked_image=replace(exposure.masked_image, image=image.astype(np.float32)))
