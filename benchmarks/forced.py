"""CPU time of forced photometry at 10,000 positions on a 4k image; `python -m benchmarks.forced`."""

from __future__ import annotations

import sys

import numpy as np
from astropy.wcs import WCS

from benchmarks.timing import timed, yardstick
from diapipe.images import Exposure, GaussianPsf, MaskedImage
from diapipe.steps.force import Force, LocalBackground, force_at

SIZE, N, SIGMA_PX = 4000, 10_000, 1.8
REACH_PX = 7


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
