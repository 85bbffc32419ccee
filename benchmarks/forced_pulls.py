"""Pulls of forced fluxes on simulated differences: what changed, what did not, and nothing.

    python -m benchmarks.forced_pulls --seeds 16

Prints mean and width of the pulls by kind and S/N, over all pairs: transients of the simulation, its constant stars,
empty places, and point sources that are added to the differences by the true PSF.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree

from diapipe.flow import DifferenceResult, difference_pair
from diapipe.images import Difference, Exposure
from diapipe.numerics.shifting import shift_stamp
from diapipe.numerics.static_flux_error import error_with_static_light
from diapipe.simulate.pair import SimulatedPair, simulate_pair
from diapipe.simulate.spec import PairSpec
from diapipe.steps.force import force_on_pixels

type Array = NDArray[np.float64]

BRIGHTEST_SNR = 1000.0
EDGES = (0.0, 7.0, 20.0, 60.0, 200.0, np.inf)
ALONE_PX, STATIC_MAG = 14.0, 24.0
"""Empty places and added sources keep this far from what is brighter than this."""
REACH_PX = 22


def main() -> None:
    """Run the pairs that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4, help="how many pairs")
    parser.add_argument("--first-seed", type=int, default=11)
    parser.add_argument("--size", type=int, default=1024, help="side in pixels")
    arguments = parser.parse_args()
    found: dict[str, list[Array]] = {}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for kind, pulls in pulls_of(seed, arguments.size).items():
            found.setdefault(kind, []).append(pulls)
    sys.stdout.write("| kind | S/N | n | mean | width |\n|---|---|---|---|---|\n")
    for kind, parts in found.items():
        table(kind, np.concatenate(parts))


