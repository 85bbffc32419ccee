"""Grade a difference against the truth of its simulated pair, and against the ceiling: true changes plus white
noise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray
from scipy import special
from scipy.spatial import cKDTree

from diapipe.images import UNUSABLE_DIFFERENCE, Difference, Exposure
from diapipe.simulate.pair import SimulatedPair
from diapipe.steps.detect import MatchedFilter, detect

LEAST_MATCH_RADIUS_PX = 2.5
MATCH_RADIUS_FWHM = 0.5
"""A source is a true change when its centroid lies this near to one, or that much of the science image's FWHM: at S/N 5
centroids scatter by 0.12 FWHM along either axis.
"""

DETECTION_SIGMA = MatchedFilter().threshold_sigma

type Array = NDArray[np.float64]
type Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Grade:
    """What the issue asks of a simulated pair, in its order."""

    completeness: float
    ceiling_completeness: float
    attainable_completeness: float
    purity: float
    n_false: int
    n_sources: int
    n_lost_to_cut: int
    blanked: float
    chi2_bright: float
    chi2_faint: float
    lag1: float
    score_sigma: float
    flux_bias: float
    pull_sigma: float
    n_pulls: int

    def row(self) -> dict[str, float]:
        """The values by name."""
        return asdict(self)


def grade(pair: SimulatedPair, difference: Difference, dia_sources: Table) -> Grade:
    """Grade one difference and its sources.

    Parameters
    ----------
    pair
        With its truth.
    difference
        Science minus template of the pair.
    dia_sources
        What `diapipe.steps.measure.measure` made of it.
    """
    truth = pair.transients
    snr = np.abs(np.asarray(truth["snr_true"], dtype=np.float64))
    usable = np.asarray(truth["mask"]) & int(UNUSABLE_DIFFERENCE) == 0
    wanted = (snr >= 5.0) & usable
    at = positions(truth)
    found, radius = positions(dia_sources), match_radius_px(pair)
    good = ~np.asarray(dia_sources["dp_bad"], dtype=bool)
    is_real = _near(found, at[snr > 1.0], radius=radius)
    rays = pair.cosmic_rays[~np.asarray(pair.cosmic_rays["masked"], dtype=bool)]
    is_ray = _near(found, positions(rays), radius=6.0) & ~is_real
    judged = good & ~is_ray
    detected, kept = _near(at, found, radius=radius), _near(at, found[good], radius=radius)
    bias, pull, n = _flux_pulls(pair, dia_sources, good)
    bright, faint = star_chi2(pair, difference.exposure)
    ceiling = float(_near(at, _ceiling_detections(pair), radius=radius)[wanted].mean())
    return Grade(
        completeness=float(kept[wanted].mean()),
        ceiling_completeness=ceiling,
        attainable_completeness=min(1.0, ceiling + _gain(snr[wanted], signal_to_noise_ratio(pair))),
        purity=float(is_real[judged].mean()),
        n_false=int(np.count_nonzero(~is_real[judged])),
        n_sources=int(np.count_nonzero(good)),
        n_lost_to_cut=int(np.count_nonzero(detected[wanted] & ~kept[wanted])),
        blanked=blanked(pair, difference.exposure),
        chi2_bright=bright,
        chi2_faint=faint,
        lag1=lag1_correlation(pair, difference.exposure),
        score_sigma=score_sigma(pair, difference.exposure),
        flux_bias=bias,
        pull_sigma=pull,
        n_pulls=n,
    )


def positions(table: Table) -> Array:
    """Pixel positions, shape (n, 2)."""
    return np.column_stack([np.asarray(table["x"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64)])


def match_radius_px(pair: SimulatedPair) -> float:
    """How near a source must be to a true change to be it."""
    fwhm_px = pair.spec.science_fwhm_arcsec / pair.spec.pixel_scale_arcsec
    return max(LEAST_MATCH_RADIUS_PX, MATCH_RADIUS_FWHM * fwhm_px)


def _near(these: Array, those: Array, *, radius: float) -> Flags:
    """Which of these have one of those within the radius."""
    if len(those) == 0 or len(these) == 0:
        return np.zeros(len(these), dtype=bool)
    distance, _ = cKDTree(those).query(these)
    return np.asarray(distance <= radius, dtype=bool)


def _ceiling_detections(pair: SimulatedPair) -> Array:
    """Where the same detection finds something on the ideal difference."""
    ideal = Exposure(name="ceiling", masked_image=pair.ceiling, psf=pair.science_psf)
    peaks = detect(ideal, algorithm=MatchedFilter()).footprints.peaks
    return np.column_stack([peaks.x, peaks.y])


def signal_to_noise_ratio(pair: SimulatedPair) -> float:
    """S/N of a faint point source on the best linear difference over that on the ceiling.

    No difference of images that the static sky leaves can do better than Σ |P_S P_T|² / (N_S |P_T|² + N_T |P_S|²) over
    the frequencies, the squared S/N of unit flux for the PSFs P and the noise powers N (Zackay, Ofek & Gal-Yam 2016);
    the ceiling has Σ |P_S|² / (N_S + N_T). Below one where the science image is the sharper one.
    """
    science, template = (image.masked_image.variance for image in (pair.science, pair.template))
    n_s = float(np.median(science[::8, ::8]))
    n_t = float(np.median(template[::8, ::8])) / pair.spec.template_flux_scale**2
    middle = {"x": pair.science.box.x_center, "y": pair.science.box.y_center}
    p_s, p_t = (
        np.abs(np.fft.fft2(psf_at(**middle), (128, 128))) ** 2 for psf_at in (pair.science_psf_at, pair.template_psf_at)
    )
    best = (p_s * p_t / (n_s * p_t + n_t * p_s)).sum()
    return float(np.sqrt(best / (p_s / (n_s + n_t)).sum()))


def _gain(snr: Array, ratio: float) -> float:
    """Change of the completeness where the S/N of every change is multiplied by ``ratio``, with Gaussian noise."""
    return float(np.mean(special.ndtr(ratio * snr - DETECTION_SIGMA) - special.ndtr(snr - DETECTION_SIGMA)))


def _sky(pair: SimulatedPair, difference: Exposure) -> Flags:
    """Pixels that no bright source or change is near to."""
    box = difference.box
    widest = max(pair.spec.science_fwhm_arcsec, pair.spec.template_fwhm_arcsec) / pair.spec.pixel_scale_arcsec
    reach = max(25.0, 3.5 * widest)
    sky = difference.masked_image.usable(UNUSABLE_DIFFERENCE)
    for table, faintest in ((pair.stars, 22.5), (pair.galaxies, 22.5)):
        bright = np.asarray(table["mag"]) < faintest
        _blot(sky, table[bright], reach)
    _blot(sky, pair.transients, reach)
    _blot(sky, pair.cosmic_rays[~np.asarray(pair.cosmic_rays["masked"], dtype=bool)], reach)
    assert sky.shape == box.shape
    return sky


def _blot(sky: Flags, table: Table, reach: float) -> None:
    half = int(reach)
    for x, y in positions(table):
        row, column = int(y), int(x)
        sky[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1] = False


def lag1_correlation(pair: SimulatedPair, difference: Exposure) -> float:
    """Correlation of neighbouring sky pixels, the larger of both axes in absolute value."""
    sky = _sky(pair, difference)
    pull = difference.masked_image.image / np.sqrt(difference.masked_image.variance)
    pull = np.where(sky, pull - np.median(pull[sky]), 0.0)
    total = np.mean(pull[sky] ** 2)
    along = [
        (pull[:, 1:] * pull[:, :-1])[sky[:, 1:] & sky[:, :-1]].mean() / total,
        (pull[1:] * pull[:-1])[sky[1:] & sky[:-1]].mean() / total,
    ]
    return float(max(along, key=abs))


def score_sigma(pair: SimulatedPair, difference: Exposure) -> float:
    """Scatter of the score on empty sky, by the interquartile range."""
    score = detect(difference, algorithm=MatchedFilter()).score.image
    values = score[_sky(pair, difference) & np.isfinite(score)]
    low, high = np.percentile(values, [25.0, 75.0])
    return float(0.741301 * (high - low))


def blanked(pair: SimulatedPair, difference: Exposure) -> float:
    """Share of the frame that is unusable on the difference and was usable on both inputs."""
    before = pair.science.masked_image.usable() & pair.template.masked_image.usable()
    return float((before & ~difference.masked_image.usable(UNUSABLE_DIFFERENCE)).mean())


def star_chi2(pair: SimulatedPair, difference: Exposure, *, half: int = 6) -> tuple[float, float]:
    """Mean χ² per pixel around isolated, unsaturated, constant stars: magnitude 16.2 to 18, and 18 to 21.

    A star that an unflagged cosmic ray has hit is not constant.
    """
    stars = pair.stars
    x, y, mag, flux = (np.asarray(stars[name], dtype=np.float64) for name in ("x", "y", "mag", "flux"))
    chosen = ~np.asarray(stars["saturated"], dtype=bool) & ~np.asarray(stars["is_variable"], dtype=bool)
    everything = np.vstack([positions(stars), positions(pair.galaxies)])
    brightness = np.concatenate([flux, np.asarray(pair.galaxies["flux"], dtype=np.float64)])
    tree = cKDTree(everything)
    rays = pair.cosmic_rays[~np.asarray(pair.cosmic_rays["masked"], dtype=bool)]
    changes = cKDTree(np.vstack([positions(pair.transients), positions(rays)]))
    image = difference.masked_image
    good = image.usable(UNUSABLE_DIFFERENCE)
    chi2: tuple[list[float], list[float]] = ([], [])
    for k in np.flatnonzero(chosen & (mag > 16.2) & (mag < 21.0)):
        near = [j for j in tree.query_ball_point((x[k], y[k]), 15.0) if brightness[j] > 0.01 * flux[k]]
        row, column = int(y[k] + 0.5), int(x[k] + 0.5)
        cut = np.s_[row - half : row + half + 1, column - half : column + half + 1]
        whole = good[cut].shape == (2 * half + 1, 2 * half + 1) and row >= half and column >= half
        if len(near) != 1 or not whole or not good[cut].all() or changes.query((x[k], y[k]))[0] < 12:
            continue
        chi2[0 if mag[k] < 18.0 else 1].append(float(np.mean(image.image[cut] ** 2 / image.variance[cut])))
    return float(np.mean(chi2[0] or [np.nan])), float(np.mean(chi2[1] or [np.nan]))


def flux_pulls(pair: SimulatedPair, dia_sources: Table, good: Flags) -> tuple[Array, Array]:
    """Fractional flux errors of true changes of S/N above 10, and pulls of all above 7, nearest source each."""
    truth = pair.transients
    calibration = pair.science.photo_calib
    scale = 1.0 if calibration is None or dia_sources["psfFlux"].unit != "nJy" else calibration.mean
    usable = np.asarray(truth["mask"]) & int(UNUSABLE_DIFFERENCE) == 0
    snr = np.abs(np.asarray(truth["snr_true"], dtype=np.float64))
    sources = dia_sources[good]
    if len(sources) == 0:
        return np.empty(0), np.empty(0)
    distance, nearest = cKDTree(positions(sources)).query(positions(truth))
    alone, _ = cKDTree(positions(truth)).query(positions(truth), k=2)
    chosen = usable & (distance < match_radius_px(pair)) & (alone[:, 1] > 12)
    true = np.asarray(truth["flux"], dtype=np.float64) * scale
    flux = np.asarray(sources["psfFlux"], dtype=np.float64)[nearest]
    error = np.asarray(sources["psfFluxErr"], dtype=np.float64)[nearest]
    bright = chosen & (snr > 10.0)
    return (flux / true - 1.0)[bright], ((flux - true) / error)[chosen & (snr > 7.0)]


def _flux_pulls(pair: SimulatedPair, dia_sources: Table, good: Flags) -> tuple[float, float, int]:
    fractional, pulls = flux_pulls(pair, dia_sources, good)
    if len(pulls) < 2:
        return float("nan"), float("nan"), len(pulls)
    return float(np.median(fractional)), float(0.741301 * np.subtract(*np.percentile(pulls, [75, 25]))), len(pulls)
