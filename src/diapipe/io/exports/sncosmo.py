"""Light curves for sncosmo: a file each, which ``sncosmo.read_lc`` reads without options."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from diapipe.catalogs.light_curve import LightCurve
from diapipe.io.exports.band_names import BandNames
from diapipe.io.exports.base import FORCED_SOURCE, AbstractExport, SurveyTables, curves_in_njy, object_places

ZERO_POINT = 31.4
"""AB magnitude of 1 nJy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sncosmo(AbstractExport):
    """Files ``<diaObjectId>.txt`` with time, band, flux, fluxerr, zp = 31.4, zpsys = ab; fluxes in nJy.

    What was not measured, or may not be trusted, is left out.

    Attributes
    ----------
    band_names
        sncosmo's names of the bands, as ``lsst{band}``; ours where none are given, which it does not know.
    """

    band_names: BandNames = field(default_factory=BandNames)

    needs: ClassVar[tuple[str, ...]] = (FORCED_SOURCE,)

    def is_folder(self, tables: SurveyTables) -> bool:
        """Always."""
        return True

    def write(self, tables: SurveyTables, place: Path) -> None:
        """Write a file for each object."""
        places = object_places(tables)
        for curve in curves_in_njy(tables):
            ra, dec = places.get(curve.dia_object_id, (curve.ra, curve.dec))
            text = _text(curve, ra, dec, self.band_names.of_bands(curve.bands))
            (place / f"{curve.dia_object_id}.txt").write_text(text, encoding="utf-8")


def _text(curve: LightCurve, ra: float, dec: float, names: dict[str, str]) -> str:
    """A light curve in sncosmo's default layout: lines of @key value, a line of names, rows."""
    lines = [f"@diaObjectId {curve.dia_object_id}", f"@ra {ra:.8f}", f"@dec {dec:.8f}", "@timescale TAI"]
    lines.append("time band flux fluxerr zp zpsys")
    lines += [
        f"{time:.6f} {names[str(band)]} {flux:.7g} {err:.7g} {ZERO_POINT} ab"
        for time, band, flux, err in zip(curve.mjd, curve.band, curve.flux, curve.flux_err, strict=True)
    ]
    return "\n".join(lines) + "\n"
