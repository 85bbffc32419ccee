"""The page of an object: its light curve, every epoch as cut-outs that blink, its row of ``dia_object``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.table import Table

from diapipe.catalogs.light_curve import LightCurve
from diapipe.report.curve_svg import DIFFERENCE, SCIENCE, curve_svg
from diapipe.report.cutouts import DrawnCutouts
from diapipe.report.numbers import MISSING, counted, fixed, number, with_error
from diapipe.report.page import environment
from diapipe.report.png import ByteArray
from diapipe.report.rows import column
from diapipe.report.source_list import write_source_list
from diapipe.report.survey.content import Beside
from diapipe.report.survey.lists import epoch_list
from diapipe.report.survey.objects import SurveyObjects
from diapipe.report.survey.places import UP, object_list, object_page
from diapipe.report.survey.sky_map import Link
from diapipe.report.words import Tile

MAX_EPOCHS = 100
"""Of an object, with cut-outs: the most significant ones."""


@dataclass(slots=True)
class Epochs:
    """Cut-outs of one object, collected while visits are gone through.

    Attributes
    ----------
    planes
        What stands side by side.
    entries
        By row of the forced sources: palette entries of one epoch.
    pages
        By the same: the page of the visit.
    """

    planes: tuple[str, ...] = ()
    entries: dict[int, ByteArray] = field(default_factory=dict)
    pages: dict[int, str] = field(default_factory=dict)


def write_object_page(
    folder: Path,
    objects: SurveyObjects,
    row: int,
    epochs: Epochs,
    beside: Beside,
    *,
    before: Link | None,
    after: Link | None,
    is_alone: bool = False,
) -> None:
    """Write the page, its list and its cut-outs."""
    dia_object_id = objects.ids[row]
    curve = objects.curves.get(dia_object_id)
    chosen = sorted(epochs.entries, key=lambda at: float(objects.forced_sources["midpointMjdTai"][at]))
    cutouts = DrawnCutouts(epochs.planes, np.stack([epochs.entries[at] for at in chosen])) if chosen else None
    rows = objects.forced_sources[chosen] if chosen else objects.forced_sources[:0]
    detections = objects.detections.get(dia_object_id, {})
    pages = [epochs.pages[at] for at in chosen]
    listed = epoch_list(rows, detections, cutouts, pages)
    name = object_list(dia_object_id)
    write_source_list(folder, name, listed)
    n_epochs = 0 if curve is None else len(curve)
    text = environment().get_template("survey/object.html.jinja").render(
        title=f"Object {dia_object_id}",
        sentence=_sentence(objects, row, beside),
        root=UP, here="", width="widest", before=before, after=after,
        is_alone=is_alone,
        numbers=_tiles(objects, row),
        svgs=_svgs(curve, detections, beside, dict(zip(rows["visit"].tolist(), pages, strict=True)) if chosen else {}),
        beside=beside.name if curve is not None and beside.lines_of(curve) else "",
        list=listed, name=name, left_out=max(0, n_epochs - len(listed)),
        entries=_facts(objects.table, row),
    )  # fmt: skip
    path = folder / object_page(dia_object_id)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _svgs(
    curve: LightCurve | None, detections: Mapping[int, int], beside: Beside, pages: Mapping[int, str]
) -> list[str]:
    """The curve on both scales, as far as there are fluxes."""
    if curve is None:
        return []
    addresses = {visit: UP + page for visit, page in pages.items() if page}
    lines = beside.lines_of(curve)
    scales = [DIFFERENCE, *([SCIENCE] if np.isfinite(curve.science_flux).any() else [])]
    return [curve_svg(curve, scale=scale, detected=detections, beside=lines, addresses=addresses) for scale in scales]


def _sentence(objects: SurveyObjects, row: int, beside: Beside) -> str:
    """Where it is, and what stands there."""
    ra, dec = objects.positions[row]
    place = f"RA {fixed(float(ra), 6)}°, Dec {fixed(float(dec), 6)}°."
    if not beside.name:
        return place
    return f"{place} In the {beside.name}: {beside.of_object.get(objects.ids[row], 'nothing')}."


def _tiles(objects: SurveyObjects, row: int) -> list[Tile]:
    """Headline numbers."""
    curve = objects.curves.get(objects.ids[row])
    tiles = [
        Tile(
            fixed(float(objects.n_sources[row]), 0),
            "times detected",
            f"{counted(int(objects.n_epochs[row]), 'good forced flux', 'good forced fluxes')}",
        ),
        Tile(
            fixed(float(objects.best_snr[row]), 1),
            "best S/N",
            f"{with_error(float(objects.peak[row]), float(objects.peak_err[row]))} nJy",
        ),
    ]
    if curve is not None and len(curve):
        for band in curve.bands:
            own = curve.in_band(band).measured()
            if len(own):
                at = int(np.argmax(np.abs(own.flux)))
                tiles.append(
                    Tile(
                        f"{number(float(own.flux[at]), 3)} nJy",
                        f"largest change in {band}",
                        f"visit {own.visit[at]}, MJD {own.mjd[at]:.2f}",
                    )
                )
        span = float(np.ptp(curve.mjd))
        tiles.append(Tile(f"{span:.1f} d", "from first to last", f"MJD {curve.mjd.min():.1f} to {curve.mjd.max():.1f}"))
    return tiles


def _facts(table: Table, row: int) -> list[tuple[str, str, str]]:
    """Every column: name, value with its unit, meaning."""
    return [(name, _value(table, name, row), str(table[name].description or "")) for name in table.colnames]


def _value(table: Table, name: str, row: int) -> str:
    value = table[name][row]
    if np.ma.is_masked(value):
        return MISSING
    if isinstance(value, float | np.floating):
        text = number(float(value), 9 if name in ("ra", "dec") or "Mjd" in name else 4)
        return f"{text} {table[name].unit or ''}".strip() if text != MISSING else text
    return str(value)


def epochs_to_show(objects: SurveyObjects, ids: Sequence[int]) -> dict[int, frozenset[int]]:
    """By object: rows of its forced sources that get cut-outs, the most significant where there are many."""
    if not len(objects.forced_sources):
        return {}
    flux, error = column(objects.forced_sources, "psfFlux"), column(objects.forced_sources, "psfFluxErr")
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = np.nan_to_num(np.abs(flux / error))
    of_row = np.asarray(objects.forced_sources["diaObjectId"])
    order = np.argsort(of_row, kind="stable")
    starts = np.searchsorted(of_row[order], np.array(ids))
    ends = np.searchsorted(of_row[order], np.array(ids), side="right")
    found = {}
    for dia_object_id, first, last in zip(ids, starts, ends, strict=True):
        own = order[first:last]
        found[dia_object_id] = frozenset(own[np.argsort(-snr[own], kind="stable")[:MAX_EPOCHS]].tolist())
    return found
