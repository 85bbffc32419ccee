"""photometric_scale: what a count of each image of a band is worth."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from diapipe.catalogs.sources import ReferenceList
from diapipe.catalogs.visit_stars import VisitStars
from diapipe.errors import TooFewStarsError
from diapipe.steps.calibrate.base import AbstractScale
from diapipe.steps.calibrate.relative import Relative


def photometric_scale(
    stars: VisitStars,
    *,
    band: str = "",
    reference: ReferenceList | None = None,
    algorithm: AbstractScale | None = None,
) -> Table:
    """Put all images of a band on one scale.

    Parameters
    ----------
    stars
        Of all images.
    band
        Its name.
    reference
        Reference catalogue with fluxes in nJy.
    algorithm
        The way; by the stars that the images share where left out.

    Returns
    -------
    Table
        Columns of `diapipe.catalogs.photometric_scales.PHOTOMETRIC_SCALE`, one row for each image. Its metadata hold
        ``sentences``: what a person should know of the scale.

    Raises
    ------
    TooFewStarsError
        If no image gets a scale.
    InputError
        If the way needs a catalogue, and it is not given or has no such band.
    """
    table = (algorithm or Relative()).scale(stars, band=band, reference=reference)
    if not np.isfinite(table["nJyPerCount"]).any():
        why = table["reason"][0] if len(table) else "there is none"
        raise TooFewStarsError(
            f"none of {stars.n_images} images in band {band or '?'} can be put on a photometric scale: {why}",
            n_images=stars.n_images,
        )
    table.meta["sentences"] = sentences(table)
    return table


def sentences(table: Table) -> list[str]:
    """What a person should know of a scale: whether it is absolute, what hangs together, and what is left out."""
    known = np.isfinite(table["nJyPerCount"])
    groups = [int(number) for number in np.unique(table["component"]) if number >= 0]
    said = []
    if not np.asarray(table["isAbsolute"])[known].all():
        visits = sorted({int(row["visit"]) for row in table if row["isReference"] and not row["isAbsolute"]})
        said.append(
            f"the scale is relative: nJy follow from a nominal zero point of visit {', '.join(map(str, visits))}"
        )
    if len(groups) > 1:
        sizes = [len(np.unique(table["visit"][table["component"] == group])) for group in groups]
        said.append(
            f"{len(groups)} groups of visits share no stars and are not on one scale; they have "
            f"{', '.join(map(str, sizes))} visits"
        )
    said.extend(
        f"visit {row['visit']}, detector {row['detector']} has no scale: {row['reason']}" for row in table[~known][:5]
    )
    if (~known).sum() > 5:
        said.append(f"{int((~known).sum()) - 5} more images have no scale")
    return said
