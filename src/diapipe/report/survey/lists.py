"""The lists of a survey's pages: its visits, its objects, and the epochs of one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.table import Table

from diapipe.catalogs.survey_units import unit_of
from diapipe.numerics.arrays import FloatArray
from diapipe.report.cutouts import DrawnCutouts
from diapipe.report.rows import column
from diapipe.report.source_list import ListColumn, Listing, NumberColumn, WordColumn
from diapipe.report.survey.content import Beside
from diapipe.report.survey.objects import SurveyObjects
from diapipe.report.survey.places import UP, Places, curve_file, object_page

_OF_UNITS = (
    ("mjd", "MJD", "", 4),
    ("psfFwhm", "seeing", "″", 2),
    ("kernelScale", "kernel / scale", "", 4),
    ("starReducedChi2", "star χ²", "", 2),
    ("noiseRatio", "noise", "", 3),
    ("registrationRms", "astrometry", "″", 3),
    ("differenceMagLim", "depth", "mag", 2),
    ("nSources", "sources", "", 0),
    ("nGood", "passed", "", 0),
)
"""Column of `SURVEY_UNITS`, its head, unit and decimals."""
_DETAILS_OF_UNITS = (
    ("templateFwhm", "template FWHM", "″", 2),
    ("differenceFwhm", "difference FWHM", "″", 2),
    ("magLim", "depth of the science image", "mag", 2),
    ("templateMagLim", "depth of the template", "mag", 2),
    ("zeroPoint", "zero point", "mag", 3),
    ("skyBg", "sky", "counts", 0),
    ("nKernelStars", "stars of the kernel", "", 0),
    ("seconds", "CPU time", "s", 1),
)


def visit_list(units: Table, places: Places) -> Listing:
    """Every detector of every visit; those without a difference say why."""
    listed = [unit_of(row) for row in units]
    has_page = np.asarray(units["outcome"]) == "done"
    columns: list[ListColumn] = [
        WordColumn(name="band", label="band", values=_words(units, "band")),
        WordColumn(name="outcome", label="difference", values=_words(units, "outcome")),
        WordColumn(
            name="use", label="used for", note="A visit of the template is in part subtracted from itself",
            values=["template" if used else "search" for used in units["inTemplate"]],
        ),
        *(_number(units, *entry) for entry in _OF_UNITS),
        *(_number(units, *entry, is_detail=True) for entry in _DETAILS_OF_UNITS),
        WordColumn(name="reason", label="why not", values=_words(units, "reason"), is_filter=False, is_detail=True),
    ]  # fmt: skip
    return Listing(
        caption="Detectors of visits",
        what="detectors of visits",
        order="in order of time",
        id_name="visit-detector",
        ids=[places.short(unit) for unit in listed],
        addresses=[places.unit_page(unit) if there else "" for unit, there in zip(listed, has_page, strict=True)],
        is_labelled=False,
        columns=columns,
    )


def object_list_of(objects: SurveyObjects, beside: Beside, *, with_page: int, with_curve: int) -> Listing:
    """All objects, the most significant first; the first ``with_page`` have pages, ``with_curve`` a picture."""
    ids = objects.ids
    columns: list[ListColumn] = [
        NumberColumn(
            name="snr", label="best S/N", values=objects.best_snr, decimals=1, limits="least", is_signed=False,
            note="Of its forced fluxes on differences",
        ),
        NumberColumn(
            name="flux", label="that flux", unit="nJy", values=objects.peak, errors=objects.peak_err, decimals=0,
        ),
        NumberColumn(
            name="sources", label="found", values=objects.n_sources, decimals=0, limits="least most",
            note="On how many differences it was detected",
        ),
        NumberColumn(
            name="epochs", label="measured", values=objects.n_epochs.astype(np.float64), decimals=0, limits="least",
            note="Good forced fluxes",
        ),
        *_reliability(objects),
        *_variability(objects.table),
        *_beside(ids, beside),
        NumberColumn(name="ra", label="RA", unit="°", values=objects.positions[:, 0], decimals=5),
        NumberColumn(name="dec", label="Dec", unit="°", values=objects.positions[:, 1], decimals=5),
    ]  # fmt: skip
    return Listing(
        caption="Objects",
        what="objects",
        order="the most significant first",
        id_name="diaObjectId",
        ids=[str(number) for number in ids],
        addresses=[object_page(number) if place < with_page else "" for place, number in enumerate(ids)],
        columns=columns,
        figures=[curve_file(number) if place < with_curve else "" for place, number in enumerate(ids)],
    )


def epoch_list(
    epochs: Table, detections: Mapping[int, int], cutouts: DrawnCutouts | None, pages: Sequence[str]
) -> Listing:
    """Forced fluxes of one object, in order of time.

    Parameters
    ----------
    epochs
        Rows of its forced sources.
    detections
        By visit on which it was found: its source.
    cutouts
        Of the same rows.
    pages
        Of the same rows: the page of the visit, from the folder of the report; "" where it has none.
    """
    visit, detector = (np.asarray(epochs[name]).tolist() for name in ("visit", "detector"))
    flux, error = column(epochs, "psfFlux"), column(epochs, "psfFluxErr")
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = flux / error
    flagged = column(epochs, "psfFlux_flag") > 0
    was_found = [
        "flagged" if bad else "detected" if v in detections else "forced" for v, bad in zip(visit, flagged, strict=True)
    ]
    return Listing(
        caption="Forced fluxes, epoch by epoch",
        what="epochs",
        order="in order of time",
        id_name="visit-detector",
        is_labelled=False,
        ids=[f"{v}-{d}" for v, d in zip(visit, detector, strict=True)],
        addresses=[_to_source(page, detections.get(v, 0)) for page, v in zip(pages, visit, strict=True)],
        columns=[
            WordColumn(name="band", label="band", values=_words(epochs, "band")),
            NumberColumn(name="mjd", label="MJD", values=column(epochs, "midpointMjdTai"), decimals=4),
            NumberColumn(name="snr", label="S/N", values=snr, decimals=1, is_signed=False, limits="least"),
            NumberColumn(
                name="flux", label="on the difference", unit="nJy", values=flux, errors=error, decimals=0,
            ),
            NumberColumn(
                name="science", label="on the science image", unit="nJy", values=column(epochs, "scienceFlux"),
                errors=column(epochs, "scienceFluxErr"), decimals=0,
            ),
            WordColumn(name="found", label="how", values=was_found, note="Detected, or measured at its place"),
        ],
        cutouts=cutouts,
    )  # fmt: skip


def _to_source(page: str, dia_source_id: int) -> str:
    """From the page of an object to that of a visit, and to its source there."""
    if not page:
        return ""
    return UP + page + (f"#{Path(page).stem}/{dia_source_id}" if dia_source_id else "")


def with_objects(source_list: Listing, object_ids: Sequence[int], known: Callable[[int], bool]) -> Listing:
    """A list of sources with the object of each, which leads to its page where ``known`` says that it has one."""
    values = [str(number) if number else "" for number in object_ids]
    addresses = [UP + object_page(number) if number and known(number) else "" for number in object_ids]
    of_object = WordColumn(name="object", label="object", values=values, addresses=addresses, is_filter=False)
    return replace(source_list, columns=[*source_list.columns, of_object])


def _words(table: Table, name: str) -> list[str]:
    return [str(value) for value in table[name]]


def _number(table: Table, name: str, label: str, unit: str, decimals: int, *, is_detail: bool = False) -> ListColumn:
    note = str(table[name].description or "")
    values = column(table, name)
    return NumberColumn(
        name=name, label=label, unit=unit, values=values, decimals=decimals, is_detail=is_detail, note=note
    )


def _reliability(objects: SurveyObjects) -> list[ListColumn]:
    """How likely the sources of each are real, where that was told."""
    if not np.isfinite(objects.reliability).any():
        return []
    note = "Median of that of its sources: how likely they are changes of the sky"
    values = objects.reliability
    return [NumberColumn(name="reliability", label="reliability", values=values, limits="least most", note=note)]


def _variability(table: Table) -> list[ListColumn]:
    """Largest reduced chi-square of constant forced fluxes, over the bands."""
    bands = [name[3:-11] for name in table.colnames if name.startswith("dp_") and name.endswith("_fpFluxChi2")]
    found: list[FloatArray] = []
    for band in bands:
        n = column(table, f"dp_{band}_fpFluxNdata")
        found.append(np.where(n > 1, column(table, f"dp_{band}_fpFluxChi2") / np.maximum(n - 1, 1), np.nan))
    if not found:
        return []
    values = np.fmax.reduce(found)
    note = "Reduced χ² of its forced fluxes about their mean, of the band where it is largest"
    return [NumberColumn(name="chi2", label="variability χ²", values=values, decimals=1, limits="least", note=note)]


def _beside(ids: Sequence[int], beside: Beside) -> list[ListColumn]:
    """What stands beside each."""
    if not beside.name:
        return []
    values = [beside.of_object.get(number, "nothing") for number in ids]
    return [WordColumn(name="beside", label=beside.name, values=values, is_filter=len(set(values)) <= 40)]
