"""By how much a kernel and what is found change with a few pixels of the template.

python -m benchmarks.kernel_stability REPO VISIT [--detector 0] [--times 5] [--pixels 20] [--output default]

A difference of a repository is made again and again, each time with other pixels of the template masked, of those with
light. One line a time, the first with none masked; then the scatter of the kernel.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_grading import N_CONSTANT, star_residuals
from diapipe import difference_pair
from diapipe.images import Exposure, MaskPlane, SpatialKernel
from diapipe.recipe import Recipe
from diapipe.steps.match import AlardLupton
from diapipe.tasks.repository import open_repository

AS_SURVEYS = Recipe(matcher=AlardLupton(convolve="template"))
"""The template is convolved though it is the wider."""

BRIGHT_PERCENT = 95.0
"""Pixels with more light than so many are masked."""


def spoiled(template: Exposure, n: int, rng: np.random.Generator) -> Exposure:
    """The template with ``n`` bright pixels masked."""
    planes = template.masked_image
    light = np.nan_to_num(planes.image, nan=-np.inf)
    chosen = rng.choice(np.flatnonzero(light > np.nanpercentile(planes.image, BRIGHT_PERCENT)), n, replace=False)
    mask = planes.mask.copy()
    mask.flat[chosen] |= int(MaskPlane.BAD)
    return replace(template, masked_image=replace(planes, mask=mask))


def corners(kernel: SpatialKernel) -> NDArray[np.float64]:
    """Kernels of unit sum near the corners of the image; shape (4, rows, columns)."""
    box = kernel.box
    places = [(box.x0 + u * box.width, box.y0 + v * box.height) for u in (0.03, 0.97) for v in (0.03, 0.97)]
    images = np.array([kernel.image_at(x=x, y=y) for x, y in places])
    return np.asarray(images / images.sum(axis=(1, 2), keepdims=True))


def inputs(arguments: argparse.Namespace) -> tuple[Exposure, Exposure]:
    """The visit's image and the one coadd of its band."""
    with open_repository(arguments.repo) as repository:
        butler = repository.clone(collections=f"diapipe/{arguments.output}")
        wanted = {"visit": arguments.visit, "detector": arguments.detector}
        (visit,) = (
            found
            for found in butler.query_datasets("visit_image")
            if {name: found.dataId[name] for name in wanted} == wanted
        )
        science = butler.get(visit)
        bands = [
            found for found in butler.query_datasets("template_coadd") if found.dataId["band"] == science.info.band
        ]
        if len(bands) != 1:
            raise SystemExit(f"{len(bands)} coadds in {science.info.band}: a repository of one patch is needed")
        return science, butler.get(bands[0])


def main() -> None:
    """Make the differences and print what they have."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repo")
    parser.add_argument("visit", type=int)
    for name, default in (("detector", 0), ("times", 5), ("pixels", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--output", default="default")
    arguments = parser.parse_args()
    science, template = inputs(arguments)
    rng, kernels = np.random.default_rng(7), []
    for time in range(arguments.times + 1):
        result = difference_pair(science, spoiled(template, arguments.pixels if time else 0, rng), recipe=AS_SURVEYS)
        stars = star_residuals(result)
        left = np.abs(stars.difference / stars.flux)[:N_CONSTANT]
        kernels.append(corners(result.match.kernel))
        good = int(np.count_nonzero(~np.asarray(result.dia_sources["dp_bad"])))
        print(
            f"order {result.match.spatial_order}, {len(result.dia_sources)} detections, {good} after dp_bad, "
            f"{np.median(left):.2%} of bright stars left",
            flush=True,
        )
    scatter = np.sqrt((np.std(kernels, axis=0) ** 2).sum(axis=(1, 2)).mean())
    print(f"kernels at the corners scatter by {scatter:.3f} (root of the summed squares, of kernels of sum one)")


if __name__ == "__main__":
    main()
