"""The report of a pair: a folder of one page with all sources, to look through and label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from diapipe.report.content import PageContent
from diapipe.report.cutouts import cutout_side, draw_cutouts
from diapipe.report.dia_source_list import dia_source_list, worst_first
from diapipe.report.page import environment, fwhm_px, values_of_pair
from diapipe.report.rows import column, detected
from diapipe.report.source_list import write_source_list
from diapipe.report.triplet_sheets import MAX_LISTED_SIDE_PX

LIST = "sources"
"""Name of the list and of its files."""


def write_pair_report(folder: Path, content: PageContent) -> None:
    """Write index.html and what it loads into a folder.

    Parameters
    ----------
    folder
        That exists.
    content
        Summary, catalogue and images; what is missing (the science pixels, a PSF) is left out.
    """
    found = detected(content.dia_sources)
    content = replace(content, dia_sources=found[worst_first(found)])
    x, y = column(content.dia_sources, "x"), column(content.dia_sources, "y")
    side = min(cutout_side(fwhm_px(content)), MAX_LISTED_SIDE_PX)
    listed = dia_source_list(
        content.dia_sources,
        cutouts=draw_cutouts(content, x=x, y=y, side=side),
        caption="Sources on the difference image",
        flux_unit=content.summary["flux_unit"],
    )
    write_source_list(folder, LIST, listed)
    page = environment().get_template("pair.html.jinja").render(**values_of_pair(content), list=listed)
    (folder / "index.html").write_text(page, encoding="utf-8")
