"""SingleTract: the template that one tract gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diapipe.images import Exposure
from diapipe.images.sky import icrs_of
from diapipe.images.tracts import tract_in_charge
from diapipe.steps.template.blend import nearest_first
from diapipe.steps.template.gather import TemplateInput
from diapipe.steps.template.grid import Grid
from diapipe.steps.template.patch_template import PatchTemplate, nothing_overlaps, only_patches
from diapipe.steps.template.registration import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleTract(PatchTemplate):
    """The patches of the tract in charge of the exposure's middle, on the tract's own grid (GetCoaddAsTemplate).

    Nothing is interpolated. Where the exposure reaches beyond the tract there is no data.
    """

    def gather(
        self,
        science: Exposure,
        inputs: Sequence[TemplateInput],
        *,
        registration: Registration | None = None,
        n_threads: int = 1,
    ) -> Exposure:
        """The template on the tract's grid; a registration belongs to its warp onto the science grid, not to this."""
        box = science.box
        grid = Grid(box=box.dilated(self.border_px), wcs=science.wcs)
        patches = nearest_first(only_patches(inputs), grid)
        (ra,), (dec,) = icrs_of(science.wcs, np.array([box.x_center]), np.array([box.y_center]))
        tracts = {patch.tract.id: patch.tract for patch in patches}
        tract = tract_in_charge(tracts.values(), ra_deg=float(ra), dec_deg=float(dec))
        if tract is None:
            raise nothing_overlaps(science, len(inputs))
        return self._on_tract(tract, patches, science, n_threads)
