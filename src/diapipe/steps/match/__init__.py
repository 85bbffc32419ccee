"""match: find the kernel that brings the sharper image to the PSF of the other."""

from __future__ import annotations

from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError
from diapipe.images.exposure import Exposure
from diapipe.steps.family import Family
from diapipe.steps.match.alard_lupton import AlardLupton
from diapipe.steps.match.base import AbstractMatcher
from diapipe.steps.match.candidate_quality import candidate_quality, quality_summary
from diapipe.steps.match.candidates import CANDIDATES, BrightestInCells, Given, Spread
from diapipe.steps.match.components import PrincipalComponents
from diapipe.steps.match.criterion import LeastBic
from diapipe.steps.match.cuts import CandidateCuts
from diapipe.steps.match.delta_function import DeltaFunction
from diapipe.steps.match.direction import choose_direction
from diapipe.steps.match.from_stars import StarMatcher
from diapipe.steps.match.model_psf import ModelPsf, match_psfs
from diapipe.steps.match.reduction import AbstractReduction, WholeBasis
from diapipe.steps.match.result import Candidates, Match
from diapipe.steps.match.roughness import ROUGHNESSES, CentralDifferences, ForwardDifferences, SquaredLaplacian
from diapipe.steps.match.sized_basis import SizedBasis
from diapipe.steps.match.strength import STRENGTHS, AbsoluteStrength, LeastRisk, RelativeStrength

__all__ = [
    "CANDIDATES",
    "MATCHERS",
    "REDUCTIONS",
    "ROUGHNESSES",
    "STRENGTHS",
    "AbsoluteStrength",
    "AbstractMatcher",
    "AlardLupton",
    "BrightestInCells",
    "CandidateCuts",
    "Candidates",
    "CentralDifferences",
    "DeltaFunction",
    "ForwardDifferences",
    "Given",
    "LeastBic",
    "LeastRisk",
    "Match",
    "ModelPsf",
    "PrincipalComponents",
    "RelativeStrength",
    "SizedBasis",
    "Spread",
    "SquaredLaplacian",
    "StarMatcher",
    "WholeBasis",
    "candidate_quality",
    "match",
    "match_psfs",
    "quality_summary",
]

MATCHERS: Family[AbstractMatcher] = Family("match", {"al": AlardLupton, "delta": DeltaFunction, "psf": ModelPsf})

REDUCTIONS: Family[AbstractReduction] = Family(
    "reduce a basis", {"whole": WholeBasis, "pca": PrincipalComponents, "bic": LeastBic}
)


def match(science: Exposure, template: Exposure, stars: StarList, *, algorithm: AbstractMatcher) -> Match:
    """Fit the kernel and the differential background.

    Parameters
    ----------
    science, template
        On one grid, with PSFs.
    stars
        Sources of the science image; the usable, bright ones become the stamps.
    algorithm
        Which basis, and the limits of the fit.

    Returns
    -------
    Match
        Kernel, background, and what became of every candidate.

    Raises
    ------
    TooFewStarsError
        If too few candidates are usable.
    InputError
        If an image has no PSF or the grids differ.
    UsageError
        If the kernel asked for is larger than the image.
    """
    if science.psf is None or template.psf is None:
        raise InputError(f"{science.name} and {template.name} must both have a PSF before they are matched")
    if science.box != template.box:
        raise InputError(f"science {science.box} and template {template.box} must be on one grid to be matched")
    direction = choose_direction(science.psf, template.psf, science.box, convolve=algorithm.convolve)
    return algorithm.matched(science, template, stars, direction)
