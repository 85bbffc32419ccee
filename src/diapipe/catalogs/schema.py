"""Columns of the DIA source table: names, types and units of Rubin's Science Data Model, then our own (``dp_*``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FLUX = "flux"
"""Stands for the unit of the difference's pixels: nJy where the image is calibrated."""

FLUX_PER_DAY = "flux/d"
"""Stands for that unit over days."""

AREA = "area"
"""Stands for square arc seconds, or square pixels where the image has no WCS."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    name
        As the data model spells it.
    dtype
        NumPy type.
    unit
        For astropy; "" for none, `FLUX`, `FLUX_PER_DAY` and `AREA` stand for what the image has.
    description
        One sentence.
    """

    name: str
    dtype: str
    unit: str
    description: str


def _of(dtype: str, unit: str, entries: Iterable[tuple[str, str]]) -> list[Column]:
    return [Column(name, dtype, unit, description) for name, description in entries]


_IDENTITY = [
    *_of(
        "i8",
        "",
        [
            ("diaSourceId", "Identifier of this source"),
            ("visit", "Identifier of the exposure"),
            ("detector", "Number of the detector"),
            ("diaObjectId", "Object that the source belongs to; 0 before association"),
            ("ssObjectId", "Solar-system object that the source belongs to; 0 for none"),
            ("parentDiaSourceId", "Source that this one was deblended from; 0 for none"),
        ],
    ),
    Column("band", "U32", "", "Name of the filter"),
    Column("midpointMjdTai", "f8", "d", "Middle of the exposure"),
    Column("exposureTime", "f4", "s", "Exposure time; NaN where the image does not tell"),
    Column("timeWithdrawnMjdTai", "f8", "d", "When this was withdrawn; NaN for what stands"),
]

_POSITION = [
    *_of(
        "f8",
        "deg",
        [("ra", "Right ascension of the centroid"), ("dec", "Declination of the centroid")],
    ),
    *_of("f4", "deg", [("raErr", "Error of ra times cos(dec)"), ("decErr", "Error of dec")]),
    Column("ra_dec_Cov", "f4", "deg2", "Covariance of ra times cos(dec) with dec"),
    *_of("f8", "pix", [("x", "Centroid, 0-based pixel centres"), ("y", "Centroid, 0-based pixel centres")]),
    *_of("f4", "pix", [("xErr", "Error of x"), ("yErr", "Error of y")]),
    Column("centroid_flag", "?", "", "The fit of the position failed; it is that of the peak"),
]

_CORRECTED = (
    ("psfFlux", "psfFlux"),
    ("scienceFlux", "forced_PsfFlux"),
    ("templateFlux", "forced_template_PsfFlux"),
)
"""Fluxes with an aperture correction, and the prefix of their flags."""


def _correction(flux: str, flag: str) -> list[Column]:
    """Columns that tell the aperture correction of a flux."""
    return [
        Column(f"{flux}_apCorr", "f4", "", f"Aperture correction that {flux} and its error were multiplied by"),
        Column(f"{flux}_apCorrErr", "f4", "", f"Error of {flux}_apCorr; 0 where the map brings none"),
        Column(f"{flag}_flag_apCorr", "?", "", f"{flux} has no usable aperture correction and is as measured"),
    ]


