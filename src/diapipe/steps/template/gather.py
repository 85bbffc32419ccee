"""What every way to get a template has in common: options, the inputs it takes, and how much must be covered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from diapipe.errors import InputError, NoOverlapError
from diapipe.images import CoaddPatch, Exposure
from diapipe.images.sky import between
from diapipe.steps.limits import Limited
from diapipe.steps.template.registration import Registration
from diapipe.steps.warp import AbstractWarp, WienerWarp

type TemplateInput = CoaddPatch | Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstractTemplate(Limited, ABC):
    """A way to get a template for a science exposure.

    Attributes
    ----------
    border_px
        By how much the template reaches beyond the science exposure, in pixels of its own grid: a convolution and a
        registration need some.
    warp
        How images are interpolated; its ``required_template_fraction`` is the least part of the science exposure that
        the template must cover.
    """

    may_be_zero: ClassVar[tuple[str, ...]] = ("border_px",)

    border_px: int = 20
    warp: AbstractWarp = field(default_factory=WienerWarp)

    @abstractmethod
    def gather(
        self,
        science: Exposure,
        inputs: Sequence[TemplateInput],
        *,
        registration: Registration | None = None,
        n_threads: int = 1,
    ) -> Exposure:
        """The template, on any grid; `template_for` says the rest."""


def require_wcs(science: Exposure) -> None:
    """Refuse an exposure of which nobody knows where it lies."""
    if science.wcs is None or not science.wcs.has_celestial:
        raise InputError(f"{science.name} has no celestial WCS; without one no template can be found for it")


def require_band(template: Exposure, science: Exposure) -> None:
    """Refuse a template of another band, if both are known."""
    of_template, of_science = template.info.band, science.info.band
    if of_template and of_science and of_template != of_science:
        raise InputError(
            f"{science.name} is of band {of_science!r}, its template of {of_template!r}; both must be of one band",
            bands=(of_science, of_template),
        )


def require_coverage(template: Exposure, science: Exposure, *, at_least: float) -> None:
    """Refuse a template with too few usable pixels for the science exposure."""
    coverage = coverage_of(template, science)
    if coverage < at_least or coverage == 0.0:
        raise NoOverlapError(
            f"cannot difference {science.name}: usable pixels of its template cover {coverage:.1%} of it; "
            f"at least {at_least:.0%} are needed",
            coverage=coverage,
        )


def coverage_of(template: Exposure, science: Exposure) -> float:
    """Fraction of the science pixels whose place on the template is usable, from up to 128 rows and columns of them."""
    usable = template.masked_image.usable()
    box, own = science.box, template.box
    if template.wcs is science.wcs and own.contains(box):
        return float(usable[box.slices_in(own)].mean())
    x, y = (grid.ravel() for grid in np.meshgrid(_thinned(box.x0, box.x1), _thinned(box.y0, box.y1)))
    at_x, at_y = between(science.wcs, template.wcs)(x, y)
    on_sky = np.isfinite(at_x) & np.isfinite(at_y)
    column = np.floor(np.where(on_sky, at_x, -1e6) + 0.5).astype(np.intp) - own.x0
    row = np.floor(np.where(on_sky, at_y, -1e6) + 0.5).astype(np.intp) - own.y0
    inside = (column >= 0) & (column < own.width) & (row >= 0) & (row < own.height)
    return float(usable[row[inside], column[inside]].sum() / len(x))


def _thinned(start: int, stop: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.unique(np.linspace(start, stop - 1, min(128, stop - start)).round())
