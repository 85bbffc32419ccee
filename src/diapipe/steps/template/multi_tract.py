"""MultiTract: the template that all tracts give together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diapipe.images import Exposure
from diapipe.steps.template.blend import blend_tracts, nearest_first
from diapipe.steps.template.gather import TemplateInput
from diapipe.steps.template.grid import Grid
from diapipe.steps.template.patch_template import PatchTemplate, nothing_overlaps, only_patches
from diapipe.steps.template.registration import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiTract(PatchTemplate):
    """All patches of all tracts that overlap the exposure, blended (GetCoaddAsMultiTractTemplate).

    Patches of several tracts are brought straight on to the science grid, each by one interpolation; those of one tract
    stay on its grid, by none.
    """

    def gather(
        self,
        science: Exposure,
        inputs: Sequence[TemplateInput],
        *,
        registration: Registration | None = None,
        n_threads: int = 1,
    ) -> Exposure:
        """The template on the science grid, or on that of the tract where there is but one."""
        grid = Grid(box=science.box.dilated(self.border_px), wcs=science.wcs, registration=registration)
        near = nearest_first(only_patches(inputs), grid)
        tracts = {patch.tract.id: patch.tract for patch in near}
        if not tracts:
            raise nothing_overlaps(science, len(inputs))
        if len(tracts) == 1:
            return self._on_tract(near[0].tract, near, science, n_threads)
        return self._finished(
            blend_tracts(near, grid, warp=self.warp, feather_px=self.feather_px, n_threads=n_threads), science
        )
