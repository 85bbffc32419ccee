"""Dipoles: which detections may be one, the joint fit of two lobes, and whether it is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diapipe.images import Difference, Exposure, MaskedImage, Peaks
from diapipe.images.photometry import LEAST_COVERAGE
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics import dipole_fit, dipole_noise
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.dipole_fit import DIFFERENCE, F_PLUS, DipoleFits, DipoleStamps
from diapipe.steps.limits import Limited
from diapipe.steps.measure.dipole_images import Cutter
from diapipe.steps.measure.dipole_pairs import Pairs, pairs_of

type Columns = dict[str, NDArray[Any]]

_LEAST_MARGIN_FWHM = 0.5
"""What of a stamp lies beyond the farthest place of a lobe."""

_CHUNK = 64
"""Sources fitted at a time: what fits into the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dipoles(Limited):
    """Which detections are fitted as a dipole, how, and which are called one.

    Attributes
    ----------
    candidates
        What is fitted: peaks with an "opposite" one beside them, as the next three say, or "all".
    search_fwhm
        A peak is fitted if the score has an extremum of the opposite sign within this many PSF FWHM, ...
    opposite_sigma
        ... this significant, ...
    opposite_ratio
        ... and of at least this part of the peak's own score.
    largest_footprint_px
        A peak in a footprint of more pixels is not fitted but flagged (`dp_dipole_flag`).
    stamp_fwhm
        Half-width of the fitted stamps in PSF FWHM; half a FWHM more than ``reach_fwhm`` at least.
    reach_fwhm
        A lobe that moves farther from the middle of the stamp has run away: half the largest separation.
    image_weight
        Weight of the pixels of science and template beside those of the difference, which hold the same photons.
    separate_fluxes
        Whether the two lobes may differ in flux.
    background
        The light under the star on science and on template: planes fitted with it ("joint"), planes fitted to the
        pixels around the stamp before ("prefit"), or "none".
    least_snr
        Significance of the fitted dipole on the difference, at least.
    least_separation_sigma
        Significance of the separation, at least.
    largest_share
        Part of the absolute light of the fitted dipole, as it is on the difference, in its brighter lobe, at most.
    """

    may_be_zero = (
        "opposite_sigma",
        "opposite_ratio",
        "image_weight",
        "least_snr",
        "least_separation_sigma",
    )
    shares = ("opposite_ratio", "largest_share")

    candidates: Literal["opposite", "all"] = "opposite"
    search_fwhm: float = 2.0
    opposite_sigma: float = 3.0
    opposite_ratio: float = 0.3
    largest_footprint_px: float = np.inf
    stamp_fwhm: float = 1.75
    reach_fwhm: float = 1.25
    image_weight: float = 0.5
    separate_fluxes: bool = True
    background: Literal["joint", "prefit", "none"] = "joint"
    least_snr: float = 5.0
    least_separation_sigma: float = 4.0
    largest_share: float = 0.65


def dipole_columns(
    difference: Difference,
    peaks: Peaks,
    score: Float32Array,
    *,
    science: Exposure | None,
    static: MaskedImage | Exposure | None,
    lattices: Sequence[PsfLattice | None],
    areas: IntArray,
    fwhm: float,
    options: Dipoles,
) -> Columns:
    """Columns of the dipole fit, NaN where none was made; those on the sky are made of these by `sky`.

    Parameters
    ----------
    difference, science, static
        The images, ``static`` the template on the science flux scale; without science or template, None, the fit makes
        do with what there is.
    lattices
        PSF of difference and of science at every detection.
    peaks
        Every detection.
    score
        The score image that they were found on.
    areas
        Pixels of the footprint of every detection.
    fwhm
        Of the PSF, pixels.
    options
        Parameters.
    """
    box = difference.exposure.box
    free = dipole_fit.free_linear(separate_fluxes=options.separate_fluxes, planes=options.background == "joint")
    columns = _empty(len(peaks))
    pairs = _chosen(peaks, score, areas, np.array([box.x0, box.y0]), fwhm, options, columns)
    reach = options.reach_fwhm * fwhm
    cutter = Cutter(
        difference,
        science,
        static,
        [None if lattice is None else lattice.of(pairs.which) for lattice in lattices],
        pairs.middle,
        half=int(np.ceil(max(options.stamp_fwhm, options.reach_fwhm + _LEAST_MARGIN_FWHM) * fwhm)),
        reach=reach,
        take_planes=options.background == "prefit",
    )
    middle, start = pairs.middle, pairs.starts(fwhm)
    for first in range(0, max(len(middle), 1), _CHUNK):  # without any, what is compiled is compiled all the same
        chosen = slice(first, first + _CHUNK)
        stamps, spreads = cutter.stamps(chosen)
        fits = dipole_fit.fit_dipoles(
            stamps,
            start[chosen],
            max_shift=reach,
            image_weight=options.image_weight,
            free=free,
        )
        covariance = dipole_noise.covariances(stamps, spreads, fits, cutter.noise, combinations=_COMBINED, free=free)
        columns["dp_dipole_flag_edge"][pairs.which[chosen]] = cutter.over_edge(chosen)
        found = _told(stamps, fits, covariance, middle[chosen] + [box.x0, box.y0], options)
        for name, values in found.items():
            columns[name][pairs.which[chosen]] = values
    return columns


