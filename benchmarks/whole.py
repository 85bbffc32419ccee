"""Time and memory of the whole flow on a simulated pair, and of HOTPANTS where it is at hand."""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits

import diapipe
from benchmarks.timing import peak_gib, yardstick


def simulated(size: int, depth: float, seed: int) -> tuple[diapipe.Exposure, diapipe.Exposure]:
    """Science and template of the default field; 4072 x 4000 px for a size of 4096."""
    whole = diapipe.PairSpec(template_depth=depth)
    spec = whole if size == 4096 else diapipe.PairSpec.small(size, template_depth=depth)
    pair = diapipe.simulate_pair(spec, rng=np.random.default_rng(seed))
    return pair.science, pair.template


def flow_rows(science: diapipe.Exposure, template: diapipe.Exposure, threads: int) -> list[str]:
    """Run the flow twice, the first time to compile, and report the second."""
    recipe = diapipe.Recipe(n_threads=threads)
    diapipe.difference_pair(science, template, recipe=recipe)
    begun = time.process_time()
    result = diapipe.difference_pair(science, template, recipe=recipe)
    cpu = time.process_time() - begun
    rows = [f"| {stage} | | {seconds:.2f} |" for stage, seconds in result.seconds.items()]
    return [*rows, f"| diapipe, images to catalogue | {cpu:.2f} | {sum(result.seconds.values()):.2f} |"]


def hotpants_rows(science: diapipe.Exposure, template: diapipe.Exposure) -> list[str]:
    """CPU and wall time of `hotpants` at its defaults with masks and noise maps; nothing where it is not installed."""
    if shutil.which("hotpants") is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        options = ["-outim", str(Path(folder, "difference.fits"))]
        for image, noise, mask, exposure in (("-inim", "-ini", "-imi", science), ("-tmplim", "-tni", "-tmi", template)):
            planes = exposure.masked_image
            unusable = (~planes.usable()).astype(np.int16)
            for option, plane in ((image, planes.image), (noise, np.sqrt(planes.variance)), (mask, unusable)):
                path = Path(folder, f"{option[1:]}.fits")
                fits.writeto(path, plane)
                options += [option, str(path)]
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(["hotpants", *options], check=True, capture_output=True)
        wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [f"| hotpants, subtraction alone | {cpu:.2f} | {wall:.2f} |"]


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096, help="side in pixels; 4096 is the default field")
    parser.add_argument("--depth", type=float, default=10.0, help="exposures in the template")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    science, template = simulated(given.size, given.depth, given.seed)
    unit = yardstick(given.size)
    lines = ["| stage | CPU s | wall s |", "|---|---|---|"]
    lines += flow_rows(science, template, given.threads)
    lines.append(f"| {unit.name} | {unit.cpu_s:.2f} | {unit.wall_s:.2f} |")
    lines += hotpants_rows(science, template)
    sys.stdout.write("\n".join(lines) + f"\n\npeak memory {peak_gib():.2f} GiB, simulation included\n")


if __name__ == "__main__":
    main()
