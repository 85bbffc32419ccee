"""Concerns: what a person should be warned of, in sentences that name the value and the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCORE_SIGMA = (0.95, 1.08)
"""Outside, a threshold of five sigma is not five sigma."""
SHARED_NOISE_SIGMA = 0.1
"""Below, the images cannot have noise of their own: a claim of it more than ten times too large was refused before."""
MAX_CORRELATION = 0.03
MAX_BRIGHT_CHI2 = 1.5
MAX_FOOTPRINT_RATIO = 0.2
"""Part of the light of the kernel's stars that may be left of them."""
MAX_MATCH_ERROR = 0.05
"""Part of a star's light in a pixel that no kernel can match: 0.01 on round frames, 0.04 to 0.06 on trailed ones."""
MAX_MASKED_FRACTION = 0.2
MAX_LOST_FRACTION = 0.06
MIN_CANDIDATES = 10
MAX_GOOD_PER_MEGAPIXEL = 150.0
"""More good detections than that are rarely the sky's doing."""


def concerns(summary: Mapping[str, Any]) -> list[str]:
    """Sentences about everything in a summary that is out of its ordinary range, the gravest first."""
    return [
        *_about_fit(summary),
        *_about_noise(summary["noise"], summary["counts"]["threshold_sigma"]),
        *_about_pixels(summary),
        *_about_sources(summary),
    ]


def _about_fit(summary: Mapping[str, Any]) -> list[str]:
    found = []
    used = summary["candidates"]["used"]
    if used < MIN_CANDIDATES and summary["kernel"]["fitted_to"] == "stars":
        found.append(
            f"Only {used} stars carried the matching kernel (at least {MIN_CANDIDATES} are wanted): "
            "far from them the match is a guess."
        )
    ratio = summary["residuals"]["footprint_ratio_mean"]
    if ratio is not None and ratio > MAX_FOOTPRINT_RATIO:
        found.append(
            f"{100 * ratio:.0f}% of the light of the kernel's stars is left of them beyond the noise (up to "
            f"{100 * MAX_FOOTPRINT_RATIO:.0f}% is fine): the subtraction has failed."
        )
    error = summary["kernel"]["relative_error"]
    if error > MAX_MATCH_ERROR:
        found.append(
            f"The matched PSFs differ by {100 * error:.0f}% of a star's light in a pixel (up to "
            f"{100 * MAX_MATCH_ERROR:.0f}% is usual): no kernel makes one of the other, as where an image is trailed. "
            "Rings or lobes stay around stars; errors of fluxes upon them are larger by that."
        )
    chi2 = summary["stars"]["median_reduced_chi2_bright"]
    if chi2 is not None and chi2 > MAX_BRIGHT_CHI2:
        found.append(
            f"Bright unsaturated stars leave residuals of {chi2:.2f} times the noise variance (1 is perfect, up to "
            f"{MAX_BRIGHT_CHI2} is fine): expect false sources on them."
        )
    return found


def _about_noise(noise: Mapping[str, Any], threshold: float) -> list[str]:
    found = []
    sigma = noise["score_sigma"]
    if sigma is not None and sigma < SHARED_NOISE_SIGMA:
        return [
            f"On empty sky the score scatters by {sigma:.2g} instead of 1: the images have the same noise, so they are "
            "one image twice, or one was made of the other; nothing can change between them."
        ]
    if sigma is not None and not SCORE_SIGMA[0] <= sigma <= SCORE_SIGMA[1]:
        sense = "so faint false sources come through" if sigma > 1 else "so faint sources are missed"
        found.append(
            f"On empty sky the score scatters by {sigma:.2f} instead of 1: "
            f"a threshold of {threshold:g} stands at {threshold / sigma:.1f} true sigma, {sense}."
        )
    lag = max((abs(noise[k]) for k in ("lag1_x", "lag1_y") if noise[k] is not None), default=0.0)
    if lag > MAX_CORRELATION:
        found.append(
            f"The noise of neighbouring pixels is correlated by {lag:.3f} "
            f"(white noise has 0, up to {MAX_CORRELATION} is fine)."
        )
    return found


def _about_pixels(summary: Mapping[str, Any]) -> list[str]:
    pixels, found = summary["pixels"], []
    if pixels["masked_fraction"] > MAX_MASKED_FRACTION:
        found.append(
            f"{100 * pixels['masked_fraction']:.0f}% of the pixels have no difference "
            f"(science {100 * pixels['masked_fraction_science']:.0f}%, "
            f"template {100 * pixels['masked_fraction_template']:.0f}% unusable by themselves)."
        )
    if pixels["masked_fraction_beyond_inputs"] > MAX_LOST_FRACTION:
        found.append(
            f"{100 * pixels['masked_fraction_beyond_inputs']:.1f}% of the pixels were lost beyond the input masks "
            f"(up to {100 * MAX_LOST_FRACTION:.0f}% is fine): the template has holes or many saturated stars."
        )
    return found


def _about_sources(summary: Mapping[str, Any]) -> list[str]:
    density = summary["counts"]["good"] / max(summary["pixels"]["n"] / 1e6, 1e-3)
    if summary["counts"]["good"] > 50 and density > MAX_GOOD_PER_MEGAPIXEL:
        return [
            f"{summary['counts']['good']} good sources are {density:.0f} per megapixel: more than the sky "
            "usually changes; look at their cut-outs before you believe them."
        ]
    return []
