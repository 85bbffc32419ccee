"""The comparison of a simulated survey with its truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

from diapipe.cli.progress import Progress
from diapipe.cli.survey_files import SurveyFolder
from diapipe.cli.survey_objects import ObjectRecovery, object_recovery
from diapipe.cli.survey_truth import SurveyTruth, changes_of
from diapipe.steps.detect import MatchedFilter
from diapipe.steps.validate import Judged, SurveyValidation, judge, truth_table, validate_groups

if TYPE_CHECKING:
    from diapipe.tasks.survey_results import SurveyResults

_WANTED_SNR = MatchedFilter().threshold_sigma


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Differences of the visits that are not in the template, against the truth.

    Attributes
    ----------
    judged
        One by one.
    validation
        All of them.
    template_visits
        Visits that the template is made of.
    truth
        What was simulated, but the sky.
    dia_objects, forced_sources, objects
        Objects and forced fluxes of all patches, and what is true of them.
    """

    judged: Sequence[Judged]
    validation: SurveyValidation
    template_visits: frozenset[int]
    truth: SurveyTruth
    dia_objects: Table
    forced_sources: Table
    objects: ObjectRecovery


def compare(results: SurveyResults, folder: SurveyFolder, *, progress: Progress) -> Comparison:
    """Look for the truth in the differences of all visits that are not in the template."""
    weights = results.template_weights
    tables = {name: folder.read_truth(name) for name in ("fluxes", "objects", "trails")}
    truth = SurveyTruth(**tables, template_weights=weights)
    judged, expected = [], []
    progress("compare with the truth")
    for unit, band, difference, sources in results.differences():
        if unit.visit in results.template_visits:
            continue
        expected.append(truth.expected(difference, unit.visit, unit.detector, band))
        changed = truth_table(changes_of(expected[-1]), difference, name=f"the truth of visit {unit.visit}")
        found = truth.without_trails(sources, unit.visit, unit.detector)
        judged.append(judge(difference, found, changed, threshold_sigma=_WANTED_SNR))
    dia_objects, forced_sources = results.objects_and_fluxes()
    objects = object_recovery(
        dia_objects=dia_objects,
        forced_sources=forced_sources,
        expected=expected,
        found=Counter(number for one in judged for number in found_of(one)["object_id"].tolist()),
        fluxes=truth.fluxes,
    )
    return Comparison(
        judged=judged,
        validation=validate_groups(judged, truth_is_all=True),
        template_visits=results.template_visits,
        truth=truth,
        dia_objects=dia_objects,
        forced_sources=forced_sources,
        objects=objects,
    )


def wanted_of(judged: Judged) -> Table:
    """True changes that should be found."""
    rows = judged.truth
    return rows[np.asarray(rows["is_usable"]) & (np.abs(np.asarray(rows["snr_true"])) > _WANTED_SNR)]


def found_of(judged: Judged) -> Table:
    """Those of them that were."""
    rows = wanted_of(judged)
    return rows[np.asarray(rows["is_good"], dtype=np.bool_)]
