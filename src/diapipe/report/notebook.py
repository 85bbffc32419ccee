"""The report's figures in a notebook: of a result in memory or in a folder, and of a survey's repository."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from astropy.table import Table

from diapipe.catalogs.light_curve import LightCurve
from diapipe.catalogs.survey_units import unit_of
from diapipe.errors import InputError
from diapipe.report.content import PageContent, content_of_result
from diapipe.report.curve_svg import DIFFERENCE, curve_svg
from diapipe.report.cutouts import DrawnCutouts, cutout_side, draw_cutouts
from diapipe.report.figures import PngFigure, SvgFigure, WordTable, framed
from diapipe.report.folder import content_of_folder, is_repository
from diapipe.report.page import environment, fwhm_px, plots_of, values_of_pair
from diapipe.report.png import data_url, encode_png
from diapipe.report.rows import column
from diapipe.report.stretch import grey_palette
from diapipe.report.survey.content import Survey, content_of_unit
from diapipe.report.survey.index_page import map_of_survey, sentence_of, tiles_of
from diapipe.report.survey.objects import SurveyObjects
from diapipe.report.survey.places import Places
from diapipe.report.survey.trends import TRENDS, trend_plot
from diapipe.report.validation import GRADE_HEADINGS, grade_rows

if TYPE_CHECKING:
    from diapipe.flow import DifferenceResult

_PAIR_HEIGHT, _SURVEY_HEIGHT = 900, 1000
_PIXELS_A_PIXEL = 3


@overload
def show(source: LightCurve, *, output: str = ...) -> SvgFigure: ...


@overload
def show(source: DifferenceResult, *, output: str = ...) -> PairView: ...


@overload
def show(source: str | Path, *, output: str = ...) -> PairView | SurveyView: ...


def show(
    source: LightCurve | DifferenceResult | str | Path, *, output: str = "default"
) -> SvgFigure | PairView | SurveyView:
    """The figures of a result, each of which a notebook shows by itself.

    Parameters
    ----------
    source
        A light curve, the result of `diapipe.difference_pair`, a folder of ``diapipe subtract``, or a repository of
        ``diapipe run``.
    output
        Of a repository: name of its results.

    Returns
    -------
    SvgFigure, PairView or SurveyView
        The last keeps the repository open until its `SurveyView.close`.

    Raises
    ------
    ReadError, UsageError
        If there is no such result.
    InputError
        If it is something else.
    """
    if isinstance(source, LightCurve):
        return SvgFigure(curve_svg(source))
    if not isinstance(source, str | Path):
        if not hasattr(source, "dia_sources"):
            kinds = "a light curve, a result of difference_pair, a folder of diapipe subtract, or a repository"
            raise InputError(f"show takes {kinds}, not {source!r:.60}")
        return PairView(content_of_result(source))
    if is_repository(source):
        from diapipe.tasks.survey_results import opened_survey

        stack = ExitStack()
        return SurveyView(stack.enter_context(opened_survey(str(source), output=output)), stack)
    return PairView(content_of_folder(Path(source)))


class PairView:
    """A pair of images and their difference.

    Parameters
    ----------
    content
        Summary, catalogue and images.
    """

    def __init__(self, content: PageContent) -> None:
        self.content = content

    @property
    def dia_sources(self) -> Table:
        """What was found."""
        return self.content.dia_sources

    @property
    def plots(self) -> Mapping[str, SvgFigure]:
        """How good the subtraction is: chi2, residual, score, autocorrelation, profiles, candidates."""
        return {name: SvgFigure(svg) for name, svg in plots_of(self.content.summary).items() if svg}

    @property
    def grade(self) -> WordTable:
        """What was reached beside published figures.

        Raises
        ------
        InputError
            If nothing was injected, so that nothing is known.
        """
        numbers = self.content.summary.get("validation")
        if numbers is None:
            raise InputError("there is no grade: sources of known truth are needed; give inject to the recipe")
        return WordTable("The grade", GRADE_HEADINGS, [row.cells for row in grade_rows(numbers)])

    def triplet(self, dia_source_id: int) -> PngFigure:
        """Science, template and difference around a source.

        Raises
        ------
        InputError
            If there is no such source.
        """
        rows = np.flatnonzero(np.asarray(self.dia_sources["diaSourceId"]) == dia_source_id)
        if not len(rows):
            raise InputError(f"there is no source {dia_source_id}", id=dia_source_id)
        x, y = (column(self.dia_sources, name)[rows[:1]] for name in ("x", "y"))
        drawn = draw_cutouts(self.content, x=x, y=y, side=cutout_side(fwhm_px(self.content)))
        return _picture(drawn, f"{', '.join(drawn.planes)} around source {dia_source_id}")

    def _repr_html_(self) -> str:
        page = environment().get_template("pair_view.html.jinja").render(**values_of_pair(self.content))
        return framed(page, title="The difference", height=_PAIR_HEIGHT)


class SurveyView:
    """A survey's visits and objects.

    Parameters
    ----------
    survey
        Its results.
    stack
        What to close in the end.
    """

    def __init__(self, survey: Survey, stack: ExitStack | None = None) -> None:
        self.survey, self._stack = survey, stack or ExitStack()
        self.units = survey.units
        self.objects = SurveyObjects.of(survey.tables, survey.template_visits)
        self.places = Places.of(unit_of(row) for row in self.units)

    def close(self) -> None:
        """Let go of the repository."""
        self._stack.close()

    @property
    def trends(self) -> Mapping[str, SvgFigure]:
        """Quality over the visits, by column of `units`."""
        plots = {trend.column: trend_plot(self.units, trend, self.places) for trend in TRENDS}
        return {name: SvgFigure(svg) for name, svg in plots.items() if svg}

    @property
    def map(self) -> SvgFigure:
        """Tracts, patches, detectors and objects on the sky."""
        return SvgFigure(map_of_survey(self.survey, self.units, self.objects))

    def light_curve(self, dia_object_id: int, *, scale: str = DIFFERENCE) -> SvgFigure:
        """Forced fluxes of an object, on the scale ``"difference"`` or ``"science"``.

        Raises
        ------
        InputError
            If no fluxes are known of such an object.
        """
        curve = self.objects.curves.get(dia_object_id)
        if curve is None:
            raise InputError(f"no fluxes are known of an object {dia_object_id}", id=dia_object_id)
        detected = self.objects.detections.get(dia_object_id, {})
        return SvgFigure(curve_svg(curve, scale=scale, detected=detected))

    def triplets(self, dia_object_id: int) -> PngFigure:
        """Science, template and difference of each epoch of an object, in order of time.

        Raises
        ------
        InputError
            If it was on no image.
        """
        rows = self.objects.forced_sources
        own = rows[np.asarray(rows["diaObjectId"]) == dia_object_id] if len(rows) else rows
        units = {(int(row["visit"]), int(row["detector"])): unit_of(row) for row in self.units}
        done = {unit_of(row) for row in self.units if row["outcome"] == "done"}
        epochs = [row for row in own if units.get((int(row["visit"]), int(row["detector"]))) in done]
        if not epochs:
            raise InputError(f"there is no image of an object {dia_object_id}", id=dia_object_id)
        drawn = [
            draw_cutouts(
                content_of_unit(self.survey, units[int(row["visit"]), int(row["detector"])]),
                x=np.array([float(row["x"])]), y=np.array([float(row["y"])]), side=cutout_side(None),
            )
            for row in sorted(epochs, key=lambda row: float(row["midpointMjdTai"]))
        ]  # fmt: skip
        return _picture(DrawnCutouts.joined(drawn), f"{len(drawn)} epochs of object {dia_object_id}, the first on top")

    def _repr_html_(self) -> str:
        page = environment().get_template("survey/view.html.jinja").render(
            title=self.survey.collection, sentence=sentence_of(self.survey, self.units),
            numbers=tiles_of(self.units, self.objects), map=self.map.svg,
        )  # fmt: skip
        return framed(page, title="The survey", height=_SURVEY_HEIGHT)


def _picture(drawn: DrawnCutouts, alt: str) -> PngFigure:
    """Cut-outs as a picture."""
    png = encode_png(drawn.stacked(), grey_palette())
    return PngFigure(png, data_url(png), alt, _PIXELS_A_PIXEL * drawn.side * len(drawn.planes))
