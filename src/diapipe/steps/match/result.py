"""Match: the kernel and background that bring one image onto the other, and what they were made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from diapipe.images.fields import ChebyshevField
from diapipe.images.kernel import SpatialKernel
from diapipe.numerics.arrays import BoolArray, FloatArray

type Convolved = Literal["template", "science"]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The stamps that the kernel was fitted to, one array entry each.

    Attributes
    ----------
    x, y
        Centre, parent pixel coordinates.
    flux
        Flux of the source on the science image.
    reduced_chi2
        χ² per pixel of the stamp under the final kernel.
    kept
        Whether it took part in the final fit.
    why_rejected
        Empty for those kept.
    """

    x: FloatArray
    y: FloatArray
    flux: FloatArray
    reduced_chi2: FloatArray
    kept: BoolArray
    why_rejected: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """A fitted matching kernel.

    Attributes
    ----------
    kernel
        Convolve the image named by ``convolved`` with it to match the other.
    background
        Reference minus convolved image that is left, in counts of the reference image.
    convolved
        Which image the kernel applies to.
    reason
        Why that one, in words.
    candidates
        The stamps.
    spatial_order
        Polynomial order of the kernel over the image.
    basis
        The basis in words.
    relative_error
        Error of the matched pixels beyond their noise, as a fraction of their signal: what the residuals at stars that
        the kernel was not fitted to say of kernel, flat field and response; 0 where that is not significant.
    cross_validation
        Reduced χ² on held-out stamps for every spatial order tried.
    kernel_sum_error
        Of the sum of the kernel, as the noise of the pixels has it; NaN where it was not fitted.
    condition_number
        Of the normal matrix scaled to a unit diagonal; NaN where there was none.
    shared_noise
        Part of the convolved image's noise that the other image has too.
    fitted_to
        ``"stars"`` or ``"PSF models"``.
    warnings
        Sentences on what makes the kernel doubtful.
    """

    kernel: SpatialKernel
    background: ChebyshevField
    convolved: Convolved
    reason: str
    candidates: Candidates
    spatial_order: int
    basis: str
    relative_error: float
    cross_validation: dict[int, float]
    kernel_sum_error: float = float("nan")
    condition_number: float = float("nan")
    shared_noise: float = 0.0
    fitted_to: Literal["stars", "PSF models"] = "stars"
    warnings: tuple[str, ...] = ()

    @property
    def kernel_sum(self) -> float:
        """Reference counts for one count of the convolved image."""
        return self.kernel.sum
