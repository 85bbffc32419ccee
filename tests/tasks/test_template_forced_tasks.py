"""Sources of the template, and the forced photometries on it and on differences, across the border of two tracts."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table, vstack
from tests.tasks.border_survey import ACROSS, BOX, coadds, sky_map, stars, wcs_of
from tests.tract_scenes import observed

from diapipe.catalogs.dia_sources import dia_source_table
from diapipe.catalogs.old_forced_columns import in_older_names, newer_name, older_name
from diapipe.errors import InputError, NoWorkError, UsageError
from diapipe.images import ChebyshevField, CoaddPatch, Difference, MaskedImage, SpatialKernel
from diapipe.images.sky import are_on, icrs_of
from diapipe.steps.force import force_at
from diapipe.tasks.forced_ccd_dia import ForcedPhotCcdDiaTask
from diapipe.tasks.forced_ccd_template import ForcedPhotCcdTemplateDiaTask
from diapipe.tasks.forced_coadd_dia import ForcedPhotCoaddDiaTask
from diapipe.tasks.forced_coadd_dia_src import ForcedPhotCoaddDiaSrcTask
from diapipe.tasks.forced_config import refuse_missing
from diapipe.tasks.measure_template import MeasureTemplateTask

NEAR_DEG = 0.5 / 3600


def made(kind, **settings):
    """A task with some fields set."""
    config = kind.ConfigClass()
    for name, value in settings.items():
        setattr(config, name, value)
    config.validate()
    return kind(config=config)


def near(table, ra, dec):
    """The rows within half an arc second of a position."""
    east = (np.asarray(table["ra"]) - ra + 180) % 360 - 180
    return table[np.hypot(east * np.cos(np.radians(dec)), np.asarray(table["dec"]) - dec) < NEAR_DEG]


def assert_honest(pulls):
    """Mean 0 and width 1 within four sigma of their own errors, 1/sqrt(n) and 1/sqrt(2n)."""
    n = len(pulls)
    assert n > 30
    assert abs(np.mean(pulls)) < 4 / np.sqrt(n)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * n)


def assert_right(rows, flux):
    """Within five errors, of 3,000 to 9,000 in S/N, and the 5e-4 to which a PSF is known between pixels."""
    wrong = np.abs(np.asarray(rows["psfFlux"]) - flux)
    assert (wrong < 5 * np.asarray(rows["psfFluxErr"]) + 5e-4 * flux).all()


@pytest.fixture(scope="module")
def templates():
    """The coadds by tract and patch."""
    return coadds()


@pytest.fixture(scope="module")
def catalogues(templates):
    """The sources of each."""
    task = made(MeasureTemplateTask)
    return {
        (tract, patch): task.run(coadd, sky_map(), tract=tract, patch=patch, band="r").templateObjects
        for (tract, patch), coadd in templates.items()
    }


@pytest.fixture(scope="module")
def difference():
    """Noise of 5 on the pixels of the detector that lies across the border."""
    nothing = (np.empty(0), np.empty(0), np.empty(0))
    exposure = observed(wcs_of(*ACROSS), nothing, BOX, sigma=2.0, noise=5.0, rng=np.random.default_rng(3))
    return Difference(
        exposure=exposure,
        kernel=SpatialKernel.constant(np.pad(np.ones((1, 1)), 3), BOX),
        background=ChebyshevField.constant(0.0, BOX),
        convolved="template",
    )


def family(n_orphans):
    """A parent with a child, and children whose parent is beyond the image."""
    x = 40.0 + 50.0 * np.arange(2 + n_orphans)
    ra, dec = icrs_of(wcs_of(*ACROSS), np.append(x, -200.0), np.full(len(x) + 1, 100.0))
    n = len(ra)
    fluxes = {name: np.ones(n) for name in ("psfFlux", *(f"ap{r:02d}Flux" for r in (3, 6, 9, 12)))}
    fluxes |= {f"{name}Err": np.ones(n) for name in fluxes}
    ids = np.array([20, 21, *range(30, 30 + n_orphans), 5])  # the child comes after its parent, the absent one is last
    parents = np.array([0, 20, *[5] * n_orphans, 0])
    table = Table({"objectId": ids, "parentObjectId": parents, "ra": ra, "dec": dec, "detect_isPrimary": [True] * n})
    for name, values in fluxes.items():
        table[name] = values
    return table


def test_every_star_is_one_primary_source_of_the_template(catalogues):
    """49 stars over the border of patches and tracts: one row each with detect_isPrimary, whose flux is right."""
    table = vstack(list(catalogues.values()))
    for ra, dec, flux in zip(*stars(), strict=True):
        rows = near(table, ra, dec)
        assert rows["detect_isPrimary"].sum() == 1
        row = rows[rows["detect_isPrimary"]][0]
        assert row["extendedness"] == 0.0
        assert_right(row, flux)
    assert len(table) > 49  # borders are shared
    assert len(np.unique(table["objectId"])) == len(table)
    assert (table["parentObjectId"] == 0).all()


def test_circles_of_the_template_hold_the_star(catalogues):
    """A circle of 6 px holds 1 - exp(-r²/2σ²) = 99.9% of a star of sigma 1.6 px: fluxes of isolated stars agree within
    four errors, and so do those of 9 and 12 px.
    """
    table = vstack(list(catalogues.values()))
    for radius in (6, 9, 12):
        flux, error, flag = (table[f"ap{radius:02d}Flux{end}"] for end in ("", "Err", "_flag"))
        good = ~np.asarray(flag) & ~np.asarray(table["psfFlux_flag"]) & (np.asarray(table["psfFlux"]) > 3e4)
        assert good.sum() > 40
        held = 1.0 - np.exp(-0.5 * (radius / 1.6) ** 2)
        pulls = (flux - held * table["psfFlux"])[good] / np.hypot(error, table["psfFluxErr"])[good]
        assert np.abs(np.asarray(pulls)).max() < 5


def test_an_empty_template_has_no_sources(templates):
    """No usable pixel: a table without rows, of the same columns; no failure."""
    whole = templates[0, 0]
    empty = Table(MeasureTemplateTask(config=MeasureTemplateTask.ConfigClass()).run(
        type(whole)(name="empty", masked_image=MaskedImage.empty(whole.box), wcs=whole.wcs, psf=whole.psf, unit="nJy"),
        sky_map(), tract=0, patch=0, band="r",
    ).templateObjects)  # fmt: skip
    assert len(empty) == 0
    assert {"objectId", "detect_isPrimary", "ap12Flux"} <= set(empty.colnames)


def test_sources_of_the_template_on_a_difference(catalogues, difference):
    """Each star on the detector has one primary row, the template's flux beside it; pulls of nothing are N(0, 1)."""
    found = made(ForcedPhotCcdTemplateDiaTask).run(catalogues.values(), difference).forcedSources
    box, wcs = difference.exposure.box, difference.exposure.wcs
    ra, dec, flux = stars()
    here = are_on(box, wcs, ra=ra, dec=dec)
    primary = found[found["detect_isPrimary"]]
    for at in zip(ra[here], dec[here], flux[here], strict=True):
        row = near(primary, *at[:2])
        assert len(row) == 1
        assert abs(row["template_psfFlux"][0] - at[2]) < 5 * row["template_psfFluxErr"][0] + 5e-4 * at[2]
    clear = primary[~np.asarray(primary["psfFlux_flag"])]
    assert_honest(np.asarray(clear["psfFlux"] / clear["psfFluxErr"]))
    assert len(found) > len(primary)
    assert np.isfinite(found["localBackground"]).all()
    assert set(found.colnames) >= {"visit", "detector", "band", "midpointMjdTai", "template_ap12FluxErr", "ap03Flux"}


