"""The frames of one crowded field in ../shared/data/moa2013blg475, and templates made of the sharpest of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

import diapipe
from diapipe.images import UNUSABLE, Box, Exposure, MaskedImage, MaskPlane
from diapipe.steps.characterize import Characterized, characterize
from diapipe.steps.template import register, warp_onto

MOA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "moa2013blg475"
"""Where the frames lie: beside the checkout."""

VARIABLE = (273.8708, -25.2850)
"""Right ascension and declination of the one strong variable, degrees."""

NIGHT_OF_THE_VARIABLE = 2456508
"""The night in which it brightens and fades: never part of a template."""

DITHER_PX = 180
"""The frames are shifted by up to this much: a mean template reaches this far beyond its reference frame."""

LEAST_FRAMES = 0.5
"""Share of the frames that must see a pixel of the mean."""

type Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One frame and what its log says of it."""

    path: Path
    hjd: float
    fwhm_px: float
    flux_scale: float

    @property
    def number(self) -> str:
        """Four digits of its name."""
        return self.path.name[9:13]

    @property
    def night(self) -> int:
        """Whole Julian day."""
        return int(self.hjd)


def epochs(folder: Path = MOA) -> list[Epoch]:
    """All frames in order of time."""
    log = Table.read(folder / "epochs.csv", format="ascii.csv")
    return [
        Epoch(
            folder / "epochs" / str(row["file"]), float(row["hjd_mid"]), float(row["fwhm_pix"]), float(row["fluxscale"])
        )
        for row in log
    ]


def magnitudes(folder: Path = MOA) -> Array:
    """The variable's aperture magnitudes relative to its low state, in the order of `epochs`."""
    table = np.loadtxt(folder / "aperture_lightcurve.txt")
    frames = epochs(folder)
    nearest = [int(np.argmin(np.abs(table[:, 0] - frame.hjd))) for frame in frames]
    return np.asarray(table[nearest, 1], dtype=np.float64)


def sharpest(frames: list[Epoch], *, n: int, night: int) -> list[Epoch]:
    """The ``n`` best-seeing frames of nights other than ``night`` and than that of the variable's outburst."""
    others = [frame for frame in frames if frame.night not in (night, NIGHT_OF_THE_VARIABLE)]
    return sorted(others, key=lambda frame: frame.fwhm_px)[:n]


def mean_template(frames: list[Epoch], cache: dict[str, Characterized] | None = None) -> Exposure:
    """Mean of frames on the grid of the first, each on its flux scale: pixels, mask and variance, no PSF.

    Characterized, registered and warped by the program's own steps; relative fluxes are those of the log. Only pixels
    that every frame covers have data: elsewhere the PSF would jump. Where some frames have a bad pixel the others make
    the mean, and its variance says what that costs: s²/m (1 - m/n) for m of n frames that scatter by s, since their
    PSFs differ.
    """
    cache = {} if cache is None else cache
    for frame in frames:
        if frame.number not in cache:
            cache[frame.number] = characterize(diapipe.read_exposure(frame.path))
    first = cache[frames[0].number]
    grid = _padded(first.exposure, DITHER_PX)
    planes = []
    for frame in frames:
        one = cache[frame.number]
        moved = register(first.stars, one.stars, science=first.exposure, template=one.exposure)
        pixels = warp_onto(one.exposure, grid, registration=moved).exposure.masked_image
        scale = np.float32(frames[0].flux_scale / frame.flux_scale)
        planes.append(replace(pixels, image=scale * pixels.image, variance=scale**2 * pixels.variance))
    return Exposure(name=f"mean of {len(frames)}", masked_image=_mean(planes), wcs=first.exposure.wcs)


def _mean(planes: list[MaskedImage]) -> MaskedImage:
    """Mean of the usable pixels; see `mean_template`."""
    good = np.array([one.usable(UNUSABLE) for one in planes])
    covered = np.array([(one.mask & int(MaskPlane.NO_DATA)) == 0 for one in planes]).all(axis=0)
    saturated = np.array([(one.mask & int(MaskPlane.SAT)) != 0 for one in planes])
    values = np.where(good, np.array([one.image for one in planes]), 0.0)
    n, total = good.sum(axis=0), values.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        scatter = np.where(good, (values - mean) ** 2, 0.0).sum(axis=0) / (n - 1)
        noise = np.where(good, np.array([one.variance for one in planes]), 0.0).sum(axis=0) / n**2
    missing = scatter / np.maximum(n, 1) * (1.0 - n / len(planes))
    lost = n < max(2, LEAST_FRAMES * len(planes))
    mask = np.where(covered, np.where(lost, int(MaskPlane.BAD), 0), int(MaskPlane.NO_DATA))
    mask |= np.where(lost & saturated.any(axis=0), int(MaskPlane.SAT), 0)
    return MaskedImage.from_planes(
        np.where(covered, mean, np.nan), mask=mask, variance=noise + missing, box=planes[0].box
    )


def _padded(exposure: Exposure, margin: int) -> Exposure:
    """An empty exposure on the same pixels and as many more on every side."""
    box: Box = exposure.box.dilated(margin)
    nothing = MaskedImage.from_planes(np.zeros(box.shape), box=box)
    return Exposure(name="grid", masked_image=nothing, wcs=exposure.wcs)
