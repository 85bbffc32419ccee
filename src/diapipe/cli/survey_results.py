"""What a run left in the repository of a simulated survey, as the comparison with the truth wants it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS

from diapipe.errors import InputError
from diapipe.images import Box, CoaddPatch, Difference, Exposure
from diapipe.images.calibrated import calibrated
from diapipe.images.sky import icrs_of
from diapipe.images.sky_map import SkyMap
from diapipe.report.survey_page import SkyPolygon

OUTPUT = "diapipe/default"
"""Collection that `diapipe run` fills unless told otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class SurveyResults:
    """The datasets of a run, read when they are asked for."""

    butler: Any

    def template_weights(self) -> dict[str, dict[int, float]]:
        """By band and visit: mean weight in the patches that took the visit."""
        sums: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for ref in self._refs("template_visits"):
            table = self.butler.get(ref)
            for row in table[np.asarray(table["selected"], dtype=np.bool_)]:
                sums[str(ref.dataId["band"])][int(row["visit"])].append(float(row["weight"]))
        return {band: {v: float(np.mean(w)) for v, w in visits.items()} for band, visits in sums.items()}

    def differences(self) -> Iterator[tuple[int, int, str, Difference, Table]]:
        """Visit, detector, band, difference and sources of all that was differenced."""
        for ref in self._refs("difference_image"):
            data_id = ref.dataId
            sources = self.butler.get("dia_source", data_id, collections=OUTPUT)
            visit, detector = int(data_id["visit"]), int(data_id["detector"])
            yield visit, detector, str(data_id["band"]), self.butler.get(ref), sources

    def difference(self, visit: int, detector: int) -> Difference:
        """One difference."""
        data_id = {"instrument": self._instrument, "visit": visit, "detector": detector}
        found: Difference = self.butler.get("difference_image", data_id, collections=OUTPUT)
        return found

    def objects_and_fluxes(self) -> tuple[Table, Table]:
        """The objects of all patches and their forced fluxes, each once, as `diapipe export` has them.

        Raises
        ------
        InputError
            If the run made none.
        """
        from diapipe.tasks.survey_tables import tables_of

        found = tables_of(self.butler, OUTPUT)
        if found.dia_objects is None or found.forced_sources is None:
            raise InputError(f"{OUTPUT} holds no objects with forced fluxes; `diapipe run` makes them")
        return found.dia_objects, found.forced_sources

    def n_quanta(self) -> dict[str, int]:
        """How many there are of the main products."""
        names = ("visit_image", "template_coadd", "difference_image")
        return {name: len(self._refs(name)) for name in names}

    def visit_summaries(self) -> dict[int, Table]:
        """The table of each visit."""
        return {int(ref.dataId["visit"]): self.butler.get(ref) for ref in self._refs("visit_summary")}

    def science(self, visit: int, detector: int) -> Exposure:
        """A visit image in nJy."""
        from diapipe.tasks.scaled import scaled

        data_id = {"instrument": self._instrument, "visit": visit, "detector": detector}
        image = self.butler.get("visit_image", data_id, collections=OUTPUT)
        summary = self.butler.get("visit_summary", data_id, collections=OUTPUT)
        return calibrated(scaled(image, summary))

    def patches(self, band: str) -> list[CoaddPatch]:
        """All coadds of a band."""
        sky_map = self.sky_map
        return [
            CoaddPatch(
                tract=sky_map.tract(int(ref.dataId["tract"])),
                patch_index=int(ref.dataId["patch"]),
                pixels=replace(self.butler.get(ref), name=f"tract {ref.dataId['tract']}, patch {ref.dataId['patch']}"),
            )
            for ref in self._refs("template_coadd")
            if ref.dataId["band"] == band
        ]

    @property
    def sky_map(self) -> SkyMap:
        """Of the survey."""
        from diapipe.tasks.repository.sky_map_records import load_sky_map

        return load_sky_map(self.butler)

    def tract_outlines(self) -> tuple[list[SkyPolygon], list[SkyPolygon]]:
        """Borders of the tracts, and of the patches of which there is a coadd."""
        sky_map = self.sky_map
        tracts = [sky_map.tract(number) for number in range(sky_map.n_tracts)]
        used = {(int(ref.dataId["tract"]), int(ref.dataId["patch"])) for ref in self._refs("template_coadd")}
        patches = [(tracts[tract], tracts[tract].patch(patch).inner) for tract, patch in sorted(used)]
        return [_outline(t.wcs, t.box) for t in tracts], [_outline(t.wcs, box) for t, box in patches]

    def detector_outlines(self) -> list[SkyPolygon]:
        """Corners of the detectors of all visits."""
        outlines = []
        for table in self.visit_summaries().values():
            outlines += [np.stack([row["raCorners"], row["decCorners"]], axis=1).astype(np.float64) for row in table]
        return outlines

    @property
    def _instrument(self) -> str:
        return str(self._refs("visit_image")[0].dataId["instrument"])

    def _refs(self, name: str) -> list[Any]:
        """All datasets of a type, in a fixed order."""
        found = self.butler.query_datasets(name, collections=OUTPUT, explain=False, limit=None)
        return sorted(found, key=lambda ref: tuple(str(value).zfill(8) for value in ref.dataId.required_values))


def _outline(wcs: WCS, box: Box) -> SkyPolygon:
    """Corners of a box on the sky."""
    x = np.array([box.x0, box.x1, box.x1, box.x0]) - 0.5
    y = np.array([box.y0, box.y0, box.y1, box.y1]) - 0.5
    return np.stack(icrs_of(wcs, x, y), axis=1)
