"""Configs of the kernel fit under the names of `lsst.ip.diffim`: all that LSST can choose, with our defaults."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ChoiceField, Field, ListField

from diapipe.steps.match import (
    AbsoluteStrength,
    AbstractMatcher,
    AlardLupton,
    BrightestInCells,
    CandidateCuts,
    CentralDifferences,
    DeltaFunction,
    ForwardDifferences,
    LeastBic,
    LeastRisk,
    PrincipalComponents,
    RelativeStrength,
    Spread,
    SquaredLaplacian,
    StarMatcher,
    WholeBasis,
)
from diapipe.tasks.fields import OptionConfig, fixed, option, options_of, parameters_of

_CLIPPED = "The fit has a clipping of its own, which is always on."


def half_of(side: int) -> int:
    """Half-size of an odd side."""
    return side // 2


def side_of(half: int) -> int:
    """Odd side of a half-size."""
    return 2 * half + 1


def _switch(default: bool, doc: str) -> Any:
    return Field(dtype=bool, default=default, doc=doc)


def _number(kind: type, default: Any, doc: str) -> Any:
    return Field(dtype=kind, default=default, optional=default is None, doc=doc)


class PsfMatchConfig(OptionConfig):
    """What all bases of the matching kernel share."""

    scaleByFwhm: Any = _switch(True, "Size the kernel from the widths of the two PSFs; else it has kernelSize.")
    kernelSize: Any = _number(int, 21, "Side of the kernel in pixels, odd, where scaleByFwhm is False.")
    fitForBackground: Any = _switch(True, "Fit the differential background together with the kernel.")
    useAfwBackground: Any = fixed(
        False, "Subtract a background before the kernel is fitted.", "the sky of both images is taken out already"
    )
    calculateKernelUncertainty: Any = fixed(
        False,
        "Covariance of the kernel coefficients.",
        "the error of the match is measured at stars left out of the fit and goes into the variance",
    )
    spatialModelType: Any = option(
        StarMatcher, "spatial_model", choices={"chebyshev1": "chebyshev", "polynomial": "polynomial"}
    )
    sizeCellX: Any = _number(
        int, None, "Width of a cell in pixels; None of the three: stars are spread over the image."
    )
    sizeCellY: Any = _number(int, None, "Height of a cell in pixels.")
    nStarPerCell: Any = _number(int, None, "Stars of a cell that take part, -1 for all.")
    maxSpatialIterations: Any = option(StarMatcher, "max_rounds")
    maxSpatialConditionNumber: Any = option(StarMatcher, "max_condition_number")
    badMaskPlanes: Any = option(StarMatcher, "bad_planes")
    constantVarianceWeighting: Any = _switch(False, "Weight the pixels of a stamp alike.")
    iterateSingleKernel: Any = _switch(False, "Weight the pixels by the variance of a first difference.")
    singleKernelClipping: Any = _switch(False, f"Leave out stars that their own kernel does not describe. {_CLIPPED}")
    spatialKernelClipping: Any = _switch(False, f"Leave out stars that the kernel of all does not describe. {_CLIPPED}")
    kernelSumClipping: Any = _switch(False, f"Leave out stars whose kernel has an unusual sum. {_CLIPPED}")
    candidateResidualMeanMax: Any = _number(float, 0.25, "Largest mean residual of these clippings, in sigma.")
    candidateResidualStdMax: Any = _number(float, 1.5, "Largest scatter of the residuals, in sigma.")
    maxKsumSigma: Any = _number(float, 3.0, "Largest distance of a kernel sum from the others, in their scatter.")
    useCoreStats: Any = _switch(False, "Judge residuals in the middle of a stamp only.")
    candidateCoreRadius: Any = _number(int, 3, "Half-width of that middle in pixels.")
    checkConditionNumber: Any = _switch(False, "Leave out stars whose own kernel is ill-determined.")
    maxConditionNumber: Any = _number(float, 5e7, "Largest condition number then.")
    conditionNumberType: Any = option(
        CandidateCuts, "condition_kind", choices={"EIGENVALUE": "eigenvalue", "SVD": "svd"}
    )
    usePcaForSpatialKernel: Any = _switch(False, "Let principal components of the stars' own kernels be the basis.")
    subtractMeanForPca: Any = option(PrincipalComponents, "subtract_mean")
    numPrincipalComponents: Any = option(PrincipalComponents, "n_components")

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

    def validate(self) -> None:
        """Refuse what the core cannot make as well."""
        OptionConfig.validate(self)
        if self.kernelSize < 3 or self.kernelSize % 2 == 0:
            raise self.refusal("kernelSize", f"kernelSize must be odd and at least 3, not {self.kernelSize}")
        if self.constantVarianceWeighting and self.iterateSingleKernel:
            raise self.refusal(
                "iterateSingleKernel",
                "constantVarianceWeighting and iterateSingleKernel weight pixels in two ways: set one to False",
            )
        self.require("scaleByFwhm", lambda: self.matcher(convolve="auto"))

    def of_all(self) -> dict[str, Any]:
        """Parameters that all star matchers have."""
        values = parameters_of(self, StarMatcher)
        values["kernel_half_px"] = None if self.scaleByFwhm else half_of(self.kernelSize)
        values["candidates"] = self._candidates()
        values["reduction"] = options_of(self, PrincipalComponents) if self.usePcaForSpatialKernel else WholeBasis()
        values["cuts"] = self._cuts()
        if not self.fitForBackground:
            values["background_order"] = None
        if self.constantVarianceWeighting or self.iterateSingleKernel:
            values["weighting"] = "median" if self.constantVarianceWeighting else "iterated"
        return values

    def _candidates(self) -> Any:
        """Stars by cells, where a cell is spoken of."""
        asked = {"cell_width_px": self.sizeCellX, "cell_height_px": self.sizeCellY, "per_cell": self.nStarPerCell}
        given = {name: value for name, value in asked.items() if value is not None}
        if not given:
            return Spread()
        if given.get("per_cell", 0) == -1:
            given["per_cell"] = None
        return BrightestInCells(**given)

    def _cuts(self) -> CandidateCuts:
        """Limits of the clippings that are on."""
        mean, std = self.candidateResidualMeanMax, self.candidateResidualStdMax
        limits: dict[str, Any] = {}
        if self.singleKernelClipping:
            limits |= {"max_single_residual_mean": mean, "max_single_residual_std": std}
        if self.spatialKernelClipping:
            limits |= {"max_spatial_residual_mean": mean, "max_spatial_residual_std": std}
        if self.kernelSumClipping:
            limits["max_kernel_sum_sigma"] = self.maxKsumSigma
        if self.checkConditionNumber:
            limits["max_condition_number"] = self.maxConditionNumber
        if self.useCoreStats:
            limits["core_radius_px"] = float(self.candidateCoreRadius)
        return options_of(self, CandidateCuts, **limits)


class PsfMatchConfigAL(PsfMatchConfig):
    """Gaussians times polynomials."""

    spatialKernelOrder: Any = option(AlardLupton, "spatial_order")
    spatialBgOrder: Any = option(AlardLupton, "background_order")
    useBicForKernelBasis: Any = _switch(False, "Let the information criterion choose the degrees of the Gaussians.")
    alardNGauss: Any = _number(int, None, "Number of Gaussians; None: as many as alardDegGauss has.")
    alardDegGauss: Any = option(AlardLupton, "degrees")
    alardSigGauss: Any = ListField(
        doc="Widths of all Gaussians in pixels, where scaleByFwhm is False; None sizes them.",
        dtype=float,
        default=None,
        optional=True,
    )
    alardGaussBeta: Any = option(AlardLupton, "beta")
    alardMinSig: Any = option(AlardLupton, "min_sigma_px")
    alardNGaussDeconv: Any = _number(int, 3, "Number of Gaussians of a kernel that sharpens.")
    alardDegGaussDeconv: Any = _number(int, None, "Degree on each of them; None: that of alardDegGauss.")
    alardMinSigDeconv: Any = option(AlardLupton, "min_sigma_sharpening_px")
    kernelSizeFwhmScaling: Any = option(AlardLupton, "kernel_sigmas")
    kernelSizeMin: Any = option(AlardLupton, "min_half_px", into=half_of, shown=side_of)
    kernelSizeMax: Any = option(AlardLupton, "max_half_px", into=half_of, shown=side_of)
    sizing: Any = option(AlardLupton, "sizing")

    def matcher(self, *, convolve: str) -> AbstractMatcher:
        """Alard-Lupton matching with these parameters."""
        values = self.of_all() | {"convolve": convolve}
        own = parameters_of(self, AlardLupton)
        if not self.fitForBackground:
            own["background_order"] = None
        if self.alardSigGauss is not None and not self.scaleByFwhm:
            own["sigmas_px"] = tuple(self.alardSigGauss)
        if self.alardDegGaussDeconv is not None:
            own["sharpening_degrees"] = (self.alardDegGaussDeconv,) * self.alardNGaussDeconv
        if self.useBicForKernelBasis:
            values["reduction"] = LeastBic()
        return AlardLupton(**(values | own))

    def validate(self) -> None:
        """Refuse numbers of Gaussians that do not agree as well."""
        PsfMatchConfig.validate(self)
        if self.alardNGauss not in (None, len(self.alardDegGauss)):
            raise self.refusal(
                "alardNGauss",
                f"alardNGauss is {self.alardNGauss}, but alardDegGauss has {len(self.alardDegGauss)} entries: "
                "set both to the same number",
            )
        if self.useBicForKernelBasis and self.usePcaForSpatialKernel:
            raise self.refusal(
                "useBicForKernelBasis",
                "useBicForKernelBasis and usePcaForSpatialKernel choose the basis in two ways: set one to False",
            )


class PsfMatchConfigDF(PsfMatchConfig):
    """One free value a pixel, held together by a penalty."""

    spatialKernelOrder: Any = option(DeltaFunction, "spatial_order")
    spatialBgOrder: Any = option(DeltaFunction, "background_order")
    useRegularization: Any = _switch(True, "Hold the kernel to be smooth.")
    regularizationType: Any = ChoiceField(
        doc="What is to be small.",
        dtype=str,
        default="laplacian",
        allowed={
            "laplacian": "Laplacian of a kernel that is zero beyond its border",
            "centralDifference": "Laplacian of the inner pixels, and the border",
            "forwardDifference": "differences with the pixels that follow",
        },
    )
    centralRegularizationStencil: Any = ChoiceField(
        doc="Points of the Laplacian of centralDifference.",
        dtype=int,
        default=9,
        allowed={5: "a cross", 9: "a square"},
    )
    forwardRegularizationOrders: Any = option(ForwardDifferences, "orders")
    regularizationBorderPenalty: Any = option(CentralDifferences, "border_penalty")
    lambdaType: Any = ChoiceField(
        doc="How strongly.",
        dtype=str,
        default="relative",
        allowed={
            "relative": "lambdaScaling times what the stars say",
            "absolute": "lambdaValue for each star",
            "minimizeBiasedRisk": "by the least risk, of what the stars measure well",
            "minimizeUnbiasedRisk": "by the least risk",
        },
    )
    lambdaValue: Any = option(AbsoluteStrength, "value")
    lambdaScaling: Any = option(RelativeStrength, "fraction")
    lambdaStepType: Any = option(LeastRisk, "spacing")
    lambdaMin: Any = option(LeastRisk, "least")
    lambdaMax: Any = option(LeastRisk, "greatest")
    lambdaStep: Any = option(LeastRisk, "step")

    def matcher(self, *, convolve: str) -> AbstractMatcher:
        """Delta-function matching with these parameters."""
        own = parameters_of(self, DeltaFunction) | {"roughness": self._roughness(), "strength": self._strength()}
        if not self.fitForBackground:
            own["background_order"] = None
        return DeltaFunction(**(self.of_all() | {"convolve": convolve} | own))

    def _roughness(self) -> Any:
        """What is to be small."""
        if self.regularizationType == "laplacian":
            return SquaredLaplacian()
        if self.regularizationType == "centralDifference":
            return options_of(self, CentralDifferences, stencil=self.centralRegularizationStencil)
        return options_of(self, ForwardDifferences, border_penalty=self.regularizationBorderPenalty)

    def _strength(self) -> Any:
        """How strongly."""
        if not self.useRegularization:
            return AbsoluteStrength(value=0.0)
        if self.lambdaType == "absolute":
            return options_of(self, AbsoluteStrength)
        if self.lambdaType == "relative":
            return options_of(self, RelativeStrength)
        biased = self.lambdaType == "minimizeBiasedRisk"
        return options_of(self, LeastRisk, max_condition_number=self.maxConditionNumber if biased else None)
