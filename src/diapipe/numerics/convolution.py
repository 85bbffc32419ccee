"""Convolution of an image with a kernel that varies smoothly over it.

The kernel is a series K(u, v; x, y) = Σ_t f_t(x, y) K_t(u, v) of polynomials f_t. The image is cut into tiles that
overlap by the kernel's size and fit into a processor's cache, where a Fourier transform costs a third of what it does
on a whole image. On a tile the series is written anew in polynomials of the tile's own coordinates: close up hardly
more than a constant and two slopes are left of it, and every term dropped is known to be small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from diapipe.numerics import polynomials
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray
from diapipe.numerics.jit import jit
from diapipe.numerics.threads import over_bands

TILE = 256
"""Side of a tile, the overlap included: its spectra fit into a second-level cache."""

OVERLAPS = 4
"""A tile is at least this many times as wide as the kernel."""

TOLERANCE = 4e-4
"""A local term whose image has a smaller norm √Σ K² than this part of the kernel's sum is left out: under the brightest
pixels that is then wrong by less than a tenth of their photon noise."""

type FieldsAt = Callable[[FloatArray, FloatArray], FloatArray]
"""Terms f_t, shape (n_terms, ny, nx), on the grid of array rows (ny, 1) and columns (1, nx)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Tiling:
    """An image cut into tiles, and the kernel series on each of them.

    Attributes
    ----------
    step
        Rows and columns of a tile without its margins.
    half
        Its margins, the half-size of the kernel.
    n
        Side of the transforms.
    responses
        For every image its kernel's transforms, real and imaginary parts in turn: shape (n_terms, n * 2 (n // 2 + 1)).
    series
        The local series, shape (n_down, n_across, n_local, n_terms); of the order that ``n_terms`` tells.
    kept
        Which local terms matter, shape (n_down, n_across, n_local).
    profiles
        Local polynomials along y and along x, shapes (order + 1, step).
    """

    step: tuple[int, int]
    half: int
    n: int
    responses: tuple[Float32Array, ...]
    series: Float32Array
    kept: BoolArray
    profiles: tuple[Float32Array, Float32Array]

    @classmethod
    def of(
        cls, shape: tuple[int, int], kernels: Sequence[FloatArray], fields_at: FieldsAt, tolerance: float
    ) -> _Tiling:
        """Cut an image of this shape into tiles; arguments as in `convolve_sum`."""
        size = max(images.shape[-1] for images in kernels)
        half, order = size // 2, polynomials.order_of(len(kernels[0]))
        useful = max(TILE, OVERLAPS * size) - 2 * half
        down, across = (-(-side // useful) for side in shape)
        step = -(-shape[0] // down), -(-shape[1] // across)
        n = fft.next_fast_len(max(step) + 2 * half, real=True)
        # tiles that fill a transform need no copy to be padded
        step = n - 2 * half, n - 2 * half
        down, across = (-(-side // n_useful) for side, n_useful in zip(shape, step, strict=True))
        series = _local_series(fields_at, order, step, (down, across))
        products = sum(flat @ flat.T for flat in (images.reshape(len(images), -1) for images in kernels))
        squares = np.einsum("yxlt,ts,yxls->yxl", series, products, series, optimize=True)
        at_y, at_x = (2.0 * (np.arange(side) + 0.5) / side - 1.0 for side in step)
        return cls(
            step,
            half,
            n,
            tuple(_response(images, half, n) for images in kernels),
            series.astype(np.float32),
            squares > tolerance**2,
            (_profiles(at_y, order), _profiles(at_x, order)),
        )

    def convolved(self, tiles: Sequence[Float32Array], place: tuple[int, int]) -> Float32Array:
        """Σ kernel ⊗ image over what the images have in row and column ``place`` of the tiling; margins are used up."""
        n, margins = self.n, 2 * self.half
        height, width = (side - margins for side in tiles[0].shape)
        along_y, along_x = self.profiles
        kept = np.flatnonzero(self.kept[place])
        whole = None if tiles[0].shape == (n, n) else (n, n)
        products = self._products([fft.rfft2(tile, whole) for tile in tiles], self.series[place][kept])
        # back along y alone: terms that differ in y only are one before the way back along x
        parts = fft.ifft(products, axis=1, overwrite_x=True)[:, margins : margins + height]
        exponents = polynomials.exponents(len(along_x) - 1)
        by_x: dict[int, NDArray[np.complex64]] = {}
        for term, part in zip(kept, parts, strict=True):
            i, j = exponents[term]
            if j:
                part *= along_y[j, :height, None]
            by_x[i] = np.add(by_x[i], part, out=by_x[i]) if i in by_x else part
        out = np.zeros((height, width), np.float32)
        for i, part in by_x.items():
            rows = fft.irfft(part, n, axis=1, overwrite_x=True)[:, margins : margins + width]
            if i:
                rows *= along_x[i, :width]
            out += rows
        return out

    def _products(self, spectra: Sequence[NDArray[np.complex64]], series: Float32Array) -> NDArray[np.complex64]:
        """Σ spectrum times response over the images, for every local term; complex, shape (n_kept, n, n // 2 + 1)."""
        total: NDArray[np.complex64] | None = None
        for spectrum, response in zip(spectra, self.responses, strict=True):
            products = (series @ response).view(np.complex64).reshape(-1, *spectrum.shape)
            products *= spectrum
            total = products if total is None else np.add(total, products, out=total)
        assert total is not None
        return total


def convolve(
    image: Float32Array,
    images: FloatArray,
    fields_at: FieldsAt,
    *,
    tolerance: float = TOLERANCE,
    n_threads: int = 1,
) -> Float32Array:
    """Convolve with a spatially varying kernel; beyond its border the image is continued by reflection.

    Parameters
    ----------
    image
        Shape (height, width), finite.
    images
        K_t, shape (n_terms, size, size), size odd; as many as a triangular polynomial series has terms.
    fields_at
        The terms f_t: polynomials of the total degree that ``n_terms`` tells.
    tolerance
        Norm of a local term that is left out, relative to the sum of the first image: counts of one image may be worth
        a thousand of the other's.
    n_threads
        Threads over rows of tiles; they change no bit of the result.

    Returns
    -------
    Float32Array
        (K ⊗ I)(y, x) = Σ K(v, u; x, y) I(y - v, x - u), the shape of ``image``.
    """
    least = tolerance * float(abs(images[0].sum()))
    return convolve_sum([image], [images], fields_at, tolerance=least, n_threads=n_threads)


def convolve_sum(
    images: Sequence[Float32Array],
    kernels: Sequence[FloatArray],
    fields_at: FieldsAt,
    *,
    tolerance: float,
    n_threads: int = 1,
) -> Float32Array:
    """Sum of images of one shape, each convolved with a kernel of its own; other arguments as in `convolve`, but for
    the ``tolerance``, which is the norm of a local term itself.
    """
    height, width = images[0].shape
    tiling = _Tiling.of((height, width), kernels, fields_at, tolerance)
    margins, (step_y, step_x) = 2 * tiling.half, tiling.step
    rows, columns = (np.pad(np.arange(side), tiling.half, mode="symmetric") for side in (height, width))
    out = np.empty((height, width), np.float32)

    def work(first: int, last: int) -> None:
        for x0 in range(0, width, step_x):
            x1 = min(x0 + step_x, width)
            tiles = [_cut(image, rows[first : last + margins], columns[x0 : x1 + margins]) for image in images]
            out[first:last, x0:x1] = tiling.convolved(tiles, (first // step_y, x0 // step_x))

    over_bands(work, height, n_threads=n_threads, band_rows=step_y)
    return out


def _response(images: FloatArray, half: int, n: int) -> Float32Array:
    """Transforms of kernel images as if they had the half-size ``half``; shape (n_terms, n * 2 (n // 2 + 1))."""
    border = half - images.shape[-1] // 2
    padded = np.pad(images.astype(np.float32), ((0, 0), (border, border), (border, border)))
    return np.asarray(fft.rfft2(padded, (n, n))).view(np.float32).reshape(len(images), -1)


def _profiles(at: FloatArray, order: int) -> Float32Array:
    """Local polynomials along one axis; shape (order + 1, n)."""
    return polynomials.chebyshev_1d(at, order).astype(np.float32)


def _local_series(fields_at: FieldsAt, order: int, step: tuple[int, int], tiles: tuple[int, int]) -> FloatArray:
    """The terms as Chebyshev series over each tile, exact for polynomials: (n_down, n_across, n_local, n_terms)."""
    n = order + 1
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    rows, columns = (
        (side * (np.arange(many)[:, None] + 0.5 * (nodes + 1.0)) - 0.5).ravel()
        for side, many in zip(step, tiles, strict=True)
    )
    fields = fields_at(rows[:, None], columns[None, :]).reshape(-1, tiles[0], n, tiles[1], n)
    at_y, at_x = np.meshgrid(nodes, nodes, indexing="ij")
    design = polynomials.chebyshev_terms(at_x, at_y, order)
    # Chebyshev polynomials are orthogonal over their nodes, so the product with the design is the fit
    weights = design / (design**2).sum(axis=(1, 2), keepdims=True)
    return np.asarray(np.einsum("tyvxu,lvu->yxlt", fields, weights, optimize=True))


def _cut(image: Float32Array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Float32Array:
    """The pixels at ``rows`` and ``columns``, which are reflected at the border of the image."""
    if rows[-1] - rows[0] == len(rows) - 1 and columns[-1] - columns[0] == len(columns) - 1:
        return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return image[np.ix_(rows, columns)]


@jit
def _fill_from_neighbours(
    image: Float32Array, bad: BoolArray, rows: FloatArray, columns: FloatArray, reach: int
) -> None:
    """Give each listed pixel the inverse-distance mean of the nearest good pixels along eight directions."""
    height, width = image.shape
    for k in range(rows.shape[0]):
        y, x = int(rows[k]), int(columns[k])
        total = 0.0
        weight = 0.0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                if dy == 0 and dx == 0:
                    continue
                for step in range(1, reach + 1):
                    yy, xx = y + dy * step, x + dx * step
                    if yy < 0 or yy >= height or xx < 0 or xx >= width:
                        break
                    if not bad[yy, xx]:
                        w = 1.0 / (step * step * (dx * dx + dy * dy))
                        total += w * image[yy, xx]
                        weight += w
                        break
        image[y, x] = np.float32(total / weight) if weight > 0.0 else np.float32(0.0)


def filled(image: Float32Array, good: BoolArray, *, reach: int = 100) -> Float32Array:
    """A copy whose bad pixels carry a smooth guess from their good neighbours; 0 where there are none within ``reach``.

    The guess only keeps a convolution from spreading a defect; the pixels stay masked.
    """
    out = image.copy()
    bad = ~good
    rows, columns = np.divmod(np.flatnonzero(bad), image.shape[1])
    _fill_from_neighbours(out, bad, rows.astype(np.float64), columns.astype(np.float64), reach)
    return out
