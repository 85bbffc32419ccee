"""The page of one difference: one HTML file that needs nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from diapipe.report import plots
from diapipe.report.content import PageContent
from diapipe.report.cutouts import cutout_sheet, cutout_side
from diapipe.report.pictures import MAX_SIDE_PX, kernel_grid, psf_strip, triptych
from diapipe.report.rows import column, detected, listed, rows_of
from diapipe.report.validation import completeness_against_snr, grade_rows, pulls_against_snr, validation_sentence
from diapipe.report.words import listed_words, sentences, tiles

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from markupsafe import Markup

MAX_MARKS = 3000
"""Sources marked on the images; the most significant ones where there are more."""

MAX_LISTED = 8
"""Entries of a list that the page prints; longer ones are in `summary.json`."""


def render_page(content: PageContent) -> str:
    """The page as HTML text: styles, pictures, plots and script all inside it.

    Parameters
    ----------
    content
        Summary, catalogue and images. What is missing (the science pixels, a PSF) is left out of the page.
    """
    return _template().render(**_values(replace(content, dia_sources=detected(content.dia_sources))))


def _values(content: PageContent) -> dict[str, Any]:
    """What the template of the page speaks of."""
    index = listed(content.dia_sources)
    x, y = column(content.dia_sources, "x")[index], column(content.dia_sources, "y")[index]
    rows = rows_of(content.dia_sources, index)
    return {
        **values_of_pair(content),
        "sheet": cutout_sheet(content, x=x, y=y, side=cutout_side(fwhm_px(content))),
        "rows": rows,
        "has_reliability": "reliability" in content.dia_sources.colnames,
        "has_sky": bool(np.isfinite(column(content.dia_sources, "ra")).any()),
        "listed_words": listed_words(
            content.summary["counts"], n_good=sum(not row.is_bad for row in rows), n_bad=sum(row.is_bad for row in rows)
        ),
    }


def values_of_pair(content: PageContent) -> dict[str, Any]:
    """What the parts of a page say of a pair, but for its sources: headline, story, images, quality."""
    summary = content.summary
    psf = summary["psf"]
    stamps = {name: plots.array_of(psf[name]["stamp"]) for name in _psfs_at_hand(psf)}
    return {
        "summary": summary,
        "sentences": sentences(summary),
        "tiles": tiles(summary),
        **values_of_images(content),
        "kernel": kernel_grid(content.difference.kernel),
        "psf_names": list(stamps),
        "psf": psf_strip(list(stamps.values())) if stamps else None,
        "plots": plots_of(summary),
        "validation": _validation(summary.get("validation")),
        "brief": json.dumps(without_lists(summary), indent=1, ensure_ascii=False),
        "versions": summary.get("versions") or {},
        "seconds": _seconds(summary.get("seconds") or {}),
    }


def values_of_images(content: PageContent, *, at_most: int = MAX_SIDE_PX) -> dict[str, Any]:
    """What the part `images` of a page shows: pictures of at most so many pixels along a side, and marks."""
    return {
        "pictures": triptych(content, at_most=at_most),
        "marks": _marks(content),
        "mark_radius": max(6.0, 0.011 * max(content.difference.exposure.box.shape)),
        "box": content.difference.exposure.box,
    }


def fwhm_px(content: PageContent) -> float | None:
    """Width of the difference's PSF, if it is known."""
    psf = content.summary["psf"]["difference"]
    return None if psf is None else float(psf["fwhm_px"])


def without_lists(value: Any) -> Any:
    """The same nesting of values with every list of more than a few entries replaced by its length."""
    if isinstance(value, dict):
        return {key: without_lists(entry) for key, entry in value.items()}
    if isinstance(value, list) and len(value) > MAX_LISTED:
        return f"({len(value)} values)"
    return value


def _psfs_at_hand(psf: dict[str, Any]) -> list[str]:
    """Names of the PSFs that have a stamp."""
    return [name for name in ("science", "template", "difference") if psf[name] and psf[name]["stamp"] is not None]


def _validation(numbers: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the page says of injected sources, if there are any."""
    if numbers is None:
        return None
    return {
        "sentence": validation_sentence(numbers),
        "rows": grade_rows(numbers),
        "completeness": completeness_against_snr(numbers["completeness_bins"]),
        "pulls": pulls_against_snr(numbers["accuracy_bins"]),
    }


def plots_of(summary: Any) -> dict[str, str]:
    """The plots of how good a subtraction is, as SVG text by name; empty where there is nothing to plot."""
    width, height = summary["science"]["width"], summary["science"]["height"]
    return {
        "chi2": plots.chi2_against_magnitude(summary["stars"]),
        "residual": plots.residual_against_magnitude(summary["stars"]),
        "score": plots.score_histogram(summary["noise"]),
        "autocorrelation": plots.autocorrelation(summary["noise"]),
        "profiles": plots.radial_profiles(summary["psf"]),
        "candidates": plots.candidate_map(summary["candidates"], width=width, height=height),
    }


def _marks(content: PageContent) -> list[tuple[int, str, str, str]]:
    """Circles on the images: source index, class, and centre in pixels from the upper left corner."""
    table, box = content.dia_sources, content.difference.exposure.box
    x, y, snr = column(table, "x"), column(table, "y"), column(table, "snr")
    bad, negative = column(table, "dp_bad") > 0, column(table, "isNegative") > 0
    order = sorted(range(len(table)), key=lambda i: -abs(snr[i]) if math.isfinite(snr[i]) else 0.0)[:MAX_MARKS]
    return [
        (
            i,
            ("negative" if negative[i] else "positive") + (" bad" if bad[i] else ""),
            f"{x[i] - box.x0 + 0.5:.1f}",
            f"{box.y1 - 0.5 - y[i]:.1f}",
        )
        for i in order
        if math.isfinite(x[i]) and math.isfinite(y[i])
    ]


def _seconds(seconds: dict[str, float]) -> list[tuple[str, float, float]]:
    """Stage, seconds, and share of the longest in percent."""
    longest = max(seconds.values(), default=0.0) or 1.0
    return [(stage, value, 100.0 * value / longest) for stage, value in seconds.items()]


def asset(name: str) -> Markup:
    """A style sheet or script that comes with the package, as it stands in a page or beside it."""
    from markupsafe import Markup

    return Markup(files("diapipe.report").joinpath("assets", name).read_text(encoding="utf-8"))


def _template() -> Template:
    """The page's template, compiled once in a process."""
    return environment().get_template("page.html.jinja")


@cache
def environment() -> Environment:
    """Where the templates of all pages come from."""
    import jinja2

    from diapipe.report import numbers

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("diapipe.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters.update(number=numbers.number, fixed=numbers.fixed, percent=numbers.percent)
    templates.globals.update(asset=asset)
    return templates
