"""What a dipole is fitted on: the difference and the two images beneath it, their PSFs, and the noise they share."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from diapipe.images import UNUSABLE, UNUSABLE_DIFFERENCE, Difference, Exposure, MaskedImage, MaskPlane
from diapipe.images.planes import Planes
from diapipe.images.psf import ConvolvedPsf
from diapipe.images.psf.lattice import PsfLattice
from diapipe.numerics import dipole_fit, dipole_noise
from diapipe.numerics.arrays import BoolArray, Float32Array, FloatArray, IntArray
from diapipe.numerics.dipole_fit import DipoleStamps
from diapipe.numerics.dipole_kernels import PsfNodes, psf_windows
from diapipe.numerics.dipole_noise import SharedNoise
from diapipe.numerics.small_convolution import convolved_in_full
from diapipe.numerics.weighting import weighted_blocks

_POINT = np.ones((1, 1))

_FRAME_PX = 4
"""Width of the frame around a stamp that tells the light beneath it."""


class Layer(NamedTuple):
    """One of the three images.

    ``lattice`` holds the PSF at every source that is fitted, ``psf_sum`` what its images are to be divided by;
    ``noise_gain`` is the variance of the pixels over what the variance plane holds.
    """

    planes: Planes
    bits: MaskPlane
    lattice: PsfLattice
    noise_gain: float = 1.0
    psf_sum: float = 1.0


class Kernels(NamedTuple):
    """How the noise of science and of the template, before it was matched, gets into the difference and the match."""

    alpha: FloatArray
    beta: FloatArray
    gamma: FloatArray


def kernels_of(difference: Difference) -> Kernels:
    """The kernels of `diapipe.numerics.dipole_noise` at the middle of the image."""
    box = difference.exposure.box
    matching = difference.kernel.image_at(x=box.x_center, y=box.y_center)
    whitening = difference.whitening
    psi = _POINT if whitening is None else whitening.image_at(x=box.x_center, y=box.y_center)
    both = convolved_in_full(psi, matching)
    if difference.convolved == "template":
        return Kernels(psi, both, matching)
    scale = matching.sum()
    return Kernels(both / scale, psi / scale, _POINT / scale)


def layers_of(
    difference: Difference,
    science: Exposure | None,
    static: MaskedImage | Exposure | None,
    lattices: Sequence[PsfLattice | None],
    kernels: Kernels,
    x: FloatArray,
    y: FloatArray,
) -> tuple[Layer | None, Layer | None, Layer | None]:
    """Difference, science and template, None for one without pixels or PSF.

    A template that was convolved has the PSF of science; one that science was convolved to match has that of science
    after the kernel, which is looked up at parent positions ``x`` and ``y``. Its variance plane is that of before the
    match.
    """
    exposure, (seen_on_difference, seen_on_science) = difference.exposure, lattices
    assert seen_on_difference is not None
    of_difference = Layer(Planes.of(exposure.masked_image), UNUSABLE_DIFFERENCE, seen_on_difference)
    box, of_science, own, psf_sum = exposure.box, None, seen_on_science, 1.0
    if science is not None and seen_on_science is not None:
        cut = science[box] if science.box != box else science
        of_science = Layer(Planes.of(cut.masked_image), UNUSABLE, seen_on_science)
    if static is None:
        return of_difference, of_science, None
    if isinstance(static, Exposure) and static.psf is not None:
        own = PsfLattice.around(static.psf, x=x, y=y, box=box).drawn
    elif difference.convolved == "science" and science is not None and science.psf is not None:
        own = PsfLattice.around(ConvolvedPsf(science.psf, difference.kernel), x=x, y=y, box=box).drawn
        psf_sum = difference.kernel.sum
    if own is None:
        return of_difference, of_science, None
    planes = Planes.of(static.masked_image if isinstance(static, Exposure) else static)
    return of_difference, of_science, Layer(planes, UNUSABLE, own, float((kernels.gamma**2).sum()), psf_sum)


class Cutter:
    """Stamps around given pixels.

    Parameters
    ----------
    difference, science, static
        The images; ``static`` is the template on the science flux scale.
    lattices
        PSF of difference and of science at every source.
    middle
        Array indices x, y of the middles of the stamps, as real numbers; shape (n, 2).
    half
        Half-width of the stamps.
    reach
        How far from the middle a star may be drawn.
    take_planes
        Whether planes that fit the pixels around the stamps are taken off science and template.
    """

    def __init__(
        self,
        difference: Difference,
        science: Exposure | None,
        static: MaskedImage | Exposure | None,
        lattices: Sequence[PsfLattice | None],
        middle: FloatArray,
        *,
        half: int,
        reach: float,
        take_planes: bool = False,
    ) -> None:
        box = difference.exposure.box
        self.middle, self.half, self.reach, self.take_planes = middle, half, reach, take_planes
        self.shape = box.shape
        self.kernels, self.correlation = kernels_of(difference), difference.exposure.noise_correlation
        x, y = middle[:, 0] + box.x0, middle[:, 1] + box.y0
        self.layers = layers_of(difference, science, static, lattices, self.kernels, x, y)

    @functools.cached_property
    def noise(self) -> SharedNoise:
        """How the images share their noise."""
        return dipole_noise.shared_noise(2 * self.half + 1, **self.kernels._asdict(), correlation=self.correlation)

    def stamps(self, chosen: slice) -> tuple[DipoleStamps, Float32Array]:
        """Stamps of some of the sources, and the variance planes under them; shape (n, 3, m, m)."""
        middle = self.middle[chosen].astype(np.int64)
        shape = len(middle), 3, 2 * self.half + 1, 2 * self.half + 1
        values, spreads, weights = np.zeros((3, *shape), np.float32)
        for k, layer in enumerate(self.layers):
            if layer is not None:
                values[:, k], spreads[:, k], weights[:, k] = self._cut(layer, middle)
                weights[:, k] /= layer.noise_gain
        difference, science, template = (self._psfs(which, chosen) for which in range(3))
        return DipoleStamps(values, weights, (difference, science, template)), spreads

    def _cut(self, layer: Layer, middle: IntArray) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Values, variance and weights."""
        rows, columns = middle[:, 1], middle[:, 0]
        if not self.take_planes or layer is self.layers[0]:
            return weighted_blocks(
                *layer.planes.arrays, bits=int(layer.bits), rows=rows, columns=columns, half=self.half
            )
        half = self.half + _FRAME_PX
        wide = weighted_blocks(*layer.planes.arrays, bits=int(layer.bits), rows=rows, columns=columns, half=half)
        inner = slice(_FRAME_PX, -_FRAME_PX)
        values, spread, weights = (np.ascontiguousarray(block[:, inner, inner]) for block in wide)
        values -= np.where(weights > 0.0, dipole_fit.planes_of_frames(wide[0], wide[2], _FRAME_PX), np.float32(0.0))
        return values, spread, weights

    def over_edge(self, chosen: slice) -> BoolArray:
        """Whether the stamps of some of the sources reach over the edge of the image."""
        middle, last = self.middle[chosen], np.array(self.shape[::-1]) - 1
        return np.asarray(((middle < self.half) | (middle > last - self.half)).any(axis=1))

    def _psfs(self, which: int, chosen: slice) -> PsfNodes:
        """The PSF of a layer; nothing for one that is not there."""
        windows, layer = self.windows[which], self.layers[which]
        if layer is None:
            n = len(self.middle[chosen])
            return PsfNodes(windows, np.zeros((n, 4), np.int64), np.zeros((n, 4)))
        return PsfNodes(windows, layer.lattice.index[chosen], layer.lattice.weights[chosen] / layer.psf_sum)

    @functools.cached_property
    def windows(self) -> list[Float32Array]:
        """PSF images at the nodes of each layer's lattice, as the fits want them."""
        nothing = np.zeros((1, 1, 1))
        nodes = [nothing if layer is None else layer.lattice.nodes for layer in self.layers]
        return [psf_windows(images, 2 * self.half + 1, self.reach) for images in nodes]
