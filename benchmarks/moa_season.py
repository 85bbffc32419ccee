"""What a season of the MOA field in a repository came to: noise, detections, objects, and light curves against others'.

    python -m benchmarks.moa_season season

The repository is that of docs/tutorials/season.md, of any of its frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from astropy.table import Table, vstack
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.moa_field import VARIABLE, epochs, magnitudes
from diapipe.catalogs.light_curve import LightCurve, light_curve, nearest_object
from diapipe.images.sky import pixels_of_icrs
from diapipe.numerics.sphere import angle_of, unit_vectors
from diapipe.steps.force import forced_sources
from diapipe.tasks.repository import open_repository
from diapipe.tasks.scaled import scaled

type Array = NDArray[np.float64]

WHERE = {"instrument": "SAAO1m", "detector": 0}
PATCH = {"skymap": "survey", "tract": 0, "patch": 0}
WIDE_PX = 6.6
"""Frames of a wider PSF do not set the line between difference fluxes and the aperture's."""
RADIUS_PX = 6.0
"""Of the aperture photometry."""
N_STARS, LEAST_FRAMES = 300, 8
LEAST_SNR, BRIGHT_SNR, MOST_SNR = 10.0, 40.0, 300.0
AWAY_DEG = 2.0 / 3600.0
"""A star nearer to a DIA object may be it, or have its light."""


class AgainstAperture(NamedTuple):
    """A light curve beside the aperture photometry that comes with the data, frame by frame.

    Attributes
    ----------
    visit, fwhm_px
        Frame, and width of its PSF by the log.
    off_mag
        By how much the aperture's magnitude is fainter than what the flux on the difference tells, with one slope, one
        level and one term in the width for the light of neighbours that the circle takes in.
    """

    visit: NDArray[np.int64]
    fwhm_px: Array
    off_mag: Array


@contextmanager
def season(repo: str, output: str = "default") -> Iterator[Any]:
    """Its results, to read from."""
    with open_repository(repo) as repository:
        yield repository.clone(collections=f"diapipe/{output}")


def variable(butler: Any) -> LightCurve:
    """The forced light curve of the variable."""
    table = butler.get("dia_object_forced_source", PATCH)
    ra, dec = VARIABLE
    return light_curve(table, nearest_object(table, ra=ra, dec=dec, within_arcsec=1.0)).measured()


def against_aperture(curve: LightCurve) -> AgainstAperture:
    """The line is fitted to frames that are not wide, without those farther off than 0.15 mag."""
    log = {int(frame.number): (frame.fwhm_px, m) for frame, m in zip(epochs(), magnitudes(), strict=True)}
    width, magnitude = np.array([log[int(visit)] for visit in curve.visit]).T
    aperture = 10.0 ** (-0.4 * magnitude)
    design = np.column_stack([curve.flux / np.abs(curve.flux).max(), np.ones(len(curve)), width])
    used = width < WIDE_PX
    for _ in range(4):
        solution, *_ = np.linalg.lstsq(design[used], aperture[used], rcond=None)
        off = -2.5 * np.log10(aperture / (design @ solution))
        used = (width < WIDE_PX) & (np.abs(off) < 0.15)
    return AgainstAperture(np.asarray(curve.visit), width, off)


class InCircle(NamedTuple):
    """The variable in the aperture's own circle, without a fit but of the zero point; magnitudes.

    Attributes
    ----------
    visit
        Frame.
    off_ours
        What the matched template and the flux on the difference give within the circle, less the circle on the frame.
    off_published
        The same less the published curve, which comparison stars bring to one seeing, here our PSF.
    """

    visit: NDArray[np.int64]
    off_ours: Array
    off_published: Array


