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

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.dipole_kernels import (
    COLUMNS,
    N_LINEAR,
    N_PLACE,
    PsfNodes,
    damped_steps,
    draw_and_sum,
    eliminate,
    sum_planes,
    window_side,
)

X_PLUS, Y_PLUS, X_MINUS, Y_MINUS, F_PLUS, F_MINUS = range(6)
"""The parameters that are told; six more are the two planes."""

DIFFERENCE, SCIENCE, TEMPLATE = range(3)
"""The images, in the order of every stack."""

N_TOLD = 6

_MAX_ITERATIONS = 15
_MAX_STEP_PX = 1.0
_CONVERGED = 0.01
"""A step that promises less χ² is the last: its end is right to 0.01 of the error."""

_EXCESS_SIGMA = 5.0

_LEAST_FRAME = 0.25
"""Part of a frame that must be usable."""


class DipoleStamps(NamedTuple):
    """Pixels and PSFs of n sources on the three images.

    Attributes
    ----------
    values, weights
        Pixels and their inverse variance, 0 where unusable or where there is no such image; shape (n, 3, m, m).
    psfs
        PSF on each, centred: windows of `dipole_kernels.psf_windows`.
    """

    values: Float32Array
    weights: Float32Array
    psfs: tuple[PsfNodes, PsfNodes, PsfNodes]

    @property
    def flat(self) -> tuple[Float32Array, Float32Array]:
        """Values and weights with the pixels in one row; shape (n, 3, m m)."""
        shape = len(self.values), 3, self.values.shape[-1] ** 2
        return self.values.reshape(shape), self.weights.reshape(shape)

    def of(self, which: IntArray) -> DipoleStamps:
        """Some of the sources."""
        difference, science, template = (
            psf._replace(corners=psf.corners[which], weights=psf.weights[which]) for psf in self.psfs
        )
        return DipoleStamps(self.values[which], self.weights[which], (difference, science, template))


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
        Derivatives there of the three images with their six parameters each, for unit fluxes; shape (n, 3, 6, m m).
    matrices
        Their sums of products, times the inverse variances; shape (n, 3, 6, 6).
    """

    place: FloatArray
    linear: FloatArray
    chi2: FloatArray
    n_used: IntArray
    inflation: FloatArray
    importance: FloatArray
    converged: BoolArray
    images: Float32Array
    matrices: FloatArray


def free_linear(*, separate_fluxes: bool, planes: bool) -> IntArray:
    """Which free parameter each of F₊, F₋ and the two planes' six is; -1 for one that is held at 0."""
    fluxes = [0, 1] if separate_fluxes else [0, 0]
    first = max(fluxes) + 1
    return np.array(fluxes + (list(range(first, first + 6)) if planes else [-1] * 6))


