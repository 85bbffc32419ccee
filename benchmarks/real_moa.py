"""The flow on every frame of a crowded field (MOA 2013-BLG-475), against a mean template and a single frame.

python -m benchmarks.real_moa [--every 1] [--processes 2] [--template mean|single|both] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import diapipe
from benchmarks.moa_field import VARIABLE, Epoch, epochs, magnitudes, mean_template, sharpest
from benchmarks.real_grading import Array, forced_fluxes, grade, star_residuals

SAME_STATE_DAYS = 0.06
"""The variable hardly changes between frames so near in time."""

LOW_STATE_ADU = 34_000.0
"""Blended flux of its low state on the scale of frame 0100, as the sharp frames give it."""

COLUMNS = {
    "chi2_stars": "χ² stars",
    "chi2_away_from_saturation": "away from saturated",
    "detections": "det./arcmin²",
    "detections_good": "after dp_bad",
    "score_sigma": "score σ",
    "constant_stars": "constant stars",
    "sky": "sky",
    "blanked": "blanked",
    "blanked_beyond_inputs": "beyond inputs",
    "kernel_order": "order",
    "cpu_s": "CPU s",
}
"""What is printed, and under which heading."""


def run(science: Epoch, template: Path) -> dict[str, Any]:
    """Difference one frame as the command does and grade it; an error becomes its sentence."""
    found: dict[str, Any] = {
        "number": science.number,
        "night": science.night,
        "hjd": science.hjd,
        "fwhm_px": science.fwhm_px,
    }
    image, reference = diapipe.read_exposure(science.path), diapipe.read_exposure(template)
    begun = time.process_time()
    try:
        result = diapipe.difference_pair(image, reference)
    except diapipe.DiapipeError as error:
        return found | {"error": str(error)}
    found["cpu_s"] = time.process_time() - begun
    stars = star_residuals(result, known_variable=VARIABLE)
    exposure = result.difference.exposure
    x, y = exposure.wcs.all_world2pix(*VARIABLE, 0)
    flux, error = forced_fluxes(exposure, np.array([float(x)]), np.array([float(y)]))
    found |= grade(result, known_variable=VARIABLE).row()
    found |= {"variable": float(flux[0]) / science.flux_scale, "variable_err": float(error[0]) / science.flux_scale}
    found["stars"] = {
        name: np.asarray(getattr(stars, name), dtype=float).tolist()
        for name in ("x", "y", "flux", "peak", "difference", "error", "chi2", "is_near_saturation")
    }
    return found


def tasks(kind: str, every: int, folder: Path, only: list[str]) -> list[tuple[Epoch, Path]]:
    """Frames and the template of each, written as a file; frames of one night share one."""
    frames, cache = epochs(), {}
    found = []
    for frame in [f for f in frames if f.number in only] if only else frames[::every]:
        chosen = sharpest(frames, n=8 if kind == "mean" else 1, night=frame.night)
        path = chosen[0].path
        if kind == "mean":
            path = folder / ("_".join(f.number for f in chosen) + ".fits")
            if not path.exists():
                diapipe.write_exposure(mean_template(chosen, cache), path)
        found.append((frame, path))
    return found


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of a Markdown table: every frame, then median and 90th percentile."""
    lines = ["| frame | FWHM px | " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * (len(COLUMNS) + 2)]
    done = [row for row in rows if "error" not in row]
    for row in done:
        values = " | ".join(f"{row[name]:.3g}" for name in COLUMNS)
        lines.append(f"| {row['number']} | {row['fwhm_px']:.2f} | {values} |")
    for name, share in (("median", 50), ("90th percentile", 90)):
        values = " | ".join(f"{np.nanpercentile([row[key] for row in done], share):.3g}" for key in COLUMNS)
        lines.append(f"| {name} | {np.percentile([row['fwhm_px'] for row in done], share):.2f} | {values} |")
    return lines + [f"{row['number']}: {row['error']}" for row in rows if "error" in row]


