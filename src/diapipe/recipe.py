"""Recipe: which algorithm does each step of a difference, with its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from diapipe.errors import UsageError
from diapipe.steps.characterize import Characterize
from diapipe.steps.classify import AbstractClassifier, BoostedTrees
from diapipe.steps.clean import Clean
from diapipe.steps.decorrelate import AbstractDecorrelator, Afterburner
from diapipe.steps.detect import AbstractDetector, MatchedFilter, SkySources
from diapipe.steps.inject import Injection
from diapipe.steps.limits import Limited
from diapipe.steps.match import AbstractMatcher, AlardLupton
from diapipe.steps.measure import Measure
from diapipe.steps.subtract import (
    AbstractPreconvolution,
    AbstractSubtractor,
    OneSided,
    PsfFilter,
)
from diapipe.steps.summarize import SubtractionCheck
from diapipe.steps.template import (
    AbstractRegister,
    AbstractWarp,
    Register,
    WienerWarp,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Limited):
    """Which algorithm does each step, with its parameters; the defaults are meant to need no tuning.

    Attributes
    ----------
    characterize
        What is found out of each image: sky, noise, defects, stars, PSF.
    register
        How the residual displacement between the images is measured at the stars.
    warp
        How the template is brought onto the science grid.
    matcher
        How the PSFs are matched.
    preconvolution
        For a detector that searches a score image: what the science image is filtered with before a template is matched
        to it. None takes the difference itself through its own PSF instead, as is done for a subtractor whose
        differences are white by themselves.
    clean
        Which cosmic rays and streaks of the difference are masked, and which streaks before it is made.
    detector
        How sources are found, and on which image: the difference or the score. They are measured on the difference.
    sky_sources
        Places on empty sky that are measured like detections, to test fluxes and errors by; None for none.
    measure
        How they are measured and judged.
    classifier
        How far each source is to be believed: column ``reliability``. None leaves that to the plain flags.
    decorrelator
        None leaves the noise of the difference as the kernel correlates it; not used by a subtractor whose differences
        are white by themselves.
    pixel_unit
        ``science``: pixels of the difference are counts of the science image. ``nJy``: both images are first brought to
        nJy by their calibrations.
    inject
        Sources of known truth that are put into the images, to be judged by what becomes of them; None for none.
    check
        How much may be left of the kernel's stars; beyond, there is no difference but an error. None accepts all, and
        the summary tells.
    n_threads
        Threads over row bands; they change no bit of the result.
    """

    characterize: Characterize = field(default_factory=Characterize)
    register: AbstractRegister = field(default_factory=Register)
    warp: AbstractWarp = field(default_factory=WienerWarp)
    matcher: AbstractMatcher = field(default_factory=AlardLupton)
    subtractor: AbstractSubtractor = field(default_factory=OneSided)
    decorrelator: AbstractDecorrelator | None = field(default_factory=Afterburner)
    preconvolution: AbstractPreconvolution | None = field(default_factory=PsfFilter)
    clean: Clean = field(default_factory=Clean)
    detector: AbstractDetector = field(default_factory=MatchedFilter)
    sky_sources: SkySources | None = None
    measure: Measure = field(default_factory=Measure)
    classifier: AbstractClassifier | None = field(default_factory=BoostedTrees)
    pixel_unit: Literal["science", "nJy"] = "science"
    inject: Injection | None = None
    check: SubtractionCheck | None = None
    n_threads: int = 1

    def __post_init__(self) -> None:
        super(Recipe, self).__post_init__()
        if self.pixel_unit not in ("science", "nJy"):
            raise UsageError(f"pixel_unit must be science or nJy, not {self.pixel_unit!r}")