def _chosen(
    peaks: Peaks,
    score: Float32Array,
    areas: IntArray,
    corner: FloatArray,
    fwhm: float,
    options: Dipoles,
    columns: Columns,
) -> Pairs:
    """The pairs that are fitted; the columns are told which, and which not for the size of their footprint."""
    pairs = pairs_of(
        peaks,
        score,
        corner,
        radius=options.search_fwhm * fwhm,
        least_sigma=options.opposite_sigma,
        least_ratio=options.opposite_ratio,
        everything=options.candidates == "all",
    )
    small = areas[pairs.which] <= options.largest_footprint_px
    columns["dp_dipole_flag"][pairs.which] = True
    columns["dipoleFitAttempted"][pairs.which[small]] = True
    return pairs.of(small)


def _empty(n: int) -> Columns:
    """The columns before any fit."""
    missing = {name: np.full(n, np.nan) for name in _REAL}
    return missing | {
        "dipoleNdata": np.zeros(n, np.int64),
        "dipoleFitAttempted": np.zeros(n, np.bool_),
        "isDipole": np.zeros(n, np.bool_),
        "dp_dipole_flag": np.zeros(n, np.bool_),
        "dp_dipole_flag_edge": np.zeros(n, np.bool_),
    }


_REAL = (
    "dipoleMeanFlux",
    "dipoleMeanFluxErr",
    "dipoleFluxDiff",
    "dipoleFluxDiffErr",
    "dipoleChi2",
    "dp_dipoleX",
    "dp_dipoleY",
    "dp_dipoleXErr",
    "dp_dipoleYErr",
    "dp_dipoleDx",
    "dp_dipoleDy",
    "dp_dipoleDxErr",
    "dp_dipoleDyErr",
    "dp_dipoleDxDyCov",
    "dp_dipoleSnr",
    "dp_dipoleShare",
)

_COMBINED = np.array(
    [
        [1.0, 0.0, -1.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, -1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.5, 0.5],
        [0.0, 0.0, 0.0, 0.0, 1.0, -1.0],
        [0.5, 0.0, 0.5, 0.0, 0.0, 0.0],
        [0.0, 0.5, 0.0, 0.5, 0.0, 0.0],
    ]
)
"""Separation, mean flux, difference of the fluxes and middle, from the parameters of the fit."""


def _told(
    stamps: DipoleStamps, fits: DipoleFits, covariance: FloatArray, origin: FloatArray, options: Dipoles
) -> Columns:
    """What a table says of the fits; ``origin`` is the parent position of the stamps' middles."""
    place = fits.place
    dx, dy, mean, unequal, x, y = _COMBINED @ np.concatenate([place, fits.linear[:, :2]], axis=1).T
    with np.errstate(invalid="ignore"):
        dx_err, dy_err, mean_err, unequal_err, x_err, y_err = np.sqrt(np.einsum("nii->in", covariance))
    model = _on_difference(stamps, fits)
    snr = np.sqrt((stamps.weights[:, DIFFERENCE] * model**2).sum(axis=(1, 2)))
    covered = fits.n_used[:, DIFFERENCE] >= LEAST_COVERAGE * model.shape[1] * model.shape[2]
    good = fits.converged & covered & (snr > 0.0)
    columns: Columns = {
        "dipoleMeanFlux": mean,
        "dipoleMeanFluxErr": mean_err,
        "dipoleFluxDiff": unequal,
        "dipoleFluxDiffErr": unequal_err,
        "dipoleChi2": fits.chi2.sum(axis=1),
        "dp_dipoleX": x + origin[:, 0],
        "dp_dipoleY": y + origin[:, 1],
        "dp_dipoleXErr": x_err,
        "dp_dipoleYErr": y_err,
        "dp_dipoleDx": dx,
        "dp_dipoleDy": dy,
        "dp_dipoleDxErr": dx_err,
        "dp_dipoleDyErr": dy_err,
        "dp_dipoleDxDyCov": covariance[:, 0, 1],
        "dp_dipoleSnr": snr,
        "dp_dipoleShare": _share(model),
    }
    columns = {name: np.where(good, values, np.nan) for name, values in columns.items()}
    columns["dipoleNdata"] = np.where(good, fits.n_used.sum(axis=1), 0)
    columns["dp_dipole_flag"] = ~good
    columns["isDipole"] = good & _is_dipole(columns, covariance[:, :2, :2], fits, options)
    return columns


def _on_difference(stamps: DipoleStamps, fits: DipoleFits) -> FloatArray:
    """The fitted dipole as it is on the difference; shape (n, m, m)."""
    model = np.einsum("nk,nkp->np", fits.linear[:, :2], fits.images[:, DIFFERENCE, F_PLUS:])
    return np.asarray(model.reshape(stamps.values[:, DIFFERENCE].shape))


def _share(model: FloatArray) -> FloatArray:
    """Part of the absolute light that has the sign of the brighter lobe: 0.5 for equal lobes, 1 for a point."""
    positive, negative = np.maximum(model, 0.0).sum(axis=(1, 2)), np.maximum(-model, 0.0).sum(axis=(1, 2))
    total = positive + negative
    brighter = np.maximum(positive, negative)
    return np.asarray(np.divide(brighter, total, out=np.full(len(model), np.nan), where=total > 0.0))


def _is_dipole(columns: Columns, covariance: FloatArray, fits: DipoleFits, options: Dipoles) -> BoolArray:
    """Two stars of positive flux, significantly apart, whose lobes are seen on the difference and balance."""
    apart = np.stack([columns["dp_dipoleDx"], columns["dp_dipoleDy"]], axis=1)
    length = np.hypot(*apart.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        along = apart / length[:, None]
        error = np.sqrt(np.einsum("ni,nij,nj->n", along, covariance, along))
        return np.asarray(
            (fits.linear[:, :2] > 0.0).all(axis=1)
            & (length > options.least_separation_sigma * error)
            & (columns["dp_dipoleSnr"] > options.least_snr)
            & (columns["dp_dipoleShare"] < options.largest_share)
        )
