"""Pulls of forced fluxes on simulated surveys, from raw files to light curves, by band and magnitude.

    python -m benchmarks.survey_pulls --seeds 3 --out FOLDER

A survey is that of `diapipe demo` with twice its transients: six visits in two bands after the six of the template,
on four detectors. Fluxes are forced on every later difference as the task does it, at
true places: of transients, of variable and of constant stars, and where nothing is; and those of the light curves are
taken, at the places that association found. Transients in the images are few, as in the sky: were every second star
one, the others could not tell how well they subtract. So each difference is also measured with more of them added, as
light on the science image would have come through (a difference is linear in it). A survey that is in the folder
already is not made again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from astropy.table import Table, join, vstack
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.forced_pulls import with_added
from diapipe.cli.survey_files import SurveyFolder, claim, write_survey
from diapipe.cli.survey_objects import object_recovery
from diapipe.cli.survey_truth import SurveyTruth
from diapipe.images import Difference, Exposure
from diapipe.images.sky import icrs_of, pixels_of_icrs
from diapipe.simulate import SurveySpec, simulate_survey
from diapipe.simulate.moffat import MoffatFieldPsf
from diapipe.simulate.survey_visits import psf_on_detector
from diapipe.steps.force import forced_sources
from diapipe.tasks.survey_results import SurveyResults, opened_survey

type Array = NDArray[np.float64]

SPEC = SurveySpec(n_nights=6, n_transients=120, transient_max_snr=150.0, flash_fraction=0.0, n_movers=0)
"""Of what a difference takes for stars, to see how well they subtract, one in eight is a transient."""

AB_ZERO_POINT = 31.4
STARS_FROM = 1_000_000
BEYOND = 5.0
"""Pulls beyond are counted apart: few of them would be most of a width."""

MAGNITUDES = (-np.inf, 20.5, 21.5, 22.5, 23.5, 24.5, np.inf)
FAINTEST_STAR_MAG, ALONE_PX, EDGE_PX, EMPTY_STEP_PX = 24.0, 18.0, 26.0, 12.0
"""Constant stars down to here; empty places keep this far from them and from what changes, from the border, and from
each other.
"""

ADDED_STEP_PX, ADDED_MAG = 48.0, (19.5, 25.0)
"""Added sources: so far apart that no two stamps meet, on each of four grids by turns."""


def main() -> None:
    """Make the surveys that the command line asks for, and the table of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="how many surveys")
    parser.add_argument("--first-seed", type=int, default=51)
    parser.add_argument("--out", type=Path, help="folder that keeps the surveys; a temporary one where left out")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    with tempfile.TemporaryDirectory() as temporary:
        folders = [SurveyFolder((arguments.out or Path(temporary)) / f"seed{seed}") for seed in seeds]
        rows = [
            pulls_of(make(folder, SPEC, seed), SPEC, seed=seed) for seed, folder in zip(seeds, folders, strict=True)
        ]
    sys.stdout.write(report(_stacked(rows)))


def make(folder: SurveyFolder, spec: SurveySpec, seed: int) -> SurveyFolder:
    """The survey in the folder, from raw files to light curves."""
    from diapipe.cli.main import cli

    folder.root.parent.mkdir(parents=True, exist_ok=True)
    claim(folder, spec, seed)
    write_survey(folder, spec, seed)
    last = spec.first_mjd + (spec.n_template_nights - 1) * spec.night_spacing_days
    later = f"{spec.n_template_nights * len(spec.bands) + 1}..{spec.n_nights * len(spec.bands)}"
    run = ("run", folder.repository, "--cores", 1, "--template-until", last + 1, "-c", "photometricScale:way=reference")
    for command, *words in (
        *([] if folder.repository.exists() else [("init", folder.repository)]),
        ("ingest", folder.repository, folder.exposures, "--camera", "simulator"),
        ("define-visits", folder.repository),
        ("skymap", folder.repository, "--patch-size", 700, "--border", 50),
        ("refcat", folder.repository, folder.reference),
        (*run, "--steps", "visits,scale,coadds"),
        (*run, "--steps", "differences,objects,forced,lightcurves", "--visits", later),
    ):
        said = [command, *map(str, words), "--quiet"]
        if cli.main(args=said, prog_name="diapipe", standalone_mode=False):
            raise SystemExit(f"diapipe {' '.join(said)} failed")
    return folder


