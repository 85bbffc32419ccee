"""What was done and why, in sentences; and the headline numbers. All from the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diapipe.report.numbers import MISSING, counted, fixed, number, percent

type Summary = Mapping[str, Any]


_ALIGNED = {
    "identity": "lay on the pixels of the science image already",
    "shift by whole pixels": "was moved by whole pixels onto those of the science image, without interpolation,",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline number: its value, what it is, what it should be, and whether it is."""

    value: str
    label: str
    note: str = ""
    is_fine: bool | None = None


def sentences(summary: Summary) -> list[str]:
    """The story of the subtraction, one sentence an entry."""
    told = [
        _alignment(summary["alignment"]),
        _direction(summary),
        _kernel(summary),
        _candidates(summary),
        _background(summary["background"]),
        _whitening(summary),
        _pixels(summary["pixels"]),
        _sources(summary["counts"]),
    ]
    return [sentence for sentence in told if sentence]


def listed_words(counts: Summary, *, n_good: int, n_bad: int) -> str:
    """Which sources the table lists."""
    good = f"all {counts['good']}" if n_good == counts["good"] else f"the {n_good} most significant of {counts['good']}"
    if not n_bad:
        return good
    bad = f"the {n_bad} flagged dp_bad" if n_bad == counts["bad"] else f"{n_bad} of the {counts['bad']} flagged dp_bad"
    return f"{good}, and {bad}"


def tiles(summary: Summary) -> list[Tile]:
    """The numbers at the head of the page."""
    noise, stars, depth, counts = (summary[key] for key in ("noise", "stars", "depth", "counts"))
    bright = stars["median_reduced_chi2_bright"]
    lag = max((abs(v) for v in (noise["lag1_x"], noise["lag1_y"]) if v is not None), default=None)
    magnitude = depth.get("magnitude_5sigma")
    return [
        Tile(str(counts["good"]), "sources", f"{counts['bad']} more are flagged dp_bad"),
        Tile(
            number(depth["flux_5sigma"]) + " " + depth["unit"] if depth["flux_5sigma"] else MISSING,
            "point source at 5σ",
            f"{depth.get('magnitude', 'magnitude')} {fixed(magnitude, 2)}",
        ),
        Tile(
            fixed(noise["score_sigma"], 3), "score σ on empty sky", "1 means that 5σ is 5σ",
            _within(noise["score_sigma"], 0.95, 1.08),
        ),
        Tile(fixed(lag, 3), "noise correlation of neighbours", "0 means white", _within(lag, 0.0, 0.03)),
        Tile(fixed(bright, 2), "χ² at bright stars", "1 means only noise is left", _within(bright, 0.7, 1.5)),
        Tile(
            percent(summary["pixels"]["masked_fraction"]), "of the pixels unusable",
            f"{percent(summary['pixels']['masked_fraction_beyond_inputs'])} beyond the input masks",
            _within(summary["pixels"]["masked_fraction"], 0.0, 0.2),
        ),
    ]  # fmt: skip


def _within(value: float | None, low: float, high: float) -> bool | None:
    """Whether a value is in its ordinary range; None without a value."""
    return None if value is None else low <= value <= high


def _alignment(alignment: Summary) -> str:
    """How the template came onto the science pixels."""
    how = _ALIGNED.get(alignment["how"], "was interpolated onto the pixels of the science image")
    text = f"The template {how} and covers {percent(alignment['coverage'])} of it."
    if alignment["registration_applied"]:
        before, after = fixed(alignment["rms_before_px"], 3), fixed(alignment["rms_after_px"], 3)
        return text + (
            f" {alignment['stars_matched']} matched stars lay {before} px rms away per axis; a displacement of "
            f"order {alignment['order']} was fitted and leaves {after} px."
        )
    if alignment["stars_matched"]:
        return text + f" {alignment['stars_matched']} matched stars agree with that: no displacement was needed."
    return text


def _direction(summary: Summary) -> str:
    """Which image was convolved and why."""
    psf = summary["psf"]
    science, template = psf["science"], psf["template"]
    if science is None or template is None:
        return f"{summary['convolved_reason']}."
    scale = psf["pixel_scale_arcsec"]
    widths = {"science": _fwhm(science["fwhm_px"], scale), "template": _fwhm(template["fwhm_px"], scale)}
    convolved = summary["convolved"]
    other = "template" if convolved == "science" else "science"
    if summary["kernel"].get("proper"):
        return (
            "Both images were filtered, each with what the PSF of the other asks for (ZOGY): the science image of FWHM "
            f"{widths['science']}, the template of {widths['template']}; the seeing ratio, science over template, is "
            f"{fixed(psf['seeing_ratio'], 2)}."
        )
    own = {"science": "science image", "template": "template"}[convolved]
    others = {"science": "science image’s", "template": "template’s"}[other]
    why = "because it is the sharper of the two" if _is_sharper(summary) else "because that was asked for"
    return (
        f"The {own} (FWHM {widths[convolved]}) was convolved to the {others} {widths[other]} {why}; the "
        f"seeing ratio, science over template, is {fixed(psf['seeing_ratio'], 2)}."
    )