def in_circle(butler: Any, curve: LightCurve) -> InCircle:
    """Whether template and difference flux make the light that a circle of `RADIUS_PX` finds on each frame.

    Nothing of a neighbour's light is fitted away: the matched template has it, as the frame has.
    """
    log = {int(frame.number): m for frame, m in zip(epochs(), magnitudes(), strict=True)}
    found = []
    for visit, flux in zip(curve.visit, curve.flux, strict=True):
        where = WHERE | {"visit": int(visit)}
        difference, science = butler.get("difference_image", where).exposure, butler.get("visit_image", where)
        (x,), (y,) = pixels_of_icrs(difference.wcs, np.array([curve.ra]), np.array([curve.dec]))
        psf = science.psf.kernel_image(x=x, y=y)
        half = psf.shape[0] // 2
        inside = _circle(psf, x - round(x) + half, y - round(y) + half) / psf.sum()
        of_frame, of_change = (
            difference.photo_calib.mean * _circle(image.masked_image.image, x - image.box.x0, y - image.box.y0)
            for image in (science, difference)
        )
        found.append((of_frame / inside, (of_frame - of_change) / inside + flux))
    ours, made = -2.5 * np.log10(np.array(found).T)
    published = np.array([log[int(visit)] for visit in curve.visit])
    off = made - published
    return InCircle(np.asarray(curve.visit), made - ours, off - np.median(off))


def _circle(image: NDArray[np.floating[Any]], x: float, y: float) -> float:
    """Sum in a circle about a place, each pixel by a hundred points of it."""
    half = int(RADIUS_PX) + 3
    column, row = round(x), round(y)
    steps = (np.arange(10) + 0.5) / 10 - 0.5
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1]
    share = np.mean([np.hypot(dx + column + a - x, dy + row + b - y) < RADIUS_PX for a in steps for b in steps], axis=0)
    return float(np.nansum(share * image[row - half : row + half + 1, column - half : column + half + 1]))


def constant_stars(butler: Any) -> Table:
    """Forced sources, on all differences, at stars of the template's sharpest frame away from all objects."""
    chosen = butler.get("template_visits", PATCH | {"band": "I"})
    chosen = chosen[chosen["selected"]]
    stars = butler.get("single_visit_star", WHERE, visit=int(chosen["visit"][np.argmin(chosen["psfFwhm"])]))
    snr = np.asarray(stars["psfFlux"] / stars["psfFluxErr"])
    good = (stars["extendedness"] < 0.5) & ~stars["pixelFlags_saturatedCenter"]
    good &= (snr > LEAST_SNR) & (snr < MOST_SNR) & (_nearest(stars, butler.get("dia_object_summary", PATCH)) > AWAY_DEG)
    at = np.flatnonzero(good)[:: max(1, int(good.sum() / N_STARS))]
    places = Table({"diaObjectId": at + 1, "ra": stars["ra"][at], "dec": stars["dec"][at]})
    tables = []
    for ref in sorted(butler.query_datasets("difference_image"), key=lambda ref: ref.dataId["visit"]):
        where = dict(ref.dataId.required)
        summary = butler.get("visit_summary", instrument=WHERE["instrument"], visit=where["visit"])
        science = scaled(butler.get("visit_image", where), summary)
        tables.append(forced_sources(places, butler.get(ref), science=science))
    table = vstack(tables, metadata_conflicts="silent")
    return table[~np.asarray(table["psfFlux_flag"] | table["dp_badPixel"])]


def _nearest(stars: Table, objects: Table) -> Array:
    """Distance of each star to the nearest object, degrees."""
    tree = cKDTree(unit_vectors(np.asarray(objects["ra"]), np.asarray(objects["dec"])))
    return np.asarray(angle_of(tree.query(unit_vectors(np.asarray(stars["ra"]), np.asarray(stars["dec"])))[0]))


class Steadiness(NamedTuple):
    """What constant stars say of the errors.

    Attributes
    ----------
    n_stars, n_fluxes
        Of which it is.
    about_zero
        Scatter of flux / error: errors of the template, common to all frames, included.
    faint, bright
        The same of stars below and above an S/N of `BRIGHT_SNR` on the frame.
    about_mean
        Of (flux - the star's own mean) / error.
    slope_per_px
        Median size of the slopes of the stars' fluxes with the width of the PSF, in parts of their light.
    """

    n_stars: int
    n_fluxes: int
    about_zero: float
    faint: float
    bright: float
    about_mean: float
    slope_per_px: float


