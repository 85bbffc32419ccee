"""Selection: which sources make the kernel, and which only judge it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from diapipe.catalogs.sources import SourceList
from diapipe.errors import UsageError
from diapipe.numerics.arrays import IntArray
from diapipe.steps.limits import Limited
from diapipe.steps.select.dia_catalog import DiaCatalog

type Extra = Literal["colour-extreme", "variable"]

MATCHED_TO = ("template", "reference", "nothing")
EXTRAS = ("colour-extreme", "variable")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSources(Limited):
    """How sources are matched before one of the selectors chooses, and which of the chosen become controls.

    Attributes
    ----------
    matched_to
        Sources that are not on the ``template``, or not in the ``reference`` catalogue (kernelSourcesFromRef), are left
        out; ``nothing`` leaves out none.
    match_radius_arcsec
        Largest distance of a match.
    reference_offset_arcsec
        Largest error of the WCS against the reference catalogue that is looked for; 0 looks for none.
    control_step
        Every n-th of the shuffled sources becomes a control, at least 2; None for no controls (controlStepSize).
    control_seed
        Of the shuffle: one seed, one list, whatever ran before (controlRandomSeed).
    extra_controls
        Further controls, after the reference catalogue: ``colour-extreme`` stars (doSelectDcrCatalog), ``variable``
        ones (doSelectVariableCatalog). They make no kernel.
    catalogue
        What a star, an ordinary colour and a bad source are where ``extra_controls`` are taken, unless the selector is
        a `DiaCatalog` itself.
    """

    may_be_zero = ("reference_offset_arcsec", "control_seed")

    matched_to: Literal["template", "reference", "nothing"] = "template"
    match_radius_arcsec: float = 1.0
    reference_offset_arcsec: float = 5.0
    control_step: int | None = 5
    control_seed: int = 10
    extra_controls: tuple[Extra, ...] = ()
    catalogue: DiaCatalog = field(default_factory=DiaCatalog)

    def __post_init__(self) -> None:
        super(KernelSources, self).__post_init__()
        if self.matched_to not in MATCHED_TO:
            raise UsageError(f"matched_to must be one of {', '.join(MATCHED_TO)}, not {self.matched_to!r}")
        for extra in self.extra_controls:
            if extra not in EXTRAS:
                raise UsageError(f"extra_controls can hold {' and '.join(EXTRAS)}, not {extra!r}")
        if self.control_step == 1:
            raise UsageError("control_step must be at least 2, not 1: no source would be left to make the kernel")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Selection:
    """Sources of the science image, and the part that each plays.

    Attributes
    ----------
    sources
        All that were given, in their order.
    kernel
        Rows of those that make the kernel, ascending.
    control
        Rows of those that only judge it, ascending; none is in ``kernel``.
    n_matched
        How many have a counterpart on the template or in the catalogue.
    """

    sources: SourceList
    kernel: IntArray
    control: IntArray
    n_matched: int

    @property
    def kernel_sources(self) -> SourceList:
        """Those that make the kernel."""
        return self.sources.select(self.kernel)

    @property
    def control_sources(self) -> SourceList:
        """Those that only judge it."""
        return self.sources.select(self.control)


def controls_of(rows: IntArray, *, step: int | None, rng: np.random.Generator) -> IntArray:
    """Every ``step``-th of the shuffled rows, the first included; ascending. None takes none."""
    if step is None:
        return rows[:0]
    return np.sort(rng.permutation(rows)[::step])