def _is_sharper(summary: Summary) -> bool:
    """Whether the convolved image has the smaller PSF."""
    ratio = summary["psf"]["seeing_ratio"]
    return (ratio >= 1.0) == (summary["convolved"] == "template") if ratio is not None else False


def _fwhm(pixels: float, scale: float | None) -> str:
    """A width in pixels and, where the scale is known, in arcsec."""
    return f"{pixels:.2f} px" + (f" = {pixels * scale:.2f}″" if scale else "")


def _kernel(summary: Summary) -> str:
    """The kernel's size, variation and sum."""
    kernel = summary["kernel"]
    order = kernel["spatial_order"]
    varies = "is the same everywhere" if order == 0 else f"varies over the field as a polynomial of order {order}"
    role = "The kernel that told how the stars of both are related" if kernel.get("proper") else "The matching kernel"
    return (
        f"{role} is {kernel['size_px']} × {kernel['size_px']} px ({kernel['basis']}), {varies}, "
        f"and multiplies flux by {number(kernel['sum'], 5)}.{_relative_error(kernel)}"
    )


def _relative_error(kernel: Summary) -> str:
    """What the match gets wrong beyond the noise, if anything."""
    error = kernel.get("relative_error")
    if not error:
        return ""
    return (
        f" Stars that it was not fitted to come out wrong by {percent(error)} of their light a pixel beyond the noise "
        "(kernel, flat field, response of the pixels); the variance of the difference includes that."
    )


def _candidates(summary: Summary) -> str:
    """Stars used and rejected."""
    candidates = summary["candidates"]
    by_models = summary["kernel"].get("fitted_to") == "PSF models"
    text = f"{candidates['used']} of {counted(candidates['offered'], 'candidate star')} " + (
        "told how the fluxes are related; the kernel is that between the PSF models" if by_models else "carried the fit"
    )
    if candidates["rejected"]:
        reasons = "; ".join(f"{n} {why}" for why, n in candidates["rejected"].items())
        text += f" (left out: {reasons})"
    return text + "."


def _background(background: Summary) -> str:
    """The differential background."""
    return (
        f"A residual background of {number(background['mean'])} {background['unit']} on average "
        f"(from {number(background['min'])} to {number(background['max'])} over the field) was fitted with the kernel "
        "and removed."
    )


def _whitening(summary: Summary) -> str:
    """Decorrelation and what it reached."""
    noise = summary["noise"]
    if noise["lag1_x"] is None:
        return ""
    if summary["kernel"].get("proper"):
        done = "is white by the filters themselves"
    else:
        done = "was whitened" if summary["kernel"]["whitened"] else "was left as the convolution made it"
    return (
        f"The noise of the difference {done}: on source-free sky neighbouring pixels correlate by "
        f"{fixed(noise['lag1_x'], 3)} along x and {fixed(noise['lag1_y'], 3)} along y, "
        f"and pixels scatter by {fixed(noise['pixel_sigma'], 3)} times their claimed error.{_excess(noise)}"
    )


def _excess(noise: Summary) -> str:
    """Noise that the inputs do not claim."""
    text = ""
    if noise.get("variance_factor", 1.0) > 1.0:
        text += f" For that the variance was multiplied by {fixed(noise['variance_factor'], 3)}."
    if noise.get("flux_error_factor", 1.0) > 1.0:
        text += (
            f" Faint stars leave a part that is as wide as the PSF: scores and flux errors count it in, which are "
            f"{fixed(noise['flux_error_factor'], 2)} times those of white noise."
        )
    return text


def _pixels(pixels: Summary) -> str:
    """What was lost."""
    return (
        f"{percent(pixels['masked_fraction'])} of the pixels have no usable difference "
        f"({percent(pixels['masked_fraction_science'])} were lost in the science image, "
        f"{percent(pixels['masked_fraction_template'])} in the template, "
        f"{percent(pixels['masked_fraction_beyond_inputs'])} in neither)."
    )


def _sources(counts: Summary) -> str:
    """What was found."""
    return (
        f"{counted(counts['dia_sources'], 'source was', 'sources were')} detected"
        f"{' on the score image' if counts.get('searched') == 'score' else ''}; {counts['good']} remain after the "
        f"default cut dp_bad: {counts['good_positive']} brighter and {counts['good_negative']} fainter than in the "
        f"template, {counts['good_dipoles']} of them dipoles."
    )
