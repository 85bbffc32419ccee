"""Fits of dipoles, many at once: two stars of opposite sign on a difference, one each on the images beneath it.

With P_D, P_S, P_T the PSFs of the three images, a star at p₊ with flux F₊ on science and at p₋ with F₋ on template is

    D = F₊ P_D(u - p₊) - F₋ P_D(u - p₋),   S = F₊ P_S(u - p₊) + plane,   T = F₋ P_T(u - p₋) + plane.

The difference alone fixes F times the separation of close lobes, the images beneath fix F. Fluxes and planes are linear
and solved for at every place (variable projection, in the approximation of Kaufman 1975, BIT 15, 49); the places take
Levenberg–Marquardt steps, each source with its own damping. The steps are NumPy's, on stacks of small matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.numerics.dipole_kernels import REACH, draw_lobes, sum_over_pixels

X_PLUS, Y_PLUS, X_MINUS, Y_MINUS, F_PLUS, F_MINUS = range(6)
"""The parameters that are told; six more are the two planes."""

DIFFERENCE, SCIENCE, TEMPLATE = range(3)
"""The images, in the order of every stack."""

N_PLACE, N_LINEAR, N_TOLD = 4, 8, 6
COLUMNS = np.array([[0, 1, 2, 3, 4, 5], [0, 1, 4, 6, 7, 8], [2, 3, 5, 9, 10, 11]])
"""Which of the 12 parameters each image depends on."""

_MAX_ITERATIONS = 15
_MAX_STEP_PX = 1.0
_CONVERGED = 0.01
"""A step that promises less χ² is the last: its end is right to 0.01 of the error."""

_RIDGE = 1e-10
_EXCESS_SIGMA = 5.0


class DipoleStamps(NamedTuple):
    """Pixels and PSFs of n sources on the three images.

    Attributes
    ----------
    values, weights
        Pixels and their inverse variance, 0 where unusable or where there is no such image; shape (n, 3, m, m).
    psfs
        PSF on each, centred; `reach_needed` says how large.
    """

    values: FloatArray
    weights: FloatArray
    psfs: FloatArray


class DipoleFits(NamedTuple):
    """What was found of n dipoles.

    Attributes
    ----------
    place
        x₊, y₊, x₋, y₋ from the middle of the stamps; shape (n, 4).
    linear
        F₊, F₋ and the planes of science and template; shape (n, 8).
    chi2, n_used
        χ² and pixels of each image; shape (n, 3).
    inflation
        Factor by which the variance of each image was multiplied because the model does not describe it; (n, 3).
    importance
        Factor of its inverse variance in the fit; shape (n, 3).
    converged
        Whether the fit ended where no step betters it.
    images
        What `model_images` gives there; shape (n, 3, 6, m m).
    """

    place: FloatArray
    linear: FloatArray
    chi2: FloatArray
    n_used: IntArray
    inflation: FloatArray
    importance: FloatArray
    converged: BoolArray
    images: FloatArray


class _Normal(NamedTuple):
    """Normal equations of each image for unit fluxes, and of all together."""

    matrices: FloatArray
    sides: FloatArray
    matrix: FloatArray
    side: FloatArray

    def put(self, which: BoolArray | IntArray, other: _Normal, chosen: BoolArray) -> None:
        """Replace the entries ``which`` by the chosen ones of another."""
        for mine, theirs in zip(self, other, strict=True):
            mine[which] = theirs[chosen]

    def of(self, which: IntArray) -> _Normal:
        """Some of the entries."""
        return _Normal(*(part[which] for part in self))


class _Solved(NamedTuple):
    """At fixed places: linear parameters, how they follow the places, the χ² they gain, and the system of the places
    with them eliminated.
    """

    linear: FloatArray
    response: FloatArray
    gain: FloatArray
    downhill: FloatArray
    matrix: FloatArray
    diagonal: FloatArray


def merging(*, separate_fluxes: bool) -> FloatArray:
    """Matrix that makes the linear parameters from the free ones: with one flux for both lobes, or two."""
    matrix = np.eye(N_LINEAR)
    if separate_fluxes:
        return matrix
    matrix[1, 0] = 1.0
    return np.delete(matrix, 1, axis=1)


def fit_dipoles(
    stamps: DipoleStamps,
    start: FloatArray,
    *,
    max_shift: float,
    image_weight: float = 0.5,
    separate_fluxes: bool = True,
) -> DipoleFits:
    """Fit a dipole at every source.

    Parameters
    ----------
    stamps
        The pixels.
    start
        x₊, y₊, x₋, y₋ from the middle of the stamps; shape (n, 4).
    max_shift
        A lobe farther than this from the middle of the stamp along an axis has run away: not converged.
    image_weight
        Weight of science and template beside the difference, which holds the same photons.
    separate_fluxes
        Whether the lobes may differ in flux.

    Notes
    -----
    An image that the model does not describe (a neighbour, a galaxy, a wrong PSF), so that its χ² exceeds the
    expectation by 5 of its scatters, has its weights divided by χ²/ν, and the fit goes on from there.
    """
    merge = merging(separate_fluxes=separate_fluxes)
    n_used = (stamps.weights > 0.0).sum(axis=(2, 3))
    importance = np.tile([1.0, image_weight, image_weight], (len(start), 1))
    found = _search(_weighted(stamps, importance), start, merge, max_shift)
    chi2 = _chi2(stamps, found, importance)
    freedom = np.maximum(n_used - COLUMNS.shape[1], 1)
    excessive = chi2 > freedom + _EXCESS_SIGMA * np.sqrt(2.0 * freedom)
    inflation = np.where(excessive, chi2 / freedom, 1.0)
    importance /= inflation
    again = np.flatnonzero(excessive.any(axis=1) & found.converged)
    if len(again):
        part = DipoleStamps(*(of_all[again] for of_all in stamps))
        better = _search(_weighted(part, importance[again]), found.place[again], merge, max_shift)
        chi2[again] = _chi2(part, better, importance[again])
        for of_all, of_part in zip(found, better, strict=True):
            of_all[again] = of_part
    images = model_images(stamps, np.arange(len(start)), found.place)
    return DipoleFits(found.place, found.linear, chi2, n_used, inflation, importance, found.converged, images)


def _weighted(stamps: DipoleStamps, importance: FloatArray) -> DipoleStamps:
    """The stamps with the weights of each image multiplied."""
    return stamps._replace(weights=stamps.weights * importance[:, :, None, None])


class _Found(NamedTuple):
    """Where a search ended; ``matrices`` and ``sides`` are the normal equations of each image there."""

    place: FloatArray
    linear: FloatArray
    converged: BoolArray
    matrices: FloatArray
    sides: FloatArray


def _search(stamps: DipoleStamps, start: FloatArray, merge: FloatArray, max_shift: float) -> _Found:
    """Levenberg–Marquardt on the places of all sources at once; those that have arrived are left alone."""
    n = len(start)
    place, damping, converged = start.copy(), np.full(n, 1e-3), np.zeros(n, np.bool_)
    active = np.arange(n)
    normal = _normal_equations(stamps, active, place)
    solved = _solve(normal, merge)
    linear, gain = solved.linear.copy(), solved.gain.copy()
    for _ in range(_MAX_ITERATIONS):
        step, promise = _step(solved, damping[active])
        arrived = promise < _CONVERGED
        away = (np.abs(place[active] + step) > max_shift).any(axis=1)
        last = arrived & ~away
        done = active[last]
        place[done] += step[last]
        linear[done] += np.einsum("nlp,np->nl", solved.response[last], step[last])
        converged[done] = True
        active = active[~(arrived | away)]
        if len(active) == 0:
            break
        step = step[~(arrived | away)]
        trial = _normal_equations(stamps, active, place[active] + step)
        tried = _solve(trial, merge)
        better = tried.gain > gain[active]
        chosen = active[better]
        place[chosen] += step[better]
        linear[chosen], gain[chosen] = tried.linear[better], tried.gain[better]
        normal.put(chosen, trial, better)
        damping[active] *= np.where(better, 0.1, 10.0)
        solved = _solve(normal.of(active), merge)
    return _Found(place, linear, converged, normal.matrices, normal.sides)


def model_images(stamps: DipoleStamps, which: IntArray, place: FloatArray) -> FloatArray:
    """Derivatives of the three images with their six parameters each, for unit fluxes; shape (n, 3, 6, m m)."""
    side = stamps.values.shape[-1]
    images = np.empty((len(which), 3, 6, side, side))
    draw_lobes(stamps.psfs, which, place, images)
    across = np.linspace(-1.0, 1.0, side)
    images[:, 1:, 3], images[:, 1:, 4], images[:, 1:, 5] = 1.0, across, across[:, None]
    return images.reshape(len(which), 3, 6, side * side)


def _normal_equations(stamps: DipoleStamps, which: IntArray, place: FloatArray) -> _Normal:
    """Sums over the pixels of the chosen sources."""
    images = model_images(stamps, which, place)
    matrices, sides = np.empty((len(which), 3, 6, 6)), np.empty((len(which), 3, 6))
    flat = len(stamps.values), 3, images.shape[3]
    sum_over_pixels(images, which, stamps.values.reshape(flat), stamps.weights.reshape(flat), matrices, sides)
    return _Normal(matrices, sides, *gathered(matrices, sides))


def gathered(matrices: FloatArray, sides: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Normal equations of all 12 parameters from those of the images."""
    size = N_PLACE + N_LINEAR
    matrix, side = np.zeros((len(matrices), size, size)), np.zeros((len(matrices), size))
    for image, columns in enumerate(COLUMNS):
        matrix[:, columns[:, None], columns] += matrices[:, image]
        side[:, columns] += sides[:, image]
    return matrix, side


