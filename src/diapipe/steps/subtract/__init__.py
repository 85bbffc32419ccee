"""subtract: science minus matched template, whitened, with variance, mask and PSF carried along."""

from diapipe.steps.subtract.convolve import convolve_pixels
from diapipe.steps.subtract.subtraction import subtract

__all__ = ["convolve_pixels", "subtract"]
