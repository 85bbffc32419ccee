"""characterize: everything about an exposure that its file did not say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from diapipe.catalogs.stars import StarList
from diapipe.errors import InputError
from diapipe.images import ChebyshevField, Exposure, MaskedImage, MeshField, Psf
from diapipe.images.exposure import IMAGES_LEFT
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics import stats
from diapipe.numerics.arrays import BoolArray, Float32Array, MaskArray
from diapipe.numerics.threads import over_bands
from diapipe.steps.characterize import apertures, cosmic_rays, defects, psf, stars, variance
from diapipe.steps.characterize.background import BackgroundMesh, Sky, measure_sky
from diapipe.steps.characterize.findings import describe, warnings_about
from diapipe.steps.characterize.noise import NoiseCorrelation, measure_noise
from diapipe.steps.characterize.sources import SourceDetection, Sources, find_sources

SMALLEST_PIXELS = 48
"""Shorter side of the smallest image that a background and a PSF can be measured on."""


LARGEST_VALUE = 1e15
"""Typical pixel values above this have a variance that nears the largest float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Characterize:
    """Parameters of all that `characterize` does, one group a measurement."""

    background: BackgroundMesh = field(default_factory=BackgroundMesh)
    defects: defects.Defects = field(default_factory=defects.Defects)
    variance: variance.Variance = field(default_factory=variance.Variance)
    noise: NoiseCorrelation = field(default_factory=NoiseCorrelation)
    cosmic_rays: cosmic_rays.CosmicRays = field(default_factory=cosmic_rays.CosmicRays)
    detection: SourceDetection = field(default_factory=SourceDetection)
    stars: stars.StarSelection = field(default_factory=stars.StarSelection)
    psf: psf.PsfModel = field(default_factory=psf.PsfModel)
    apertures: apertures.ApertureCorrection = field(default_factory=apertures.ApertureCorrection)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Characterized:
    """An exposure of which everything is known.

    Attributes
    ----------
    exposure
        Background subtracted; with variance, mask, PSF, noise correlation and aperture corrections.
    stars
        All sources found, brightest first.
    background
        What was subtracted.
    summary
        Plain numbers and words for ``summary.json``.
    is_psf_star
        For each of ``stars``, whether the PSF was made from it; none where the exposure brought its PSF.
    """

    exposure: Exposure
    stars: StarList
    background: MeshField
    summary: dict[str, Any]
    is_psf_star: BoolArray

    def without_pixels(self) -> Characterized:
        """The same with an exposure of which only what was measured on it is left: it takes no memory."""
        empty = MaskedImage.empty(self.exposure.box)
        return replace(self, exposure=replace(self.exposure, masked_image=empty))


@dataclass(slots=True)
class _Notes:
    """What goes into the summary, collected along the way."""

    values: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def characterize(exposure: Exposure, *, options: Characterize | None = None, n_threads: int = 1) -> Characterized:
    """Measure what an exposure did not bring: sky, mask, variance, noise correlation, stars, PSF, aperture correction.

    What it brought it keeps; a variance that contradicts the scatter of the pixels is rescaled, which the summary says.

    Parameters
    ----------
    exposure
        Any image with finite pixels.
    options
        Parameters; the defaults where left out.
    n_threads
        Threads over row bands; they change no bit of the result.

    Raises
    ------
    InputError
        If the image is too small, constant or empty, or its variance is impossible.
    TooFewStarsError
        If the PSF has to be made and there are not enough stars.
    """
    options = options or Characterize()
    notes = _Notes()
    _require_an_image(exposure)
    mask, saturation = defects.flag_defects(exposure, options=options.defects)
    sky = measure_sky(exposure.masked_image.image, mask, exposure.box, options=options.background, name=exposure.name)
    image = _without_sky(exposure, sky, n_threads)
    dark = sky.dark(mask)
    # few pixels make a variance where there is none, but do not overrule one that is given
    free = sky.source_free(mask) if exposure.has_variance else dark
    size = _first_size(exposure, image, mask, dark, options)
    plane, mask = _variance(exposure, image, mask, sky, free, size, options, notes)
    noise = measure_noise(image, free, variance=plane, psf_sigma=size, options=options.noise)
    checked = variance.check(plane, mask, noise, name=exposure.name, options=options.variance)
    plane = checked.variance
    n_rays = 0
    if not exposure.has_mask:
        mask, n_rays = cosmic_rays.flag_cosmic_rays(image, plane, mask, psf_sigma=size, options=options.cosmic_rays)
    sources = find_sources(image, plane, mask, sigma=size, n_sigma=options.detection.n_sigma)
    pixels = MaskedImage(image, mask, plane, exposure.box)
    model, corrections, star_list, is_psf_star = _stars_and_psf(
        exposure, pixels, sources, size, saturation, options, notes
    )
    notes.values |= describe(sky, checked, noise, saturation, n_rays, model, star_list, exposure.box)
    notes.warnings += [exposure.metadata[IMAGES_LEFT]] if IMAGES_LEFT in exposure.metadata else []
    notes.warnings += warnings_about(checked, noise, exposure.name)
    done = replace(
        exposure,
        masked_image=pixels,
        has_variance=True,
        has_mask=True,
        psf=model,
        noise_correlation=exposure.noise_correlation if exposure.noise_correlation is not None else noise.correlation,
        aperture_corrections=corrections,
    )
    return Characterized(
        exposure=done,
        stars=star_list,
        background=sky.background,
        summary=notes.values | {"warnings": notes.warnings},
        is_psf_star=is_psf_star,
    )