def test_what_is_left_of_a_star_is_in_its_error(catalogues, difference):
    """With a static error of 2%, errors are the noise and 2% of the template's flux, in squares."""
    task = made(ForcedPhotCcdTemplateDiaTask)
    plain = task.run(catalogues.values(), difference).forcedSources
    wide = task.run(catalogues.values(), Difference(**{n: getattr(difference, n) for n in (
        "exposure", "kernel", "background", "convolved")}, static_error=0.02)).forcedSources  # fmt: skip
    expected = np.hypot(plain["psfFluxErr"], 0.02 * plain["template_psfFlux"].value)
    np.testing.assert_allclose(wide["psfFluxErr"], expected, rtol=1e-5)


@pytest.mark.parametrize("n_orphans", [0, 1, 2, 3])
def test_children_of_absent_parents_are_dropped(n_orphans, difference):
    """Parents first, orphans gone, however many. The original kept a single orphan, and stopped at it (A.4)."""
    task = made(ForcedPhotCcdTemplateDiaTask)
    found = task.run([family(n_orphans)[::-1]], difference).forcedSources
    assert found["objectId"].tolist() == [20, 21]
    assert task.metadata["nOrphans"] == n_orphans


def test_no_catalogue_and_an_incomplete_one(difference):
    """No work without any; a table without rows has none; a missing column is named."""
    task = made(ForcedPhotCcdTemplateDiaTask)
    with pytest.raises(NoWorkError, match="no catalogue in this band"):
        task.run([], difference)
    empty = task.run([family(0)[:0]], difference).forcedSources
    assert len(empty) == 0
    assert "template_psfFlux" in empty.colnames
    one = task.run([family(0)[:1]], difference).forcedSources
    assert one["objectId"].tolist() == [20]
    incomplete = family(0)
    incomplete.remove_column("ap09Flux")
    with pytest.raises(InputError, match="the template's catalogue has no column ap09Flux"):
        task.run([incomplete], difference)
    with pytest.raises(UsageError, match="two columns would be called psfFlux"):
        made(ForcedPhotCcdTemplateDiaTask, copyColumns={"psfFlux": "psfFlux"}).run([family(0)], difference)


