"""Names of datasets: those of Rubin's Data Preview 1, and the older ones where ``coaddName`` is an older kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lsst.pex.config import Field

DP1 = "template"
"""Value of ``coaddName`` that means the names of Data Preview 1; any other means the older names."""

OLD_NAMES: Mapping[str, str] = {
    "visit_image": "calexp",
    "visit_image_background": "calexpBackground",
    "single_visit_star": "src",
    "photometric_scale": "photometricScale",
    "visit_summary": "visitSummary",
    "template_visits": "{coaddName}Visits",
    "template_warp": "{coaddName}Coadd_directWarp",
    "template_coadd": "{coaddName}Coadd_calexp",
    "template_coadd_n_image": "{coaddName}Coadd_nImage",
    "template_detector": "{coaddName}Diff_templateExp",
    "template_aligned": "{coaddName}Diff_warpedExp",
    "template_matched": "{coaddName}Diff_matchedExp",
    "difference_image": "{coaddName}Diff_differenceExp",
    "difference_score": "{coaddName}Diff_scoreExp",
    "difference_kernel_source": "{coaddName}Diff_kernelSrc",
    "dia_source": "{coaddName}Diff_diaSrc",
    "dia_object": "{coaddName}Diff_diaObject",
    "dia_source_associated": "{coaddName}Diff_assocDiaSrc",
    "dia_source_rejected": "{coaddName}Diff_rejectedDiaSrc",
    "dia_object_forced_source_detector": "{coaddName}Diff_forced_diaSrc",
    "dia_object_forced_source": "{coaddName}Diff_diaCombined",
    "template_object": "{coaddName}Coadd_meas",
    "template_object_forced_source": "{coaddName}Diff_forced_diaSrcTemplate",
    "dia_source_forced_template": "{coaddName}Diff_forced_template_diaSrc",
    "dia_object_forced_template": "{coaddName}Diff_forced_diaObject",
    "dia_object_summary": "{coaddName}Diff_diaObjectSummary",
}
"""By name of Data Preview 1: the older name. What is not here has one name, as what is ingested, ``post_isr_image``."""


def coadd_name() -> Any:
    """The field ``coaddName`` of a task whose datasets have older names, too."""
    return Field(dtype=str, default=DP1, doc="template: DP1's names of datasets; any other: the older names.")


def dataset_name(name: str, coaddName: str) -> str:
    """A name of Data Preview 1, or the older one where ``coaddName`` asks for it."""
    return name if coaddName == DP1 else OLD_NAMES.get(name, name).replace("{coaddName}", coaddName)


def dp1_name(name: str, coaddName: str) -> str:
    """What `dataset_name` made a name of; the name itself if that is none of ours."""
    return next((new for new in OLD_NAMES if dataset_name(new, coaddName) == name), name)


def connection_names(kind: type[Any], config: Any) -> dict[str, str]:
    """Name of the dataset of every connection.

    Parameters
    ----------
    kind
        Class of connections, declared with the names of Data Preview 1; templates may stand before and behind
        (``{fakesType}visit_image``).
    config
        Of the task, with ``coaddName``; names that it gives to connections stay as they are.
    """
    given = {key: getattr(config.connections, key) for key in kind.defaultTemplates}
    names = {}
    for key, declared in kind.allConnections.items():
        pattern = getattr(config.connections, key)
        if pattern == declared.name:
            parts = re.split(r"(\{\w*\})", pattern)
            pattern = "".join(dataset_name(part, config.coaddName) for part in parts)
        names[key] = pattern.format(**(given | {"coaddName": config.coaddName}))
    return names
