"""CPU time of each kernel on a frame of random pixels; `python -m benchmarks.kernels`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np

from benchmarks.timing import timed, yardstick
from diapipe.images import Box, Exposure, GaussianPsf, ImageField, MaskedImage, SpatialKernel
from diapipe.numerics import convolution
from diapipe.numerics.kernel_bases import gaussian_basis
from diapipe.steps.detect import MatchedFilter
from diapipe.steps.subtract.convolve import convolve_pixels, difference_inputs, variance_through


def frame(size: int) -> Exposure:
    """White noise of unit variance, under a PSF of FWHM 4 px."""
    pixels = np.random.default_rng(2).normal(size=(size, size))
    return Exposure(name="noise", masked_image=MaskedImage.from_planes(pixels), psf=GaussianPsf(1.7))


def varying_kernel(box: Box) -> SpatialKernel:
    """An Alard-Lupton kernel of linear variation, size 21."""
    basis = gaussian_basis((0.7, 1.4, 2.8), (4, 2, 2), half=10).images
    weights = np.random.default_rng(3).normal(0.0, 0.01, (3, len(basis)))
    weights[0, 0] = 1.0
    return SpatialKernel(ImageField(np.tensordot(weights, basis, axes=1), box))


def kernels(size: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    exposure = frame(size)
    kernel = varying_kernel(exposure.box)
    holes = np.random.default_rng(4).random((size, size)) > 0.01
    return {
        "spatially varying convolution, 21 x 21": lambda: convolve_pixels(
            exposure.masked_image.image, exposure.box, kernel
        ),
        "variance through the square of that kernel": lambda: variance_through(
            difference_inputs(exposure, exposure, kernel, None), n_threads=1
        ),
        "1% of the pixels filled from their neighbours": lambda: convolution.filled(exposure.masked_image.image, holes),
        "matched filter, threshold, footprints, peaks": lambda: MatchedFilter().detect(exposure),
    }


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096, help="side of the frame in pixels")
    size = parser.parse_args().size
    unit = yardstick(size)
    lines = ["| kernel | CPU ms | wall ms | in units of the yardstick |", "|---|---|---|---|", unit.row(unit)]
    lines += [timed(name, call).row(unit) for name, call in kernels(size).items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
