"""Trails: point sources that moved while the shutter was open, and which detections are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diapipe.images.planes import Planes
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.steps.limits import Limited
from diapipe.steps.measure.sources import Sources
from diapipe.steps.measure.trail_fits import Found, fit_lines, lines_through

type Columns = dict[str, NDArray[Any]]

LINE_WITH_PSF = 1
"""Number of what is fitted here: a line of light convolved with the PSF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trails(Limited):
    """Which detections are fitted as a trail, how, and which are called one.

    Attributes
    ----------
    search_fwhm
        A line of light is followed this far to either side of a source, in PSF FWHM; longer trails are not fitted.
    n_angles
        Directions that are looked along.
    search_gain
        A source is fitted if some line through it is more significant than the source alone by this in χ², and by what
        ``model_error`` adds, ...
    stamp_fwhm
        ... on stamps that reach this far beyond the ends of that line, PSF FWHM.
    least_gain
        χ² by which a trail must explain the pixels better than the brightest two points that were detected on it, ...
    model_error
        ... plus (this x S/N)²: an error of the PSF, of this part of its norm, makes a point look like one.
    least_length_sigma
        Significance of the length, at least.
    chi2_excess, chi2_model_error
        χ² may exceed its expectation by so many scatters, plus (the second x S/N)².
    suspect_fwhm
        A longer trail is flagged as suspect: LSST's three sigma of the PSF.
    """

    may_be_zero = ("search_gain", "least_gain", "model_error", "least_length_sigma", "chi2_excess", "chi2_model_error")

    search_fwhm: float = 12.0
    n_angles: int = 16
    search_gain: float = 6.0
    stamp_fwhm: float = 1.75
    least_gain: float = 20.0
    model_error: float = 0.05
    least_length_sigma: float = 4.0
    chi2_excess: float = 6.0
    chi2_model_error: float = 0.05
    suspect_fwhm: float = 3.0 / SIGMA_TO_FWHM


def trail_columns(
    planes: Planes,
    sources: Sources,
    lattice: PsfLattice,
    score: Float32Array,
    *,
    significance: FloatArray,
    is_dipole: BoolArray,
    ids: IntArray,
    fwhm: float,
    correlation: FloatArray | None,
    options: Trails,
) -> tuple[Columns, FloatArray]:
    """Columns of the trail fit in pixels, NaN where none converged, and the covariances of its places, (n, 4, 4).

    Parameters
    ----------
    planes, sources, lattice
        The difference, every detection, and its PSF there.
    score
        The image of significance that they were found on.
    significance
        Score of each as a point.
    is_dipole
        What is not looked at.
    ids
        Identifiers of the sources.
    fwhm
        Of the PSF, pixels.
    correlation
        Autocorrelation of the noise, None for white.
    options
        Parameters.
    """
    search, margin = options.search_fwhm * fwhm, options.stamp_fwhm * fwhm
    lines = lines_through(
        score,
        sources,
        significance,
        ~is_dipole,
        lattice,
        fwhm=fwhm,
        search=search,
        n_angles=options.n_angles,
        least_gain=options.search_gain,
        model_error=options.model_error,
    )
    found = fit_lines(planes, sources, lattice, lines, fwhm=fwhm, margin=margin, correlation=correlation)
    members = _members(found, sources, fwhm)
    of_points = _gain_of_points(found, members, sources, significance, fwhm)
    believed = _is_trail(found, of_points, sources, options) & members.diagonal()
    believed &= ~_is_other_and_point(found, believed, members, significance)
    owner = _owners(found, believed, members)
    columns = _places(found, planes)
    columns |= _flags(columns, planes, is_trail=believed & (owner < 0), fwhm=fwhm, options=options)
    columns["dp_trailOf"] = np.where(owner < 0, 0, ids[owner]) if len(ids) else np.zeros(0, np.int64)
    return columns, found.covariance[:, 1:, 1:]


def _is_trail(found: Found, of_points: FloatArray, sources: Sources, options: Trails) -> BoolArray:
    """Fits of the source's sign that say more than points do, of a length that is significant, and that are good."""
    freedom = np.maximum(found.n_used - 5.0, 1.0)
    with np.errstate(invalid="ignore"):
        excess = (found.chi2 - freedom) / np.sqrt(2.0 * freedom)
        return np.asarray(
            (np.sign(found.flux) == sources.sign)
            & (found.gain - of_points > options.least_gain + (options.model_error * found.snr) ** 2)
            & (found.length > options.least_length_sigma * found.length_err)
            & (excess < options.chi2_excess + (options.chi2_model_error * found.snr) ** 2)
        )


def _members(found: Found, sources: Sources, fwhm: float) -> BoolArray:
    """Which sources of its sign lie within a FWHM of each fitted trail; shape (n, n).

    The one fitted is not among them where the fit went off to a brighter one beside it.
    """
    places = np.stack([sources.x, sources.y], axis=1)
    members = np.zeros((len(places), len(places)), np.bool_)
    for k in np.flatnonzero(found.n_used > 0):
        along, offset = found.extent[k] / found.length[k], places - found.middle[k]
        beyond = np.maximum(np.abs(offset @ along) - 0.5 * found.length[k], 0.0)
        aside = offset @ np.array([-along[1], along[0]])
        members[k] = (np.hypot(beyond, aside) < fwhm) & (sources.sign == sources.sign[k])
    return members


