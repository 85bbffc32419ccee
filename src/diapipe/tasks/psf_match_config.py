"""Configs of the kernel fit, under the names of `lsst.ip.diffim`."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import Field

from diapipe.steps.match import AbstractMatcher, AlardLupton, DeltaFunction, RelativeStrength
from diapipe.tasks.fields import OptionConfig, fixed, option, options_of


def half_of(side: int) -> int:
    """Half-size of an odd side."""
    return side // 2


def side_of(half: int) -> int:
    """Odd side of a half-size."""
    return 2 * half + 1


class PsfMatchConfig(OptionConfig):
    """What all bases of the matching kernel share."""

    scaleByFwhm: Any = Field(
        doc="Size the kernel from the widths of the two PSFs; else it has ``kernelSize``.", dtype=bool, default=True
    )
    kernelSize: Any = Field(
        doc="Side of the kernel in pixels, odd, where ``scaleByFwhm`` is False.", dtype=int, default=21
    )
    fitForBackground: Any = fixed(
        True, "Fit the differential background together with the kernel.", "kernel and background are one linear fit"
    )
    useAfwBackground: Any = fixed(
        False, "Subtract a background before the kernel is fitted.", "the sky of both images is taken out already"
    )
    calculateKernelUncertainty: Any = fixed(
        False,
        "Covariance of the kernel coefficients.",
        "the error of the match is measured at stars left out of the fit and goes into the variance",
    )

    def matcher(self, *, convolve: str) -> AbstractMatcher:
        """The algorithm of the core that this config asks for.

        Parameters
        ----------
        convolve
            Which image to convolve: ``template``, ``science`` or ``auto``.

        Raises
        ------
        UsageError
            If a value is out of range.
        """
        raise NotImplementedError

    def size(self) -> dict[str, int | None]:
        """Half-size of the kernel; None where it follows from the PSFs."""
        return {"kernel_half_px": None if self.scaleByFwhm else half_of(self.kernelSize)}

    def validate(self) -> None:
        """Refuse an even kernel as well."""
        OptionConfig.validate(self)
        if self.kernelSize < 3 or self.kernelSize % 2 == 0:
            raise self.refusal("kernelSize", f"kernelSize must be odd and at least 3, not {self.kernelSize}")


class PsfMatchConfigAL(PsfMatchConfig):
    """Gaussians times polynomials."""

    spatialKernelOrder: Any = option(AlardLupton, "spatial_order")
    spatialBgOrder: Any = option(AlardLupton, "background_order")
    alardDegGauss: Any = option(AlardLupton, "degrees")
    alardSigGauss: Any = option(AlardLupton, "sigmas_px")
    alardGaussBeta: Any = option(AlardLupton, "beta")
    alardMinSig: Any = option(AlardLupton, "min_sigma_px")
    alardMinSigDeconv: Any = option(AlardLupton, "min_sigma_sharpening_px")

    def matcher(self, *, convolve: str) -> AbstractMatcher:
        """Alard-Lupton matching with these parameters."""
        return options_of(self, AlardLupton, convolve=convolve, **self.size())


class PsfMatchConfigDF(PsfMatchConfig):
    """One free value a pixel, held together by a penalty."""

    spatialKernelOrder: Any = option(DeltaFunction, "spatial_order")
    spatialBgOrder: Any = option(DeltaFunction, "background_order")
    lambdaScaling: Any = option(RelativeStrength, "fraction")

    def matcher(self, *, convolve: str) -> AbstractMatcher:
        """Delta-function matching with these parameters."""
        strength = options_of(self, RelativeStrength)
        return options_of(self, DeltaFunction, convolve=convolve, strength=strength, **self.size())


KERNELS = {"AL": PsfMatchConfigAL, "DF": PsfMatchConfigDF}
"""The bases by LSST's names."""
