"""A repository's sky maps: registered once, grown by the visits, never changed; regions that say what pixels say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lsst.sphgeom import LonLat, UnitVector3d
from tests.tasks.small_repository import (
    DEC_DEG,
    PIXEL_ARCSEC,
    RA_DEG,
    SKYMAP,
    VISITS,
    SmallRepository,
    insert_visit,
    make_small_repository,
)

from diapipe.cli.main import main
from diapipe.errors import UsageError
from diapipe.images import DiscreteSkyMap, RingsSkyMap, TractGrid, TractPlace
from diapipe.images.sky import icrs_of
from diapipe.tasks.repository import create_repository
from diapipe.tasks.repository.sky_map_records import (
    load_sky_map,
    register_sky_map,
    sky_map_names,
    tracts_of_visits,
    visit_corners,
    visits_beyond,
)
from diapipe.tasks.repository.sky_map_request import follow_visits

RINGS = RingsSkyMap(name="rings", grid=TractGrid(pixel_scale_arcsec=1.0, patch_size_px=2000))


@pytest.fixture(scope="module")
def without_images(tmp_path_factory: pytest.TempPathFactory) -> SmallRepository:
    """Records only."""
    return make_small_repository(tmp_path_factory.mktemp("sky") / "records", with_images=False)


def test_rings_get_the_tracts_that_visits_touch(small_repository: SmallRepository):
    """One tract of 18,938, with all of its patches; the row of the map counts all tracts."""
    with small_repository.opened(writeable=True) as butler:
        done = register_sky_map(butler, RINGS)
        tract = RINGS.find_tract(RA_DEG, DEC_DEG)
        assert (done.n_tracts, done.n_patches) == (1, tract.n_columns * tract.n_rows)
        (record,) = (r for r in butler.registry.queryDimensionRecords("skymap") if r.name == "rings")
        assert (record.tract_max, record.patch_nx_max, record.hash) == (18938, tract.n_columns, RINGS.digest)
        (row,) = butler.registry.queryDimensionRecords("tract", skymap="rings")
        assert row.id == tract.id
        assert load_sky_map(butler, "rings") == RINGS


def test_the_middleware_joins_visits_and_patches_as_positions_do(small_repository: SmallRepository):
    """A visit and a patch are joined if some pixel of the visit's detectors lies in the patch's outer box."""
    sky_map = DiscreteSkyMap(
        name="here",
        grid=TractGrid(pixel_scale_arcsec=0.5, patch_size_px=120, patch_border_px=10),
        tracts=(TractPlace(ra_deg=RA_DEG, dec_deg=DEC_DEG, width_deg=0.15, height_deg=0.1),),
    )
    with small_repository.opened(writeable=True) as butler:
        register_sky_map(butler, sky_map)
        rows = butler.registry.queryDataIds(["visit", "detector", "patch"], skymap="here", instrument="TestCam")
        joined = {(row["visit"], row["detector"], row["patch"]) for row in rows}
        exact = set()
        for record in butler.registry.queryDimensionRecords("visit_detector_region"):
            ra, dec = np.array(
                [(LonLat(v).getLon().asDegrees(), LonLat(v).getLat().asDegrees()) for v in record.region.getVertices()]
            ).T
            for _, patches in sky_map.patches_overlapping(ra, dec):
                exact |= {(record.visit, record.detector, patch.index) for patch in patches}
    assert exact
    assert joined == exact


def test_regions_hold_the_corners_of_their_pixels(small_repository: SmallRepository):
    """The region of a patch holds its corner pixels, and not those a pixel beyond."""
    with small_repository.opened(writeable=True) as butler:
        register_sky_map(butler, RINGS)
        (tract,) = (RINGS.tract(id) for id in tracts_of_visits(butler, RINGS))
        for row in list(butler.registry.queryDimensionRecords("patch", skymap="rings"))[::37]:
            outer = tract.patch(row.id).outer
            assert (row.cell_x, row.cell_y) == (tract.patch(row.id).column, tract.patch(row.id).row)
            for beyond, inside in ((0, True), (1, False)):
                at = np.array([outer.x0 - beyond]), np.array([outer.y0 - beyond])
                ra, dec = icrs_of(tract.wcs, *at)
                direction = UnitVector3d(LonLat.fromDegrees(float(ra[0]), float(dec[0])))
                assert row.region.contains(direction) is inside


def test_registering_again_adds_only_what_new_visits_touch(small_repository: SmallRepository, monkeypatch):
    """Twice is as once; the hash stays while tracts come."""
    with small_repository.opened(writeable=True) as butler:
        register_sky_map(butler, RINGS)
        again = register_sky_map(butler, RINGS)
        assert (again.is_known, again.n_tracts, again.n_patches) == (True, 0, 0)
        monkeypatch.setattr("tests.tasks.small_repository.RA_DEG", 200.0)
        insert_visit(butler, 99)
        later = register_sky_map(butler, RINGS)
        assert later.n_tracts == 1
        (record,) = (r for r in butler.registry.queryDimensionRecords("skymap") if r.name == "rings")
        assert record.hash == RINGS.digest
        assert len(list(butler.registry.queryDimensionRecords("tract", skymap="rings"))) == 2


def test_sky_maps_follow_the_visits(small_repository: SmallRepository, monkeypatch):
    """Rings get the tracts of a visit that came; the map around the data says that it does not hold it."""
    root = str(small_repository.root)
    assert main(["skymap", root, "--rings", "120", "--pixel-scale", "1", "--patch-size", "2000", "--quiet"]) == 0
    assert main(["skymap", root, "--quiet"]) == 0
    with small_repository.opened(writeable=True) as butler:
        assert follow_visits(butler) == []
        monkeypatch.setattr("tests.tasks.small_repository.RA_DEG", 200.0)
        insert_visit(butler, 99)
        told = follow_visits(butler)
        assert told == [
            "sky map rings120: was there; 1 of 18938 tracts with 9 patches registered",
            "sky map survey: was there; nothing new",
            "1 visit outside it (99): a map of another --name can hold them",
        ]
        assert follow_visits(butler) == told[1:]


def test_another_map_of_the_name_is_refused(small_repository: SmallRepository):
    """With what differs, and nothing changed."""
    with small_repository.opened(writeable=True) as butler:
        register_sky_map(butler, RINGS)
        other = replace(RINGS, grid=TractGrid(pixel_scale_arcsec=0.5, patch_size_px=2000))
        with pytest.raises(UsageError, match=r"called rings: grid.pixel_scale_arcsec is 1.0, not 0.5; give .*--name"):
            register_sky_map(butler, other)
        with pytest.raises(UsageError, match=f"another sky map called {SKYMAP}; give"):
            register_sky_map(butler, replace(RINGS, name=SKYMAP))
        with pytest.raises(UsageError, match="has the sky map twin already, under the name rings; use that"):
            register_sky_map(butler, replace(RINGS, name="twin"))
        assert load_sky_map(butler, "rings") == RINGS


def test_a_map_is_found_by_name_or_alone(small_repository: SmallRepository, tmp_path: Path):
    """Without a name where there is one; else the sentence says which there are."""
    with small_repository.opened(writeable=True) as butler:
        register_sky_map(butler, RINGS)
        assert sky_map_names(butler) == ("rings", SKYMAP)
        with pytest.raises(UsageError, match="one sky map is needed in this repository: it has rings, test_map"):
            load_sky_map(butler)
        with pytest.raises(UsageError, match="there is no sky map x in this repository"):
            load_sky_map(butler, "x")
        with pytest.raises(UsageError, match="test_map has no parameters"):
            load_sky_map(butler, SKYMAP)
    empty = SmallRepository(create_repository(tmp_path / "empty"))
    with empty.opened(writeable=True) as butler:
        with pytest.raises(UsageError, match="`diapipe skymap` makes one"):
            load_sky_map(butler)
        register_sky_map(butler, RINGS, tracts=[5])
        assert load_sky_map(butler) == RINGS


def test_the_command_makes_a_map_around_the_data(small_repository: SmallRepository, capsys):
    """In the pixel scale of the images, one tract, all corners of all visits on it; a second time it is there."""
    assert main(["skymap", str(small_repository.root)]) == 0
    assert "sky map survey: discrete, 0.5 arcsec/px; 1 of 1 tract with 1 patch registered" in capsys.readouterr().out
    with small_repository.opened() as butler:
        sky_map = load_sky_map(butler, "survey")
        corners = visit_corners(butler)
        assert sorted(visit for _, visit in corners) == list(VISITS)
        assert sky_map.grid.pixel_scale_arcsec == pytest.approx(PIXEL_ARCSEC, rel=1e-9)
        ra, dec = np.hstack([np.stack(at) for at in corners.values()])
        assert (sky_map.find_tracts(ra_deg=ra, dec_deg=dec) == 0).all()
        assert visits_beyond(butler, sky_map) == []
    assert main(["skymap", str(small_repository.root)]) == 0
    assert "sky map survey: was there; nothing new" in capsys.readouterr().out


def test_the_command_tells_of_visits_outside(small_repository: SmallRepository, capsys, monkeypatch):
    """A map around the data stays as it is when visits come elsewhere."""
    assert main(["skymap", str(small_repository.root), "--quiet"]) == 0
    monkeypatch.setattr("tests.tasks.small_repository.RA_DEG", 200.0)
    with small_repository.opened(writeable=True) as butler:
        insert_visit(butler, 99)
    assert main(["skymap", str(small_repository.root)]) == 0
    assert "1 visit outside it (99)" in capsys.readouterr().out


def test_a_map_in_postgres(tmp_path: Path, postgres_database: str):
    """The same calls as in SQLite: registered once, loaded, refused."""
    made = make_small_repository(tmp_path / "there", db=postgres_database, with_images=False)
    with made.opened(writeable=True) as butler:
        assert register_sky_map(butler, RINGS).n_tracts == 1
        assert register_sky_map(butler, RINGS).n_tracts == 0
        assert load_sky_map(butler, "rings") == RINGS
        with pytest.raises(UsageError, match="called rings"):
            register_sky_map(butler, replace(RINGS, ra_start_deg=1.0))


@pytest.mark.parametrize(
    ("words", "kind", "n_tracts"),
    [
        (["--rings", "30", "--pixel-scale", "4"], RingsSkyMap, RingsSkyMap(name="r", n_rings=30).n_tracts),
        (["--tract", "30", "-10", "0.2", "--tract", "50", "-10", "0.1"], DiscreteSkyMap, 2),
        (["--name", "fine", "--patch-size", "64", "--border", "8", "--pixel-scale", "0.25"], DiscreteSkyMap, 1),
    ],
)
def test_the_command_makes_what_is_asked_for(small_repository: SmallRepository, words, kind, n_tracts):
    """Rings, tracts by hand, and a finer map beside another."""
    assert main(["skymap", str(small_repository.root), "--quiet", *words]) == 0
    name = {"--rings": "rings30", "--tract": "survey", "--name": "fine"}[words[0]]
    with small_repository.opened() as butler:
        sky_map = load_sky_map(butler, name)
        assert isinstance(sky_map, kind)
        assert sky_map.n_tracts == n_tracts
        if name == "fine":
            assert sky_map.grid == TractGrid(pixel_scale_arcsec=0.25, patch_size_px=64, patch_border_px=8)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--rings", "30", "--tract", "1", "2", "3"], "--rings and --tract make two different maps"),
        (["--rings", "30", "--max-tract", "3"], "--max-tract is for a map around the data"),
        (["--tract", "1", "2", "3", "--overlap", "3"], "tracts by hand are as given"),
        (["--pixel-scale", "-1"], "-1 is not positive"),
    ],
)
def test_what_cannot_be_is_wrong_use(without_images: SmallRepository, words, sentence, capsys):
    assert main(["skymap", str(without_images.root), *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_map_around_no_data_is_refused(without_images: SmallRepository, tmp_path: Path, capsys):
    """Without images there is no pixel scale, without visits no place."""
    assert main(["skymap", str(without_images.root)]) == 2
    assert "give --pixel-scale" in capsys.readouterr().err
    assert main(["skymap", str(without_images.root), "--pixel-scale", "0.5", "--quiet"]) == 0
    empty = create_repository(tmp_path / "empty")
    assert main(["skymap", str(empty), "--pixel-scale", "0.5"]) != 0
    assert "ingest exposures and define visits first" in capsys.readouterr().err
