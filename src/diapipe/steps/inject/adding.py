"""Light is added to an image with the photon noise that it brings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy.table import Table

from diapipe.errors import InputError
from diapipe.images import Exposure, MaskedImage, MaskPlane, Psf
from diapipe.images.source_profile import source_profiles
from diapipe.numerics.arrays import BoolArray, Float32Array
from diapipe.steps.inject.saturating import saturated, saturation_level

MARKED = 0.05
"""Pixels are INJECTED where a source has more than this part of its brightest pixel."""
_BRIGHT_SIGMA = 20.0
_FEWEST_BRIGHT = 100
_DETECTABLE = 0.1
"""Least part of a pixel's variance that must come from its light for the photons to be counted by it."""


def inject(exposure: Exposure, sources: Table, *, rng: np.random.Generator) -> Exposure:
    """The exposure with sources added.

    Each is the exposure's own PSF at its place times its flux. Where it is known how many electrons make a count
    (`photons_per_count`), their noise is added to the pixels and its variance to the variance; else the light has none.
    Where the image saturates (`saturation_level`) pixels stay at the level and are SAT, as those of a star are; charge
    does not bleed along the columns.

    Parameters
    ----------
    exposure
        With a PSF.
    sources
        ``x``, ``y`` (parent pixels of this exposure), ``flux`` (its unit, positive); ``trail_length`` and
        ``trail_angle`` (pixels, degrees) where they moved.
    rng
        Of the photons.

    Returns
    -------
    Exposure
        With `MaskPlane.INJECTED` where sources were added, and SAT where they saturate.

    Raises
    ------
    InputError
        If the exposure has no PSF, or a flux is negative or not finite.
    PsfUndefinedError
        If the PSF is not defined at a source.
    """
    flux = np.asarray(sources["flux"], dtype=np.float64)
    if not (np.isfinite(flux).all() and (flux >= 0).all()):
        raise InputError(f"fluxes to be added to {exposure.name} must be positive; one of them is {flux.min():g}")
    planes = exposure.masked_image
    light = np.zeros(planes.shape, np.float32)
    mask = planes.mask.copy()
    for value, seen in zip(flux, source_profiles(psf_of(exposure), sources), strict=True):
        part = seen.within(planes.box)
        if part is None:
            continue
        at = part.box.slices_in(planes.box)
        light[at] += value * part.values
        mask[at] |= np.where(part.values > MARKED * seen.values.max(), np.int32(int(MaskPlane.INJECTED)), 0)
    np.maximum(light, 0.0, out=light)  # a PSF that rings takes no light away
    noisy, variance = _with_photon_noise(light, photons_per_count(exposure), rng)
    added = replace(planes, image=planes.image + noisy, mask=mask, variance=planes.variance + variance)
    return replace(exposure, masked_image=_cut_off(added, light > 0, saturation_level(exposure)))


def _cut_off(planes: MaskedImage, added: BoolArray, level: float | None) -> MaskedImage:
    """The image with added light up to the level at which it saturates, and SAT there."""
    if level is None:
        return planes
    full, flagged = saturated(planes, added, level)
    if not full.any():
        return planes
    image = np.where(full, np.float32(level), planes.image)
    mask = np.where(flagged, planes.mask | np.int32(int(MaskPlane.SAT)), planes.mask)
    return replace(planes, image=image, mask=mask)


def psf_of(exposure: Exposure) -> Psf:
    """Its PSF; InputError if it has none."""
    if exposure.psf is None:
        raise InputError(f"{exposure.name} has no PSF; one is needed to put sources into it")
    return exposure.psf


def photons_per_count(exposure: Exposure) -> float | None:
    """Electrons that make a count; where the exposure does not say, by how its variance grows with its light.

    None where neither tells: fewer than 100 pixels are 20 times as bright as the noise, or their variance is no larger
    than that of others.
    """
    if exposure.info.gain is not None:
        return exposure.info.gain
    planes = exposure.masked_image
    good = planes.usable()
    if not good.any():
        return None
    image, variance = planes.image[good].astype(np.float64), planes.variance[good].astype(np.float64)
    level, base = np.median(image), np.median(variance)
    bright = image - level > _BRIGHT_SIGMA * np.sqrt(base)
    if np.count_nonzero(bright) < _FEWEST_BRIGHT:
        return None
    more = variance[bright] - base
    if np.median(more) < _DETECTABLE * base:
        return None
    return float(1.0 / np.median(more / (image[bright] - level)))


def _with_photon_noise(
    light: Float32Array, electrons: float | None, rng: np.random.Generator
) -> tuple[Float32Array, Float32Array]:
    """The light as photons bring it, and the variance that they bring."""
    if electrons is None:
        return light, np.zeros_like(light)
    drawn = light.copy()
    lit = light > 0
    drawn[lit] = rng.poisson(light[lit].astype(np.float64) * electrons) / electrons
    return drawn, light / np.float32(electrons)


def plus_light(image: Exposure, before: Exposure, after: Exposure) -> Exposure:
    """An image with what was added to its characterized twin; shapes as the image's.

    Parameters
    ----------
    image
        As it was given.
    before, after
        The twin without and with sources; where it had no value, none is added.
    """
    planes, old, new = image.masked_image, before.masked_image, after.masked_image
    marked = (new.mask & ~old.mask) & np.int32(int(MaskPlane.INJECTED | MaskPlane.SAT))
    variance = planes.variance + (new.variance - old.variance) if image.has_variance else planes.variance
    light = np.where(np.isfinite(old.image), new.image - old.image, np.float32(0.0))
    added = replace(planes, image=planes.image + light, mask=planes.mask | marked, variance=variance)
    return replace(image, masked_image=added)
