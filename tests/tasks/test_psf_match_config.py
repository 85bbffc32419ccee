"""Fields of the kernel fit: each changes the matcher of the core, and what cannot be made is refused by its name."""

from __future__ import annotations

import pytest

from diapipe.steps.match import (
    AbsoluteStrength,
    AlardLupton,
    BrightestInCells,
    CentralDifferences,
    DeltaFunction,
    ForwardDifferences,
    Given,
    LeastBic,
    LeastRisk,
    ModelPsf,
    PrincipalComponents,
    Spread,
)
from diapipe.tasks.fields import SettingsError
from diapipe.tasks.model_psf_match_config import ModelPsfMatchConfig
from diapipe.tasks.psf_match_config import PsfMatchConfigAL, PsfMatchConfigDF
from diapipe.tasks.subtract import ImagePsfMatchConfig
from diapipe.tasks.subtract_config import KERNELS

WITH = {
    "kernelSize": {"scaleByFwhm": False},
    "alardSigGauss": {"scaleByFwhm": False, "alardDegGauss": [2, 1]},
    "candidateResidualMeanMax": {"singleKernelClipping": True},
    "candidateResidualStdMax": {"spatialKernelClipping": True},
    "maxKsumSigma": {"kernelSumClipping": True},
    "candidateCoreRadius": {"useCoreStats": True},
    "maxConditionNumber": {"checkConditionNumber": True},
    "subtractMeanForPca": {"usePcaForSpatialKernel": True},
    "numPrincipalComponents": {"usePcaForSpatialKernel": True},
    "alardNGaussDeconv": {"alardDegGaussDeconv": 3},
    "alardMinSigDeconv": {},
    "centralRegularizationStencil": {"regularizationType": "centralDifference"},
    "forwardRegularizationOrders": {"regularizationType": "forwardDifference"},
    "regularizationBorderPenalty": {"regularizationType": "centralDifference"},
    "lambdaValue": {"lambdaType": "absolute"},
    "lambdaStepType": {"lambdaType": "minimizeUnbiasedRisk", "lambdaMin": 0.1},
    "lambdaMin": {"lambdaType": "minimizeBiasedRisk"},
    "lambdaMax": {"lambdaType": "minimizeBiasedRisk"},
    "lambdaStep": {"lambdaType": "minimizeBiasedRisk"},
}
"""What must be set for a field to count."""

OTHER = {
    "spatialModelType": "polynomial",
    "conditionNumberType": "SVD",
    "regularizationType": "centralDifference",
    "lambdaType": "absolute",
    "lambdaStepType": "linear",
    "sizing": "stepped",
    "badMaskPlanes": ["SAT", "NO_DATA"],
    "alardDegGauss": [3, 2, 1],
    "alardSigGauss": [1.0, 2.0],
    "forwardRegularizationOrders": [3],
    "centralRegularizationStencil": 5,
    "maxSpatialConditionNumber": 1e9,
    "spatialKernelOrder": 1,
    "fluxScale": 1.5,
    "sizeCellX": 100,
    "sizeCellY": 100,
    "nStarPerCell": -1,
    "alardDegGaussDeconv": 3,
    "candidateResidualStdMax": 1.0,
}
"""Values that are not the default, where one cannot be made of it."""

FIXED = {"useAfwBackground", "calculateKernelUncertainty", "alardNGauss"}


def fields(basis):
    return [(basis, name) for name in KERNELS[basis]._fields if name not in FIXED]


def made(basis, **settings):
    config = KERNELS[basis]()
    for name, value in settings.items():
        setattr(config, name, value)
    config.validate()
    return config.matcher(convolve="auto")


@pytest.mark.parametrize(("basis", "name"), [*fields("AL"), *fields("DF"), *fields("PSF")])
def test_every_field_changes_the_matcher(basis, name):
    """No field is accepted and forgotten."""
    base = WITH.get(name, {})
    if name in OTHER:
        value = OTHER[name]
    else:
        default = KERNELS[basis]._fields[name].default
        value = not default if isinstance(default, bool) else default + 2
    assert made(basis, **{**base, name: value}) != made(basis, **{k: v for k, v in base.items() if k != name})


