"""Which sources are put in, and where: by a recipe, the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table

from diapipe.catalogs.injections import HOSTED, HOSTLESS, TRAILED, VARIABLE, injection_table
from diapipe.catalogs.stars import StarList
from diapipe.errors import UsageError
from diapipe.images import UNUSABLE, Exposure
from diapipe.images.sky import icrs_of
from diapipe.images.source_profile import SourceProfile, source_profiles, static_light, surface_light
from diapipe.numerics import pairs
from diapipe.numerics.arrays import BoolArray, FloatArray
from diapipe.numerics.significance import flux_of_snr
from diapipe.steps.inject.adding import photons_per_count, psf_of
from diapipe.steps.inject.hosts import on_light
from diapipe.steps.limits import Limited

_HOST_SNR, _STAR_SNR = 20.0, 30.0
"""Hosts and stars are no fainter than this."""
_EDGE_FWHM = 4.0
_TRIES = 3
"""Places tried for each that is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection(Limited):
    """How many sources, of which kinds, how bright.

    Attributes
    ----------
    area_fwhm2
        Part of the image for each source, in squares of the PSF's FWHM: few enough to leave the match of the PSFs as
        it would be without them.
    hosted, variable, trailed
        Shares of sources on galaxies, of stars that change, of what moves; the others are points on the sky. Fewer
        where there are not so many galaxies or stars.
    faded
        Share of the points that are put into the template.
    moving
        In a survey, for every source of a visit so many that cross the sky, and are on each visit where they are then;
        two images show one time, and have none.
    min_snr, max_snr
        Signal-to-noise on the image that they are put into, even in its logarithm.
    max_trail_fwhm
        Longest path, in FWHM; lengths are even from half of one on.
    max_rate_arcsec_h
        Of what crosses the sky; rates are even from 0 on.
    separation_fwhm
        No two are nearer to each other.
    seed
        The same seed gives the same sources in the same image.

    Raises
    ------
    UsageError
        If the shares are more than the whole, or the faintest is brighter than the brightest.
    """

    may_be_zero = ("hosted", "variable", "trailed", "faded", "moving", "seed")
    shares = ("hosted", "variable", "trailed", "faded", "moving")

    area_fwhm2: float = 1500.0
    hosted: float = 0.3
    variable: float = 0.15
    trailed: float = 0.1
    faded: float = 0.25
    moving: float = 0.05
    min_snr: float = 3.0
    max_snr: float = 100.0
    max_trail_fwhm: float = 5.0
    max_rate_arcsec_h: float = 60.0
    separation_fwhm: float = 8.0
    seed: int = 1

    def __post_init__(self) -> None:
        Limited.__post_init__(self)
        if self.hosted + self.variable + self.trailed > 1.0:
            raise UsageError(
                f"hosted, variable and trailed are shares of one whole; together they are "
                f"{self.hosted + self.variable + self.trailed:g}"
            )
        if self.min_snr > self.max_snr:
            raise UsageError(f"min_snr {self.min_snr:g} must not exceed max_snr {self.max_snr:g}")


def choose(exposure: Exposure, stars: StarList, *, options: Injection, rng: np.random.Generator) -> Table:
    """Sources for an exposure.

    Parameters
    ----------
    exposure
        Characterized: with PSF, variance and mask, its sky subtracted.
    stars
        Its sources; galaxies among them are hosts.
    options
        How many, how bright.
    rng
        Places, kinds, fluxes.

    Returns
    -------
    Table
        Columns of `diapipe.catalogs.injections.INJECTION`; the flux is in the exposure's unit and positive, also where
        ``is_faded``. No rows where the image is too small.

    Raises
    ------
    InputError
        If the exposure has no PSF.
    """
    psf = psf_of(exposure)
    fwhm = psf.fwhm_at(x=exposure.box.x_center, y=exposure.box.y_center)
    x, y, kind, limit = _placed(exposure, stars, fwhm, options, rng)
    n = len(x)
    length = np.where(kind == TRAILED, rng.uniform(0.5, max(options.max_trail_fwhm, 0.5), n) * fwhm, 0.0)
    columns = {"x": x, "y": y, "kind": kind, "trail_length": length, "trail_angle": rng.uniform(0.0, 180.0, n)}
    columns["trail_angle"] *= length > 0
    seen = source_profiles(psf, Table(columns))
    snr = np.exp(rng.uniform(np.log(options.min_snr), np.log(options.max_snr), n))
    static, error = static_light(exposure.masked_image, seen, correlation=exposure.noise_correlation)
    flux = np.minimum(_flux(exposure, seen, snr, error), limit)
    faded = (rng.uniform(size=n) < options.faded) & (kind != TRAILED)
    ra, dec = (np.full(n, np.nan),) * 2 if exposure.wcs is None else icrs_of(exposure.wcs, x, y)
    columns |= {"injectionId": np.arange(1, n + 1), "is_faded": faded, "ra": ra, "dec": dec}
    columns |= {"flux": flux, "static_flux": static, "surface_flux": surface_light(exposure.masked_image, x, y)}
    table = injection_table(columns, n=n, flux_unit=exposure.unit)
    return table[np.isfinite(error)]


