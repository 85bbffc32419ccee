"""Config of the match between two PSF models, which asks for no stars: LSST's `ModelPsfMatchTask`."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Field

from diapipe.steps.match import AbstractMatcher, ModelPsf
from diapipe.tasks.fields import OptionConfig, option, options_of
from diapipe.tasks.psf_match_config import half_of


class ModelPsfMatchConfig(OptionConfig):
    """Gaussians times polynomials, fitted to images of the PSF models."""

    scaleByFwhm: Any = Field(
        doc="Size the kernel from the widths of the two PSFs; else it has kernelSize.", dtype=bool, default=True
    )
    kernelSize: Any = Field(doc="Side of the kernel in pixels, odd, then.", dtype=int, default=21)
    spatialKernelOrder: Any = option(ModelPsf, "spatial_order")
    spatialBgOrder: Any = option(ModelPsf, "background_order")
    alardDegGauss: Any = option(ModelPsf, "degrees")
    fluxScale: Any = option(ModelPsf, "flux_scale")

    def matcher(self, *, convolve: str) -> AbstractMatcher:
        """The matcher of the core; ``convolve`` says which image."""
        half = None if self.scaleByFwhm else half_of(self.kernelSize)
        return options_of(self, ModelPsf, convolve=convolve, kernel_half_px=half)

    def validate(self) -> None:
        """Refuse an even kernel as well."""
        OptionConfig.validate(self)
        if self.kernelSize < 3 or self.kernelSize % 2 == 0:
            raise self.refusal("kernelSize", f"kernelSize must be odd and at least 3, not {self.kernelSize}")
