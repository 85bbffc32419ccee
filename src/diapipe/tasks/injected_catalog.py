"""The catalogue of an injection, as a dataset: what was given, or what the recipe has cross the sky of a survey."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetType

from diapipe.catalogs.tables import same_rows, stacked
from diapipe.errors import UsageError
from diapipe.steps.inject import Injection, choose_movers
from diapipe.tasks.injected_names import CATALOG_DATASET
from diapipe.tasks.survey_tables import refs_of

RUNS = "injection_catalogs"
"""Begins the name of the RUN of an output's catalogue; the name of the output ends it."""


def catalog_run(butler: Butler, output: str, *, given: Table | None, recipe: Injection, survey: str) -> str | None:
    """The RUN that holds the catalogue of an output, put there if it is new; None where there is none.

    Parameters
    ----------
    butler
        Writeable.
    output
        Name of the output of the injection.
    given
        A catalogue, in place of the recipe.
    recipe
        Says how much crosses the sky.
    survey
        Collection with the visit summaries of the survey.

    Raises
    ------
    UsageError
        If the output was made with another catalogue.
    """
    run = f"{RUNS}/{output}"
    there = run in set(butler.collections.query("*"))
    known = butler.find_dataset(CATALOG_DATASET, collections=run) if there else None
    if known is not None and given is None:
        return run  # what was chosen by the recipe; another one is refused with the settings of the tasks
    catalog = _crossing(butler, survey, recipe) if given is None else given
    if known is not None:
        if not same_rows(butler.get(known), catalog):
            raise UsageError(
                f"the output {output} was made with other sources; give another --output, to keep them apart"
            )
        return run
    if not len(catalog):
        return None
    butler.registry.registerDatasetType(DatasetType(CATALOG_DATASET, (), "ArrowAstropy", universe=butler.dimensions))
    butler.collections.register(run)
    butler.put(catalog, CATALOG_DATASET, run=run)
    return run


def _crossing(butler: Butler, survey: str, recipe: Injection) -> Table:
    """What crosses the sky of a survey, the same for the same seed and visits."""
    summaries = [butler.get(ref) for ref in refs_of(butler, survey, "visit_summary")] if recipe.moving else []
    if not summaries:
        return Table()
    visits = stacked(summaries, name="visit summaries")
    return choose_movers(visits, options=recipe, rng=np.random.default_rng([recipe.seed, *b"moving"]))
