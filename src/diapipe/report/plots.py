"""The plots of the page, each from its part of the summary; an empty string where there is nothing to plot."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from diapipe.numerics.arrays import FloatArray
from diapipe.report.axes import Axes, Scale
from diapipe.report.numbers import fixed
from diapipe.report.stretch import diverging_palette, symmetric_indices

type Summary = Mapping[str, Any]

_CHI2_LIMITS = (0.3, 30.0)
_CORRELATION_LIMIT = 0.1
_STYLES = ("science", "template", "difference")


def array_of(values: object) -> FloatArray:
    """A list of a summary as an array: None becomes NaN."""
    return np.array(values, dtype=np.float64)


def chi2_against_magnitude(stars: Summary) -> str:
    """Reduced χ² in the footprints of stars, with its running median and the range it should lie in."""
    if not stars["n"]:
        return ""
    magnitude, chi2 = array_of(stars["magnitude"]), array_of(stars["reduced_chi2"])
    low, high = _CHI2_LIMITS
    axes = Axes(
        x=_magnitude_scale(magnitude),
        y=Scale(low=low, high=high, is_log=True),
        x_label=stars["magnitude_kind"],
        y_label="χ² per pixel of the footprint",
        title=f"Reduced chi-square at {stars['n']} isolated stars against magnitude; "
        f"median of the bright ones {fixed(stars['median_reduced_chi2_bright'], 2)}",
    )
    axes.band(0.95, 1.08, style="wanted")
    axes.rule(1.0)
    axes.points(magnitude, np.clip(chi2, low, high), style="dots")
    axes.line(*_running_median(magnitude, chi2), style="median")
    axes.legend([("median", "running median")])
    return axes.svg()


def residual_against_magnitude(stars: Summary) -> str:
    """Flux left at stars, in percent of their flux."""
    if not stars["n"]:
        return ""
    magnitude, left = array_of(stars["magnitude"]), 100.0 * array_of(stars["residual_fraction"])
    error = 100.0 * array_of(stars["residual_fraction_err"])
    limit = float(np.clip(np.nanpercentile(np.abs(left), 95), 0.5, 50.0)) if np.isfinite(left).any() else 1.0
    axes = Axes(
        x=_magnitude_scale(magnitude),
        y=Scale(low=-limit, high=limit),
        x_label=stars["magnitude_kind"],
        y_label="flux left, % of the star",
        title="Flux left in the footprint of isolated stars, in percent of the star's flux, against magnitude",
    )
    order = np.argsort(magnitude)
    for sign in (-1.0, 1.0):
        axes.line(*_running_median(magnitude[order], sign * error[order]), style="expected")
    axes.rule(0.0)
    axes.points(magnitude, np.clip(left, -limit, limit), style="dots")
    axes.line(*_running_median(magnitude, left), style="median")
    axes.legend([("median", "running median"), ("expected", "expected 1σ")])
    return axes.svg()


def score_histogram(noise: Summary) -> str:
    """The score on empty sky against the Gaussian of unit width."""
    edges, counts = array_of(noise["score_edges"]), array_of(noise["score_counts"])
    if counts.sum() < 100:
        return ""
    density = counts / counts.sum() / np.diff(edges)
    axes = Axes(
        x=Scale(low=float(edges[0]), high=float(edges[-1])),
        y=Scale(low=1e-6, high=1.0, is_log=True),
        x_label="matched-filter score, σ",
        y_label="share of empty sky",
        title=f"Histogram of the score on empty sky: sigma {fixed(noise['score_sigma'], 3)}, against a unit Gaussian",
    )
    axes.bars(edges, density, style="bars")
    t = np.linspace(edges[0], edges[-1], 121)
    axes.line(t, np.exp(-0.5 * t**2) / np.sqrt(2.0 * np.pi), style="gaussian")
    axes.legend([("gaussian", "unit Gaussian")])
    return axes.svg()


def radial_profiles(psf: Summary) -> str:
    """PSFs at the centre of the field against radius, peak 1."""
    stamps = {name: array_of(psf[name]["stamp"]) for name in _STYLES if psf[name] and psf[name]["stamp"] is not None}
    if not stamps:
        return ""
    widest = max(psf[name]["fwhm_px"] for name in stamps)
    axes = Axes(
        x=Scale(low=0.0, high=float(np.ceil(3.0 * widest))),
        y=Scale(low=1e-4, high=1.3, is_log=True),
        x_label="radius, px",
        y_label="PSF, peak 1",
        title="Azimuthally averaged PSFs of science image, template and difference",
    )
    for name, stamp in stamps.items():
        axes.line(*_profile(stamp), style=name)
    axes.legend([(name, f"{name}, FWHM {psf[name]['fwhm_px']:.2f} px") for name in stamps])
    return axes.svg()


def candidate_map(candidates: Summary, *, width: int, height: int) -> str:
    """Where on the field the stars of the kernel lie."""
    if not candidates["offered"]:
        return ""
    x, y = array_of(candidates["x"]), array_of(candidates["y"])
    kept = np.array(candidates["kept"], dtype=np.bool_)
    axes = Axes(
        x=Scale(low=min(0.0, x.min()), high=max(float(width), x.max())),
        y=Scale(low=min(0.0, y.min()), high=max(float(height), y.max())),
        x_label="x, px",
        y_label="y, px",
        title=f"Positions of the {candidates['offered']} candidate stars of the kernel; {candidates['used']} were used",
    )
    axes.points(x, y, style="rejected", where=~kept)
    axes.points(x, y, style="dots strong", where=kept)
    axes.legend([("dots strong", "used"), ("rejected", "left out")], is_dots=True)
    return axes.svg()


def autocorrelation(noise: Summary) -> str:
    """Correlation of source-free pixels by lag, as coloured cells; those next to the centre carry their number."""
    values = array_of(noise["autocorrelation"])
    if not np.isfinite(values).any():
        return ""
    n = len(values)
    half = n // 2
    colours = diverging_palette()[symmetric_indices(values, limit=_CORRELATION_LIMIT)]
    cells = []
    for row in range(n):
        for column in range(n):
            dx, dy = column - half, row - half
            red, green, blue = colours[row, column]
            at_x, at_y = 26 * column, 26 * (n - 1 - row)
            label = "1" if dx == dy == 0 else f"{values[row, column]:.3f}" if abs(dx) + abs(dy) == 1 else ""
            fill = "#555" if dx == dy == 0 else f"rgb({red},{green},{blue})"
            ink = "#fff" if dx == dy == 0 else "#222"
            cells.append(
                f'<rect x="{at_x}" y="{at_y}" width="25" height="25" fill="{fill}">'
                f"<title>lag ({dx}, {dy}): {values[row, column]:.4f}</title></rect>"
                + (
                    f'<text x="{at_x + 12.5}" y="{at_y + 15.5}" text-anchor="middle" style="font-size:8px;fill:{ink}">'
                    f"{label}</text>"
                )
                * bool(label)
            )
    title = escape(
        f"Autocorrelation of the noise; neighbours {noise['lag1_x']:.3f} along x, {noise['lag1_y']:.3f} along y"
    )
    side = 26 * n - 1
    return f'<svg class="square" viewBox="0 0 {side} {side}" role="img" aria-label="{title}">{"".join(cells)}</svg>'


def _magnitude_scale(magnitude: FloatArray) -> Scale:
    """The range of the stars' magnitudes, bright to the left."""
    finite = magnitude[np.isfinite(magnitude)]
    if not len(finite):
        return Scale(low=0.0, high=1.0)
    return Scale(low=float(finite.min()) - 0.3, high=float(finite.max()) + 0.3)


def _running_median(x: FloatArray, y: FloatArray, *, n_bins: int = 10) -> tuple[FloatArray, FloatArray]:
    """Medians in bins of equal numbers of points."""
    good = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[good], kind="stable")
    parts = np.array_split(order, min(n_bins, max(1, len(order) // 5)))
    parts = [part for part in parts if len(part)]
    return (
        np.array([np.median(x[good][part]) for part in parts]),
        np.array([np.median(y[good][part]) for part in parts]),
    )


def _profile(stamp: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean in rings half a pixel wide; NaN where it is not positive."""
    half = stamp.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    ring = np.floor(2.0 * np.hypot(x, y) + 0.5).astype(np.int64).ravel()
    n = np.bincount(ring)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(ring, weights=stamp.ravel()) / n
        radius = np.bincount(ring, weights=np.hypot(x, y).ravel()) / n
    within = (radius <= half) & (mean > 0)
    return radius[within], mean[within]
