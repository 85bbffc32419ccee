"""Grade the default recipe on simulated pairs: several seeds, depths and seeing ratios.

    python -m benchmarks.simulated_pairs --seeds 5 --depths 10 1
    python -m benchmarks.simulated_pairs --seeds 3 --ratios 0.8 1 1.25 2 3

Prints one line a pair, then over all pairs of a kind: mean grades, and flux bias and pull width over all their changes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.grading import Grade, flux_pulls, grade, judge_pair
from diapipe.flow import difference_pair
from diapipe.numerics.stats import robust_sigma
from diapipe.simulate.pair import simulate_pair
from diapipe.simulate.spec import PairSpec

COLUMNS = (
    ("complete", "completeness", "{:.3f}"),
    ("ceiling", "ceiling_completeness", "{:.3f}"),
    ("possible", "attainable_completeness", "{:.3f}"),
    ("purity", "purity", "{:.3f}"),
    ("false", "n_false", "{:.1f}"),
    ("cut", "n_lost_to_cut", "{:.1f}"),
    ("blanked%", "blanked", "{:.3%}"),
    ("chi2 16-18", "chi2_bright", "{:.3f}"),
    ("chi2 18-21", "chi2_faint", "{:.3f}"),
    ("lag1", "lag1", "{:+.4f}"),
    ("score", "score_sigma", "{:.3f}"),
    ("bias", "flux_bias", "{:+.3%}"),
    ("pull", "pull_sigma", "{:.3f}"),
)
TEMPLATE_FWHM_ARCSEC = 0.65


def main() -> None:
    """Run the pairs that the command line asks for."""
    arguments = _arguments()
    header = " ".join(f"{name:>10s}" for name, _, _ in COLUMNS)
    sys.stdout.write(f"{'depth':>5s} {'ratio':>5s} {'seed':>4s} {header} {'CPU s':>6s}\n")
    for depth in arguments.depths:
        for ratio in arguments.ratios:
            _run_kind(depth, ratio, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many pairs of each kind")
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--depths", type=float, nargs="+", default=[10.0, 1.0], help="depth of template over science")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.8 / 0.65], help="science over template FWHM")
    parser.add_argument("--size", type=int, default=0, help="side in pixels; 0 for the whole 4072 x 4000")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _run_kind(depth: float, ratio: float, arguments: argparse.Namespace) -> None:
    """All seeds of one depth and seeing ratio, and their mean."""
    grades: list[Grade] = []
    fractions, pulls = [], []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        spec = PairSpec.small(arguments.size) if arguments.size else PairSpec()
        spec = replace(spec, template_depth=depth, science_fwhm_arcsec=ratio * TEMPLATE_FWHM_ARCSEC)
        pair = simulate_pair(spec, rng=np.random.default_rng(seed))
        begun = time.process_time()
        result = difference_pair(pair.science, pair.template)
        seconds = time.process_time() - begun
        one = grade(pair, result.difference, result.dia_sources)
        grades.append(one)
        fraction, pull = flux_pulls(judge_pair(pair, result.difference, result.dia_sources))
        fractions.append(fraction)
        pulls.append(pull)
        _line(f"{depth:5.0f} {ratio:5.2f} {seed:4d}", one.row(), seconds)
    mean = {name: float(np.nanmean([g.row()[name] for g in grades])) for name in grades[0].row()}
    fraction, pull = np.concatenate(fractions), np.concatenate(pulls)
    mean["flux_bias"] = float(np.median(fraction))
    mean["pull_sigma"] = robust_sigma(pull)
    _line(f"{depth:5.0f} {ratio:5.2f} mean", mean, float("nan"))
    error = 1.2533 * np.std(np.clip(fraction, -0.3, 0.3)) / np.sqrt(len(fraction))
    sys.stdout.write(f"      {len(fraction)} fluxes at S/N > 10: median {np.median(fraction):+.3%} +- {error:.3%};")
    clipped = np.clip(pull, -5, 5)
    sys.stdout.write(f" {len(pull)} pulls: mean {np.mean(clipped):+.3f}, std {np.std(clipped):.3f}\n")
    sys.stdout.flush()


def _line(label: str, row: dict[str, float], seconds: float) -> None:
    values = " ".join(f"{form.format(row[name]):>10s}" for _, name, form in COLUMNS)
    sys.stdout.write(f"{label} {values} {seconds:6.1f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
