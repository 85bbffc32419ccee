"""StackedPsf: what a point looks like on a stack of many images, in two arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diapipe.errors import InputError, PsfUndefinedError
from diapipe.images.box import Box
from diapipe.images.fields import ImageField, field_terms
from diapipe.images.psf.base import Psf, PsfLayer
from diapipe.images.weight_map import WeightMap
from diapipe.numerics.arrays import Float32Array, FloatArray, RealArray
from diapipe.numerics.image_basis import image_basis
from diapipe.numerics.polynomials import n_terms

BASIS_TOLERANCE = 3e-3
"""Norm of what may be left out of any of a stack's images, over that of its PSF; fluxes feel its square."""

SAMPLES = 6
"""Positions along each axis of a box at which a PSF is drawn before a polynomial goes through its pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class StackedPsf(Psf):
    """Mean of the PSFs of the images of a stack, with the weights that their pixels had around the position.

    A `BlendedPsf` holds any PSFs and asks each for its image; here all are polynomials on stamps of one size, so that
    a hundred of them are two arrays on disk and one product at a position.

    Attributes
    ----------
    images
        Coefficient images of every part, shape (n, n_terms, size, size); terms as in `ImageField`.
    boxes
        The region of each part, in pixels of the stack: its polynomial holds there, and is clamped to it.
    weights
        Of each part, at the nodes of a grid, bilinear in between; not negative, float32, shape (n, n_rows, n_columns).
    x0, y0
        Position of node (0, 0).
    step
        Pixels between nodes.

    Raises
    ------
    InputError
        If there is no part, or the arrays do not fit each other.
    """

    images: FloatArray
    boxes: tuple[Box, ...]
    weights: Float32Array
    x0: float
    y0: float
    step: float

    def __post_init__(self) -> None:
        n = len(self.boxes)
        if n == 0 or len(self.images) != n or len(self.weights) != n or self.weights.ndim != 3:
            raise InputError(
                f"a StackedPsf needs images, boxes and weights of one or more parts, not of {len(self.images)}, {n} "
                f"and {len(self.weights)}"
            )
        if not (self.weights >= 0).all():
            raise InputError("a StackedPsf needs weights of 0 or more")

    @property
    def size(self) -> int:
        """Side of the kernel image in pixels."""
        return int(self.images.shape[-1])

    @property
    def is_smooth(self) -> bool:
        """Only one image's is."""
        return len(self.boxes) == 1

    @property
    def order(self) -> int:
        """Highest degree of the polynomials."""
        return ImageField(self.images[0], self.boxes[0]).order

    def weights_at(self, *, x: float, y: float) -> FloatArray:
        """Weight of every part at a position; shape (n,)."""
        rows, down = _cell(y, self.y0, self.step, self.weights.shape[1])
        columns, across = _cell(x, self.x0, self.step, self.weights.shape[2])
        corners = self.weights[:, rows][:, :, columns]
        return np.asarray(np.array([1 - down, down]) @ corners @ np.array([1 - across, across]), dtype=np.float64)

    def kernel_image(self, *, x: float, y: float) -> FloatArray:
        """The mean PSF at a position, of unit sum; where no part has a weight, as in a hole, the mean of all.

        Raises
        ------
        PsfUndefinedError
            If the polynomials have no positive sum there.
        """
        weights = self.weights_at(x=x, y=y)
        if not weights.any():
            weights = np.ones(len(weights))
        parts = np.flatnonzero(weights)
        terms = np.array([self._terms(self.boxes[part], x, y) for part in parts])
        sums = self.images[parts].sum(axis=(2, 3))
        scale = weights[parts] / np.einsum("nt,nt->n", terms, sums)
        image = np.tensordot(scale[:, None] * terms, self.images[parts], axes=2)
        total = image.sum()
        if not 0 < total < np.inf:
            raise PsfUndefinedError(f"the PSF of the stack has sum {total:.3g} at ({x:.1f}, {y:.1f}); it must be 1")
        return np.asarray(image / total, dtype=np.float64)

    def _terms(self, box: Box, x: RealArray | float, y: RealArray | float) -> FloatArray:
        """Terms of a part's polynomial, clamped to its region."""
        u, v = np.clip(x, box.x0 - 0.5, box.x1 - 0.5), np.clip(y, box.y0 - 0.5, box.y1 - 0.5)
        return field_terms(box, self.order, x=u, y=v)

    def _layers(self, x: FloatArray, y: FloatArray) -> Sequence[PsfLayer] | None:
        """One: the few images of which those of all parts are sums, the same everywhere."""
        n_parts, n_terms = self.images.shape[:2]
        basis, shares = image_basis(self.images.reshape(n_parts * n_terms, self.size, self.size), BASIS_TOLERANCE)
        shares, sums = shares.reshape(n_parts, n_terms, -1), self.images.sum(axis=(2, 3))
        weights = [WeightMap(own, self.x0, self.y0, self.step).at(x=x, y=y) for own in self.weights]
        total, found = np.sum(weights, axis=0), np.zeros((len(x), len(basis)))
        for box, weight, share, own in zip(self.boxes, weights, shares, sums, strict=True):
            weight = np.divide(weight, total, out=np.full(len(x), 1.0 / n_parts), where=total > 0.0)
            here = np.flatnonzero(weight)
            terms = self._terms(box, x[here], y[here])
            found[here] += (weight[here] / (own @ terms))[:, None] * (terms.T @ share)
        found[~np.isfinite(found).all(axis=1)] = 0.0
        return [PsfLayer(found, (shares[:, 0] / sums[:, :1]).mean(axis=0), lambda u, v: basis)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PsfPart:
    """One image of a stack, before the parts are put together.

    Attributes
    ----------
    field
        Its PSF.
    weight
        Its weight; those of one stack have the same nodes.
    """

    field: ImageField
    weight: WeightMap


def stacked_psf(parts: Sequence[PsfPart]) -> StackedPsf:
    """The PSF of a stack; stamps are padded to the largest, polynomials to the highest order."""
    if not parts:
        raise InputError("a StackedPsf needs at least one part")
    size, order = max(part.field.size for part in parts), max(part.field.order for part in parts)
    images = np.zeros((len(parts), n_terms(order), size, size))
    for image, part in zip(images, parts, strict=True):
        margin = (size - part.field.size) // 2
        inner = slice(margin, size - margin)
        image[: len(part.field.images), inner, inner] = part.field.images
    nodes = parts[0].weight
    weights = np.stack([part.weight.values for part in parts])
    return StackedPsf(images, tuple(part.field.box for part in parts), weights, nodes.x0, nodes.y0, nodes.step)


def parts_of(stack: StackedPsf) -> list[PsfPart]:
    """The parts of which a stack's PSF is the mean."""
    return [
        PsfPart(
            field=ImageField(images, box),
            weight=WeightMap(weights, stack.x0, stack.y0, stack.step),
        )
        for images, box, weights in zip(stack.images, stack.boxes, stack.weights, strict=True)
    ]


def sampled_psf(psf: Psf, box: Box, *, order: int) -> ImageField:
    """A PSF as polynomials over a box, fitted to its images at `SAMPLES` x `SAMPLES` positions.

    Of a warped PSF the images differ with the sub-pixel phase: the mean over phases is what a stack has.

    Parameters
    ----------
    psf
        Any model.
    box
        Region.
    order
        Highest degree; less where the PSF is defined at too few positions.

    Raises
    ------
    PsfUndefinedError
        If the PSF is undefined everywhere on the box.
    """
    fractions = (np.arange(SAMPLES) + 0.5) / SAMPLES
    x, y = (grid.ravel() for grid in np.meshgrid(box.x0 + fractions * box.width, box.y0 + fractions * box.height))
    x, y = np.floor(x), np.floor(y)
    images: list[FloatArray] = []
    good = np.zeros(len(x), np.bool_)
    undefined = None
    for k in range(len(x)):
        try:
            images.append(psf.kernel_image(x=float(x[k]), y=float(y[k])))
            good[k] = True
        except PsfUndefinedError as error:
            undefined = error
    if not images:
        raise PsfUndefinedError(f"the PSF is undefined everywhere on the box {box}") from undefined
    while order > 0 and len(images) < 2 * n_terms(order):
        order -= 1
    return ImageField.fitted(np.array(images), x=x[good], y=y[good], order=order, box=box)


def _cell(position: float, origin: float, step: float, n: int) -> tuple[list[int], float]:
    """The two nodes around a position along one axis, and the fraction of the way; clamped to the nodes."""
    u = min(max((position - origin) / step, 0.0), n - 1.0)
    before = min(int(u), max(n - 2, 0))
    return [before, min(before + 1, n - 1)], u - before
