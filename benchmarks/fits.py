"""CPU time of the fits of 500 dipoles and 200 trails; `python -m benchmarks.fits`."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.timing import timed, yardstick
from diapipe.images import Box, ChebyshevField, Difference, Exposure, GaussianPsf, MaskedImage, Peaks, SpatialKernel
from diapipe.images.planes import Planes
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics.arrays import FloatArray
from diapipe.steps.measure.dipoles import Dipoles, dipole_columns
from diapipe.steps.measure.sources import Sources
from diapipe.steps.measure.trail_fits import Lines, fit_lines

SIZE, STEP, N, N_TRAILS = 1024, 44, 500, 200
FWHM = 4.24
PSF = GaussianPsf(FWHM / 2.3548, 31)


def places(rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """A grid of ``N`` places off the pixel centres."""
    y, x = np.mgrid[STEP // 2 : SIZE - STEP // 2 : STEP, STEP // 2 : SIZE - STEP // 2 : STEP]
    jitter = rng.uniform(-0.5, 0.5, (2, N))
    return x.ravel()[:N] + jitter[0], y.ravel()[:N] + jitter[1]


def drawn(x: FloatArray, y: FloatArray, flux: FloatArray) -> FloatArray:
    """Point sources without noise."""
    image = np.zeros((SIZE, SIZE))
    for at_x, at_y, light in zip(x, y, flux, strict=True):
        box = Box.around(x=at_x, y=at_y, half=15)
        image[box.y0 : box.y1, box.x0 : box.x1] += light * PSF.image_at(x=at_x, y=at_y)
    return image


def exposure(name: str, pixels: FloatArray, variance: float) -> Exposure:
    """Pixels of constant variance under the PSF."""
    planes = MaskedImage.from_planes(pixels, variance=np.full(pixels.shape, variance))
    return Exposure(name=name, masked_image=planes, psf=PSF)


def displaced_stars(rng: np.random.Generator) -> tuple[Difference, Exposure, Peaks]:
    """Stars of S/N 20 to 100 that the template has 1 px away, and the peaks that a detector finds of them."""
    x, y = places(rng)
    angle, flux = rng.uniform(0.0, 2.0 * np.pi, N), rng.uniform(20.0, 100.0, N) * np.sqrt(8.0 * np.pi) * FWHM / 2.3548
    dx, dy = 0.5 * np.cos(angle), 0.5 * np.sin(angle)
    noise = rng.normal(size=(2, SIZE, SIZE))
    science, template = drawn(x + dx, y + dy, flux) + noise[0], drawn(x - dx, y - dy, flux) + noise[1]
    seen = exposure("difference", science - template, 2.0)
    difference = Difference(
        exposure=seen,
        kernel=SpatialKernel.constant(np.pad(np.ones((1, 1)), 7), seen.box),
        background=ChebyshevField.constant(0.0, seen.box),
        convolved="template",
        matched_template=exposure("template", template, 1.0).masked_image,
    )
    apart = 2.0 * np.sqrt(2.0) * FWHM / 2.3548
    score = np.full(N, 6.0)
    lobes = x + apart * dx, y + apart * dy, score, np.zeros(N, np.int64), x - apart * dx, y - apart * dy, -score
    return difference, exposure("science", science, 1.0), Peaks(*lobes)


def trails(rng: np.random.Generator, n: int) -> tuple[Planes, Lines]:
    """Trails of 0.5 to 10 FWHM and S/N 15 to 100 on white noise, and a guess at each."""
    step, margin = 72, 36
    side = step * int(np.ceil(np.sqrt(n)))
    y, x = (v.ravel()[:n] + 0.0 for v in np.mgrid[margin:side:step, margin:side:step])
    image, middle, extent = rng.normal(size=(side, side)), np.stack([x, y], axis=1), np.empty((n, 2))
    for k in range(n):
        length, angle = rng.uniform(0.5, 10.0) * FWHM, rng.uniform(0.0, np.pi)
        extent[k] = length * np.cos(angle), length * np.sin(angle)
        pieces = int(np.ceil(length)) + 1
        along = (np.arange(pieces) + 0.5) / pieces - 0.5
        light = np.zeros((step, step))
        for share in along:
            box = Box.around(x=margin + share * extent[k, 0], y=margin + share * extent[k, 1], half=15)
            stamp = PSF.image_at(x=margin + share * extent[k, 0], y=margin + share * extent[k, 1])
            cut = Box(0, step, 0, step).intersect(box)
            light[cut.slices_in(Box(0, step, 0, step))] += stamp[cut.slices_in(box)] / pieces
        light *= rng.uniform(15.0, 100.0) / np.sqrt((light**2).sum())
        image[int(y[k]) - margin : int(y[k]) + margin, int(x[k]) - margin : int(x[k]) + margin] += light
    planes = Planes.of(MaskedImage.from_planes(image, variance=np.ones(image.shape)))
    off = rng.normal(0.0, 0.25 * FWHM, (2, n, 2))
    return planes, Lines(np.arange(n), middle + off[0], extent + off[1])


def main() -> None:
    """Print a Markdown table."""
    difference, science, peaks = displaced_stars(np.random.default_rng(5))
    lattice = PsfLattice.around(PSF, x=peaks.x, y=peaks.y, box=science.box)
    score = np.zeros((SIZE, SIZE), np.float32)
    unit = yardstick(4096)

    def dipoles() -> object:
        return dipole_columns(
            difference,
            peaks,
            score,
            science=science,
            static=difference.matched_template,
            lattices=(lattice, lattice),
            areas=np.ones(N, np.int64),
            fwhm=FWHM,
            options=Dipoles(),
        )

    lines = ["| fits | CPU ms | wall ms | in units of the yardstick |", "|---|---|---|---|", unit.row(unit)]
    lines.append(timed(f"{N} dipoles, three stamps of 17 x 17", dipoles, repeats=20).row(unit))
    planes, start = trails(np.random.default_rng(6), N_TRAILS)
    sources = Sources(*start.middle.T, np.ones(N_TRAILS), np.arange(N_TRAILS))
    around = PsfLattice.around(PSF, x=sources.x, y=sources.y, box=planes.box)

    def of_trails() -> object:
        return fit_lines(planes, sources, around, start, fwhm=FWHM, margin=1.75 * FWHM, correlation=None)

    lines.append(timed(f"{N_TRAILS} trails of 0.5 to 10 FWHM", of_trails, repeats=10).row(unit))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
