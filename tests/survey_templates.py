"""Coadds and templates of a simulated survey, made in memory with its true flux scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from diapipe.errors import NoOverlapError
from diapipe.images import Exposure
from diapipe.images.tracts import Patch, Tract
from diapipe.simulate import SimulatedSurvey
from diapipe.steps.characterize import characterize
from diapipe.steps.clean import AMONG_STARS, mask_streaks
from diapipe.steps.coadd import AbstractCoadder, Coadd, CoaddInput, VisitDetector, coadd, warp_visit


@dataclass(frozen=True, slots=True, eq=False)
class SurveyImages:
    """Characterized images of a survey, each made when it is asked for the first time."""

    survey: SimulatedSurvey
    _made: dict[tuple[int, int], Exposure]

    @classmethod
    def of(cls, survey: SimulatedSurvey) -> SurveyImages:
        return cls(survey, {})

    def __call__(self, visit: int, detector: int) -> Exposure:
        """The visit image, trails masked, with its true calibration."""
        if (visit, detector) not in self._made:
            frame = self.survey.frame(visit, detector)
            image, _ = mask_streaks(characterize(frame.exposure).exposure, options=AMONG_STARS)
            self._made[visit, detector] = replace(image, photo_calib=frame.photo_calib)
        return self._made[visit, detector]


def patch_coadd(
    images: SurveyImages, tract: Tract, patch: Patch, visits: Sequence[int], *, algorithm: AbstractCoadder | None = None
) -> Coadd | None:
    """The coadd of a patch; None where no visit has anything."""
    warps = []
    for visit in visits:
        detectors = [VisitDetector.whole(images(visit, d)) for d in range(images.survey.spec.n_detectors)]
        try:
            warp = warp_visit(detectors, box=patch.outer, wcs=tract.wcs, name=f"visit {visit}")
        except NoOverlapError:
            continue
        warps.append(CoaddInput(name=f"visit {visit}", box=warp.box, pixels=warp.__getitem__))
    if not warps:
        return None
    return coadd(warps, box=patch.outer, wcs=tract.wcs, algorithm=algorithm, name=f"patch {patch.index}")


def psf_flux(exposure: Exposure, x: float, y: float) -> tuple[float, float]:
    """Flux of a point source at a known place and its error for white noise; NaN where pixels are unusable."""
    psf = exposure.psf.image_at(x=x, y=y)
    half = psf.shape[0] // 2
    column, row = int(np.floor(x + 0.5)) - exposure.box.x0, int(np.floor(y + 0.5)) - exposure.box.y0
    cut = np.s_[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
    planes = exposure.masked_image
    image = planes.image[cut]
    if image.shape != psf.shape or not planes.usable()[cut][psf > 1e-3 * psf.max()].all():
        return np.nan, np.nan
    weight = np.where(planes.usable()[cut], 1.0 / planes.variance[cut].astype(float), 0.0)
    information = (psf**2 * weight).sum()
    return float((psf * weight * np.nan_to_num(image)).sum() / information), float(1.0 / np.sqrt(information))
