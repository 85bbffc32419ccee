"""Visits of known zero points: stars with the noise of their photons, moved by the error of their positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from diapipe.catalogs.visit_stars import VisitStars


@dataclass(frozen=True)
class Made:
    """Stars of visits, and the flux of a count of each image that they were made with."""

    stars: VisitStars
    njy_per_count: np.ndarray
    true_flux: np.ndarray
    ra: np.ndarray
    dec: np.ndarray


def made_visits(
    njy_per_count: np.ndarray,
    *,
    n_stars: int = 150,
    seed: int = 1,
    centres: np.ndarray | None = None,
    n_detectors: int = 1,
    least_snr: float = 20.0,
    noise: float = 200.0,
    shake: float = 0.0,
    variable: float = 0.0,
    outliers: float = 0.0,
    given: np.ndarray | None = None,
) -> Made:
    """Visits of fields of 0.1 degrees, detectors side by side in RA.

    Parameters
    ----------
    njy_per_count
        Of each image, visits first: shape (n_visits * n_detectors,).
    n_detectors
        Images of a visit.
    seed
        Of the generator.
    n_stars
        In each field of 0.1 x 0.1 degrees.
    centres
        Right ascension of each visit's first field, degrees; all at 30 where left out.
    least_snr
        Measurements below it are not in the list.
    noise
        Of a flux in counts, beside that of its photons.
    shake, variable, outliers
        Scatter of all logarithms beyond the errors; share of stars that vary by 0.5; share of measurements that are of
        something else.
    given
        What the files say of a count.
    """
    rng = np.random.default_rng(seed)
    n_images = len(njy_per_count)
    visit, detector = np.divmod(np.arange(n_images), n_detectors)
    start = (30.0 if centres is None else centres[visit]) + 0.1 * detector
    first, last = float(np.min(start)), float(np.max(start)) + 0.1
    n = int(n_stars * (last - first) / 0.1)
    ra, dec = rng.uniform(first, last, n), rng.uniform(-0.05, 0.05, n)
    flux = 10.0 ** rng.uniform(5.0, 7.0, n)
    is_variable = rng.uniform(size=n) < variable
    rows = []
    for image in range(n_images):
        on = np.flatnonzero((ra >= start[image]) & (ra < start[image] + 0.1))
        light = flux[on] * np.exp(rng.normal(0.0, shake, len(on)) + 0.5 * is_variable[on] * rng.normal(size=len(on)))
        counts = light / njy_per_count[image]
        error = np.sqrt(noise**2 + counts)
        seen = rng.normal(counts, error)
        lost = rng.uniform(size=len(on)) < outliers
        seen[lost] *= rng.uniform(1.3, 3.0, lost.sum())
        kept = seen > least_snr * error
        shift = rng.normal(0.0, 0.05 / 3600.0, (2, len(on)))
        rows.append(np.stack([np.full(len(on), image), ra[on] + shift[0], dec[on] + shift[1], seen, error])[:, kept])
    columns = np.concatenate(rows, axis=1)
    unknown = np.full(n_images, np.nan)
    stars = VisitStars(
        visit=visit + 1000,
        detector=detector,
        given=unknown if given is None else given,
        given_err=unknown if given is None else np.zeros(n_images),
        image=columns[0].astype(np.int64),
        ra=columns[1],
        dec=columns[2],
        flux=columns[3],
        flux_err=columns[4],
    )
    return Made(stars, njy_per_count, flux, ra, dec)


def pulls(table, made: Made) -> np.ndarray:
    """Logarithms of found over true scale, less their weighted mean, over the claimed errors."""
    found, error = np.asarray(table["nJyPerCount"]), np.asarray(table["nJyPerCountErr"])
    offset = np.log(found / made.njy_per_count)
    relative = error / found
    return (offset - np.average(offset, weights=relative**-2)) / relative