def _gain_of_points(
    found: Found, members: BoolArray, sources: Sources, significance: FloatArray, fwhm: float
) -> FloatArray:
    """χ² that the best two points of each trail, a FWHM or more apart, explain together; of one if there is no other.

    Of two scores a and b whose noise has the correlation ρ it is (a² + b² - 2 ρ a b) / (1 - ρ²); ρ is that of a
    Gaussian PSF.
    """
    gain = np.where(np.isnan(found.point_gain), significance**2, found.point_gain)
    for k in np.flatnonzero(members.any(axis=1)):
        which = np.flatnonzero(members[k])
        best = which[np.argmax(np.abs(significance[which]))]
        a, others = significance[best], which[which != best]
        apart = np.hypot(sources.x[others] - sources.x[best], sources.y[others] - sources.y[best]) / fwhm
        b, rho = significance[others[apart > 1.0]], np.exp(-0.25 * (SIGMA_TO_FWHM * apart[apart > 1.0]) ** 2)
        gain[k] = max(gain[k], ((a**2 + b**2 - 2.0 * rho * a * b) / (1.0 - rho**2)).max(initial=0.0))
    return gain


def _is_other_and_point(found: Found, believed: BoolArray, members: BoolArray, significance: FloatArray) -> BoolArray:
    """Which fits explain less than another does with a point that it lacks: they ran over from one to the other.

    Both gains add, for such a point is a FWHM or more from the other trail.
    """
    is_less, trails = np.zeros(len(believed), np.bool_), np.flatnonzero(believed)
    for k in trails:
        others = trails[members[k, trails]]
        lacks = np.where(members[k] & ~members[others], significance**2, 0.0).max(axis=1, initial=0.0)
        is_less[k] = (found.gain[others] + lacks > found.gain[k])[lacks > 0.0].any()
    return is_less


def _owners(found: Found, believed: BoolArray, members: BoolArray) -> IntArray:
    """Of each source the one that its trail is told of with, -1 for its own or none: the best fit takes its members."""
    owner, trails = np.full(len(believed), -1), np.flatnonzero(believed)
    for k in trails[np.argsort(-found.gain[trails], kind="stable")]:
        if owner[k] < 0:
            taken = members[k] & (owner < 0)
            taken[k] = False
            owner[taken] = k
    return owner


def _places(found: Found, planes: Planes) -> Columns:
    """Fluxes and pixel coordinates."""
    x, y = (found.middle + np.array([planes.box.x0, planes.box.y0])).T
    dx, dy = found.extent.T
    error = np.sqrt(np.einsum("nii->in", found.covariance))
    return {
        "trailFlux": found.flux * _unbiased(found.snr),
        "trailFluxErr": error[0],
        "trailChi2": found.chi2,
        "trailNdata": found.n_used,
        "trailAlgorithm": np.where(found.n_used > 0, LINE_WITH_PSF, 0),
        "dp_trailX": x,
        "dp_trailY": y,
        "dp_trailDx": dx,
        "dp_trailDy": dy,
        "dp_trailDxErr": error[3],
        "dp_trailDyErr": error[4],
        "dp_trailDxDyCov": found.covariance[:, 3, 4],
        "dp_trailX0": x - 0.5 * dx,
        "dp_trailY0": y - 0.5 * dy,
        "dp_trailX1": x + 0.5 * dx,
        "dp_trailY1": y + 0.5 * dy,
    }


def _unbiased(snr: FloatArray) -> FloatArray:
    """What to multiply fluxes with: the place, of four coordinates, was chosen to explain most, χ²₄/2 = 2 too much."""
    with np.errstate(invalid="ignore"):
        return np.where(snr > 4.0, 1.0 - 2.0 / snr**2, 1.0)


def _flags(columns: Columns, planes: Planes, *, is_trail: BoolArray, fwhm: float, options: Trails) -> Columns:
    """What is to be said against a trail."""
    height, width = planes.image.shape
    ends_x = np.stack([columns["dp_trailX0"], columns["dp_trailX1"]]) - planes.box.x0
    ends_y = np.stack([columns["dp_trailY0"], columns["dp_trailY1"]]) - planes.box.y0
    with np.errstate(invalid="ignore"):
        inside = np.minimum(np.minimum(ends_x, width - 1 - ends_x), np.minimum(ends_y, height - 1 - ends_y)).min(axis=0)
        length = np.hypot(columns["dp_trailDx"], columns["dp_trailDy"])
        return {
            "trail_flag": ~is_trail,
            "trail_flag_edge": inside < fwhm,
            "dp_trail_flag_offImage": inside < -0.5,
            "dp_trail_flag_suspectLongTrail": length > options.suspect_fwhm * fwhm,
        }
