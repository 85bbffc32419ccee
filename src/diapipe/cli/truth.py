"""Simulated pairs as files, and how well a result recovers their truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.table import Table
from scipy.spatial import cKDTree

from diapipe.cli.landing import is_made_by
from diapipe.images import UNUSABLE_DIFFERENCE, Exposure, MaskedImage
from diapipe.io import write_exposure, write_parquet
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.stats import robust_sigma
from diapipe.simulate import PairSpec, SimulatedPair, simulate_pair

TRUTH_FILES = ("science.fits", "template.fits", "truth.parquet", "stars.parquet")
"""What `write_truth` leaves in a folder."""
MADE_BY = "diapipe simulate"
"""How its table of the truth says that diapipe made the pair."""
MATCH_RADIUS_PX = 3.0
"""A source and a true change closer than this are one."""
THRESHOLD_SNR = 5.0
BRIGHT_SNR = 10.0
OUTLIER_SIGMA = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How the truth was recovered.

    Attributes
    ----------
    n_true, n_found
        True changes above `THRESHOLD_SNR` on usable pixels, and those of them that were found.
    n_sources, n_real
        Sources without ``dp_bad``, and those of them that are true changes of any brightness.
    n_bright, flux_bias, flux_bias_err
        Found changes above `BRIGHT_SNR`, and the mean of their flux over the true flux, less one, by errors, with its
        own: thirty fluxes of S/N 10 to 50 tell a scale to 0.7%, no better. NaN without any.
    pull_sigma
        Scatter of (flux - true flux) / error of all that were found; NaN where there are too few.
    """

    n_true: int
    n_found: int
    n_sources: int
    n_real: int
    n_bright: int
    flux_bias: float
    flux_bias_err: float
    pull_sigma: float


def simulated(*, size: int, seed: int, **changes: float) -> SimulatedPair:
    """A pair of the default sky, cut to a square."""
    return simulate_pair(PairSpec.small(size, **changes), rng=np.random.default_rng(seed))


def is_earlier_pair(folder: Path) -> bool:
    """Whether `write_truth` filled the folder: its table of the truth says so."""
    return is_made_by(folder / "truth.parquet", MADE_BY)


def write_truth(pair: SimulatedPair, folder: Path) -> None:
    """Write the images and the tables of a pair."""
    write_exposure(pair.science, folder / "science.fits")
    write_exposure(pair.template, folder / "template.fits")
    write_parquet(pair.transients, folder / "truth.parquet", metadata={"made_by": MADE_BY})
    write_parquet(pair.stars, folder / "stars.parquet")


def bare(exposure: Exposure) -> Exposure:
    """The exposure as a single image would bring it: without variance and mask, with gain and read noise."""
    planes = exposure.masked_image
    return replace(
        exposure, masked_image=MaskedImage.from_planes(planes.image, box=planes.box), has_variance=False, has_mask=False
    )


def halves(exposure: Exposure) -> tuple[Exposure, Exposure]:
    """Two parts of an exposure, left and right, that overlap in the middle."""
    box = exposure.box
    quarter = box.width // 8
    left = replace(box, x1=box.x0 + box.width // 2 + quarter)
    return exposure[left], exposure[replace(box, x0=box.x0 + box.width // 2 - quarter)]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What became of the true changes of one image, and what its sources are.

    Attributes
    ----------
    snr, flux, is_wanted
        Of each true change: signal-to-noise, flux, and whether it should be found.
    measured, error
        Flux of the source at its place; NaN where there is none.
    is_real
        Of each source without ``dp_bad``: whether it is a true change.
    """

    snr: FloatArray
    flux: FloatArray
    is_wanted: BoolArray
    measured: FloatArray
    error: FloatArray
    is_real: BoolArray


def matches(dia_sources: Table, truth: Table) -> Matches:
    """Bring the sources of an image together with the changes that are true."""
    sources = dia_sources[~np.asarray(dia_sources["dp_bad"], dtype=np.bool_)]
    source_of = _nearest(truth, sources)
    found = source_of >= 0
    measured, error = np.full((2, len(truth)), np.nan)
    measured[found] = np.asarray(sources["psfFlux"], dtype=np.float64)[source_of[found]]
    error[found] = np.asarray(sources["psfFluxErr"], dtype=np.float64)[source_of[found]]
    snr = np.abs(np.asarray(truth["snr_true"], dtype=np.float64))
    usable = (np.asarray(truth["mask"]) & int(UNUSABLE_DIFFERENCE)) == 0
    return Matches(
        snr=snr,
        flux=np.asarray(truth["flux"], dtype=np.float64),
        is_wanted=(snr >= THRESHOLD_SNR) & usable,
        measured=measured,
        error=error,
        is_real=_nearest(sources, truth) >= 0,
    )


def recovery(images: Sequence[Matches]) -> Recovery:
    """How the truth of one image or several was recovered."""
    snr, flux, wanted, measured, error, real = (
        np.concatenate([getattr(image, name) for image in images]) if images else np.zeros(0)
        for name in ("snr", "flux", "is_wanted", "measured", "error", "is_real")
    )
    found = wanted.astype(np.bool_) & np.isfinite(measured)
    bright = found & (snr > BRIGHT_SNR)
    pull = (measured[found] - flux[found]) / error[found]
    bias, bias_err = _scale_error(flux[bright], measured[bright], error[bright])
    return Recovery(
        n_true=int(wanted.sum()),
        n_found=int(found.sum()),
        n_sources=len(real),
        n_real=int(real.sum()),
        n_bright=int(bright.sum()),
        flux_bias=bias,
        flux_bias_err=bias_err,
        pull_sigma=robust_sigma(pull) if len(pull) >= 5 else float("nan"),
    )


def _scale_error(flux: FloatArray, measured: FloatArray, error: FloatArray) -> tuple[float, float]:
    """By what part fluxes are too large, and its error; those that are wrong by `OUTLIER_SIGMA` do not count."""
    one = np.abs(measured - flux) < OUTLIER_SIGMA * error
    weight = (flux[one] / error[one]) ** 2
    if not one.any():
        return float("nan"), float("nan")
    return float(np.average(measured[one] / flux[one] - 1.0, weights=weight)), float(weight.sum() ** -0.5)


def _nearest(these: Table, those: Table) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each of these the index of the nearest of those within `MATCH_RADIUS_PX`, -1 where there is none."""
    if not len(these) or not len(those):
        return np.full(len(these), -1, dtype=np.intp)
    distance, index = cKDTree(_positions(those)).query(_positions(these), distance_upper_bound=MATCH_RADIUS_PX)
    return np.where(np.isfinite(distance), index, -1).astype(np.intp)


def _positions(table: Table) -> FloatArray:
    """Pixel positions, shape (n, 2)."""
    return np.column_stack([np.asarray(table["x"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64)])