def _require_an_image(exposure: Exposure) -> None:
    """Refuse what no measurement can be made on."""
    image = exposure.masked_image.image
    if min(image.shape) < SMALLEST_PIXELS:
        raise InputError(
            f"{exposure.name} has {image.shape[0]} x {image.shape[1]} pixels; "
            f"at least {SMALLEST_PIXELS} along either axis are needed"
        )
    sample = image[:: max(1, len(image) // 64)]
    if (sample[0, 0] == sample).all() and (image == image[0, 0]).all():
        raise InputError(f"all pixels of {exposure.name} have the value {image[0, 0]:g}; an image of the sky has noise")
    if not np.isfinite(sample).any() and not np.isfinite(image).any():
        raise InputError(f"{exposure.name} has no finite pixel")
    typical = float(np.median(np.abs(sample[np.isfinite(sample)]))) if np.isfinite(sample).any() else 0.0
    if typical > LARGEST_VALUE:
        raise InputError(
            f"half of the pixels of {exposure.name} are above {typical:.3g}, whose squares overflow single precision; "
            f"scale the image to values below {LARGEST_VALUE:g}"
        )


def _without_sky(exposure: Exposure, sky: Sky, n_threads: int) -> Float32Array:
    """Pixels less the background."""
    pixels = exposure.masked_image.image
    image = np.empty_like(pixels)
    level = sky.background.rows(exposure.box)

    def subtract(first: int, last: int) -> None:
        np.subtract(pixels[first:last], level(first, last), out=image[first:last])

    over_bands(subtract, len(pixels), n_threads=n_threads)
    return image


def _first_size(
    exposure: Exposure, image: Float32Array, mask: MaskArray, free: BoolArray, options: Characterize
) -> float:
    """Width of the PSF in pixels: the exposure's own, else the most frequent size of bright sources in the middle.

    Falls back to the whole image if the middle has few sources, and to the starting value if there are none at all.
    """
    if exposure.psf is not None:
        return exposure.psf.sigma_at(x=exposure.box.x_center, y=exposure.box.y_center)
    how = options.detection
    rows = np.s_[:: max(1, len(image) // 256)]
    sample = stats.thinned(image[rows][free[rows]], 100_000)
    scatter = np.subtract(*np.percentile(sample, [50.0, 15.87])) if len(sample) else 0.0
    if not scatter > 0:
        return how.first_sigma_pixels
    for side in (how.first_tile_pixels, max(image.shape)):
        cut = tuple(slice(max(0, (n - side) // 2), (n + side) // 2) for n in image.shape)
        tile = np.ascontiguousarray(image[cut])
        flat = np.full(tile.shape, scatter**2, np.float32)
        tile_mask = np.ascontiguousarray(mask[cut])
        found = find_sources(tile, flat, tile_mask, sigma=how.first_sigma_pixels, n_sigma=how.first_n_sigma)
        size, n = stars.typical_size(found, options=options.stars)
        if n >= 30 or tile.shape == image.shape:
            break
    return size if np.isfinite(size) else how.first_sigma_pixels


def _variance(
    exposure: Exposure,
    image: Float32Array,
    mask: MaskArray,
    sky: Sky,
    free: BoolArray,
    size: float,
    options: Characterize,
    notes: _Notes,
) -> tuple[Float32Array, MaskArray]:
    """The given variance, or one made from the counts; and the mask, with BAD where a given one is impossible."""
    if exposure.has_variance:
        plane = exposure.masked_image.variance
        notes.values |= {"variance_source": "given", "gain": exposure.info.gain, "gain_source": "not used"}
        return plane, variance.flag_impossible(plane, mask, exposure.name)
    measured = measure_noise(image, free, psf_sigma=size, options=options.noise).variance
    model = variance.noise_model(exposure, sky_level=sky.background.level, measured=measured, options=options.variance)
    notes.values |= {"variance_source": model.reason, "gain": model.gain, "gain_source": model.gain_source}
    if model.gain_source != "given" and model.gain_source != "option":
        notes.warnings.append(
            f"{exposure.name} does not say its gain; the variance is from the {model.reason}; "
            "if you know the gain, give it as --gain or, for the template, --template-gain"
        )
    level = sky.background.over(exposure.box) if model.with_sky else None
    of_sky = variance.of_sky(model, level, image.shape)
    return variance.with_signal(image, of_sky, gain=model.gain, n_sigma=options.variance.signal_sigma), mask


def _stars_and_psf(
    exposure: Exposure,
    pixels: MaskedImage,
    sources: Sources,
    size: float,
    saturation: defects.Saturation,
    options: Characterize,
    notes: _Notes,
) -> tuple[Psf, dict[str, ChebyshevField], StarList, BoolArray]:
    """Select the stars, model the PSF where there is none, and the aperture correction with it."""
    refined, n = stars.typical_size(sources, options=options.stars)
    size = refined if n >= 3 else size
    fwhm = SIGMA_TO_FWHM * size
    star = stars.is_star(sources, pixels.shape, size=size, options=options.stars)
    half = psf.half_size(fwhm, options=options.psf)
    neighbour = stars.contamination(sources, size=size, reach=1.5 * half, options=options.stars)
    star_list = _star_list(sources, star, neighbour < 1.0, pixels)
    corrections, is_psf_star = dict(exposure.aperture_corrections), np.zeros(len(sources), np.bool_)
    if exposure.psf is not None:
        notes.values |= {"psf_source": "given", "n_psf_stars": 0}
        return exposure.psf, corrections, star_list, is_psf_star
    chosen = psf.candidates(
        sources,
        star,
        neighbour,
        pixels.shape,
        half=half,
        min_snr=options.stars.min_snr,
        options=options.psf,
        name=exposure.name,
    )
    fit = psf.fit_psf(pixels, sources, chosen, size=size, half=half, options=options.psf, name=exposure.name)
    place = {"x": sources.x[fit.used] + pixels.box.x0, "y": sources.y[fit.used] + pixels.box.y0}
    if "psfFlux" not in corrections:
        corrections |= apertures.aperture_correction(
            fit.stamps,
            fit.fits,
            fit.models,
            **place,
            fwhm=fwhm,
            box=pixels.box,
            psf_order=fit.psf.field.order,
            options=options.apertures,
        )
    notes.values |= {
        "psf_source": "stars",
        "n_psf_stars": len(fit.used),
        "psf_order": fit.psf.field.order,
        "psf_size_px": fit.psf.size,
        "psf_chi2_median": float(np.median(fit.fits.chi2)),
        "aperture_correction": float(corrections["psfFlux"].at(x=pixels.box.x_center, y=pixels.box.y_center)),
    }
    is_psf_star[fit.used] = True
    return fit.psf, corrections, star_list, is_psf_star


def _star_list(sources: Sources, star: BoolArray, isolated: BoolArray, pixels: MaskedImage) -> StarList:
    """Sources in parent coordinates."""
    return StarList(
        x=sources.x + pixels.box.x0,
        y=sources.y + pixels.box.y0,
        flux=sources.flux,
        flux_err=sources.flux_err,
        peak=sources.peak,
        is_star=star,
        is_saturated=sources.is_saturated,
        is_isolated=isolated,
    )
