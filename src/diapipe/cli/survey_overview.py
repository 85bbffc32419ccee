"""The comparison of a simulated survey with its truth, as a table and as pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from diapipe.cli.products import ProductChoice, write_products
from diapipe.cli.survey_curves import SurveyCurves
from diapipe.cli.survey_files import SurveyFolder
from diapipe.cli.survey_objects import ObjectRecovery, object_recovery
from diapipe.cli.survey_results import SurveyResults
from diapipe.cli.survey_truth import SurveyTruth, changes_of
from diapipe.flow import difference_pair
from diapipe.images.calibrated import calibrated
from diapipe.io import write_text
from diapipe.numerics.arrays import FloatArray
from diapipe.recipe import Recipe
from diapipe.report import FoundChange, PageContent, SurveyField, SurveyPage, render_survey_page
from diapipe.report.cutouts import cutout_sheet, cutout_side
from diapipe.report.validation_page import HEADINGS, part_rows
from diapipe.simulate import SimulatedSurvey
from diapipe.steps.detect import MatchedFilter
from diapipe.steps.template import template_for
from diapipe.steps.validate import Judged, SurveyValidation, judge, truth_table, validate_groups

_N_CHANGES = 12
_WANTED_SNR = MatchedFilter().threshold_sigma
_VISIT_HEADINGS = ("visit", "band", "MJD", "seeing", "sky", "depth (5σ)", "zero point", "true zero point", "used for")

type Progress = Callable[[str], None]


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
    weights = results.template_weights()
    tables = {name: folder.read_truth(name) for name in ("fluxes", "objects", "trails")}
    truth = SurveyTruth(**tables, template_weights=weights)
    of_template = frozenset(visit for visits in weights.values() for visit in visits)
    judged, expected = [], []
    progress("compare with the truth")
    for visit, detector, band, difference, sources in results.differences():
        if visit in of_template:
            continue
        expected.append(truth.expected(difference, visit, detector, band))
        changed = truth_table(changes_of(expected[-1]), difference, name=f"the truth of visit {visit}")
        found = truth.without_trails(sources, visit, detector)
        judged.append(judge(difference, found, changed, threshold_sigma=_WANTED_SNR))
    dia_objects, forced_sources = results.objects_and_fluxes()
    objects = object_recovery(
        dia_objects=dia_objects,
        forced_sources=forced_sources,
        expected=expected,
        found=Counter(number for one in judged for number in _found(one)["object_id"].tolist()),
        fluxes=truth.fluxes,
    )
    return Comparison(
        judged=judged,
        validation=validate_groups(judged, truth_is_all=True),
        template_visits=of_template,
        truth=truth,
        dia_objects=dia_objects,
        forced_sources=forced_sources,
        objects=objects,
    )


def _wanted(judged: Judged) -> Table:
    """True changes that should be found."""
    rows = judged.truth
    return rows[np.asarray(rows["is_usable"]) & (np.abs(np.asarray(rows["snr_true"])) > _WANTED_SNR)]


def _found(judged: Judged) -> Table:
    """Those of them that were."""
    rows = _wanted(judged)
    return rows[np.asarray(rows["is_good"], dtype=np.bool_)]


def write_pages(
    results: SurveyResults,
    comparison: Comparison,
    folder: SurveyFolder,
    *,
    survey: SimulatedSurvey,
    title: str,
    progress: Progress,
) -> None:
    """The overview, and the page of one difference of each band."""
    folder.pages.mkdir(exist_ok=True)
    links = [(text, f"pages/{place}") for text, place in _single_pages(results, comparison, folder.pages, progress)]
    progress("make the overview")
    tracts, patches = results.tract_outlines()
    field = SurveyField(
        tracts=tracts, patches=patches, detectors=results.detector_outlines(), places=_places(comparison)
    )
    curves = SurveyCurves(
        recovery=comparison.objects,
        dia_objects=comparison.dia_objects,
        forced_sources=comparison.forced_sources,
        survey=survey,
        truth=comparison.truth,
    )
    page = SurveyPage(
        title=title,
        sentences=_sentences(results, comparison),
        headings=HEADINGS,
        recovery=part_rows({band: found.numbers for band, found in comparison.validation.bands.items()}),
        field=field,
        object_headings=curves.headings(),
        objects=curves.rows(),
        object_sentence=comparison.objects.sentence,
        light_curves=curves.figures(),
        visit_headings=_VISIT_HEADINGS,
        visits=_visit_rows(results, folder, comparison.template_visits),
        changes=_gallery(results, comparison),
        links=links,
        next_steps=next_steps(folder),
    )
    write_text(folder.root / "index.html", render_survey_page(page))


def next_steps(folder: SurveyFolder) -> list[tuple[str, str]]:
    """Commands to go on with."""
    repo, exposures = folder.repository, folder.exposures
    return [
        (f"diapipe status {repo}", "what was run, and how it ended"),
        (f"butler query-datasets {repo} dia_object --collections diapipe/default", "catalogues, as LSST lists them"),
        (f"diapipe export {repo} --format csv --out {folder.root / 'tables'}", "objects, sources and light curves"),
        (
            f"diapipe run {repo} --output sharp --template-visits 2 -c photometricScale:way=reference",
            "another template, of the two sharpest visits, beside the first",
        ),
        (
            f"diapipe subtract {exposures}/visit0009-detector0.fits {exposures}/visit0003-detector0.fits --out pair",
            "two raw exposures, without a repository",
        ),
    ]


def _sentences(results: SurveyResults, comparison: Comparison) -> list[str]:
    """What was made, in words."""
    n = results.n_quanta()
    visits = sorted(comparison.template_visits)
    return [
        f"{n['visit_image']} images were characterized and put on one photometric scale; {n['template_coadd']} "
        f"coadds in two tracts that overlap were made of visits {visits[0]} to {visits[-1]}; {n['difference_image']} "
        "images were differenced.",
        f"The table compares the {len(comparison.judged)} differences of the later visits, of which the template "
        "holds nothing, with what was simulated.",
    ]


def _places(comparison: Comparison) -> dict[str, FloatArray]:
    """Where true changes were found and missed, by position, once for each difference."""
    both = {"found": [np.zeros((0, 2))], "missed": [np.zeros((0, 2))]}
    for table in map(_wanted, comparison.judged):
        at = np.stack([np.asarray(table["ra"]), np.asarray(table["dec"])], axis=1)
        found = np.asarray(table["is_good"], dtype=np.bool_)
        both["found"].append(at[found])
        both["missed"].append(at[~found])
    return {name: np.concatenate(parts) for name, parts in both.items()}


def _visit_rows(results: SurveyResults, folder: SurveyFolder, of_template: frozenset[int]) -> list[list[str]]:
    """One row a visit, from the visit summaries and the truth."""
    true = {int(row["visit"]): float(row["zero_point_mag"]) for row in folder.read_truth("visits")}
    rows = []
    for visit, table in sorted(results.visit_summaries().items()):
        fwhm = np.asarray(table["psfFwhm"]) * np.asarray(table["pixelScale"])
        rows.append(
            [
                str(visit),
                str(table["band"][0]),
                f"{float(table['mjd'][0]):.2f}",
                f"{np.nanmedian(fwhm):.2f}″",
                f"{np.nanmedian(np.asarray(table['skyBg'])):.0f}",
                f"{np.nanmedian(np.asarray(table['magLim'])):.2f}",
                f"{np.nanmedian(np.asarray(table['zeroPoint'])):.3f}",
                f"{true[visit]:.3f}",
                "template" if visit in of_template else "search",
            ]
        )
    return rows


def _gallery(results: SurveyResults, comparison: Comparison) -> list[FoundChange]:
    """Cut-outs of the most significant changes that were found, spread over the differences."""
    chosen = sorted(
        (
            (-float(row["snr_true"]), index, float(row["x"]), float(row["y"]), float(row["flux"]))
            for index, table in enumerate(map(_found, comparison.judged))
            for row in table[np.asarray(table["kind"]) != "variable"]
        ),
    )[: 4 * _N_CHANGES : 4]
    return [_found_change(results, comparison.judged[index], x, y, flux, -snr) for snr, index, x, y, flux in chosen]


def _found_change(results: SurveyResults, of: Judged, x: float, y: float, flux: float, snr: float) -> FoundChange:
    """One row of three cut-outs."""
    science = results.science(of.visit, of.detector)
    found = results.difference(of.visit, of.detector)
    difference = replace(found, exposure=calibrated(found.exposure))
    pixels = science.masked_image.image
    content = PageContent(
        summary={},
        dia_sources=Table(),
        difference=difference,
        science=pixels,
        matched_template=pixels - difference.exposure.masked_image.image,
    )
    sheet = cutout_sheet(content, x=np.array([x]), y=np.array([y]), side=cutout_side(None))
    text = f"visit {of.visit}, detector {of.detector}, band {of.band}: {flux:.0f} nJy, S/N {snr:.0f}"
    return FoundChange(sheet=sheet, text=text)


def _single_pages(
    results: SurveyResults, comparison: Comparison, pages: Path, progress: Progress
) -> list[tuple[str, str]]:
    """For each band the page of the difference in which most was found; texts and addresses."""
    links = []
    for band in comparison.validation.bands:
        best = max((one for one in comparison.judged if one.band == band), key=lambda one: len(_found(one)))
        place = f"visit{best.visit:04d}-detector{best.detector}"
        progress(f"make the page of visit {best.visit}, detector {best.detector}")
        science = replace(results.science(best.visit, best.detector), name=place)
        recipe = Recipe()
        template = template_for(science, results.patches(band))
        result = difference_pair(science, template, recipe=recipe)
        (pages / place).mkdir(exist_ok=True)
        choice = ProductChoice()
        write_products(result, pages / place, inputs={}, recipe=recipe, choice=choice, progress=lambda _stage: None)
        links.append((f"visit {best.visit}, detector {best.detector} (band {band})", f"{place}/report.html"))
    return links
