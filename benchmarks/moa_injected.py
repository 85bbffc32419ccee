"""Injected sources on every frame of a crowded field (MOA 2013-BLG-475), beside the same on the same noise alone.

    python -m benchmarks.moa_injected [--every 8] [--seeds 2]

The ceiling has each injected source, drawn with the PSF of the difference, on white noise of its variance plane under
its mask: a perfect subtraction of the same frame. Prints one line a frame, then completeness and ceiling in bins of
signal-to-noise, why sources above 6 were lost, pulls of fluxes, and what a frame has that was not injected, before and
after the score.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from astropy.table import Table, vstack

import diapipe
from benchmarks.grading import Array, Flags
from benchmarks.real_moa import tasks
from diapipe.images import Difference, Exposure
from diapipe.images.calibrated import flux_scale
from diapipe.numerics.pairs import all_pairs
from diapipe.numerics.stats import robust_sigma
from diapipe.steps.detect import MatchedFilter, detect
from diapipe.steps.inject import Injection
from diapipe.steps.validate import match_radius_px

EDGES = (3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 25.0, 100.0)
SURE_SNR = 6.0
RELIABLE = 0.5


@dataclass(frozen=True)
class Frame:
    """What became of the sources of one frame, and how many others it has."""

    truth: Table
    n_others: int
    n_reliable_others: int


def injected(science: Exposure, template: Exposure, *, seed: int) -> Frame:
    """Difference a frame with points and variables put in; ``is_in_ceiling`` tells what a perfect one shows."""
    options = Injection(seed=seed, area_fwhm2=300.0, trailed=0.0)
    try:
        result = diapipe.difference_pair(science, template, recipe=diapipe.Recipe(inject=options))
    except diapipe.InputError:  # too few isolated stars, in the worst seeing, to tell what to put into the template
        options = replace(options, faded=0.0)
        result = diapipe.difference_pair(science, template, recipe=diapipe.Recipe(inject=options))
    assert result.validation is not None
    truth = Table(result.validation.truth, copy=True)
    truth = truth[np.asarray(truth["is_usable"], dtype=bool)]
    truth["is_in_ceiling"] = in_ceiling(result.difference, truth, rng=np.random.default_rng(seed))
    sources = result.validation.sources
    others = ~np.asarray(sources["is_true"]) & ~np.asarray(sources["dp_bad"])
    reliable = np.asarray(result.dia_sources["reliability"], dtype=np.float64) >= RELIABLE
    row = {int(name): k for k, name in enumerate(result.dia_sources["diaSourceId"])}
    index = np.array([row.get(int(name), -1) for name in truth["diaSourceId"]], dtype=int)
    truth["is_reliable"] = np.asarray(truth["is_good"]) & reliable[index]
    return Frame(truth, int(others.sum()), int((others & reliable).sum()))


def in_ceiling(difference: Difference, truth: Table, *, rng: np.random.Generator) -> Flags:
    """Which of the sources the same detection finds on light and white noise alone."""
    exposure = difference.exposure
    planes, psf = exposure.masked_image, exposure.psf
    assert psf is not None
    noise = rng.normal(size=planes.shape) * np.sqrt(np.where(planes.variance > 0, planes.variance, 0.0))
    image = noise.astype(np.float32)
    x, y = (np.asarray(truth[name], dtype=np.float64) for name in "xy")
    counts = np.asarray(truth["flux"], dtype=np.float64) / flux_scale(exposure, x=x, y=y)
    for at_x, at_y, flux in zip(x, y, counts, strict=True):
        stamp = diapipe.Box.around(x=at_x, y=at_y, half=psf.size // 2)
        inside = stamp.intersect(planes.box)
        if inside is not None:
            light = psf.image_at(x=at_x, y=at_y)[inside.slices_in(stamp)]
            image[inside.slices_in(planes.box)] += np.float32(flux) * light.astype(np.float32)
    peaks = detect(
        replace(exposure, masked_image=replace(planes, image=image)), algorithm=MatchedFilter()
    ).footprints.peaks
    fwhm = psf.fwhm_at(x=planes.box.x_center, y=planes.box.y_center)
    radius = match_radius_px(fwhm)
    near = all_pairs(np.column_stack([x, y]), np.column_stack([peaks.x, peaks.y]), radius=radius)
    found = np.zeros(len(truth), dtype=bool)
    found[near.first] = True
    return found


def main() -> None:
    """Run the frames and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2, help="choices of sources for each frame")
    given = parser.parse_args()
    frames: list[Frame] = []
    with tempfile.TemporaryDirectory() as folder:
        for epoch, path in tasks("mean", given.every, Path(folder), []):
            template = diapipe.read_exposure(path)
            for seed in range(1, given.seeds + 1):
                frame = injected(diapipe.read_exposure(epoch.path), template, seed=100 * int(epoch.number) + seed)
                frames.append(frame)
                sys.stdout.write(f"{epoch.number} {epoch.fwhm_px:5.2f} px  {_told(frame.truth)}; ")
                sys.stdout.write(f"not injected: {frame.n_others}, reliable {frame.n_reliable_others}\n")
                sys.stdout.flush()
    report(frames)


def report(frames: list[Frame]) -> None:
    """Print what all frames tell together."""
    truth = vstack([frame.truth for frame in frames], metadata_conflicts="silent")
    snr = np.abs(np.asarray(truth["snr_true"], dtype=np.float64))
    sys.stdout.write(f"\nall: {_told(truth)}\n")
    for low, high in pairwise(EDGES):
        sys.stdout.write(f"S/N {low:g} to {high:g}: {_told(truth[(snr >= low) & (snr < high)], least=0.0)}\n")
    lost = truth[(snr > SURE_SNR) & ~np.asarray(truth["is_good"])]
    for why, n in Counter(str(why).split(": S/N")[0] for why in lost["why_missed"]).most_common():
        sys.stdout.write(f"lost, {n}: {why}\n")
    for kind in np.unique(truth["kind"]):
        rows = truth[np.asarray(truth["kind"] == kind) & np.asarray(truth["is_good"]) & (snr > SURE_SNR)]
        pulls = _pulls(rows)
        sys.stdout.write(f"{kind}: pulls of {len(rows)}: median {np.median(pulls):+.2f}, ")
        sys.stdout.write(f"width {robust_sigma(pulls):.2f}, standard deviation {pulls.std():.2f}\n")
    others = np.array([(frame.n_others, frame.n_reliable_others) for frame in frames])
    sys.stdout.write(f"not injected, a frame: median {np.median(others, axis=0)}, mean {others.mean(axis=0)}\n")


def _told(truth: Table, *, least: float = SURE_SNR) -> str:
    """Found, and found on noise alone, of what is above a signal-to-noise."""
    sure = truth[np.abs(np.asarray(truth["snr_true"], dtype=np.float64)) > least]
    found, ceiling, reliable = (
        int(np.count_nonzero(sure[name])) for name in ("is_good", "is_in_ceiling", "is_reliable")
    )
    return f"{found} of {len(sure)} found, {ceiling} on noise alone, {reliable} found and reliable"


def _pulls(rows: Table) -> Array:
    """(Flux - truth) / error, the sign that of a flux too high."""
    flux, true, error = (np.asarray(rows[name], dtype=np.float64) for name in ("measured", "flux", "measured_err"))
    return np.sign(true) * (flux - true) / error


if __name__ == "__main__":
    main()
