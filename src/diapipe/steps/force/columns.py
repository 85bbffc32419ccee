"""Columns of the tables of fluxes at given places, and of the sources of a template coadd."""

from __future__ import annotations

from diapipe.catalogs.object_schema import CENTER_FLAGS, psf_flags
from diapipe.catalogs.schema import FLUX, Column
from diapipe.steps.force.apertures import aperture_name
from diapipe.steps.force.options import Force


def forced_schema(options: Force) -> tuple[Column, ...]:
    """What is measured at a place with these options."""
    return (
        Column("x", "f8", "pix", "Where the place lies on the image, 0-based pixel centres"),
        Column("y", "f8", "pix", "Where the place lies on the image, 0-based pixel centres"),
        Column("psfFlux", "f4", FLUX, "PSF flux at this place"),
        Column("psfFluxErr", "f4", FLUX, "Error of psfFlux"),
        *psf_flags("psfFlux", "image"),
        Column("psfChi2", "f4", "", "Chi squared of the PSF fit"),
        Column("psfNdata", "i4", "", "Pixels in the PSF fit"),
        *(column for radius in options.aperture_radii_px for column in _in_circle(radius)),
        *(() if options.background is None else _BACKGROUND),
        *CENTER_FLAGS,
        Column("dp_badPixel", "?", "", "An unusable pixel, or one off the image, in the central 3x3"),
        Column("dp_nFittedWith", "i4", "", "Places near it that were fitted together with it"),
        Column("dp_shareLost", "f4", "", "Part of its information that these took"),
    )


_BACKGROUND = (
    Column("localBackground", "f4", FLUX, "Level of a pixel in a ring around the place"),
    Column("localBackgroundErr", "f4", FLUX, "Error of localBackground"),
    Column("localBackground_flag", "?", "", "No pixel tells the level"),
)


def _in_circle(radius_px: float) -> tuple[Column, ...]:
    """Flux in a circle."""
    name = aperture_name(radius_px)
    return (
        Column(name, "f4", FLUX, f"Flux in a circle of {radius_px:g} px"),
        Column(f"{name}Err", "f4", FLUX, f"Error of {name}"),
        Column(f"{name}_flag", "?", "", f"{name} missing, or unusable pixels left out of the circle"),
        Column(f"{name}_flag_apertureTruncated", "?", "", f"The circle of {name} reaches over the edge of the image"),
    )


def template_object_schema(options: Force) -> tuple[Column, ...]:
    """A source of a template coadd, measured with these options."""
    return (
        Column("objectId", "i8", "", "Identifier of this source, unique in its band"),
        Column("parentObjectId", "i8", "", "Source that this one was deblended from; 0 for none"),
        Column("tract", "i4", "", "Number of the tract"),
        Column("patch", "i4", "", "Number of the patch in the tract"),
        Column("band", "U32", "", "Name of the filter"),
        Column("ra", "f8", "deg", "Right ascension of the centroid"),
        Column("dec", "f8", "deg", "Declination of the centroid"),
        Column("detect_isPrimary", "?", "", "In the patch's inner box, and its tract is in charge: to be counted once"),
        Column("extendedness", "f8", "", "0 for a star, 1 for what does not look like one"),
        Column("dp_isIsolated", "?", "", "No neighbour matters within a PSF stamp"),
        *forced_schema(options),
    )
