"""The files of a result: difference, catalogue, summary, page; on request matched template, score, injected truth."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from diapipe.cli.progress import Progress
from diapipe.flow import DifferenceResult, score_image
from diapipe.images import Exposure
from diapipe.io import write_difference, write_exposure, write_parquet, write_text
from diapipe.recipe import Recipe
from diapipe.report import render_page
from diapipe.report.content import content_of_result
from diapipe.steps.summarize import plain

_PACKAGES = ("diapipe", "numpy", "scipy", "numba", "astropy")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductChoice:
    """Which files to write, and how.

    Attributes
    ----------
    compress
        Tile-compress the images.
    matched_template, score
        Write these images too.
    report
        Make the page.
    """

    compress: bool = False
    matched_template: bool = False
    score: bool = False
    report: bool = True


def write_products(
    result: DifferenceResult,
    folder: Path,
    *,
    inputs: Mapping[str, Mapping[str, str]],
    recipe: Recipe,
    choice: ProductChoice,
    progress: Progress,
    read_seconds: float = 0.0,
) -> dict[str, Any]:
    """Write the files of a result into a folder that exists; the summary as it was written.

    Raises
    ------
    WriteError
        If a file cannot be written.
    """
    about = {
        "inputs": dict(inputs),
        "configuration": plain(recipe),
        "versions": {name: version(name) for name in _PACKAGES},
    }
    seconds = {"read": read_seconds, **result.seconds}
    progress("write images and catalogue")
    begun = time.perf_counter()
    _write_images(result, folder, recipe, about=about, choice=choice)
    meta = {"flux_unit": result.summary["flux_unit"], **about}
    write_parquet(result.dia_sources, folder / "dia_sources.parquet", metadata=meta)
    if result.validation is not None:
        write_parquet(result.validation.truth, folder / "injected.parquet", metadata=meta)
    seconds["write"] = time.perf_counter() - begun
    summary = plain({**result.summary, **about, "seconds": seconds})
    if choice.report:
        progress("make the page")
        begun = time.perf_counter()
        write_text(folder / "report.html", render_page(content_of_result(result, summary)))
        summary["seconds"]["page"] = time.perf_counter() - begun
    write_summary(summary, folder)
    return dict(summary)


def write_summary(summary: Mapping[str, Any], folder: Path) -> None:
    """`summary.json` of strict JSON."""
    write_text(
        folder / "summary.json", json.dumps(plain(summary), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    )


def _write_images(
    result: DifferenceResult, folder: Path, recipe: Recipe, *, about: Mapping[str, Any], choice: ProductChoice
) -> None:
    """The difference, and the images that were asked for."""
    difference = result.difference
    write_difference(difference, folder / "difference.fits", compress=choice.compress, provenance=about)
    if choice.matched_template and difference.matched_template is not None:
        matched = replace(
            result.aligned.exposure, masked_image=difference.matched_template, psf=result.science.exposure.psf
        )
        write_exposure(matched, folder / "matched_template.fits", compress=choice.compress, provenance=about)
    if choice.score:
        write_exposure(_score_of(result, recipe), folder / "score.fits", compress=choice.compress, provenance=about)


def _score_of(result: DifferenceResult, recipe: Recipe) -> Exposure:
    """The score image that was searched, S of a proper difference even if it was not, else the significance of the
    difference.
    """
    if result.score is not None:
        return result.score
    if result.difference.template_filter is None:
        return replace(result.difference.exposure, name="score", masked_image=result.detections.score, unit="sigma")
    return score_image(
        result.science.exposure,
        result.aligned.exposure,
        result.science.stars,
        result.match,
        result.difference,
        recipe,
        registration_error_px=result.registration.error_px,
    )
