"""Dimension records of what was observed: nights, filters, exposures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from astropy.time import Time
from lsst.daf.butler import Butler, Timespan

from diapipe.tasks.repository.camera import Camera
from diapipe.tasks.repository.camera_files import FoundImage
from diapipe.tasks.repository.camera_times import Span, utc_of
from diapipe.tasks.repository.instrument import detector_record


def night_of(camera: Camera, begin_tai: float) -> int:
    """The night (``day_obs``, yyyymmdd) of an exposure: the date at which the camera's night began."""
    date = utc_of(begin_tai) - timedelta(hours=camera.new_night_at_utc_hour)
    return int(f"{date:%Y%m%d}")


def night_span(camera: Camera, night: int) -> Timespan:
    """From one change of nights to the next."""
    midnight = datetime.strptime(str(night), "%Y%m%d").replace(tzinfo=UTC)
    begin = Time(midnight + timedelta(hours=camera.new_night_at_utc_hour), scale="utc").tai
    return Timespan(begin, Time(midnight + timedelta(hours=24 + camera.new_night_at_utc_hour), scale="utc").tai)


def timespan_of(span: Span) -> Timespan:
    """The span as the registry has it; an exposure of unknown length lasts a nanosecond."""
    begin = Time(span.begin, format="mjd", scale="tai")
    return Timespan(begin, Time(span.end, format="mjd", scale="tai") if span.end > span.begin else begin)


def exposure_rows(camera: Camera, images: Iterable[FoundImage]) -> list[dict[str, Any]]:
    """Records of the exposures of images, each once."""
    rows: dict[int, dict[str, Any]] = {}
    for image in images:
        if image.visit not in rows:
            rows[image.visit] = _exposure_row(camera, image)
    return list(rows.values())


def _exposure_row(camera: Camera, image: FoundImage) -> dict[str, Any]:
    name = str(image.visit)
    row = {
        "instrument": camera.name,
        "id": image.visit,
        "obs_id": name,
        "group": name,
        "physical_filter": image.physical_filter,
        "day_obs": night_of(camera, image.span.begin),
        "timespan": timespan_of(image.span),
        "observation_type": "science",
        "can_see_sky": True,
        "target_name": image.target or None,
    }
    return row if math.isnan(image.exposure_time_s) else {**row, "exposure_time": image.exposure_time_s}


def insert_parts(butler: Butler, camera: Camera, images: Iterable[FoundImage]) -> None:
    """Filters, and detectors of a camera that names none."""
    registry = butler.registry
    filters = {(image.physical_filter, image.band) for image in images}
    registry.insertDimensionData(
        "physical_filter",
        *({"instrument": camera.name, "name": name, "band": band} for name, band in sorted(filters)),
        skip_existing=True,
    )
    if not camera.detectors:
        numbers = sorted({image.detector for image in images})
        rows = (detector_record(camera, number, camera.detector_name(number)) for number in numbers)
        registry.insertDimensionData("detector", *rows, skip_existing=True)


def insert_exposures(butler: Butler, camera: Camera, rows: Sequence[dict[str, Any]]) -> None:
    """Exposures with their nights and groups; those that are there stay."""
    registry = butler.registry
    nights = sorted({int(row["day_obs"]) for row in rows})
    registry.insertDimensionData(
        "day_obs",
        *({"instrument": camera.name, "id": night, "timespan": night_span(camera, night)} for night in nights),
        skip_existing=True,
    )
    groups = ({"instrument": camera.name, "name": row["group"]} for row in rows)
    registry.insertDimensionData("group", *groups, skip_existing=True)
    registry.insertDimensionData("exposure", *rows, skip_existing=True)


def known_exposures(butler: Butler, camera: Camera, visits: Sequence[int]) -> dict[int, tuple[str, float]]:
    """Filter and begin (MJD, TAI) of the exposures of these numbers that the repository has."""
    found: dict[int, tuple[str, float]] = {}
    if not list(butler.registry.queryDimensionRecords("instrument", instrument=camera.name)):
        return found
    for start in range(0, len(visits), 1000):
        records = butler.query_dimension_records(
            "exposure",
            where="instrument = camera AND exposure IN (visits)",
            bind={"camera": camera.name, "visits": list(visits[start : start + 1000])},
            limit=None,
            explain=False,
        )
        for record in records:
            found[int(record.id)] = (str(record.physical_filter), float(record.timespan.begin.tai.mjd))
    return found
