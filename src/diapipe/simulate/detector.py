"""A CCD: light and sky become charge, charge overflows along columns, counts are read with noise and bad columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.images import Box, ChebyshevField, MaskedImage, MaskPlane
from diapipe.numerics.arrays import BoolArray, Float32Array, MaskArray
from diapipe.numerics.jit import jit
from diapipe.simulate.cosmic_rays import CosmicRays, add_cosmic_rays
from diapipe.simulate.spec import PairSpec

_BAND_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What a frame does to light; for a coadd the sums over its exposures.

    Attributes
    ----------
    electrons_per_science_count
        Electrons here from a source that leaves one count in the science image.
    electrons_per_count
        Gain of the frame itself.
    sky_electrons, read_noise_electrons, full_well_electrons
        In a pixel.
    n_cosmic_rays, n_bad_columns
        Mean numbers on the frame.
    """

    electrons_per_science_count: float
    electrons_per_count: float
    sky_electrons: float
    read_noise_electrons: float
    full_well_electrons: float
    n_cosmic_rays: float
    n_bad_columns: float

    @classmethod
    def of_science(cls, spec: PairSpec) -> Camera:
        """One exposure."""
        return cls(
            electrons_per_science_count=spec.gain_electrons,
            electrons_per_count=spec.gain_electrons,
            sky_electrons=spec.sky_counts * spec.gain_electrons,
            read_noise_electrons=spec.read_noise_electrons,
            full_well_electrons=spec.full_well_electrons,
            n_cosmic_rays=spec.n_cosmic_rays,
            n_bad_columns=spec.n_bad_columns,
        )

    @classmethod
    def of_template(cls, spec: PairSpec) -> Camera:
        """``template_depth`` exposures added up, then scaled to the template's own counts."""
        depth, area = spec.template_depth, spec.template_scale**2
        return cls(
            electrons_per_science_count=spec.gain_electrons * depth,
            electrons_per_count=spec.gain_electrons * depth / spec.template_flux_scale,
            sky_electrons=spec.sky_counts * spec.gain_electrons * depth * area,
            read_noise_electrons=spec.read_noise_electrons * np.sqrt(depth),
            full_well_electrons=spec.full_well_electrons * depth,
            n_cosmic_rays=0.0 if spec.template_is_coadd else spec.n_cosmic_rays,
            n_bad_columns=spec.n_bad_columns,
        )

    @property
    def sky_sigma_electrons(self) -> float:
        """Noise of an empty pixel."""
        return float(np.sqrt(self.sky_electrons + self.read_noise_electrons**2))

    @property
    def saturation_counts(self) -> float:
        """Sky-subtracted counts at which a pixel overflows."""
        return (self.full_well_electrons - self.sky_electrons) / self.electrons_per_count

    def variance_counts(self, electrons: Float32Array) -> Float32Array:
        """Variance in squared counts of pixels that expect these electrons, the sky's included."""
        noise = electrons + np.float32(self.read_noise_electrons**2)
        noise *= np.float32(self.electrons_per_count**-2)
        return noise


def read_out(
    light: Float32Array,
    camera: Camera,
    *,
    background: ChebyshevField,
    unmasked_fraction: float,
    rng: np.random.Generator,
    columns_rng: np.random.Generator | None = None,
) -> tuple[MaskedImage, CosmicRays]:
    """Expose and read a frame.

    Parameters
    ----------
    light
        Expected electrons of all sources, without sky; used up (changed in place).
    camera
        What the frame does.
    background
        Smooth residual in counts that the sky subtraction leaves.
    unmasked_fraction
        Share of the cosmic rays left out of the mask.
    rng
        Noise, cosmic rays and bad columns, each from a generator of its own.
    columns_rng
        Where the bad columns come from instead, for a detector that has the same on every exposure.

    Returns
    -------
    MaskedImage
        Sky-subtracted counts; the variance is that of the noiseless expected charge, as it was collected (so a bled
        pixel has that of a full one), which keeps tests of χ² free from the bias of observed counts.
    CosmicRays
        The truth about them.
    """
    ray_rng, photon_rng, read_rng, column_rng = rng.spawn(4)
    n_rays = int(ray_rng.poisson(camera.n_cosmic_rays))
    rays = add_cosmic_rays(light, n=n_rays, unmasked_fraction=unmasked_fraction, rng=ray_rng)
    light += np.float32(camera.sky_electrons)
    charge = _poisson(light, photon_rng)
    overflown = np.zeros(light.shape, dtype=np.bool_)
    for electrons in (light, charge):
        bleed(electrons, camera.full_well_electrons, overflown)
    mask = np.where(overflown, np.int32(MaskPlane.SAT), np.int32(0))
    mask.ravel()[rays.pixels] |= np.int32(MaskPlane.CR)
    _read(charge, camera, background, read_rng)
    _spoil_columns(charge, mask, camera, columns_rng or column_rng)
    return MaskedImage.from_planes(charge, mask=mask, variance=camera.variance_counts(light)), rays


