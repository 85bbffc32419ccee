"""The verb: get a template for a science exposure."""

from __future__ import annotations

from collections.abc import Iterable

from diapipe.images import Exposure
from diapipe.steps.template.gather import AbstractTemplate, TemplateInput, require_band, require_coverage, require_wcs
from diapipe.steps.template.multi_tract import MultiTract
from diapipe.steps.template.registration import Registration


def template_for(
    science: Exposure,
    inputs: Iterable[TemplateInput],
    *,
    algorithm: AbstractTemplate | None = None,
    registration: Registration | None = None,
    n_threads: int = 1,
) -> Exposure:
    """A template for a science exposure, from what a survey has of its sky.

    It comes on the grid on which it costs the fewest interpolations: that of the tract, as it is, or the science grid,
    by one; `warp_onto` brings the first kind on to the science grid and leaves the second as it is.

    Parameters
    ----------
    science
        Its box, WCS and observation count, its pixels do not.
    inputs
        Coadds of patches, or one exposure, as the algorithm needs; patches that do not overlap are not read.
    algorithm
        How to make it; `MultiTract` if left out.
    registration
        Of a template that this function made on the science grid for the same inputs: found by `register` between the
        two, it becomes part of the map, so that nothing is interpolated twice. Only templates on the science grid heed
        it.
    n_threads
        Threads to run at once; the result does not depend on it.

    Returns
    -------
    Exposure
        With PSF, flux scale, noise correlation and the visits of which it is made; NO_DATA where nothing is known.

    Raises
    ------
    InputError
        If the science exposure has no WCS, the bands are not one, or flux scales are not known.
    NoOverlapError
        If no input overlaps, or too little of the science exposure is covered.
    """
    algorithm = algorithm or MultiTract()
    require_wcs(science)
    template = algorithm.gather(science, list(inputs), registration=registration, n_threads=n_threads)
    require_band(template, science)
    require_coverage(template, science, at_least=algorithm.warp.required_template_fraction)
    return template