def steadiness(stars: Table) -> Steadiness:
    """Of the forced sources of constant stars."""
    px = {int(frame.number): frame.fwhm_px for frame in epochs()}
    ids, times = np.unique(stars["diaObjectId"], return_counts=True)
    stars = stars[np.isin(stars["diaObjectId"], ids[times >= LEAST_FRAMES])]
    own, slopes = [], []
    for one in stars.group_by("diaObjectId").groups:
        flux, err = (np.asarray(one[name], np.float64) for name in ("psfFlux", "psfFluxErr"))
        mean = np.sum(flux / err**2) / np.sum(err**-2)
        own.append((flux - mean) / err / np.sqrt(1.0 - 1.0 / len(one)))
        slope = np.polyfit([px[int(visit)] for visit in one["visit"]], flux, 1, w=1.0 / err)[0]
        slopes.append(abs(slope) / np.median(one["scienceFlux"] - one["psfFlux"]))
    pull = np.asarray(stars["psfFlux"] / stars["psfFluxErr"])
    is_bright = np.asarray(stars["scienceFlux"] / stars["scienceFluxErr"]) > BRIGHT_SNR
    return Steadiness(
        n_stars=len(own),
        n_fluxes=len(stars),
        about_zero=_width(pull),
        faint=_width(pull[~is_bright]),
        bright=_width(pull[is_bright]),
        about_mean=_width(np.concatenate(own)),
        slope_per_px=float(np.median(slopes)),
    )


def _width(values: Array) -> float:
    """Standard deviation of a Gaussian with this median size."""
    return float(1.4826 * np.median(np.abs(values)))


def frames(butler: Any) -> Table:
    """Of each frame: scatter of the difference's pixels over their error, detections, trusted ones, blanked pixels."""
    rows = []
    for ref in sorted(butler.query_datasets("difference_image"), key=lambda ref: ref.dataId["visit"]):
        pixels, found = butler.get(ref).exposure.masked_image, butler.get("dia_source", ref.dataId)
        usable = pixels.usable()
        noise = _width(pixels.image[usable] / np.sqrt(pixels.variance[usable]))
        good = int((~np.asarray(found["dp_bad"])).sum())
        rows.append((int(ref.dataId["visit"]), noise, len(found), good, 1.0 - usable.mean()))
    return Table(rows=rows, names=("visit", "noise", "detections", "trusted", "blanked"))


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repo")
    parser.add_argument("--output", default="default")
    given = parser.parse_args()
    with season(given.repo, given.output) as butler:
        table = frames(butler)
        print(f"{len(table)} frames; median, 90th percentile, most")
        for name in table.colnames[1:]:
            print(f"  {name:10}", *(f"{value:.4g}" for value in np.percentile(table[name], [50, 90, 100])))
        objects = butler.get("dia_object_summary", PATCH)
        counts = ", ".join(f"{int((objects['nDiaSources'] >= n).sum())} of {n} or more" for n in (1, 2, 5, 10, 20))
        print(f"objects by the number of their sources: {counts}")
        found = against_aperture(variable(butler))
        off = np.abs(found.off_mag)
        print(f"the variable: within 0.05 mag of the aperture on {(off < 0.05).sum()} of {len(off)} frames; beyond:")
        for visit, width, value in zip(*(values[off >= 0.05] for values in found), strict=True):
            print(f"  {visit:04d}  {width:.1f} px  {value:+.3f} mag")
        circle = in_circle(butler, variable(butler))
        for name, values in zip(circle._fields[1:], circle[1:], strict=True):
            beyond = ", ".join(
                f"{visit:04d}: {o:+.3f}" for visit, o in zip(circle.visit, values, strict=True) if abs(o) > 0.05
            )
            within = int((np.abs(values) < 0.05).sum())
            print(f"in the circle, {name}: within 0.05 mag on {within}; beyond: {beyond or 'none'}")
        print(steadiness(constant_stars(butler)))


if __name__ == "__main__":
    main()
