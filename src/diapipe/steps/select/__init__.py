"""select: which sources make the matching kernel, and which only judge it."""

from __future__ import annotations

import numpy as np

from diapipe.catalogs.sources import ReferenceList, SourceList
from diapipe.errors import InputError
from diapipe.numerics.arrays import BoolArray, IntArray
from diapipe.steps.family import Family
from diapipe.steps.select.base import AbstractSelector
from diapipe.steps.select.counterparts import NONE, entries_of, in_catalogue, on_template
from diapipe.steps.select.dia_catalog import DiaCatalog
from diapipe.steps.select.measured import measured_sources
from diapipe.steps.select.object_size import ObjectSize
from diapipe.steps.select.point_sources import PointSources
from diapipe.steps.select.selection import KernelSources, Selection, controls_of

__all__ = [
    "SELECTORS",
    "AbstractSelector",
    "DiaCatalog",
    "KernelSources",
    "ObjectSize",
    "PointSources",
    "Selection",
    "in_catalogue",
    "measured_sources",
    "select",
]

SELECTORS: Family[AbstractSelector] = Family(
    "select sources", {"objectSize": ObjectSize, "diacatalog": DiaCatalog, "science": PointSources}
)


def select(
    sources: SourceList,
    *,
    selector: AbstractSelector | None = None,
    template_sources: SourceList | None = None,
    reference: ReferenceList | None = None,
    options: KernelSources | None = None,
) -> Selection:
    """Choose the sources of the matching kernel, and the controls that it is judged by.

    Parameters
    ----------
    sources
        Of the science image.
    selector
        Which of the matched ones are fit; by size where left out.
    template_sources
        Of the template, where sources are matched to it.
    reference
        Catalogue, where sources are matched to it or a choice is made by it. No WCS is touched.
    options
        Matching and controls.

    Returns
    -------
    Selection
        The match is to be given exactly ``kernel_sources.stars()``.

    Raises
    ------
    InputError
        If the list or catalogue that is matched to, or chosen by, was not given, or lacks what is asked of it.
    TooFewStarsError
        If the selector has a least number and finds fewer.
    """
    options, selector = options or KernelSources(), selector or ObjectSize()
    entry = _entries(sources, reference, options)
    catalogued = None if reference is None else entries_of(reference, entry)
    somewhere = np.isfinite(sources.x) & np.isfinite(sources.y)
    rows = np.flatnonzero(somewhere & _matched(sources, template_sources, reference, entry, options))
    chosen = rows[selector.chosen(sources.select(rows), None if catalogued is None else catalogued.select(rows))]
    extra = _extra_controls(sources, catalogued, selector, options)
    chosen = chosen[~extra[chosen]]
    control = controls_of(chosen, step=options.control_step, rng=np.random.default_rng(options.control_seed))
    return Selection(
        sources=sources,
        kernel=np.setdiff1d(chosen, control),
        control=np.union1d(control, np.flatnonzero(extra)),
        n_matched=len(rows),
    )


def _entries(sources: SourceList, reference: ReferenceList | None, options: KernelSources) -> IntArray:
    """Catalogue entry of each source; `NONE` without a catalogue."""
    if reference is None:
        return np.full(len(sources), NONE, np.int64)
    return in_catalogue(
        sources,
        reference,
        radius_arcsec=options.match_radius_arcsec,
        largest_offset_arcsec=options.reference_offset_arcsec,
    )


def _matched(
    sources: SourceList,
    template_sources: SourceList | None,
    reference: ReferenceList | None,
    entry: IntArray,
    options: KernelSources,
) -> BoolArray:
    """Which sources have the counterpart that is asked for."""
    if options.matched_to == "nothing":
        return np.ones(len(sources), np.bool_)
    if options.matched_to == "reference":
        if reference is None:
            raise InputError("kernel sources are to be matched to a reference catalogue; none was given")
        return np.asarray(entry != NONE)
    if template_sources is None:
        raise InputError(
            "kernel sources are to be matched to those of the template; give its sources, or match them to a reference "
            "catalogue or to nothing"
        )
    return on_template(sources, template_sources, radius_arcsec=options.match_radius_arcsec)


def _extra_controls(
    sources: SourceList, catalogued: ReferenceList | None, selector: AbstractSelector, options: KernelSources
) -> BoolArray:
    """Sources that are controls whatever the selector says."""
    catalogue = selector if isinstance(selector, DiaCatalog) else options.catalogue
    ways = {"colour-extreme": catalogue.extreme, "variable": catalogue.variable}
    found = np.zeros(len(sources), np.bool_)
    for extra in options.extra_controls:
        found |= ways[extra](sources, catalogued)
    return found
