"""Which image to convolve: the sharper one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images.box import Box
from diapipe.images.exposure import Exposure
from diapipe.images.psf import SIGMA_TO_FWHM, Psf
from diapipe.steps.match.result import Convolved


@dataclass(frozen=True, slots=True)
class Direction:
    """The image to convolve, the widths that say so, and the reason in words."""

    convolved: Convolved
    target_sigma_px: float
    reference_sigma_px: float
    reason: str

    @property
    def noise_gain(self) -> float:
        """ΣK² to be expected of a kernel of unit sum: that of the Gaussian between the two widths."""
        return float(1.0 / (4.0 * np.pi * max(self.reference_sigma_px**2 - self.target_sigma_px**2, 0.5)))

    def oriented(self, science: Exposure, template: Exposure) -> tuple[Exposure, Exposure]:
        """The image to convolve, and the one that it is to match."""
        return (template, science) if self.convolved == "template" else (science, template)


_NAMES: dict[Convolved, str] = {"science": "science image", "template": "template"}


def median_sigma(psf: Psf, box: Box) -> float:
    """Median over a 3 x 3 grid of the PSF's Gaussian-equivalent sigma, in pixels."""
    at = (0.1, 0.5, 0.9)
    widths = [psf.sigma_at(x=box.x0 + fx * box.width, y=box.y0 + fy * box.height) for fx in at for fy in at]
    return float(np.median(widths))


def choose_direction(science: Psf, template: Psf, box: Box, *, convolve: str) -> Direction:
    """Convolve the image of smaller PSF, unless ``convolve`` names one: a kernel that sharpens amplifies noise."""
    of_science, of_template = median_sigma(science, box), median_sigma(template, box)
    widths = (
        f"noise-equivalent FWHM {SIGMA_TO_FWHM * of_template:.2f} px in the template, "
        f"{SIGMA_TO_FWHM * of_science:.2f} px in the science image"
    )
    if convolve == "auto":
        convolved: Convolved = "template" if of_template <= of_science else "science"
        reason = f"the {_NAMES[convolved]} was convolved because its PSF is the sharper one ({widths})"
    else:
        convolved = "template" if convolve == "template" else "science"
        reason = f"the {_NAMES[convolved]} was convolved because that was asked for ({widths})"
    target, reference = (of_template, of_science) if convolved == "template" else (of_science, of_template)
    return Direction(convolved, target, reference, reason)


def stamp_half(given_px: int | None, reference_sigma_px: float) -> int:
    """Half-size of the stamps: that asked for, or eight sigma of the image that is matched, from 10 to 40 px."""
    return given_px or int(np.clip(np.ceil(8.0 * reference_sigma_px), 10, 40))