def test_missing_catalogues_are_skipped_or_refused(difference):
    """Where they are not to be skipped, the patches that have none are named."""
    known = sky_map()
    ra, dec = icrs_of(difference.exposure.wcs, *np.array([[0.0, 339, 339, 0], [0.0, 0, 319, 319]]))
    touched = [(tract.id, patch.index) for tract, own in known.patches_overlapping(ra, dec) for patch in own]
    assert len(touched) > 2
    refuse_missing(touched, difference.exposure, known, what="catalogue")
    with pytest.raises(InputError, match=f"no catalogue of patch {touched[0][1]} of tract {touched[0][0]};"):
        refuse_missing(touched[1:], difference.exposure, known, what="catalogue")


@pytest.mark.parametrize("kind", [ForcedPhotCcdDiaTask, ForcedPhotCcdTemplateDiaTask])
def test_the_sky_map_is_read_where_it_is_needed(kind):
    """To know what is missing, and not else."""
    for skip in (True, False):
        connections = kind.ConfigClass.ConnectionsClass(config=made(kind, skipMissing=skip).config)
        assert ("skyMap" in connections.inputs) is not skip


def test_names_of_dia_pipe_are_understood_and_written(difference):
    """A catalogue as afw tables have it, copyColumns as dia_pipe had them, and its columns in the result."""
    old = in_older_names(family(1), ids={})
    assert {"id", "parent", "coord_ra", "base_PsfFlux_instFlux", "base_CircularApertureFlux_12_0_instFluxErr"} <= set(
        old.colnames
    )
    copied = {
        "id": "template_id",
        "coord_ra": "coord_ra",
        "base_PsfFlux_instFlux": "template_base_PsfFlux_instFlux",
        "base_CircularApertureFlux_3_0_instFlux": "template_base_CircularApertureFlux_3_0_instFlux",
    }
    task = made(ForcedPhotCcdTemplateDiaTask, copyColumns=copied, doOldColumns=True)
    found = task.run([old], difference).forcedSources
    assert found["template_id"].tolist() == [20, 21]
    assert {*copied.values(), "base_PsfFlux_instFlux", "base_PixelFlags_flag_offimage"} <= set(found.colnames)
    ours = made(ForcedPhotCcdTemplateDiaTask).run([family(1)], difference).forcedSources
    np.testing.assert_array_equal(found["base_PsfFlux_instFlux"], ours["psfFlux"])
    renamed = made(ForcedPhotCcdTemplateDiaTask, doOldColumns=True).run([family(1)], difference).forcedSources
    np.testing.assert_allclose(np.degrees(renamed["coord_ra"]), ours["ra"], rtol=1e-14)
    for name in ("psfFluxErr", "psfFlux_flag_edge", "ap4p5Flux", "ap12Flux_flag", "pixelFlags_saturated_templateCenter",
                 "localBackgroundErr", "localBackground_flag", "objectId", "ra", "x"):  # fmt: skip
        assert newer_name(older_name(name)) == name != older_name(name)


def sources_at(ra, dec):
    """A table of DIA sources of one image."""
    n = len(ra)
    same = {"visit": np.full(n, 1), "detector": np.full(n, 0), "band": np.full(n, "r")}
    fluxes = {"psfFlux": np.arange(n) + 100.0, "psfFluxErr": np.ones(n)}
    return dia_source_table(
        {"diaSourceId": np.arange(n) + 1, "ra": ra, "dec": dec, **same, **fluxes}, n=n, flux_unit="nJy"
    )


def patches_of(templates):
    """The coadds as patches that are read box by box, and the boxes that were read."""
    read = []

    def part(key):
        def pixels(box):
            read.append((key, box))
            return templates[key][box]

        return pixels

    known = sky_map()
    return [
        CoaddPatch(tract=known.tract(tract), patch_index=patch, pixels=part((tract, patch)))
        for tract, patch in templates
    ], read