def _placed(
    exposure: Exposure, stars: StarList, fwhm: float, options: Injection, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, np.ndarray[tuple[int], np.dtype[np.str_]], FloatArray]:
    """Places, kinds, and the largest flux each may have: a star does not change by more than itself."""
    wanted = round(exposure.box.area / (options.area_fwhm2 * fwhm**2))
    n_stars, n_hosts, n_moving = (round(wanted * s) for s in (options.variable, options.hosted, options.trailed))
    snr = stars.flux / stars.flux_err
    changing = rng.permutation(np.flatnonzero(stars.is_star & ~stars.is_saturated & (snr > _STAR_SNR)))[:n_stars]
    hosts = rng.permutation(np.flatnonzero(~stars.is_star & ~stars.is_saturated & (snr > _HOST_SNR)))
    hosts = hosts[: _TRIES * n_hosts]
    x_host, y_host = on_light(exposure.masked_image, x=stars.x[hosts], y=stars.y[hosts], fwhm=fwhm, rng=rng)
    n_free = _TRIES * wanted
    box = exposure.box
    x = [stars.x[changing], x_host, rng.uniform(box.x0, box.x1 - 1, n_free)]
    y = [stars.y[changing], y_host, rng.uniform(box.y0, box.y1 - 1, n_free)]
    rank = np.repeat(np.arange(3), [len(part) for part in x])
    places = np.stack([np.concatenate(x), np.concatenate(y)], axis=1)
    limit = np.concatenate([stars.flux[changing], np.full(len(places) - len(changing), np.inf)])
    inside = _inside(exposure, places, margin=_EDGE_FWHM * fwhm)
    places, rank, limit = places[inside], rank[inside], limit[inside]
    kept = np.flatnonzero(pairs.apart(places, radius=options.separation_fwhm * fwhm))
    hosted = kept[rank[kept] == 1][:n_hosts]
    changed = kept[rank[kept] == 0]
    free = kept[rank[kept] == 2][: wanted - len(hosted) - len(changed)]
    order = np.concatenate([changed, hosted, free])
    names = np.array([VARIABLE, HOSTED, HOSTLESS])[rank[order]]
    names[len(order) - min(n_moving, len(free)) :] = TRAILED
    return places[order, 0], places[order, 1], names, limit[order]


def _inside(exposure: Exposure, places: FloatArray, *, margin: float) -> BoolArray:
    """Places away from the border, on pixels that tell something."""
    box, good = exposure.box, exposure.masked_image.usable(UNUSABLE)
    x, y = places.T
    inside = (x > box.x0 + margin) & (x < box.x1 - 1 - margin) & (y > box.y0 + margin) & (y < box.y1 - 1 - margin)
    columns, rows = (np.floor(places[inside].T + 0.5).astype(np.int64).T - (box.x0, box.y0)).T
    inside[inside] = good[rows, columns]
    return np.asarray(inside, dtype=np.bool_)


def _flux(exposure: Exposure, seen: list[SourceProfile], snr: FloatArray, error: FloatArray) -> FloatArray:
    """Fluxes that are seen with a given signal-to-noise on this image."""
    electrons = photons_per_count(exposure)
    sharpness = np.array([(p.values**3).sum() / (p.values**2).sum() ** 2 for p in seen]) if seen else np.zeros(0)
    photons = np.zeros(len(seen)) if electrons is None else sharpness / electrons
    return flux_of_snr(snr, flux_variance=error**2, photon_variance=photons)