def _poisson(expected: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Poisson deviates as float32, by bands of rows to spare memory (exact: charges stay below 2^24)."""
    charge = np.empty_like(expected)
    for first in range(0, len(charge), _BAND_ROWS):
        charge[first : first + _BAND_ROWS] = rng.poisson(expected[first : first + _BAND_ROWS])
    return charge


def _read(charge: Float32Array, camera: Camera, background: ChebyshevField, rng: np.random.Generator) -> None:
    """Turn charge into sky-subtracted counts with read noise and a residual background, in place."""
    for first in range(0, len(charge), _BAND_ROWS):
        band = charge[first : first + _BAND_ROWS]
        band += np.float32(camera.read_noise_electrons) * rng.standard_normal(band.shape, dtype=np.float32)
        band -= np.float32(camera.sky_electrons)
        band /= np.float32(camera.electrons_per_count)
        band += background.over(Box.from_shape(band.shape, y0=first))


def _spoil_columns(image: Float32Array, mask: MaskArray, camera: Camera, rng: np.random.Generator) -> None:
    """Bad columns, hot or dead, from a random row to the top, one or two pixels wide; masked BAD; in place."""
    n_rows, n_columns = image.shape
    sigma = camera.sky_sigma_electrons / camera.electrons_per_count
    for _ in range(int(rng.poisson(camera.n_bad_columns))):
        column, width = int(rng.integers(n_columns)), int(rng.integers(1, 3))
        first = 0 if rng.random() < 0.5 else int(rng.integers(n_rows))
        response, offset = rng.uniform(0.0, 0.9), rng.uniform(-20.0, 60.0) * sigma
        part = np.s_[first:, column : column + width]
        image[part] = image[part] * np.float32(response) + np.float32(offset)
        mask[part] |= np.int32(MaskPlane.BAD)


@jit
def bleed(charge: Float32Array, full_well: float, overflown: BoolArray) -> None:
    """Clip pixels at the full well and let their excess run along the column, half of it either way.

    Each half fills the pixels it meets up to the full well; what reaches the frame's edge is lost. Charge is
    otherwise conserved.

    Parameters
    ----------
    charge
        Electrons, shape (rows, columns); changed in place.
    full_well
        Electrons that a pixel holds.
    overflown
        Shape (rows, columns); set to True where a pixel lost or received charge.
    """
    n_rows, n_columns = charge.shape
    excess = np.zeros(n_rows)
    touched = np.zeros(n_columns, np.bool_)
    for row in range(n_rows):
        for column in range(n_columns):
            if charge[row, column] > full_well:
                touched[column] = True
    for column in range(n_columns):
        if not touched[column]:
            continue
        for row in range(n_rows):
            over = charge[row, column] - full_well
            excess[row] = 0.5 * over if over > 0.0 else 0.0
            if over > 0.0:
                charge[row, column] = full_well
                overflown[row, column] = True
        for direction in range(2):
            carried = 0.0
            for step in range(n_rows):
                row = step if direction == 0 else n_rows - 1 - step
                carried += excess[row]
                taken = min(carried, full_well - charge[row, column])
                if taken > 0.0:
                    charge[row, column] += taken
                    carried -= taken
                    overflown[row, column] = True
