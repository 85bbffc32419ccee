"""OneVisit: another exposure of the same place as the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diapipe.errors import InputError, NoOverlapError
from diapipe.images import Exposure
from diapipe.images.sky import box_around, outline_between
from diapipe.steps.template.gather import AbstractTemplate, TemplateInput
from diapipe.steps.template.registration import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class OneVisit(AbstractTemplate):
    """Exactly one exposure, on its own grid, cut to what the science exposure needs (GetCalexpAsTemplate)."""

    def gather(
        self,
        science: Exposure,
        inputs: Sequence[TemplateInput],
        *,
        registration: Registration | None = None,
        n_threads: int = 1,
    ) -> Exposure:
        """The part of the visit around the science exposure; nothing is interpolated."""
        visits = [found for found in inputs if isinstance(found, Exposure)]
        if len(inputs) != 1 or len(visits) != 1:
            raise InputError(f"one exposure is needed as a template, not {len(visits)} among {len(inputs)} inputs")
        (visit,) = visits
        if visit.wcs is None:
            raise InputError(f"{visit.name} has no celestial WCS; without one it is no template for another exposure")
        reach = box_around(outline_between(science.wcs, visit.wcs, science.box))
        box = None if reach is None else reach.dilated(self.border_px).intersect(visit.box)
        if box is None:
            raise NoOverlapError(f"cannot difference {science.name}: it does not overlap its template {visit.name}")
        return visit[box]
