"""Light curves for SNANA: a folder of text files with its list, fluxes in FLUXCAL (zero point 27.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from diapipe.catalogs.dia_objects import bands_of_sources
from diapipe.catalogs.light_curve import LightCurve
from diapipe.errors import UsageError
from diapipe.images.photo_calib import ZERO_POINT_NJY
from diapipe.io.exports.band_names import BandNames
from diapipe.io.exports.base import FORCED_SOURCE, AbstractExport, SurveyTables, curves_in_njy, object_places

FLUXCAL_ZERO_POINT = 27.5
"""AB magnitude of FLUXCAL = 1."""

FLUXCAL_PER_NJY = 10.0 ** (0.4 * FLUXCAL_ZERO_POINT) / ZERO_POINT_NJY


@dataclass(frozen=True, slots=True, kw_only=True)
class Snana(AbstractExport):
    """A data version: ``<NAME>.LIST``, ``<NAME>.README`` and a file ``<NAME>_<diaObjectId>.DAT`` for each object.

    NAME is that of the folder. What was not measured, or may not be trusted, is left out. SNANA's names of bands have
    one letter; Rubin's y is its Y.

    Attributes
    ----------
    survey
        SNANA's name of the survey.
    band_names
        SNANA's names of the bands.
    """

    survey: str = "LSST"
    band_names: BandNames = field(default_factory=lambda: BandNames(named={"y": "Y"}))

    needs: ClassVar[tuple[str, ...]] = (FORCED_SOURCE,)

    def is_folder(self, tables: SurveyTables) -> bool:
        """Always."""
        return True

    def write(self, tables: SurveyTables, place: Path) -> None:
        """Write the folder; its name is that of the version.

        Raises
        ------
        UsageError
            If a band would have a name of several letters.
        """
        places, files, version = object_places(tables), [], place.name
        assert tables.forced_sources is not None
        names = self._names(bands_of_sources(tables.forced_sources))
        for curve in curves_in_njy(tables):
            ra, dec = places.get(curve.dia_object_id, (curve.ra, curve.dec))
            files.append(f"{version}_{curve.dia_object_id}.DAT")
            (place / files[-1]).write_text(_text(curve, ra, dec, self.survey, names), encoding="utf-8")
        (place / f"{version}.LIST").write_text("".join(f"{name}\n" for name in files), encoding="utf-8")
        (place / f"{version}.README").write_text(_readme(self.survey, names), encoding="utf-8")

    def _names(self, bands: Iterable[str]) -> dict[str, str]:
        """Names of bands, each of one letter."""
        names = self.band_names.of_bands(bands)
        long = [name for name in names.values() if len(name) != 1]
        if long:
            raise UsageError(f"SNANA's bands have one letter, not {', '.join(long)}; give others, as VR=w")
        return names


def _text(curve: LightCurve, ra: float, dec: float, survey: str, names: dict[str, str]) -> str:
    """A light curve in SNANA's text format."""
    lines = [
        f"SURVEY:   {survey}",
        f"SNID:     {curve.dia_object_id}",
        "IAUC:     NULL",
        "FAKE:     0",
        f"RA:       {ra:.8f}  # deg",
        f"DEC:      {dec:.8f}  # deg",
        f"FILTERS:  {''.join(names.values())}",
        "",
        f"NOBS:     {len(curve)}",
        "NVAR:     5",
        "VARLIST:  MJD  FLT  FIELD  FLUXCAL  FLUXCALERR",
    ]
    lines += [
        f"OBS:  {time:.6f}  {names[str(band)]}  NULL  {FLUXCAL_PER_NJY * flux:.7g}  {FLUXCAL_PER_NJY * err:.7g}"
        for time, band, flux, err in zip(curve.mjd, curve.band, curve.flux, curve.flux_err, strict=True)
    ]
    return "\n".join([*lines, "END:"]) + "\n"


def _readme(survey: str, names: dict[str, str]) -> str:
    """What SNANA wants to know of a folder of data."""
    bands = ", ".join(f"{ours} as {theirs}" for ours, theirs in names.items())
    return (
        "DOCUMENTATION:\n"
        f"  PURPOSE:  forced photometry on difference images of {survey}, by diapipe\n"
        f"  NOTES:\n  - FLUXCAL has the AB zero point {FLUXCAL_ZERO_POINT}\n  - MJD is TAI\n  - bands are {bands}\n"
        "DOCUMENTATION_END:\n"
    )
