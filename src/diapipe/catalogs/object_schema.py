"""Columns of the tables of DIA objects and of forced sources: Rubin's Science Data Model, then our own (``dp_*``)."""

from __future__ import annotations

from collections.abc import Iterable

from diapipe.catalogs.schema import FLUX, FLUX_PER_DAY, Column

LSST_BANDS = ("u", "g", "r", "i", "z", "y")
"""Bands of Rubin's data model, by wavelength."""

_OBJECT = (
    Column("diaObjectId", "i8", "", "Identifier of this object: the diaSourceId of the source that founded it"),
    Column("validityStartMjdTai", "f8", "d", "Since when this row holds: the time of its last source"),
    Column("validityEndMjdTai", "f8", "d", "Until when it held; NaN for a row that still holds"),
    Column("ra", "f8", "deg", "Right ascension: mean of the sources, weighted by their errors"),
    Column("raErr", "f4", "deg", "Error of ra times cos(dec)"),
    Column("dec", "f8", "deg", "Declination: mean of the sources, weighted by their errors"),
    Column("decErr", "f4", "deg", "Error of dec"),
    Column("ra_dec_Cov", "f4", "deg2", "Covariance of ra times cos(dec) with dec"),
    Column("firstDiaSourceMjdTai", "f8", "d", "Time of the first source"),
    Column("lastDiaSourceMjdTai", "f8", "d", "Time of the last source"),
    Column("nDiaSources", "i4", "", "Number of sources"),
)


def _in_band(band: str) -> tuple[Column, ...]:
    """Columns of one band."""
    return (
        Column(f"{band}_psfFluxMean", "f4", FLUX, f"Weighted mean of psfFlux in {band}"),
        Column(f"{band}_psfFluxMeanErr", "f4", FLUX, f"Error of {band}_psfFluxMean"),
        Column(f"{band}_psfFluxSigma", "f4", FLUX, f"Standard deviation of psfFlux in {band}, of a sample (n - 1)"),
        Column(f"{band}_psfFluxNdata", "i4", "", f"Fluxes in {band} that were counted: finite, with an error"),
        Column(f"{band}_fpFluxMean", "f4", FLUX, f"Weighted mean of the forced fluxes on the differences in {band}"),
        Column(f"{band}_fpFluxMeanErr", "f4", FLUX, f"Error of {band}_fpFluxMean"),
        Column(f"{band}_scienceFluxMean", "f4", FLUX, f"Weighted mean of scienceFlux in {band}"),
        Column(f"{band}_scienceFluxMeanErr", "f4", FLUX, f"Error of {band}_scienceFluxMean"),
        Column(f"{band}_psfFluxMin", "f4", FLUX, f"Least psfFlux in {band}"),
        Column(f"{band}_psfFluxMax", "f4", FLUX, f"Greatest psfFlux in {band}"),
        Column(f"{band}_psfFluxMaxSlope", "f4", FLUX_PER_DAY, f"Steepest rise from one psfFlux in {band} to the next"),
        Column(f"{band}_psfFluxErrMean", "f4", FLUX, f"Mean of psfFluxErr in {band}"),
        Column(f"dp_{band}_psfFluxChi2", "f4", "", f"Chi squared of psfFlux in {band} about {band}_psfFluxMean"),
        Column(f"dp_{band}_fpFluxSigma", "f4", FLUX, f"Standard deviation of the forced fluxes in {band} (n - 1)"),
        Column(f"dp_{band}_fpFluxChi2", "f4", "", f"Chi squared of forced fluxes in {band} about {band}_fpFluxMean"),
        Column(f"dp_{band}_fpFluxNdata", "i4", "", f"Forced fluxes in {band} that were counted"),
        Column(f"dp_{band}_templateFlux", "f4", FLUX, f"PSF flux of the template in {band} at this place"),
        Column(f"dp_{band}_templateFluxErr", "f4", FLUX, f"Error of dp_{band}_templateFlux"),
    )


def dia_object_schema(bands: Iterable[str]) -> tuple[Column, ...]:
    """The DIA object table of a survey with these bands: what is of all bands first, then band by band.

    With `LSST_BANDS` it holds every column of Rubin's DiaObject.
    """
    return (*_OBJECT, *(column for band in bands for column in _in_band(band)))


def psf_flags(prefix: str, image: str) -> tuple[Column, ...]:
    """Flags of a forced PSF flux."""
    return (
        Column(f"{prefix}_flag", "?", "", f"No flux on the {image}, or less than half of the PSF on usable pixels"),
        Column(f"{prefix}_flag_edge", "?", "", f"The stamp on the {image} reaches over its edge"),
        Column(f"{prefix}_flag_noGoodPixels", "?", "", f"No usable pixel on the {image}"),
    )


_CENTERS = {
    "bad": "A bad pixel",
    "cr": "A cosmic ray",
    "edge": "A pixel of the edge",
    "nodata": "A pixel without data",
    "interpolated": "An interpolated pixel",
    "saturated": "A saturated pixel",
    "saturated_template": "A saturated pixel of the template",
    "suspect": "A suspect pixel",
    "streak": "A streak",
    "injected": "An injected source",
}
"""Mask planes that the central pixels of a forced source are looked up in; spelled as in the DIA source table."""

CENTER_FLAGS = (
    Column("pixelFlags_offimage", "?", "", "The object lies off the image"),
    *(Column(f"pixelFlags_{name}Center", "?", "", f"{what} in the central 3x3") for name, what in _CENTERS.items()),
)
"""What the pixels under a forced source say of it."""

DIA_FORCED_SOURCE: tuple[Column, ...] = (
    Column("diaForcedSourceId", "i8", "", "Identifier of this measurement"),
    Column("diaObjectId", "i8", "", "Object that was measured"),
    Column("ra", "f8", "deg", "Right ascension of the object, where the flux was measured"),
    Column("dec", "f8", "deg", "Declination of the object, where the flux was measured"),
    Column("visit", "i8", "", "Identifier of the exposure"),
    Column("detector", "i2", "", "Number of the detector"),
    Column("psfFlux", "f4", FLUX, "PSF flux at this place on the difference"),
    Column("psfFluxErr", "f4", FLUX, "Error of psfFlux"),
    Column("midpointMjdTai", "f8", "d", "Middle of the exposure"),
    Column("scienceFlux", "f4", FLUX, "PSF flux at this place on the science image"),
    Column("scienceFluxErr", "f4", FLUX, "Error of scienceFlux"),
    Column("band", "U32", "", "Name of the filter"),
    Column("timeProcessedMjdTai", "f8", "d", "When this was measured"),
    Column("timeWithdrawnMjdTai", "f8", "d", "When this was withdrawn; NaN for what stands"),
    Column("x", "f8", "pix", "Where the object lies, 0-based pixel centres"),
    Column("y", "f8", "pix", "Where the object lies, 0-based pixel centres"),
    *psf_flags("psfFlux", "difference"),
    *psf_flags("forced_PsfFlux", "science image"),
    *CENTER_FLAGS,
    Column("dp_templateFlux", "f4", FLUX, "PSF flux at this place on the template: psfFlux is what is more than it"),
    Column("dp_templateFluxErr", "f4", FLUX, "Error of dp_templateFlux, one for all fluxes of an object in a band"),
    *psf_flags("dp_templateFlux", "template"),
    Column("dp_badPixel", "?", "", "An unusable pixel of either image, or one off the image, in the central 3x3"),
    Column("dp_nFittedWith", "i4", "", "Other objects that psfFlux was fitted together with"),
    Column("dp_shareLost", "f4", "", "Part of the information on psfFlux that these take"),
)
"""The table of forced sources, in its order."""