def pulls_of(seed: int, size: int = 1024) -> dict[str, Array]:
    """By kind, pulls and S/N; shape (n, 2)."""
    rng = np.random.default_rng(seed)
    spec = PairSpec.small(size, transient_max_snr=BRIGHTEST_SNR, transient_host_fraction=0.3)
    pair = simulate_pair(spec, rng=rng)
    result = difference_pair(pair.science, pair.template)
    truth = pair.transients[np.asarray(pair.transients["kind"]) == "transient"]
    unit = _in_stamp(pair, result)
    stars = pair.stars[_far(pair.transients, pair.stars["x"], pair.stars["y"], 20.0)]
    x, y = rng.uniform(20.0, size - 20.0, (2, size**2 // 256))
    static = [t[np.asarray(t["mag"]) < STATIC_MAG] for t in (pair.stars, pair.galaxies)]
    empty = np.logical_and.reduce([_far(t, x, y, ALONE_PX) for t in (pair.transients, *static)])
    none, grid = np.zeros(int(empty.sum())), _grid(size, rng)
    free = np.logical_and.reduce([_far(t, *grid, ALONE_PX) for t in (pair.transients, *static)])
    return {
        "transients": _forced(result, truth["x"], truth["y"], unit * np.asarray(truth["flux"])),
        "constant stars": _forced(result, stars["x"], stars["y"], np.zeros(len(stars)), by_template=True),
        "empty": _forced(result, x[empty], y[empty], none),
        "added": _added(pair, result, grid[0][free], grid[1][free], unit, rng),
    }


def _forced(result: DifferenceResult, x: Array, y: Array, flux: Array, *, by_template: bool = False) -> Array:
    """Pulls and S/N of the fluxes, or of the light of the template."""
    difference = result.difference
    assert difference.matched_template is not None
    template = Exposure(name="template", masked_image=difference.matched_template, psf=difference.exposure.psf)
    found, static = (force_on_pixels(image, x=x, y=y) for image in (difference.exposure, template))
    error = error_with_static_light(
        found["psfFluxErr"],
        static_flux=static["psfFlux"],
        relative_error=difference.static_error_at(x=np.asarray(x), y=np.asarray(y)),
    )
    snr = np.abs(static["psfFlux"] if by_template else flux) / found["psfFluxErr"]
    good = ~(found["psfFlux_flag"] | found["dp_badPixel"])
    return np.stack([(found["psfFlux"] - flux) / error, snr], axis=1)[good]


def _added(
    pair: SimulatedPair, result: DifferenceResult, x: Array, y: Array, unit: float, rng: np.random.Generator
) -> Array:
    """The same of point sources with their photon noise that are added to the difference."""
    difference = result.difference
    noise = force_on_pixels(difference.exposure, x=x, y=y)["psfFluxErr"]
    flux = np.nan_to_num(noise) * np.exp(rng.uniform(np.log(5.0), np.log(2.0 * BRIGHTEST_SNR), len(x)))
    changed = with_added(difference, pair.science_psf_at, x, y, flux, gain=pair.spec.gain_electrons, rng=rng)
    return _forced(replace(result, difference=replace(changed, static_error=0.0)), x, y, unit * flux)


def with_added(
    difference: Difference,
    psf_at: Callable[[float, float], Array],
    x: Array,
    y: Array,
    flux: Array,
    *,
    gain: float,
    rng: np.random.Generator,
) -> Difference:
    """A difference with what more point sources on the science image, in its counts, would have made of it.

    It is linear in the science image, so that is their light and their photons' noise as they were whitened.
    """
    planes, box = difference.exposure.masked_image, difference.box
    image, variance = planes.image.astype(np.float64), planes.variance.astype(np.float64)
    for at_x, at_y, total in zip(x, y, flux, strict=True):
        column, row = int(np.floor(at_x + 0.5)), int(np.floor(at_y + 0.5))
        profile = shift_stamp(psf_at(at_x, at_y), dx=at_x - column, dy=at_y - row)
        light = np.maximum(total * profile, 0.0)
        light_and_noise = total * profile + rng.normal(size=light.shape) * np.sqrt(light / gain)
        if difference.whitening is not None:
            light_and_noise = fftconvolve(light_and_noise, difference.whitening.image_at(x=at_x, y=at_y), mode="same")
        middle = len(profile) // 2
        stamp = slice(middle - REACH_PX, middle + REACH_PX + 1)
        where = tuple(slice(at - REACH_PX, at + REACH_PX + 1) for at in (row - box.y0, column - box.x0))
        image[where] += light_and_noise[stamp, stamp]
        variance[where] += light[stamp, stamp] / gain
    masked = replace(planes, image=image.astype(np.float32), variance=variance.astype(np.float32))
    return replace(difference, exposure=replace(difference.exposure, masked_image=masked))


def _in_stamp(pair: SimulatedPair, result: DifferenceResult) -> float:
    """Part of the true PSF on the stamp of the model, whose sum over it is the unit of fluxes."""
    assert result.difference.exposure.psf is not None
    half = result.difference.exposure.psf.size // 2
    box = result.difference.box
    image = pair.science_psf_at(box.x_center, box.y_center)
    inner = slice(len(image) // 2 - half, len(image) // 2 + half + 1)
    return float(image[inner, inner].sum())


def _grid(size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Places whose stamps do not touch."""
    nodes = np.arange(30.0, size - 30.0, 48.0)
    x, y = (v.ravel() for v in np.meshgrid(nodes, nodes))
    return x + rng.uniform(-5.0, 5.0, x.size), y + rng.uniform(-5.0, 5.0, x.size)


def _far(table: object, x: Array, y: Array, radius: float) -> NDArray[np.bool_]:
    """Which places have no row of the table near them."""
    rows = np.stack([np.asarray(table["x"]), np.asarray(table["y"])], axis=1)  # type: ignore[index]
    distance, _ = cKDTree(rows).query(np.stack([np.asarray(x), np.asarray(y)], axis=1))
    return np.asarray(distance > radius)


def table(kind: str, pulls: Array) -> None:
    """Rows by S/N, and one of all."""
    bins = list(pairwise(EDGES)) if kind != "empty" else []
    for low, high in [*bins, (0.0, np.inf)]:
        some = pulls[(pulls[:, 1] >= low) & (pulls[:, 1] < high), 0]
        if (n := len(some)) > 2:
            mean, width = (
                f"{some.mean():+.3f} ± {some.std() / n**0.5:.3f}",
                f"{some.std():.3f} ± {some.std() / (2 * n) ** 0.5:.3f}",
            )
            sys.stdout.write(f"| {kind} | {low:g}-{high:g} | {n} | {mean} | {width} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