_FLUXES = [
    *_of("f4", FLUX, [("psfFlux", "PSF flux on the difference"), ("psfFluxErr", "Its error, of static light too")]),
    Column("psfChi2", "f4", "", "Chi squared of the PSF fit"),
    Column("psfLnL", "f4", "", "Log of the PSF fit's likelihood over that of a perfect fit: -psfChi2/2"),
    Column("psfNdata", "i4", "", "Pixels in the PSF fit"),
    *_of(
        "?",
        "",
        [
            ("psfFlux_flag", "PSF flux missing, or less than half of the PSF on usable pixels"),
            ("psfFlux_flag_edge", "The fitted stamp reaches over the edge of the image"),
            ("psfFlux_flag_noGoodPixels", "No usable pixel to fit"),
        ],
    ),
    *_of("f4", FLUX, [("apFlux", "Flux in a circular aperture"), ("apFluxErr", "Error of apFlux")]),
    *_of(
        "?",
        "",
        [
            ("apFlux_flag", "Aperture flux missing, or unusable pixels left out of the aperture"),
            ("apFlux_flag_apertureTruncated", "The aperture reaches over the edge of the image"),
        ],
    ),
    *_of(
        "f4",
        FLUX,
        [
            ("scienceFlux", "PSF flux at this place on the science image"),
            ("scienceFluxErr", "Error of scienceFlux"),
            ("templateFlux", "PSF flux at this place on the matched template"),
            ("templateFluxErr", "Error of templateFlux"),
        ],
    ),
    *_of(
        "?",
        "",
        [
            ("forced_PsfFlux_flag", "scienceFlux missing, or less than half of the PSF on usable pixels"),
            ("forced_PsfFlux_flag_edge", "The stamp on the science image reaches over its edge"),
            ("forced_PsfFlux_flag_noGoodPixels", "No usable pixel on the science image"),
            ("forced_template_PsfFlux_flag", "templateFlux missing, or less than half of the PSF on usable pixels"),
            ("forced_template_PsfFlux_flag_edge", "The stamp on the template reaches over its edge"),
            ("forced_template_PsfFlux_flag_noGoodPixels", "No usable pixel on the template"),
        ],
    ),
    *(column for flux, flag in _CORRECTED for column in _correction(flux, flag)),
    Column("snr", "f4", "", "psfFlux over its error by the noise of the pixels; negative for a negative source"),
]

_DIPOLE_AND_TRAIL = [
    *_of(
        "?",
        "",
        [
            ("isNegative", "Fainter than on the template, without a positive lobe beside it"),
            ("isDipole", "A star that the two images have in two places: lobes of opposite sign that balance"),
            ("dipoleFitAttempted", "A dipole was fitted"),
        ],
    ),
    *_of(
        "f4",
        FLUX,
        [
            ("dipoleMeanFlux", "Mean absolute flux of the two lobes"),
            ("dipoleMeanFluxErr", "Error of dipoleMeanFlux"),
            ("dipoleFluxDiff", "Flux of the positive lobe less that of the negative"),
            ("dipoleFluxDiffErr", "Error of dipoleFluxDiff"),
        ],
    ),
    Column("dipoleLength", "f4", "arcsec", "Distance between the lobes"),
    Column(
        "dipoleAngle", "f4", "deg", "Position angle from the negative to the positive lobe, from north towards east"
    ),
    Column("dipoleChi2", "f4", "", "Chi squared of the dipole fit on difference, science and template"),
    Column("dipoleNdata", "i4", "", "Pixels in the dipole fit, of all three images; 0 where none was made"),
    *_of("f4", FLUX, [("trailFlux", "Flux of the fitted trail"), ("trailFluxErr", "Error of trailFlux")]),
    *_of("f8", "deg", [("trailRa", "Middle of the fitted trail"), ("trailDec", "Middle of the fitted trail")]),
    *_of("f4", "deg", [("trailRaErr", "Error of trailRa times cos(dec)"), ("trailDecErr", "Error of trailDec")]),
    *_of("f4", "arcsec", [("trailLength", "Length of the trail"), ("trailLengthErr", "Error of trailLength")]),
    *_of(
        "f4",
        "deg",
        [
            ("trailAngle", "Position angle of the trail, from north towards east, 0 to 180"),
            ("trailAngleErr", "Error of trailAngle"),
        ],
    ),
    Column("trailChi2", "f4", "", "Chi squared of the trail fit"),
    Column("trailNdata", "i4", "", "Pixels in the trail fit; 0 where none was made"),
    Column("trailAlgorithm", "i4", "", "What was fitted: 1, a line convolved with the PSF; 0 where nothing was"),
    *_of(
        "?",
        "",
        [
            ("trail_flag", "Not a trail: none was fitted, or a point, or the trail of another source, explains it"),
            ("trail_flag_edge", "An end of the trail lies within a PSF FWHM of the edge of the image, or off it"),
        ],
    ),
]

