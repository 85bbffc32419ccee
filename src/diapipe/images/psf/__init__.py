"""The PSF models, one a file."""

from diapipe.images.psf.base import SIGMA_TO_FWHM, Psf
from diapipe.images.psf.blended import BlendedPart, BlendedPsf
from diapipe.images.psf.coadd import CoaddComponent, CoaddPsf
from diapipe.images.psf.convolved import ConvolvedPsf
from diapipe.images.psf.gaussian import GaussianPsf
from diapipe.images.psf.homogenized import HomogenizedPsf
from diapipe.images.psf.polynomial import PolynomialPsf
from diapipe.images.psf.psfex import PsfexPsf
from diapipe.images.psf.stacked import StackedPsf
from diapipe.images.psf.warped import WarpedPsf

__all__ = [
    "SIGMA_TO_FWHM",
    "BlendedPart",
    "BlendedPsf",
    "CoaddComponent",
    "CoaddPsf",
    "ConvolvedPsf",
    "GaussianPsf",
    "HomogenizedPsf",
    "PolynomialPsf",
    "Psf",
    "PsfexPsf",
    "StackedPsf",
    "WarpedPsf",
]