def pulls_of(folder: SurveyFolder, spec: SurveySpec, *, seed: int) -> Table:
    """Forced fluxes beside the truth: kind, band, object, image, flux (the true one), mag, psfFlux, psfFluxErr, pull.

    ``object`` and ``image`` are numbers by which fluxes share what is common to them: the template's noise at a place,
    kernel and PSF model of an image.
    """
    survey = simulate_survey(spec, rng=np.random.default_rng(seed))
    with opened_survey(str(folder.repository), output="default") as results:
        tables = {name: folder.read_truth(name) for name in ("fluxes", "objects", "trails")}
        truth = SurveyTruth(**tables, template_weights=results.template_weights)
        expected, rows = [], []
        for unit, band, difference, _ in results.differences():
            visit, detector = unit.visit, unit.detector
            here = (truth.fluxes["visit"] == visit) & (truth.fluxes["detector"] == detector)
            expected.append(truth.expected(difference, visit, detector, band))
            image = _Image(
                difference=difference,
                science=results.science(unit),
                psf=psf_on_detector(survey.visits[visit - 1].psf, spec, detector),
                scale=survey.visits[visit - 1].nanojansky_per_count(spec),
                gain=spec.gain_electrons,
                changing=truth.fluxes[here],
                changes=expected[-1][expected[-1]["is_known"]],
                stars=survey.stars[survey.stars[f"mag_{band}"] < FAINTEST_STAR_MAG],
                rng=np.random.default_rng([seed, visit, detector]),
            )
            rows += [truth.without_trails(table, visit, detector) for table in image.tables()]
        rows.append(_of_light_curves(results, truth, expected))
    return _with_pulls(_stacked(rows), seed)


def _with_pulls(rows: Table, seed: int) -> Table:
    """Rows with pulls and magnitudes, and numbers of objects and images that no other seed has."""
    rows["image"] = 10_000_000 * seed + 1000 * rows["visit"] + rows["detector"]
    rows["object"] += 10_000_000 * seed
    rows["pull"] = (rows["psfFlux"] - rows["flux"]) / rows["psfFluxErr"]
    with np.errstate(divide="ignore"):
        changed = AB_ZERO_POINT - 2.5 * np.log10(np.abs(rows["flux"]))
    rows["mag"] = np.where(np.isfinite(rows["static_mag"]), rows["static_mag"], changed)
    return rows


