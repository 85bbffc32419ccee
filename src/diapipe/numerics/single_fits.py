"""Each stamp fitted alone: its own kernel and background, how well they are determined, and what they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.kernel_fit import solved
from diapipe.numerics.kernel_penalties import Penalty
from diapipe.numerics.stamp_sums import StampSums
from diapipe.numerics.stats import clipped_mean

type ConditionKind = Literal["eigenvalue", "svd"]


@dataclass(frozen=True, slots=True, eq=False)
class SingleFits:
    """A kernel and a background for each stamp.

    Attributes
    ----------
    coefficients
        Of the basis images, then the background (0 where none was fitted); shape (n_stamps, n_basis + 1).
    """

    coefficients: FloatArray

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def kernel_sum(self) -> FloatArray:
        """Sum of each kernel; shape (n_stamps,). The first basis image alone has one."""
        return self.coefficients[:, 0]

    @property
    def background(self) -> FloatArray:
        """Constant of each stamp; shape (n_stamps,)."""
        return self.coefficients[:, -1]

    def kernels(self, images: FloatArray) -> FloatArray:
        """Kernel images for basis images of shape (n_basis, size, size); shape (n_stamps, size, size)."""
        return np.asarray(np.tensordot(self.coefficients[:, :-1], images, axes=1))

    def noise_gain(self, products: FloatArray) -> FloatArray:
        """ΣK² of each, the noise that the kernel passes on; ``products`` are the B_i · B_j. Shape (n_stamps,)."""
        kernel = self.coefficients[:, :-1]
        return np.asarray(np.einsum("ci,ij,cj->c", kernel, products, kernel, optimize=True))


def fit_each(sums: StampSums, *, penalty: Penalty | None = None, with_background: bool = True) -> SingleFits:
    """Least χ² for every stamp by itself; a matrix that cannot be inverted is, without its null space.

    Parameters
    ----------
    sums
        Normal matrices of the stamps.
    penalty
        What holds the kernels smooth.
    with_background
        Whether each stamp has a constant of its own; if not there is none.
    """
    n_basis = sums.matrix.shape[1] - 1
    used = n_basis + int(with_background)
    coefficients = np.zeros((len(sums.matrix), n_basis + 1))
    for k, (matrix, vector) in enumerate(zip(regularised(sums, penalty), sums.vector, strict=True)):
        coefficients[k, :used] = solved(matrix[:used, :used], vector[:used])
    return SingleFits(coefficients)


def regularised(sums: StampSums, penalty: Penalty | None) -> FloatArray:
    """M + λ H of every stamp; shape (n_stamps, n_basis + 1, n_basis + 1)."""
    if penalty is None:
        return sums.matrix
    matrix = sums.matrix.copy()
    for k in range(len(matrix)):
        matrix[k, :-1, :-1] += penalty.over(sums.select(np.array([k])))
    return matrix


def condition_numbers(matrices: FloatArray, *, kind: ConditionKind = "eigenvalue") -> FloatArray:
    """Largest over smallest eigenvalue, or singular value, of symmetric matrices; shape (n,).

    Of the matrices scaled to a unit diagonal, as they are solved: so the number does not depend on the unit of the
    image nor on the brightness of the star. By eigenvalues infinite where one is not positive; singular values are
    their absolute values.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.einsum("cii->ci", matrices), 1e-300))
    values = np.linalg.eigvalsh(matrices * scale[:, :, None] * scale[:, None, :])
    if kind == "svd":
        values = np.abs(values)
    smallest, largest = values.min(axis=1), values.max(axis=1)
    out = np.full(len(matrices), np.inf)
    return np.asarray(np.divide(largest, smallest, out=out, where=smallest > 0))


class ResidualMoments(NamedTuple):
    """Mean and standard deviation of the residuals in sigma; shape (n_stamps,), NaN where a stamp has no pixels."""

    mean: FloatArray
    std: FloatArray


def residual_moments(
    residuals: Float32Array, variance: Float32Array, good: BoolArray, *, core_radius: float | None = None
) -> ResidualMoments:
    """What is left of each stamp, in units of the noise.

    Parameters
    ----------
    residuals, variance
        Data minus model and the variance expected of it, shape (n_stamps, n_pixels) of square stamps.
    good
        Pixels that count.
    core_radius
        Only pixels no farther than this from the middle one along either axis; None for all.
    """
    counted = good
    if core_radius is not None:
        side = round(np.sqrt(good.shape[1]))
        near = np.abs(np.arange(side) - side // 2) <= core_radius
        counted = good & np.outer(near, near).ravel()
    n = counted.sum(axis=1).astype(np.float64)
    pull = np.where(counted, residuals / np.sqrt(np.where(counted, variance, 1.0)), 0.0).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = pull.sum(axis=1) / n
        spread = (np.where(counted, pull - mean[:, None], 0.0) ** 2).sum(axis=1) / (n - 1.0)
    return ResidualMoments(np.where(n > 0, mean, np.nan), np.where(n > 1, np.sqrt(np.abs(spread)), np.nan))


def far_from_the_others(values: FloatArray, n_sigma: float) -> BoolArray:
    """Which values lie farther than ``n_sigma`` clipped standard deviations from the clipped mean; shape (n,).

    Repeated among those that are left until none is far: each round takes out at least one, so it ends.
    """
    left = np.isfinite(values)
    while left.any():
        mean, sigma, _ = clipped_mean(values[left])
        far = left & (np.abs(values - mean) > n_sigma * sigma)
        if sigma == 0.0 or not far.any():
            break
        left &= ~far
    return ~left
