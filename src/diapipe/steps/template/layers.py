"""Blend: images summed up on one grid, each with the weight that it has where it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from diapipe.images import Exposure, MaskedImage, MaskPlane, ObservationInfo
from diapipe.images.mask import UNUSABLE
from diapipe.images.psf import BlendedPart, BlendedPsf
from diapipe.images.weight_map import WeightMap
from diapipe.numerics import blending
from diapipe.numerics.arrays import Float32Array, FloatArray
from diapipe.numerics.noise import mean_correlation
from diapipe.numerics.resample_rows import Planes
from diapipe.numerics.stats import median, thinned
from diapipe.numerics.threads import over_bands
from diapipe.steps.template.grid import Grid
from diapipe.steps.template.scales import FluxScale

CELL_PX = 8
"""Side of the cells at whose centres weights are kept."""

LEAST_PIXELS = 2000
"""Pixels of an overlap from which the correlation of its noise is measured: it is then known to 0.05."""

SAMPLED_PIXELS = 1_000_000
"""Of larger overlaps rows are left out."""


@dataclass(slots=True, eq=False)
class Blend:
    """Layers summed up on a grid, and what is to be known of them afterwards; it grows by `add`.

    Attributes
    ----------
    grid
        Where they are.
    feather_px
        Over which a layer fades out towards its border.
    n_threads
        Threads to run at once.
    scale
        Flux scale of the layers, once it is known.
    parts
        PSFs with their weights.
    """

    grid: Grid
    feather_px: float
    n_threads: int = 1
    scale: FluxScale | None = None
    parts: list[BlendedPart] = field(default_factory=list)
    _sums: blending.Sums = field(init=False)
    _variance: float = 1.0
    _correlations: list[tuple[float, FloatArray | None]] = field(default_factory=list)
    _visits: set[int] = field(default_factory=set)
    _has_psf: bool = True
    _info: ObservationInfo | None = None

    def __post_init__(self) -> None:
        self._sums = blending.nothing_summed(self.grid.box.shape)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added yet."""
        return not self._correlations

    def add(self, layer: Exposure, *, dx: float = 0.0, dy: float = 0.0) -> None:
        """Add an image that is on the grid, on a part of its box."""
        pixels = layer.masked_image
        planes = Planes(pixels.image, pixels.variance, pixels.mask)
        weight = self._weights(pixels)
        if weight is None:
            return
        rows, columns = pixels.box.slices_in(self.grid.box)
        alike = self._alikeness(planes, layer, (rows, columns))

        def work(first: int, last: int) -> None:
            blending.add_layer(
                planes, weight, CELL_PX, columns.start, rows.start, alike, int(UNUSABLE), self._sums, first, last
            )

        over_bands(work, pixels.shape[0], n_threads=self.n_threads)
        self._remember(layer, weight, dx, dy)

    def _weights(self, pixels: MaskedImage) -> Float32Array | None:
        """Feathered inverse variances over the whole grid, in units of the first layer's; None if it has no pixel."""
        planes = Planes(pixels.image, pixels.variance, pixels.mask)
        rows, columns = pixels.box.slices_in(self.grid.box)
        missing = blending.missing_shares(planes, self.grid.box.shape, CELL_PX, columns.start, rows.start)
        weight = blending.feathered_weights(missing, step=CELL_PX, feather_px=self.feather_px)
        typical = median(thinned(pixels.variance, 100_000))
        if not weight.any() or not typical > 0:
            return None
        if self.is_empty:
            self._variance = typical
        return np.asarray(weight * np.float32(self._variance / typical), dtype=np.float32)

    def _alikeness(self, planes: Planes, layer: Exposure, part: tuple[slice, slice]) -> float:
        """Correlation of the layer's noise with what is summed up: measured, else by the visits that they share."""
        if self.is_empty:
            return 0.0
        ignored = int(UNUSABLE | MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
        rows, columns = part
        some = slice(rows.start, rows.stop, max(1, planes.image.size // SAMPLED_PIXELS))
        before = blending.blended(blending.cut(self._sums, some, columns), no_data=int(MaskPlane.NO_DATA))
        step = some.step
        layer_rows = Planes(planes.image[::step], planes.variance[::step], planes.mask[::step])
        measured = blending.noise_alikeness(before, layer_rows, ignored=ignored, least_pixels=LEAST_PIXELS)
        if measured is not None:
            return measured
        if not (layer.inputs and self._visits):
            return 1.0
        shared = len(self._visits & set(layer.inputs))
        return shared / float(np.sqrt(len(self._visits) * len(set(layer.inputs))))

    def _remember(self, layer: Exposure, weight: Float32Array, dx: float, dy: float) -> None:
        middle = 0.5 * (CELL_PX - 1)
        at = WeightMap(weight, self.grid.box.x0 + middle, self.grid.box.y0 + middle, float(CELL_PX))
        if layer.psf is None:
            self._has_psf = False
        else:
            self.parts.append(BlendedPart(psf=layer.psf, weight=at, dx=dx, dy=dy))
        self._correlations.append((float(weight.sum()), layer.noise_correlation))
        self._visits |= set(layer.inputs)
        self._info = layer.info if self._info is None else ObservationInfo(band=self._info.band or layer.info.band)

    def exposure(self, name: str) -> Exposure:
        """What the layers make; without any, no pixel has a value."""
        planes = blending.blended(self._sums, no_data=int(MaskPlane.NO_DATA))
        return Exposure(
            name=name,
            masked_image=MaskedImage(planes.image, planes.mask, planes.variance, self.grid.box),
            wcs=self.grid.wcs,
            psf=self._psf(),
            photo_calib=None if self.scale is None else self.scale.calib,
            unit="adu" if self.scale is None else self.scale.unit,
            noise_correlation=mean_correlation(self._correlations),
            info=self._info or ObservationInfo(),
            inputs=tuple(sorted(self._visits)),
        )

    def _psf(self) -> BlendedPsf | None:
        return BlendedPsf(tuple(self.parts)) if self._has_psf and self.parts else None
