"""The nouns of pixels: small, typed, immutable, cut by `Box`, in parent pixel coordinates."""

from diapipe.images.box import Box
from diapipe.images.calibrated import calibrated
from diapipe.images.coadd_patch import CoaddPatch
from diapipe.images.detections import Detections
from diapipe.images.discrete_sky_map import DiscreteSkyMap, TractPlace
from diapipe.images.exposure import Difference, Exposure, ObservationInfo
from diapipe.images.fields import ChebyshevField, ImageField
from diapipe.images.footprints import Footprints, Peaks
from diapipe.images.kernel import SpatialKernel
from diapipe.images.mask import SATURATED_DIFFERENCE, UNUSABLE, UNUSABLE_DIFFERENCE, MaskPlane
from diapipe.images.masked_image import MaskedImage
from diapipe.images.mesh_field import MeshField
from diapipe.images.photo_calib import PhotoCalib
from diapipe.images.psf import (
    BlendedPart,
    BlendedPsf,
    CoaddComponent,
    CoaddPsf,
    ConvolvedPsf,
    GaussianPsf,
    PolynomialPsf,
    Psf,
    PsfexPsf,
)
from diapipe.images.restored_sky import add_background
from diapipe.images.rings_sky_map import RingsSkyMap
from diapipe.images.sky_map import SkyMap
from diapipe.images.sky_regions import SkyBox, SkyPolygon, SkyRegion
from diapipe.images.tract_grid import TractGrid
from diapipe.images.tracts import Patch, Tract
from diapipe.images.weight_map import WeightMap

__all__ = [
    "SATURATED_DIFFERENCE",
    "UNUSABLE",
    "UNUSABLE_DIFFERENCE",
    "BlendedPart",
    "BlendedPsf",
    "Box",
    "ChebyshevField",
    "CoaddComponent",
    "CoaddPatch",
    "CoaddPsf",
    "ConvolvedPsf",
    "Detections",
    "Difference",
    "DiscreteSkyMap",
    "Exposure",
    "Footprints",
    "GaussianPsf",
    "ImageField",
    "MaskPlane",
    "MaskedImage",
    "MeshField",
    "ObservationInfo",
    "Patch",
    "Peaks",
    "PhotoCalib",
    "PolynomialPsf",
    "Psf",
    "PsfexPsf",
    "RingsSkyMap",
    "SkyBox",
    "SkyMap",
    "SkyPolygon",
    "SkyRegion",
    "SpatialKernel",
    "Tract",
    "TractGrid",
    "TractPlace",
    "WeightMap",
    "add_background",
    "calibrated",
]
