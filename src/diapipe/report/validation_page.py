"""The page of a survey's validation: the grade, figures, every band and visit; one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diapipe.report.numbers import MISSING, counted
from diapipe.report.page import environment
from diapipe.report.plots import (
    autocorrelation,
    chi2_against_magnitude,
    residual_against_magnitude,
    score_histogram,
)
from diapipe.report.validation import (
    Numbers,
    completeness_against_snr,
    grade_rows,
    pulls_against_snr,
    validation_sentence,
)

HEADINGS = (
    "",
    "found of S/N > 6",
    "50% at S/N",
    "real of S/N > 6",
    "flux error, S/N > 10",
    "width of pulls",
    "noise, score",
)
"""What is told of a band or a visit, by `part_rows`."""
MISSED_HEADINGS = ("visit / detector", "x, y", "kind", "true S/N", "why")
_MOST_MISSED = 200


def render_validation_page(plain: Mapping[str, Any], *, title: str) -> str:
    """The page as HTML.

    Parameters
    ----------
    plain
        Of `diapipe.steps.validate.SurveyValidation`.
    title
        What was validated.
    """
    return (
        environment()
        .get_template("validation.html.jinja")
        .render(
            title=title,
            sentence=" ".join(filter(None, (validation_sentence(plain), own_template_sentence(plain)))),
            rows=grade_rows(plain),
            completeness=completeness_against_snr(plain["completeness_bins"]),
            pulls=pulls_against_snr(plain["accuracy_bins"]),
            quality=quality_figures(plain["quality"]),
            tables={
                "Bands": (HEADINGS, part_rows(plain["bands"])),
                "Visits, the least complete first": (HEADINGS, visit_rows(plain["visits"])),
                "Bright changes that were missed, and why": (
                    MISSED_HEADINGS,
                    missed_rows(plain["missed"])[:_MOST_MISSED],
                ),
            },
        )
    )


def own_template_sentence(plain: Mapping[str, Any]) -> str:
    """What the grade leaves out; "" where that is nothing."""
    n_own, n_visits = plain["n_of_own_template"], sum(part["n_differences"] for part in plain["visits"].values())
    if not n_own:
        return ""
    if n_own == n_visits:
        return "All templates hold light of the visit that they are subtracted from: what changed is fainter by that."
    return (
        f"{n_own} of {counted(n_visits, 'difference')} have light of their own visit in the template; they are told by "
        "visit and not in the grade."
    )


def quality_figures(quality: Mapping[str, Numbers]) -> dict[str, str]:
    """Figures of the noise and of what is left of stars, by what they show; none where nobody looked."""
    found = {}
    if noise := quality.get("noise"):
        found["The score on empty sky, against a Gaussian of unit width."] = score_histogram(noise)
        found["Correlation of pixels on empty sky by lag; 0 where the noise is white."] = autocorrelation(noise)
    if stars := quality.get("stars"):
        found["χ² per pixel of stars against magnitude; 1 where only noise is left."] = chi2_against_magnitude(stars)
        found["Flux left at stars, against magnitude."] = residual_against_magnitude(stars)
    return {text: figure for text, figure in found.items() if figure}


def part_rows(parts: Mapping[str, Numbers]) -> list[tuple[str, ...]]:
    """A row for each part, as `HEADINGS` says."""
    return [(name, *_cells(numbers)) for name, numbers in parts.items()]


def missed_rows(missed: Sequence[Numbers]) -> list[tuple[str, ...]]:
    """A row for each bright change that was missed, as `MISSED_HEADINGS` says, the brightest first."""
    return [
        (
            f"{row['visit']} / {row['detector']}",
            f"{row['x']:.0f}, {row['y']:.0f}",
            str(row["kind"]),
            _number(row["snr_true"], "+.0f"),
            str(row["why_missed"]),
        )
        for row in missed
    ]


def visit_rows(visits: Mapping[str, Numbers]) -> list[tuple[str, ...]]:
    """A row for each visit with its band, the least complete first."""
    ordered = sorted(visits.items(), key=lambda visit: _share(visit[1]))
    return part_rows({f"{visit} ({numbers['band']})": numbers for visit, numbers in ordered})


def _share(numbers: Numbers) -> float:
    """What was found of what is bright enough; 1 where nothing is."""
    value = numbers["completeness"]["all"]["value"]
    return 1.0 if value is None else float(value)


def _cells(numbers: Numbers) -> tuple[str, ...]:
    return (
        _count(numbers["completeness"]["all"]),
        _number(numbers["half_complete"]["value"], ".1f"),
        _count(numbers.get("purity", {}).get("snr > 6")),
        _scale(numbers["flux_scale"]),
        _number(numbers["hostless"].get("pull_sigma"), ".2f"),
        _noise(numbers["noise"]),
    )


def _count(share: Numbers | None) -> str:
    return MISSING if share is None else f"{share['n_of']} of {share['n']}"


def _noise(found: Numbers | None) -> str:
    """Widths of pixels over their claimed sigma, and of the score; 1 where claims are true."""
    return MISSING if found is None else ", ".join(_number(found[key], ".3f") for key in ("pixel_sigma", "score_sigma"))


def _scale(found: Numbers) -> str:
    if found["bias"] is None:
        return MISSING
    return f"{100 * found['bias']:+.2f} ± {100 * found['bias_err']:.2f}%"


def _number(value: float | None, form: str) -> str:
    return MISSING if value is None else f"{value:{form}}"
