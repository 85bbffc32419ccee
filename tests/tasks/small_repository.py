"""A repository small enough for every test: one instrument of two detectors, two visits, a sky map of one tract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any

import numpy as np
from astropy.time import Time, TimeDelta
from astropy.wcs import WCS
from lsst.daf.butler import Butler, DatasetType, Timespan
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from diapipe.images import (
    Box,
    Exposure,
    GaussianPsf,
    MaskedImage,
    ObservationInfo,
    PhotoCalib,
    Tract,
)
from diapipe.tasks.repository import create_repository, open_repository

INSTRUMENT, SKYMAP, BAND, FILTER = "TestCam", "test_map", "r", "r_test"
VISITS, DETECTORS = (11, 12), (0, 1)
SIDE, PIXEL_ARCSEC = 256, 0.5
RA_DEG, DEC_DEG = 30.0, -10.0
GAP_PX = 16
DAY_OBS, MJD = 20260110, 61050.25


def detector_wcs(visit: int, detector: int) -> WCS:
    """The two detectors lie side by side around the middle of the tract; the second visit is 7 px north-east."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval = [RA_DEG, DEC_DEG]
    left = (SIDE + GAP_PX / 2) if detector == 0 else -GAP_PX / 2
    wcs.wcs.crpix = [left + 0.5 - 7 * (visit - VISITS[0]), 0.5 * (SIDE + 1) - 7 * (visit - VISITS[0])]
    wcs.wcs.cd = np.diag([-1.0, 1.0]) * PIXEL_ARCSEC / 3600.0
    wcs.wcs.set()
    return wcs


def tract() -> Tract:
    """Three by three patches that hold everything."""
    return Tract.around(
        0,
        ra_deg=RA_DEG,
        dec_deg=DEC_DEG,
        pixel_scale_arcsec=PIXEL_ARCSEC,
        n_patches=3,
        patch_size_px=200,
        patch_border_px=20,
    )


def region_of(wcs: WCS, box: Box) -> ConvexPolygon:
    """The sky of a box."""
    x = np.array([box.x0, box.x1, box.x1, box.x0]) - 0.5
    y = np.array([box.y0, box.y0, box.y1, box.y1]) - 0.5
    ra, dec = wcs.all_pix2world(x, y, 0)
    return ConvexPolygon.convexHull([UnitVector3d(LonLat.fromDegrees(*at)) for at in zip(ra, dec, strict=True)])


def visit_exposure(visit: int, detector: int) -> Exposure:
    """Noise of 10 around 0 with a dozen stars, calibrated; the seed is the data id."""
    rng = np.random.default_rng([visit, detector])
    box = Box.from_shape((SIDE, SIDE))
    image = rng.normal(0.0, 10.0, box.shape)
    psf = GaussianPsf(1.8, 21)
    for x, y in rng.integers(20, SIDE - 20, (12, 2)):
        image[y - 10 : y + 11, x - 10 : x + 11] += 2e4 * psf.kernel_image(x=x, y=y)
    variance = np.full(box.shape, 100.0) + np.clip(image, 0.0, None)
    return Exposure(
        name=f"visit {visit}, detector {detector}",
        masked_image=MaskedImage.from_planes(image, variance=variance, box=box),
        wcs=detector_wcs(visit, detector),
        psf=psf,
        photo_calib=PhotoCalib(2.0, 0.01),
        info=ObservationInfo(
            visit=visit, detector=detector, band=BAND, mjd_midpoint=MJD + visit, exposure_time_s=30.0, gain=1.0
        ),
    )


def insert_records(butler: Butler) -> None:
    """The instrument, its detectors, visits with regions, the sky map with its patches."""
    registry = butler.registry
    registry.syncDimensionData(
        "instrument",
        {"name": INSTRUMENT, "class_name": "", "visit_max": 1000, "exposure_max": 1000, "detector_max": 2},
    )
    for detector in DETECTORS:
        registry.syncDimensionData("detector", {"instrument": INSTRUMENT, "id": detector, "full_name": f"D{detector}"})
    registry.syncDimensionData("physical_filter", {"instrument": INSTRUMENT, "name": FILTER, "band": BAND})
    registry.syncDimensionData("day_obs", {"instrument": INSTRUMENT, "id": DAY_OBS})
    for visit in VISITS:
        insert_visit(butler, visit)
    insert_sky(butler)