def made_regular(matrix: FloatArray) -> FloatArray:
    """The matrix with a ridge of 1e-10 of its diagonal; a parameter that nothing depends on gets 1."""
    diagonal = np.einsum("nii->ni", matrix)
    added = np.where(diagonal > 0.0, _RIDGE * diagonal, 1.0)
    return matrix + added[:, :, None] * np.eye(matrix.shape[1])


def _solve(normal: _Normal, merge: FloatArray) -> _Solved:
    """Solve for the linear parameters and eliminate them."""
    linear_part, mixed = normal.matrix[:, N_PLACE:, N_PLACE:], normal.matrix[:, N_PLACE:, :N_PLACE]
    sides = np.concatenate([normal.side[:, N_PLACE:, None], mixed], axis=2)
    solution = merge @ np.linalg.solve(made_regular(merge.T @ linear_part @ merge), merge.T @ sides)
    linear, response = solution[:, :, 0], solution[:, :, 1:]
    flux = np.repeat(linear[:, :2], 2, axis=1)
    left = normal.side[:, :N_PLACE] - np.einsum("nlp,nl->np", mixed, linear)
    schur = normal.matrix[:, :N_PLACE, :N_PLACE] - mixed.swapaxes(1, 2) @ response
    diagonal = np.einsum("nii->ni", normal.matrix)[:, :N_PLACE] * flux**2
    return _Solved(
        linear,
        -response * flux[:, None, :],
        np.einsum("nl,nl->n", normal.side[:, N_PLACE:], linear),
        flux * left,
        flux[:, :, None] * flux[:, None, :] * schur,
        np.maximum(diagonal, 1e-12 * diagonal.max(axis=1, initial=0.0, keepdims=True) + 1e-30),
    )


