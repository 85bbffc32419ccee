"""Saturated stars settled by their surroundings, and backgrounds that vary followed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from diapipe.images import Box, GaussianPsf, MaskedImage, SpatialKernel
from diapipe.numerics.shifting import shift_stamp
from diapipe.steps.subtract.cores import Core
from diapipe.steps.subtract.flatten import residual_background
from diapipe.steps.subtract.settle import settle_cores

SIDE = 101
NOISE = 5.0


def residual_over(pull, mask, **options):
    """The residual background at every pixel, or None."""
    box = Box.from_shape(pull.shape)
    found = residual_background(pull, mask, 1, box, **options)
    return None if found is None else found.over(box)


@pytest.mark.parametrize(("factor", "shift"), [(1.5, 0.0), (0.7, 0.0), (1.2, 0.3)])
def test_core_gets_the_brightness_that_its_surroundings_have(rng, factor, shift):
    """A rebuilt core of wrong flux and place leaves nothing above the noise around it.

    The kernel carries tens of sigma of the error into the ring; what is left there scatters by 1 (300 pixels and
    more, so ±0.12 at three sigma) or by the second order of a shift, (0.3 px)² / 2 of the slope's slope.
    """
    star = 1e6 * np.pad(shift_stamp(GaussianPsf(2.0).kernel_image(x=0, y=0), dx=0.2, dy=-0.1), SIDE)
    middle = star.shape[0] // 2
    star = star[middle - SIDE // 2 : middle + SIDE // 2 + 1, middle - SIDE // 2 : middle + SIDE // 2 + 1]
    rows, columns = np.mgrid[:SIDE, :SIDE]
    clipped = np.hypot(rows - SIDE // 2, columns - SIDE // 2) < 6
    kernel = GaussianPsf(1.8).kernel_image(x=0, y=0)
    box = Box.from_shape(star.shape)
    truth = signal.fftconvolve(star, kernel, mode="same")
    wrong = np.where(clipped, factor * shift_stamp(star, dx=shift, dy=0.0), star)
    matched = signal.fftconvolve(wrong, kernel, mode="same").astype(np.float32)
    reference = MaskedImage.from_planes(rng.normal(truth, NOISE), variance=NOISE**2)
    ring = (~clipped) & (np.abs(signal.fftconvolve(np.where(clipped, star, 0.0), kernel, mode="same")) > NOISE)
    before = float(np.std((reference.image - matched)[ring])) / NOISE
    filled = wrong.astype(np.float32)
    core = Core(box, np.where(clipped, wrong, 0.0))
    settle_cores(
        matched, filled, [core], SpatialKernel.constant(kernel, box), reference=reference, good=~clipped
    )  # fmt: skip
    assert before > 10.0
    tolerance = 0.12 + (5.0 if shift else 0.0)
    assert float(np.std((reference.image - matched)[ring])) / NOISE < 1.0 + tolerance
    assert filled[clipped].sum() == pytest.approx(star[clipped].sum(), rel=0.02)


def test_background_that_varies_over_two_hundred_pixels_is_followed(rng):
    """Waves of one sigma and 250 px leave less than a tenth: a mesh of 48 px samples them five times a period.

    A spline through means over a fifth of a period lacks 1 - sinc(1/5) = 6%; the noise of a cell adds 0.03.
    """
    rows, columns = np.mgrid[:512, :512]
    wave = np.sin(2 * np.pi * rows / 250.0) * np.cos(2 * np.pi * columns / 250.0)
    pull = rng.normal(wave, 1.0).astype(np.float32)
    level = residual_over(pull, np.zeros(pull.shape, np.int32))
    assert level is not None
    inner = np.s_[48:-48, 48:-48]
    assert float(np.std((level - wave)[inner])) < 0.1 * float(np.std(wave)) + 0.05
