"""How the score that simulations taught does on real images: detections of Rubin's alerts against what bright stars of
a crowded field leave, and the variable of that field.

python -m benchmarks.reliability [--every 8] [--model FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy.stats import rankdata

import diapipe
from benchmarks.moa_field import VARIABLE, epochs, mean_template, sharpest
from benchmarks.rubin_cutouts import Cutout, cutouts
from benchmarks.rubin_differences import as_subtracted
from diapipe.recipe import Recipe
from diapipe.steps.classify import BoostedTrees, classify

BRIGHT_SNR = 200.0
"""Stars above this are bright."""
NEAR_FWHM = 3.0
"""A source this near to a bright star is what the star left."""
VARIABLE_PX = 4.0
"""A source this near to the variable is the variable."""

DOUBTED = 0.5
"""Alerts with less of Rubin's own reliability may be artefacts: by eye some are dipoles of stars and a cosmic ray."""

type Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of some sources, and what another judge doubts: dp_bad, of alerts Rubin's own score."""

    score: Array
    is_doubted: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Alerts(Scored):
    """With what the catalogue knows: that one is the dipole of a star or a cosmic ray, or is a known asteroid."""

    is_flagged: NDArray[np.bool_]
    is_asteroid: NDArray[np.bool_]


def rubin(classifier: BoostedTrees) -> Alerts:
    """Detections of the alerts, each scored on its own cut-outs."""
    with tempfile.TemporaryDirectory() as folder:
        scores = [_alert(cutout, Path(folder), classifier) for cutout in cutouts()]
    rows = [cutout.row for cutout in cutouts()]
    return Alerts(
        np.array(scores),
        np.array([row["reliability"] < DOUBTED for row in rows]),
        np.array([row["isDipole"] or row["pixelFlags_cr"] for row in rows]),
        np.array([row["ssObjectId"] != 0 for row in rows]),
    )


def _alert(cutout: Cutout, folder: Path, classifier: BoostedTrees) -> float:
    """The score of an alert."""
    science, difference = as_subtracted(cutout, folder)
    x, y = difference.exposure.wcs.all_world2pix(cutout.row["ra"], cutout.row["dec"], 0)
    place = Table({"x": [float(x)], "y": [float(y)]})
    return float(classify(difference, place, science=science, algorithm=classifier)["reliability"][0])


def moa(every: int, classifier: BoostedTrees) -> tuple[Scored, Scored]:
    """What bright stars leave on every so-manieth frame, and the variable where it was found."""
    left, variable = [], []
    frames, cache = epochs(), {}
    for frame in frames[::every]:
        template = mean_template(sharpest(frames, n=8, night=frame.night), cache)
        try:
            result = diapipe.difference_pair(
                diapipe.read_exposure(frame.path), template, recipe=Recipe(classifier=classifier)
            )
        except diapipe.DiapipeError as error:
            sys.stdout.write(f"{frame.number}: {error}\n")
            continue
        exposure, found, stars = result.difference.exposure, result.dia_sources, result.science.stars
        x, y = exposure.wcs.all_world2pix(*VARIABLE, 0)
        is_variable = np.hypot(found["x"] - x, found["y"] - y) < VARIABLE_PX
        bright = stars.flux > BRIGHT_SNR * stars.flux_err
        apart = np.hypot(
            np.asarray(found["x"])[:, None] - stars.x[bright], np.asarray(found["y"])[:, None] - stars.y[bright]
        ).min(axis=1)
        fwhm = exposure.psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
        left.append(found[~is_variable & (apart < NEAR_FWHM * fwhm)])
        variable.append(found[is_variable])
    return _scored(left), _scored(variable)


def _scored(tables: list[Table]) -> Scored:
    """The rows of several tables."""
    score, bad = (np.concatenate([np.asarray(table[name]) for table in tables]) for name in ("reliability", "dp_bad"))
    return Scored(score.astype(float), bad.astype(bool))


def area(real: Array, false: Array) -> float:
    """Probability that a real source has a higher score than a false one: the area under the ROC curve."""
    real, false = real[np.isfinite(real)], false[np.isfinite(false)]
    ranks = rankdata(np.concatenate([real, false]))[: len(real)]
    return float((ranks.sum() - 0.5 * len(real) * (len(real) + 1)) / (len(real) * len(false)))


def _line(name: str, scored: Scored) -> str:
    """Number, and how the scores lie."""
    known = scored.score[np.isfinite(scored.score)]
    quantiles = " ".join(f"{value:.3f}" for value in np.percentile(known, [5, 25, 50, 75, 95])) if len(known) else ""
    return f"| {name} | {len(scored.score)} | {np.mean(known >= 0.5):.3f} | {quantiles} |\n"


def main() -> None:
    """Print areas and scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=8, help="take every n-th frame")
    parser.add_argument("--model", default="", help="another model than the packaged one")
    arguments = parser.parse_args()
    classifier = BoostedTrees(model_file=arguments.model)
    alerts, (left, variable) = rubin(classifier), moa(arguments.every, classifier)
    sys.stdout.write("| sample | n | score above .5 | 5, 25, 50, 75, 95% |\n|---|---|---|---|\n")
    sys.stdout.write(
        _line("Rubin's alerts", alerts) + _line("left by bright stars", left) + _line("variable", variable)
    )
    believed, passed = alerts.score[~alerts.is_doubted], left.score[~left.is_doubted]
    unflagged = alerts.score[~alerts.is_flagged]
    areas = {
        "all alerts": area(alerts.score, left.score),
        f"the {len(unflagged)} without the catalogue's flags of dipole and cosmic ray": area(unflagged, left.score),
        f"the {alerts.is_asteroid.sum()} known asteroids": area(alerts.score[alerts.is_asteroid], left.score),
        f"the {len(believed)} that Rubin's own score believes": area(believed, left.score),
        f"those, above the {np.sum(~left.is_doubted)} that dp_bad lets through": area(believed, passed),
        "the variable": area(variable.score, left.score),
    }
    sys.stdout.write("area under the curve, ranked above what bright stars left:\n")
    sys.stdout.writelines(f"- {name}: {value:.3f}\n" for name, value in areas.items())


if __name__ == "__main__":
    main()
