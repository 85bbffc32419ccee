"""Time and memory of the whole command on a simulated pair, files to page, and of HOTPANTS where it is at hand."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

import diapipe
from benchmarks.timing import Timing, yardstick


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds of CPU as user and in the system, on the clock, and its peak of memory in GiB."""

    name: str
    user_s: float
    system_s: float
    wall_s: float
    peak_gib: float

    def row(self, unit: Timing) -> str:
        """A line of a Markdown table; the last entry is the user time in units of the yardstick."""
        numbers = (self.user_s, self.system_s, self.wall_s, self.peak_gib, self.user_s / unit.cpu_s)
        return f"| {self.name} | " + " | ".join(f"{number:.2f}" for number in numbers) + " |"


def cost_of(name: str, command: list[str]) -> Cost:
    """Run a command to its end; RuntimeError if it fails."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
    return Cost(name, used.ru_utime, used.ru_stime, time.perf_counter() - begun, used.ru_maxrss / 1024**2)


def write_pair(folder: Path, size: int, depth: float, seed: int) -> None:
    """Write science and template of the default field, 4072 x 4000 px for a size of 4096, and what HOTPANTS needs."""
    whole = diapipe.PairSpec(template_depth=depth)
    spec = whole if size == 4096 else diapipe.PairSpec.small(size, template_depth=depth)
    pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(seed))
    for name, exposure in (("science", pair.science), ("template", pair.template)):
        planes = exposure.masked_image
        diapipe.write_exposure(exposure, folder / f"{name}.fits")
        if shutil.which("hotpants"):
            fits.writeto(folder / f"{name}_image.fits", planes.image)
            fits.writeto(folder / f"{name}_noise.fits", np.sqrt(planes.variance))
            fits.writeto(folder / f"{name}_mask.fits", (~planes.usable()).astype(np.int16))


def command_costs(folder: Path, *, repeats: int) -> list[Cost]:
    """The command with one thread and with two: the cheapest of some runs after one that compiles."""
    words = [sys.executable, "-m", "diapipe", "subtract", *(str(folder / f"{n}.fits") for n in ("science", "template"))]
    words += ["--quiet", "--out", str(folder / "result")]
    cost_of("", words)
    return [
        min((cost_of(name, [*words, "--threads", n]) for _ in range(repeats)), key=lambda cost: cost.user_s)
        for n, name in (("2", "diapipe subtract --threads 2"), ("1", "diapipe subtract"))
    ][::-1]


def stage_rows(folder: Path) -> list[str]:
    """Seconds on the clock by stage, from the summary of the last run."""
    summary = json.loads((folder / "result" / "summary.json").read_text(encoding="utf-8"))
    return [f"| {stage} | {seconds:.2f} |" for stage, seconds in summary["seconds"].items()]


def hotpants_costs(folder: Path) -> list[Cost]:
    """`hotpants` at its defaults with masks and noise maps, which it is given; nothing where it is not installed."""
    if shutil.which("hotpants") is None:
        return []
    command = ["hotpants", "-outim", str(folder / "hotpants.fits")]
    for options, name in (("-inim -ini -imi", "science"), ("-tmplim -tni -tmi", "template")):
        for option, plane in zip(options.split(), ("image", "noise", "mask"), strict=True):
            command += [option, str(folder / f"{name}_{plane}.fits")]
    return [cost_of("hotpants, subtraction alone", command)]


def main() -> None:
    """Print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096, help="side in pixels; 4096 is the default field")
    parser.add_argument("--depth", type=float, default=10.0, help="exposures in the template")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the cheapest counts")
    given = parser.parse_args()
    # in a process of its own: a child's peak of memory counts what its parent held when it was started
    worker = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with tempfile.TemporaryDirectory() as name, worker:
        folder = Path(name)
        worker.submit(write_pair, folder, given.size, given.depth, given.seed).result()
        unit = worker.submit(yardstick, 4096).result()
        costs = command_costs(folder, repeats=given.repeats) + hotpants_costs(folder)
        lines = ["| | user s | system s | wall s | peak GiB | user in yardsticks |", "|---|---|---|---|---|---|"]
        lines += [cost.row(unit) for cost in costs]
        lines += ["", f"The yardstick, {unit.name}, took {unit.cpu_s:.2f} s of CPU.", ""]
        lines += ["| stage | wall s |", "|---|---|", *stage_rows(folder)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