def _step(solved: _Solved, damping: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The damped step of each source, no coordinate by more than a pixel, and the fall of χ² that it promises."""
    damped = solved.matrix + (damping[:, None] * solved.diagonal)[:, :, None] * np.eye(N_PLACE)
    step = np.linalg.solve(damped, solved.downhill[..., None])[..., 0]
    return np.clip(step, -_MAX_STEP_PX, _MAX_STEP_PX), np.einsum("np,np->n", step, solved.downhill)


def _chi2(stamps: DipoleStamps, found: _Found, importance: FloatArray) -> FloatArray:
    """χ² of each image by its own variance; shape (n, 3)."""
    whole = np.concatenate([np.zeros((len(found.linear), N_PLACE)), found.linear], axis=1)[:, COLUMNS]
    explained = 2.0 * np.einsum("nik,nik->ni", found.sides, whole)
    explained -= np.einsum("nik,nikl,nil->ni", whole, found.matrices, whole)
    square = (stamps.weights * stamps.values**2).sum(axis=(2, 3))
    return np.asarray(square - explained / importance)


def reach_needed(half: int, max_shift: float) -> int:
    """Half-width of the PSF images from which stamps of the half-width ``half`` can be drawn anywhere allowed."""
    return half + REACH + int(np.ceil(max_shift))
