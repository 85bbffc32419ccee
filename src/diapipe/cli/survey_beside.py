"""The truth of a simulated survey beside what was found, for the pages of its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from astropy.table import Table

from diapipe.catalogs.light_curve import LightCurve
from diapipe.catalogs.matching import match_sky
from diapipe.cli.survey_comparison import Comparison, found_of, wanted_of
from diapipe.cli.survey_objects import MATCH_ARCSEC, Places
from diapipe.numerics.arrays import FloatArray
from diapipe.report.curve_svg import Lines
from diapipe.report.survey.content import Beside, BesideTable
from diapipe.report.time_axis import Seasons
from diapipe.report.validation import GRADE_HEADINGS, grade_rows, validation_sentence
from diapipe.report.validation_page import HEADINGS, part_rows
from diapipe.simulate import SimulatedSurvey
from diapipe.simulate.light_curves import Changing

_LINE_POINTS = 120
_SLOW_DAYS = 2.0
"""Period from which on a line can be followed by eye."""


def truth_beside(comparison: Comparison, survey: SimulatedSurvey) -> Beside:
    """What is true of the objects, their true light curves, and how the truth was recovered."""
    pairs = comparison.objects.pairs
    true_of = dict(zip(pairs["diaObjectId"].tolist(), pairs["object_id"].tolist(), strict=True))
    return Beside(
        name="truth",
        of_object=_kinds(comparison, true_of),
        lines=_true_lines(comparison, survey, true_of),
        sections=_sections(comparison),
        dots=_dots(comparison),
    )


def _kinds(comparison: Comparison, true_of: dict[int, int]) -> dict[int, str]:
    """By diaObjectId: what is there; objects at the place of nothing are left out."""
    fluxes, objects = comparison.truth.fluxes, comparison.dia_objects
    near = match_sky(Places.of(objects), Places.of(fluxes), radius_arcsec=MATCH_ARCSEC, keep="nearest")
    ids, kinds = np.asarray(objects["diaObjectId"]), np.asarray(fluxes["kind"]).astype(np.str_)
    found = {int(ids[one]): str(kinds[other]) for one, other in zip(near.first, near.second, strict=True)}
    is_flash = np.asarray(comparison.truth.objects["is_flash"])
    return found | {number: "flash" for number, true in true_of.items() if is_flash[true]}


def _true_lines(
    comparison: Comparison, survey: SimulatedSurvey, true_of: dict[int, int]
) -> Callable[[LightCurve], Lines]:
    """True fluxes less those of the template, of a found object, unless it swings too fast for the eye."""
    known: dict[int, Lines] = {}
    periods = np.asarray(comparison.truth.objects["period_days"], np.float64)

    def lines(curve: LightCurve) -> Lines:
        number = curve.dia_object_id
        if number not in known:
            known[number] = made(curve, true_of[number]) if number in true_of else {}
        return known[number]

    def made(curve: LightCurve, true: int) -> Lines:
        if 0.0 < periods[true] < _SLOW_DAYS:
            return {}
        times = _times(curve.mjd)
        changing, index = _changing(survey, true)
        flux = {
            band: np.array([float(changing.flux(n, t)[index]) if np.isfinite(t) else np.nan for t in times])
            for n, band in enumerate(survey.spec.bands)
        }
        level = {band: comparison.truth.template_flux(np.array([true]), band) for band in flux}
        return {band: (times, flux[band] - level[band]) for band in flux}

    return lines


def _changing(survey: SimulatedSurvey, number: int) -> tuple[Changing, int]:
    """What an object of the truth is, and which of them."""
    n_transients = len(survey.sky.transients.x)
    if number < n_transients:
        return survey.sky.transients, number
    return survey.sky.variables, number - n_transients


def _times(mjd: FloatArray) -> FloatArray:
    """Times of a line through every season that a plot shows, with a gap between them."""
    lines = [np.append(np.linspace(low, high, _LINE_POINTS), np.nan) for low, high in Seasons.of(mjd).parts]
    return np.concatenate(lines)


def _sections(comparison: Comparison) -> list[BesideTable]:
    """The grade, and the parts by band."""
    whole = comparison.validation.whole.numbers
    n, grade = len(comparison.judged), grade_rows(whole)
    return [
        BesideTable(
            title="How the truth was recovered",
            headings=GRADE_HEADINGS,
            rows=[row.cells for row in grade],
            is_met=[row.is_met for row in grade],
            note=f"{validation_sentence(whole)} These are the {n} differences of visits that the template holds "
            f"nothing of. {comparison.objects.sentence}",
        ),
        BesideTable(
            title="By band",
            headings=HEADINGS,
            rows=part_rows({band: found.numbers for band, found in comparison.validation.bands.items()}),
        ),
    ]


def _dots(comparison: Comparison) -> dict[str, FloatArray]:
    """Where true changes were found and missed, once for each difference."""
    wanted = [wanted_of(one) for one in comparison.judged]
    found = [found_of(one) for one in comparison.judged]
    missed = [table[~np.asarray(table["is_good"], dtype=np.bool_)] for table in wanted]
    return {"found": _positions(found), "missed": _positions(missed)}


def _positions(tables: Sequence[Table]) -> FloatArray:
    """Right ascension and declination of all rows, shape (n, 2)."""
    parts = [np.stack([np.asarray(t["ra"], np.float64), np.asarray(t["dec"], np.float64)], axis=1) for t in tables]
    return np.concatenate([np.zeros((0, 2)), *parts])
