"""One spelling for the flags of sources: Rubin's data model and the older afw tables say the same in two ways."""

from __future__ import annotations

from diapipe.images import MaskPlane

PIXEL_FLAGS = {
    "bad": MaskPlane.BAD,
    "cr": MaskPlane.CR,
    "edge": MaskPlane.EDGE,
    "nodata": MaskPlane.NO_DATA,
    "interpolated": MaskPlane.INTRP,
    "saturated": MaskPlane.SAT,
    "saturated_template": MaskPlane.SAT_TEMPLATE,
    "suspect": MaskPlane.SUSPECT,
    "streak": MaskPlane.STREAK,
    "injected": MaskPlane.INJECTED,
    "injected_template": MaskPlane.INJECTED_TEMPLATE,
}
"""Mask plane behind each ``pixelFlags_*`` column; with ``Center`` at the end, in the central 3 x 3 pixels."""

_CENTROIDS = ("slot_Centroid", "base_SdssCentroid", "base_NaiveCentroid", "base_TransformedCentroid")


def flag_name(name: str) -> str:
    """The name that a flag has here: ``base_PixelFlags_flag_crCenter`` is ``pixelFlags_crCenter``.

    Names in our spelling, and those that belong to no family known here, stay as they are.
    """
    if name == "base_PixelFlags_flag":
        return "pixelFlags"
    if name.startswith("base_PixelFlags_flag_"):
        return "pixelFlags_" + name.removeprefix("base_PixelFlags_flag_").replace("sat_template", "saturated_template")
    return "centroid_flag" if name in {f"{centroid}_flag" for centroid in _CENTROIDS} else name


def is_flag(name: str) -> bool:
    """Whether a column of this name is a flag that is kept."""
    known = flag_name(name)
    return known == "centroid_flag" or known.startswith("pixelFlags")