@dataclass(frozen=True, kw_only=True)
class _Image:
    """A difference, and what is true of it: all that changes, those changes that are known, and the stars."""

    difference: Difference
    science: Exposure
    psf: MoffatFieldPsf
    scale: float
    gain: float
    changing: Table
    changes: Table
    stars: Table
    rng: np.random.Generator

    def tables(self) -> list[Table]:
        """Fluxes of what changes, of constant stars, where nothing is, and of what is added there."""
        stars = self._constant_stars()
        there = np.concatenate([self._pixels(table) for table in (self.changing, self.stars)], axis=1).T
        empty = self._at(*self._free(there, EMPTY_STEP_PX), kind="nothing", flux=0.0)
        beside = Table({name: self.changing[name] for name in ("ra", "dec", "flux", "object_id")})
        beside["kind"] = "changing"
        static = _forced(_stacked([stars, empty, beside]), self.difference, self.science)
        return [
            _forced(self.changes, self.difference, self.science),
            static[static["kind"] != "changing"],
            *(self._added(there, *(0.5 * ADDED_STEP_PX * np.array(shift))) for shift in self._shifts()),
        ]

    def _shifts(self) -> list[tuple[int, ...]]:
        """Of the grids of added sources; none where the science image was convolved: they have its own PSF."""
        return list(product((0, 1), repeat=2)) if self.difference.convolved == "template" else []

    def _constant_stars(self) -> Table:
        """Stars that do not vary, those at the border apart: there inputs of the template end, and its PSF leaps."""
        stars = self.stars[~self.stars["is_variable"]]
        x, y = self._pixels(stars)
        box = self.difference.box
        at_border = np.minimum.reduce([x - box.x0, box.x1 - x, y - box.y0, box.y1 - y]) < EDGE_PX
        table = Table({name: stars[name] for name in ("ra", "dec")})
        table["kind"] = np.where(at_border, "star at the border", "constant star")
        table["flux"], table["object_id"] = 0.0, STARS_FROM + np.asarray(stars["id"])
        table["static_mag"] = np.asarray(stars[f"mag_{self.difference.exposure.info.band}"])
        return table

    def _added(self, there: Array, dx: float, dy: float) -> Table:
        """Fluxes of sources that are added on a grid."""
        x, y = self._free(there, ADDED_STEP_PX, dx, dy)
        flux = 10.0 ** (0.4 * (AB_ZERO_POINT - self.rng.uniform(*ADDED_MAG, len(x))))
        drawn = self._light_on_stamp() * flux / self.scale
        changed = with_added(self.difference, self._profile, x, y, drawn, gain=self.gain, rng=self.rng)
        return _forced(self._at(x, y, kind="added", flux=flux), changed, None)

    def _profile(self, x: float, y: float) -> Array:
        return self.psf.kernel_image(x=x, y=y)

    def _light_on_stamp(self) -> float:
        """Part of a source's light that falls on the image of its PSF, which is drawn with unit sum."""
        middle, image = np.array([self.psf.size // 2], np.float64), np.zeros((self.psf.size,) * 2, np.float32)
        self.psf.draw(image, x=middle, y=middle, flux=np.ones(1), radius_px=np.array([2.0 * self.psf.size]))
        return float(image.sum())

    def _pixels(self, places: Table) -> tuple[Array, Array]:
        return pixels_of_icrs(self.difference.exposure.wcs, np.asarray(places["ra"]), np.asarray(places["dec"]))

    def _free(self, there: Array, step: float, dx: float = 0.0, dy: float = 0.0) -> tuple[Array, Array]:
        """Places on a grid, scattered a little, that are far from all that is there."""
        box = self.difference.box
        sides = ((box.x0 + dx, box.x1), (box.y0 + dy, box.y1))
        nodes = (np.arange(first + EDGE_PX, last - EDGE_PX, step) for first, last in sides)
        x, y = (v.ravel() + self.rng.uniform(-2.0, 2.0, v.size) for v in np.meshgrid(*nodes))
        alone = cKDTree(there).query(np.stack([x, y], axis=1))[0] > ALONE_PX
        return x[alone], y[alone]

    def _at(self, x: Array, y: Array, *, kind: str, flux: Array | float) -> Table:
        """Rows of places."""
        ra, dec = icrs_of(self.difference.exposure.wcs, x, y)
        numbers = int(self.rng.integers(10**12)) + np.arange(len(x))  # each is another object
        return Table({"ra": ra, "dec": dec, "kind": [kind] * len(x), "flux": flux + 0.0 * x, "object_id": numbers})


def _forced(places: Table, difference: Difference, science: Exposure | None) -> Table:
    """Fluxes as the task measures them, without those that carry a flag."""
    places = places.copy()
    places.rename_column("object_id", "diaObjectId")
    found = forced_sources(places, difference, science=science)
    found = found[~(found["psfFlux_flag"] | found["dp_badPixel"])]
    names = ["diaObjectId", "visit", "detector", "band", "x", "y", "psfFlux", "psfFluxErr"]
    truth = [name for name in ("diaObjectId", "kind", "flux", "static_mag") if name in places.colnames]
    rows = join(found[names], places[truth], "diaObjectId")
    rows.rename_column("diaObjectId", "object")
    return rows


def _stacked(tables: list[Table]) -> Table:
    """One table of all rows; what a table does not tell is NaN."""
    stacked: Table = vstack(tables, metadata_conflicts="silent")
    return stacked.filled(np.nan) if stacked.has_masked_values else stacked


def _of_light_curves(results: SurveyResults, truth: SurveyTruth, expected: list[Table]) -> Table:
    """Fluxes of the light curves of objects that are transients or variables."""
    dia_objects, forced = results.objects_and_fluxes()
    rows = object_recovery(
        dia_objects=dia_objects, forced_sources=forced, expected=expected, found={}, fluxes=truth.fluxes
    ).epochs
    rows["kind"] = np.char.add(np.asarray(rows["kind"]).astype(str), " found")
    rows.rename_column("object_id", "object")
    return rows["object", "visit", "detector", "band", "x", "y", "psfFlux", "psfFluxErr", "kind", "flux"]


def report(rows: Table) -> str:
    """Table by kind, band and magnitude; for constant stars that of the star, else that of the change."""
    lines = ["| kind | band | mag | n | beyond | mean | width |", "|---|---|---|---|---|---|---|"]
    for kind, band in product(sorted(set(rows["kind"])), sorted(set(rows["band"]), reverse=True)):
        of_kind = rows[(rows["kind"] == kind) & (rows["band"] == band)]
        bins = [(-np.inf, np.inf)] if kind == "nothing" else [*pairwise(MAGNITUDES), (-np.inf, np.inf)]
        for low, high in bins:
            in_bin = of_kind[(of_kind["mag"] >= low) & (of_kind["mag"] <= high)]
            some = in_bin[np.abs(in_bin["pull"]) < BEYOND]
            if len(some) > 20:
                (mean, mean_error), (width, width_error) = with_errors(some)
                said = f"{mean:+.3f} ± {mean_error:.3f} | {width:.3f} ± {width_error:.3f}"
                lines.append(
                    f"| {kind} | {band} | {low:g} to {high:g} | {len(some)} | {len(in_bin) - len(some)} | {said} |"
                )
    return "\n".join(lines) + "\n"


def with_errors(rows: Table) -> tuple[tuple[float, float], tuple[float, float]]:
    """Mean and width of the pulls, each with its error, which what fluxes have in common is part of.

    The variance of a mean of values that share an object or an image is the sum over both ways to group them, less
    that of single values (Cameron, Gelbach & Miller 2011).
    """
    pull = np.asarray(rows["pull"], np.float64)
    mean, width = float(pull.mean()), float(pull.std())
    groups = [np.unique(rows[name], return_inverse=True)[1] for name in ("object", "image")]

    def error(values: Array) -> float:
        left = values - values.mean()
        single = float((left**2).sum())
        grouped = sum(float((np.bincount(group, left) ** 2).sum()) for group in groups)
        return float(np.sqrt(max(grouped - single, single))) / len(left)

    return (mean, error(pull)), (width, error((pull - mean) ** 2) / (2.0 * width))


if __name__ == "__main__":
    main()
