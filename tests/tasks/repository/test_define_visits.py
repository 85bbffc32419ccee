"""Visits: one for every exposure, on the sky where its pixels are, also at RA 0 and at the poles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from astropy.time import Time
from astropy.wcs import WCS
from lsst.daf.butler import Butler
from lsst.sphgeom import ConvexPolygon, UnitVector3d
from tests.tasks.camera_scenes import SIDE, camera, forget, image_hdu, kept, wcs_cards, write_image, write_night

from diapipe.cli.main import main
from diapipe.errors import UsageError
from diapipe.images import Box
from diapipe.images.sky import icrs_of
from diapipe.io.celestial import read_wcs
from diapipe.numerics.sphere import unit_vectors
from diapipe.tasks.repository.exposure_records import night_of, night_span
from diapipe.tasks.repository.ingest import ingest
from diapipe.tasks.repository.visits import define_visits

WIDE = 200.0
"""Arcsec a pixel: 24 of them are 1.3 degrees, where great circles and straight lines differ."""
SIP = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 3e-3, "B_0_2": -2e-3}
TPV = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0, "PV1_4": 0.05, "PV2_6": -0.04}
PLACES: dict[str, dict[str, Any]] = {
    "plain": wcs_cards(30.0, -10.0),
    "RA 0": wcs_cards(0.0, 5.0, scale_arcsec=WIDE),
    "north pole": wcs_cards(77.0, 90.0, scale_arcsec=WIDE),
    "beside the south pole": wcs_cards(200.0, -89.5, scale_arcsec=WIDE),
    "SIP": {**wcs_cards(120.0, 40.0, scale_arcsec=WIDE), **SIP},
    "TPV": {**wcs_cards(359.9, -60.0, scale_arcsec=WIDE), **TPV},
    "galactic": {**wcs_cards(120.0, 20.0, scale_arcsec=WIDE), "CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
    "turned over": {**wcs_cards(30.0, -10.0), "CD1_1": 1 / 3600},
}


def take(root: Path, files: list[str], which=None) -> None:
    with kept(root) as butler:
        assert ingest(butler, which or camera(), files).refused == ()


def define(root: Path, **options):
    with kept(root) as butler:
        return define_visits(butler, **options)


def region(butler: Butler, visit: int, detector: int | None = None) -> ConvexPolygon:
    where: dict[str, Any] = {"instrument": "TestCam", "visit": visit}
    if detector is None:
        return butler.query_dimension_records("visit", **where)[0].region
    return butler.query_dimension_records("visit_detector_region", **where, detector=detector)[0].region


def on_sky(wcs: WCS, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return unit_vectors(*icrs_of(wcs, x.astype(float), y.astype(float)))


def holds(polygon: ConvexPolygon, vectors: np.ndarray) -> np.ndarray:
    return np.array([polygon.contains(UnitVector3d(*vector)) for vector in vectors.reshape(-1, 3)])


def inner_points(polygon: ConvexPolygon) -> np.ndarray:
    """Its vertices, a thousandth nearer to its middle: on the border itself rounding decides."""
    vertices = np.array([list(vertex) for vertex in polygon.getVertices()])
    points = vertices + 1e-3 * (vertices.mean(axis=0) - vertices)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory, pristine_empty: Path) -> Iterator[Path]:
    """A repository with one visit at each of the places."""
    folder = tmp_path_factory.mktemp("everywhere")
    root = Path(copytree(pristine_empty, folder / "repo"))
    for visit, cards in enumerate(PLACES.values(), 1):
        write_image(folder / f"v{visit}.fits", visit, **cards)
    take(root, [str(folder / f"v{visit}.fits") for visit in range(1, len(PLACES) + 1)])
    assert define(root).summary == f"{len(PLACES)} visits defined"
    yield root
    forget(root)


@pytest.mark.parametrize("place", PLACES)
def test_a_region_holds_the_pixels_and_no_more(everywhere: Path, place: str):
    """The centre of every pixel is in, and no position a pixel beyond the middle of an edge that is not bent."""
    hdu = image_hdu(1, **PLACES[place])
    wcs = read_wcs(hdu.header, Box.from_shape((SIDE, SIDE)))
    with kept(everywhere) as butler:
        found = region(butler, 1 + list(PLACES).index(place), 0)
    y, x = np.mgrid[:SIDE, :SIDE]
    assert holds(found, on_sky(wcs, x, y)).all()
    half = (SIDE - 1) / 2
    outside = np.array([[-2.0, half], [SIDE + 1, half], [half, -2.0], [half, SIDE + 1]])
    n_hollow = 2 if place in {"SIP", "TPV"} else 0
    assert holds(found, on_sky(wcs, *outside.T)).sum() <= n_hollow


def test_the_pole_is_inside(everywhere: Path):
    """An image around the pole holds it, whatever right ascension it is given."""
    with kept(everywhere) as butler:
        found = region(butler, 1 + list(PLACES).index("north pole"))
    assert found.contains(UnitVector3d(0.0, 0.0, 1.0))
    assert not found.contains(UnitVector3d(0.0, 0.0, -1.0))


def test_the_registry_knows_what_lies_where(everywhere: Path):
    """A query by position finds the one visit there, on both sides of RA 0."""
    with kept(everywhere) as butler:
        for ra in (0.3, 359.7):
            found = butler.query_dimension_records(
                "visit_detector_region",
                where=f"visit_detector_region.region OVERLAPS POINT({ra}, 5.2)",
                explain=False,
            )
            assert [record.visit for record in found] == [1 + list(PLACES).index("RA 0")]


def test_a_visit_is_its_exposure(root: Path, tmp_path: Path):
    """One to one: number, filter, night, time; the region of the visit holds those of its detectors."""
    take(root, write_night(tmp_path / "night", range(1, 4), range(2)))
    assert define(root).summary == "3 visits defined"
    with kept(root) as butler:
        visit = butler.query_dimension_records("visit", instrument="TestCam", visit=2)[0]
        exposure = butler.query_dimension_records("exposure", instrument="TestCam", exposure=2)[0]
        for name in ("physical_filter", "day_obs", "timespan", "exposure_time", "target_name"):
            assert getattr(visit, name) == getattr(exposure, name)
        [pair] = butler.query_dimension_records("visit_definition", instrument="TestCam", visit=2)
        assert (pair.visit, pair.exposure) == (2, 2)
        for detector in (0, 1):
            assert holds(visit.region, inner_points(region(butler, 2, detector))).all()


@pytest.mark.parametrize(
    ("hour", "mjd_utc", "night"),
    [
        (12.0, 61050.49, 20260109),
        (12.0, 61050.51, 20260110),
        (22.0, 61050.25, 20260109),
        (22.0, 61050.60, 20260109),
        (0.0, 61050.001, 20260110),
    ],
)
def test_nights_change_at_the_cameras_noon(hour: float, mjd_utc: float, night: int):
    """MJD 61050 is 2026-01-10; in Hawaii (noon at 22 h UTC) one night goes from 4 to 16 h UTC."""
    described, begin = camera(new_night_at_utc_hour=str(hour)), Time(mjd_utc, format="mjd", scale="utc").tai
    assert night_of(described, float(begin.mjd)) == night
    assert night_span(described, night).contains(begin)


def test_again_changes_nothing_and_late_detectors_are_added(root: Path, tmp_path: Path):
    """Visits that are there stay; a detector that came later widens its visit."""
    files = write_night(tmp_path / "night", range(1, 3), range(2))
    take(root, files[:3])
    assert define(root).summary == "2 visits defined"
    assert define(root).summary == "0 visits defined, 2 already there"
    with kept(root) as butler:
        before = region(butler, 2)
    take(root, files)
    done = define(root)
    assert (done.summary, done.completed) == ("0 visits defined, 1 completed, 1 already there", (2,))
    with kept(root) as butler:
        grown = region(butler, 2)
        assert holds(grown, inner_points(region(butler, 2, 1))).all()
        assert holds(grown, inner_points(before)).all()
        assert not holds(before, inner_points(region(butler, 2, 1))).any()
    assert define(root).summary == "0 visits defined, 2 already there"


def test_detectors_without_a_place_are_named(root: Path, tmp_path: Path, capsys):
    """Each with the reason; their visit is defined by the others, or not at all; the status is 1."""
    good = write_night(tmp_path / "night", range(1, 2))
    kind = write_image(tmp_path / "kind.fits", 1, 1, CTYPE1="RA---XYZ", CTYPE2="DEC--XYZ")
    half = write_image(tmp_path / "half.fits", 2, 0, **wcs_cards(30.0, 10.0, scale_arcsec=400_000.0))
    gone = write_image(tmp_path / "gone.fits", 3, 0)
    take(root, [*good, kind, half, gone], camera(detectors="[north, south]"))
    Path(gone).unlink()
    assert main(["define-visits", str(root)]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == "1 visit defined, 3 detectors without a place on the sky"
    lines = told.err.splitlines()
    assert lines[0] == "diapipe: visit 1 detector 1 (south), kind.fits: it has no WCS that can be understood"
    assert lines[1].startswith("diapipe: visit 2 detector 0 (north), half.fits: its WCS ")
    assert lines[2].startswith("diapipe: visit 3 detector 0 (north), gone.fits: cannot read ")


def test_nothing_to_define_is_wrong_use(root: Path):
    with pytest.raises(UsageError, match="nothing was ingested"):
        define(root)
    with pytest.raises(UsageError, match="no instrument 'X'; it has none"):
        define(root, instrument="X")


@pytest.mark.realdata
def test_the_distortions_of_decam(root: Path, shared_data: Path):
    """Cut-outs of a detector far from the axis, TPV of third degree: every pixel's centre is in the region."""
    folder = shared_data / "sfft_decam" / "input_data"
    described = camera(
        "name: TestCam\nvisit: {filename: 'OBS(\\d\\d)'}\ndetector: CCDNUM\nfilter: FILTER\ntime: {start: MJD-OBS}"
    )
    file = folder / "DEC-OBS04a.mini.fits"
    take(root, [str(file)], described)
    assert define(root).summary == "1 visit defined"
    from astropy.io import fits

    with fits.open(file) as hdus:
        box = Box.from_shape(hdus[0].shape)
        wcs = read_wcs(hdus[0].header, box)
    y, x = np.mgrid[: box.height : 5, : box.width : 5]
    with kept(root) as butler:
        assert holds(region(butler, 4, 37), on_sky(wcs, x, y)).all()