_SHAPE = [
    *_of(
        "f4",
        AREA,
        [
            ("ixx", "Adaptive second moment along x"),
            ("iyy", "Adaptive second moment along y"),
            ("ixy", "Adaptive mixed moment"),
            ("ixxPSF", "The same of the PSF"),
            ("iyyPSF", "The same of the PSF"),
            ("ixyPSF", "The same of the PSF"),
        ],
    ),
    Column("shape_flag", "?", "", "The moments did not converge"),
    Column("shape_flag_no_pixels", "?", "", "There is no usable pixel, or no light, to measure moments of"),
    Column("shape_flag_not_contained", "?", "", "The centroid lies outside the box of the footprint"),
    Column("extendedness", "f4", "", "0 for a point source, towards 1 for a source much larger than the PSF"),
    Column("bboxSize", "i4", "pix", "Longer side of the footprint's box"),
]

_PIXEL_FLAGS = _of(
    "?",
    "",
    [
        ("pixelFlags", "Any of the pixel flags is set"),
        ("pixelFlags_bad", "A bad pixel in the footprint"),
        ("pixelFlags_badCenter", "A bad pixel in the central 3x3"),
        ("pixelFlags_cr", "A cosmic ray in the footprint"),
        ("pixelFlags_crCenter", "A cosmic ray in the central 3x3"),
        ("pixelFlags_edge", "A pixel of the edge in the footprint"),
        ("pixelFlags_edgeCenter", "A pixel of the edge in the central 3x3"),
        ("pixelFlags_nodata", "A pixel without data in the footprint"),
        ("pixelFlags_nodataCenter", "A pixel without data in the central 3x3"),
        ("pixelFlags_interpolated", "An interpolated pixel in the footprint"),
        ("pixelFlags_interpolatedCenter", "An interpolated pixel in the central 3x3"),
        ("pixelFlags_saturated", "A saturated pixel in the footprint"),
        ("pixelFlags_saturatedCenter", "A saturated pixel in the central 3x3"),
        ("pixelFlags_interpolatedCenterAll", "All of the central 3x3 are interpolated"),
        ("pixelFlags_saturated_template", "A saturated pixel of the template in the footprint"),
        ("pixelFlags_saturated_templateCenter", "A saturated pixel of the template in the central 3x3"),
        ("pixelFlags_suspect", "A suspect pixel in the footprint"),
        ("pixelFlags_suspectCenter", "A suspect pixel in the central 3x3"),
        ("pixelFlags_streak", "A streak in the footprint"),
        ("pixelFlags_streakCenter", "A streak in the central 3x3"),
        ("pixelFlags_injected", "An injected source in the footprint"),
        ("pixelFlags_injectedCenter", "An injected source in the central 3x3"),
        ("pixelFlags_injected_template", "A source injected into the template in the footprint"),
        ("pixelFlags_injected_templateCenter", "A source injected into the template in the central 3x3"),
        ("pixelFlags_offimage", "The centroid lies off the image"),
    ],
)

_KIND = _of(
    "?",
    "",
    [
        ("sky_source", "A place on empty sky that nothing was detected at"),
        ("glint_trail", "One of a row of sources: glints of a satellite"),
    ],
)

