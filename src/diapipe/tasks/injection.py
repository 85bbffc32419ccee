"""A survey's run with injected sources: configured as the survey was run, and what it found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, MissingDatasetTypeError
from scipy.spatial import KDTree

from diapipe.catalogs.injection_catalog import moves
from diapipe.errors import InputError, UsageError
from diapipe.numerics.sphere import angle_of, unit_vectors
from diapipe.steps.inject import Injection
from diapipe.steps.validate import Judged, with_known_objects
from diapipe.tasks.characterize import WITH_METADATA
from diapipe.tasks.connections import INJECTED
from diapipe.tasks.fields import target_of
from diapipe.tasks.inject_sources import InjectSourcesConfig
from diapipe.tasks.injected_catalog import catalog_run
from diapipe.tasks.injected_names import on_injected
from diapipe.tasks.repository import open_repository
from diapipe.tasks.running import RunRequest, Settings
from diapipe.tasks.running.outputs import own_runs
from diapipe.tasks.survey_tables import output_collection, tables_of
from diapipe.tasks.validate_sources import SOURCES, VALIDATION, judged_of

STEP = "injected"
"""Subset of the pipeline ``injected.yaml``."""
_NEAR_DEG = 1.0 / 60.0
"""By so much a detector may turn out to lie elsewhere than its raw image says."""
_INJECT, _DIFFERENCE, _VALIDATE = "injectSources", "imageDifference", "validateSources"


@contextmanager
def injected_run(
    request: RunRequest, *, survey: str, recipe: Injection, catalog: Table | None = None
) -> Iterator[RunRequest]:
    """A request with the settings and the inputs of an injection, while its configuration file is there.

    Parameters
    ----------
    request
        Of the pipeline ``injected.yaml``. The image difference is set as it was for the survey.
    survey
        Output that holds the results of the survey, or any collection.
    recipe
        Which sources.
    catalog
        These instead, of `diapipe.catalogs.injection_catalog.injection_catalog`.

    Raises
    ------
    UsageError
        If there is no such survey, or the output holds results of something else than these injections.
    InputError
        If a catalogue tells no places on the sky, or none that a visit is near to.
    """
    _refuse_pixels(catalog)
    with open_repository(request.repo, writeable=True) as butler:
        inputs = output_collection(butler, request.repo, survey)
        _refuse_real(butler, request.chain, inputs)
        _refuse_elsewhere(butler, catalog)
        config: Any = _config(butler, _DIFFERENCE, [inputs])
        run = catalog_run(butler, request.output, given=catalog, recipe=recipe, survey=inputs)
    values = [
        f"{_INJECT}:{name}={getattr(recipe, target.parameter)}"
        for name, field in InjectSourcesConfig._fields.items()
        if (target := target_of(field)) is not None
    ]
    values.append(f"{_INJECT}:doRecipe={catalog is None}")
    collections = (inputs,) if run is None else (inputs, run)
    with TemporaryDirectory() as folder:
        files = []
        if config is not None:
            on_injected(config)
            path = Path(folder) / f"{_DIFFERENCE}.py"
            config.save(str(path))
            files.append(f"{_DIFFERENCE}:{path}")
            values.append(f"{_VALIDATE}:thresholdSigma={config.detection.thresholdValue}")
            values += [f"{label}:coaddName={config.coaddName}" for label in (_INJECT, _VALIDATE)]
        yield replace(request, inputs=collections, settings=Settings(values=tuple(values), files=tuple(files)))


def judged_survey(repo: str, *, output: str) -> tuple[list[Judged], int]:
    """What became of the sources that were put into a survey.

    Parameters
    ----------
    repo
        A repository.
    output
        Name of the output of `diapipe inject`.

    Returns
    -------
    tuple
        What was judged, a difference each; and the number of images that sources were put into.

    Raises
    ------
    UsageError
        If there is no such output.
    InputError
        If nothing of it was judged.
    """
    with open_repository(repo) as butler:
        try:
            chain = output_collection(butler, repo, output)
        except UsageError as error:
            raise UsageError(
                f"{error}; an output to be judged is made by `diapipe inject {repo} --output {output}`"
            ) from error
        runs = own_runs(butler, chain)
        found = []
        for ref in _refs(butler, VALIDATION, runs):
            sources = butler.get(SOURCES, ref.dataId, collections=runs)
            one = judged_of(butler.get(ref, parameters=WITH_METADATA), sources)
            found.append(replace(one, in_template=_is_in_template(butler, ref, runs)))
        objects = tables_of(butler, chain).dia_objects
        n_injected = len(_refs(butler, f"{INJECTED}source", runs))
    if not found:
        raise InputError(f"{chain} of {repo} holds no {VALIDATION}; `diapipe inject {repo}` makes them")
    return _told_by_objects(found, objects), n_injected


def _is_in_template(butler: Butler, ref: Any, runs: list[str]) -> bool:
    """Whether the template of a difference held its own visit."""
    told = butler.get(f"{_DIFFERENCE}_metadata", ref.dataId, collections=runs)[_DIFFERENCE]
    return bool(told.get("scienceInTemplate", False))


def _told_by_objects(judged: list[Judged], objects: Table | None) -> list[Judged]:
    """What was judged, with what the survey saw more than once at a place."""
    if objects is None:
        return judged
    often = objects[np.asarray(objects["nDiaSources"]) > 1]
    return [with_known_objects(one, often) for one in judged]


def _refs(butler: Butler, name: str, runs: list[str]) -> list[Any]:
    """All datasets of a type in some runs, by visit and detector; none where it is not known."""
    try:
        refs = butler.query_datasets(name, collections=runs, explain=False, limit=None) if runs else []
    except MissingDatasetTypeError:
        return []
    return sorted(refs, key=lambda ref: (ref.dataId["visit"], ref.dataId["detector"]))


def _refuse_pixels(catalog: Table | None) -> None:
    """Refuse a catalogue that is of one image."""
    if catalog is not None and not np.isfinite(np.asarray(catalog["ra"])).all():
        raise InputError("the catalogue has x and y, pixels of one image; a survey needs ra and dec")


def _refuse_elsewhere(butler: Butler, catalog: Table | None) -> None:
    """Refuse a catalogue of another part of the sky before hours are spent on it; what moves may come from there."""
    if catalog is None or moves(catalog).any():
        return
    records = butler.query_dimension_records("visit_detector_region", limit=None, explain=False)
    circles = [record.region.getBoundingCircle() for record in records if record.region is not None]
    if not circles:
        return
    centres = np.array([[at.x(), at.y(), at.z()] for circle in circles for at in (circle.getCenter(),)])
    reach = max(circle.getOpeningAngle().asDegrees() for circle in circles) + _NEAR_DEG
    ra, dec = (np.asarray(catalog[name], dtype=np.float64) for name in ("ra", "dec"))
    distance = angle_of(KDTree(centres).query(unit_vectors(ra, dec))[0])
    if distance.min() > reach:
        nearest = int(distance.argmin())
        raise InputError(
            f"no source of the catalogue is on a visit of the survey: the nearest, at ra {ra[nearest]:.4f}, "
            f"dec {dec[nearest]:.4f}, lies {distance[nearest]:.2f} degrees from the middle of a detector"
        )


def _refuse_real(butler: Butler, chain: str, inputs: str) -> None:
    """Refuse to write into results of the survey itself."""
    runs = own_runs(butler, chain)
    if chain == inputs or (runs and _config(butler, _INJECT, runs) is None):
        raise UsageError(f"{chain} holds results without injected sources; give another --output, to keep them apart")


def _config(butler: Butler, label: str, collections: list[str]) -> Any:
    """The configuration that a task was run with; None where it was not."""
    try:
        ref = butler.find_dataset(f"{label}_config", collections=collections)
    except MissingDatasetTypeError:
        return None
    return None if ref is None else butler.get(ref)
