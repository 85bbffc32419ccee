"""``photometric_scale``: what a count of each image is worth."""

from __future__ import annotations

from diapipe.catalogs.schema import Column

PHOTOMETRIC_SCALE: tuple[Column, ...] = (
    Column("visit", "i8", "", "Identifier of the visit"),
    Column("detector", "i8", "", "Number of the detector"),
    Column("nJyPerCount", "f8", "nJy", "Flux of one count; NaN where it could not be found"),
    Column("nJyPerCountErr", "f8", "nJy", "Its error against the other images (relative) or the catalogue (reference)"),
    Column("nStars", "i4", "", "Stars of the image that the scale rests on"),
    Column("chi2", "f8", "", "Robust reduced chi squared of these stars, by the errors of their fluxes alone"),
    Column("scatter", "f8", "mag", "Robust scatter of these stars around the scale"),
    Column("component", "i4", "", "Images of one number share stars, and are on one scale; -1 for none"),
    Column("isReference", "?", "", "Image of the visit whose scale was set, and that all others follow"),
    Column("isAbsolute", "?", "", "The scale is in true nJy, not by a nominal zero point"),
    Column("reason", "U160", "", "Why there is no scale"),
)
"""In their order."""
