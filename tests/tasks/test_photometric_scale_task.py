"""PhotometricScaleTask: from the stars that CharacterizeTask writes to what a count is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy import units
from astropy.table import Table, vstack
from lsst.pipe.base import NoWorkFound, Pipeline
from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor
from tests.tasks.small_repository import (
    BAND,
    DETECTORS,
    INSTRUMENT,
    VISITS,
    data_id,
    make_small_repository,
    register,
    visit_exposure,
)

import diapipe
from diapipe.images import Exposure
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.tasks.characterize import CharacterizeTask
from diapipe.tasks.no_work import no_work_found
from diapipe.tasks.photometric_scale import PhotometricScaleTask
from diapipe.tasks.visit_summary import VisitSummaryTask

SCALES = np.array([1.0, 1.6, 0.7])
"""Of three visits: their counts are those of the first over this."""

SIGMAS = (1.5, 2.0, 2.6)
"""Seeing of the three."""


@pytest.fixture(scope="module")
def visits() -> list[Exposure]:
    """One field through three thicknesses of cloud, in three seeings."""
    found = []
    for number, (scale, sigma) in enumerate(zip(SCALES, SIGMAS, strict=True)):
        spec = diapipe.PairSpec.small(
            400,
            n_stars=250,
            n_transients=0,
            n_cosmic_rays=0,
            misregistration_px=0.0,
            variable_fraction=0.0,
            science_fwhm_arcsec=0.2 * 2.3548 * sigma,
        )
        science = diapipe.simulate_pair(spec, rng=np.random.default_rng(8)).science
        planes = science.masked_image
        dimmed = replace(planes, image=(planes.image / np.float32(scale)))
        info = replace(science.info, visit=number + 1, detector=0, band="r")
        found.append(replace(science, masked_image=dimmed, info=info, photo_calib=None, psf=None, has_variance=False))
    return found


@pytest.fixture(scope="module")
def tables(visits) -> list[Table]:
    """Their stars."""
    return [CharacterizeTask().run(visit).stars for visit in visits]


def ratios(table: Table) -> np.ndarray:
    """Scales relative to the first."""
    return np.asarray(table["nJyPerCount"] / table["nJyPerCount"][0])


def test_clouds_are_seen_whatever_the_seeing(tables):
    """The scales are found to 4 of their errors, which are below 1%, though the seeing changes by 1.7."""
    table = PhotometricScaleTask().run(tables, band="r").photometricScale
    error = np.asarray(table["nJyPerCountErr"] / table["nJyPerCount"])
    assert error.max() < 0.01
    np.testing.assert_array_less(np.abs(np.log(ratios(table) / SCALES))[1:], 4.0 * np.hypot(error[1:], error[0]))
    assert not table["isAbsolute"].any()


def test_a_catalogue_makes_it_absolute(tables):
    """Fluxes of the first visit times 3 as a catalogue, in Jy or as magnitudes: a count of it is worth 3 nJy."""
    flux = 3.0 * np.asarray(tables[0]["psfFlux"])
    catalogue = Table({"ra": tables[0]["ra"], "dec": tables[0]["dec"]})
    catalogue["r_flux"] = flux * 1e-9 * units.Jy
    with np.errstate(invalid="ignore"):
        catalogue["mag"] = -2.5 * np.log10(flux / ZERO_POINT_NJY)
    config = PhotometricScaleTask.ConfigClass()
    config.way = "reference"
    found = PhotometricScaleTask(config=config).run(tables, band="r", refCatalog=catalogue).photometricScale
    np.testing.assert_allclose(found["nJyPerCount"][0], 3.0, rtol=1e-3)
    np.testing.assert_allclose(ratios(found), SCALES, rtol=0.02)
    config.refMagnitudes = {"q": "mag"}
    named = PhotometricScaleTask(config=config).run(tables, band="q", refCatalog=catalogue).photometricScale
    np.testing.assert_allclose(named["nJyPerCount"], found["nJyPerCount"], rtol=1e-6)


def test_the_visit_summary_takes_the_scale(tables):
    """Zero point and limit of the row are those of the scale; a visit that is not in it has none."""
    scale = PhotometricScaleTask().run(tables, band="r").photometricScale
    rows = [table.meta["exposureSummary"] for table in tables]
    summary = VisitSummaryTask().run(rows[1:2], scale, instrument="cam", physicalFilter="r_test").visitSummary
    assert (summary["instrument"][0], summary["component"][0]) == ("cam", 0)
    assert summary["nJyPerCount"][0] == scale["nJyPerCount"][1]
    assert summary["zeroPoint"][0] == pytest.approx(-2.5 * np.log10(scale["nJyPerCount"][1] / ZERO_POINT_NJY))
    counts = 10.0 ** (0.4 * (summary["zeroPoint"][0] - summary["magLim"][0]))
    assert counts > 5.0 * summary["skyNoise"][0] * np.sqrt(summary["psfArea"][0])
    assert not summary["isAbsolute"][0]
    without = VisitSummaryTask().run(rows[1:2], scale[:1]).visitSummary
    assert np.isnan(without["nJyPerCount"][0])
    assert without["component"][0] == -1
    assert np.isnan(without["magLim"][0])


def test_files_without_calibration_are_no_work(tables):
    """``given`` finds nothing: the middleware hears why."""
    config = PhotometricScaleTask.ConfigClass()
    config.way = "given"
    with pytest.raises(NoWorkFound, match="its file brings no photometric calibration"), no_work_found():
        PhotometricScaleTask(config=config).run(tables, band="r")


def test_a_catalogue_is_an_input_where_it_is_needed_alone():
    """The connection is there for ``reference``."""
    config = PhotometricScaleTask.ConfigClass()
    kind = PhotometricScaleTask.ConfigClass.ConnectionsClass
    assert "refCatalog" not in kind(config=config).prerequisiteInputs
    config.way = "reference"
    assert "refCatalog" in kind(config=config).prerequisiteInputs


def test_a_catalogue_in_a_repository(tmp_path):
    """The stars of all detectors at three times their counts are the ``reference_catalog``: a count is worth 3 nJy."""
    made = make_small_repository(tmp_path / "repo", with_images=False)
    tables = []
    with made.opened(writeable=True) as butler:
        for run in ("stars", "ref"):
            butler.collections.register(run)
        register(butler, "single_visit_star", ("instrument", "visit", "detector"), "ArrowAstropy")
        for visit in VISITS:
            for detector in DETECTORS:
                stars = CharacterizeTask().run(replace(visit_exposure(visit, detector), photo_calib=None)).stars
                butler.put(stars, "single_visit_star", data_id(visit, detector), run="stars")
                tables.append(stars["ra", "dec", "psfFlux"])
        everything = vstack(tables, metadata_conflicts="silent")
        register(butler, "reference_catalog", (), "ArrowAstropy")
        flux = 3.0 * np.asarray(everything["psfFlux"])
        butler.put(
            Table({"ra": everything["ra"], "dec": everything["dec"], "flux": flux}), "reference_catalog", run="ref"
        )
    pipeline = Pipeline("scale")
    pipeline.addTask(PhotometricScaleTask, "photometricScale")
    pipeline.addConfigOverride("photometricScale", "way", "reference")
    pipeline.addConfigPython("photometricScale", "config.refFluxes = {'r': 'flux'}")
    with made.opened(writeable=True) as butler:
        executor = SeparablePipelineExecutor(butler.clone(collections=["stars", "ref"], run="out"))
        executor.pre_execute_qgraph(graph := executor.make_quantum_graph(pipeline), register_dataset_types=True)
        executor.run_pipeline(graph)
        scale = butler.get("photometric_scale", instrument=INSTRUMENT, band=BAND, collections="out")
    assert len(scale) == len(VISITS) * len(DETECTORS)
    np.testing.assert_allclose(scale["nJyPerCount"], 3.0, rtol=1e-3)
    assert scale["isAbsolute"].all()
