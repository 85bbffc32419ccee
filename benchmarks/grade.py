"""The grade of the default recipe on simulated pairs, by injected sources up to what is bright in magnitudes.

    python -m benchmarks.grade --seeds 4 --depth 10 [--size 0]

Nothing else changes on these pairs, so that what the truth does not explain is false. Prints the grade of all pairs
together, the false ones by cause, and what was missed well above the threshold.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from diapipe.cli.grade_table import show_grade
from diapipe.flow import difference_pair, with_injections
from diapipe.recipe import Recipe
from diapipe.report.validation import grade_rows, validation_sentence
from diapipe.simulate import PairSpec, simulate_pair
from diapipe.steps.inject import Injection
from diapipe.steps.validate import Judged, judge, truth_table, validate

RECIPE = Recipe(pixel_unit="nJy")
SOURCES = {"min_snr": 3.0, "max_snr": 800.0, "area_fwhm2": 700.0}
"""Bright enough to reach 21 mag."""
SURELY = 10.0


def main() -> None:
    """Run the pairs that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=300)
    parser.add_argument("--depth", type=float, default=10.0, help="depth of template over science")
    parser.add_argument("--size", type=int, default=0, help="side in pixels; 0 for the whole 4072 x 4000")
    given = parser.parse_args()
    spec = PairSpec.small(given.size) if given.size else PairSpec()
    spec = replace(spec, n_transients=0, variable_fraction=0.0, template_depth=given.depth)
    found = validate([judged(spec, given.first_seed + k) for k in range(given.seeds)], truth_is_all=True)
    sys.stdout.write(validation_sentence(found.numbers) + "\n")
    show_grade(grade_rows(found.numbers))
    sys.stdout.write(f"false, by cause: {found.numbers['n_unexplained']}\n")
    sys.stdout.write(f"completeness by kind: {found.numbers['completeness']}\n")
    missed = found.truth[found.truth["is_usable"] & ~found.truth["is_good"]]
    missed = missed[np.abs(missed["snr_true"]) > SURELY]
    missed["name", "x", "y", "kind", "snr_true", "static_flux", "diaSourceId"].pprint(max_lines=-1, max_width=-1)


def judged(spec: PairSpec, seed: int) -> Judged:
    """One pair with sources put in, differenced and judged."""
    pair = simulate_pair(spec, rng=np.random.default_rng(seed))
    injected = with_injections(pair.science, pair.template, options=Injection(seed=seed, **SOURCES), recipe=RECIPE)
    result = difference_pair(injected.science, injected.template, recipe=RECIPE)
    truth = truth_table(injected.sources, result.difference, name="what was put in")
    return judge(
        result.difference, result.dia_sources, truth, threshold_sigma=result.summary["counts"]["threshold_sigma"]
    )


if __name__ == "__main__":
    main()