def fit_dipoles(
    stamps: DipoleStamps,
    start: FloatArray,
    *,
    max_shift: float,
    image_weight: float = 0.5,
    free: IntArray | None = None,
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
    free
        Which of the fluxes and planes are fitted (`free_linear`); all where left out.

    Notes
    -----
    An image that the model does not describe (a neighbour, a galaxy, a wrong PSF), so that its χ² exceeds the
    expectation by 5 of its scatters, has its weights divided by χ²/ν, and the fit goes on from there.
    """
    fitted = free_linear(separate_fluxes=True, planes=True) if free is None else free
    n_used = (stamps.weights > 0.0).sum(axis=(2, 3))
    importance = np.tile([1.0, image_weight, image_weight], (len(start), 1))
    space = _Workspace.of(stamps, max_shift)
    found = _search(stamps, space, importance, np.clip(start, -max_shift, max_shift), fitted, max_shift)
    ends = _ends(stamps, space, found.place)
    chi2 = _chi2(stamps, found, ends)
    freedom = np.maximum(n_used - COLUMNS.shape[1], 1)
    excessive = chi2 > freedom + _EXCESS_SIGMA * np.sqrt(2.0 * freedom)
    inflation = np.where(excessive, chi2 / freedom, 1.0)
    importance /= inflation
    again = np.flatnonzero(excessive.any(axis=1) & found.converged)
    if len(again):
        part = stamps.of(again)
        space = _Workspace.of(part, max_shift)
        better = _search(part, space, importance[again], found.place[again], fitted, max_shift)
        better_ends = _ends(part, space, better.place)
        chi2[again] = _chi2(part, better, better_ends)
        for of_all, of_part in zip([*found, *ends], [*better, *better_ends], strict=True):
            of_all[again] = of_part
    images = ends.images.reshape(len(start), 3, 6, stamps.values.shape[-1] ** 2)
    return DipoleFits(
        found.place, found.linear, chi2, n_used, inflation, importance, found.converged, images, ends.matrices
    )


class _Found(NamedTuple):
    """Where a search ended."""

    place: FloatArray
    linear: FloatArray
    converged: BoolArray


class _Workspace(NamedTuple):
    """What stars are drawn in: windows of the PSFs, and the images of one source (1, 3, 6, m, m).

    ``of_planes`` are the sums that no place changes.
    """

    windows: Float32Array
    images: Float32Array
    of_planes: tuple[FloatArray, FloatArray]

    @classmethod
    def of(cls, stamps: DipoleStamps, max_shift: float) -> _Workspace:
        """For stars up to ``max_shift`` from the middle."""
        n, side = len(stamps.values), stamps.values.shape[-1]
        wide, images = window_side(side, max_shift), _blank(stamps, 1)
        matrices, sides = np.zeros((n, 3, 6, 6)), np.zeros((n, 3, 6))
        sum_planes(images[0], *stamps.flat, matrices, sides)
        return cls(np.zeros((3, wide, wide), np.float32), images, (matrices, sides))


class _Ends(NamedTuple):
    """What the images are at the places found: their derivatives (n, 3, 6, m, m) and their normal equations."""

    images: Float32Array
    matrices: FloatArray
    sides: FloatArray


class _Solved(NamedTuple):
    """What `dipole_kernels.eliminate` finds at given places."""

    linear: FloatArray
    response: FloatArray
    gain: FloatArray
    downhill: FloatArray
    reduced: FloatArray

    def put(self, which: IntArray, other: _Solved, chosen: BoolArray) -> None:
        """Replace the entries ``which`` by the chosen ones of another."""
        for mine, theirs in zip(self, other, strict=True):
            mine[which] = theirs[chosen]


def _search(
    stamps: DipoleStamps,
    space: _Workspace,
    importance: FloatArray,
    start: FloatArray,
    free: IntArray,
    max_shift: float,
) -> _Found:
    """Levenberg–Marquardt on the places of all sources at once; those that have arrived are left alone."""
    n = len(start)
    place, damping, converged = start.copy(), np.full(n, 1e-3), np.zeros(n, np.bool_)
    active = np.arange(n)
    best = _solved(stamps, space, importance, active, place, free)
    for _ in range(_MAX_ITERATIONS):
        step, promise = np.empty((len(active), N_PLACE)), np.empty(len(active))
        damped_steps(best.reduced[active], best.downhill[active], damping[active], _MAX_STEP_PX, step, promise)
        arrived = promise < _CONVERGED
        away = ~(np.abs(place[active] + step) <= max_shift).all(axis=1)
        last = arrived & ~away
        done = active[last]
        place[done] += step[last]
        best.linear[done] += np.einsum("nlp,np->nl", best.response[done], step[last])
        converged[done] = True
        active, step = active[~(arrived | away)], step[~(arrived | away)]
        if len(active) == 0:
            break
        tried = _solved(stamps, space, importance, active, place[active] + step, free)
        better = tried.gain > best.gain[active]
        chosen = active[better]
        place[chosen] += step[better]
        best.put(chosen, tried, better)
        damping[active] *= np.where(better, 0.1, 10.0)
    return _Found(place, best.linear, converged)


def _solved(
    stamps: DipoleStamps,
    space: _Workspace,
    importance: FloatArray,
    which: IntArray,
    place: FloatArray,
    free: IntArray,
) -> _Solved:
    """The linear parameters of the chosen sources, and the system of their places."""
    n = len(which)
    matrices, sides = _summed(stamps, space, which, place)
    matrices *= importance[which][:, :, None, None]
    sides *= importance[which][:, :, None]
    solved = _Solved(
        np.empty((n, N_LINEAR)),
        np.empty((n, N_LINEAR, N_PLACE)),
        np.empty(n),
        np.empty((n, N_PLACE)),
        np.empty((n, N_PLACE + 1, N_PLACE)),
    )
    eliminate(matrices, sides, free, *solved)
    return solved


def _ends(stamps: DipoleStamps, space: _Workspace, place: FloatArray) -> _Ends:
    """The images of all sources, kept."""
    images = _blank(stamps, len(place))
    return _Ends(images, *_summed(stamps, space._replace(images=images), np.arange(len(place)), place))


def _blank(stamps: DipoleStamps, n: int) -> Float32Array:
    """Images (n, 3, 6, m, m) with their planes; the stars are drawn later."""
    side = stamps.values.shape[-1]
    images, across = np.empty((n, 3, 6, side, side), np.float32), np.linspace(-1.0, 1.0, side)
    images[:, 1:, 3], images[:, 1:, 4], images[:, 1:, 5] = 1.0, across, across[:, None]
    return images


def _summed(
    stamps: DipoleStamps, space: _Workspace, which: IntArray, place: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Sums over the pixels of the chosen sources."""
    matrices, sides = np.empty((len(which), 3, 6, 6)), np.empty((len(which), 3, 6))
    room = space.windows, space.images
    draw_and_sum(stamps.psfs, *stamps.flat, which, place, *room, space.of_planes, matrices, sides)
    return matrices, sides


def _chi2(stamps: DipoleStamps, found: _Found, ends: _Ends) -> FloatArray:
    """χ² of each image by its own variance; shape (n, 3)."""
    whole = np.concatenate([np.zeros((len(found.linear), N_PLACE)), found.linear], axis=1)[:, COLUMNS]
    explained = 2.0 * np.einsum("nik,nik->ni", ends.sides, whole)
    explained -= np.einsum("nik,nikl,nil->ni", whole, ends.matrices, whole)
    square = (stamps.weights * np.square(stamps.values, dtype=np.float64)).sum(axis=(2, 3))
    return np.asarray(square - explained)


def planes_of_frames(values: Float32Array, weights: Float32Array, width: int) -> Float32Array:
    """The plane that fits the outermost ``width`` pixels of each block (n, s, s), on the pixels within: (n, m, m).

    Where too few of them are usable to tell, 0.
    """
    side = values.shape[1]
    across = np.linspace(-1.0, 1.0, side)
    shapes = np.stack(np.broadcast_arrays(1.0, across[None, :], across[:, None]))
    frame = np.ones((side, side))
    frame[width:-width, width:-width] = 0.0
    weighed = weights * frame
    normal = np.einsum("nij,kij,lij->nkl", weighed, shapes, shapes, optimize=True)
    sides = np.einsum("nij,kij->nk", weighed * values, shapes, optimize=True)
    enough = (weighed > 0.0).sum(axis=(1, 2)) > _LEAST_FRAME * frame.sum()
    normal[~enough] = np.eye(3)
    found = np.where(enough[:, None], np.linalg.solve(normal, sides[..., None])[..., 0], 0.0)
    inner = slice(width, -width)
    return np.asarray(np.tensordot(found, shapes[:, inner, inner], axes=1), dtype=np.float32)