def insert_visit(butler: Butler, visit: int) -> None:
    """A visit, the exposure that it is, and the sky of its detectors."""
    registry, box = butler.registry, Box.from_shape((SIDE, SIDE))
    begin = Time(MJD + visit, format="mjd", scale="tai")
    shared = {
        "instrument": INSTRUMENT,
        "id": visit,
        "physical_filter": FILTER,
        "day_obs": DAY_OBS,
        "timespan": Timespan(begin, begin + TimeDelta(30.0, format="sec")),
        "exposure_time": 30.0,
    }
    registry.syncDimensionData("group", {"instrument": INSTRUMENT, "name": str(visit)})
    registry.insertDimensionData("exposure", {**shared, "obs_id": str(visit), "group": str(visit)})
    regions = {detector: region_of(detector_wcs(visit, detector), box) for detector in DETECTORS}
    whole = ConvexPolygon.convexHull([corner for region in regions.values() for corner in region.getVertices()])
    registry.insertDimensionData("visit", {**shared, "name": str(visit), "region": whole})
    registry.insertDimensionData("visit_definition", {"instrument": INSTRUMENT, "visit": visit, "exposure": visit})
    for detector, region in regions.items():
        registry.insertDimensionData(
            "visit_detector_region",
            {"instrument": INSTRUMENT, "visit": visit, "detector": detector, "region": region},
        )


def insert_sky(butler: Butler) -> None:
    """One tract with its patches."""
    registry, plane = butler.registry, tract()
    sky = {"skymap": SKYMAP}
    registry.syncDimensionData(
        "skymap",
        {
            "name": SKYMAP,
            "hash": sha1(b"test").digest(),
            "tract_max": 1,
            "patch_nx_max": plane.n_columns,
            "patch_ny_max": plane.n_rows,
        },
    )
    registry.insertDimensionData("tract", {**sky, "id": 0, "region": region_of(plane.wcs, plane.box)})
    for patch in plane.patches:
        region = region_of(plane.wcs, patch.outer)
        cell = {"cell_x": patch.column, "cell_y": patch.row}
        registry.insertDimensionData("patch", {**sky, "tract": 0, "id": patch.index, "region": region, **cell})


def register(butler: Butler, name: str, dimensions: tuple[str, ...], storage_class: str) -> DatasetType:
    """Register a dataset type."""
    found = DatasetType(name, dimensions, storage_class, universe=butler.dimensions)
    butler.registry.registerDatasetType(found)
    return found


def data_id(visit: int, detector: int) -> dict[str, Any]:
    """Of one detector of a visit."""
    return {"instrument": INSTRUMENT, "visit": visit, "detector": detector}


def put_visits(butler: Butler, *, run: str = "visits", name: str = "visit_image") -> None:
    """An exposure for every detector of every visit."""
    register(butler, name, ("instrument", "visit", "detector"), "DiaExposure")
    butler.collections.register(run)
    for visit in VISITS:
        for detector in DETECTORS:
            butler.put(visit_exposure(visit, detector), name, data_id(visit, detector), run=run)


@dataclass(frozen=True)
class SmallRepository:
    """A repository on disk.

    Attributes
    ----------
    root
        Its folder.
    run
        Collection with a ``visit_image`` for every detector of every visit.
    """

    root: Path
    run: str = "visits"

    @contextmanager
    def opened(self, *, writeable: bool = False) -> Iterator[Butler]:
        """A Butler, closed at the end."""
        with open_repository(self.root, writeable=writeable) as butler:
            yield butler


def make_small_repository(
    root: Path, *, db: str | None = None, with_images: bool = True, compress: bool = False
) -> SmallRepository:
    """Make it in the folder ``root``; about a second."""
    made = SmallRepository(create_repository(root, db=db, compress=compress))
    with made.opened(writeable=True) as butler:
        insert_records(butler)
        if with_images:
            put_visits(butler, run=made.run)
    return made