def light_curve(rows: list[dict[str, Any]]) -> str:
    """How the variable's difference flux follows its aperture light curve, as flux relative to the low state."""
    known = dict(zip((frame.number for frame in epochs()), magnitudes(), strict=True))
    done = [row for row in rows if "error" not in row and np.isfinite(row["variable"])]
    if len(done) < 5:
        return "too few frames for a light curve"
    lines = []
    for name, chosen in (("all", done), ("FWHM below 6.5 px", [row for row in done if row["fwhm_px"] < 6.5])):
        truth = np.array([10.0 ** (-0.4 * known[row["number"]]) for row in chosen])
        flux = np.array([row["variable"] for row in chosen])
        lines.append(f"light curve, {name}: {_compared(truth, flux)}")
    told, slope = _with_seeing(done, known)
    seeing = np.array([row["fwhm_px"] for row in done])
    truth = np.array([10.0 ** (-0.4 * known[row["number"]]) for row in done]) - slope * (seeing - np.median(seeing))
    flux = np.array([row["variable"] for row in done])
    return "\n".join([*lines, told, f"light curve less that rise, all: {_compared(truth, flux)}"])


def _with_seeing(done: list[dict[str, Any]], known: dict[str, float]) -> tuple[str, float]:
    """How given and found fluxes change with the seeing between frames less than `SAME_STATE_DAYS` apart; the first."""
    pairs = [(a, b) for a, b in pairwise(done) if b["hjd"] - a["hjd"] < SAME_STATE_DAYS]
    seeing = np.array([b["fwhm_px"] - a["fwhm_px"] for a, b in pairs])
    if len(seeing) < 5:
        return "too few pairs of frames for a dependence on the seeing", 0.0
    given = np.array([10.0 ** (-0.4 * known[b["number"]]) - 10.0 ** (-0.4 * known[a["number"]]) for a, b in pairs])
    found = np.array([b["variable"] - a["variable"] for a, b in pairs]) / LOW_STATE_ADU
    slopes = [float(np.median((change / seeing)[np.abs(seeing) > 0.5])) for change in (given, found)]
    told = (
        f"{len(pairs)} successive frames within {SAME_STATE_DAYS * 24:.1f} h: per px of FWHM the light curve rises by "
        f"{slopes[0]:.3f} of the low state, the difference flux by {slopes[1]:.3f} (medians of those 0.5 px apart)"
    )
    return told, slopes[0]


def _compared(truth: Array, flux: Array) -> str:
    """Scale and offset by least squares, correlation, and the scatter that is left in units of the low state's flux."""
    (scale, offset), *_ = np.linalg.lstsq(np.stack([truth, np.ones_like(truth)], axis=1), flux, rcond=None)
    left = flux / scale - offset / scale - truth
    scatter = 1.4826 * float(np.median(np.abs(left - np.median(left))))
    return (
        f"{len(flux)} frames, {scale:.0f} ADU of frame 0100 for the low state's blended flux, "
        f"correlation {np.corrcoef(truth, flux)[0, 1]:.4f}, scatter {left.std():.4f} (robust {scatter:.4f}) of it"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every n-th frame")
    parser.add_argument("--only", nargs="*", default=[], help="numbers of the frames to take")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--template", choices=["mean", "single", "both"], default="mean")
    parser.add_argument("--folder", type=Path, help="where mean templates are written and kept (default: temporary)")
    parser.add_argument("--out", type=Path, help="JSON file for every number, star by star")
    given = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in ["mean", "single"] if given.template == "both" else [given.template]:
            work = tasks(kind, given.every, folder, given.only)
            with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
                rows[kind] = list(pool.map(run, *zip(*work, strict=True)))
            sys.stdout.write("\n".join([f"\ntemplate: {kind}\n", *table(rows[kind]), "", light_curve(rows[kind]), ""]))
    if given.out is not None:
        given.out.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