def test_old_names_mean_what_they_meant():
    """The values of the older defaults, set by hand, give the algorithms that they gave."""
    matcher = made(
        "AL",
        spatialKernelOrder=1, spatialBgOrder=2, sizeCellX=128, sizeCellY=128, nStarPerCell=3, scaleByFwhm=False,
        kernelSize=21, alardDegGauss=[4, 2, 2], alardSigGauss=[0.7, 1.5, 3.0], constantVarianceWeighting=True,
        singleKernelClipping=True, useBicForKernelBasis=True,
    )  # fmt: skip
    assert isinstance(matcher, AlardLupton)
    assert matcher.kernel_half_px == 10
    assert matcher.sigmas_px == (0.7, 1.5, 3.0)
    assert matcher.candidates == BrightestInCells(cell_width_px=128, cell_height_px=128, per_cell=3)
    assert (matcher.weighting, matcher.reduction) == ("median", LeastBic())
    assert matcher.cuts.max_single_residual_mean == 0.25
    assert (matcher.spatial_order, matcher.background_order) == (1, 2)
    free = made(
        "DF", lambdaType="minimizeBiasedRisk", usePcaForSpatialKernel=True, regularizationType="forwardDifference"
    )
    assert isinstance(free, DeltaFunction)
    assert free.strength == LeastRisk(max_condition_number=5e7)
    assert free.reduction == PrincipalComponents()
    assert free.roughness == ForwardDifferences()
    assert made("DF", useRegularization=False).strength == AbsoluteStrength(value=0.0)
    assert made("DF", regularizationType="centralDifference").roughness == CentralDifferences()
    assert made("AL", fitForBackground=False).background_order is None


def test_our_defaults_are_the_core_s():
    """A field that nobody touched changes nothing: spatial orders are found out, candidates are spread."""
    assert made("AL") == AlardLupton()
    assert made("DF") == DeltaFunction()
    assert made("PSF") == ModelPsf()


@pytest.mark.parametrize(
    ("config", "settings", "said"),
    [
        (PsfMatchConfigAL, {"kernelSize": 20}, "kernelSize must be odd and at least 3, not 20"),
        (PsfMatchConfigAL, {"alardNGauss": 2}, "alardNGauss is 2, but alardDegGauss has 3 entries"),
        (PsfMatchConfigAL, {"alardGaussBeta": -1.0}, "alardGaussBeta: beta of AlardLupton must be positive, not -1"),
        (PsfMatchConfigAL, {"useAfwBackground": True}, "useAfwBackground can only be False, not True: the sky"),
        (PsfMatchConfigAL, {"badMaskPlanes": ["NOTHING"]}, "no mask plane is called 'NOTHING'"),
        (
            PsfMatchConfigAL,
            {"useBicForKernelBasis": True, "usePcaForSpatialKernel": True},
            "choose the basis in two ways: set one to False",
        ),
        (ModelPsfMatchConfig, {"kernelSize": 4}, "kernelSize must be odd and at least 3, not 4"),
        (
            PsfMatchConfigDF,
            {"constantVarianceWeighting": True, "iterateSingleKernel": True},
            "weight pixels in two ways: set one to False",
        ),
        (PsfMatchConfigDF, {"forwardRegularizationOrders": [4]}, "orders of differences must be 1, 2 or 3"),
    ],
)
def test_what_cannot_be_made_is_refused(config, settings, said):
    """By the name of the field, in one sentence."""
    asked = config()
    for name, value in settings.items():
        setattr(asked, name, value)
    with pytest.raises(SettingsError, match=said) as told:
        asked.validate()
    assert "\n" not in str(told.value)


def test_stars_chosen_with_care_all_take_part():
    """doSelectSources: no limit of the signal-to-noise, in cells or without them; by default the brightest, spread."""
    config = ImagePsfMatchConfig()
    assert config.matcher(convolveTemplate=True).candidates == Spread()
    assert config.matcher(convolveTemplate=True, isSelected=True).candidates == Given()
    config.kernel.active.nStarPerCell = 2
    assert config.matcher(convolveTemplate=True).candidates == BrightestInCells(per_cell=2)
    chosen = config.matcher(convolveTemplate=True, isSelected=True).candidates
    assert chosen == BrightestInCells(per_cell=2, min_signal_to_noise=0.0)
