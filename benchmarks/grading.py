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
from diapipe.numerics.stats import robust_sigma
from diapipe.simulate.pair import SimulatedPair
from diapipe.steps import validate
from diapipe.steps.detect import MatchedFilter, detect
from diapipe.steps.validate import Judged, judge, places_of, truth_table

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
    judged = judge_pair(pair, difference, dia_sources)
    truth, sources = judged.truth, judged.sources
    wanted = truth[is_wanted(truth)]
    rays = _unmasked_rays(pair)
    is_ray = _near(places_of(sources), places_of(rays), radius=6.0) & ~np.asarray(sources["is_true"])
    good = ~np.asarray(sources["dp_bad"], dtype=bool)
    is_real = np.asarray(sources["is_true"])[good & ~is_ray]
    bias, pull, n = _flux_pulls(judged)
    bright, faint = star_chi2(pair, difference.exposure)
    ceiling = float(_near(places_of(wanted), _ceiling_detections(pair), radius=match_radius_px(pair)).mean())
    snr = np.abs(np.asarray(wanted["snr_ideal"]))
    return Grade(
        completeness=float(np.mean(wanted["is_good"])),
        ceiling_completeness=ceiling,
        attainable_completeness=min(1.0, ceiling + _gain(snr, signal_to_noise_ratio(pair))),
        purity=float(is_real.mean()),
        n_false=int(np.count_nonzero(~is_real)),
        n_sources=int(np.count_nonzero(good)),
        n_lost_to_cut=int(np.count_nonzero((wanted["diaSourceId"] != 0) & ~wanted["is_good"])),
        blanked=blanked(pair, difference.exposure),
        chi2_bright=bright,
        chi2_faint=faint,
        lag1=lag1_correlation(pair, difference.exposure),
        score_sigma=score_sigma(pair, difference.exposure),
        flux_bias=bias,
        pull_sigma=pull,
        n_pulls=n,
    )


def judge_pair(pair: SimulatedPair, difference: Difference, dia_sources: Table) -> Judged:
    """What became of the true changes; ``snr_ideal`` is their S/N on the ideal difference."""
    truth = truth_table(pair.transients, difference, name="the truth")
    truth["snr_ideal"] = pair.transients["snr_true"]
    return judge(difference, dia_sources, truth, threshold_sigma=DETECTION_SIGMA)


def is_wanted(truth: Table) -> Flags:
    """Which changes the images themselves show above the threshold, whatever was made of them."""
    return np.asarray((np.abs(np.asarray(truth["snr_ideal"])) >= DETECTION_SIGMA) & np.asarray(truth["is_known"]))


def match_radius_px(pair: SimulatedPair) -> float:
    """How near a peak of the ideal difference must be to a true change to be it, as `judge` has it of sources."""
    fwhm_px = pair.spec.science_fwhm_arcsec / pair.spec.pixel_scale_arcsec
    return validate.match_radius_px(fwhm_px)


def _unmasked_rays(pair: SimulatedPair) -> Table:
    return pair.cosmic_rays[~np.asarray(pair.cosmic_rays["masked"], dtype=bool)]


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
    _blot(sky, _unmasked_rays(pair), reach)
    assert sky.shape == box.shape
    return sky


def _blot(sky: Flags, table: Table, reach: float) -> None:
    half = int(reach)
    for x, y in places_of(table):
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
    everything = np.vstack([places_of(stars), places_of(pair.galaxies)])
    brightness = np.concatenate([flux, np.asarray(pair.galaxies["flux"], dtype=np.float64)])
    tree = cKDTree(everything)
    changes = cKDTree(np.vstack([places_of(pair.transients), places_of(_unmasked_rays(pair))]))
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


def flux_pulls(judged: Judged) -> tuple[Array, Array]:
    """Fractional flux errors of true changes of S/N above 10, and pulls of all above 7, that no other is near to."""
    truth = judged.truth
    alone = cKDTree(places_of(truth)).query(places_of(truth), k=2)[0][:, 1] > 12 if len(truth) else np.zeros(0, bool)
    kept = truth[alone & np.asarray(truth["is_good"]) & np.asarray(truth["is_known"])]
    flux, true, error, snr = (
        np.asarray(kept[name], dtype=np.float64) for name in ("measured", "flux", "measured_err", "snr_ideal")
    )
    return (flux / true - 1.0)[np.abs(snr) > 10.0], ((flux - true) / error)[np.abs(snr) > 7.0]


def _flux_pulls(judged: Judged) -> tuple[float, float, int]:
    fractional, pulls = flux_pulls(judged)
    if len(pulls) < 2:
        return float("nan"), float("nan"), len(pulls)
    return float(np.median(fractional)), robust_sigma(pulls), len(pulls)
