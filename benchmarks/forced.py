"""CPU time of forced photometry at 10,000 positions on a 4k image; `python -m benchmarks.forced`."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from astropy.wcs import WCS

from benchmarks.timing import timed, yardstick
from diapipe.images import Box, Exposure, GaussianPsf, MaskedImage, Psf, SpatialKernel, WeightMap
from diapipe.images.fields import ImageField
from diapipe.images.pixel_map import PixelMap
from diapipe.images.psf import BlendedPart, BlendedPsf, ConvolvedPsf, WarpedPsf
from diapipe.images.psf.stacked import PsfPart, stacked_psf
from diapipe.steps.force import Force, LocalBackground, force_at

SIZE, N, SIGMA_PX = 4000, 10_000, 1.8
REACH_PX = 7
N_VISITS, CELL_PX = 12, 8.0
DITHER_PX = 500.0


def image(rng: np.random.Generator, *, is_white: bool) -> Exposure:
    """Noise with a PSF and a WCS; correlated as what faint stars leave on a difference, unless white."""
    pixels = rng.normal(size=(SIZE, SIZE)).astype(np.float32)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crpix, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [2000.5, 2000.5], [150.0, 2.0]
    wcs.wcs.cdelt = [-0.2 / 3600.0, 0.2 / 3600.0]
    offset = np.arange(-REACH_PX, REACH_PX + 1)
    correlation = 0.02 * np.exp(-(offset[:, None] ** 2 + offset**2) / (4.0 * SIGMA_PX**2))
    correlation[REACH_PX, REACH_PX] = 1.0
    return Exposure(
        name="noise",
        masked_image=MaskedImage.from_planes(pixels, variance=np.ones_like(pixels)),
        psf=GaussianPsf(SIGMA_PX, 41),
        wcs=wcs,
        noise_correlation=None if is_white else correlation,
    )


def template_psf(rng: np.random.Generator) -> Psf:
    """That of a template of dithered visits, on turned pixels, whitened: what a difference has that convolves science.

    It leaps along the borders of the visits.
    """
    sky = Box(-900, SIZE + 900, -900, SIZE + 900)
    cells = -900.0 + CELL_PX * np.arange(int((SIZE + 1800) / CELL_PX))
    parts = []
    for _ in range(N_VISITS):
        x0, y0 = rng.uniform(-DITHER_PX, DITHER_PX, 2)
        inside = [((cells > start) & (cells < start + SIZE)).astype(np.float32) for start in (y0, x0)]
        widths = rng.uniform(1.5, 2.3) * (1.0 + 0.02 * np.array([0.0, 1.0, -1.0, 0.5, 0.0, -0.5]))
        images = np.array([GaussianPsf(width, 41).kernel_image(x=0.0, y=0.0) for width in widths])
        images[1:] -= images[0]
        weight = WeightMap(np.outer(*inside).astype(np.float32), float(cells[0]), float(cells[0]), CELL_PX)
        parts.append(PsfPart(field=ImageField(images, sky), weight=weight))
    angle = np.radians(20.0)

    def turned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, v = x - 0.5 * SIZE, y - 0.5 * SIZE
        return (
            0.5 * SIZE + np.cos(angle) * u - np.sin(angle) * v,
            0.5 * SIZE + np.sin(angle) * u + np.cos(angle) * v,
        )

    box = Box(0, SIZE, 0, SIZE)
    warped = WarpedPsf(stacked_psf(parts), PixelMap.sampled(turned, box))
    whitening = np.zeros((21, 21))
    whitening[10, 10], whitening[10, [9, 11]], whitening[[9, 11], 10] = 1.2, -0.05, -0.05
    blend = BlendedPsf((BlendedPart(psf=warped, weight=WeightMap.constant(1.0)),))
    return ConvolvedPsf(blend, SpatialKernel.constant(whitening, box))


def main() -> None:
    """Print a Markdown table."""
    rng = np.random.default_rng(1)
    white, correlated = image(rng, is_white=True), image(rng, is_white=False)
    assert white.wcs is not None
    ra, dec = white.wcs.pixel_to_world_values(*rng.uniform(0.0, SIZE, (2, N)))
    everything = Force(aperture_radii_px=(3.0, 6.0, 9.0, 12.0), background=LocalBackground())
    unit = yardstick(4096)
    lines = [
        "| forced photometry | CPU ms | wall ms | in units of the yardstick |",
        "|---|---|---|---|",
        unit.row(unit),
    ]
    for name, exposure, options in (
        ("white noise", white, Force()),
        ("correlated noise", correlated, Force()),
        ("correlated noise, the PSF of a template of 12 visits", replace(correlated, psf=template_psf(rng)), Force()),
        ("each place alone, correlated noise", correlated, Force(together_fwhm=0.0)),
        ("with four apertures and the local background", correlated, everything),
    ):
        timing = timed(
            f"{N} positions, {name}",
            lambda exposure=exposure, options=options: force_at(exposure, ra=ra, dec=dec, options=options),
        )
        lines.append(timing.row(unit))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