def test_dia_sources_on_the_templates(templates):
    """Each source has a row for every patch that has it on its outer box, one of them primary, whose flux is that of
    the star; a cut-out gives what the whole coadd gives. Written for any coadd: the original had deepCoadd written in.
    """
    ra, dec, flux = stars()
    coadd_patches, read = patches_of(templates)
    found = made(ForcedPhotCoaddDiaSrcTask).run(sources_at(ra, dec), coadd_patches, sky_map()).forcedSources
    primary = found[found["detect_isPrimary"]]
    primary.sort("diaSourceId")
    np.testing.assert_array_equal(primary["diaSourceId"], np.arange(len(ra)) + 1)
    assert_right(primary, flux)
    assert len(found) > len(primary)
    np.testing.assert_array_equal(primary["diaSrc_psfFlux"], np.arange(len(ra)) + 100.0)
    for (tract, patch), box in read:
        whole = templates[tract, patch]
        assert box.area < whole.box.area or box == whole.box
        rows = found[(found["tract"] == tract) & (found["patch"] == patch)]
        alone = force_at(whole, ra=np.asarray(rows["ra"]), dec=np.asarray(rows["dec"]))
        np.testing.assert_allclose(rows["psfFlux"], alone["psfFlux"], rtol=1e-6)
        np.testing.assert_allclose(rows["psfFluxErr"], alone["psfFluxErr"], rtol=1e-6)


def test_a_source_whose_parent_is_elsewhere_is_measured(templates):
    """One child without its parent beside 48 sources has its rows; the original stopped at exactly one (A.5)."""
    ra, dec, _ = stars()
    sources = sources_at(ra, dec)
    sources["parentDiaSourceId"][7] = 999
    found = made(ForcedPhotCoaddDiaSrcTask).run(sources, patches_of(templates)[0], sky_map()).forcedSources
    assert (found["detect_isPrimary"] & (found["diaSourceId"] == 8)).sum() == 1


def test_few_and_no_sources_read_little_and_nothing(templates):
    """One source: small cut-outs; none, or none with a position: no pixel is read, and the table has its columns."""
    ra, dec, _ = stars()
    task = made(ForcedPhotCoaddDiaSrcTask)
    coadd_patches, read = patches_of(templates)
    one = task.run(sources_at(ra[:1], dec[:1]), coadd_patches, sky_map()).forcedSources
    assert one["detect_isPrimary"].sum() == 1
    assert all(box.area < 0.3 * templates[key].box.area for key, box in read)
    read.clear()
    for sources in (sources_at(ra[:0], dec[:0]), sources_at(np.array([np.nan]), dec[:1])):
        none = task.run(sources, coadd_patches, sky_map()).forcedSources
        assert len(none) == 0
        assert none.colnames == one.colnames
    assert read == []


def objects_at(ra, dec):
    """A table of DIA objects."""
    return Table({"diaObjectId": np.arange(len(ra)) + 1, "ra": ra, "dec": dec})


def test_objects_on_the_template_of_their_patch(templates):
    """All objects are measured, also beyond the inner box, and those off the coadd are flagged, not dropped."""
    ra, dec, flux = stars()
    coadd = templates[0, 0]
    found = made(ForcedPhotCoaddDiaTask).run(objects_at(ra, dec), coadd, tract=0, patch=0, band="r").forcedSources
    assert found["diaObjectId"].tolist() == list(range(1, len(ra) + 1))
    here = are_on(coadd.box, coadd.wcs, ra=ra, dec=dec)
    np.testing.assert_array_equal(found["pixelFlags_offimage"], ~here)
    good = ~np.asarray(found["psfFlux_flag"])
    assert 3 < good.sum() < len(ra)
    assert_right(found[good], flux[good])
    assert {"tract", "patch", "band"} <= set(found.colnames)
    assert not any(name.startswith("ap0") for name in found.colnames)


def test_what_cannot_be_objects_is_refused(templates):
    """Objects twice or without a position are told; none is a table without rows."""
    ra, dec, _ = stars()
    task = made(ForcedPhotCoaddDiaTask)
    place = {"tract": 0, "patch": 0, "band": "r"}
    twice = objects_at(ra[:2], dec[:2])
    twice["diaObjectId"] = 3
    with pytest.raises(InputError, match="more than once"):
        task.run(twice, templates[0, 0], **place)
    with pytest.raises(InputError, match="have no position"):
        task.run(objects_at(np.array([np.nan]), dec[:1]), templates[0, 0], **place)
    assert len(task.run(objects_at(ra[:0], dec[:0]), templates[0, 0], **place).forcedSources) == 0


@pytest.mark.parametrize(
    "kind", [ForcedPhotCcdDiaTask, ForcedPhotCcdTemplateDiaTask, ForcedPhotCoaddDiaSrcTask, ForcedPhotCoaddDiaTask]
)
def test_lines_about_the_older_measurement_are_taken(kind, caplog):
    """Plugins and calculations that are no more: the lines say so, and change nothing."""
    config = kind.ConfigClass()
    with caplog.at_level("INFO"):
        config.measurement.plugins.names |= ["base_SdssShape"]
        config.applyApCorr.proxies = {}
        config.catalogCalculation.plugins.names = []
    assert config.toDict() == kind.ConfigClass().toDict()
    assert "said of measurement is without effect" in caplog.text