_OURS = [
    Column("dp_score", "f4", "", "Significance of the peak on the score image; negative for a negative source"),
    Column("dp_sharpness", "f4", "", "Significance of the best single pixel less what the PSF at this S/N gives it"),
    Column("dp_chi2Excess", "f4", "", "Excess of psfChi2 over its expectation in units of its scatter"),
    Column("dp_negativeFraction", "f4", "", "Part of the flux in significant pixels that has the opposite sign"),
    Column("dp_templateRatio", "f4", "", "Height of the source over the light of the static sky in its core"),
    Column("dp_psfMismatch", "f4", "", "Height of what leaps of the template's PSF leave of a star, over its own"),
    Column("dp_saturatedDistance", "f4", "", "Distance to the nearest saturated region in units of its half-width"),
    Column("dp_saturatedScatter", "f4", "", "Scatter of the score around that region, where the source is near it"),
    Column(
        "dp_lineScore", "f4", "", "Score of the row or column beside the source that leads through saturated pixels"
    ),
    Column("dp_starRatio", "f4", "", "Absolute psfFlux over the flux of the brightest star near by; NaN without one"),
    Column("dp_partnerRatio", "f4", "", "Score of the lobe of opposite sign over the source's own; 0 for none"),
    *_of(
        "f8",
        "pix",
        [("dp_dipoleX", "Middle of the fitted dipole"), ("dp_dipoleY", "Middle of the fitted dipole")],
    ),
    *_of(
        "f4",
        "pix",
        [
            ("dp_dipoleXErr", "Error of dp_dipoleX"),
            ("dp_dipoleYErr", "Error of dp_dipoleY"),
            ("dp_dipoleDx", "From the negative lobe of the fitted dipole to the positive"),
            ("dp_dipoleDy", "From the negative lobe of the fitted dipole to the positive"),
            ("dp_dipoleDxErr", "Error of dp_dipoleDx"),
            ("dp_dipoleDyErr", "Error of dp_dipoleDy"),
        ],
    ),
    Column("dp_dipoleDxDyCov", "f4", "pix2", "Covariance of dp_dipoleDx with dp_dipoleDy"),
    *_of(
        "?",
        "",
        [
            ("dp_dipole_flag", "A dipole may be here, but its fit failed, or its footprint is too large to try"),
            ("dp_dipole_flag_edge", "The stamp of the dipole fit reaches over the edge of the image"),
        ],
    ),
    Column("dp_dipoleSnr", "f4", "", "Significance of the fitted dipole on the difference"),
    Column("dp_dipoleShare", "f4", "", "Part of the fitted dipole's absolute light that is in its brighter lobe"),
    *_of(
        "f8",
        "pix",
        [
            ("dp_trailX", "Middle of the fitted trail"),
            ("dp_trailY", "Middle of the fitted trail"),
            ("dp_trailX0", "End of the fitted trail of smaller x"),
            ("dp_trailY0", "End of the fitted trail of smaller x"),
            ("dp_trailX1", "End of the fitted trail of larger x"),
            ("dp_trailY1", "End of the fitted trail of larger x"),
        ],
    ),
    *_of(
        "f4",
        "pix",
        [
            ("dp_trailDx", "From the first end of the fitted trail to the last"),
            ("dp_trailDy", "From the first end of the fitted trail to the last"),
            ("dp_trailDxErr", "Error of dp_trailDx"),
            ("dp_trailDyErr", "Error of dp_trailDy"),
        ],
    ),
    Column("dp_trailDxDyCov", "f4", "pix2", "Covariance of dp_trailDx with dp_trailDy"),
    *_of(
        "f8",
        "deg",
        [
            ("dp_trailRa0", "First end of the fitted trail"),
            ("dp_trailDec0", "First end of the fitted trail"),
            ("dp_trailRa1", "Last end of the fitted trail"),
            ("dp_trailDec1", "Last end of the fitted trail"),
        ],
    ),
    Column("dp_trailOf", "i8", "", "Identifier of the source whose trail this one is a part of; 0 for none"),
    *_of(
        "?",
        "",
        [
            ("dp_trail_flag_offImage", "An end of the fitted trail lies off the image"),
            ("dp_trail_flag_suspectLongTrail", "The fitted trail is longer than three sigma of the PSF"),
        ],
    ),
    *_of(
        "?",
        "",
        [
            ("dp_badPixel", "An unusable pixel of either image, or one off the image, in the central 3x3"),
            ("dp_residual", "Recognised as a subtraction residual: any of the seven that follow"),
            ("dp_residual_sharp", "A pixel far above what the PSF gives it"),
            ("dp_residual_shape", "Not of the PSF's shape"),
            ("dp_residual_static", "Too faint for the light under it"),
            ("dp_residual_dipole", "Too faint for the light under it, with a lobe of opposite sign beside it"),
            ("dp_residual_star", "Too faint for a star beside it"),
            ("dp_residual_saturated", "In the surroundings of saturated pixels"),
            ("dp_residual_line", "No more than noise on a row or column that leads through saturated pixels"),
            ("dp_bad", "The default cut: dp_residual, dp_badPixel, psfFlux_flag, or a part of another source's trail"),
        ],
    ),
]

DIA_SOURCE: tuple[Column, ...] = (
    *_IDENTITY,
    *_POSITION,
    *_FLUXES,
    *_DIPOLE_AND_TRAIL,
    *_SHAPE,
    *_PIXEL_FLAGS,
    *_KIND,
    *_OURS,
)
"""The DIA source table, in its order."""
