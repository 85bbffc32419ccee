"""The PSF of an image from its stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import spatial

from diapipe.errors import TooFewStarsError, counted
from diapipe.images import UNUSABLE, Box, MaskedImage, PolynomialPsf
from diapipe.images.fields import ImageField, field_terms
from diapipe.images.psf import SIGMA_TO_FWHM
from diapipe.numerics import polynomials, psf_model, star_stamps
from diapipe.numerics.arrays import BoolArray, FloatArray, IntArray
from diapipe.steps.characterize.sources import Sources
from diapipe.steps.limits import Limited


@dataclass(frozen=True, slots=True, kw_only=True)
class PsfModel(Limited):
    """How the PSF is modelled.

    Attributes
    ----------
    max_stars, min_stars
        At most and at least so many stars.
    half_size_fwhm
        Half-width of the PSF image, in FWHM; it stays between ``min_half_pixels`` and ``max_half_pixels``.
    max_order
        Highest order of the variation over the image; cross-validation may choose a lower one.
    stars_per_term
        Stars needed for each polynomial term.
    rounds
        Times that the model is fitted and its worst stars are put aside.
    clip_sigma
        A star whose chi2 is this far above the median, in units of the scatter, is put aside.
    """

    may_be_zero = ("max_order",)

    max_stars: int = 300
    min_stars: int = 3
    half_size_fwhm: float = 4.0
    min_half_pixels: int = 12
    max_half_pixels: int = 40
    max_order: int = 3
    stars_per_term: int = 3
    rounds: int = 3
    clip_sigma: float = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class PsfFit:
    """The model and the stars behind it.

    Attributes
    ----------
    used
        Indices of the sources that the final fit uses.
    stamps, fits, models
        Their cut-outs, amplitudes and drawn PSFs.
    """

    psf: PolynomialPsf
    used: IntArray
    stamps: star_stamps.Stamps
    fits: star_stamps.StarFits
    models: FloatArray


def half_size(fwhm: float, *, options: PsfModel) -> int:
    """Pixels from the centre of the PSF image to its border."""
    return int(np.clip(np.ceil(options.half_size_fwhm * fwhm), options.min_half_pixels, options.max_half_pixels))


def candidates(
    sources: Sources,
    star: BoolArray,
    worst_neighbour: FloatArray,
    shape: tuple[int, int],
    *,
    half: int,
    min_snr: float,
    options: PsfModel,
    name: str,
) -> IntArray:
    """Indices of the stars to build the PSF from: bright, isolated, spread over the image.

    Raises
    ------
    TooFewStarsError
        If fewer than ``min_stars`` can be used.
    """
    margin = min(half, 8)
    inside = (sources.x > margin) & (sources.x < shape[1] - 1 - margin)
    inside &= (sources.y > margin) & (sources.y < shape[0] - 1 - margin)
    for snr_limit, neighbour_limit in ((min_snr, 1.0), (min_snr, 4.0), (0.5 * min_snr, 4.0), (0.5 * min_snr, np.inf)):
        usable = star & inside & ~sources.is_saturated & (sources.snr > snr_limit) & (worst_neighbour < neighbour_limit)
        if usable.sum() >= 20 or (neighbour_limit == np.inf and usable.sum() >= options.min_stars):
            return _spread(sources, np.flatnonzero(usable), shape, options.max_stars)
    raise _too_few(sources, int(usable.sum()), options.min_stars, name)


def _too_few(sources: Sources, found: int, needed: int, name: str) -> TooFewStarsError:
    """Why there is no PSF, as the error to raise."""
    bright = sources.is_saturated.sum()
    if len(sources) and bright >= 0.5 * (sources.snr > 30).sum() and bright > 0 and found == 0:
        return TooFewStarsError(
            f"all {int(bright)} bright stars of {name} are saturated: {needed} unsaturated ones are needed for its PSF",
            found=found,
            needed=needed,
        )
    return TooFewStarsError(
        f"{name} has {counted(found, 'usable star')} among {counted(len(sources), 'source')}; "
        f"{needed} are needed for its PSF",
        found=found,
        needed=needed,
    )


def _spread(sources: Sources, chosen: IntArray, shape: tuple[int, int], at_most: int) -> IntArray:
    """The brightest stars, taken in turn from the cells of an 8 x 8 grid, so that no corner is left out."""
    if len(chosen) <= at_most:
        return chosen
    cell = (8 * sources.y[chosen] / shape[0]).astype(int) * 8 + (8 * sources.x[chosen] / shape[1]).astype(int)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], cell[order])
    turn = np.empty(len(chosen), np.int64)
    turn[order] = np.arange(len(chosen)) - starts
    return np.sort(chosen[np.argsort(turn, kind="stable")[:at_most]])


def without_neighbours(
    stamps: star_stamps.Stamps, sources: Sources, chosen: IntArray, *, fwhm: float
) -> star_stamps.Stamps:
    """Stamps with the pixels around other sources given weight 0."""
    size = stamps.values.shape[-1]
    half = size // 2
    weights = stamps.weights.copy()
    offset = np.arange(size) - half
    places = np.stack([sources.x, sources.y], axis=1)
    middles = np.floor(places[chosen] + 0.5)
    around = spatial.cKDTree(places).query_ball_point(middles, half + 2 * fwhm, p=np.inf, return_sorted=True)
    for i, k in enumerate(chosen):
        for j in around[i]:
            if j == k or sources.flux[j] <= 0.003 * sources.flux[k]:
                continue
            bright = np.log2(1.0 + 30.0 * sources.flux[j] / sources.flux[k])
            radius = fwhm * min(0.7 + 0.25 * bright, 3.0)
            dx, dy = places[j] - middles[i]
            away = np.hypot(offset[None, :] - dx, offset[:, None] - dy)
            own = np.hypot(offset[None, :] - stamps.dx[i], offset[:, None] - stamps.dy[i])
            weights[i][(away < radius) & (own > 0.6 * fwhm)] = 0.0
    return stamps._replace(weights=weights, values=np.where(weights > 0, stamps.values, 0.0))


def fit_psf(
    pixels: MaskedImage,
    sources: Sources,
    chosen: IntArray,
    *,
    size: float,
    half: int,
    options: PsfModel,
    name: str,
) -> PsfFit:
    """Fit the PSF to stars, twice put aside what does not fit.

    Parameters
    ----------
    pixels
        Background-subtracted, with mask and variance.
    sources, chosen
        All sources, in array coordinates, and the indices of the stars.
    size
        Determinant radius of a star in pixels.
    half
        Half-width of the PSF image.
    options
        Rounds, orders, clipping.
    name
        What messages call the image.

    Raises
    ------
    TooFewStarsError
        If fewer than ``min_stars`` have a core that no neighbour and no bad pixel touches.
    """
    fwhm = SIGMA_TO_FWHM * size
    box = pixels.box
    stamps = star_stamps.cut_stamps(
        pixels.image,
        pixels.variance,
        pixels.mask,
        int(UNUSABLE),
        x=sources.x[chosen],
        y=sources.y[chosen],
        half=half,
    )
    stamps = without_neighbours(stamps, sources, chosen, fwhm=fwhm)
    whole = (stamps.weights > 0)[:, _core(half, fwhm)].mean(axis=1) > 0.9
    n = int(whole.sum())
    if n < options.min_stars:
        raise TooFewStarsError(
            f"of the {counted(len(chosen), 'star')} of {name}, {n} have a core free of neighbours and bad pixels; "
            f"{options.min_stars} are needed for its PSF",
            found=n,
            needed=options.min_stars,
        )
    chosen, stamps = chosen[whole], _picked(stamps, whole)
    stack, weight = psf_model.mean_star(stamps, sources.flux[chosen])
    base = psf_model.fit_moffat(stack, weight, fwhm=fwhm)
    series, modes = psf_model.PsfSeries(base[None], base), psf_model.shape_modes(base)
    order = 0
    for turn in range(options.rounds):
        terms = field_terms(box, series_order(series), x=sources.x[chosen] + box.x0, y=sources.y[chosen] + box.y0)
        models = psf_model.models_at(series, terms, dx=stamps.dx, dy=stamps.dy)
        fits = star_stamps.fit_stars(stamps, models, core=2.0 * fwhm)
        keep = _sound(fits, options) if turn else fits.flux > 0
        if keep.sum() >= options.min_stars:
            chosen, stamps, fits, terms = chosen[keep], _picked(stamps, keep), _picked(fits, keep), terms[:, keep]
            models = models[keep]
        stamps = _cleaned(stamps, star_stamps.unexplained(stamps, fits, models, fwhm=fwhm, n_sigma=5.0))
        targets, weights = psf_model.centred_targets(stamps, fits, series, terms)
        if turn:
            stamps = _recentred(stamps, fits)
        place = {"x": sources.x[chosen] + box.x0, "y": sources.y[chosen] + box.y0}
        if turn < 2:
            order = _best_order(targets, weights, base, place, box, fwhm, options)
        terms = field_terms(box, order, **place)
        series = psf_model.assembled(psf_model.solve_series(targets, weights, terms, base, modes), base)
    models = psf_model.models_at(series, terms, dx=stamps.dx, dy=stamps.dy)
    fits = star_stamps.fit_stars(stamps, models, core=2.0 * fwhm)
    return PsfFit(PolynomialPsf(ImageField(series.images, box)), chosen, stamps, fits, models)


def _cleaned(stamps: star_stamps.Stamps, bad: BoolArray) -> star_stamps.Stamps:
    """Stamps without the pixels that are ``bad``."""
    return stamps._replace(weights=np.where(bad, 0.0, stamps.weights), values=np.where(bad, 0.0, stamps.values))


def series_order(series: psf_model.PsfSeries) -> int:
    """Order of the polynomial of a series."""
    return polynomials.order_of(len(series.images))


def _core(half: int, fwhm: float) -> BoolArray:
    """Pixels within one FWHM of the centre; shape (2 half + 1, 2 half + 1)."""
    return np.asarray(star_stamps.radii(2 * half + 1) <= fwhm, dtype=np.bool_)


def _picked[T: (star_stamps.Stamps, star_stamps.StarFits)](group: T, which: BoolArray) -> T:
    """The chosen entries of each array."""
    return group if which.all() else type(group)(*(part[which] for part in group))


def _recentred(stamps: star_stamps.Stamps, fits: star_stamps.StarFits) -> star_stamps.Stamps:
    """Stamps with the centroids moved by the fitted steps, at most a quarter of a pixel."""
    return stamps._replace(
        dx=stamps.dx + np.clip(fits.step_x, -0.25, 0.25), dy=stamps.dy + np.clip(fits.step_y, -0.25, 0.25)
    )


def _sound(fits: star_stamps.StarFits, options: PsfModel) -> BoolArray:
    """Stars whose chi2 is not far above that of the others, that shine and stay in place."""
    log_chi2 = np.log(np.maximum(fits.chi2, 1e-3))
    middle = np.median(log_chi2)
    spread = max(1.4826 * float(np.median(np.abs(log_chi2 - middle))), 0.1)
    sound = (log_chi2 < middle + options.clip_sigma * spread) & (fits.flux > 0)
    return np.asarray(sound & (np.hypot(fits.step_x, fits.step_y) < 0.7), dtype=np.bool_)


def _best_order(
    targets: FloatArray,
    weights: FloatArray,
    base: FloatArray,
    place: dict[str, FloatArray],
    box: Box,
    fwhm: float,
    options: PsfModel,
) -> int:
    """Order whose PSF predicts stars that it has not seen best."""
    half = targets.shape[-1] // 2
    inner = slice(half - min(half, round(1.5 * fwhm)), half + min(half, round(1.5 * fwhm)) + 1)
    core = np.s_[..., inner, inner]
    modes = psf_model.shape_modes(base)[core]
    targets, weights, base = targets[core], weights[core], base[core]
    best, least = 0, np.inf
    for order in range(options.max_order + 1):
        if len(targets) < 2 * options.stars_per_term * polynomials.n_terms(order) and order > 0:
            break
        error = psf_model.held_out_error(targets, weights, field_terms(box, order, **place), base, modes)
        if error < least:
            best, least = order, error
    return best
