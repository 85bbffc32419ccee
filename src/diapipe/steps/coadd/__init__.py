"""coadd: bring the images of visits on to a patch, and stack them."""

from diapipe.steps.coadd.assembled import Coadd, coadd
from diapipe.steps.coadd.base import AbstractCoadder, Block
from diapipe.steps.coadd.clipped import ClippedCoadder
from diapipe.steps.coadd.inputs import CoaddInput
from diapipe.steps.coadd.mean import MeanCoadder
from diapipe.steps.coadd.visit_warp import VisitDetector, warp_visit
from diapipe.steps.family import Family

COADDERS: Family[AbstractCoadder] = Family("coadd", {"clipped": ClippedCoadder, "mean": MeanCoadder})

__all__ = [
    "COADDERS",
    "AbstractCoadder",
    "Block",
    "ClippedCoadder",
    "Coadd",
    "CoaddInput",
    "MeanCoadder",
    "VisitDetector",
    "coadd",
    "warp_visit",
]
