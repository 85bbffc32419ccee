"""Scales against a catalogue and as the files say; what counts as a calibration star."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from tests.steps.calibrate.made_visits import made_visits, pulls

from diapipe.catalogs.single_visit_stars import SINGLE_VISIT_STAR
from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.tables import table_of
from diapipe.catalogs.visit_stars import VisitStars, calibration_stars
from diapipe.errors import InputError, TooFewStarsError
from diapipe.steps.calibrate import SCALES, Given, Reference, photometric_scale


def catalogue(made, *, band: str = "r", resolved: float = 0.0) -> ReferenceList:
    """The true fluxes, some entries being galaxies of ten times the light of the star at their place."""
    n = len(made.ra)
    is_resolved = np.random.default_rng(3).uniform(size=n) < resolved
    return ReferenceList(
        id=np.arange(1, n + 1),
        ra=made.ra,
        dec=made.dec,
        flux={band: np.where(is_resolved, 10.0, 1.0) * made.true_flux},
        is_resolved=is_resolved,
        is_photometric=np.ones(n, np.bool_),
    )


@pytest.mark.parametrize("scene", [{}, {"shake": 0.02, "outliers": 0.05}], ids=["photons", "scatter and outliers"])
def test_a_catalogue_sets_each_image_by_itself(scene):
    """A catalogue without errors, 40 images: absolute pulls of mean 0 ± 0.16 and width 1 ± 0.11; four are allowed."""
    truth = np.exp(np.random.default_rng(1).normal(0.0, 0.4, 40))
    made = made_visits(truth, **scene)
    algorithm = Reference(least_star_error=0.0)
    table = photometric_scale(made.stars, band="r", reference=catalogue(made, resolved=0.2), algorithm=algorithm)
    found, error = np.asarray(table["nJyPerCount"]), np.asarray(table["nJyPerCountErr"])
    pull = np.log(found / truth) / (error / found)
    assert abs(pull.mean()) < 0.64
    assert abs(pull.std() - 1.0) < 0.45
    assert table["isAbsolute"].all()
    assert table.meta["sentences"] == []
    if scene:
        np.testing.assert_allclose(np.median(table["scatter"]), 1.0857 * 0.02, rtol=0.15)


def test_a_catalogue_has_errors_of_its_own():
    """Fluxes right to 0.2%, a few stars a hundred times as bright as the others: pulls of 60 fields have width 1 ± 0.09
    and three of these; by photons alone it would be 2 and more, as the scatter of the many faint stars tells nothing.
    """
    found = []
    for seed in range(60):
        made = made_visits(np.ones(1), n_stars=30, seed=seed, noise=3000.0)
        light = made.true_flux * np.exp(0.002 * np.random.default_rng(1000 + seed).normal(size=len(made.ra)))
        noisy = replace(catalogue(made), flux={"r": light})
        (row,) = photometric_scale(made.stars, band="r", reference=noisy, algorithm=Reference())
        found.append(np.log(row["nJyPerCount"]) * row["nJyPerCount"] / row["nJyPerCountErr"])
    assert abs(np.std(found) - 1.0) < 0.27


def test_a_catalogue_without_the_band_is_refused():
    """And so is none at all."""
    made = made_visits(np.ones(2))
    with pytest.raises(InputError, match="has no flux in band 'i'; it has r"):
        photometric_scale(made.stars, band="i", reference=catalogue(made), algorithm=Reference())
    with pytest.raises(InputError, match="needs a reference catalogue"):
        photometric_scale(made.stars, band="r", algorithm=Reference())


def test_a_catalogue_of_another_field_is_no_work():
    """No star of the catalogue on any image."""
    made = made_visits(np.ones(2))
    elsewhere = replace(catalogue(made), dec=made.dec + 5.0)
    with pytest.raises(TooFewStarsError, match="0 stars in the catalogue; 3 are needed"):
        photometric_scale(made.stars, band="r", reference=elsewhere, algorithm=Reference())


def test_the_files_are_believed():
    """As they say, and none where they say nothing."""
    made = made_visits(np.ones(3), given=np.array([2.0, np.nan, 4.0]))
    table = photometric_scale(made.stars, algorithm=Given())
    np.testing.assert_array_equal(table["nJyPerCount"], [2.0, np.nan, 4.0])
    assert table["reason"][1] == "its file brings no photometric calibration"
    assert table.meta["sentences"] == [
        "visit 1001, detector 0 has no scale: its file brings no photometric calibration"
    ]
    with pytest.raises(TooFewStarsError, match="none of 3 images"):
        photometric_scale(replace(made.stars, given=np.full(3, np.nan)), algorithm=Given())


@pytest.mark.parametrize("name", SCALES)
def test_every_way_leaves_its_input_and_has_the_columns(name):
    """A contract of the family: one row an image, in their order, positive or NaN, the stars as they were."""
    made = made_visits(np.array([1.0, 2.0, 0.5]), given=np.array([1.0, 2.0, 0.5]))
    before = {field: getattr(made.stars, field).copy() for field in ("flux", "flux_err", "ra", "image", "given")}
    table = photometric_scale(made.stars, band="r", reference=catalogue(made), algorithm=SCALES.make(name))
    assert list(table["visit"]) == [1000, 1001, 1002]
    np.testing.assert_allclose(table["nJyPerCount"], [1.0, 2.0, 0.5], rtol=3e-3)
    assert table["nJyPerCount"].unit == "nJy"
    assert name == "given" or np.abs(pulls(table, made)).max() < 4.0
    for field, values in before.items():
        np.testing.assert_array_equal(getattr(made.stars, field), values)


def stars_table(n: int = 6) -> Table:
    """Good stars."""
    columns = {
        "ra": np.linspace(10.0, 10.1, n),
        "dec": np.zeros(n),
        "psfFlux": np.full(n, 1000.0),
        "psfFluxErr": np.full(n, 10.0),
        "localPhotoCalib": np.linspace(1.0, 2.0, n),
        "extendedness": np.zeros(n),
        "dp_isIsolated": np.ones(n, np.bool_),
    }
    return table_of(SINGLE_VISIT_STAR, columns, n=n)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("psfFlux", np.nan),
        ("psfFlux", -1000.0),
        ("psfFlux", 150.0),
        ("psfFluxErr", np.nan),
        ("psfFluxErr", 0.0),
        ("psfFlux_flag", True),
        ("extendedness", 1.0),
        ("dp_isIsolated", False),
        ("pixelFlags_saturatedCenter", True),
    ],
)
def test_what_is_no_calibration_star(column, value):
    """One bad entry of each kind in an otherwise good table is left out, and it alone."""
    table = stars_table()
    table[column][2] = value
    np.testing.assert_array_equal(np.flatnonzero(~calibration_stars(table, min_snr=20.0)), [2])


def test_stars_of_many_tables():
    """In the order of visit and detector; fluxes flattened by what the file says varies over the image."""
    summaries = [{"visit": 9, "id": 1, "nJyPerCount": 1.5}, {"visit": 9, "id": 0}, {"visit": 4, "id": 1}]
    stars = VisitStars.of(((row, stars_table(n)) for row, n in zip(summaries, (6, 0, 2), strict=True)), min_snr=20.0)
    assert list(zip(stars.visit, stars.detector, strict=True)) == [(4, 1), (9, 0), (9, 1)]
    np.testing.assert_array_equal(np.bincount(stars.image, minlength=3), [2, 0, 6])
    np.testing.assert_allclose(stars.flux[stars.image == 2], 1000.0 * np.linspace(1.0, 2.0, 6) / 1.5)
    assert len(VisitStars.of([], min_snr=20.0)) == 0
