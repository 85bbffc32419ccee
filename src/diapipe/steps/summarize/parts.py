"""What a summary is made from: the results of the other steps, by the attributes that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from diapipe.catalogs.stars import StarList
from diapipe.images import ChebyshevField, Exposure, MaskedImage, SpatialKernel
from diapipe.steps.summarize.tally import CandidatesLike


class CharacterizedLike(Protocol):
    """An exposure with all that was found out about it."""

    @property
    def exposure(self) -> Exposure:
        """With PSF, mask and variance."""

    @property
    def stars(self) -> StarList:
        """Its sources."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """What was measured and decided, in plain values; ``warnings`` is a list of sentences."""


class AlignedLike(Protocol):
    """The template on the science grid."""

    @property
    def exposure(self) -> Exposure:
        """With its PSF there."""

    @property
    def coverage(self) -> float:
        """Fraction of the science pixels on which the template is usable."""

    @property
    def how(self) -> str:
        """What had to be done."""

    @property
    def registration_applied(self) -> bool:
        """Whether the displacement fitted on stars is part of the map."""


class RegistrationLike(Protocol):
    """Displacement of the template's stars from where the WCSs put them, in science pixels."""

    @property
    def n_matched(self) -> int:
        """Stars used in the fit."""

    @property
    def order(self) -> int:
        """Order of the field; -1 if there is none."""

    @property
    def rms_before_px(self) -> float:
        """Scatter per axis of the displacements."""

    @property
    def rms_after_px(self) -> float:
        """Scatter per axis of the residuals."""

    @property
    def rms_displacement_px(self) -> float:
        """Of the field, per axis."""

    @property
    def significance(self) -> float:
        """Sigma of the fall of χ² by the field."""


class CleanedLike(Protocol):
    """What was masked on the difference beyond the masks of its inputs."""

    @property
    def n_cosmic_ray_pixels(self) -> int:
        """Pixels of cosmic rays."""

    @property
    def streaks(self) -> Sequence[object]:
        """Trails, each a dataclass of plain values."""


class DetectionsLike(Protocol):
    """What changed."""

    @property
    def score(self) -> MaskedImage:
        """In sigma, with DETECTED planes in its mask."""

    @property
    def threshold_sigma(self) -> float:
        """Absolute score above which a peak is a source."""

    @property
    def searched(self) -> str:
        """Which image they were found on, ``"difference"`` or ``"score"``."""


class MatchLike(Protocol):
    """A fitted matching kernel, as the match step reports it."""

    @property
    def kernel(self) -> SpatialKernel:
        """Maps the convolved image onto the other."""

    @property
    def background(self) -> ChebyshevField:
        """Science above matched template."""

    @property
    def convolved(self) -> str:
        """Which image was convolved."""

    @property
    def reason(self) -> str:
        """Why that one, in words."""

    @property
    def candidates(self) -> CandidatesLike:
        """The stamps of the fit."""

    @property
    def spatial_order(self) -> int:
        """Polynomial order of the kernel over the image."""

    @property
    def basis(self) -> str:
        """The basis in words."""

    @property
    def relative_error(self) -> float:
        """Error of the matched pixels beyond their noise, as a fraction of their signal."""

    @property
    def kernel_sum_error(self) -> float:
        """Of the sum of the kernel; NaN where it is not known."""

    @property
    def fitted_to(self) -> str:
        """What the kernel was fitted to: ``"stars"``, or ``"PSF models"``."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what makes the kernel doubtful."""
